"""Files of a conversation: attached for its crews, and for nobody else's."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Query, Request, Response
from pydantic import BaseModel

from orchestra.api.caller import CallerOf, House
from orchestra.types.task import File

router = APIRouter(prefix="/api/v1/conversations/{conversation}/files", tags=["tasks"])

Conversation = Annotated[str, Path(max_length=200)]
User = Annotated[str | None, Query(description="Whose; ignored when signed in.")]


class Attached(BaseModel):
    """A file of a conversation."""

    name: str
    content_type: str
    size: int


@router.put("/{name}", status_code=HTTPStatus.CREATED)
async def attach(
    conversation: Conversation,
    name: str,
    request: Request,
    house: House,
    caller: CallerOf,
    user: User = None,
) -> Attached:
    """Attach the request's body; a file of the same name is replaced."""
    content_type = request.headers.get("content-type", "application/octet-stream")[:100]
    file = File(name, content_type, await request.body())
    await house.attachments.put(caller.acting_for(user), conversation, file)
    return Attached(name=file.name, content_type=content_type, size=len(file.content))


@router.get("")
async def list_files(
    conversation: Conversation, house: House, caller: CallerOf, user: User = None
) -> list[Attached]:
    """What is attached."""
    files = await house.attachments.listed(caller.acting_for(user), conversation)
    return [Attached(name=name, content_type=kind, size=size) for name, kind, size in files]


@router.delete("/{name}", status_code=HTTPStatus.NO_CONTENT, response_class=Response)
async def detach(
    conversation: Conversation, name: str, house: House, caller: CallerOf, user: User = None
) -> None:
    """Remove a file.

    Raises:
        HTTPException: there is none of this name.
    """
    if not await house.attachments.remove(caller.acting_for(user), conversation, name):
        detail = f"No file '{name}' is attached to this conversation."
        raise HTTPException(HTTPStatus.NOT_FOUND, detail)
