"""Read JSON of any size record by record, and recover as much as possible if it is broken."""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Iterator
from decimal import Decimal
from itertools import chain
from typing import Any, BinaryIO

import ijson
import orjson

from ....records import Record
from ...files import ArchiveError
from ...limits import MAX_BYTES_OF_A_RECORD, MAX_LEVELS

Events = Iterator[tuple[str, Any]]
Value = tuple[Record, Any]
"""The attributes of the wrapper that came before the value, and the value."""

_WRAPPED = frozenset({"data", "Data", "response", "interactions", "http_interactions", "entries"})
"""The attributes of envelopes, cassettes and other lists of responses that contain the records."""

_HAR = "log"
"""The attribute of a HAR file, which browsers save, that contains its entries."""

TRANSPORT = frozenset(
    {"browser", "cache", "config", "cookies", "creator", "header", "headers", "meta", "options"}
    | {"pages", "pagination", "paging", "params", "parameters", "query", "request", "timings"}
    | {"Keys"}
)
"""The attributes of envelopes that describe the request or response and contain no records."""

BROKEN_JSON = (ijson.JSONError, UnicodeDecodeError)

REPLACEMENT = "\ufffd".encode()
_ESCAPES = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(u[dD][89a-fA-F][0-9a-fA-F]{2}|u0000)|.)",
    re.DOTALL,
)
_ESCAPE_PREFIXES = (b"\\ud", b"\\uD", b"\\u0000")
_MAX_ESCAPE_LENGTH = 12
_LONG_NUMBER = re.compile(rb"\d{19}")
_MAX_INTEGER_LENGTH = 20
MAX_DIGITS = 4_000
"""Python refuses integers of more than 4,300 digits, and the parser crashes on the error."""
_TOO_MANY_DIGITS = re.compile(rb"\d{%d}" % MAX_DIGITS)
_UTF_16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


class Utf8:
    """A stream that converts a file of any encoding to valid UTF-8 for a parser.

    Invalid bytes and NULs become U+FFFD. UTF-16 is recognized by its byte order mark, which is
    removed.

    Attributes:
        replaced: The number of characters replaced by U+FFFD.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._encoding = ""
        self._since_record = 0
        self.replaced = 0

    def reset_record_size(self) -> None:
        """Reset the size of the current record: it has ended."""
        self._since_record = 0

    def read(self, size: int = -1) -> bytes:
        """Read about `size` bytes, and at least one except at the end.

        Raises:
            ArchiveError: A record is too large.
        """
        if size == 0:
            return b""
        while chunk := self._stream.read(size):
            self._since_record += len(chunk)
            if self._since_record > MAX_BYTES_OF_A_RECORD:
                raise ArchiveError(
                    f"a single record is longer than {MAX_BYTES_OF_A_RECORD:,} bytes"
                )
            if text := self._clean(chunk, is_last=False):
                return text
        return self._clean(b"", is_last=True)

    def _clean(self, chunk: bytes, *, is_last: bool) -> bytes:
        if not self._encoding:
            self._encoding = _UTF_16.get(chunk[:2], "utf-8")
            self._decoder = codecs.getincrementaldecoder(self._encoding)("replace")
            if self._encoding != "utf-8":
                chunk = chunk[2:]
            chunk = chunk.removeprefix(codecs.BOM_UTF8)
        before = (self._decoder.getstate()[0] + chunk).count(REPLACEMENT)
        # lone surrogates are as invalid in UTF-8 as bytes of another encoding
        text = self._decoder.decode(chunk, is_last)
        nuls = text.count("\0")
        clean = text.replace("\0", "\ufffd").encode("utf-8", "replace")
        if nuls or REPLACEMENT in clean:
            self.replaced += max(clean.count(REPLACEMENT) - before, 0)
        return clean


class JsonText(Utf8):
    """A stream of JSON: escaped NULs and lone surrogates become U+FFFD too.

    Reading raises `ArchiveError` at thousands of digits in a row.
    """

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__(stream)
        self._pending = b""
        self._digits = b""

    def _clean(self, chunk: bytes, *, is_last: bool) -> bytes:
        text = self._pending + super()._clean(chunk, is_last=is_last)
        end = len(text) if is_last else _safe_cut(text)
        self._pending = text[end:]
        clean, replaced = repair_escapes(text[:end])
        self.replaced += replaced
        self._check_digits(clean)
        return clean

    def _check_digits(self, text: bytes) -> None:
        text = self._digits + text
        if _TOO_MANY_DIGITS.search(text):
            raise ArchiveError(f"it has more than {MAX_DIGITS:,} digits in a row")
        self._digits = text[len(text.rstrip(b"0123456789")) :]


def _safe_cut(text: bytes) -> int:
    """Return where to cut a text without splitting an escape."""
    cut = text.find(b"\\", max(len(text) - _MAX_ESCAPE_LENGTH, 0))
    if cut < 0:
        return len(text)
    while cut and text[cut - 1] == ord("\\"):
        cut -= 1
    return cut


def repair_escapes(text: bytes) -> tuple[bytes, int]:
    """Replace invalid escapes in JSON, and return it with the number of replacements."""
    if not any(escape in text for escape in _ESCAPE_PREFIXES):
        return text, 0
    replaced = 0

    def repair(match: re.Match[bytes]) -> bytes:
        nonlocal replaced
        if not match[1]:
            return match[0]
        replaced += 1
        return rb"\ufffd"

    return _ESCAPES.sub(repair, text), replaced


def parse(text: bytes) -> tuple[Any, int]:
    """Parse a small JSON value, and return it with the number of replaced characters.

    Integers of more than 64 bits become texts: no column can store them, and a float would lose
    digits.

    Raises:
        ValueError: It is not JSON, or nested too deep.
    """
    clean, replaced = repair_escapes(text)
    value = orjson.loads(clean)
    _check_depth(value)
    if _LONG_NUMBER.search(clean):
        value = json.loads(clean, parse_int=_integer)
    return value, replaced


def _integer(digits: str) -> int | str:
    """Return an integer, or its digits as a text if no column can store it."""
    return digits if len(digits) > _MAX_INTEGER_LENGTH else _number(int(digits))


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_LEVELS):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise ValueError(f"nested more than {MAX_LEVELS} levels deep")


def values(text: Utf8) -> Iterator[Value]:
    """Yield the values of a JSON file one by one; it may contain several after each other.

    Lists, also nested ones, are yielded item by item. So are the records in a wrapper, each with
    the attributes of the wrapper that came before them. Numbers are as in `parse`.

    Raises:
        ijson.JSONError: The rest of the file is not JSON.
        ArchiveError: It is nested too deep, or one value is too large.
    """
    events: Events = ijson.basic_parse(text, multiple_values=True)
    for event, value in events:
        for item in _values(events, event, value, {}, 0):
            text.reset_record_size()
            yield item


def _values(events: Events, event: str, value: Any, wrapper: Record, level: int) -> Iterator[Value]:
    _check_level(level)
    if event == "start_array":
        for event, value in events:
            if event == "end_array":
                return
            yield from _values(events, event, value, wrapper, level + 1)
    elif event == "start_map":
        yield from _object(events, wrapper, level)
    else:
        yield wrapper, _number(value) if event == "number" else value


def _object(events: Events, wrapper: Record, level: int) -> Iterator[Value]:
    record: Record = {}
    is_wrapper = False
    for event, key in events:
        if event == "end_map":
            break
        event, value = next(events)
        if event == "start_map" and key == _HAR:
            is_wrapper = True
            yield from _object(events, wrapper | record, level + 1)
            continue
        if event == "start_array" and key in _WRAPPED:
            first = next(events)
            events = chain([first], events)
            # a daily history is a list of lists under the same name
            if first[0] != "start_array":
                is_wrapper = True
                yield from _values(events, event, value, wrapper | record, level + 1)
                continue
        record[key] = _build(events, event, value, level + 1)
    if not is_wrapper or _has_other_content(record):
        yield wrapper, record


def _has_other_content(record: Record) -> bool:
    """Check whether a wrapper contains other objects or lists besides its records."""
    names = record.keys() - TRANSPORT
    return any(isinstance(record[name], dict | list) for name in names)


def _build(events: Events, event: str, value: Any, level: int) -> Any:
    """Build the value that begins with an event."""
    _check_level(level)
    if event == "start_map":
        record: Record = {}
        for event, key in events:
            if event == "end_map":
                break
            event, value = next(events)
            record[key] = _build(events, event, value, level + 1)
        return record
    if event == "start_array":
        items = []
        for event, value in events:
            if event == "end_array":
                break
            items.append(_build(events, event, value, level + 1))
        return items
    return _number(value) if event == "number" else value


def _number(value: int | Decimal) -> Any:
    """Return a number, or its text if no column can store it, so that no digit is lost."""
    if isinstance(value, Decimal):
        number = float(value)
        return number if math.isfinite(number) else str(value)
    return value if -(2**63) <= value < 2**63 else str(value)


def _check_level(level: int) -> None:
    if level > MAX_LEVELS:
        raise ArchiveError(f"lists and objects are nested more than {MAX_LEVELS} levels deep")
