"""LiteTracker's dialect of API v5, as its customers' programs see it.

Observed: stories and projects have a `title` and no `name`; `owners` name the person as `user_id`;
labels have three attributes; stories may lack `project_id`, and projects have no `version`; every
comment names its author as a nested person; only a few endpoints exist. The server ignores what it
does not know in a request. A `filter` of several clauses finds nothing, and on a large project
every `filter` ends with 504.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from .request_view import RequestView
from .workspace import Record

_PAGING = frozenset({"limit", "offset"})

LITETRACKER_ENDPOINTS: dict[str, frozenset[str]] = {
    "/me": frozenset(),
    "/projects": frozenset(),
    "/projects/{id}/stories": _PAGING | {"filter"},
    "/projects/{id}/stories/{id}": frozenset(),
    "/projects/{id}/stories/{id}/comments": frozenset(),
    "/projects/{id}/memberships": frozenset(),
    "/projects/{id}/activity": _PAGING | {"occurred_after"},
}
"""The endpoints of this server that are known to work there, with their working parameters."""

_OMITTED = {
    "project": {"version"},
    "story": {"owner_ids", "owned_by_id", "project_id"},
    "activity": {"project_version"},
}
_CLAUSE = re.compile(r'(?:\w+:)?"[^"]*"|\S+')


def to_litetracker(view: RequestView, record: Record) -> Record:
    """Convert a record to LiteTracker's dialect."""
    kind = str(record.get("kind", ""))
    if kind == "comment":
        return record | {"person": _person(view, record.get("person_id"), "id")}
    omitted = _OMITTED.get("activity" if kind.endswith("_activity") else kind)
    if omitted is None:
        return record
    converted = {name: value for name, value in record.items() if name not in omitted}
    if "name" in converted:
        converted["title"] = converted.pop("name")
    if kind == "story":
        converted["labels"] = [
            {name: label[name] for name in ("id", "name", "kind") if name in label}
            for label in record.get("labels", ())
        ]
        converted["owners"] = [
            {"id": record["id"] * 1000 + position, **_person(view, person_id, "user_id")}
            for position, person_id in enumerate(record.get("owner_ids", ()))
        ]
    return converted


def find_by_filter(view: RequestView, stories: list[Record], text: str) -> list[Record]:
    """Find the stories that a `filter` of a single clause describes.

    Args:
        view: To look up labels and people.
        stories: The stories to choose from.
        text: Such as `state:started`, `label:"web shop"`, or a word of the name.

    Returns:
        The stories; none if there are several clauses, or the clause is not known.
    """
    clauses = _CLAUSE.findall(text)
    if len(clauses) != 1:
        return []
    name, _, value = clauses[0].rpartition(":")
    values_of = _FILTERS.get(name)
    if values_of is None:
        return []
    value = value.strip('"').lower()
    return [story for story in stories if value in values_of(view, story)]


_FILTERS: dict[str, Callable[[RequestView, Record], str | list[str]]] = {
    "": lambda _, story: str(story.get("name", "")).lower(),
    "id": lambda _, story: [str(story["id"])],
    "state": lambda _, story: [story.get("current_state", "")],
    "type": lambda _, story: [story.get("story_type", "")],
    "label": lambda view, story: [str(one["name"]).lower() for one in view.labels(story)],
    "owner": lambda view, story: [
        str(person[name]).lower()
        for person in view.people(story.get("owner_ids", ()))
        for name in ("name", "initials", "username")
        if name in person
    ],
}
"""What each clause compares its value with: a text that contains it, or a list that has it."""


def _person(view: RequestView, person_id: int | None, id_name: str) -> Record:
    person = view.person(person_id) or {}
    named = {name: person.get(name, "") for name in ("name", "initials")}
    return {id_name: person_id, **named, "kind": "person"}
