// What a crew wants to know before it goes on: a plan to approve, edit or refuse, or a tool's request.
import { useEffect, useState } from "react"
import { toast } from "sonner"
import { Button } from "@/components/ui/button"
import { Textarea } from "@/components/ui/textarea"

const LOOK_SECONDS = 2

export default function Question() {
  const [task, setTask] = useState(null)
  const [plan, setPlan] = useState(null)
  const [sending, setSending] = useState(false)
  const [gone, setGone] = useState(false)
  const address = `/api/v1/tasks/${props.task}`

  const load = async () => {
    const answer = await fetch(address)
    if (answer.ok) setTask(await answer.json())
    else if (answer.status === 404) setGone(true)
  }
  const open = task && task.question && task.question.id === props.question
  useEffect(() => {
    load()
  }, [])
  useEffect(() => {
    if (gone || (task && !open)) return
    const again = setInterval(load, LOOK_SECONDS * 1000)
    return () => clearInterval(again)
  }, [gone, task && !open])

  const say = async (approved) => {
    setSending(true)
    const changed = plan !== null && plan.trim() !== task.question.text.trim()
    try {
      const answer = await fetch(`${address}/answer`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ question_id: props.question, approved, text: approved && changed ? plan : "" }),
      })
      const content = await answer.json()
      if (answer.ok) setTask(content)
      else toast.error(content.detail)
    } catch {
      toast.error("The server does not answer. Try again in a moment.")
    } finally {
      setSending(false)
    }
  }
  if (gone) return <p className="orchestra-crew orchestra-measured">This task is older than tasks are kept.</p>
  if (!task) return <span className="orchestra-measured" />
  if (!open) {
    const said = task.answers.find((one) => one.question_id === props.question)
    const told = !said
      ? "It is over without an answer."
      : !said.approved
        ? "You said no."
        : said.text
          ? "You approved it with your changes."
          : "You approved it."
    return <p role="status" className="orchestra-crew orchestra-measured">{told}</p>
  }
  const aboutPlan = task.question.about === "plan"
  const edit = () => setPlan(plan === null ? task.question.text : null)
  return (
    <section className="orchestra-question orchestra-measured" aria-label="A question of the crew" data-testid="question">
      {plan !== null && (
        <Textarea
          aria-label="The plan, as you want it"
          rows={Math.min(18, plan.split("\n").length + 2)}
          value={plan}
          onChange={(event) => setPlan(event.target.value)}
        />
      )}
      <div className="orchestra-choices">
        <Button size="sm" disabled={sending || (plan !== null && !plan.trim())} onClick={() => say(true)}>
          {aboutPlan ? "Start the work" : "Allow it"}
        </Button>
        {aboutPlan && (
          <Button size="sm" variant="outline" disabled={sending} aria-expanded={plan !== null} onClick={edit}>
            {plan === null ? "Edit the plan" : "Leave it as it was"}
          </Button>
        )}
        <Button size="sm" variant="outline" disabled={sending} onClick={() => say(false)}>
          {aboutPlan ? "Refuse the plan" : "Do not"}
        </Button>
      </div>
    </section>
  )
}
