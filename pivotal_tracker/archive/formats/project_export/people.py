"""Collect people and other records that a file has only the names of."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from ....records import Record
from ...format import ArchiveRecord
from ...keys import stable_key
from ...line_accounting import LineAccounting

UNKNOWN = "Unknown"
"""The name in Tracker's export for a person who is not known."""


class NamedRecords:
    """Records that rows refer to by name, each yielded once at the end.

    A record is withdrawn if only rejected rows name it.

    Attributes:
        accounting: The accounting of the file being read.
    """

    def __init__(self) -> None:
        self.accounting: LineAccounting | None = None
        self._records: dict[int, tuple[str, Record, LineAccounting]] = {}
        self._by_row: set[int] = set()
        self._confirmed: set[int] = set()

    def add(self, table: str, record: Record) -> None:
        """Add a record when it is named for the first time."""
        if self.accounting is not None:
            self._records[record["id"]] = (table, record, self.accounting)

    def mark_named(self, key: int) -> None:
        """Record that the current row names a record."""
        if key not in self._confirmed:
            self._by_row.add(key)

    def end_row(self) -> Collection[int]:
        """End the current row, and return the keys in it that are not confirmed yet."""
        if not self._by_row:
            return ()
        named, self._by_row = self._by_row, set()
        return named

    def confirm(self, keys: Collection[int]) -> None:
        """Mark records as named by a loaded row."""
        self._confirmed.update(keys)

    def records(self) -> Iterator[ArchiveRecord]:
        """Yield all records in the order in which they were first named."""
        for key, (table, record, accounting) in self._records.items():
            # a copy: rows share the record
            entry = accounting.add_record(table, dict(record))
            entry.is_withdrawn = key not in self._confirmed
            yield entry


class PeopleByName(NamedRecords):
    """Makes keys for people from their names."""

    def __init__(self) -> None:
        super().__init__()
        self._ids: dict[str, int] = {}

    def id_of(self, name: str) -> int | None:
        """Return the key of a person; None for an empty or unknown name."""
        known = self._ids.get(name)
        if known is None:
            known = self._new_id_of(name.strip())
            if known is None:
                return None
            self._ids[name] = known
        self.mark_named(known)
        return known

    def _new_id_of(self, name: str) -> int | None:
        if not name or name == UNKNOWN:
            return None
        person_id = stable_key("person", name)
        if name not in self._ids:
            self._ids[name] = person_id
            self.add("people", {"id": person_id, "kind": "person", "name": name})
        return person_id
