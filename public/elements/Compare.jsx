// One message, several answers side by side as they come; a vote; the same persona once more.
import { useEffect, useRef, useState } from "react"
import { toast } from "sonner"
import { Button } from "@/components/ui/button"

const TRAITS = ["openness", "conscientiousness", "extraversion", "agreeableness", "neuroticism", "humor", "formality"]

export default function Compare() {
  const columns = props.columns || []
  const [vote, setVote] = useState(null)
  const [sending, setSending] = useState(false)
  const chose = useRef(false)
  const told = useRef(null)

  const readVote = () =>
    fetch(`/api/v1/lab/comparisons/${props.id}`)
      .then((answer) => (answer.ok ? answer.json() : null))
      .then((found) => found && setVote(found.vote))
      .catch(() => {})
  useEffect(() => {
    if (props.over) readVote()
  }, [props.over])

  // What was pressed cannot be pressed again: a keyboard goes on from what came of it.
  useEffect(() => {
    if (chose.current && told.current) told.current.focus()
  }, [vote])

  const choose = async (best) => {
    chose.current = true
    setSending(true)
    try {
      const answer = await fetch(`/api/v1/lab/comparisons/${props.id}/vote`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ best }),
      })
      if (answer.ok) setVote(best)
      else {
        toast.error((await answer.json()).detail)
        await readVote() // it may have been given in another tab
      }
    } catch {
      toast.error("The server does not answer. Try again in a moment.")
    } finally {
      setSending(false)
    }
  }
  const answered = columns.filter((one) => one.reply && !one.error)
  const same = new Set(columns.map((one) => one.persona)).size < 2
  const closed = vote !== null || sending || !props.over
  const labelled = columns.map((one, place) => ({
    ...one,
    label: columns.filter((other) => other.persona === one.persona).length > 1
      ? `${one.name}, ${place === 0 ? "once" : "once more"}`
      : one.name,
  }))

  return (
    <section className="orchestra-compare" aria-label={`Answers to: ${props.question}`}>
      <div className="orchestra-columns">
        {labelled.map((one) => (
          <article key={one.key} aria-label={one.label} style={{ "--accent-of": one.accent }} aria-busy={one.seconds === null && !one.error}>
            <header>
              <img src={`/avatars/${one.persona}`} alt="" width="28" height="28" />
              <div>
                <b>{one.label}</b>
                <small>{one.seconds !== null ? `${one.seconds.toFixed(1)} s` : one.error ? "failed" : "answering …"}</small>
              </div>
            </header>
            {one.error ? <p role="alert" className="orchestra-failed">{one.error}</p> : <p>{one.reply || "…"}</p>}
            <dl>
              {TRAITS.map((trait) => (
                <div key={trait}>
                  <dt>{trait}</dt>
                  <dd aria-label={one.traits[trait].toFixed(2)}>
                    <i style={{ width: `${100 * one.traits[trait]}%` }} />
                  </dd>
                </div>
              ))}
            </dl>
            <footer>
              {!same && <Button
                size="sm"
                variant={vote === one.key ? "secondary" : "outline"}
                disabled={closed || !answered.includes(columns.find((other) => other.key === one.key))}
                aria-pressed={vote === one.key}
                aria-label={`Best: ${one.label}`}
                onClick={() => choose(one.key)}
              >
                Best
              </Button>}
              <Button
                size="sm"
                variant="ghost"
                disabled={!props.over}
                aria-label={`${one.name} twice: how much does one differ from itself?`}
                onClick={() => callAction({ name: "compare_again", payload: { persona: one.persona, text: props.question } })}
              >
                Twice
              </Button>
            </footer>
          </article>
        ))}
      </div>
      {props.over && vote === null && !same && (
        <div className="orchestra-choices" role="group" aria-label="No best one">
          <Button size="sm" variant="ghost" disabled={sending} onClick={() => choose("tie")}>A tie</Button>
          <Button size="sm" variant="ghost" disabled={sending} onClick={() => choose("none")}>None is good</Button>
        </div>
      )}
      {vote !== null && (
        <p role="status" className="orchestra-crew" ref={told} tabIndex={-1}>
          You voted: {(labelled.find((one) => one.key === vote) || {}).label || { tie: "a tie", none: "none is good" }[vote]}.
        </p>
      )}
    </section>
  )
}
