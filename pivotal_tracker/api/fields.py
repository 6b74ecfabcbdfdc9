"""The parameter `fields` of a request: names of attributes, nested ones in parentheses."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

ALWAYS_SUPPORTED = frozenset({":default", "id", "kind"})
"""Supported by every server; an error that mentions one of them means another field."""


def exclude_fields(fields: Sequence[str], refused: Collection[str]) -> list[str]:
    """Return the fields without some names, at any depth.

    Args:
        fields: As in `Endpoint.fields`: `["tasks", "comments(:default,google_attachments)"]`.
        refused: Names to leave out, with what is nested in them.
    """
    kept = []
    for field in fields:
        name, inner = _parse_field(field)
        if name not in refused:
            nested = ",".join(exclude_fields(inner, refused))
            kept.append(f"{name}({nested})" if nested else name)
    return kept


def fields_named_in(problem: str, fields: Sequence[str]) -> set[str]:
    """Return the fields that the text of an error names; only the most deeply nested ones.

    An error about a nested field may also name the field around it, which may be supported.
    """
    names_by_depth: dict[int, set[str]] = {}
    for depth, name in _names(fields):
        if name not in ALWAYS_SUPPORTED and re.search(rf"\b{re.escape(name)}\b", problem):
            names_by_depth.setdefault(depth, set()).add(name)
    return names_by_depth[max(names_by_depth)] if names_by_depth else set()


def top_level_names(fields: Sequence[str]) -> set[str]:
    """Return the names that are not nested, without those that every server supports."""
    return {_parse_field(field)[0] for field in fields} - ALWAYS_SUPPORTED


def _names(fields: Sequence[str], depth: int = 0) -> Iterator[tuple[int, str]]:
    for field in fields:
        name, inner = _parse_field(field)
        yield depth, name
        yield from _names(inner, depth + 1)


def _parse_field(field: str) -> tuple[str, list[str]]:
    """Return the name of a field, and the fields nested in it."""
    name, _, inner = field.partition("(")
    return name, _split(inner[:-1])


def _split(fields: str) -> list[str]:
    parts, depth, begin = [], 0, 0
    for position, letter in enumerate(fields):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and not depth:
            parts.append(fields[begin:position])
            begin = position + 1
    return [part for part in (*parts, fields[begin:]) if part]
