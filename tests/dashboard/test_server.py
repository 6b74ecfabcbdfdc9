"""What the dashboard's server does besides running Streamlit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from threading import Event

from starlette.types import Message, Receive, Scope, Send

from tracker_dashboard.server import ReadAhead

_DOCUMENT = "text/html,application/xhtml+xml,*/*;q=0.8"


class _Reader:
    """Records the pages that are read ahead; a read ends when it may."""

    def __init__(self) -> None:
        self.read = list[tuple[str, dict[str, str]]]()
        self.may_end = Event()

    def __call__(self, page: str, params: Mapping[str, str]) -> None:
        self.read.append((page, dict(params)))
        assert self.may_end.wait(10)


def test_opened_pages_are_read_ahead_one_at_a_time_and_other_requests_are_not() -> None:
    reader = _Reader()
    app = ReadAhead(_answer, reader)
    _get(app, "/static/index.js", accept="*/*")
    _get(app, "/dashboard/flow", "project=7", accept=_DOCUMENT)
    _get(app, "/people", "project=8", accept=_DOCUMENT)
    reader.may_end.set()
    deadline = time.monotonic() + 10
    while len(reader.read) == 1 and time.monotonic() < deadline:
        _get(app, "/", accept=_DOCUMENT)
    assert reader.read[:2] == [("flow", {"project": "7"}), ("", {})]


def _get(app: ReadAhead, path: str, query: str = "", *, accept: str) -> None:
    """Request an address."""
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
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]


async def _answer(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})
