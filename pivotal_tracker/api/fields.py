"""What a request asks for in `fields`: names of attributes, nested ones in parentheses."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

OF_EVERY_RECORD = frozenset({":default", "id", "kind"})
"""What any server has, whatever its errors seem to say."""


def without(fields: Sequence[str], refused: Collection[str]) -> list[str]:
    """The fields that are left when some names are taken out, at whatever depth.

    Args:
        fields: As an endpoint asks for them: `["tasks", "comments(:default,google_attachments)"]`.
        refused: Names, without what is nested in them.
    """
    left = []
    for one in fields:
        name, inner = _parted(one)
        if name not in refused:
            nested = ",".join(without(inner, refused))
            left.append(f"{name}({nested})" if nested else name)
    return left


def named_in(problem: str, fields: Sequence[str]) -> set[str]:
    """The names that the text of an error tells: the nested ones, if there are any.

    An error that says where a nested one stands names what it is in too, which may be fine.
    """
    told: dict[int, set[str]] = {}
    for depth, name in _names(fields):
        if name not in OF_EVERY_RECORD and re.search(rf"\b{re.escape(name)}\b", problem):
            told.setdefault(depth, set()).add(name)
    return told[max(told)] if told else set()


def outermost(fields: Sequence[str]) -> set[str]:
    """The names that are not nested, but for what any server has."""
    return {_parted(one)[0] for one in fields} - OF_EVERY_RECORD


def _names(fields: Sequence[str], depth: int = 0) -> Iterator[tuple[int, str]]:
    for one in fields:
        name, inner = _parted(one)
        yield depth, name
        yield from _names(inner, depth + 1)


def _parted(one: str) -> tuple[str, list[str]]:
    """The name of a field, and the fields nested in it."""
    name, _, inner = one.partition("(")
    return name, _split(inner[:-1])


def _split(fields: str) -> list[str]:
    parts, depth, begin = [], 0, 0
    for place, letter in enumerate(fields):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and not depth:
            parts.append(fields[begin:place])
            begin = place + 1
    return [one for one in (*parts, fields[begin:]) if one]
