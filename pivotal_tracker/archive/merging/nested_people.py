"""Handle people who are nested in other records, at any depth.

The API returns ids, or objects if they are requested; LiteTracker always returns both. The tables
have a column for the id, and a row in `people`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...load.people import PERSON_ATTRIBUTES
from ...records import Record
from ..records import parse_id

_ATTRIBUTES = frozenset(
    {"person", "reviewer", "performed_by", "uploader", "requested_by", "owned_by", "owner"}
)
_LISTS = ("owners", "followers")
_KINDS = frozenset({"person", "me"})
_PUBLIC_ATTRIBUTES = ("id", "name", "initials", "username", "email")
_UNCHANGED_ATTRIBUTES = frozenset({"changes", "primary_resources", "secondary_resources"})
"""The attributes of an activity that are kept unchanged."""


def add_person_ids(table: str, record: Record) -> None:
    """Add the id of each nested person to a record, which keeps the nested person too.

    Args:
        table: The table of the record; empty for a nested record.
        record: The record, which is changed.
    """
    for name, value in list(record.items()):
        if name in _UNCHANGED_ATTRIBUTES:
            continue
        if isinstance(value, list):
            for item in value:
                if isinstance(item, dict):
                    add_person_ids("", item)
        elif isinstance(value, dict):
            if not _is_person(name, value):
                add_person_ids("", value)
            # these tables have columns for their person
            elif name != PERSON_ATTRIBUTES.get(table):
                column = "owned_by_id" if name == "owner" and table == "stories" else f"{name}_id"
                if record.get(column) is None:
                    record[column] = person_id(value)


def pop_people(table: str, record: Record) -> list[Record]:
    """Remove the nested people from a record, which has their ids too.

    Args:
        table: The table of the record.
        record: The record, which is changed.

    Returns:
        The records of people who have a name.
    """
    return list(_pop_people(record, PERSON_ATTRIBUTES.get(table, "")))


def _pop_people(record: Record, kept_attribute: str) -> Iterator[Record]:
    for name, value in list(record.items()):
        if name in _UNCHANGED_ATTRIBUTES:
            continue
        if _is_person(name, value):
            if name != kept_attribute:
                del record[name]
                yield from _named_person(value)
        elif name in _LISTS and isinstance(value, list):
            del record[name]
            for person in value:
                yield from _named_person(person) if isinstance(person, dict) else ()
        elif isinstance(value, dict):
            yield from _pop_people(value, "")
        elif isinstance(value, list):
            for item in value:
                yield from _pop_people(item, "") if isinstance(item, dict) else ()


def _is_person(name: str, value: Any) -> bool:
    """Check whether an attribute is a person, by its name or by the kind of its value."""
    if not isinstance(value, dict) or person_id(value) is None:
        return False
    return name in _ATTRIBUTES or value.get("kind") in _KINDS


def person_id(person: Record) -> int | None:
    """Return the id of a person; in LiteTracker's owners it is `user_id`, not `id`."""
    return parse_id(person.get("user_id", person.get("id")))


def _named_person(person: Record) -> Iterator[Record]:
    """Yield the record of a person, if the name is known."""
    number = person_id(person)
    if number is not None and "name" in person:
        yield person_record(person, number)


def person_record(person: Record, number: Any) -> Record:
    """Return the public attributes of a person: `/me` has private ones about the token's owner."""
    known = {name: person[name] for name in _PUBLIC_ATTRIBUTES if name in person}
    return {**known, "id": number, "kind": "person"}
