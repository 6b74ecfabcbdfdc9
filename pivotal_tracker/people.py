"""Everyone met while reading, once each, with the most that is known of them."""

from __future__ import annotations

from collections import Counter
from typing import Any

from . import tables
from .loaded import Loaded
from .rows import Record

_KNOWN_OF_A_PERSON = ("name", "email", "initials", "username", "kind")


class People:
    """Gathers people from the records that name them."""

    def __init__(self) -> None:
        self._met: dict[int, Record] = {}

    def meet(self, table: str, record: Record) -> None:
        """Notes the people of a record.

        A membership tells all of a person, an activity the name, a story the id.
        """
        if table in ("project_memberships", "account_memberships"):
            self._note(record.get("person"))
        elif table == "activity":
            self._note(record.get("performed_by"), is_older=True)
        elif table == "stories":
            for person_id in _ids_in(record):
                self._met.setdefault(person_id, {})

    def _note(self, person: Any, *, is_older: bool = False) -> None:
        if not isinstance(person, dict) or not isinstance(person.get("id"), int):
            return
        said = {k: person[k] for k in _KNOWN_OF_A_PERSON if person.get(k) is not None}
        met = self._met.get(person["id"], {})
        # memberships are told as they are now, activity as it was
        self._met[person["id"]] = {**said, **met} if is_older else {**met, **said}

    def records(self, loaded: Loaded) -> list[Record]:
        """Those who are new, or of whom more is known than the destination holds."""
        columns = ["id", *_KNOWN_OF_A_PERSON]
        rows = loaded.rows(tables.PEOPLE.name, columns, "id", self._met) if self._met else []
        held = {row[0]: dict(zip(columns[1:], row[1:], strict=True)) for row in rows}
        rows_of = Counter(row[0] for row in rows)
        records = []
        for person_id, said in self._met.items():
            before = {k: v for k, v in held.get(person_id, {}).items() if v is not None}
            if rows_of[person_id] != 1 or not said.items() <= before.items():
                records.append({"id": person_id, "kind": "person", **before, **said})
        return records


def _ids_in(story: Record) -> set[int]:
    ids = {story.get("requested_by_id"), story.get("owned_by_id")}
    ids.update(_list(story, "owner_ids"), _list(story, "follower_ids"))
    for children, attribute in (
        ("comments", "person_id"),
        ("blockers", "person_id"),
        ("reviews", "reviewer_id"),
        ("transitions", "performed_by_id"),
    ):
        ids.update(c.get(attribute) for c in _list(story, children) if isinstance(c, dict))
    return {one for one in ids if isinstance(one, int)}


def _list(record: Record, name: str) -> list[Any]:
    value = record.get(name)
    return [v for v in value if not isinstance(v, list)] if isinstance(value, list) else []
