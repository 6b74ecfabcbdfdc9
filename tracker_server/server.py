"""The server: a workspace over HTTP, on a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from http import HTTPStatus
from types import TracebackType
from typing import Self

from aiohttp import web

from tracker_server.behaviour import Behaviour
from tracker_server.endpoints import ENDPOINTS, find_endpoint
from tracker_server.errors import (
    ApiError,
    invalid_authentication,
    invalid_host,
    invalid_parameter,
    route_not_found,
    unauthorized_operation,
    unfound_resource,
)
from tracker_server.faults import Fault, select_faults
from tracker_server.handlers import handle_request
from tracker_server.hosts import LOOPBACK, is_accepted_host, is_every_address
from tracker_server.messages import TOKEN_HEADER, WHOLE, Request, Response, error_response
from tracker_server.query import WHOLE_NUMBER
from tracker_server.workspace import Workspace

ROOT = "/services/v5"

_DOWNLOAD = "/file_attachments/"
_PADDING_CHUNK = 1 << 20
_PATIENCE_AT_THE_END = 0.05  # seconds; 0 would be for ever
_NO_LINGERING = struct.pack("ii", 1, 0)

_Hook = Callable[[str, dict[str, str]], None]


class ResponseCache:
    """Answers made before, so that a benchmark that asks again costs the server nothing.

    An answer is remembered together with all that it depends on, so it is never stale. What was
    used longest ago goes first.

    Args:
        most_bytes: How much the remembered bodies may weigh together.
    """

    def __init__(self, most_bytes: int = 128 * 1024 * 1024) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._responses: OrderedDict[object, Response] = OrderedDict()

    def get(self, key: object) -> Response | None:
        """Give what was answered, None if it is not remembered."""
        if key in self._responses:
            self._responses.move_to_end(key)
        return self._responses.get(key)

    def put(self, key: object, made: Response) -> None:
        """Remember an answer."""
        self._responses[key] = made
        self._bytes += len(made.body)
        while self._bytes > self._most_bytes:
            _, dropped = self._responses.popitem(last=False)
            self._bytes -= len(dropped.body)


class TrackerServer:
    """Serves a workspace for as long as the `with` block lasts.

    The workspace, `behaviour` and `before_request` may be changed while it serves.

    Args:
        workspace: What is served.
        host: The name or address to listen on. Requests are accepted under this name and those of
            the same machine only.
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
        self,
        workspace: Workspace,
        *,
        host: str = LOOPBACK,
        port: int = 0,
        behaviour: Behaviour | None = None,
    ) -> None:
        self.workspace = workspace
        self.behaviour = behaviour or Behaviour()
        self.requests: list[Request] = []
        self.before_request: _Hook | None = None
        self.url = ""
        self._host, self._port = host, port
        self._cache = ResponseCache()

    def __enter__(self) -> Self:
        """Start to serve.

        Raises:
            OSError: The address does not exist, or the port is in use.
        """
        family, *_, address = socket.getaddrinfo(self._host, self._port)[0]
        self._socket = socket.create_server(address[:2], family=family, backlog=256)
        name = LOOPBACK if is_every_address(self._host) else self._host
        name = f"[{name}]" if ":" in name else name
        self.url = f"http://{name}:{self._socket.getsockname()[1]}{ROOT}"
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

    async def _handle(self, http_request: web.BaseRequest) -> web.StreamResponse:
        behaviour = self.behaviour
        request = self._record(http_request)
        if behaviour.latency:
            await asyncio.sleep(behaviour.latency)
        if self.before_request is not None:
            self.before_request(request.path, request.query)
        faults = select_faults(behaviour.faults, request)
        response = self._respond(http_request, behaviour, faults)
        for fault in faults:
            response = fault.change_response(response, request)
        if response.delivery.sent_share:
            request.status = response.status
        return await _send(http_request, response)

    def _record(self, http_request: web.BaseRequest) -> Request:
        """Note the request, and what it is about."""
        path = http_request.path
        template, numbers = find_endpoint(path.removeprefix(ROOT))
        endpoint = ENDPOINTS.get(template)
        name = endpoint.name if endpoint else ""
        if path.startswith(_DOWNLOAD):
            name = "file_attachments"
        request = Request(
            http_request.method,
            path,
            dict(http_request.query),
            http_request.headers,
            name,
            template,
            self._project_id(template, numbers),
        )
        self.requests.append(request)
        return request

    def _project_id(self, template: str, numbers: list[int]) -> int | None:
        if template.startswith("/projects/{id}"):
            return numbers[0]
        find = {
            "/stories/{id}": self.workspace.find_story,
            "/epics/{id}": self.workspace.find_epic,
        }.get(template)
        if find is None:
            return None
        try:
            with self.workspace.lock:
                project, _ = find(numbers[0])
        except KeyError:
            return None
        return int(project.record["id"])

    def _respond(
        self, http_request: web.BaseRequest, behaviour: Behaviour, faults: Sequence[Fault]
    ) -> Response:
        try:
            return self._good_answer(http_request, behaviour, faults)
        except ApiError as error:
            return error_response(error)

    def _good_answer(
        self, request: web.BaseRequest, behaviour: Behaviour, faults: Sequence[Fault]
    ) -> Response:
        host = request.headers.get("Host", "")
        if not is_accepted_host(host, self._host):
            raise invalid_host(host)
        token = behaviour.token or self.workspace.me.get("api_token")
        if token is not None and request.headers.get(TOKEN_HEADER) != token:
            raise invalid_authentication(behaviour.wrong_token_status)
        if request.method != "GET":
            raise route_not_found()
        if request.path.startswith(_DOWNLOAD):
            return self._attachment(request, behaviour)
        if not request.path.startswith(f"{ROOT}/"):
            raise route_not_found()
        return self._api_answer(request, behaviour, faults)

    def _api_answer(
        self, request: web.BaseRequest, behaviour: Behaviour, faults: Sequence[Fault]
    ) -> Response:
        path, query = request.path.removeprefix(ROOT), dict(request.query)
        if any(fault.changes_data for fault in faults):
            return handle_request(self.workspace, behaviour, path, query, faults)
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
        made = handle_request(self.workspace, behaviour, path, query)
        if made.repeatable:
            self._cache.put(key, made)
        return made

    def _attachment(self, request: web.BaseRequest, behaviour: Behaviour) -> Response:
        number, _, rest = request.path.removeprefix(_DOWNLOAD).partition("/")
        if not WHOLE_NUMBER.fullmatch(number) or rest != "download":
            raise route_not_found()
        if "file_attachments" in behaviour.forbidden:
            raise unauthorized_operation()
        if behaviour.files_at is not None:
            there = {"Location": f"{behaviour.files_at}{request.path}"}
            return Response(HTTPStatus.FOUND, b"", there)
        content = self.workspace.attachments.get(int(number))
        if content is None:
            raise unfound_resource()
        try:
            begin = request.http_range.start or 0
        except ValueError:
            raise invalid_parameter("the header 'Range' must be 'bytes=START-'") from None
        return _file(content, begin)


def _file(content: bytes, begin: int) -> Response:
    """Give a file, or what of it follows the first so many bytes."""
    headers = {"Content-Type": "application/octet-stream"}
    if not 0 < begin < len(content):
        return Response(HTTPStatus.OK, content, headers)
    headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
    return Response(HTTPStatus.PARTIAL_CONTENT, content[begin:], headers)


async def _send(request: web.BaseRequest, made: Response) -> web.StreamResponse:
    """Send a response, as its delivery says."""
    delivery = made.delivery
    if delivery == WHOLE:
        return web.Response(status=made.status, body=made.body, headers=made.headers)
    await asyncio.sleep(delivery.delay)
    if not delivery.sent_share:
        _break_off(request, reset=delivery.reset)
        return web.Response()
    response = web.StreamResponse(status=made.status, headers=made.headers)
    response.content_length = delivery.padding + len(made.body)
    await response.prepare(request)
    async for chunk in _chunks(made):
        await response.write(chunk)
    if delivery.sent_share < 1:
        _break_off(request, reset=delivery.reset)
    return response


async def _chunks(made: Response) -> AsyncIterator[bytes]:
    """Cut a body into the pieces in which it is sent."""
    delivery = made.delivery
    for begin in range(0, delivery.padding, _PADDING_CHUNK):
        yield b" " * min(_PADDING_CHUNK, delivery.padding - begin)
    body = made.body[: round(len(made.body) * delivery.sent_share)]
    size = delivery.chunk_size or max(1, len(body))
    for begin in range(0, len(body), size):
        yield body[begin : begin + size]
        await asyncio.sleep(delivery.interval)


def _break_off(request: web.BaseRequest, *, reset: bool) -> None:
    """Close the connection, or reset it."""
    transport = request.transport
    if transport is None:
        return
    if not reset:
        transport.close()
        return
    raw = transport.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGERING)
    transport.abort()
