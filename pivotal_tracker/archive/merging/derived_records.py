"""Derive records from others: for example, the labels, review types and project of a story."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from ...records import Record
from ..records import parse_id, release_of
from .nested_people import pop_people


class Derived(NamedTuple):
    """A record that is derived from another.

    Attributes:
        table: Its table.
        key: Its id.
        record: The attributes that are known.
    """

    table: str
    key: int
    record: Record


def pop_derived(table: str, record: Record) -> Iterator[Derived]:
    """Yield the records that can be derived from a record.

    Args:
        table: The table of the record.
        record: The nested people and projects are removed from it; they are rows of their own.
    """
    for person in pop_people(table, record):
        yield Derived("people", person["id"], person)
    if table == "activity":
        yield from project_of(record.get("project"))
    elif isinstance(project := record.get("project"), dict):
        del record["project"]
        yield from project_of(project)
    if table != "projects":
        yield from project_of({"id": record.get("project_id")})
    else:
        yield from _account_of(record)
    if table == "stories":
        yield from _labels(record.get("labels", []), record)
        yield from _review_types(record.get("reviews", []))
        if record.get("story_type") == "release":
            yield Derived("releases", record["id"], release_of(record))
    elif table == "epics":
        yield from _labels([record.get("label")], record)


def project_of(project: Any) -> Iterator[Derived]:
    """Yield the project that a record refers to: its id, and perhaps its name."""
    number = parse_id(project.get("id")) if isinstance(project, dict) else None
    if number is not None:
        named = {"name": project["name"]} if "name" in project else {}
        yield Derived("projects", number, {"id": number, "kind": "project", **named})


def _account_of(project: Record) -> Iterator[Derived]:
    account = project.pop("account", None)
    if isinstance(account, dict) and (number := parse_id(account.get("id"))) is not None:
        project.setdefault("account_id", number)
        yield Derived("accounts", number, {**account, "id": number})


def _labels(labels: list[Any], of: Record) -> Iterator[Derived]:
    for label in labels:
        number = parse_id(label.get("id")) if isinstance(label, dict) else None
        if number is not None and number > 0:
            known = {"project_id": of["project_id"]} if "project_id" in of else {}
            yield Derived("labels", number, {**known, **label, "id": number})


def _review_types(reviews: list[Record]) -> Iterator[Derived]:
    for review in reviews:
        review_type = review.get("review_type")
        number = parse_id(review_type.get("id")) if isinstance(review_type, dict) else None
        if number is not None:
            yield Derived("review_types", number, {**review_type, "id": number})  # type: ignore[dict-item]
