"""The HTTP server, which runs in its own thread."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from http import HTTPStatus
from types import TracebackType
from typing import Self

from aiohttp import web
from aiohttp.http import HttpProcessingError

from .behaviour import Behaviour
from .endpoints import ENDPOINTS, find_endpoint
from .errors import (
    ApiError,
    invalid_authentication,
    invalid_host,
    invalid_parameter,
    route_not_found,
    unauthorized_operation,
    unfound_resource,
)
from .faults import Fault, select_faults
from .handlers import handle_request
from .hosts import LOOPBACK, is_accepted_host, is_every_address
from .messages import TOKEN_HEADER, WHOLE, Request, Response, error_response
from .query import INTEGER
from .workspace import Workspace

ROOT = "/services/v5"

_DOWNLOAD = "/file_attachments/"
_PADDING_CHUNK = 1 << 20
_SHUTDOWN_TIMEOUT = 0.05  # seconds; 0 would be for ever
_SO_LINGER_OFF = struct.pack("ii", 1, 0)

_logger = logging.getLogger(__name__)

_Hook = Callable[[str, dict[str, str]], None]


class ResponseCache:
    """Earlier responses, so that repeated requests of a benchmark cost the server nothing.

    The key of a response holds all that it depends on, so it is never stale. The least recently
    used responses are dropped first.

    Args:
        max_bytes: How large the cached bodies may be together.
    """

    def __init__(self, max_bytes: int = 128 * 1024 * 1024) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._responses: OrderedDict[object, Response] = OrderedDict()

    def get(self, key: object) -> Response | None:
        """Return a response; None if it is not cached."""
        if key in self._responses:
            self._responses.move_to_end(key)
        return self._responses.get(key)

    def put(self, key: object, response: Response) -> None:
        """Add a response."""
        self._responses[key] = response
        self._bytes += len(response.body)
        while self._bytes > self._max_bytes:
            _, dropped = self._responses.popitem(last=False)
            self._bytes -= len(dropped.body)


class TrackerServer:
    """Serves a workspace for as long as the `with` block lasts.

    The workspace, `behaviour` and `before_request` may be changed while it serves.

    Args:
        workspace: The workspace to serve.
        host: The name or address to listen on. Requests are accepted under this name and those of
            the same machine only.
        port: 0 for any free port.
        behaviour: How the server differs from the documented one.
        keeps_requests: Whether `requests` is filled; a server that runs for long must not.

    Attributes:
        workspace: The workspace.
        behaviour: How the server differs from the documented one.
        requests: All requests in order; can be cleared.
        before_request: Called with path and query before each request is handled. It may change
            the workspace.
        url: The base URL of the API inside the block: `http://127.0.0.1:8765/services/v5`.

    Example:
        with TrackerServer(generate_workspace()) as server:
            requests.get(f"{server.url}/me", headers={"X-TrackerToken": "…"})
    """

    def __init__(
        self,
        workspace: Workspace,
        *,
        host: str = LOOPBACK,
        port: int = 0,
        behaviour: Behaviour | None = None,
        keeps_requests: bool = True,
    ) -> None:
        self.workspace = workspace
        self.behaviour = behaviour or Behaviour()
        self.requests: list[Request] = []
        self.before_request: _Hook | None = None
        self.url = ""
        self._host, self._port = host, port
        self._keeps_requests = keeps_requests
        self._cache = ResponseCache()

    def __enter__(self) -> Self:
        """Start the server.

        Raises:
            OSError: The address does not exist, or the port is in use.
        """
        family, *_, address = socket.getaddrinfo(self._host, self._port)[0]
        self._socket = socket.create_server(address[:2], family=family, backlog=256)
        self.url = f"http://{_reachable_name(self._host)}:{self._socket.getsockname()[1]}{ROOT}"
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
        """Stop the server at once, without finishing the responses under way."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        _logger.addFilter(_is_no_invalid_request)
        server = web.Server(self._handle, access_log=None, logger=_logger)
        runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_TIMEOUT)
        await runner.setup()
        await web.SockSite(runner, self._socket).start()
        await self._stop.wait()
        await runner.cleanup()

    async def _handle(self, http_request: web.BaseRequest) -> web.StreamResponse:
        behaviour = self.behaviour
        request = self._parse_request(http_request)
        if self._keeps_requests:
            self.requests.append(request)
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

    def _parse_request(self, http_request: web.BaseRequest) -> Request:
        """Determine the endpoint and the project of a request."""
        path = http_request.path
        template, numbers = find_endpoint(path.removeprefix(ROOT))
        endpoint = ENDPOINTS.get(template)
        name = endpoint.name if endpoint else ""
        if path.startswith(_DOWNLOAD):
            name = "file_attachments"
        return Request(
            http_request.method,
            path,
            dict(http_request.query),
            http_request.headers,
            name,
            template,
            self._project_id(template, numbers),
        )

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
            return self._handle_get(http_request, behaviour, faults)
        except ApiError as error:
            return error_response(error)

    def _handle_get(
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
        return self._api_response(request, behaviour, faults)

    def _api_response(
        self, request: web.BaseRequest, behaviour: Behaviour, faults: Sequence[Fault]
    ) -> Response:
        path, query = request.path.removeprefix(ROOT), dict(request.query)
        if any(fault.changes_data for fault in faults):
            return handle_request(self.workspace, behaviour, path, query, faults)
        # records can also be edited directly: then their project's version or the clock may change
        key = (
            request.path_qs,
            repr(behaviour),
            self.workspace.revision,
            self.workspace.now,
            tuple(project.record.get("version") for project in self.workspace.projects.values()),
        )
        cached = self._cache.get(key)
        if cached is not None:
            return cached
        response = handle_request(self.workspace, behaviour, path, query)
        if response.repeatable:
            self._cache.put(key, response)
        return response

    def _attachment(self, request: web.BaseRequest, behaviour: Behaviour) -> Response:
        number, _, rest = request.path.removeprefix(_DOWNLOAD).partition("/")
        if not INTEGER.fullmatch(number) or rest != "download":
            raise route_not_found()
        if "file_attachments" in behaviour.forbidden_endpoints:
            raise unauthorized_operation()
        if behaviour.downloads_redirect_to is not None:
            location = f"{behaviour.downloads_redirect_to}{request.path}"
            return Response(HTTPStatus.FOUND, headers={"Location": location})
        content = self.workspace.attachments.get(int(number))
        if content is None:
            raise unfound_resource()
        try:
            begin = request.http_range.start or 0
        except ValueError:
            raise invalid_parameter("the header 'Range' must be 'bytes=START-'") from None
        return _file(content, begin)


def _is_no_invalid_request(record: logging.LogRecord) -> bool:
    """Filter out tracebacks of requests that are not valid HTTP: they are the client's fault."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


def _reachable_name(host: str) -> str:
    """Return the host for a URL; every address is reachable as that of the same machine."""
    if is_every_address(host):
        host = "::1" if ":" in host else LOOPBACK
    return f"[{host}]" if ":" in host else host


def _file(content: bytes, begin: int) -> Response:
    """Return a file, or the part of it that begins at a position."""
    headers = {"Content-Type": "application/octet-stream"}
    if not 0 < begin < len(content):
        return Response(HTTPStatus.OK, content, headers)
    headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
    return Response(HTTPStatus.PARTIAL_CONTENT, content[begin:], headers)


async def _send(request: web.BaseRequest, response: Response) -> web.StreamResponse:
    """Send a response, as its delivery says."""
    delivery = response.delivery
    if delivery == WHOLE:
        return web.Response(status=response.status, body=response.body, headers=response.headers)
    await asyncio.sleep(delivery.delay)
    if not delivery.sent_share:
        _break_off(request, reset=delivery.reset)
        return web.Response()
    stream = web.StreamResponse(status=response.status, headers=response.headers)
    stream.content_length = delivery.padding + len(response.body)
    await stream.prepare(request)
    async for chunk in _chunks(response):
        await stream.write(chunk)
    if delivery.sent_share < 1:
        _break_off(request, reset=delivery.reset)
    return stream


async def _chunks(response: Response) -> AsyncIterator[bytes]:
    """Cut a body into the pieces in which it is sent."""
    delivery = response.delivery
    for begin in range(0, delivery.padding, _PADDING_CHUNK):
        yield b" " * min(_PADDING_CHUNK, delivery.padding - begin)
    body = response.body[: round(len(response.body) * delivery.sent_share)]
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
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _SO_LINGER_OFF)
    transport.abort()
