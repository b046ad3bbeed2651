// The blind test: an answer without names; whose is it? The truth comes after the guess alone.
import { useEffect, useRef, useState } from "react"
import { toast } from "sonner"
import { Button } from "@/components/ui/button"

const SESSION = 10
const STALE = [404, 409] // guessed in another tab, or no more there: this answer is over
const percent = (share) => `${Math.round(100 * share)} %`

export default function Blind() {
  const personas = props.personas
  const [trial, setTrial] = useState(null)
  const [outcome, setOutcome] = useState(null)
  const [score, setScore] = useState(null)
  const [problem, setProblem] = useState("")
  const [busy, setBusy] = useState(false)
  const next = useRef(null)
  const answer = useRef(null)
  const further = useRef(false)
  const name = (id) => (personas.find((one) => one.id === id) || { name: id }).name

  const call = async (path, body) => {
    try {
      const options = body === undefined ? {} : {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body),
      }
      const found = await fetch(`/api/v1/lab/${path}`, options)
      const content = await found.json()
      return found.ok ? content : { problem: content.detail, status: found.status }
    } catch {
      return { problem: "The server does not answer. Try again in a moment." }
    }
  }
  const load = async () => {
    setBusy(true)
    setProblem("")
    setOutcome(null)
    setTrial(null)
    const found = await call("blind", {})
    if (found.problem) setProblem(found.problem)
    else setTrial(found)
    setBusy(false)
  }
  const count = async () => {
    const found = await call("blind/score")
    if (!found.problem) setScore(found)
  }
  useEffect(() => {
    load()
    count()
  }, [])
  // The button that was pressed is gone in the meantime; a keyboard goes on where the page does.
  useEffect(() => {
    if (outcome && next.current) next.current.focus()
  }, [outcome])
  useEffect(() => {
    if (further.current && trial && answer.current) answer.current.focus()
  }, [trial])
  const goOn = () => {
    further.current = true
    return load()
  }

  const guess = async (persona) => {
    setBusy(true)
    const found = await call(`blind/${trial.id}/guess`, { persona })
    if (found.problem) {
      toast.error(found.problem)
      if (STALE.includes(found.status)) {
        count()
        await goOn()
      }
    } else {
      await count()
      setOutcome({ ...found, guess: persona })
    }
    setBusy(false)
  }

  return (
    <section className="orchestra-blind orchestra-measured" aria-label="Blind test">
      {problem && (
        <p role="alert" className="orchestra-failed">
          {problem} <Button size="sm" variant="outline" onClick={load}>Try again</Button>
        </p>
      )}
      {!trial && !problem && <p role="status">Somebody is answering …</p>}
      {trial && (
        <>
          <div ref={answer} tabIndex={-1}>
            <p className="orchestra-crew">{trial.question}</p>
            <blockquote>{trial.text}</blockquote>
          </div>
          <div className="orchestra-choices" role="group" aria-label="Who wrote this?">
            {personas.map((one) => (
              <Button
                key={one.id}
                variant="outline"
                disabled={busy || outcome !== null}
                aria-pressed={outcome ? outcome.guess === one.id : false}
                style={{ borderColor: one.accent }}
                onClick={() => guess(one.id)}
              >
                {one.name}
              </Button>
            ))}
          </div>
        </>
      )}
      {outcome && (
        <p role="status">
          {outcome.right ? `Right: ${name(outcome.truth)}. ` : `No, it was ${name(outcome.truth)}. `}
          {score && score.guesses > 0 && score.guesses % SESSION === 0 && `That was a round of ${SESSION}. `}
          <Button ref={next} size="sm" variant="secondary" onClick={goOn}>Next</Button>
        </p>
      )}
      {score && score.guesses > 0 && (
        <details>
          <summary>
            {score.right} of {score.guesses} right, {percent(score.share.value)} ({percent(score.share.low)} to{" "}
            {percent(score.share.high)}); guessing gives {percent(score.chance)}
          </summary>
          <table>
            <thead>
              <tr>
                <th scope="col">Written by</th>
                {personas.map((one) => <th key={one.id} scope="col">taken for {one.name}</th>)}
              </tr>
            </thead>
            <tbody>
              {personas.map((one) => (
                <tr key={one.id}>
                  <th scope="row">{one.name}</th>
                  {personas.map((other) => <td key={other.id}>{(score.confusion[one.id] || {})[other.id] || 0}</td>)}
                </tr>
              ))}
            </tbody>
          </table>
          <a href="/api/v1/lab/blind/export" download="blind-test.csv">All guesses as CSV</a>
        </details>
      )}
    </section>
  )
}
