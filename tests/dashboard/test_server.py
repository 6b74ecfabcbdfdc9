"""What the dashboard's server does besides running Streamlit."""

from __future__ import annotations

import asyncio
import time
from threading import Event

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tracker_dashboard.links import Params
from tracker_dashboard.server import OpenedPages, ServerAddress

_DOCUMENT = "text/html,application/xhtml+xml,*/*;q=0.8"


class _Preparer:
    """Records the pages that are prepared; it ends when it may."""

    def __init__(self) -> None:
        self.prepared = list[tuple[str, Params]]()
        self.may_end = Event()

    def __call__(self, page: str, params: Params) -> None:
        self.prepared.append((page, params))
        assert self.may_end.wait(10)


def test_opened_pages_are_prepared_one_at_a_time_and_other_requests_are_not() -> None:
    preparer = _Preparer()
    app = OpenedPages(_responder("text/html", b"<p>"), preparer)
    _get(app, "/static/index.js", accept="*/*")
    _get(app, "/dashboard/board", "project=7&panel=Done&panel=Epics", accept=_DOCUMENT)
    _get(app, "/people", "project=8", accept=_DOCUMENT)
    preparer.may_end.set()
    deadline = time.monotonic() + 10
    while len(preparer.prepared) == 1 and time.monotonic() < deadline:
        _get(app, "/", accept=_DOCUMENT)
    opened = {"project": ["7"], "panel": ["Done", "Epics"]}
    assert preparer.prepared[:2] == [("board", opened), ("", {})]


def test_address_of_the_server_is_inserted_only_into_the_document_of_the_client() -> None:
    client = b"<head><title>Streamlit</title></head>"
    start, body = _get(ServerAddress(_responder("text/html; charset=utf-8", client)), "/board")
    changed = body["body"]
    assert changed.startswith(b"<head><title>Streamlit</title><script>window.__streamlit = ")
    assert Headers(scope=start)["content-length"] == str(len(changed))
    for content_type, accept in (("text/csv", _DOCUMENT), ("text/html", "*/*")):
        app = ServerAddress(_responder(content_type, client))
        start, *parts = _get(app, "/board", accept=accept)
        assert b"".join(part["body"] for part in parts) == client
        assert Headers(scope=start)["content-length"] == str(len(client))


def _get(app: ASGIApp, path: str, query: str = "", *, accept: str = _DOCUMENT) -> list[Message]:
    """Request an address; return the start of the response and the parts of its body."""
    scope: Scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": query.encode(),
        "headers": [(b"accept", accept.encode())],
    }
    sent = list[Message]()

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request"}

    asyncio.run(app(scope, receive, send))
    assert [message["type"] for message in sent][:2] == [
        "http.response.start",
        "http.response.body",
    ]
    return sent


def _responder(content_type: str, body: bytes) -> ASGIApp:
    """Return an application that answers with a body in two parts."""

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [
            (b"content-type", content_type.encode()),
            (b"content-length", str(len(body)).encode()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body[:9], "more_body": True})
        await send({"type": "http.response.body", "body": body[9:]})

    return respond
