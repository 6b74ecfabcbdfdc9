"""The `fields` parameter: which attributes of a record are returned.

A `RecordType` describes what can be requested of a kind of record. Together with a `Selection` it
makes a serializer, once for a whole page, so that only what was requested is computed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import ApiError, invalid_parameter
from .request_view import RequestView
from .workspace import Record

Serializer = Callable[[RequestView, Record], Record]
"""Makes the record that is returned from the one that is stored."""

NULLABLE = frozenset({"before_id", "after_id"})
"""The only attributes that are null if there is no value; all others are left out."""

MAX_DEPTH = 20
"""How deep `fields` may be nested; no record is nested more than 5 deep."""

_TOKEN = re.compile(r"[:\w]+|[(),]")


@dataclass(frozen=True)
class ComputedField:
    """An attribute that is not simply stored in the record.

    Attributes:
        compute: Returns a value, a record or a list of records; None if there is none.
        record_type: The type of those records, whose fields can be chosen; None for a plain value.
        default: Whether it is returned without being requested.
        replaces: The stored attribute that it replaces when it is requested.
    """

    compute: Callable[[RequestView, Record], Any]
    record_type: RecordType | None = None
    default: bool = False
    replaces: str | None = None


@dataclass(frozen=True)
class RecordType:
    """What can be requested of one kind of record.

    Attributes:
        stored: The stored attributes that can be requested by name. All that is stored is returned
            without being requested, whether it is named here or not.
        on_request: Stored attributes that are returned only when they are requested.
        computed: The attributes that are computed, by name.
    """

    stored: frozenset[str]
    on_request: frozenset[str] = frozenset()
    computed: Mapping[str, ComputedField] = field(default_factory=dict)

    def has(self, name: str) -> bool:
        """Check whether there is such an attribute."""
        return name in self.stored or name in self.on_request or name in self.computed


@dataclass(frozen=True)
class Selection:
    """The fields requested of one kind of record.

    Attributes:
        default: Whether the default fields are among them.
        names: The fields requested by name, each with the fields of the records in it.
    """

    default: bool
    names: Mapping[str, Selection] = field(default_factory=dict)

    def all_names(self) -> Iterator[str]:
        """Yield every field that is named, including nested ones."""
        for name, nested in self.names.items():
            yield name
            yield from nested.all_names()


DEFAULT = Selection(default=True)


def parse_fields(text: str | None) -> Selection:
    """Parse a `fields` parameter, such as `:default,comments(:default,person(name))`.

    Raises:
        ApiError: The syntax is invalid.
    """
    if not text:
        return DEFAULT
    tokens = _TOKEN.findall(text)
    if "".join(tokens) != text:
        raise _syntax_error(text)
    tokens.reverse()
    selection = _parse_list(tokens, text, MAX_DEPTH)
    if tokens:
        raise _syntax_error(text)
    return selection


def make_serializer(record_type: RecordType, selection: Selection) -> Serializer:
    """Make the function that serializes a record with the fields requested.

    Raises:
        ApiError: There is no such field, or it has no nested fields.
    """
    _require_known_fields(record_type, selection)
    select_stored = _stored_selector(record_type, selection)
    parts = [
        (name, each.compute, _nested_serializer(each, selection.names.get(name, DEFAULT)))
        for name, each in record_type.computed.items()
        if name in selection.names or (selection.default and each.default)
    ]
    if not parts:
        return lambda _, record: select_stored(record)

    def serialize(view: RequestView, record: Record) -> Record:
        serialized = select_stored(record)
        for name, compute, serialize_nested in parts:
            value = compute(view, record)
            if value is not None or name in NULLABLE:
                serialized[name] = serialize_nested(view, value)
        return serialized

    return serialize


def _require_known_fields(record_type: RecordType, selection: Selection) -> None:
    for name, nested in selection.names.items():
        if not record_type.has(name):
            raise invalid_parameter(f"this endpoint cannot give the field: {name}")
        computed = record_type.computed.get(name)
        if nested is not DEFAULT and (computed is None or computed.record_type is None):
            raise invalid_parameter(f"there are no fields to choose from in: {name}")


def _stored_selector(record_type: RecordType, selection: Selection) -> Callable[[Record], Record]:
    if not selection.default:
        names = ("id", *(name for name in selection.names if name not in record_type.computed))
        return lambda record: {name: record[name] for name in names if name in record}
    replaced = {
        each.replaces
        for name, each in record_type.computed.items()
        if name in selection.names and each.replaces
    }
    hidden = (record_type.on_request - selection.names.keys()) | replaced
    hidden |= record_type.computed.keys()
    if not hidden:
        return lambda record: record
    return lambda record: {name: value for name, value in record.items() if name not in hidden}


def _nested_serializer(
    computed: ComputedField, selection: Selection
) -> Callable[[RequestView, Any], Any]:
    if computed.record_type is None:
        return lambda _, value: value
    serialize = make_serializer(computed.record_type, selection)

    def serialize_nested(view: RequestView, value: Any) -> Any:
        if isinstance(value, list):
            return [serialize(view, record) for record in value]
        return serialize(view, value)

    return serialize_nested


def _parse_list(tokens: list[str], text: str, max_depth: int) -> Selection:
    """Parse a list of names; the next token is the last one of the list."""
    if not max_depth:
        raise invalid_parameter(f"'fields' must not be nested more than {MAX_DEPTH} deep")
    default, names = False, dict[str, Selection]()
    while True:
        name = tokens.pop() if tokens else ""
        if name == ":default":
            default = True
        elif name.isidentifier():
            names[name] = _parse_nested(tokens, text, max_depth - 1)
        else:
            raise _syntax_error(text)
        if not tokens or tokens[-1] != ",":
            return Selection(default, names)
        tokens.pop()


def _parse_nested(tokens: list[str], text: str, max_depth: int) -> Selection:
    if not tokens or tokens[-1] != "(":
        return DEFAULT
    tokens.pop()
    selection = _parse_list(tokens, text, max_depth)
    if not tokens or tokens.pop() != ")":
        raise _syntax_error(text)
    return selection


def _syntax_error(text: str) -> ApiError:
    return invalid_parameter(f"'fields' must be names with commas and parentheses, not: {text}")
