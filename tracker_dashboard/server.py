"""What the server adds to Streamlit: redirects, headers, its address, and preparing pages."""

from __future__ import annotations

import re
from collections.abc import Callable
from threading import Lock, Thread
from typing import TYPE_CHECKING
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

if TYPE_CHECKING:
    # it imports pandas, and Streamlit imports this module first
    from .links import Params

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

_CLIENT_TITLE = b"<title>Streamlit</title>"
_ADDRESS_SCRIPT = (
    b'<script>window.__streamlit = {BACKEND_BASE_URL: new URL("./", location).href}</script>'
)
"""Streamlit's client reads its server's address from this variable. Pages are right below it."""


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


class OpenedPages:
    """Calls a function with the page and the parameters of each address that a browser opens.

    Args:
        app: The next application.
        prepare: The function, which runs in a thread. While it runs, it is not called again.
    """

    def __init__(self, app: ASGIApp, prepare: Callable[[str, Params], None]) -> None:
        self.app = app
        self._prepare = prepare
        self._is_preparing = Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if _is_document(scope) and self._is_preparing.acquire(blocking=False):
            Thread(target=self._prepare_page, args=(Request(scope),), daemon=True).start()
        await self.app(scope, receive, send)

    def _prepare_page(self, request: Request) -> None:
        try:
            page = request.url.path.rpartition("/")[2]
            params = request.query_params
            self._prepare(page, {name: params.getlist(name) for name in params})
        finally:
            self._is_preparing.release()


class ServerAddress:
    """Tells Streamlit's client, which runs in the browser, where its server is.

    Opened at an address with a name, such as `/board`, the client would look for its server below
    this name first, and wait 0.1 s before it looks where the server is.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if not _is_document(scope):
            await self.app(scope, receive, send)
            return
        # the script cannot be inserted into a compressed body
        del MutableHeaders(scope=scope)["accept-encoding"]
        start: Message | None = None
        body = b""

        async def send_with_address(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start" and _is_html(message):
                start = message
            elif start is None:
                await send(message)
            else:
                body += message.get("body", b"")
                if message.get("more_body"):
                    return
                changed = body.replace(_CLIENT_TITLE, _CLIENT_TITLE + _ADDRESS_SCRIPT)
                if changed != body:
                    MutableHeaders(scope=start)["content-length"] = str(len(changed))
                await send(start)
                await send({"type": "http.response.body", "body": changed})

        await self.app(scope, receive, send_with_address)


def _is_html(start: Message) -> bool:
    return Headers(scope=start).get("content-type", "").startswith("text/html")


def _is_document(scope: Scope) -> bool:
    # browsers accept HTML only for documents, not for scripts and styles
    return scope["type"] == "http" and "text/html" in Headers(scope=scope).get("accept", "")


def _prepare_page(page: str, params: Params) -> None:
    # the pages take seconds to import, and Streamlit imports this module first
    from .app import prepare_page

    prepare_page(page, params)


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
MIDDLEWARE = [
    Middleware(SecurityHeaders),
    Middleware(ServerAddress),
    Middleware(OpenedPages, prepare=_prepare_page),
]
