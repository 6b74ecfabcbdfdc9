"""Decides which records of archives are loaded, and counts what becomes of every row.

Of several copies of a record the best is taken: among the files, then against the destination.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from ..load.destination_rows import Loaded
from ..records import Key, Record, count_rows, key_of, row_id
from ..tables import Table
from .copies import Copies, exported_when, known_values, moment
from .format import Found
from .tally import Tally

NO_KEY = "it has no key"


class Chooser:
    """Says of each record of an archive whether it is the copy to load.

    Attributes:
        place: That of the record in the reading of all archives.
    """

    def __init__(self, copies: Copies, number: int, *, is_noted: bool) -> None:
        self.place = number << 40
        self._copies = copies
        self._is_noted = is_noted

    def reason(self, found: Found, key: Key) -> str:
        """Why a record is not loaded; empty where it is."""
        if not self._is_noted:
            is_first = self._copies.is_first(found.table, key)
            return "" if is_first else f"it came before: {found.source}"
        place, updated_at, source = self._copies.best(found.table, key)
        if place == self.place:
            return ""
        if updated_at > moment(found.record.get("updated_at")):
            return f"another copy is newer: {source}"
        return f"another copy knows as much or more: {source}"


class _Held(NamedTuple):
    """What the destination holds of a record."""

    row_id: str
    updated_at: int
    source: str | None


class _LoadedRows:
    """Counts the rows of many records, which mostly come from one file, for their tallies."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._counted: dict[tuple[int, str], tuple[Tally, Counter[str]]] = {}

    def add(self, found: Found, tally: Tally) -> None:
        """Counts the rows of a record."""
        if found.elsewhere:
            counted = Counter[str]()
            count_rows(self._table, found.record, counted)
            for source, name, rows in found.by_source(counted):
                tally.loaded(source, name, rows)
            return
        key = (id(tally), found.source)
        if key not in self._counted:
            self._counted[key] = (tally, Counter())
        count_rows(self._table, found.record, self._counted[key][1])

    def tell(self) -> None:
        """Tells the tallies."""
        for (_, source), (tally, counted) in self._counted.items():
            for name, rows in counted.items():
                tally.loaded(source, name, rows)


class Taker:
    """Takes the records of one table: those that the destination does not hold, or holds older.

    Attributes:
        records: Those that are to be loaded.

    Args:
        table: Where they belong.
        loaded: The destination.
    """

    def __init__(self, table: Table, loaded: Loaded) -> None:
        self.table = table
        self.records: list[Record] = []
        self._row_ids: dict[Key, str] = {}
        self._loaded = loaded
        self._is_new = not loaded.has(table.name)
        self._waiting: dict[Key, tuple[Record, Found, Tally]] = {}

    def emit(self) -> tuple[list[Record], dict[Key, str]]:
        """The records that are to be loaded, and the `_dlt_id` of their rows, where they have."""
        emitted = self.records, self._row_ids
        self.records, self._row_ids = [], {}
        return emitted

    def __len__(self) -> int:
        """How many records wait for being looked up."""
        return len(self._waiting)

    def take(self, key: Key, record: Record, found: Found, tally: Tally) -> None:
        """Has a record, of which this is the best copy, wait for being looked up.

        Args:
            key: Its own.
            record: As it is loaded.
            found: As it was found.
            tally: Of its archive.
        """
        self._waiting[key] = (record, found, tally)

    def settle(self) -> tuple[list[Record], list[Record]]:
        """Look up what waits, take what is new or newer, and count the rest as left out.

        Returns:
            The records that the destination will hold, and those of them that differ from its own.
        """
        waiting, self._waiting = self._waiting, {}
        held = self._held(waiting)
        knows = self._known_there(self._ties(waiting, held))
        taken: list[Record] = []
        written: list[Record] = []
        loaded = _LoadedRows(self.table)
        for key, (record, found, tally) in waiting.items():
            there = held.get(key)
            reason = self._reason_against(record, there, knows.get(key, 0))
            if reason:
                leave_out(tally, found, self.table, reason)
                continue
            taken.append(record)
            loaded.add(found, tally)
            if there is not None:
                self._row_ids[key] = there.row_id
            if there is None or there.row_id != row_id(record):
                written.append(record)
        loaded.tell()
        self.records += taken
        return taken, written

    def _reason_against(self, record: Record, there: _Held | None, knows: int) -> str:
        """Why a record does not replace the row that is there; empty where it does, or is it."""
        if there is None or there.row_id == row_id(record):
            return ""
        updated_at = moment(record.get("updated_at"))
        name = there.source or "the one from the API"
        if updated_at != there.updated_at:
            is_newer = updated_at > there.updated_at
            return "" if is_newer else f"another copy is newer: {name}"
        if there.source == record["_source"]:
            return ""
        if there.source is not None:
            stamps = [exported_when(s) for s in (record["_source"], there.source)]
            if stamps[0] != stamps[1]:
                return "" if stamps[0] > stamps[1] else f"another copy is newer: {name}"
            if known_values(record) > knows:
                return ""
        return f"another copy knows as much or more: {name}"

    def _held(self, waiting: dict[Key, Any]) -> dict[Key, _Held]:
        if self._is_new or not waiting:
            return {}
        has_time = "updated_at" in self.table.columns
        columns = [*self.table.key, "_dlt_id", "_source", *(["updated_at"] if has_time else [])]
        width = len(self.table.key)
        held = {}
        for row in self._loaded.rows(
            self.table.name, columns, self.table.key[0], _first_parts(waiting)
        ):
            told, source, *updated_at = row[width:]
            held[key_of(row[:width])] = _Held(told, moment(*updated_at or [None]), source)
        return {key: held[key] for key in waiting.keys() & held.keys()}

    def _ties(self, waiting: dict[Key, Any], held: dict[Key, _Held]) -> list[Key]:
        """The keys of rows from other files that are as new as the record that waits."""
        return [
            key
            for key, there in held.items()
            if there.source not in (None, waiting[key][0]["_source"])
            and there.row_id != row_id(waiting[key][0])
            and there.updated_at == moment(waiting[key][0].get("updated_at"))
        ]

    def _known_there(self, keys: list[Key]) -> Counter[Key]:
        """How many values the rows of these keys and those nested in them have."""
        known = Counter[Key]()
        if not keys:
            return known
        first, names = self.table.key[0], self.table.key
        for record in self._loaded.records(self.table, _first_parts(keys), first):
            known[key_of([record[n] for n in names])] = known_values(record)
        handed = [self.table.hands_down.get(n, n) for n in names]
        for member in list(self.table.family())[1:]:
            for row in self._loaded.rows(member.name, handed, handed[0], _first_parts(keys)):
                known[key_of(row)] += 1
        return known


def leave_out(tally: Tally, found: Found, table: Table, reason: str) -> None:
    """Counts a record, and the rows nested in it, as left out."""
    counted = Counter[str]()
    count_rows(table, found.record, counted)
    for source, name, rows in found.by_source(counted):
        tally.leave_out(source, name, reason, name_of(found.record), rows)


def name_of(record: Record) -> str:
    """What a person would look for a record by."""
    told = (f"{n} {record[n]}" for n in ("id", "guid", "number", "name") if n in record)
    return next(told, "")[:100]


def _first_parts(keys: Iterable[Key]) -> set[Any]:
    return {key[0] if isinstance(key, tuple) else key for key in keys}
