"""People in the records, each once, with all known values."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from .. import tables
from ..records import Record, is_id
from .destination_rows import DestinationReader

_PERSON_COLUMNS = ("name", "email", "initials", "username", "kind")
_COLUMNS = ("id", *_PERSON_COLUMNS, "same_as_id", "_source")

PERSON_ATTRIBUTES = {
    "project_memberships": "person",
    "account_memberships": "person",
    "activity": "performed_by",
}
"""The attribute with a person in the records of a table."""

TABLES_WITH_PEOPLE = ("stories", *PERSON_ATTRIBUTES)
"""The tables whose records name people; a story has only their ids."""

ID_ATTRIBUTES = ("requested_by_id", "owned_by_id")
"""The attributes of a story with the id of a person."""

ID_LISTS = ("owner_ids", "follower_ids")
"""The attributes of a story with ids of people."""

CHILD_ID_ATTRIBUTES = {
    "comments": "person_id",
    "blockers": "person_id",
    "reviews": "reviewer_id",
    "transitions": "performed_by_id",
}
"""The attribute with the id of a person in the records nested in a story, by their list."""


class People:
    """Collect people from the records that name them."""

    def __init__(self) -> None:
        self._by_id: dict[int, Record] = {}

    def collect(self, table: str, record: Record) -> None:
        """Record the people of a record.

        A membership has all values of a person, an activity the name, a story only the id.

        Args:
            table: The table of the record; `people` if the record is a person.
            record: The record; `_source` is the file of an archive.
        """
        source = record.get("_source")
        if table == "people":
            self._add(record, source)
        elif table in PERSON_ATTRIBUTES:
            person = record.get(PERSON_ATTRIBUTES[table])
            self._add(person, source, keep_existing=table == "activity")
        elif table == "stories":
            # most people are known: only the new ones are worth a thorough check
            numbers = {value for value in _ids_in(record) if type(value) is int}
            for person_id in filter(is_id, numbers - self._by_id.keys()):
                self._by_id[person_id] = {"_source": source} if source else {}

    def _add(self, person: Any, source: str | None, *, keep_existing: bool = False) -> None:
        if not isinstance(person, dict) or not is_id(person.get("id")):
            return
        seen: Record = {k: person[k] for k in _PERSON_COLUMNS if isinstance(person.get(k), str)}
        if source:
            seen["_source"] = source
        known = self._by_id.get(person["id"], {})
        # memberships are current, activity and archives may be old
        self._by_id[person["id"]] = (
            {**seen, **known} if keep_existing or source else {**known, **seen}
        )

    def records(self, loaded: DestinationReader) -> list[Record]:
        """Return people who are new, or have new values.

        A person from an archive without an id (it has a negative one) is matched by name, if only
        one person has that name.
        """
        if not self._by_id:
            return []
        joins = loaded.has(tables.LOAD_REPORT.name) or min(self._by_id) < 0
        rows = loaded.rows(tables.PEOPLE.name, _COLUMNS, "" if joins else "id", self._by_id)
        rows_of = Counter(row[0] for row in rows)
        existing = {
            row[0]: {k: v for k, v in zip(_COLUMNS[1:], row[1:], strict=True) if v is not None}
            for row in rows
        }
        now = existing | {
            person_id: _merged(existing.get(person_id), seen)
            for person_id, seen in self._by_id.items()
        }
        if joins:
            _join_by_name(now)
        return [
            {"id": person_id, "kind": "person", **person}
            for person_id, person in now.items()
            if rows_of[person_id] != 1 or person != existing[person_id]
        ]


def _merged(before: Record | None, seen: Record) -> Record:
    """Merge the row of a person with the values of this run."""
    if before is None:
        return seen
    # values of an archive are not newer than existing ones
    person = {**seen, **before} if "_source" in seen else {**before, **seen}
    added = person.items() - before.items() - {("_source", seen.get("_source"))}
    if not added:
        return before
    is_from_files = "_source" in before and "_source" in seen
    return {k: v for k, v in person.items() if k != "_source" or is_from_files}


def _join_by_name(people: dict[int, Record]) -> None:
    """Set `same_as_id` of people without an id, if just one person has their name."""
    ids = defaultdict(set)
    for person_id, person in people.items():
        if person_id > 0 and "name" in person:
            ids[person["name"]].add(person_id)
    for person_id, person in people.items():
        if person_id < 0:
            namesakes = ids.get(person.get("name"), set())
            others = {k: v for k, v in person.items() if k != "same_as_id"}
            same = {"same_as_id": min(namesakes)} if len(namesakes) == 1 else {}
            people[person_id] = others | same


def _ids_in(story: Record) -> list[Any]:
    ids = [story.get(name) for name in ID_ATTRIBUTES]
    for name in ID_LISTS:
        ids += _list(story, name)
    for children, attribute in CHILD_ID_ATTRIBUTES.items():
        ids += [c.get(attribute) for c in _list(story, children) if isinstance(c, dict)]
    return ids


def _list(record: Record, name: str) -> list[Any]:
    value = record.get(name)
    return value if isinstance(value, list) else []
