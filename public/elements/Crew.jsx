// How a crew's task stands, with a way to call it off.
import { useEffect, useState } from "react"
import { toast } from "sonner"
import { Button } from "@/components/ui/button"

const LOOK_SECONDS = 2
const over = (task) => ["completed", "failed", "cancelled"].includes(task.status)

export default function Crew() {
  const [task, setTask] = useState(null)
  const [gone, setGone] = useState(false)
  const address = `/api/v1/tasks/${props.task}`

  const load = async () => {
    const answer = await fetch(address)
    if (answer.ok) setTask(await answer.json())
    else if (answer.status === 404) setGone(true)
  }
  useEffect(() => {
    load()
  }, [])
  useEffect(() => {
    if (gone || (task && over(task))) return
    const again = setInterval(load, LOOK_SECONDS * 1000)
    return () => clearInterval(again)
  }, [gone, task && over(task)])

  const cancel = async () => {
    const answer = await fetch(address, { method: "DELETE" })
    const content = await answer.json()
    if (answer.ok) setTask(content)
    else toast.error(content.detail)
  }
  if (gone) return <p className="orchestra-crew orchestra-measured">This task is older than tasks are kept.</p>
  if (!task || over(task)) return <span className="orchestra-measured" />
  return (
    <div className="orchestra-crew orchestra-measured" data-testid="crew">
      <p>You can go on here meanwhile.</p>
      <Button size="sm" variant="outline" onClick={cancel}>Call it off</Button>
      <Button size="sm" variant="ghost" onClick={() => callAction({ name: "show_tasks", payload: {} })}>All tasks</Button>
    </div>
  )
}
