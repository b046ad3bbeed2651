"""An OAuth provider in GitHub's manner: whoever comes gets in, under the name in the code."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tests.doubles.served import Served


class Provider(Served):
    """The double; a context manager."""

    def __init__(self) -> None:
        super().__init__(
            Starlette(
                routes=[
                    Route("/token", self._token, methods=["POST"]),
                    Route("/user", self._user),
                    Route("/user/emails", self._emails),
                ]
            )
        )

    @property
    def variables(self) -> dict[str, str]:
        """What to set for Chainlit to find it."""
        return {
            "OAUTH_GITHUB_CLIENT_ID": "orchestra",
            "OAUTH_GITHUB_CLIENT_SECRET": "scripted",
            "OAUTH_GITHUB_AUTH_URL": f"{self.url}/authorize",
            "OAUTH_GITHUB_TOKEN_URL": f"{self.url}/token",
            "OAUTH_GITHUB_USER_INFO_URL": f"{self.url}/user",
        }

    async def _token(self, request: Request) -> Response:
        code = (await request.body()).decode().split("code=")[1].split("&")[0]
        return PlainTextResponse(f"access_token={code}")

    async def _user(self, request: Request) -> Response:
        name = request.headers["authorization"].removeprefix("token ")
        return JSONResponse({"login": name, "avatar_url": ""})

    async def _emails(self, _request: Request) -> Response:
        return JSONResponse([])
