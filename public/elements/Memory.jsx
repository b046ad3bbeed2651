// All that the personas remember about the person at the screen: search, pin, forget.
import { useEffect, useState } from "react"
import { toast } from "sonner"
import { Button } from "@/components/ui/button"
import { Input } from "@/components/ui/input"

const day = (when) =>
  new Date(when).toLocaleDateString("en-GB", { day: "numeric", month: "long", year: "numeric" })

export default function Memory() {
  const [search, setSearch] = useState(props.search || "")
  const [persona, setPersona] = useState("")
  const [personas, setPersonas] = useState([])
  const [memories, setMemories] = useState(null)

  const call = async (path, options) => {
    const answer = await fetch(path, options)
    const content = await answer.json()
    if (!answer.ok) toast.error(content.detail)
    return answer.ok ? content : null
  }
  const load = async () => {
    const query = new URLSearchParams({ ...(search && { q: search }), ...(persona && { persona }) })
    const found = await call(`/api/v1/memories?${query}`)
    if (found) setMemories(found)
  }
  useEffect(() => {
    call("/api/v1/personas").then((found) => found && setPersonas(found))
  }, [])
  useEffect(() => {
    const soon = setTimeout(load, 250)
    return () => clearTimeout(soon)
  }, [search, persona])

  const forget = async (one) => {
    if (await call(`/api/v1/memories/${one.id}`, { method: "DELETE" })) load()
  }
  const pin = async (one) => {
    const changed = await call(`/api/v1/memories/${one.id}`, {
      method: "PATCH",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ pinned: !one.pinned }),
    })
    if (changed) load()
  }
  const forgetAll = async () => {
    const whose = persona ? personas.find((one) => one.id === persona).name : "everybody"
    if (!window.confirm(`Forget all that ${whose} remembers about you? This cannot be undone.`)) return
    const query = persona ? `?persona=${persona}` : ""
    if (await call(`/api/v1/memories${query}`, { method: "DELETE" })) load()
  }

  return (
    <section className="orchestra-panel" aria-label="Memory">
      <Input
        type="search"
        aria-label="Search memories"
        placeholder="Search memories"
        value={search}
        onChange={(event) => setSearch(event.target.value)}
      />
      <div className="orchestra-choices" role="group" aria-label="Whose memory">
        {[{ id: "", name: "All" }, ...personas].map((one) => (
          <Button
            key={one.id}
            size="sm"
            variant={persona === one.id ? "secondary" : "ghost"}
            aria-pressed={persona === one.id}
            onClick={() => setPersona(one.id)}
          >
            {one.name}
          </Button>
        ))}
      </div>
      {memories === null && <p role="status">Loading…</p>}
      {memories && memories.length === 0 && (
        <p role="status">
          {search ? "No memory fits these words." : "Nothing yet. What is decided in a chat is kept here."}
        </p>
      )}
      <ul className="orchestra-memories">
        {(memories || []).map((one) => (
          <li key={one.id} data-testid="memory">
            <div>
              <time dateTime={one.when}>
                {day(one.when)} · {(personas.find((who) => who.id === one.persona) || { name: one.persona }).name}
                {one.pinned ? " · pinned" : ""}
                {one.rejected ? " · rejected, no longer recalled" : ""}
              </time>
              <p><b>{one.task}</b></p>
              <p>{one.decision}</p>
            </div>
            <span>
              <Button size="sm" variant="ghost" aria-pressed={one.pinned} onClick={() => pin(one)}>
                {one.pinned ? "Unpin" : "Pin"}
              </Button>
              <Button size="sm" variant="ghost" onClick={() => forget(one)} aria-label={`Forget: ${one.task}`}>
                Forget
              </Button>
            </span>
          </li>
        ))}
      </ul>
      {memories && memories.length > 0 && (
        <Button size="sm" variant="outline" onClick={forgetAll}>Forget all</Button>
      )}
    </section>
  )
}
