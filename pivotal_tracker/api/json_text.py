"""Parse JSON as servers send it, and replace characters that no database can store."""

from __future__ import annotations

import codecs
import json as stdlib_json
import re
import sys
from typing import Any

import requests
from dlt.common.json import json

_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*"|[][{},]', re.DOTALL)
"""A string, or a bracket or comma of lists and objects."""

_UNSTORABLE_CHARS = re.compile("[\x00\ud800-\udfff]")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


class InvalidJsonError(requests.exceptions.RequestException):
    """A response of status 200 whose body is not JSON: a proxy's page, or a body cut short."""


def looks_like_json(content: bytes) -> bool:
    """Check whether a body begins and ends as JSON does: not a proxy's page or half a body."""
    text = content.removeprefix(codecs.BOM_UTF8).strip()
    return text[:1] + text[-1:] in (b"[]", b"{}")


def parse_json(content: bytes) -> tuple[Any, int]:
    """Parse JSON; return the value and the number of characters that were replaced.

    NUL and lone surrogates are replaced: no database can store them.

    Raises:
        InvalidJsonError: It is not JSON.
    """
    content = content.removeprefix(codecs.BOM_UTF8)
    try:
        value = json.loadb(content)
    except ValueError:
        # only the fast parser refuses a lone surrogate that is written as an escape
        try:
            value = stdlib_json.loads(content.decode(), parse_int=_as_number)
        except UnicodeDecodeError as error:
            raise InvalidJsonError("not UTF-8") from error
        except (ValueError, RecursionError) as error:
            raise InvalidJsonError(f"not JSON: {len(content)} bytes") from error
        return _replace_unstorable(value)
    return _replace_unstorable(value) if b"\\u0000" in content else (value, 0)


def split_list(content: bytes) -> list[bytes] | None:
    """Split a JSON list into the texts of its elements, which need not be valid JSON.

    Return None if brackets and quotes do not match, as in half a list.
    """
    elements: list[bytes] = []
    depth, begin = 0, 0
    for token in _STRUCTURE.finditer(content):
        mark = token[0]
        if mark in (b"{", b"["):
            depth += 1
            begin = begin or token.end()
        elif mark in (b"}", b"]"):
            depth -= 1
        if depth == 0 or (depth == 1 and mark == b","):
            elements.append(content[begin : token.start()].strip())
            begin = token.end()
        if depth == 0:
            is_list = content.lstrip()[:1] == b"[" and not content[begin:].strip()
            return [element for element in elements if element] if is_list else None
    return None


def _as_number(digits: str) -> int | float:
    """Convert an integer as the fast parser does: one that fits no column becomes a float."""
    number = int(digits)
    is_exact = -(2**63) <= number < 2**64 or abs(number) > sys.float_info.max
    return number if is_exact else float(number)


def _replace_unstorable(value: Any) -> tuple[Any, int]:
    """Copy a value with NUL and lone surrogates replaced; return it with their number."""
    if isinstance(value, str):
        return _UNSTORABLE_CHARS.subn(_REPLACEMENT, value)
    if isinstance(value, list):
        items = [_replace_unstorable(item) for item in value]
        return [item for item, _ in items], sum(number for _, number in items)
    if isinstance(value, dict):
        pairs = [
            (_replace_unstorable(name), _replace_unstorable(item)) for name, item in value.items()
        ]
        number = sum(in_name + in_item for (_, in_name), (_, in_item) in pairs)
        return {name: item for (name, _), (item, _) in pairs}, number
    return value, 0
