"""HTTP messages: the requests that came in, the responses to them, and how these are sent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

from .errors import ApiError

TOKEN_HEADER = "X-TrackerToken"  # noqa: S105 - the name of the header, not a token

JSON = "application/json; charset=utf-8"


@dataclass
class Request:
    """A request that came in.

    Attributes:
        method: `GET`, mostly.
        path: The path of the URL: `/services/v5/projects`.
        query: The parameters.
        headers: As sent, the token included; names are case-insensitive.
        endpoint: The name of the endpoint, such as `stories`; empty if the path has none.
        template: The path below `/services/v5` with `{id}` for numbers:
            `/projects/{id}/stories`.
        project_id: The project that the request is about; None if it is about no single one.
        status: The status of the response; None until there is one, or if the connection was
            broken off instead.
    """

    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    endpoint: str = ""
    template: str = ""
    project_id: int | None = None
    status: int | None = None


@dataclass(frozen=True)
class Delivery:
    """How a body is sent; by default whole and at once.

    Attributes:
        delay: Seconds before anything is sent.
        padding: Bytes of white space sent before the body, uncompressed.
        chunk_size: Bytes sent at once; None for all of them.
        interval: Seconds between two chunks.
        sent_share: The share of the body that is sent before the connection ends. 0 sends no
            status line either.
        reset: Whether the connection ends with a reset.
    """

    delay: float = 0.0
    padding: int = 0
    chunk_size: int | None = None
    interval: float = 0.0
    sent_share: float = 1.0
    reset: bool = False


WHOLE = Delivery()


@dataclass(frozen=True)
class Response:
    """A response.

    Attributes:
        status: The HTTP status.
        body: The bytes of the body.
        headers: All headers but those that HTTP itself needs.
        repeatable: Whether the same request gets the same response until something changes.
        delivery: How the body is sent.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = False
    delivery: Delivery = WHOLE


def error_response(error: ApiError) -> Response:
    """Make the response to a request that cannot be fulfilled."""
    headers = {"Content-Type": JSON, "Cache-Control": "no-cache"}
    return Response(error.status, as_json(error.body), headers)


def as_json(value: object) -> bytes:
    """Serialize to JSON, including lone surrogates and integers beyond 64 bits."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":")).encode()
