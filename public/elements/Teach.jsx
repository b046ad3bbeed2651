// An answer that was liked, to be made an example that its persona talks by; an author confirms.
import { useEffect, useRef, useState } from "react"
import { Button } from "@/components/ui/button"
import { Label } from "@/components/ui/label"
import { Textarea } from "@/components/ui/textarea"

export default function Teach() {
  const [persona, setPersona] = useState(null)
  const [message, setMessage] = useState("")
  const [reply, setReply] = useState("")
  const [problem, setProblem] = useState("")
  const [sending, setSending] = useState(false)
  const [taught, setTaught] = useState(null)
  const [serves, setServes] = useState("")
  const [notes, setNotes] = useState([])
  const [warning, setWarning] = useState("")
  const told = useRef(null)

  const call = async (path, options) => {
    try {
      const answer = await fetch(path, options)
      const content = await answer.json()
      if (answer.ok) return content
      setProblem(content.detail)
    } catch {
      setProblem("The server does not answer. Try again in a moment.")
    }
    return null
  }
  useEffect(() => {
    const load = async () => {
      const found = await call(`/api/v1/studio/answers/${props.answer}`)
      if (!found) return
      setMessage(found.message)
      setReply(found.reply)
      setWarning(found.warning)
      setPersona(await call(`/api/v1/personas/${found.persona}`))
    }
    load()
  }, [props.answer])

  // The button that was pressed is gone, or was disabled: a keyboard goes on from what came of it.
  useEffect(() => {
    if (!sending && told.current) told.current.focus()
  }, [sending])

  const teach = async () => {
    setSending(true)
    setProblem("")
    const changed = await call(`/api/v1/studio/personas/${persona.id}/examples`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ message: message.trim(), reply: reply.trim() }),
    })
    if (changed) {
      // The store has it, and still the gate may hold it back; the notes then say why.
      const stored = await call("/api/v1/studio/personas")
      setNotes(stored ? stored.problems : [])
      setServes(!stored ? "" : stored.waiting.includes(changed.id) ? "It serves once it has passed the lab's examination." : "The next answers follow.")
      setTaught(changed)
    }
    setSending(false)
  }

  if (taught)
    return (
      <section className="orchestra-panel" aria-label="Teach">
        <p role="status" ref={told} tabIndex={-1}>
          <b>{taught.name} has learned it</b>, as example {taught.examples.length}. {serves} Every version is kept:{" "}
          <code>orchestra personas history {taught.id}</code> lists them, and <code>rollback</code> takes one back.
        </p>
        {notes.map((one) => <p key={one} role="status"><small>{one}</small></p>)}
      </section>
    )
  const name = persona ? persona.name : "…"
  return (
    <section className="orchestra-panel" aria-label="Teach">
      <p>
        {name} talks by examples. Make this answer one of them: polish it until it sounds like {name} at their best. It goes
        to where the personas live, as a new version, for everybody.
      </p>
      {warning && <p><small>{warning}</small></p>}
      {problem && <p role="alert" className="orchestra-failed" ref={told} tabIndex={-1}>{problem}</p>}
      <fieldset disabled={sending}>
        <Label htmlFor="teach-message">Somebody asks</Label>
        <Textarea id="teach-message" rows={3} value={message} onChange={(event) => setMessage(event.target.value)} />
        <Label htmlFor="teach-reply">{name} answers</Label>
        <Textarea id="teach-reply" rows={9} value={reply} onChange={(event) => setReply(event.target.value)} />
        <div className="orchestra-choices">
          <Button size="sm" disabled={!persona || sending || !message.trim() || !reply.trim()} onClick={teach}>
            {sending ? "Teaching …" : `Teach ${name}`}
          </Button>
        </div>
      </fieldset>
    </section>
  )
}
