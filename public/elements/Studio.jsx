// Who the personas are: numbers, words, examples; a draft is tried beside the present one, then published.
import { useEffect, useRef, useState } from "react"
import { Button } from "@/components/ui/button"
import { Input } from "@/components/ui/input"
import { Label } from "@/components/ui/label"
import { Textarea } from "@/components/ui/textarea"

const TRAITS = {
  openness: ["keeps to what is known", "curious"],
  conscientiousness: ["easy-going", "orderly"],
  extraversion: ["quiet", "outgoing"],
  agreeableness: ["blunt", "kind"],
  neuroticism: ["calm", "worried"],
  humor: ["earnest", "playful"],
  formality: ["casual", "formal"],
}
const WORDS = {
  name: ["Name", 1],
  role: ["Role", 1],
  voice: ["How it talks, in a line", 2],
  backstory: ["Backstory", 7],
  template: ["Prompt", 7],
}
const NAMES = { traits: "numbers", domains: "subjects", examples: "examples" }
const FIELDS = [...Object.keys(WORDS), "traits", "domains", "examples"]
const same = (one, other) => JSON.stringify(one) === JSON.stringify(other)

// A persona as what two authors may touch apart: each text, each number, the subjects, each example.
const parted = (persona) => {
  const parts = Object.fromEntries([...Object.keys(WORDS), "domains"].map((field) => [field, persona[field]]))
  for (const [name, number] of Object.entries(persona.traits)) parts[`number ${name}`] = number
  const times = {}
  for (const one of persona.examples) {
    const asked = one.message.trim()
    times[asked] = (times[asked] || 0) + 1
    parts[`example ${asked}${times[asked] > 1 ? ` ${times[asked]}` : ""}`] = one
  }
  return parts
}
const joined = (persona, parts) => {
  const of = (kind) => Object.entries(parts).filter(([part, value]) => part.startsWith(`${kind} `) && value !== undefined)
  return {
    ...persona,
    ...Object.fromEntries([...Object.keys(WORDS), "domains"].map((field) => [field, parts[field]])),
    traits: Object.fromEntries(of("number").map(([part, number]) => [part.slice(7), number])),
    examples: of("example").map(([, one]) => one),
  }
}
const told = (value) =>
  value === undefined ? "removed" : Array.isArray(value) ? value.join(", ") : value.reply ?? String(value)

// What is not published outlives the panel: Chainlit builds it anew whenever the connection comes back.
const KEPT = "orchestra-studio"
const kept = () => {
  try {
    return JSON.parse(window.sessionStorage.getItem(KEPT))
  } catch {
    return null
  }
}
const keep = (work) => {
  try {
    if (work) window.sessionStorage.setItem(KEPT, JSON.stringify(work))
    else window.sessionStorage.removeItem(KEPT)
  } catch {
    // A browser that keeps nothing still edits.
  }
}

const point = (place, share, of) => {
  const angle = (2 * Math.PI * place) / of - Math.PI / 2
  return `${(100 + 70 * share * Math.cos(angle)).toFixed(1)},${(100 + 70 * share * Math.sin(angle)).toFixed(1)}`
}

function Radar({ personas, draft }) {
  const names = Object.keys(TRAITS)
  const shape = (traits) => names.map((name, place) => point(place, traits[name], names.length)).join(" ")
  const shown = personas.map((one) => (draft && one.id === draft.id ? draft : one))
  return (
    <figure className="orchestra-radar">
      <svg viewBox="-30 0 260 200" role="img" aria-label={`Traits of ${shown.map((one) => one.name).join(", ")}`}>
        {[0.25, 0.5, 0.75, 1].map((share) => (
          <polygon key={share} points={names.map((_, place) => point(place, share, names.length)).join(" ")} className="orchestra-radar-grid" />
        ))}
        {names.map((name, place) => {
          const [x, y] = point(place, 1.22, names.length).split(",")
          return <text key={name} x={x} y={y} textAnchor="middle" dominantBaseline="central">{name}</text>
        })}
        {shown.map((one) => (
          <polygon
            key={one.id}
            points={shape(one.traits)}
            fill={one.accent}
            fillOpacity={draft && one.id === draft.id ? 0.22 : 0.05}
            stroke={one.accent}
            strokeWidth={draft && one.id === draft.id ? 2.5 : 1.2}
          />
        ))}
      </svg>
      <figcaption>
        {shown.map((one) => <span key={one.id} style={{ "--accent-of": one.accent }}>{one.name}</span>)}
      </figcaption>
    </figure>
  )
}

export default function Studio() {
  const [personas, setPersonas] = useState([])
  const [notes, setNotes] = useState([])
  const [base, setBase] = useState(null)
  const [tag, setTag] = useState("")
  const [draft, setDraft] = useState(null)
  const [theirs, setTheirs] = useState(null)
  const [note, setNote] = useState("")
  const [question, setQuestion] = useState("How do we win our first ten customers?")
  const [answers, setAnswers] = useState(null)
  const [busy, setBusy] = useState("")
  const [problem, setProblem] = useState("")
  const [done, setDone] = useState("")
  const clashes = useRef(null)
  const pressed = useRef(null)
  const outcome = useRef(null)
  const begin = (what) => {
    pressed.current = document.activeElement
    setBusy(what)
    setProblem("")
  }
  // What is disabled loses the focus: it goes back, or to the outcome if there is nothing to press again.
  useEffect(() => {
    if (busy || !pressed.current) return
    if (pressed.current !== document.body) {
      for (const next of [pressed, outcome]) if (document.activeElement === document.body) next.current.focus()
    }
    pressed.current = null
  }, [busy])

  const call = async (path, options) => {
    try {
      const answer = await fetch(path, options)
      const content = await answer.json()
      if (!answer.ok && answer.status !== 412) setProblem(content.detail)
      return { ok: answer.ok, status: answer.status, content, tag: answer.headers.get("ETag") }
    } catch {
      setProblem("The server does not answer. Try again in a moment.")
      return { ok: false }
    }
  }
  const read = (id) => call(`/api/v1/studio/personas/${id}`)
  const choose = async (id) => {
    begin("read")
    setDone("")
    setAnswers(null)
    const found = await read(id)
    setBusy("")
    if (!found.ok) return
    setTheirs(null)
    setNote("")
    setBase(found.content)
    setDraft(found.content)
    setTag(found.tag)
    setPersonas((known) => known.map((one) => (one.id === id ? found.content : one)))
  }
  const readAll = async () => {
    const stored = await call("/api/v1/studio/personas")
    if (stored.ok) setNotes(stored.content.problems)
    return stored
  }
  useEffect(() => {
    const load = async () => {
      const stored = await readAll()
      if (!stored.ok) return
      setPersonas(stored.content.personas)
      const work = kept()
      if (!work || !stored.content.personas.some((one) => one.id === work.draft.id)) {
        choose(stored.content.personas[0].id)
        return
      }
      setBase(work.base)
      setDraft(work.draft)
      setTag(work.tag)
      setTheirs(work.theirs)
      setNote(work.note)
      setDone("Your changes of before are here; they are not published.")
    }
    load()
  }, [])

  const change = (field, value) => {
    setDone("")
    setDraft((known) => ({ ...known, [field]: value }))
  }
  const changed = base && draft ? FIELDS.filter((field) => !same(base[field], draft[field])) : []
  useEffect(() => {
    if (draft) keep(changed.length ? { base, draft, tag, theirs, note } : null)
  }, [base, draft, tag, theirs, note])
  useEffect(() => {
    if (theirs && clashes.current) clashes.current.focus()
  }, [theirs && theirs.persona])
  const leave = (id) => {
    if (changed.length && !window.confirm(`Leave the changes to ${base.name} unpublished?`)) return
    choose(id)
  }
  const cleaned = () => ({
    ...draft,
    domains: draft.domains.map((one) => one.trim()).filter(Boolean),
    examples: draft.examples.filter((one) => one.message.trim() || one.reply.trim()),
  })

  const tryIt = async () => {
    begin("try")
    const heard = { current: { text: "" }, draft: { text: "" } }
    setAnswers({ ...heard })
    let reader = null
    try {
      const answer = await fetch("/api/v1/studio/try", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ persona: cleaned(), message: question }),
      })
      if (!answer.ok) {
        setProblem((await answer.json()).detail)
        setAnswers(null)
        return
      }
      reader = answer.body.pipeThrough(new TextDecoderStream()).getReader()
      let rest = ""
      for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
        const events = (rest + piece.value).split("\n\n")
        rest = events.pop()
        for (const event of events) {
          const data = JSON.parse(event.slice(event.indexOf("data: ") + 6))
          if (data.column) heard[data.column.key] = { text: data.column.reply, seconds: data.column.seconds, error: data.column.error }
          else if (data.key) heard[data.key] = { text: heard[data.key].text + data.text }
          else setProblem(data.detail)
        }
        setAnswers({ ...heard })
      }
    } catch {
      setProblem("The server does not answer. Try again in a moment.")
      if (reader) reader.cancel().catch(() => {})
    } finally {
      setBusy("")
    }
  }

  const publish = async () => {
    begin("publish")
    const sent = await call(`/api/v1/studio/personas/${draft.id}`, {
      method: "PUT",
      headers: { "Content-Type": "application/json", "If-Match": tag },
      body: JSON.stringify({ persona: cleaned(), note }),
    })
    if (sent.ok) {
      setBase(sent.content)
      setDraft(sent.content)
      setTag(sent.tag)
      setNote("")
      setTheirs(null)
      setPersonas((known) => known.map((one) => (one.id === sent.content.id ? sent.content : one)))
      setDone(`${sent.content.name} is published. ${await whenItServes(sent.content.id)}`)
    } else if (sent.status === 412) {
      const now = await read(draft.id)
      if (now.ok) merge(now)
    }
    setBusy("")
  }
  // The store has it, and still the gate may hold it back; the notes then say why.
  const whenItServes = async (id) => {
    const stored = await readAll()
    if (!stored.ok) return ""
    return stored.content.waiting.includes(id) ? "It serves once it has passed the lab's examination." : "The next answers follow."
  }
  // Somebody else published meanwhile: what only one of us changed is taken, the rest is asked.
  const merge = (now) => {
    const [was, mine, stored] = [base, draft, now.content].map(parted)
    const parts = { ...stored }
    const disputed = []
    for (const part of new Set([...Object.keys(was), ...Object.keys(mine)])) {
      if (same(was[part], mine[part]) || same(mine[part], stored[part])) continue
      parts[part] = mine[part]
      if (!same(was[part], stored[part])) disputed.push(part)
    }
    setTheirs({ persona: now.content, clashes: disputed, mine: draft })
    setBase(now.content)
    setTag(now.tag)
    setDraft(joined(now.content, parts))
  }
  const settled = (part) => setTheirs((known) => ({ ...known, clashes: known.clashes.filter((one) => one !== part) }))
  const takeTheirs = (part) => {
    setDraft((known) => joined(known, { ...parted(known), [part]: parted(theirs.persona)[part] }))
    settled(part)
  }
  const undo = () => {
    outcome.current.focus()
    setDraft(base)
    setTheirs(null)
    setProblem("")
    setDone("")
  }

  if (!draft) return <section className="orchestra-panel" aria-label="Studio">{problem ? <p role="alert" className="orchestra-failed">{problem}</p> : <p role="status">Loading…</p>}</section>
  const label = (field) => (WORDS[field] || [NAMES[field]])[0] || field.replace(/^number /, "").replace(/^example ([^]*)$/, "Answer to “$1”")
  return (
    <section className="orchestra-panel orchestra-studio" aria-label="Studio" style={{ "--accent-of": draft.accent }}>
      <fieldset disabled={busy === "publish" || busy === "read"}>
        <div className="orchestra-choices" role="group" aria-label="Who">
          {personas.map((one) => (
            <Button key={one.id} size="sm" variant={one.id === draft.id ? "secondary" : "ghost"} aria-pressed={one.id === draft.id} disabled={Boolean(busy)} onClick={() => leave(one.id)}>
              {one.name}
            </Button>
          ))}
        </div>
        {notes.map((one) => <p key={one} role="status"><small>{one}</small></p>)}
        <Radar personas={personas} draft={draft} />
        <fieldset>
          <legend>Numbers</legend>
          {Object.entries(TRAITS).map(([name, [low, high]]) => (
            <div key={name} className="orchestra-slider">
              <Label htmlFor={`studio-${name}`}>{name}</Label>
              <output htmlFor={`studio-${name}`}>{Number(draft.traits[name]).toFixed(2)}</output>
              <input
                id={`studio-${name}`}
                type="range"
                min="0"
                max="1"
                step="0.05"
                value={draft.traits[name]}
                aria-valuetext={`${draft.traits[name]}, from ${low} to ${high}`}
                onChange={(event) => change("traits", { ...draft.traits, [name]: Number(event.target.value) })}
              />
              <small>{low}</small><small>{high}</small>
            </div>
          ))}
        </fieldset>
        {Object.entries(WORDS).map(([field, [title, rows]]) => (
          <div key={field} className="orchestra-field">
            <Label htmlFor={`studio-${field}`}>{title}</Label>
            {rows === 1 ? (
              <Input id={`studio-${field}`} value={draft[field]} onChange={(event) => change(field, event.target.value)} />
            ) : (
              <Textarea id={`studio-${field}`} rows={rows} value={draft[field]} onChange={(event) => change(field, event.target.value)} />
            )}
          </div>
        ))}
        <div className="orchestra-field">
          <Label htmlFor="studio-domains">Subjects, separated by commas</Label>
          <Input id="studio-domains" value={draft.domains.join(",")} onChange={(event) => change("domains", event.target.value.split(","))} />
        </div>
        <details>
          <summary>Examples ({draft.examples.length})</summary>
          {draft.examples.map((one, place) => (
            <div key={place} className="orchestra-field">
              <Label htmlFor={`studio-asks-${place}`}>Somebody asks, {place + 1}</Label>
              <Textarea
                id={`studio-asks-${place}`}
                rows={2}
                value={one.message}
                onChange={(event) => change("examples", draft.examples.map((other, at) => (at === place ? { ...other, message: event.target.value } : other)))}
              />
              <Label htmlFor={`studio-says-${place}`}>{draft.name} answers, {place + 1}</Label>
              <Textarea
                id={`studio-says-${place}`}
                rows={3}
                value={one.reply}
                onChange={(event) => change("examples", draft.examples.map((other, at) => (at === place ? { ...other, reply: event.target.value } : other)))}
              />
              <Button size="sm" variant="ghost" onClick={() => change("examples", draft.examples.filter((_, at) => at !== place))}>
                Remove example {place + 1}
              </Button>
            </div>
          ))}
          <Button size="sm" variant="outline" onClick={() => change("examples", [...draft.examples, { message: "", reply: "" }])}>Add an example</Button>
        </details>
        <div className="orchestra-field">
          <Label htmlFor="studio-question">Try it: a question for {draft.name} as now, and as in your draft</Label>
          <Textarea id="studio-question" rows={2} value={question} onChange={(event) => setQuestion(event.target.value)} />
          <div className="orchestra-choices">
            <Button size="sm" variant="outline" disabled={Boolean(busy) || !question.trim()} onClick={tryIt}>
              {busy === "try" ? "Answering …" : "Try it"}
            </Button>
          </div>
          {answers && (
            <div className="orchestra-tried" aria-live="polite" aria-busy={busy === "try"}>
              {[["current", "As now"], ["draft", "Your draft"]].map(([key, title]) => (
                <article key={key}>
                  <b>{title}</b>
                  {answers[key].error ? <p role="alert" className="orchestra-failed">{answers[key].error}</p> : <p>{answers[key].text || "…"}</p>}
                </article>
              ))}
            </div>
          )}
        </div>
        {theirs && (
          <div role="alert" className="orchestra-merge" ref={clashes} tabIndex={-1}>
            <p>
              <b>Somebody else changed {theirs.persona.name} meanwhile.</b> What only one of you touched is in the draft.
              {theirs.clashes.length ? " For the rest, choose:" : " Look it over and publish again."}
            </p>
            {theirs.clashes.map((part) => (
              <div key={part} role="group" aria-label={`Which ${label(part)}`}>
                <b>{label(part)}</b>
                <p><small>Theirs: {told(parted(theirs.persona)[part])}</small></p>
                <p><small>Yours: {told(parted(theirs.mine)[part])}</small></p>
                <div className="orchestra-choices">
                  <Button size="sm" variant="outline" onClick={() => takeTheirs(part)}>Take theirs</Button>
                  <Button size="sm" variant="outline" onClick={() => settled(part)}>Keep yours</Button>
                </div>
              </div>
            ))}
          </div>
        )}
        <div className="orchestra-publish" role="group" aria-label="Publish" ref={outcome} tabIndex={-1}>
          {problem && <p role="alert" className="orchestra-failed">{problem}</p>}
          {done && <p role="status">{done}</p>}
          {changed.length > 0 && (
            <div className="orchestra-field">
              <Label htmlFor="studio-note">What changed, for the history</Label>
              <Input id="studio-note" value={note} maxLength={200} onChange={(event) => setNote(event.target.value)} />
            </div>
          )}
          <div className="orchestra-choices">
            <Button size="sm" disabled={Boolean(busy) || !changed.length || Boolean(theirs && theirs.clashes.length)} onClick={publish}>
              {busy === "publish" ? "Publishing …" : `Publish ${draft.name}`}
            </Button>
            <Button size="sm" variant="ghost" disabled={Boolean(busy) || !changed.length} onClick={undo}>Undo all</Button>
            {changed.length > 0 && <small>Changed: {changed.map(label).join(", ").toLowerCase()}</small>}
          </div>
        </div>
      </fieldset>
    </section>
  )
}
