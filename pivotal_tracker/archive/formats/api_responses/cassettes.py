"""Read recorded HTTP: cassettes of vcrpy (YAML and JSON) and of Ruby's VCR, and HAR files."""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import yaml

from ....records import Record
from ...files import ArchiveError
from ...limits import MAX_BYTES_OF_A_RECORD, MAX_LEVELS
from .json_text import REPLACEMENT, Utf8

INTERACTIONS = ("interactions", "http_interactions")
LOOKS_LIKE_A_CASSETTE = re.compile(
    rb"\A(?!\s*[\[{]).*^(?:['\"]?(?:http_)?interactions['\"]?:|- request:)",
    re.MULTILINE | re.DOTALL,
)
BROKEN_YAML = (yaml.YAMLError, UnicodeDecodeError)

_API_PATH = re.compile(r"/services/v5/(.*)")
# control characters, byte order marks and noncharacters, in UTF-8
_NOT_YAML = re.compile(
    rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\xc2[\x80-\x84\x86-\x9f]|\xef\xbb\xbf|\xef\xbf[\xbe\xbf]"
)
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
# only its events are used, so the file cannot create Python objects
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class YamlText(Utf8):
    """A stream for a YAML parser: characters that YAML forbids become U+FFFD."""

    def _clean(self, chunk: bytes, *, is_last: bool) -> bytes:
        clean, replaced = _NOT_YAML.subn(REPLACEMENT, super()._clean(chunk, is_last=is_last))
        self.replaced += replaced
        return clean


class NoResponseError(Exception):
    """An interaction without a response of the API; the message says why."""


@dataclass(frozen=True)
class RecordedResponse:
    """A response of the API.

    Attributes:
        path: Below the API's root, with the query.
        body: The decompressed body; empty if there was none.
        seen_at: The time, as a text that sorts; empty if it is not known.
        is_deletion: Whether the request was a `DELETE`.
    """

    path: str
    body: bytes
    seen_at: str
    is_deletion: bool = False


def parse_response(interaction: Record) -> RecordedResponse:
    """Return the response in a recorded interaction.

    Raises:
        NoResponseError: It is an error, comes from another host, or cannot be read.
    """
    request, response = _record(interaction.get("request")), _record(interaction.get("response"))
    match = _API_PATH.search(_address(request))
    if not match:
        raise NoResponseError("it is not a response of API v5")
    status = response.get("status")
    code = str(status.get("code") if isinstance(status, dict) else status or "200")
    if not code.startswith("2"):
        raise NoResponseError(f"the server answered {code[:20]}")
    headers = _headers(response.get("headers"))
    recorded_at = interaction.get("recorded_at") or interaction.get("startedDateTime")
    seen_at = _seen_at(recorded_at or headers.get("date"))
    method = str(request.get("method") or "").lower()
    if method == "delete":
        return RecordedResponse(match[1], b"", seen_at, is_deletion=True)
    body = _body(response["content"] if "content" in response else response.get("body"))
    return RecordedResponse(
        match[1], _decompress(body, str(headers.get("content-encoding") or "")), seen_at
    )


def _headers(headers: Any) -> Record:
    """Return the headers by their names in lower case; in HAR they are a list of pairs."""
    if isinstance(headers, list):
        pairs = filter(None, map(_record, headers))
        return {str(pair.get("name")).lower(): pair.get("value") for pair in pairs}
    return {
        str(name).lower(): value[0] if isinstance(value, list) and value else value
        for name, value in _record(headers).items()
    }


def _record(value: Any) -> Record:
    return value if isinstance(value, dict) else {}


def _address(request: Record) -> str:
    """Return the URL of the request; early cassettes of vcrpy have only the path."""
    return str(request.get("uri") or request.get("url") or request.get("path") or "")


def _body(body: Any) -> bytes:
    if isinstance(body, dict):
        if isinstance(body.get("base64_string"), str):
            return _from_base64(body["base64_string"])
        if body.get("encoding") == "base64":
            return _from_base64(str(body.get("text") or ""))
        body = body.get("string", body.get("text"))
    if isinstance(body, str):
        return body.encode("utf-8", "replace")
    return body if isinstance(body, bytes) else b""


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise NoResponseError("its base64 is broken") from error


def _decompress(body: bytes, encoding: str) -> bytes:
    """Decompress the body; recorders keep the header even if they have decompressed it."""
    if body[:2] == b"\x1f\x8b":
        windows = [zlib.MAX_WBITS | 16]
    elif encoding == "deflate" and body[:1] not in b"[{":
        windows = [zlib.MAX_WBITS, -zlib.MAX_WBITS]
    else:
        return body
    for window in windows:
        unpacker = zlib.decompressobj(window)
        try:
            text = unpacker.decompress(body, MAX_BYTES_OF_A_RECORD)
        except zlib.error:
            continue
        if unpacker.unconsumed_tail:
            raise NoResponseError(f"it decompresses to more than {MAX_BYTES_OF_A_RECORD:,} bytes")
        if unpacker.eof:
            return text
    raise NoResponseError("its compression is broken")


def _seen_at(date: Any) -> str:
    """Parse the time of a response in a header, in Ruby's VCR or in a HAR."""
    if not date:
        return ""
    for parse in (parsedate_to_datetime, datetime.fromisoformat):
        with suppress(ValueError, OverflowError, TypeError):
            at = parse(str(date))
            return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
    return ""


def interactions(text: Utf8) -> Iterator[Any]:
    """Yield the interactions of a YAML cassette one by one.

    Raises:
        yaml.YAMLError: The rest of the file is not YAML.
        ArchiveError: It is nested too deep, or one interaction is too large.
    """
    reader = _Yaml(yaml.parse(text, Loader=_LOADER))
    for interaction in reader.items():
        text.reset_record_size()
        yield interaction


class _Yaml:
    """Builds plain values from the events of a YAML parser: texts, bytes, lists and mappings.

    Tags are ignored, except for base64. An alias is the same object as its anchor, not a copy, so
    that a small file cannot expand to a large one.
    """

    def __init__(self, events: Iterator[Any]) -> None:
        self._events = events
        self._anchored: dict[str, Any] = {}
        self._anchored_size = 0

    def items(self) -> Iterator[Any]:
        """Yield the items of the list of interactions: the document or an attribute of it."""
        for event in self._events:
            if isinstance(event, yaml.SequenceStartEvent):
                yield from self._sequence()
            elif isinstance(event, yaml.MappingStartEvent):
                yield from self._of_document()

    def _of_document(self) -> Iterator[Any]:
        for event in self._events:
            if isinstance(event, yaml.MappingEndEvent):
                return
            name = self._value(event, 1)
            event = next(self._events)
            if name in INTERACTIONS and isinstance(event, yaml.SequenceStartEvent):
                yield from self._sequence()
            else:
                self._value(event, 1)

    def _sequence(self) -> Iterator[Any]:
        for event in self._events:
            if isinstance(event, yaml.SequenceEndEvent):
                return
            yield self._value(event, 2)

    def _value(self, event: Any, level: int) -> Any:
        if level > MAX_LEVELS:
            raise ArchiveError(f"lists and mappings are nested more than {MAX_LEVELS} levels deep")
        if isinstance(event, yaml.AliasEvent):
            return self._anchored.get(str(event.anchor))
        value, end = self._node(event, level)
        if event.anchor:
            self._anchored[event.anchor] = value
            self._anchored_size += end.index - event.start_mark.index
            if self._anchored_size > MAX_BYTES_OF_A_RECORD:
                raise ArchiveError(f"its anchors have more than {MAX_BYTES_OF_A_RECORD:,} bytes")
        return value

    def _node(self, event: Any, level: int) -> tuple[Any, Any]:
        """Return the value that begins with an event, and where in the file it ends."""
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event), event.end_mark
        if isinstance(event, yaml.SequenceStartEvent):
            items = []
            while not isinstance(inner := next(self._events), yaml.SequenceEndEvent):
                items.append(self._value(inner, level + 1))
            return items, inner.end_mark
        mapping = {}
        while not isinstance(inner := next(self._events), yaml.MappingEndEvent):
            name = self._value(inner, level + 1)
            value = self._value(next(self._events), level + 1)
            if isinstance(name, str):
                # Ruby's symbols begin with a colon
                mapping[name.removeprefix(":")] = value
        return mapping, inner.end_mark


def _scalar(event: Any) -> str | bytes | None:
    if event.tag and event.tag.endswith("binary"):
        try:
            return base64.b64decode("".join(event.value.split()))
        except (binascii.Error, ValueError):
            return b""
    if event.implicit[0] and event.value in _NULLS:
        return None
    return str(event.value)
