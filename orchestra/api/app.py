"""The FastAPI application: one process, one port, one lifespan that opens and closes everything."""

from __future__ import annotations

import logging
import math
import uuid
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles
from swagger_ui_bundle import swagger_ui_path

from orchestra import assembly, screen
from orchestra.api import (
    avatars,
    chat,
    feedback,
    files,
    health,
    lab,
    memories,
    notion_webhook,
    openai_wire,
    personas,
    studio,
    tasks,
)
from orchestra.api.problems import problem, status_of
from orchestra.api.security import HostAndOriginGuard, PageGuard, RequestSizeGuard
from orchestra.crews.files import MOST_BYTES
from orchestra.environment import prepare_environment
from orchestra.errors import (
    OrchestraError,
    PersonaInvalidError,
    PersonaStoreError,
    SettingsError,
    TaskInvalidError,
)
from orchestra.settings import ROOT, Settings, read_settings

log = logging.getLogger(__name__)


def create_app(settings: Settings) -> FastAPI:
    """Build the application; nothing is opened before its lifespan starts.

    Raises:
        SettingsError: others could reach the server and nobody has to sign in.
    """
    prepare_environment(settings)
    _check_door(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with assembly.running_as(settings) as orchestra:
            app.state.orchestra = orchestra
            yield
            await screen.close()

    app = FastAPI(
        title="Orchestra",
        description="A chat in which three personas answer.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    _furnish(app, settings)
    screen.mount(app, ROOT / "app.py")
    return app


def furnish_chainlit() -> None:
    """Give Chainlit's own application, under `chainlit run app.py`, all that ours has.

    Raises:
        SettingsError: others could reach the server and nobody has to sign in.
    """
    alone = screen.serving_alone()
    if alone is None:
        return
    app, host = alone
    settings = read_settings().model_copy(update={"host": host})
    _check_door(settings)
    theirs = list(app.router.routes)
    _furnish(app, settings)
    ours = [route for route in app.router.routes if route not in theirs]
    app.router.routes[:] = [*ours, *theirs]  # theirs end with one that takes every address
    stack = AsyncExitStack()

    async def start() -> None:
        app.state.orchestra = await stack.enter_async_context(assembly.running_as(settings))

    async def stop() -> None:
        await screen.close()
        await stack.aclose()

    screen.on_start_and_stop(start, stop)


def _furnish(app: FastAPI, settings: Settings) -> None:
    """Add every route but the screen, and what every request has to pass."""
    for router in (
        chat.router,
        openai_wire.router,
        personas.router,
        avatars.router,
        notion_webhook.router,
        tasks.router,
        files.router,
        lab.router,
        memories.router,
        feedback.router,
        studio.router,
        health.router,
    ):
        app.include_router(router)
    app.state.changes = deque()
    _add_docs(app)
    _add_error_pages(app)
    _add_dead_end(app)
    # Outermost last: the host is checked before anything else is read.
    app.add_middleware(
        RequestSizeGuard,
        limit_bytes=4 * settings.message_limit + 1_000_000,
        file_limit_bytes=MOST_BYTES + 100_000,
    )
    app.add_middleware(PageGuard)
    app.add_middleware(HostAndOriginGuard, host_names=settings.host_names)


def _check_door(settings: Settings) -> None:
    """Refuse to open a door through which others could come in unasked.

    Raises:
        SettingsError: they could.
    """
    if settings.is_loopback:
        return
    missing = []
    if not screen.sign_in_is_on():
        missing.append("sign-in ('orchestra users add NAME', or Chainlit's OAUTH_… variables)")
    if settings.admin_token is None:
        missing.append("ORCHESTRA_ADMIN_TOKEN")
    if missing:
        message = (
            f"ORCHESTRA_HOST is '{settings.host}', which others can reach. First set up "
            f"{' and '.join(missing)}, or listen on 127.0.0.1."
        )
        raise SettingsError(message)
    if screen.oauth_providers() and not settings.oauth_allowed:
        log.warning(
            "Everybody whom %s lets in may sign in here; ORCHESTRA_OAUTH_ALLOWED can say who.",
            " or ".join(screen.oauth_providers()),
        )


def _add_error_pages(app: FastAPI) -> None:
    @app.exception_handler(OrchestraError)
    async def ours(_request: Request, exc: OrchestraError) -> Response:
        extra = (
            {"field": exc.field} if isinstance(exc, PersonaInvalidError | TaskInvalidError) else {}
        )
        answer = problem(status_of(exc), str(exc), **extra)
        if isinstance(exc, PersonaStoreError) and exc.retry_after_seconds:
            answer.headers["Retry-After"] = str(math.ceil(exc.retry_after_seconds))
        return answer

    @app.exception_handler(HTTPException)
    async def theirs(_request: Request, exc: HTTPException) -> Response:
        answer = problem(HTTPStatus(exc.status_code), str(exc.detail))
        answer.headers.update(exc.headers or {})
        return answer

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, exc: RequestValidationError) -> Response:
        first = exc.errors()[0]
        field = ".".join(str(part) for part in first["loc"] if part != "body")
        return problem(
            HTTPStatus.UNPROCESSABLE_ENTITY, f"{field or 'body'}: {first['msg']}.", field=field
        )

    @app.exception_handler(Exception)
    async def unexpected(request: Request, exc: Exception) -> Response:
        error_id = uuid.uuid4().hex[:8]
        log.error("Error %s at %s %s", error_id, request.method, request.url.path, exc_info=exc)
        detail = (
            f"Something went wrong here that was not foreseen. Error id: {error_id}, see the log."
        )
        return problem(HTTPStatus.INTERNAL_SERVER_ERROR, detail, error_id=error_id)


def _add_docs(app: FastAPI) -> None:
    """Swagger's page from the installed package: nothing is fetched from elsewhere."""
    app.mount("/docs-assets", StaticFiles(directory=swagger_ui_path))

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title="Orchestra API",
            swagger_js_url="/docs-assets/swagger-ui-bundle.js",
            swagger_css_url="/docs-assets/swagger-ui.css",
            swagger_favicon_url="/public/favicon.svg",
        )


def _add_dead_end(app: FastAPI) -> None:
    """Unknown API paths are not found; without this the screen would answer them with its page."""
    methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]

    @app.api_route("/api/{path:path}", methods=methods, include_in_schema=False)
    @app.api_route("/v1/{path:path}", methods=methods, include_in_schema=False)
    async def nowhere(path: str) -> Response:
        return problem(HTTPStatus.NOT_FOUND, f"There is no '{path}' here. See /docs.")
