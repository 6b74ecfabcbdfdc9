"""Decide which records of archives are loaded, and count what happens to every row.

If there are several copies of a record, the best of those in the files is compared with the one in
the destination.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

from ..load.destination_rows import DestinationReader
from ..records import Key, Record, count_rows, key_of, record_key, row_id
from ..tables import Table
from .accounting import LoadAccounting
from .duplicates import DuplicateIndex, count_values, export_timestamp, to_epoch_micros
from .format import ArchiveRecord

MISSING_KEY = "it has no key"


def reason_to_load_another(
    copies: DuplicateIndex, entry: ArchiveRecord, key: Key, position: int
) -> str:
    """Return why another copy of a record is loaded; empty if this is the best one.

    Args:
        copies: The copies in all archives.
        entry: The record.
        key: Its key.
        position: Its position among the records of all archives.
    """
    best, updated_at, source = copies.best(entry.table, key)
    if best == position:
        return ""
    if updated_at > to_epoch_micros(entry.record.get("updated_at")):
        return f"another copy is newer: {source}"
    return f"another copy has as many values or more: {source}"


class _ExistingRow(NamedTuple):
    """A row of the destination that a record is compared with."""

    row_id: str
    updated_at: int
    source: str | None


class ArchiveTableLoader:
    """Selects the records of one table that are new, or newer than those in the destination.

    Attributes:
        records: The records to load.

    Args:
        table: Their table.
        loaded: The destination.
        copies: Has the records that came before in this archive.
    """

    def __init__(self, table: Table, loaded: DestinationReader, copies: DuplicateIndex) -> None:
        self.table = table
        self.records: list[Record] = []
        self._row_ids: dict[Key, str] = {}
        self._in_parts: dict[Key, ArchiveRecord] = {}
        self._emitted_in_parts: dict[Key, ArchiveRecord] = {}
        self._loaded = loaded
        self._copies = copies
        self._is_new = not loaded.has(table.name)
        self._waiting: dict[Key, tuple[Record, ArchiveRecord]] = {}

    def emit(self) -> tuple[list[Record], dict[Key, str]]:
        """Return the records to load, and the `_dlt_id` of rows that they replace, by key.

        The loader is empty afterwards.
        """
        emitted = self.records, self._row_ids
        self.records, self._row_ids = [], {}
        self._emitted_in_parts, self._in_parts = self._in_parts, {}
        return emitted

    def multi_file_entry(self, record: Record) -> ArchiveRecord | None:
        """Return the archive record of an emitted one if parts of it came from other files."""
        return self._emitted_in_parts.get(record_key(self.table, record))

    def __len__(self) -> int:
        """Return how many records wait for `decide`."""
        return len(self._waiting)

    def add(
        self, key: Key, record: Record, entry: ArchiveRecord, accounting: LoadAccounting
    ) -> None:
        """Keep a record until `decide`; reject it if one with the same key is waiting.

        Args:
            key: Its key.
            record: The record as it will be loaded.
            entry: The record as it was read.
            accounting: The accounting of its archive.
        """
        if key in self._waiting:
            reject(accounting, entry, self.table, _duplicate_reason(entry))
        else:
            self._waiting[key] = (record, entry)

    def decide(
        self, accounting: LoadAccounting, *, may_contain_duplicates: bool
    ) -> tuple[list[Record], list[Record]]:
        """Accept waiting records that are new or newer than in the destination; reject the rest.

        Args:
            accounting: The accounting of the archive that they come from.
            may_contain_duplicates: Whether a record may have come before without being rejected.

        Returns:
            The accepted records, and those of them that differ from the destination's.
        """
        waiting, self._waiting = self._waiting, {}
        if may_contain_duplicates:
            for key in self._copies.add_keys(self.table.name, waiting):
                _, entry = waiting.pop(key)
                reject(accounting, entry, self.table, _duplicate_reason(entry))
        existing = self._existing_rows(waiting)
        value_counts = self._count_existing_values(self._ties(waiting, existing))
        accepted: list[Record] = []
        changed: list[Record] = []
        entries: list[ArchiveRecord] = []
        for key, (record, entry) in waiting.items():
            row = existing.get(key)
            if row is None:
                changed.append(record)
            else:
                new_row_id = row_id(record)
                reason = self._reason_to_keep(record, new_row_id, row, value_counts.get(key, 0))
                if reason:
                    reject(accounting, entry, self.table, reason)
                    continue
                self._row_ids[key] = row.row_id
                if row.row_id != new_row_id:
                    changed.append(record)
            accepted.append(record)
            entries.append(entry)
        self._count_loaded(entries, accounting)
        self.records += accepted
        return accepted, changed

    def _count_loaded(self, loaded: Iterable[ArchiveRecord], accounting: LoadAccounting) -> None:
        """Count the rows of records as loaded; most records come from one file."""
        by_source: defaultdict[str, list[Record]] = defaultdict(list)
        for entry in loaded:
            if entry.rows_from_other_files:
                self._in_parts[record_key(self.table, entry.record)] = entry
                counted = count_rows(self.table, [entry.record])
                for source, name, rows in entry.rows_by_source(counted):
                    accounting.loaded(source, name, rows)
            else:
                by_source[entry.source].append(entry.record)
        for source, records in by_source.items():
            for name, rows in count_rows(self.table, records).items():
                accounting.loaded(source, name, rows)

    def _reason_to_keep(
        self, record: Record, new_row_id: str, row: _ExistingRow, value_count: int
    ) -> str:
        """Return why a record does not replace an existing row; empty if it does or equals it."""
        if row.row_id == new_row_id:
            return ""
        updated_at = to_epoch_micros(record.get("updated_at"))
        name = row.source or "the one from the API"
        if updated_at != row.updated_at:
            is_newer = updated_at > row.updated_at
            return "" if is_newer else f"another copy is newer: {name}"
        if row.source == record["_source"]:
            return ""
        if row.source is not None:
            stamps = [export_timestamp(s) for s in (record["_source"], row.source)]
            if stamps[0] != stamps[1]:
                return "" if stamps[0] > stamps[1] else f"another copy is newer: {name}"
            if count_values(record) > value_count:
                return ""
        return f"another copy has as many values or more: {name}"

    def _existing_rows(self, waiting: dict[Key, Any]) -> dict[Key, _ExistingRow]:
        if self._is_new or not waiting:
            return {}
        has_time = "updated_at" in self.table.columns
        columns = [*self.table.key, "_dlt_id", "_source", *(["updated_at"] if has_time else [])]
        width = len(self.table.key)
        existing = {}
        for row in self._loaded.rows(
            self.table.name, columns, self.table.key[0], _first_parts(waiting)
        ):
            row_hash, source, *updated_at = row[width:]
            updated = to_epoch_micros(*updated_at or [None])
            existing[key_of(row[:width])] = _ExistingRow(row_hash, updated, source)
        return {key: existing[key] for key in waiting.keys() & existing.keys()}

    def _ties(self, waiting: dict[Key, Any], existing: dict[Key, _ExistingRow]) -> list[Key]:
        """Return the keys of rows from other files that are as new as the waiting record."""
        return [
            key
            for key, row in existing.items()
            if row.source not in (None, waiting[key][0]["_source"])
            and row.updated_at == to_epoch_micros(waiting[key][0].get("updated_at"))
            and row.row_id != row_id(waiting[key][0])
        ]

    def _count_existing_values(self, keys: list[Key]) -> Counter[Key]:
        """Count the values in the rows with these keys, and in the rows nested in them."""
        counts = Counter[Key]()
        if not keys:
            return counts
        first, names = self.table.key[0], self.table.key
        for record in self._loaded.records(self.table, _first_parts(keys), first):
            counts[key_of([record[n] for n in names])] = count_values(record)
        inherited = [self.table.inherited_columns.get(n, n) for n in names]
        for member in list(self.table.family())[1:]:
            for row in self._loaded.rows(member.name, inherited, inherited[0], _first_parts(keys)):
                counts[key_of(row)] += 1
        return counts


def reject(accounting: LoadAccounting, entry: ArchiveRecord, table: Table, reason: str) -> None:
    """Count a record, and the rows nested in it, as left out."""
    entry.is_rejected = True
    for source, name, rows in entry.rows_by_source(count_rows(table, [entry.record])):
        accounting.leave_out(source, name, reason, name_of(entry.record), rows)


def _duplicate_reason(entry: ArchiveRecord) -> str:
    return f"it came before: {entry.source}"


def name_of(record: Record) -> str:
    """Return an attribute that helps a person to find a record, such as `id 5`."""
    names = (f"{n} {record[n]}" for n in ("id", "guid", "number", "name") if n in record)
    return next(names, "")[:100]


def _first_parts(keys: Iterable[Key]) -> set[Any]:
    return {key[0] if isinstance(key, tuple) else key for key in keys}
