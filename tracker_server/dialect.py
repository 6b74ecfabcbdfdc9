"""LiteTracker's dialect of API v5, as its customers' programs read it.

Seen there: `title` for the `name` of stories and projects; `owners` whose `user_id` is the person;
labels of three attributes; no project `version`; and only a few endpoints. That what it does not
know of a request is ignored, not refused, was seen of filters.
"""

from __future__ import annotations

from tracker_server.model import Record
from tracker_server.reading import Reading

LITETRACKER_ENDPOINTS = frozenset(
    {
        "/me",
        "/projects",
        "/projects/{id}/stories",
        "/projects/{id}/stories/{id}",
        "/projects/{id}/stories/{id}/comments",
        "/projects/{id}/memberships",
        "/projects/{id}/activity",
    }
)
"""The paths of those that are known to work and that this server has."""

LITETRACKER_PARAMETERS = frozenset({"limit", "offset", "occurred_after"})
"""The parameters that do something there."""

_NOT_GIVEN = {"project": {"version"}, "story": {"owner_ids", "owned_by_id"}}


def in_litetracker_words(reading: Reading, record: Record) -> Record:
    """Tell a record as LiteTracker does."""
    kind = record.get("kind", "")
    if kind not in _NOT_GIVEN:
        return record
    told = {name: value for name, value in record.items() if name not in _NOT_GIVEN[kind]}
    told["title"] = told.pop("name")
    if kind == "story":
        told["labels"] = [
            {name: label[name] for name in ("id", "name", "kind")} for label in record["labels"]
        ]
        told["owners"] = [
            {"id": record["id"] * 1000 + place, **_owner(reading, person_id)}
            for place, person_id in enumerate(record["owner_ids"])
        ]
    return told


def _owner(reading: Reading, person_id: int) -> Record:
    person = reading.person(person_id) or {}
    return {"user_id": person_id, **{name: person.get(name, "") for name in ("name", "initials")}}
