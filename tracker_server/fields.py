"""The `fields` parameter: what was asked for, and how a record is given accordingly.

A `Kind` says what can be asked of its records. Together with a `Selection` it makes a function that
gives one record, once for a whole page, so that only what was asked for is worked out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tracker_server.errors import invalid_parameter
from tracker_server.request_view import Reading
from tracker_server.workspace.model import Record

Give = Callable[[Reading, Record], Record]
"""Makes of a record what the answer says of it."""

NULLABLE = frozenset({"before_id", "after_id"})
"""The only attributes that are null where there is no value; all others are left out."""

MAX_DEPTH = 20
"""How deep `fields` may be nested; no record is nested more than 5 deep."""

_TOKEN = re.compile(r"[:\w]+|[(),]")


@dataclass(frozen=True)
class Made:
    """An attribute that is not simply stored in the record.

    Attributes:
        read: Works it out: a value, a record or a list of records; None where there is none.
        kind: The kind of those records, which `fields` can choose from; None for a plain value.
        default: Whether it is given without being asked for.
        instead_of: The attribute that it takes the place of when it is asked for.
    """

    read: Callable[[Reading, Record], Any]
    kind: Kind | None = None
    default: bool = False
    instead_of: str | None = None


@dataclass(frozen=True)
class Kind:
    """What can be asked of one kind of record.

    Attributes:
        attributes: The attributes that can be requested by name. What is stored is returned without
            being requested, whether it is named here or not.
        on_request: Stored attributes that are given only when asked for.
        made: The attributes that are worked out, by name.
    """

    attributes: frozenset[str]
    on_request: frozenset[str] = frozenset()
    made: Mapping[str, Made] = field(default_factory=dict)

    def knows(self, name: str) -> bool:
        """Say whether there is such an attribute."""
        return name in self.attributes or name in self.on_request or name in self.made


@dataclass(frozen=True)
class Selection:
    """What `fields` asks for of one kind of record.

    Attributes:
        default: Whether the default set is among it.
        names: The attributes asked for, each with what is asked of the records behind it.
    """

    default: bool
    names: Mapping[str, Selection] = field(default_factory=dict)

    def all_names(self) -> Iterator[str]:
        """Give every attribute that is named, the nested ones included."""
        for name, nested in self.names.items():
            yield name
            yield from nested.all_names()


DEFAULT = Selection(default=True)


def parse(text: str | None) -> Selection:
    """Read a `fields` parameter, such as `:default,comments(:default,person(name))`.

    Raises:
        ApiError: It cannot be read.
    """
    if not text:
        return DEFAULT
    tokens = _TOKEN.findall(text)
    if "".join(tokens) != text:
        raise _unreadable(text)
    tokens.reverse()
    selection = _selection(tokens, text, MAX_DEPTH)
    if tokens:
        raise _unreadable(text)
    return selection


def giver(kind: Kind, selection: Selection) -> Give:
    """Make the function that gives a record of a kind as it was asked for.

    Raises:
        ApiError: There is no such attribute, or something nested in it is asked for and there is
            nothing to nest.
    """
    for name, nested in selection.names.items():
        if not kind.knows(name):
            raise invalid_parameter(f"this endpoint cannot give the field: {name}")
        if nested is not DEFAULT and (name not in kind.made or kind.made[name].kind is None):
            raise invalid_parameter(f"there are no fields to choose from in: {name}")
    give_stored = _give_stored(kind, selection)
    parts = [
        (name, made.read, _give_nested(made, selection.names.get(name, DEFAULT)))
        for name, made in kind.made.items()
        if name in selection.names or (selection.default and made.default)
    ]
    if not parts:
        return lambda _, record: give_stored(record)

    def give(reading: Reading, record: Record) -> Record:
        given = give_stored(record)
        for name, read, give_nested in parts:
            value = read(reading, record)
            if value is not None or name in NULLABLE:
                given[name] = give_nested(reading, value)
        return given

    return give


def _give_stored(kind: Kind, selection: Selection) -> Callable[[Record], Record]:
    if not selection.default:
        names = ("id", *(name for name in selection.names if name not in kind.made))
        return lambda record: {name: record[name] for name in names if name in record}
    replaced = {
        made.instead_of
        for name, made in kind.made.items()
        if name in selection.names and made.instead_of
    }
    hidden = (kind.on_request - selection.names.keys()) | kind.made.keys() | replaced
    if not hidden:
        return lambda record: record
    return lambda record: {name: value for name, value in record.items() if name not in hidden}


def _give_nested(made: Made, selection: Selection) -> Callable[[Reading, Any], Any]:
    if made.kind is None:
        return lambda _, value: value
    give = giver(made.kind, selection)

    def give_nested(reading: Reading, value: Any) -> Any:
        if isinstance(value, list):
            return [give(reading, record) for record in value]
        return give(reading, value)

    return give_nested


def _selection(tokens: list[str], text: str, max_depth: int) -> Selection:
    """Take a list of names off the tokens, whose next one is last."""
    if not max_depth:
        raise invalid_parameter(f"'fields' must not be nested more than {MAX_DEPTH} deep")
    default, names = False, dict[str, Selection]()
    while True:
        name = tokens.pop() if tokens else ""
        if name == ":default":
            default = True
        elif name.isidentifier():
            names[name] = _nested(tokens, text, max_depth - 1)
        else:
            raise _unreadable(text)
        if not tokens or tokens[-1] != ",":
            return Selection(default, names)
        tokens.pop()


def _nested(tokens: list[str], text: str, max_depth: int) -> Selection:
    if not tokens or tokens[-1] != "(":
        return DEFAULT
    tokens.pop()
    selection = _selection(tokens, text, max_depth)
    if not tokens or tokens.pop() != ")":
        raise _unreadable(text)
    return selection


def _unreadable(text: str) -> Exception:
    return invalid_parameter(f"'fields' must be names with commas and parentheses, not: {text}")
