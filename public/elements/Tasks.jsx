// All tasks of the person at the screen: what runs, what is done; open, cancel.
import { useEffect, useState } from "react"
import { toast } from "sonner"
import { Button } from "@/components/ui/button"

const LOOK_SECONDS = 3
const VIEWS = [
  { name: "All", statuses: [] },
  { name: "At work", statuses: ["pending", "running", "waiting"] },
  { name: "Over", statuses: ["completed", "failed", "cancelled"] },
]
const WORDS = {
  pending: "waiting for its turn",
  running: "at work",
  waiting: "waiting for you",
  completed: "done",
  failed: "failed",
  cancelled: "called off",
}
const moment = (when) =>
  new Date(when).toLocaleString("en-GB", { day: "numeric", month: "long", hour: "2-digit", minute: "2-digit" })

export default function Tasks() {
  const [view, setView] = useState(VIEWS[0])
  const [tasks, setTasks] = useState(null)
  const [personas, setPersonas] = useState([])
  const [shown, setShown] = useState(null)

  const call = async (path, options) => {
    const answer = await fetch(path, options)
    const content = await answer.json()
    if (!answer.ok) toast.error(content.detail)
    return answer.ok ? content : null
  }
  const load = async () => {
    const query = view.statuses.map((one) => `status=${one}`).join("&")
    const found = await call(`/api/v1/tasks?limit=30&${query}`)
    if (found) setTasks(found)
  }
  useEffect(() => {
    call("/api/v1/personas").then((found) => found && setPersonas(found))
  }, [])
  useEffect(() => {
    load()
    const again = setInterval(load, LOOK_SECONDS * 1000)
    return () => clearInterval(again)
  }, [view])

  const cancel = async (one) => {
    if (await call(`/api/v1/tasks/${one.task_id}`, { method: "DELETE" })) load()
  }
  const name = (one) => (personas.find((who) => who.id === one.orchestrator) || { name: one.orchestrator }).name
  const isOver = (one) => VIEWS[2].statuses.includes(one.status)
  const hasPage = (one) => one.conversation && /^[0-9a-f-]{36}$/.test(one.conversation)

  return (
    <section className="orchestra-panel" aria-label="Tasks">
      <div className="orchestra-choices" role="group" aria-label="Which tasks">
        {VIEWS.map((one) => (
          <Button
            key={one.name}
            size="sm"
            variant={view.name === one.name ? "secondary" : "ghost"}
            aria-pressed={view.name === one.name}
            onClick={() => setView(one)}
          >
            {one.name}
          </Button>
        ))}
      </div>
      {tasks === null && <p role="status">Loading…</p>}
      {tasks && tasks.length === 0 && (
        <p role="status">
          {view.statuses.length ? "None." : "Nothing yet. Choose Crew in the composer, or hand an answer to a crew."}
        </p>
      )}
      <ul className="orchestra-memories">
        {(tasks || []).map((one) => (
          <li key={one.task_id} data-testid="task">
            <div>
              <time dateTime={one.created_at}>
                {moment(one.created_at)} · {name(one)} · {WORDS[one.status]}
              </time>
              <p><b>{one.description}</b></p>
              {!isOver(one) && one.steps.length > 0 && <p>{one.steps[one.steps.length - 1].title}</p>}
              {shown === one.task_id && <p className="orchestra-result">{one.result || one.error || one.plan}</p>}
            </div>
            <span>
              {hasPage(one) ? (
                <Button size="sm" variant="ghost" asChild>
                  <a href={`/thread/${one.conversation}`} aria-label={`Open: ${one.description}`}>Open</a>
                </Button>
              ) : (
                <Button
                  size="sm"
                  variant="ghost"
                  aria-expanded={shown === one.task_id}
                  aria-label={`Show: ${one.description}`}
                  onClick={() => setShown(shown === one.task_id ? null : one.task_id)}
                >
                  {shown === one.task_id ? "Hide" : "Show"}
                </Button>
              )}
              {!isOver(one) && (
                <Button size="sm" variant="ghost" aria-label={`Cancel: ${one.description}`} onClick={() => cancel(one)}>
                  Cancel
                </Button>
              )}
            </span>
          </li>
        ))}
      </ul>
    </section>
  )
}
