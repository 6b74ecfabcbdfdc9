"""Faults of whole responses: another status, another body, or a body that never arrives."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus

from ..errors import ApiError, route_not_found, unauthorized_operation, unhandled_condition
from ..messages import JSON, TOKEN_HEADER, Request, Response, error_response
from .base import Fault

_HTML = {"Content-Type": "text/html; charset=utf-8"}
_API_ERRORS = {403: unauthorized_operation, 404: route_not_found, 500: unhandled_condition}
_GATEWAY_STATUSES = {502, 503, 504}
_MEGABYTE = 1 << 20


@dataclass
class Status(Fault):
    """Another status, with the body that comes with it.

    Attributes:
        status: Any status.
        code: The `code` of the error record; None for the usual one.
        headers: Further headers.
    """

    status: int = 500
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def change_response(self, response: Response, request: Request) -> Response:
        """Replace the response."""
        del response, request
        made = self._response()
        return replace(made, headers={**made.headers, **self.headers})

    def _response(self) -> Response:
        if self.status == HTTPStatus.NO_CONTENT:
            return Response(self.status)
        if self.code is None and self.status in _GATEWAY_STATUSES:
            phrase = HTTPStatus(self.status).phrase
            page = f"<html><h1>{self.status} {phrase}</h1></html>"
            return Response(self.status, page.encode(), _HTML)
        if self.code is None and self.status in _API_ERRORS:
            return error_response(_API_ERRORS[self.status]())
        phrase = _phrase(self.status)
        code = phrase.lower().replace(" ", "_") if self.code is None else self.code
        return error_response(ApiError(self.status, code, phrase))


@dataclass
class LimitTooHigh(Status):
    """A status, 504 by default, for requests of pages that are too large.

    Attributes:
        max_limit: The largest `limit` that works.
    """

    status: int = 504
    max_limit: int = 100

    def matches(self, request: Request) -> bool:
        """Check that the page requested is too large."""
        limit = request.query.get("limit", "")
        is_too_high = limit.isdecimal() and int(limit[:9]) > self.max_limit
        return is_too_high and super().matches(request)


@dataclass
class TooManyRequests(Fault):
    """429.

    Attributes:
        retry_after: Seconds in the `Retry-After` header; None for no such header.
    """

    retry_after: int | None = None

    def change_response(self, response: Response, request: Request) -> Response:
        """Replace the response."""
        del response, request
        wait = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return Response(HTTPStatus.TOO_MANY_REQUESTS, b"too many requests\n", wait)


@dataclass
class Redirect(Fault):
    """302.

    Attributes:
        location: The URL; None leaves the header out.
    """

    location: str | None = None

    def change_response(self, response: Response, request: Request) -> Response:
        """Replace the response."""
        del response, request
        headers = {} if self.location is None else {"Location": self.location}
        return Response(HTTPStatus.FOUND, headers=headers)


@dataclass
class EchoToken(Fault):
    """An error that quotes the API token of the request.

    Attributes:
        status: Its status.
    """

    status: int = 500

    def change_response(self, response: Response, request: Request) -> Response:
        """Replace the response."""
        del response
        problem = f"The token {request.headers.get(TOKEN_HEADER)} caused an error."
        return error_response(
            ApiError(self.status, "unhandled_condition", problem, general_problem=problem)
        )


@dataclass
class HtmlPage(Fault):
    """An HTML page with status 200."""

    def change_response(self, response: Response, request: Request) -> Response:
        """Replace the response."""
        del response, request
        page = b"<html><h1>Down for maintenance</h1></html>"
        return Response(HTTPStatus.OK, page, _HTML)


@dataclass
class Body(Fault):
    """Status 200 and any bytes, which need not be JSON.

    Attributes:
        content: The body.
        content_type: What its header says.
    """

    content: bytes = b"not JSON"
    content_type: str = JSON

    def change_response(self, response: Response, request: Request) -> Response:
        """Replace the response."""
        del response, request
        return Response(HTTPStatus.OK, self.content, {"Content-Type": self.content_type})


@dataclass
class HalfJson(Fault):
    """A response that is complete for HTTP, with half of a JSON text."""

    def change_response(self, response: Response, request: Request) -> Response:
        """Keep the first half of the body."""
        del request
        return replace(response, body=response.body[: len(response.body) // 2])


@dataclass
class ByteOrderMark(Fault):
    """A UTF-8 byte order mark before the JSON."""

    def change_response(self, response: Response, request: Request) -> Response:
        """Put the mark first."""
        del request
        return replace(response, body=b"\xef\xbb\xbf" + response.body)


@dataclass
class GzipBomb(Fault):
    """An empty JSON list with white space in it: a few megabytes that become very large.

    Attributes:
        size: Bytes of the decompressed body; whole megabytes.
    """

    size: int = 1 << 30

    def change_response(self, response: Response, request: Request) -> Response:
        """Replace the body."""
        del request
        # one member of the gzip format a megabyte, so that not all of it needs to be compressed
        member = gzip.compress(b" " * _MEGABYTE, mtime=0)
        body = gzip.compress(b"[", mtime=0) + member * (self.size // _MEGABYTE)
        body += gzip.compress(b"]", mtime=0)
        return replace(
            response, body=body, headers={**response.headers, "Content-Encoding": "gzip"}
        )


@dataclass
class LargeBody(Fault):
    """White space before the JSON, uncompressed.

    Attributes:
        size: Bytes of it.
    """

    size: int = 200 * _MEGABYTE

    def change_response(self, response: Response, request: Request) -> Response:
        """Send white space first."""
        del request
        return replace(response, delivery=replace(response.delivery, padding=self.size))


@dataclass
class SlowBody(Fault):
    """A body that arrives in small pieces.

    Attributes:
        chunk_size: Bytes in a piece.
        interval: Seconds between two pieces.
    """

    chunk_size: int = 1
    interval: float = 0.5

    def change_response(self, response: Response, request: Request) -> Response:
        """Send it slowly."""
        del request
        delivery = replace(response.delivery, chunk_size=self.chunk_size, interval=self.interval)
        return replace(response, delivery=delivery)


@dataclass
class TruncatedBody(Fault):
    """A body shorter than its `Content-Length`, and then the end of the connection."""

    def change_response(self, response: Response, request: Request) -> Response:
        """Send half of it."""
        del request
        return replace(response, delivery=replace(response.delivery, sent_share=0.5))


@dataclass
class ResetConnection(Fault):
    """A connection that is reset instead of a response."""

    def change_response(self, response: Response, request: Request) -> Response:
        """Send nothing."""
        del request
        return replace(response, delivery=replace(response.delivery, sent_share=0, reset=True))


@dataclass
class Stall(Fault):
    """A connection on which nothing is sent, and which is closed in the end.

    Attributes:
        seconds: How long.
    """

    seconds: float = 30.0

    def change_response(self, response: Response, request: Request) -> Response:
        """Send nothing."""
        del request
        return replace(
            response, delivery=replace(response.delivery, sent_share=0, delay=self.seconds)
        )


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"Status {status}"
