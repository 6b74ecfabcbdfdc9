"""Everyone met while reading, once each, with the most that is known of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from .. import tables
from ..records import Record, is_id
from .destination_rows import DestinationReader

_KNOWN_OF_A_PERSON = ("name", "email", "initials", "username", "kind")
_COLUMNS = ("id", *_KNOWN_OF_A_PERSON, "same_as_id", "_source")


class People:
    """Gathers people from the records that name them."""

    def __init__(self) -> None:
        self._by_id: dict[int, Record] = {}

    def collect(self, table: str, record: Record) -> None:
        """Record the people of a record.

        A membership tells all of a person, an activity the name, a story the id.

        Args:
            table: The record's, `people` for a person by themselves.
            record: `_source` names the file of an archive.
        """
        source = record.get("_source")
        if table == "people":
            self._add(record, source)
        elif table in ("project_memberships", "account_memberships"):
            self._add(record.get("person"), source)
        elif table == "activity":
            self._add(record.get("performed_by"), source, keep_existing=True)
        elif table == "stories":
            for person_id in _ids_in(record):
                self._by_id.setdefault(person_id, {"_source": source} if source else {})

    def _add(self, person: Any, source: str | None, *, keep_existing: bool = False) -> None:
        if not isinstance(person, dict) or not is_id(person.get("id")):
            return
        seen: Record = {k: person[k] for k in _KNOWN_OF_A_PERSON if isinstance(person.get(k), str)}
        if source:
            seen["_source"] = source
        known = self._by_id.get(person["id"], {})
        # memberships are told as they are now, activity and files as it was
        self._by_id[person["id"]] = (
            {**seen, **known} if keep_existing or source else {**known, **seen}
        )

    def records(self, loaded: DestinationReader) -> list[Record]:
        """Return those who are new, or of whom more is known than the destination holds.

        Whom a file knew by name only (a negative id) is the same as the one person of that name
        who has an id; where two have it, nobody can say.
        """
        if not self._by_id:
            return []
        joins = loaded.has(tables.LOAD_REPORT.name) or min(self._by_id) < 0
        rows = loaded.rows(tables.PEOPLE.name, _COLUMNS, "" if joins else "id", self._by_id)
        rows_of = Counter(row[0] for row in rows)
        existing = {row[0]: _known(dict(zip(_COLUMNS[1:], row[1:], strict=True))) for row in rows}
        now = existing | {
            one: _merged(existing.get(one), seen) for one, seen in self._by_id.items()
        }
        if joins:
            _join_by_name(now)
        return [
            {"id": person_id, "kind": "person", **person}
            for person_id, person in now.items()
            if rows_of[person_id] != 1 or person != existing[person_id]
        ]


def _merged(before: Record | None, seen: Record) -> Record:
    """Return what is known of a person, after what this run was told."""
    if before is None:
        return seen
    # what a file says is no newer than what is there
    person = {**seen, **before} if "_source" in seen else {**before, **seen}
    added = person.items() - before.items() - {("_source", seen.get("_source"))}
    if not added:
        return before
    is_from_files = "_source" in before and "_source" in seen
    return {k: v for k, v in person.items() if k != "_source" or is_from_files}


def _join_by_name(people: dict[int, Record]) -> None:
    """Say of those known by name only who they are, where just one person can be meant."""
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


def _known(row: Record) -> Record:
    return {name: value for name, value in row.items() if value is not None}


def _ids_in(story: Record) -> set[int]:
    ids = [story.get("requested_by_id"), story.get("owned_by_id")]
    for name in ("owner_ids", "follower_ids"):
        ids += _list(story, name)
    for children, attribute in (
        ("comments", "person_id"),
        ("blockers", "person_id"),
        ("reviews", "reviewer_id"),
        ("transitions", "performed_by_id"),
    ):
        ids += [c.get(attribute) for c in _list(story, children) if isinstance(c, dict)]
    return {one for one in ids if is_id(one)}


def _list(record: Record, name: str) -> list[Any]:
    value = record.get(name)
    return value if isinstance(value, list) else []
