"""What the personas remember about the caller: list, search, pin, forget."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel

from orchestra.api.caller import CallerOf, House
from orchestra.types.conversation import Memory

router = APIRouter(prefix="/api/v1/memories", tags=["memories"])


class Pin(BaseModel):
    """Whether a memory is kept for good."""

    pinned: bool


@router.get("")
async def list_memories(  # one parameter per filter
    house: House,
    caller: CallerOf,
    persona: str | None = None,
    user: str | None = None,
    q: Annotated[
        str | None, Query(description="Search for this instead of listing the newest.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> list[dict[str, Any]]:
    """The newest memories, or the ones that fit `q` best."""
    person, persona = caller.acting_for(user), persona or None
    if not q or not q.strip():
        return [listed(one) for one in await house.memory.newest(person, persona, limit=limit)]
    personas = [persona] if persona else list((await house.conversation.personas()).ids)
    found = [
        memory for one in personas for memory in await house.memory.search(person, one, q, limit)
    ]
    best = sorted(found, key=lambda memory: -(memory.score or 0))[:limit]
    return [listed(one) for one in best]


@router.get("/{memory_id}")
async def show_memory(
    memory_id: str, house: House, caller: CallerOf, user: str | None = None
) -> dict[str, Any]:
    """One memory of the caller."""
    return listed(await house.memory.get(caller.acting_for(user), memory_id))


@router.patch("/{memory_id}")
async def pin_memory(
    memory_id: str, pin: Pin, house: House, caller: CallerOf, user: str | None = None
) -> dict[str, Any]:
    """Pin a memory, or let it go."""
    await house.memory.pin(caller.acting_for(user), memory_id, pinned=pin.pinned)
    return {"id": memory_id, "pinned": pin.pinned}


@router.delete("/{memory_id}")
async def forget_memory(
    memory_id: str, house: House, caller: CallerOf, user: str | None = None
) -> dict[str, int]:
    """Forget one memory for good."""
    return {"forgotten": await house.conversation.forget(caller.acting_for(user), ids=[memory_id])}


@router.delete("")
async def forget_memories(
    house: House, caller: CallerOf, persona: str | None = None, user: str | None = None
) -> dict[str, int]:
    """Forget all that the personas, or one of them, remember about the caller."""
    return {"forgotten": await house.conversation.forget(caller.acting_for(user), persona)}


def listed(memory: Memory) -> dict[str, Any]:
    """A memory as people script against it."""
    return {
        "id": memory.id,
        "persona": memory.persona_id,
        "user": memory.user_id,
        "task": memory.task,
        "decision": memory.decision,
        "when": memory.when.isoformat(),
        "pinned": memory.pinned,
        "times": memory.times,
        "rejected": memory.rejected,
        **({"score": memory.score} if memory.score is not None else {}),
    }
