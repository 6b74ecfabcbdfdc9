"""Unwrap records of the API: from envelopes, webhooks, search results, objects keyed by id."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import orjson

from ....records import Record
from ...records import CHILDREN, COLLECTIONS, KEYS, PARENTS, SINGULARS, parse_id, table_for_record
from .json_text import TRANSPORT
from .provenance import Provenance

Located = tuple[Any, Provenance]
"""A value and its provenance."""

_ENVELOPE = frozenset(
    {"body", "collection", "content", "data", "entity", "items", "list", "object", "payload"}
    | {"record", "records", "response", "result", "results", "value", "values"}
)
"""The attributes of an envelope that may contain what was requested."""


def is_interaction(value: Record) -> bool:
    """Check whether an object is a recorded request with its response."""
    return isinstance(value.get("request"), dict) and isinstance(value.get("response"), dict)


def is_record(value: Record, origin: Provenance) -> bool:
    """Check whether an object is a record and not a wrapper."""
    if table_for_record(value):
        return True
    key = KEYS.get(origin.expected, ("id",))[-1]
    return bool(origin.expected) and key in value and not isinstance(value.get("kind"), str)


def is_response(value: Any, origin: Provenance) -> bool:
    """Check whether a value is or contains a record of the API."""
    if isinstance(value, list):
        return any(is_response(item, origin) for item in value)
    if not isinstance(value, dict):
        return False
    if is_interaction(value) or is_record(value, origin) or is_history(value):
        return True
    return any(is_response(item, its_origin) for item, its_origin in unwrap_envelope(value, origin))


def is_empty(value: Record) -> bool:
    """Check whether an object is an empty response, such as `{"epics": [], "total_hits": 0}`."""
    return "id" not in value and any(
        name in COLLECTIONS and inner in ([], {}) for name, inner in value.items()
    )


def is_history(value: Record) -> bool:
    """Check whether an object contains the rows of a project's daily history."""
    return value.get("kind") == "daily_history_container"


def unwrap_envelope(value: Record, origin: Provenance) -> Iterator[Located]:
    """Yield the values in a wrapper, with their provenance.

    Args:
        value: The wrapper.
        origin: The provenance of the wrapper.
    """
    if isinstance(value.get("PathTemplate"), str) or isinstance(value.get("path"), str):
        body = value.get("Data", value.get("response"))
        if body is not None:
            yield body, envelope_provenance(value, origin)
            return
    has_kind = isinstance(value.get("kind"), str)
    origin = _with_ids_in(value, origin)
    for name, inner in value.items():
        if name in TRANSPORT:
            continue
        if isinstance(inner, str) and name in _ENVELOPE:
            inner = _parse_if_json(inner)
        for item, its_origin in (
            _named_value(name, inner, origin) if _may_contain_records(inner) else ()
        ):
            # an object with a kind only refers to single records; its lists contain records
            if not (has_kind and isinstance(item, dict) and is_record(item, its_origin)):
                yield item, its_origin


def _with_ids_in(value: Record, origin: Provenance) -> Provenance:
    """Return the provenance of records with the ids of their parents in the wrapper."""
    ids = dict(origin.ids)
    for name, collection in PARENTS.items():
        parent = value.get(name)
        number = parse_id(parent.get("id") if isinstance(parent, dict) else value.get(f"{name}_id"))
        if number is not None:
            ids[collection] = number
    return replace(origin, ids=ids)


def _may_contain_records(value: Any) -> bool:
    """Check whether a value may contain records."""
    if isinstance(value, list):
        return any(isinstance(item, dict | list) for item in value)
    return isinstance(value, dict) and bool(value)


def _named_value(name: str, inner: Any, origin: Provenance) -> Iterator[Located]:
    """Yield the value under a name, which may be a path, a collection, or an id."""
    number = parse_id(name)
    if "/services/v5/" in name:
        yield inner, origin.with_request_path(name)
    elif name in COLLECTIONS or name in SINGULARS:
        yield inner, replace(origin, expected=COLLECTIONS.get(name) or SINGULARS[name])
    elif number is None:
        yield inner, origin if name in _ENVELOPE else replace(origin, expected="")
    elif isinstance(inner, dict):
        yield ({"id": number, **inner} if origin.expected else inner), origin
    elif origin.expected in CHILDREN:
        yield inner, replace(origin, ids={**origin.ids, "stories": number})
    else:
        yield inner, origin


def _parse_if_json(text: str) -> Any:
    """Parse a text that may be JSON; return the text if it is not."""
    if not text.lstrip().startswith(("{", "[")):
        return text
    try:
        return orjson.loads(text)
    except ValueError:
        return text


def envelope_provenance(wrapper: Record, origin: Provenance) -> Provenance:
    """Return the provenance of a value with the path that its wrapper names."""
    path, keys = wrapper.get("path"), wrapper.get("Keys")
    if isinstance(wrapper.get("PathTemplate"), str):
        path = wrapper["PathTemplate"]
        for name, key in keys.items() if isinstance(keys, dict) else ():
            path = path.replace(f"{{{name}}}", str(key))
    return origin.with_request_path(path) if isinstance(path, str) else origin
