"""Read the bodies of responses within limits of size and time."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from functools import partial

import requests
from urllib3 import HTTPResponse

from ..limits import Limits

_CHUNK_BYTES = 1 << 16

_COUNTED_ABOVE_BYTES = 5_000_000
"""Smaller bodies cannot have too many values. Larger ones are rare, so counting them is cheap."""

MAX_VALUES = 5_000_000
"""The maximum number of values in a body: each takes up to 230 bytes once it is parsed."""


class ResponseTooSlowError(requests.Timeout):
    """A body took longer than the limits allow."""


class ResponseTooLargeError(requests.exceptions.RequestException):
    """A body has more bytes, or more values, than the limits allow."""


def read_body(response: requests.Response, limits: Limits) -> None:
    """Read the whole body, so that `response.content` is in memory.

    Args:
        response: One that was requested with `stream=True`.
        limits: The limits of size and time.

    Raises:
        ResponseTooLargeError: It is too large.
        requests.RequestException: The connection was lost, or it took too long.
    """
    try:
        body = b"".join(_chunks(response, limits))
    except requests.RequestException:
        response.close()
        raise
    except Exception as error:
        # urllib3 has many kinds of errors for a lost connection
        response.close()
        raise requests.exceptions.ChunkedEncodingError(error) from error
    _check_values(body)
    response.raw = io.BytesIO(body)


def _chunks(response: requests.Response, limits: Limits) -> Iterator[bytes]:
    """Yield the decompressed body in chunks as they arrive; `read` would wait for all of it."""
    size = 0
    end = time.monotonic() + limits.max_request_seconds - response.elapsed.total_seconds()
    for chunk in _pieces(response):
        size += len(chunk)
        if size > limits.max_response_bytes:
            raise ResponseTooLargeError(
                f"the response has more than {limits.max_response_bytes:,} bytes"
            )
        if time.monotonic() > end:
            raise ResponseTooSlowError(
                f"the response took more than {limits.max_request_seconds:g} s"
            )
        yield chunk


def _pieces(response: requests.Response) -> Iterator[bytes]:
    if isinstance(response.raw, HTTPResponse):
        return iter(partial(response.raw.read1, _CHUNK_BYTES, decode_content=True), b"")
    # a library that replays recorded responses has a class of its own
    return iter(response.raw.stream(_CHUNK_BYTES, decode_content=True))


def _check_values(body: bytes) -> None:
    if len(body) > _COUNTED_ABOVE_BYTES:
        count = sum(body.count(mark) for mark in (b",", b"{", b"["))
        if count > MAX_VALUES:
            raise ResponseTooLargeError(f"the response has more than {MAX_VALUES:,} values")
