"""What the server does besides running Streamlit: redirects of old addresses, security headers."""

from __future__ import annotations

import re
from urllib.parse import quote

from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HEADERS = {
    # Streamlit itself needs inline styles and scripts, and Vega compiles its expressions
    "Content-Security-Policy": "default-src 'self'; script-src 'self' 'unsafe-inline' "
    "'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self' ws: wss: data: blob:; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class SecurityHeaders:
    """Adds headers that keep a browser from loading anything from another server."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        await self.app(scope, receive, send_with_headers)


def _story(request: Request) -> RedirectResponse:
    return _redirect(request, f"story?id={quote(request.path_params['story'])}")


def _epic(request: Request) -> RedirectResponse:
    return _redirect(request, f"stories?q=epic:{quote(request.path_params['epic'])}")


def _project(request: Request) -> RedirectResponse:
    return _redirect(request, f"?project={quote(request.path_params['project'])}")


def _home(request: Request) -> RedirectResponse:
    return _redirect(request, "")


def _redirect(request: Request, target: str) -> RedirectResponse:
    """Redirect to a page, relative to the address, as the dashboard may not be at its root."""
    depth = len(re.findall("/", request.url.path.removeprefix(request.scope.get("root_path", ""))))
    return RedirectResponse("../" * (depth - 1) + target if target else "../" * (depth - 1) or "./")


ROUTES = [
    # as in commit messages, chats and wikis
    Route("/story/show/{story}", _story),
    Route("/n/projects/{project}/stories/{story}", _story),
    Route("/projects/{project}/stories/{story}", _story),
    Route("/epic/show/{epic}", _epic),
    Route("/n/projects/{project}", _project),
    Route("/projects/{project}", _project),
    # pages of earlier versions
    Route("/overview", _home),
    Route("/project", _home),
]
MIDDLEWARE = [Middleware(SecurityHeaders)]
