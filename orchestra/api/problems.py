"""What each error means on HTTP: the one table of status codes."""

from __future__ import annotations

from http import HTTPStatus

from fastapi.responses import JSONResponse

from orchestra.errors import (
    FileRefusedError,
    LabClosedError,
    LabNotFoundError,
    LLMRefusedError,
    LLMReplyError,
    LLMUnavailableError,
    MemoryNotFoundError,
    MessageError,
    OrchestraError,
    PersonaChangedError,
    PersonaConflictError,
    PersonaInvalidError,
    PersonaNotFoundError,
    PersonaStoreError,
    SignInError,
    StorageError,
    TaskInvalidError,
    TaskNotAskingError,
    TaskNotFoundError,
)

STATUS_OF: dict[type[OrchestraError], HTTPStatus] = {
    MessageError: HTTPStatus.UNPROCESSABLE_ENTITY,
    SignInError: HTTPStatus.UNAUTHORIZED,
    PersonaNotFoundError: HTTPStatus.NOT_FOUND,
    PersonaInvalidError: HTTPStatus.UNPROCESSABLE_ENTITY,
    PersonaConflictError: HTTPStatus.CONFLICT,
    PersonaChangedError: HTTPStatus.PRECONDITION_FAILED,
    PersonaStoreError: HTTPStatus.SERVICE_UNAVAILABLE,
    LLMUnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
    LLMRefusedError: HTTPStatus.BAD_GATEWAY,
    LLMReplyError: HTTPStatus.BAD_GATEWAY,
    StorageError: HTTPStatus.SERVICE_UNAVAILABLE,
    MemoryNotFoundError: HTTPStatus.NOT_FOUND,
    LabNotFoundError: HTTPStatus.NOT_FOUND,
    LabClosedError: HTTPStatus.CONFLICT,
    FileRefusedError: HTTPStatus.UNPROCESSABLE_ENTITY,
    TaskNotAskingError: HTTPStatus.CONFLICT,
    TaskInvalidError: HTTPStatus.UNPROCESSABLE_ENTITY,
    TaskNotFoundError: HTTPStatus.NOT_FOUND,
}
"""The nearest ancestor counts, 500 for none."""


def problem(status: HTTPStatus, detail: str, **extra: object) -> JSONResponse:
    """An error as RFC 9457 says: application/problem+json."""
    content = {"title": status.phrase, "status": status.value, "detail": detail, **extra}
    return JSONResponse(content, status.value, media_type="application/problem+json")


def status_of(error: OrchestraError) -> HTTPStatus:
    """The HTTP status of an error."""
    known = (STATUS_OF[kind] for kind in type(error).__mro__ if kind in STATUS_OF)
    return next(known, HTTPStatus.INTERNAL_SERVER_ERROR)
