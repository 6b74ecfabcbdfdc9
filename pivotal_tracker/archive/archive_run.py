"""Load archives: their files are read once for all tables, and every row is accounted for.

The records of all archives come in one stream and are distributed to their tables. If there are
several copies of a record, in the files or in the destination, the best one is loaded.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from pathlib import Path

from ..activity import deletions_from_activity
from ..load.extraction import Extraction
from ..load.people import TABLES_WITH_PEOPLE
from ..load.to_tables import TableWriter
from ..records import (
    Record,
    Tombstones,
    count_rows,
    from_litetracker,
    is_id,
    record_key,
    tombstones,
)
from ..settings import BATCH_SIZE
from ..tables import ARCHIVE_TABLES
from . import OpenedArchives
from .accounting import LoadAccounting
from .attached_files import with_file_metadata
from .duplicates import DuplicateIndex, rank_of
from .files import ArchiveError
from .format import Archive, ArchiveRecord
from .load_report import report_records
from .merging.projects_by_name import ProjectsByName
from .table_loader import (
    MISSING_KEY,
    ArchiveTableLoader,
    name_of,
    reason_to_load_another,
    reject,
)

Emitted = tuple[str, list[Record]]
"""The name of a resource, and the records that it yields."""

_MAX_RECORDS = 1 << 40
"""More records than an archive has: each archive begins at a multiple of it."""

_MAX_WAITS = 1_000
"""How often dlt is asked to continue before the report is written; it waits 10 ms each time."""

_MAX_REASON = 200
"""The number of characters shown of the reason why a record fits no table."""

_DERIVED_TABLES = frozenset({"people", "deleted_records", "load_report"})
"""The tables whose rows are derived from the records of other tables."""


class ArchiveExtraction(Extraction):
    """One run of the archive source.

    Args:
        opened: The archives.
        project_ids: Load only records of these projects, and those without a project; None for
            all.
        attachments: The folder that attachments are written to; None to leave them where they are.
    """

    def __init__(
        self,
        opened: OpenedArchives,
        project_ids: Collection[int] | None,
        attachments: Path | None,
    ) -> None:
        super().__init__(ARCHIVE_TABLES)
        # outside of a load, any of the tables may be read
        names = self.selected or ARCHIVE_TABLES.keys()
        self._names = [name for name in ARCHIVE_TABLES if name in names]
        self._referenced_projects: dict[int, str] = {}
        """The ids of projects that records refer to, with the first file that does."""
        self._defined_projects: set[int] = set()
        """The ids of projects that have a record."""
        self._opened = opened
        self._unread = self.metrics["load_report"].unread
        self._unread |= opened.unread
        self._accountings: list[tuple[Archive, LoadAccounting]] = []
        self._project_ids = None if project_ids is None else frozenset(project_ids)
        self._attachments = attachments
        self._found_at = datetime.now(UTC).isoformat(timespec="seconds")
        self._copies = DuplicateIndex()
        self._loaders = {
            name: ArchiveTableLoader(self.table(name), self.loaded, self._copies)
            for name in self._names
            if name not in _DERIVED_TABLES
        }
        self._emitted: list[Emitted] = []
        self._in_flight = 0
        self._has_copies = len(opened.archives) > 1
        """Whether a record may be in several archives."""

    def writer(self, resource: str) -> TableWriter:
        """Return the writer of a resource's tables, which counts what it rejects as left out."""
        writer = super().writer(resource)
        writer.on_reject = partial(self._reject_loaded, resource)
        return writer

    def _reject_loaded(self, name: str, record: Record, reason: str) -> None:
        """Count a record as left out that was counted as loaded, but fits no table."""
        source = record.get("_source", "")
        accounting = next(
            (one for _, one in self._accountings if (source, name) in one.loaded_rows), None
        )
        if accounting is None:
            return
        loader = self._loaders.get(name)
        entry = loader.multi_file_entry(record) if loader is not None else None
        entry = entry or ArchiveRecord(name, record, source)
        for its_source, table, rows in entry.rows_by_source(
            count_rows(ARCHIVE_TABLES[name], [record])
        ):
            accounting.loaded(its_source, table, -rows)
            text = f"it fits no table: {' '.join(reason.split())[:_MAX_REASON]}"
            accounting.leave_out(its_source, table, text, name_of(record), rows)
        accounting.unreadable[source] += 1
        self._unread |= accounting.incomplete

    def emitted(self) -> Iterator[Emitted | None]:
        """Yield the items of all resources, in order.

        Yields:
            None lets dlt process what was yielded before.
        """
        missing_tables: list[Emitted] = [(name, Tombstones()) for name in self._names]
        try:
            for emitted in chain(missing_tables, self._records(), self._derived_tables()):
                self._in_flight += 1
                yield emitted
            yield from self._wait()
            yield from self._load_report()
        finally:
            self._copies.close()
            self.loaded.close()

    def end_emission(self) -> None:
        """Record that a resource has yielded its items."""
        self._in_flight -= 1

    def _wait(self) -> Iterator[None]:
        """Wait until all records are written, unless a user's function holds them back."""
        for _ in range(_MAX_WAITS):
            if self._in_flight <= 0 or self.load_id is None:
                return
            yield None

    def _records(self) -> Iterator[Emitted]:
        archives = self._opened.archives
        for number, archive in enumerate(archives if self._has_copies else ()):
            self._index_copies(archive, number * _MAX_RECORDS)
        for number, archive in enumerate(archives):
            yield from self._read_archive(archive, number * _MAX_RECORDS)
        if self._unread and not any(accounting.read_rows for _, accounting in self._accountings):
            raise ArchiveError(next(iter(self._unread.values())))

    def _read_archive(self, archive: Archive, start: int) -> Iterator[Emitted]:
        accounting = LoadAccounting(decide=self._decide_all)
        by_name = ProjectsByName(self.loaded, self._copies)
        self._accountings.append((archive, accounting))
        without_id: list[tuple[int, ArchiveRecord]] = []
        problem = ""
        try:
            for position, entry in enumerate(archive.read(accounting), start):
                if entry.table == "stories":
                    by_name.add_story(entry.record)
                elif entry.table == "projects" and _has_no_id(entry.record):
                    # wait for its stories, which may tell which project it is
                    without_id.append((position, entry))
                    continue
                self._add_record(entry, accounting, position)
                yield from self._ready()
        except ArchiveError as error:
            problem = accounting.failures[archive.name] = str(error)
        for position, entry in without_id:
            self._add_record(by_name.with_match(entry), accounting, position)
        self._decide_all()
        yield from self._ready()
        self._unread |= accounting.incomplete
        if problem:
            _leave_out_rest(accounting, problem)

    def _ready(self) -> list[Emitted]:
        """Return the batches that can be yielded now, and clear the list."""
        ready, self._emitted = self._emitted, []
        return ready

    def _decide_all(self) -> None:
        for name, loader in self._loaders.items():
            if len(loader):
                self._decide(loader, name)

    def _decide(self, loader: ArchiveTableLoader, name: str) -> None:
        """Decide about the records waiting for a table, and derive records from the loaded ones."""
        archive, accounting = self._accountings[-1]
        accepted, changed = loader.decide(accounting, may_contain_duplicates=not self._has_copies)
        self._collect_projects(name, accepted)
        names_people = name in TABLES_WITH_PEOPLE and not archive.format.gives_people
        if names_people and "people" in self._names:
            for record in changed:
                self.people.collect(name, record)
        if name == "activity" and "deleted_records" in self._names:
            deleted = [
                {**record, "found_at": self._found_at}
                for record in deletions_from_activity(changed)
            ]
            known = self.look_up_rows("deleted_records", deleted)
            self._emitted.append(("deleted_records", known))
        if len(loader.records) >= BATCH_SIZE:
            self._emitted.append(self._emit(loader, name))

    def _emit(self, loader: ArchiveTableLoader, name: str) -> Emitted:
        """Return the records of a table that are loaded."""
        records, row_ids = loader.emit()
        self.compare_with(name, row_ids)
        return name, records

    def _collect_projects(self, name: str, records: list[Record]) -> None:
        if name == "projects":
            self._defined_projects.update(record["id"] for record in records)
            return
        for record in records:
            if isinstance(record.get("project_id"), int):
                self._referenced_projects.setdefault(record["project_id"], record["_source"])

    def _index_copies(self, archive: Archive, start: int) -> None:
        """Read an archive to find the best copy of each record.

        Args:
            archive: The archive.
            start: The position of its first record among those of all archives.
        """
        try:
            for position, entry in enumerate(archive.read(LoadAccounting()), start):
                loader = self._loaders.get(entry.table)
                key = record_key(loader.table, entry.record) if loader is not None else None
                if key is not None:
                    rank = rank_of(entry.record, entry.source)
                    of_project = entry.record.get("project_id")
                    project_id = of_project if is_id(of_project) else None
                    self._copies.add(entry.table, key, rank, position, entry.source, project_id)
        except ArchiveError:
            # the same error is reported when the archive is loaded
            return

    def _add_record(self, entry: ArchiveRecord, accounting: LoadAccounting, position: int) -> None:
        """Add a record to its table, or count it as left out."""
        if entry.is_withdrawn:
            reason = "only rows that are not loaded refer to it"
            reject(accounting, entry, ARCHIVE_TABLES[entry.table], reason)
            return
        if entry.table == "people":
            self._add_person(entry, accounting)
        loader = self._loaders.get(entry.table)
        if loader is None:
            return
        record = _with_source(entry)
        key = record_key(loader.table, record)
        reason = MISSING_KEY if key is None else self._reason_not_requested(entry.table, record)
        if not reason and self._has_copies:
            reason = reason_to_load_another(self._copies, entry, key, position)
        if reason:
            reject(accounting, entry, loader.table, reason)
            return
        if entry.table == "attachment_files":
            record = with_file_metadata(record, entry.content, self._attachments)
        loader.add(key, record, entry, accounting)
        if len(loader) >= BATCH_SIZE:
            self._decide(loader, entry.table)

    def _add_person(self, entry: ArchiveRecord, accounting: LoadAccounting) -> None:
        if not is_id(entry.record.get("id")):
            accounting.leave_out(entry.source, "people", MISSING_KEY, name_of(entry.record))
            return
        if "people" in self._names:
            self.people.collect("people", _with_source(entry))
        accounting.loaded(entry.source, "people")

    def _reason_not_requested(self, name: str, record: Record) -> str:
        project_id = record.get("id" if name == "projects" else "project_id")
        if self._project_ids is None or project_id is None or project_id in self._project_ids:
            return ""
        return "of a project that was not requested"

    def _derived_tables(self) -> Iterator[Emitted]:
        for name, loader in self._loaders.items():
            yield self._emit(loader, name)
        if "projects" in self._loaders:
            yield "projects", self._projects_without_record()
        if "people" in self._names:
            yield "people", self.people_records()

    def _load_report(self) -> Iterator[Emitted]:
        others = [table for n, table in ARCHIVE_TABLES.items() if n not in self._names]
        not_loaded = {member.name for table in others for member in table.family()}
        report = report_records(self._accountings, not_loaded)
        if "load_report" not in self._names:
            return
        self.metrics["load_report"].report = report
        self.metrics["load_report"].ignored = self._opened.ignored
        # it replaces that of an earlier run on the same files
        table = self.table("load_report")
        sources = {record["source"] for record in report}
        known = {
            key: row_id
            for key, row_id in self.loaded.row_ids(table).items()
            if key[0] in sources and key[1] not in not_loaded
        }
        self.compare_with("load_report", known)
        yield "load_report", report
        listed = {(record["source"], record["kind"]) for record in report}
        yield "load_report", tombstones(table, [key for key in known if key not in listed])

    def _projects_without_record(self) -> list[Record]:
        """Return records to join on for projects that others refer to and no file describes."""
        existing = self.loaded.row_ids(self.table("projects"), "id", self._referenced_projects)
        return [
            {"id": project_id, "_source": source}
            for project_id, source in self._referenced_projects.items()
            if project_id not in existing and project_id not in self._defined_projects
        ]


def _with_source(entry: ArchiveRecord) -> Record:
    """Return the record with Tracker's names, its file, and for activity its project's id."""
    record = from_litetracker(entry.record)
    if entry.table == "activity" and "project_id" not in record:
        project = record.get("project")
        if isinstance(project, dict) and "id" in project:
            record["project_id"] = project["id"]
    record["_source"] = entry.source
    return record


def _has_no_id(project: Record) -> bool:
    """Check whether a project's id is negative: then it is a key made from its name."""
    return is_id(project.get("id")) and project["id"] < 0


def _leave_out_rest(accounting: LoadAccounting, problem: str) -> None:
    """Count rows as left out that were read before a file broke off, but not yielded."""
    for (source, table), totals in accounting.totals().items():
        if totals.missing > 0:
            accounting.leave_out(source, table, problem, "", totals.missing)
