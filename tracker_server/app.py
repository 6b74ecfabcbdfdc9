"""The server: a workspace over HTTP, on a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Self

from aiohttp import web

from tracker_server.answers import Answer, answer, error_answer
from tracker_server.behaviour import Behaviour
from tracker_server.errors import (
    ApiError,
    invalid_authentication,
    route_not_found,
    unauthorized_operation,
    unfound_resource,
    unhandled_condition,
)
from tracker_server.query import WHOLE_NUMBER
from tracker_server.workspace import Workspace

ROOT = "/services/v5"

TOKEN_HEADER = "X-TrackerToken"  # noqa: S105 - the name of the header, not a token

_DOWNLOAD = "/file_attachments/"
_PATIENCE_AT_THE_END = 0.05  # seconds; 0 would be for ever
_NO_LINGERING = struct.pack("ii", 1, 0)

_Hook = Callable[[str, dict[str, str]], None]


@dataclass
class Request:
    """A request that came in.

    Attributes:
        method: `GET`, mostly.
        path: From the root of the site on: `/services/v5/projects`.
        query: Its parameters.
        headers: As sent, the token included; upper and lower case are one.
        status: Of the answer; None until there is one, or where the connection was broken instead.
    """

    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    status: int | None = None


class AnswerCache:
    """Answers made before, so that a benchmark that asks again costs the server nothing.

    An answer is remembered together with all that it depends on, so it is never stale. What was
    used longest ago goes first.

    Args:
        most_bytes: How much the remembered bodies may weigh together.
    """

    def __init__(self, most_bytes: int = 128 * 1024 * 1024) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._answers: OrderedDict[object, Answer] = OrderedDict()

    def get(self, key: object) -> Answer | None:
        """Give what was answered, None if it is not remembered."""
        if key in self._answers:
            self._answers.move_to_end(key)
        return self._answers.get(key)

    def put(self, key: object, made: Answer) -> None:
        """Remember an answer."""
        self._answers[key] = made
        self._bytes += len(made.body)
        while self._bytes > self._most_bytes:
            _, dropped = self._answers.popitem(last=False)
            self._bytes -= len(dropped.body)


class TrackerServer:
    """Serves a workspace on 127.0.0.1 for as long as the `with` block lasts.

    The workspace, `behaviour` and `before_request` may be changed while it serves.

    Args:
        workspace: What is served.
        port: 0 for any that is free.
        behaviour: How the server differs from the documented one.

    Attributes:
        workspace: What is served.
        behaviour: How the server behaves now.
        requests: Every request that came in, in order; can be cleared.
        before_request: Called with path and query before each request is answered. It may change
            the workspace.
        url: Of the API, once the block has been entered: `http://127.0.0.1:8765/services/v5`.

    Example:
        with TrackerServer(made_up_workspace()) as server:
            requests.get(f"{server.url}/me", headers={"X-TrackerToken": "…"})
    """

    def __init__(
        self, workspace: Workspace, *, port: int = 0, behaviour: Behaviour | None = None
    ) -> None:
        self.workspace = workspace
        self.behaviour = behaviour or Behaviour()
        self.requests: list[Request] = []
        self.before_request: _Hook | None = None
        self.url = ""
        self._port = port
        self._cache = AnswerCache()

    def __enter__(self) -> Self:
        """Start to serve.

        Raises:
            OSError: The port is in use, or not to be had.
        """
        self._socket = socket.create_server(("127.0.0.1", self._port), backlog=256)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}{ROOT}"
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="tracker_server", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End at once; requests that are being answered are broken off."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        server = web.Server(self._handle, access_log=None)
        runner = web.ServerRunner(server, shutdown_timeout=_PATIENCE_AT_THE_END)
        await runner.setup()
        await web.SockSite(runner, self._socket).start()
        await self._stop.wait()
        await runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        behaviour = self.behaviour
        query = dict(request.query)
        record = Request(request.method, request.path, query, request.headers)
        self.requests.append(record)
        if behaviour.latency:
            await asyncio.sleep(behaviour.latency)
        if self.before_request is not None:
            self.before_request(request.path, query)
        fault = behaviour.faults.next_fault(request.path_qs) if behaviour.faults else None
        if behaviour.faults and fault in ("stall", "reset"):
            await _break_off(request, behaviour.faults.stall_seconds if fault == "stall" else None)
            return web.Response()
        ready = self._answer(request, behaviour)
        if behaviour.faults and fault:
            ready = _spoilt(ready, fault, behaviour.faults.retry_after)
        record.status = ready.status
        if fault == "cut_short":
            return await _send_half(request, ready)
        return web.Response(status=ready.status, body=ready.body, headers=ready.headers)

    def _answer(self, request: web.BaseRequest, behaviour: Behaviour) -> Answer:
        if behaviour.redirect_to is not None:
            return Answer(HTTPStatus.FOUND, b"", {"Location": behaviour.redirect_to})
        try:
            return self._good_answer(request, behaviour)
        except ApiError as error:
            return error_answer(error)

    def _good_answer(self, request: web.BaseRequest, behaviour: Behaviour) -> Answer:
        token = behaviour.token or self.workspace.me.get("api_token")
        if token is not None and request.headers.get(TOKEN_HEADER) != token:
            raise invalid_authentication(behaviour.wrong_token_status)
        if request.method != "GET":
            raise route_not_found()
        if request.path.startswith(_DOWNLOAD):
            return self._attachment(request, behaviour)
        if not request.path.startswith(f"{ROOT}/"):
            raise route_not_found()
        return self._api_answer(request, behaviour)

    def _api_answer(self, request: web.BaseRequest, behaviour: Behaviour) -> Answer:
        # Whoever edits a record by hand, past the workspace's own changes, moves its version or
        # the time at best: they are in the key as well.
        key = (
            request.path_qs,
            repr(behaviour),
            self.workspace.revision,
            self.workspace.now,
            tuple(held.record.get("version") for held in self.workspace.projects.values()),
        )
        remembered = self._cache.get(key)
        if remembered is not None:
            return remembered
        path = request.path.removeprefix(ROOT)
        made = answer(self.workspace, behaviour, path, dict(request.query))
        if made.repeatable:
            self._cache.put(key, made)
        return made

    def _attachment(self, request: web.BaseRequest, behaviour: Behaviour) -> Answer:
        number, _, rest = request.path.removeprefix(_DOWNLOAD).partition("/")
        if not WHOLE_NUMBER.fullmatch(number) or rest != "download":
            raise route_not_found()
        if "file_attachments" in behaviour.forbidden:
            raise unauthorized_operation()
        if behaviour.files_at is not None:
            there = {"Location": f"{behaviour.files_at}{request.path}"}
            return Answer(HTTPStatus.FOUND, b"", there)
        content = self.workspace.attachments.get(int(number))
        if content is None:
            raise unfound_resource()
        return _file(content, request.http_range.start or 0)


def _file(content: bytes, begin: int) -> Answer:
    """Give a file, or what of it follows the first so many bytes."""
    headers = {"Content-Type": "application/octet-stream"}
    if not 0 < begin < len(content):
        return Answer(HTTPStatus.OK, content, headers)
    headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
    return Answer(HTTPStatus.PARTIAL_CONTENT, content[begin:], headers)


def _spoilt(good: Answer, fault: str, retry_after: int) -> Answer:
    """Put what a fault answers into the place of a good answer."""
    page = {"Content-Type": "text/html; charset=utf-8"}
    match fault:
        case "429":
            return Answer(HTTPStatus.TOO_MANY_REQUESTS, b"too many requests\n")
        case "429_retry_after":
            wait = {"Retry-After": str(retry_after)}
            return Answer(HTTPStatus.TOO_MANY_REQUESTS, b"too many requests\n", wait)
        case "500":
            return error_answer(unhandled_condition())
        case "502" | "503" | "504":
            status = HTTPStatus(int(fault))
            return Answer(status, f"<html><h1>{fault} {status.phrase}</h1></html>".encode(), page)
        case "html":
            return Answer(HTTPStatus.OK, b"<html><h1>Down for maintenance</h1></html>", page)
        case "bad_json":
            half = good.body[: len(good.body) // 2]
            return Answer(good.status, half, good.headers)
        case _:
            return good


async def _send_half(request: web.BaseRequest, whole: Answer) -> web.StreamResponse:
    """Promise the whole body, send half of it, and end the connection."""
    response = web.StreamResponse(status=whole.status, headers=whole.headers)
    response.content_length = len(whole.body)
    await response.prepare(request)
    await response.write(whole.body[: len(whole.body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


async def _break_off(request: web.BaseRequest, silent_for: float | None) -> None:
    """Tear the connection down, at once or, after a silence, close it."""
    transport = request.transport
    if transport is None:
        return
    if silent_for is not None:
        await asyncio.sleep(silent_for)
        transport.close()
        return
    raw = transport.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGERING)
    transport.abort()
