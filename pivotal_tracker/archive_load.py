"""Loads archives: one reading of their files feeds all tables, and every row is accounted for.

The records of all archives come in one stream, of which each table takes its own. What is loaded
of several copies of a record is decided here, against the other files and the destination.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import dlt

from . import tables
from .archive import Archive, ArchiveError, Copies, Found, Opened, Tally, rank_of
from .archive.copies import exported_when, known_values, moment
from .archive_files import described_content
from .changes import deletions_in
from .comparison import Comparison
from .load_report import report_records
from .loaded import Key, Loaded, key_of
from .people import People
from .rows import Batch, Record, count_rows, in_tracker_words, row_id
from .run import MEETS_PEOPLE, rows_counted
from .settings import BATCH_SIZE
from .tables import Table

Handed = tuple[str, list[Any]]
"""The name of a resource, and what it is to yield."""

ARCHIVE_TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        tables.PROJECTS,
        *tables.PROJECT_TABLES.values(),
        tables.WORKSPACES,
        tables.ACCOUNTS,
        tables.ACCOUNT_MEMBERSHIPS,
        tables.PEOPLE,
        tables.DELETED_RECORDS,
        tables.ATTACHMENT_FILES,
        tables.LOAD_REPORT,
    )
}
"""The tables that archives are loaded into, by the name of their resource."""

_BY_PRODUCTS = frozenset({"people", "deleted_records", "load_report"})
"""The tables whose rows are gathered from all records."""


@dataclass(frozen=True)
class ArchiveOptions:
    """What is read of the archives, and where the files in them go.

    Attributes:
        project_ids: Only records of these projects, and those of none; all if None.
        attachments: The folder that files are written to; None where they stay where they are.
    """

    project_ids: frozenset[int] | None = None
    attachments: Path | None = None


class ArchiveRun:
    """One extraction of archives.

    Attributes:
        loaded: What the destination holds from earlier runs.
        selected: The names of the tables that are loaded.
        metrics: What is noted of each table, by its name, for dlt's trace.
    """

    def __init__(self, opened: Opened, options: ArchiveOptions) -> None:
        self.loaded = Loaded()
        self.selected = [n for n in ARCHIVE_TABLES if n in dlt.current.source().resources.selected]
        self.metrics: dict[str, dict[str, Any]] = {name: {} for name in self.selected}
        self.project_ids: dict[int, str] = {}
        """The projects that records name, with the file of the first that did."""
        self._opened = opened
        self._unread = dict(opened.unread)
        self._tallies: list[tuple[Archive, Tally]] = []
        self._options = options
        self._load_id: str = dlt.current.load_package_state()["load_id"]
        self._people = People()
        self._found_at = datetime.now(UTC).isoformat(timespec="seconds")
        self._takers = {
            name: Taker(self, ARCHIVE_TABLES[name])
            for name in self.selected
            if name not in _BY_PRODUCTS
        }

    def handed(self) -> Iterator[Handed]:
        """Everything that the resources are to yield, in order."""
        for name in self.selected:
            yield name, self._missing_tables(name)
        copies = Copies()
        try:
            yield from self._records(copies)
            yield from self._by_products()
        finally:
            copies.close()
            self.loaded.close()

    def _records(self, copies: Copies) -> Iterator[Handed]:
        archives = self._opened.archives
        several = len(archives) > 1
        for number, archive in enumerate(archives):
            if several or archive.form.may_repeat:
                self._note_copies(copies, archive, number)
        for number, archive in enumerate(archives):
            is_noted = several or archive.form.may_repeat
            yield from self._of_archive(archive, _Chooser(copies, number, is_noted=is_noted))
        if self._unread and not any(tally.read_rows for _, tally in self._tallies):
            raise ArchiveError(next(iter(self._unread.values())))

    def _of_archive(self, archive: Archive, chooser: _Chooser) -> Iterator[Handed]:
        tally = Tally()
        self._tallies.append((archive, tally))
        problem = ""
        try:
            for found in archive.read(tally):
                yield from self._take(found, tally, chooser)
        except ArchiveError as error:
            problem = self._unread[archive.name] = str(error)
        for taker in self._takers.values():
            yield from taker.settle()
        if problem:
            _leave_out_the_rest(tally, problem)

    def batch(self, table: Table, resource: str) -> Batch:
        """A batch whose written rows are counted in a resource's metrics."""
        batch = Batch(table, self._load_id)
        batch.written = self.metrics[resource].setdefault("written", batch.written)
        return batch

    def learn_from(self, table: Table, records: list[Record]) -> list[Handed]:
        """Notes what rows that were written say of others; gives the deletions they tell of."""
        if table.name in MEETS_PEOPLE:
            for record in records:
                self._people.meet(table.name, record)
        if table is not tables.ACTIVITY:
            return []
        told = [{**one, "found_at": self._found_at} for one in deletions_in(records)]
        return self._items(tables.DELETED_RECORDS, told, self._carrier("deleted_records"))

    def _note_copies(self, copies: Copies, archive: Archive, number: int) -> None:
        """Reads an archive to learn which copy of each record is the best."""
        place = number << 40
        try:
            for found in archive.read(Tally()):
                place += 1
                taker = self._takers.get(found.table)
                key = _key(taker.table, found.record) if taker is not None else None
                if key is not None:
                    rank = rank_of(found.record, found.source)
                    copies.note(found.table, key, rank, place, found.source)
        except ArchiveError:
            # it is met again, and told, when the archive is loaded
            return

    def _take(self, found: Found, tally: Tally, chooser: _Chooser) -> Iterator[Handed]:
        """Gives a record to its table, or counts it as left out."""
        chooser.place += 1
        if found.table == "people":
            self._take_person(found, tally)
        taker = self._takers.get(found.table)
        if taker is None:
            return
        record = _whole(found)
        reason = self._not_asked_for(taker.table, record) or chooser.reason(found)
        if reason:
            leave_out(tally, found, taker.table, reason)
            return
        if found.table == "attachment_files":
            record = described_content(record, found.content, self._options.attachments)
        if len(taker) >= BATCH_SIZE:
            yield from taker.settle()
        taker.take(record, found, tally)

    def _take_person(self, found: Found, tally: Tally) -> None:
        if not isinstance(found.record.get("id"), int):
            tally.leave_out(found.source, "people", _NO_KEY, _name(found.record))
            return
        if "people" in self.selected:
            self._people.meet("people", _whole(found))
        tally.loaded(found.source, "people")

    def _not_asked_for(self, table: Table, record: Record) -> str:
        wanted = self._options.project_ids
        project_id = record.get("id" if table is tables.PROJECTS else "project_id")
        if wanted is None or project_id is None or project_id in wanted:
            return ""
        return "of a project that was not asked for"

    def _by_products(self) -> Iterator[Handed]:
        for taker in self._takers.values():
            yield taker.table.name, taker.batch.items()
        yield from self._projects_without_record()
        if any(name in MEETS_PEOPLE for name in self.selected):
            people = self._people.records(self.loaded)
            yield from self._items(tables.PEOPLE, people, self._carrier("people"))
        others = [table for n, table in ARCHIVE_TABLES.items() if n not in self.selected]
        not_loaded = {member.name for table in others for member in table.family()}
        report = report_records(self._tallies, not_loaded)
        if "load_report" in self.selected:
            told = {"report": report, "unread": self._unread, "ignored": self._opened.ignored}
            self.metrics["load_report"] |= told
            yield "load_report", self._report_items(report, not_loaded)

    def _projects_without_record(self) -> Iterator[Handed]:
        """A row for each project that records name and no file describes, to join on."""
        taker = self._takers.get("projects")
        if taker is None:
            return
        held = self.loaded.row_ids(tables.PROJECTS, "id", self.project_ids)
        bare = [
            {"id": one, "_source": source}
            for one, source in self.project_ids.items()
            if one not in held and one not in taker.met
        ]
        taker.counts["new"] += len(bare)
        yield from self._items(tables.PROJECTS, bare, "projects")

    def _report_items(self, report: list[Record], not_loaded: set[str]) -> list[Any]:
        """The report's rows that differ; what an earlier one said of the same files is replaced."""
        batch = self.batch(tables.LOAD_REPORT, "load_report")
        sources = {record["source"] for record in report}
        known = {
            key: told
            for key, told in self.loaded.row_ids(tables.LOAD_REPORT).items()
            if key[0] in sources and key[1] not in not_loaded
        }
        metrics = self.metrics["load_report"]
        comparison = Comparison(batch, known, set(), rows_counted(metrics))
        comparison.take(report)
        comparison.remove(comparison.gone())
        return batch.items()

    def _items(self, table: Table, records: Iterable[Record], resource: str) -> list[Handed]:
        batch = self.batch(table, resource)
        for record in records:
            batch.add(record)
        return [(resource, batch.items())]

    def _carrier(self, name: str) -> str:
        """The resource that brings the rows of a table that others feed."""
        if name in self.selected:
            return name
        feeds = {"activity"} if name == "deleted_records" else MEETS_PEOPLE
        return next(one for one in self.selected if one in feeds)

    def _missing_tables(self, name: str) -> list[Any]:
        batch = self.batch(ARCHIVE_TABLES[name], name)
        return [] if self.loaded.has(name) else list(batch.empty_items())


class _Chooser:
    """Says of each record of an archive whether it is the copy to load.

    Attributes:
        place: That of the record in the reading of all archives.
    """

    def __init__(self, copies: Copies, number: int, *, is_noted: bool) -> None:
        self.place = number << 40
        self._copies = copies
        self._is_noted = is_noted

    def reason(self, found: Found) -> str:
        """Why a record is not loaded; empty where it is."""
        key = _key(ARCHIVE_TABLES[found.table], found.record)
        if key is None:
            return _NO_KEY
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
        table: Where they belong.
        batch: The rows on their way to dlt.
        counts: What became of the records.
        met: The keys of those that were taken, where the table is `projects`.
    """

    def __init__(self, run: ArchiveRun, table: Table) -> None:
        self.table = table
        self.batch = run.batch(table, table.name)
        self.counts = rows_counted(run.metrics[table.name])
        self.met: set[Key] = set()
        self._run = run
        self._is_new = not run.loaded.has(table.name)
        self._waiting: dict[Key, tuple[Record, Found, Tally]] = {}

    def __len__(self) -> int:
        """How many records wait for being looked up."""
        return len(self._waiting)

    def take(self, record: Record, found: Found, tally: Tally) -> None:
        """Has a record, of which this is the best copy, wait for being looked up.

        Args:
            record: As it is loaded.
            found: As it was found.
            tally: Of its archive.
        """
        self._waiting[_key(self.table, record)] = (record, found, tally)

    def settle(self) -> Iterator[Handed]:
        """Looks up what waits, adds the rows of what is new or newer, and counts the rest."""
        waiting, self._waiting = self._waiting, {}
        held = self._held(waiting)
        knows = self._known_there(self._ties(waiting, held))
        taken: list[Record] = []
        loaded = _LoadedRows(self.table)
        for key, (record, found, tally) in waiting.items():
            reason = self._reason_against(record, held.get(key), knows.get(key, 0))
            if reason:
                leave_out(tally, found, self.table, reason)
                continue
            taken.append(record)
            loaded.add(found, tally)
        loaded.tell()
        known = {key: one.row_id for key, one in held.items()}
        written = Comparison(self.batch, known, set(), self.counts).take(taken)
        yield from self._run.learn_from(self.table, written)
        self._note_projects(taken)
        if len(self.batch) >= BATCH_SIZE:
            yield self.table.name, self.batch.items()

    def _note_projects(self, records: list[Record]) -> None:
        if self.table is tables.PROJECTS:
            self.met.update(record["id"] for record in records)
            return
        for record in records:
            if isinstance(record.get("project_id"), int):
                self._run.project_ids.setdefault(record["project_id"], record["_source"])

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
        for row in self._run.loaded.rows(
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
        for record in self._run.loaded.records(self.table, _first_parts(keys), first):
            known[key_of([record[n] for n in names])] = known_values(record)
        handed = [self.table.hands_down.get(n, n) for n in names]
        for member in list(self.table.family())[1:]:
            for row in self._run.loaded.rows(member.name, handed, handed[0], _first_parts(keys)):
                known[key_of(row)] += 1
        return known


_NO_KEY = "it has no key"


def _leave_out_the_rest(tally: Tally, problem: str) -> None:
    """Where a file broke off, what had been read but not handed over is lost with it."""
    for (source, table), totals in tally.totals().items():
        if totals.missing > 0:
            tally.leave_out(source, table, problem, "", totals.missing)


def leave_out(tally: Tally, found: Found, table: Table, reason: str) -> None:
    """Counts a record, and the rows nested in it, as left out."""
    counted = Counter[str]()
    count_rows(table, found.record, counted)
    for source, name, rows in found.by_source(counted):
        tally.leave_out(source, name, reason, _name(found.record), rows)


def _name(record: Record) -> str:
    """What a person would look for a record by."""
    told = (f"{n} {record[n]}" for n in ("id", "guid", "number", "name") if n in record)
    return next(told, "")[:100]


def _whole(found: Found) -> Record:
    """The record in Tracker's words, with its file, and an activity with its project's id."""
    record = in_tracker_words(found.record)
    if found.table == "activity" and "project_id" not in record:
        project = record.get("project")
        if isinstance(project, dict) and "id" in project:
            record = {"project_id": project["id"], **record}
    return {**record, "_source": found.source}


def _key(table: Table, record: Record) -> Key | None:
    """A record's key; None where it has none that a database could take."""
    values = [record.get(name) for name in table.key]
    is_usable = all(isinstance(v, str | int) and not isinstance(v, bool) for v in values)
    return key_of(values) if is_usable else None


def _first_parts(keys: Iterable[Key]) -> set[Any]:
    return {key[0] if isinstance(key, tuple) else key for key in keys}
