// The decisions that entered an answer, each with a way to pin or forget it.
import { useEffect, useState } from "react"
import { toast } from "sonner"
import { Button } from "@/components/ui/button"

const day = (when) =>
  new Date(when).toLocaleDateString("en-GB", { day: "numeric", month: "long", year: "numeric" })

export default function Recalled() {
  const [memories, setMemories] = useState([])
  const [gone, setGone] = useState([])
  const [pinned, setPinned] = useState([])

  useEffect(() => {
    const load = async (id) => {
      const answer = await fetch(`/api/v1/memories/${id}`)
      return answer.ok ? answer.json() : { id, gone: true }
    }
    Promise.all(props.ids.map(load)).then((found) => {
      setMemories(found)
      setGone(found.filter((one) => one.gone).map((one) => one.id))
      setPinned(found.filter((one) => one.pinned).map((one) => one.id))
    })
  }, [])

  const change = async (id, method, body) => {
    const answer = await fetch(`/api/v1/memories/${id}`, {
      method,
      headers: { "Content-Type": "application/json" },
      body: body && JSON.stringify(body),
    })
    if (!answer.ok) {
      const problem = await answer.json()
      toast.error(problem.detail)
    }
    return answer.ok
  }
  const forget = async (id) => (await change(id, "DELETE")) && setGone([...gone, id])
  const pin = async (id) => {
    const wanted = !pinned.includes(id)
    if (await change(id, "PATCH", { pinned: wanted }))
      setPinned(wanted ? [...pinned, id] : pinned.filter((one) => one !== id))
  }

  return (
    <ul className="orchestra-memories">
      {memories.map((one) => (
        <li key={one.id} data-testid="recalled">
          <div>
            {one.when && <time dateTime={one.when}>{day(one.when)}</time>}
            {gone.includes(one.id) ? (
              <p>Forgotten.</p>
            ) : (
              <>
                <p><b>{one.task}</b></p>
                <p>{one.decision}</p>
              </>
            )}
          </div>
          {!gone.includes(one.id) && (
            <span>
              <Button size="sm" variant="ghost" aria-pressed={pinned.includes(one.id)} onClick={() => pin(one.id)}>
                {pinned.includes(one.id) ? "Unpin" : "Pin"}
              </Button>
              <Button size="sm" variant="ghost" onClick={() => forget(one.id)} aria-label={`Forget: ${one.task}`}>
                Forget
              </Button>
            </span>
          )}
        </li>
      ))}
    </ul>
  )
}
