"""Merge the parts and copies of each record in an archive into one record.

An archive may contain a record many times, more or less complete, with its comments in another
file. All parts are stored in a temporary database as they are read, and merged record by record.
So memory holds one record at a time, each file is read once, and parts may come in any order.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from itertools import groupby
from operator import attrgetter
from typing import Any

import orjson

from ...records import Key, Record, count_rows
from ...settings import BATCH_SIZE
from ...tables import SERVER_TABLES, Table
from ..accounting import LoadAccounting
from ..dates import weeks_between
from ..format import ArchiveRecord
from ..limits import MAX_CACHE_ENTRIES
from ..records import ITEM_KEYS, item_key, nested_rows_of, parse_id, rows_of
from .deletions import Deleted, Deletions
from .derived_records import Derived, pop_derived, project_of
from .parts import DERIVED, FRAGMENT, WHOLE, WITHDRAWN, Part

NEWER = "another copy of it is newer"
SAME = "another copy of it has the same values"

_CACHE_IN_KIB = 32 * 1024
_DERIVED_FROM_OTHERS = (
    "releases",
    "labels",
    "review_types",
    "workspaces",
    "projects",
    "accounts",
    "people",
)
"""The tables with records derived from others; each comes after the tables they derive from."""


class RecordMerger:
    """The parts of an archive's records, on disk.

    Args:
        accounting: Counts the rows of superfluous copies, and of parts without a record.
    """

    def __init__(self, accounting: LoadAccounting) -> None:
        self._accounting = accounting
        self._derived: set[int] = set()
        self._deletions = Deletions(accounting)
        self._lengths: dict[Any, int | None] = {}
        # with an empty name, SQLite makes a temporary file and deletes it on close
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.executescript(
            f"""
            PRAGMA journal_mode = OFF;
            PRAGMA synchronous = OFF;
            PRAGMA cache_size = -{_CACHE_IN_KIB};
            CREATE TABLE records (
                number INTEGER PRIMARY KEY, table_name TEXT, key TEXT, UNIQUE (table_name, key)
            );
            CREATE TABLE parts (
                position INTEGER PRIMARY KEY, record INTEGER, kind INTEGER, updated_at TEXT,
                seen_at TEXT, attributes INTEGER, source TEXT, body BLOB
            );
            BEGIN;
            """
        )

    def close(self) -> None:
        """Delete the temporary file."""
        self._database.close()

    def add(self, table: str, key: Key, record: Record, source: str, seen_at: str = "") -> None:
        """Add one copy of a record, whose rows are counted as read.

        Args:
            table: The table of the record.
            key: The key of the record.
            record: The copy; it may contain people as objects besides their ids.
            source: The file that it was read from.
            seen_at: When the API returned it, if known: decides between copies of the same age.

        Raises:
            ValueError: A value cannot be stored as JSON.
        """
        self._add(WHOLE, table, key, record, source, seen_at)

    def add_fragment(
        self, table: str, key: Key, part: Record, source: str, seen_at: str = ""
    ) -> None:
        """Add a part of a record that is in another file, such as its comments."""
        self._add(FRAGMENT, table, key, part, source, seen_at)

    def derive_project(self, project: Record, source: str) -> None:
        """Add the project that a record refers to.

        Its row counts as read if the archive has no copy of the project.
        """
        for derived in project_of(project):
            self._derive(derived, source, DERIVED)

    def delete(self, deleted: Deleted, source: str, seen_at: str) -> None:
        """Remove a record, or an item of one, from the parts added so far.

        Args:
            deleted: The record or item.
            source: The file with the request that deleted it.
            seen_at: When it was deleted; empty if that is not known.
        """
        ((position,),) = self._database.execute("SELECT coalesce(max(position), 0) FROM parts")
        self._deletions.add(deleted, position, source, seen_at)

    def _derive(self, derived: Derived, source: str, kind: int) -> None:
        fingerprint = hash((derived.table, kind, repr(derived.record)))
        if fingerprint in self._derived:
            return
        if len(self._derived) >= MAX_CACHE_ENTRIES:
            self._derived.clear()
        self._derived.add(fingerprint)
        # if it cannot be stored, neither can the record that it is derived from: that is reported
        with suppress(ValueError):
            self._add(kind, derived.table, derived.key, derived.record, source, "")

    def _add(
        self, kind: int, table: str, key: Key, record: Record, source: str, seen_at: str
    ) -> None:
        try:
            body = orjson.dumps(record)
        except orjson.JSONEncodeError as error:
            raise ValueError(str(error)) from error
        ((number,),) = self._database.execute(
            "INSERT INTO records (table_name, key) VALUES (?, ?)"
            " ON CONFLICT DO UPDATE SET key = key RETURNING number",
            (table, str(key)),
        )
        self._database.execute(
            "INSERT INTO parts (record, kind, updated_at, seen_at, attributes, source, body)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                number,
                kind,
                to_sortable_time(record.get("updated_at")),
                seen_at,
                len(record),
                source,
                body,
            ),
        )

    def records(self) -> Iterator[ArchiveRecord]:
        """Yield each record once, merged from its parts.

        The copy updated last wins. A copy with the same `updated_at`, or without one, adds the
        attributes that the winner lacks. Parts from other files are added by id. Records derived
        from others come last, because they are derived from the merged records only.
        """
        self._database.execute("CREATE INDEX parts_by_record ON parts (record)")
        tables = self._database.execute("SELECT DISTINCT table_name FROM records").fetchall()
        others = [name for (name,) in tables if name not in _DERIVED_FROM_OTHERS]
        for table in (*others, *_DERIVED_FROM_OTHERS):
            yield from self._records_of(table)

    def _records_of(self, table: str) -> Iterator[ArchiveRecord]:
        query = f"""
            SELECT {", ".join(Part._fields)} FROM records JOIN parts ON record = number
            WHERE table_name = ?
            ORDER BY record, kind = ?, updated_at DESC, seen_at DESC, kind, attributes DESC
            """  # noqa: S608 - the names are our own
        with closing(self._database.execute(query, (table, FRAGMENT))) as rows:
            undecided: list[tuple[ArchiveRecord, list[Derived]]] = []
            for _, parts in groupby(map(Part._make, rows), key=attrgetter("record")):
                entry = self._merge(self._deletions.apply(parts))
                if entry:
                    derived = list(pop_derived(table, entry.record))
                    if table == "iterations":
                        self._add_length(entry.record)
                    yield entry
                    undecided.append((entry, derived))
                    if len(undecided) >= BATCH_SIZE:
                        self._derive_from(undecided)
            self._derive_from(undecided)

    def _derive_from(self, undecided: list[tuple[ArchiveRecord, list[Derived]]]) -> None:
        """Add the records derived from others, as withdrawn if those are not loaded."""
        self._accounting.decide()
        for entry, derived_from_it in undecided:
            is_lost = entry.is_rejected or entry.is_withdrawn
            for derived in derived_from_it:
                self._derive(derived, entry.source, WITHDRAWN if is_lost else DERIVED)
        undecided.clear()

    def _add_length(self, iteration: Record) -> None:
        """Add the length of an iteration in weeks, which the API once left out."""
        if iteration.get("length") is None:
            length = weeks_between(iteration.get("start"), iteration.get("finish"))
            length = length or self._iteration_length(iteration.get("project_id"))
            if length is not None:
                iteration["length"] = length

    def _iteration_length(self, project_id: Any) -> int | None:
        """Return the iteration length of a project, by its newest copy."""
        if project_id not in self._lengths:
            query = """
                SELECT body FROM records JOIN parts ON record = number
                WHERE table_name = 'projects' AND key = ? ORDER BY updated_at DESC, seen_at DESC
                """
            bodies = self._database.execute(query, (str(project_id),))
            lengths = (parse_id(orjson.loads(b).get("iteration_length")) for (b,) in bodies)
            self._lengths[project_id] = next(filter(None, lengths), None)
        return self._lengths[project_id]

    def _merge(self, parts: Iterator[Part]) -> ArchiveRecord | None:
        merged: _MergedRecord | None = None
        is_withdrawn = True
        for part in parts:
            is_withdrawn &= part.kind in (WITHDRAWN, FRAGMENT)
            record = orjson.loads(part.body)
            if merged is None and part.kind == FRAGMENT:
                self._leave_orphans(part, record)
            elif merged is None:
                merged = _MergedRecord(self._accounting, part, record)
            else:
                merged.add(part, record)
        return replace(merged.result(), is_withdrawn=is_withdrawn) if merged else None

    def _leave_orphans(self, part: Part, attributes: Record) -> None:
        """Count a part as left out whose record is not in the archive."""
        rows = nested_rows_of(part.table_name, attributes)
        if not rows:
            # an object is not a row of its own, so it was not counted
            rows = Counter({f"{part.table_name}__{name}": 1 for name in attributes})
            for nested in rows:
                self._accounting.read(part.source, nested)
        for nested, count in rows.items():
            what = part.table_name.removesuffix("s").replace("storie", "story")
            reason = f"the archive does not contain the {what} that it belongs to"
            self._accounting.leave_out(part.source, nested, reason, f"{what} {part.key}", count)


class _MergedRecord:
    """One record being merged, with the files that its rows came from.

    Args:
        accounting: Counts the rows.
        first: The first of its parts.
        record: The attributes in that part.
    """

    def __init__(self, accounting: LoadAccounting, first: Part, record: Record) -> None:
        self._accounting = accounting
        self._table, self._key = first.table_name, first.key
        self._record, self._source = record, first.source
        self._updated_at = first.updated_at
        self._lists = SERVER_TABLES[self._table].nested
        self._items: dict[str, dict[Any, Record]] = {}
        self._rows_from_other_files: Counter[tuple[str, str]] = Counter()
        # the rows of a derived record are counted later
        is_counted = first.kind == WHOLE
        self._uncounted = Counter[str]() if is_counted else rows_of(self._table, record)

    def add(self, part: Part, attributes: Record) -> None:
        """Add the attributes and items of another part that the record lacks."""
        added: Counter[str] = Counter()
        is_older = part.kind != FRAGMENT and "" != part.updated_at != self._updated_at
        # a copy without `updated_at` may be out of date: it only adds missing attributes
        can_merge = part.kind == FRAGMENT or part.updated_at != ""
        for name, value in attributes.items():
            child = self._lists.get(name)
            # a missing attribute may be null in a newer copy; a missing list was not requested
            if name not in self._record and (child or not is_older):
                self._record[name] = value
                if child:
                    added += nested_rows_of(self._table, {name: value})
            elif is_older or not can_merge:
                continue
            elif child and ITEM_KEYS[child.name]:
                self._merge_lists(name, child, value, added)
            elif isinstance(value, dict):
                self._complete_object(name, value)
        if part.kind in (DERIVED, WITHDRAWN):
            self._uncounted += added
            return
        rows = rows_of(self._table, attributes)
        if part.kind == FRAGMENT:
            del rows[self._table]
        self._account(rows, added, part.source, NEWER if is_older else SAME)

    def _complete_object(self, name: str, other: Record) -> None:
        """Add missing attributes to a nested object, which may have been requested in part."""
        existing = self._record.get(name)
        if isinstance(existing, dict) and existing.get("id") == other.get("id"):
            self._record[name] = {**other, **existing}

    def _merge_lists(self, name: str, child: Table, items: list[Any], added: Counter[str]) -> None:
        if name not in self._items:
            self._items[name] = {item_key(child, item): item for item in self._record[name]}
        merge_lists(child, self._record[name], self._items[name], items, added)

    def _account(
        self, rows: Mapping[str, int], added: Counter[str], source: str, reason: str
    ) -> None:
        """Account for the rows of a part: they are in the record, or left out."""
        for table, count in rows.items():
            uncounted = min(count - added[table], self._uncounted[table])
            self._uncounted[table] -= uncounted
            kept = added[table] + uncounted
            if kept and source != self._source:
                self._rows_from_other_files[source, table] += kept
            if count > kept:
                where = f"{self._table} {self._key}"
                self._accounting.leave_out(source, table, reason, where, count - kept)

    def result(self) -> ArchiveRecord:
        """Return the merged record."""
        for table, count in self._uncounted.items():
            if count:
                self._accounting.read(self._source, table, count)
        return ArchiveRecord(
            self._table,
            self._record,
            self._source,
            rows_from_other_files=self._rows_from_other_files,
        )


def merge_lists(
    child: Table,
    into: list[Any],
    by_key: dict[Any, Any],
    items: list[Any],
    added: Counter[str],
) -> None:
    """Add the items of a list to another, and merge two copies of the same item.

    Args:
        child: The table of the items.
        into: The list that items are added to.
        by_key: Its items, by key.
        items: The items to add.
        added: Counts the rows added to each table.
    """
    for item in items:
        key = item_key(child, item)
        if key not in by_key:
            by_key[key] = item
            into.append(item)
            added += count_rows(child, [item])
        elif not child.is_scalar_list:
            _complete(child, by_key[key], item, added)


def _complete(child: Table, existing: Record, other: Record, added: Counter[str]) -> None:
    """Merge another copy into an item: the newer one's values win, missing ones are added."""
    if to_sortable_time(other.get("updated_at")) > to_sortable_time(existing.get("updated_at")):
        existing |= {name: value for name, value in other.items() if name not in child.nested}
    for name, value in other.items():
        inner = child.nested.get(name)
        if inner and name in existing:
            by_key = {item_key(inner, item): item for item in existing[name]}
            merge_lists(inner, existing[name], by_key, value, added)
        elif name not in existing:
            existing[name] = value
            if inner:
                added[inner.name] += len(value)


def to_sortable_time(value: Any) -> str:
    """Convert a time to a text that sorts; empty if there is none. Numbers are milliseconds."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return datetime.fromtimestamp(value / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        except (OverflowError, OSError, ValueError):
            return ""
    return value if isinstance(value, str) else ""
