"""Everyone met while reading, once each, with the most that is known of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from .. import tables
from ..records import Record, is_id
from .destination_rows import Loaded

_KNOWN_OF_A_PERSON = ("name", "email", "initials", "username", "kind")
_COLUMNS = ("id", *_KNOWN_OF_A_PERSON, "same_as_id", "_source")


class People:
    """Gathers people from the records that name them."""

    def __init__(self) -> None:
        self._met: dict[int, Record] = {}

    def meet(self, table: str, record: Record) -> None:
        """Notes the people of a record.

        A membership tells all of a person, an activity the name, a story the id.

        Args:
            table: The record's, `people` for a person by themselves.
            record: `_source` names the file of an archive.
        """
        source = record.get("_source")
        if table == "people":
            self._note(record, source)
        elif table in ("project_memberships", "account_memberships"):
            self._note(record.get("person"), source)
        elif table == "activity":
            self._note(record.get("performed_by"), source, is_older=True)
        elif table == "stories":
            for person_id in _ids_in(record):
                self._met.setdefault(person_id, {"_source": source} if source else {})

    def _note(self, person: Any, source: str | None, *, is_older: bool = False) -> None:
        if not isinstance(person, dict) or not is_id(person.get("id")):
            return
        said: Record = {k: person[k] for k in _KNOWN_OF_A_PERSON if isinstance(person.get(k), str)}
        if source:
            said["_source"] = source
        met = self._met.get(person["id"], {})
        # memberships are told as they are now, activity and files as it was
        self._met[person["id"]] = {**said, **met} if is_older or source else {**met, **said}

    def records(self, loaded: Loaded) -> list[Record]:
        """Those who are new, or of whom more is known than the destination holds.

        Whom a file knew by name only (a negative id) is the same as the one person of that name
        who has an id; where two have it, nobody can say.
        """
        if not self._met:
            return []
        joins = loaded.has(tables.LOAD_REPORT.name) or min(self._met) < 0
        rows = loaded.rows(tables.PEOPLE.name, _COLUMNS, "" if joins else "id", self._met)
        rows_of = Counter(row[0] for row in rows)
        held = {row[0]: _known(dict(zip(_COLUMNS[1:], row[1:], strict=True))) for row in rows}
        now = held | {one: _merged(held.get(one), said) for one, said in self._met.items()}
        if joins:
            _join_by_name(now)
        return [
            {"id": person_id, "kind": "person", **person}
            for person_id, person in now.items()
            if rows_of[person_id] != 1 or person != held[person_id]
        ]


def _merged(before: Record | None, said: Record) -> Record:
    """What is known of a person, after what this run was told."""
    if before is None:
        return said
    # what a file says is no newer than what is there
    person = {**said, **before} if "_source" in said else {**before, **said}
    told = person.items() - before.items() - {("_source", said.get("_source"))}
    if not told:
        return before
    is_from_files = "_source" in before and "_source" in said
    return {k: v for k, v in person.items() if k != "_source" or is_from_files}


def _join_by_name(people: dict[int, Record]) -> None:
    """Says of those known by name only who they are, where just one person can be meant."""
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
