"""People of whom a file knows no more than the name."""

from __future__ import annotations

from collections.abc import Iterator

from .format import Record
from .keys import stable_key

UNKNOWN = "Unknown"
"""Whom Tracker's export names where it knows nobody."""


class PeopleByName:
    """Gives people keys by their names, and records when they are first met."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._new: list[Record] = []

    def id_of(self, name: str) -> int | None:
        """The key of a person; None for nobody."""
        known = self._ids.get(name)
        if known is not None:
            return known
        name = name.strip()
        if not name or name == UNKNOWN:
            return None
        person_id = stable_key("person", name)
        if name not in self._ids:
            self._new.append({"id": person_id, "kind": "person", "name": name})
        self._ids[name] = person_id
        return person_id

    def new(self) -> Iterator[Record]:
        """Those met since it was last asked."""
        yield from self._new
        self._new.clear()
