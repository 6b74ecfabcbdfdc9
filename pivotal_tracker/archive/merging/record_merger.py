"""Records of which an archive holds several parts, put together: one record each.

One record may be met many times, with more or less in it, and its comments somewhere else. All
parts go into a temporary database on disk as they are met, and are taken out record by record: so
memory holds one record at a time however large the archive, each file is read once, and the parts
may come in any order.
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
from types import TracebackType
from typing import Any, Self

import orjson

from ...settings import BATCH_SIZE
from ..accounting import LoadAccounting
from ..dates import weeks_between
from ..format import ArchiveRecord, Record
from ..limits import MAX_REMEMBERED
from ..records import LISTS, Key, Nested, nested_rows_of, rows_of, whole_number
from .deletions import Deleted, Deletions
from .derived_records import Derived, pop_derived, project_of
from .parts import DERIVED, FRAGMENT, WHOLE, WITHDRAWN, Part

NEWER = "another copy of it is newer"
SAME = "another copy of it holds the same"

_CACHE_IN_KIB = 32 * 1024
_DERIVED_FROM_OTHERS = (
    *("releases", "labels", "review_types", "workspaces", "projects", "accounts", "people"),
)
"""The tables to whose records others add; each after those that do."""


class RecordMerger:
    """The parts of an archive's records, on disk.

    Args:
        accounting: Counts rows that another copy makes superfluous, and what belongs nowhere.
    """

    def __init__(self, accounting: LoadAccounting) -> None:
        self._accounting = accounting
        self._derived: set[int] = set()
        self._deletions = Deletions(accounting)
        self._lengths: dict[Any, int | None] = {}
        # a database without a name is a file of SQLite's own, gone when it is closed
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)

    def __enter__(self) -> Self:
        self._database.executescript(
            f"""
            PRAGMA journal_mode = OFF;
            PRAGMA synchronous = OFF;
            PRAGMA cache_size = -{_CACHE_IN_KIB};
            CREATE TABLE records (no INTEGER PRIMARY KEY, tbl TEXT, key TEXT, UNIQUE (tbl, key));
            CREATE TABLE parts (
                place INTEGER PRIMARY KEY, record INTEGER, sort INTEGER, updated_at TEXT,
                seen_at TEXT, attributes INTEGER, source TEXT, body BLOB
            );
            BEGIN;
            """
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._database.close()

    def add(self, table: str, key: Key, record: Record, source: str, seen_at: str = "") -> None:
        """Adds one copy of a record, whose rows are counted as read.

        Args:
            table: The table that it belongs to.
            key: Its key.
            record: As far as this copy goes; people may be objects in it, beside their ids.
            source: The file that it was read from.
            seen_at: When the API gave it, where that is known: tells the later of two equally old.

        Raises:
            ValueError: Something in it cannot be written down as JSON.
        """
        self._add(WHOLE, table, key, record, source, seen_at)

    def add_to(self, table: str, key: Key, part: Record, source: str, seen_at: str = "") -> None:
        """Adds a part of a record that the archive keeps elsewhere: its comments, say."""
        self._add(FRAGMENT, table, key, part, source, seen_at)

    def derive_project(self, project: Record, source: str) -> None:
        """Adds what a record tells of a project that it refers to.

        The rows of the project count as read if no copy of it has them.
        """
        for derived in project_of(project):
            self._derive(derived, source, DERIVED)

    def delete(self, deleted: Deleted, source: str, seen_at: str) -> None:
        """Removes a record, or an item of one, from what was recorded until now.

        Args:
            deleted: Which.
            source: The file that tells it.
            seen_at: When it was deleted, where that is known.
        """
        ((place,),) = self._database.execute("SELECT coalesce(max(place), 0) FROM parts")
        self._deletions.add(deleted, place, source, seen_at)

    def _derive(self, derived: Derived, source: str, sort: int) -> None:
        fingerprint = hash((derived.table, sort, repr(derived.record)))
        if fingerprint in self._derived:
            return
        if len(self._derived) >= MAX_REMEMBERED:
            self._derived.clear()
        self._derived.add(fingerprint)
        # what cannot be written down is told of the record that tells it
        with suppress(ValueError):
            self._add(sort, derived.table, derived.key, derived.record, source, "")

    def _add(
        self, sort: int, table: str, key: Key, record: Record, source: str, seen_at: str
    ) -> None:
        try:
            body = orjson.dumps(record)
        except orjson.JSONEncodeError as error:
            raise ValueError(str(error)) from error
        ((number,),) = self._database.execute(
            "INSERT INTO records (tbl, key) VALUES (?, ?)"
            " ON CONFLICT DO UPDATE SET key = key RETURNING no",
            (table, str(key)),
        )
        self._database.execute(
            "INSERT INTO parts (record, sort, updated_at, seen_at, attributes, source, body)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (number, sort, moment(record.get("updated_at")), seen_at, len(record), source, body),
        )

    def records(self) -> Iterator[ArchiveRecord]:
        """Gives each record once, put together from its parts.

        Of copies the one updated last wins; one as old as it, or one that does not say how old it
        is, adds what the winner does not tell. What lies elsewhere is added by id. What a record
        tells of others counts only if it is in the end told by it: so those come later.
        """
        self._database.execute("CREATE INDEX parts_by_record ON parts (record)")
        derived_from_others = [*_DERIVED_FROM_OTHERS]
        tables = self._database.execute("SELECT DISTINCT tbl FROM records").fetchall()
        for table in (
            *(name for (name,) in tables if name not in derived_from_others),
            *derived_from_others,
        ):
            yield from self._records_of(table)

    def _records_of(self, table: str) -> Iterator[ArchiveRecord]:
        query = f"""
            SELECT {", ".join(Part._fields)} FROM records JOIN parts ON record = no WHERE tbl = ?
            ORDER BY record, sort = ?, updated_at DESC, seen_at DESC, sort, attributes DESC
            """  # noqa: S608 - the names are our own
        with closing(self._database.execute(query, (table, FRAGMENT))) as rows:
            undecided: list[tuple[ArchiveRecord, list[Derived]]] = []
            for _, parts in groupby(map(Part._make, rows), key=attrgetter("record")):
                found = self._joined(self._deletions.applied(parts))
                if found:
                    derived = list(pop_derived(table, found.record))
                    if table == "iterations":
                        self._add_length(found.record)
                    yield found
                    undecided.append((found, derived))
                    if len(undecided) >= BATCH_SIZE:
                        self._derive_from(undecided)
            self._derive_from(undecided)

    def _derive_from(self, undecided: list[tuple[ArchiveRecord, list[Derived]]]) -> None:
        """Adds what records tell of others; of those that are not loaded, as withdrawn."""
        self._accounting.decide()
        for found, told in undecided:
            is_lost = found.is_rejected or found.is_withdrawn
            for derived in told:
                self._derive(derived, found.source, WITHDRAWN if is_lost else DERIVED)
        undecided.clear()

    def _add_length(self, iteration: Record) -> None:
        """Adds the weeks of an iteration, which the API once left out."""
        if iteration.get("length") is None:
            length = weeks_between(iteration.get("start"), iteration.get("finish"))
            length = length or self._length_in(iteration.get("project_id"))
            if length is not None:
                iteration["length"] = length

    def _length_in(self, project_id: Any) -> int | None:
        """The length of a project's iterations, by the newest record of it."""
        if project_id not in self._lengths:
            query = """
                SELECT body FROM records JOIN parts ON record = no
                WHERE tbl = 'projects' AND key = ? ORDER BY updated_at DESC, seen_at DESC
                """
            bodies = self._database.execute(query, (str(project_id),))
            lengths = (whole_number(orjson.loads(b).get("iteration_length")) for (b,) in bodies)
            self._lengths[project_id] = next(filter(None, lengths), None)
        return self._lengths[project_id]

    def _joined(self, parts: Iterator[Part]) -> ArchiveRecord | None:
        joined: _MergedRecord | None = None
        is_withdrawn = True
        for part in parts:
            is_withdrawn &= part.sort in (WITHDRAWN, FRAGMENT)
            record = orjson.loads(part.body)
            if joined is None and part.sort == FRAGMENT:
                self._leave_orphans(part.tbl, part.key, record, part.source)
            elif joined is None:
                joined = _MergedRecord(
                    self._accounting, part.tbl, part.key, record, part.source, part.updated_at
                )
                joined.begin(counted=part.sort == WHOLE)
            else:
                joined.add(record, part.source, part.sort, part.updated_at)
        return replace(joined.found(), is_withdrawn=is_withdrawn) if joined else None

    def _leave_orphans(self, table: str, key: str, part: Record, source: str) -> None:
        """A part of a record that the archive does not hold."""
        rows = nested_rows_of(table, part)
        if not rows:
            # an object, which is no row of its own and so was not counted
            rows = Counter({f"{table}__{name}": 1 for name in part})
            for nested in rows:
                self._accounting.read(source, nested)
        for nested, count in rows.items():
            what = table.removesuffix("s").replace("storie", "story")
            reason = f"the archive does not hold the {what} that it belongs to"
            self._accounting.leave_out(source, nested, reason, f"{what} {key}", count)


class _MergedRecord:
    """One record being put together, and which of its rows came from where."""

    def __init__(
        self,
        accounting: LoadAccounting,
        table: str,
        key: str,
        record: Record,
        source: str,
        updated_at: str,
    ) -> None:
        self._accounting = accounting
        self._table, self._key = table, key
        self._record, self._source = record, source
        self._updated_at = updated_at
        self._lists = LISTS.get(table, {})
        self._items: dict[str, dict[Any, Record]] = {}
        self._uncounted: Counter[str] = Counter()
        self._elsewhere: Counter[tuple[str, str]] = Counter()

    def begin(self, *, counted: bool) -> None:
        """Begin with the record itself; remember rows that nobody has counted."""
        if not counted:
            self._uncounted = rows_of(self._table, self._record)

    def add(self, part: Record, source: str, sort: int, updated_at: str) -> None:
        """Adds what a further part tells and the record does not."""
        added: Counter[str] = Counter()
        is_older = sort != FRAGMENT and "" != updated_at != self._updated_at
        # what does not say how old it is may be out of date in all that the record tells
        unites = sort == FRAGMENT or updated_at != ""
        for name, value in part.items():
            nested = self._lists.get(name)
            # the API leaves out what is null, but a list only where nobody asked for it
            if name not in self._record and (nested or not is_older):
                self._record[name] = value
                if nested:
                    added += nested_rows_of(self._table, {name: value})
            elif is_older or not unites:
                continue
            elif nested and nested.key:
                self._merge_lists(name, nested, value, added)
            elif isinstance(value, dict):
                self._complete_object(name, value)
        if sort in (DERIVED, WITHDRAWN):
            self._uncounted += added
            return
        rows = rows_of(self._table, part)
        if sort == FRAGMENT:
            del rows[self._table]
        self._credit(rows, added, source, NEWER if is_older else SAME)

    def _complete_object(self, name: str, other: Record) -> None:
        """An object inside the record may have been asked for in part: a label by its name."""
        held = self._record.get(name)
        if isinstance(held, dict) and held.get("id") == other.get("id"):
            self._record[name] = {**other, **held}

    def _merge_lists(
        self, name: str, nested: Nested, items: list[Any], added: Counter[str]
    ) -> None:
        if name not in self._items:
            self._items[name] = {_item_key(nested, item): item for item in self._record[name]}
        merge_lists(nested, self._record[name], self._items[name], items, added)

    def _credit(
        self, rows: Mapping[str, int], added: Counter[str], source: str, reason: str
    ) -> None:
        """Accounts for the rows of a part: they are in the record, or left out."""
        for table, count in rows.items():
            owed = min(count - added[table], self._uncounted[table])
            self._uncounted[table] -= owed
            kept = added[table] + owed
            if kept and source != self._source:
                self._elsewhere[source, table] += kept
            if count > kept:
                where = f"{self._table} {self._key}"
                self._accounting.leave_out(source, table, reason, where, count - kept)

    def found(self) -> ArchiveRecord:
        """The record, whole."""
        for table, count in self._uncounted.items():
            if count:
                self._accounting.read(self._source, table, count)
        return ArchiveRecord(self._table, self._record, self._source, elsewhere=self._elsewhere)


def merge_lists(
    nested: Nested,
    into: list[Any],
    by_key: dict[Any, Any],
    items: list[Any],
    added: Counter[str],
) -> None:
    """Adds the items of a list to another; of two copies of one item the newer tells more.

    Args:
        nested: The table of the items.
        into: The list that grows.
        by_key: Its items, by their key.
        items: Those to add.
        added: Counts the rows that this brings to each table.
    """
    for item in items:
        key = _item_key(nested, item)
        if key not in by_key:
            by_key[key] = item
            into.append(item)
            added[nested.table] += 1
            if not nested.of_values:
                added += _rows_in(nested, item)
        elif not nested.of_values:
            _complete(nested, by_key[key], item, added)


def _complete(nested: Nested, held: Record, other: Record, added: Counter[str]) -> None:
    """Adds to an item what another copy of it tells; both are as old, or the newer one counts."""
    if moment(other.get("updated_at")) > moment(held.get("updated_at")):
        held |= {name: value for name, value in other.items() if name not in nested.lists}
    for name, value in other.items():
        inner = nested.lists.get(name)
        if inner and name in held:
            by_key = {_item_key(inner, item): item for item in held[name]}
            merge_lists(inner, held[name], by_key, value, added)
        elif name not in held:
            held[name] = value
            if inner:
                added[inner.table] += len(value)


def _rows_in(nested: Nested, item: Record) -> Counter[str]:
    return Counter({n.table: len(item[name]) for name, n in nested.lists.items() if item.get(name)})


def _item_key(nested: Nested, item: Any) -> Any:
    return item if nested.of_values else tuple(str(item.get(n)) for n in nested.key)


def moment(value: Any) -> str:
    """A time as a text that sorts; empty where there is none. Numbers are milliseconds."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return datetime.fromtimestamp(value / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        except (OverflowError, OSError, ValueError):
            return ""
    return value if isinstance(value, str) else ""
