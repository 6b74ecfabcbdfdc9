"""People who are told as objects inside other records, at whatever depth.

The API gives ids, or objects to who asks for them, and LiteTracker always gives both. The tables
have an id column, and a row in `people`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..format import Record
from ..records import whole_number

_ATTRIBUTES = frozenset(
    {"person", "reviewer", "performed_by", "uploader", "requested_by", "owned_by", "owner"}
)
_LISTS = ("owners", "followers")
_KINDS = frozenset({"person", "me"})
_TOLD_OF_A_PERSON = ("id", "name", "initials", "username", "email")
_STAYS_AN_OBJECT = {
    "project_memberships": "person",
    "account_memberships": "person",
    "activity": "performed_by",
}
"""The attribute that holds a person in the tables that have columns for it."""

_NOT_LOOKED_INTO = frozenset({"changes", "primary_resources", "secondary_resources"})
"""What an activity says of values, which is kept as it was."""


def add_person_ids(table: str, record: Record) -> None:
    """Adds an id to a record for each person in it, who stays there as an object.

    Args:
        table: Where it belongs; empty for a record inside another.
        record: As it was found.
    """
    for name, value in list(record.items()):
        if name in _NOT_LOOKED_INTO:
            continue
        if isinstance(value, list):
            for item in value:
                if isinstance(item, dict):
                    add_person_ids("", item)
        elif isinstance(value, dict):
            if not _is_person(name, value):
                add_person_ids("", value)
            elif name != _STAYS_AN_OBJECT.get(table):
                column = "owned_by_id" if name == "owner" and table == "stories" else f"{name}_id"
                if record.get(column) is None:
                    record[column] = person_id(value)


def pop_people(table: str, record: Record) -> list[Record]:
    """Takes the people out of a record, where they are objects beside their ids.

    Args:
        table: Where it belongs.
        record: It loses the objects.

    Returns:
        The records of those who are named.
    """
    return list(_popped_people(record, _STAYS_AN_OBJECT.get(table, "")))


def _popped_people(record: Record, kept: str) -> Iterator[Record]:
    for name, value in list(record.items()):
        if name in _NOT_LOOKED_INTO:
            continue
        if _is_person(name, value):
            if name != kept:
                del record[name]
                yield from _named(value)
        elif name in _LISTS and isinstance(value, list):
            del record[name]
            for person in value:
                yield from _named(person) if isinstance(person, dict) else ()
        elif isinstance(value, dict):
            yield from _popped_people(value, "")
        elif isinstance(value, list):
            for item in value:
                yield from _popped_people(item, "") if isinstance(item, dict) else ()


def _is_person(name: str, value: Any) -> bool:
    """Whether an attribute holds a person: by its name, or by the kind of what it holds."""
    if not isinstance(value, dict) or person_id(value) is None:
        return False
    return name in _ATTRIBUTES or value.get("kind") in _KINDS


def person_id(person: Record) -> int | None:
    """The id of a person; LiteTracker's owners have it as `user_id` beside one of their own."""
    return whole_number(person.get("user_id", person.get("id")))


def _named(person: Record) -> Iterator[Record]:
    """The record of a person, if more than the id is told."""
    number = person_id(person)
    if number is not None and "name" in person:
        yield person_record(person, number)


def person_record(person: Record, number: Any) -> Record:
    """What is public of a person; of oneself, `/me` tells much that is no one else's business."""
    told = {name: person[name] for name in _TOLD_OF_A_PERSON if name in person}
    return {**told, "id": number, "kind": "person"}
