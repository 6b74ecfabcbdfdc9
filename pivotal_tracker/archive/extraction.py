"""Loads archives: one reading of their files feeds all tables, and every row is accounted for.

The records of all archives come in one stream, of which each table takes its own. What is loaded
of several copies of a record is decided here, against the other files and the destination.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..activity import deletions_in
from ..load.extraction import Extraction
from ..records import Record, Tombstones, in_tracker_words, is_id, record_key, tombstones
from ..settings import BATCH_SIZE
from ..tables import ARCHIVE_TABLES
from . import Opened
from .attached_files import described_content
from .copies import Copies, rank_of
from .files import ArchiveError
from .format import Archive, Found
from .load_report import report_records
from .merging.projects_by_name import ProjectsByName
from .selection import NO_KEY, Chooser, Taker, leave_out, name_of
from .tally import Tally

Emitted = tuple[str, list[Record]]
"""The name of a resource, and the records that it yields."""

_WRITTEN_AT_ONCE = 4 * BATCH_SIZE
"""So many records are yielded together: dlt takes its time for each turn, and no server waits."""

_NAMES_PEOPLE = ("stories", "activity", "project_memberships", "account_memberships")
"""The tables whose records name people."""

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


class ArchiveRun(Extraction):
    """One extraction of archives.

    Attributes:
        metrics: What is noted of each table, by its name, for dlt's trace.
    """

    def __init__(self, opened: Opened, options: ArchiveOptions) -> None:
        super().__init__(ARCHIVE_TABLES)
        # outside of a load, any of the tables may be read
        names = self.selected or ARCHIVE_TABLES.keys()
        self._names = [name for name in ARCHIVE_TABLES if name in names]
        self.metrics: dict[str, dict[str, Any]] = {name: {} for name in self._names}
        self._named: dict[int, str] = {}
        """The projects that records name, with the file of the first that did."""
        self._described: set[int] = set()
        """The projects that have a record."""
        self._opened = opened
        self._unread = dict(opened.unread)
        self._tallies: list[tuple[Archive, Tally]] = []
        self._options = options
        self._found_at = datetime.now(UTC).isoformat(timespec="seconds")
        self._takers = {
            name: Taker(self.table(name), self.loaded)
            for name in self._names
            if name not in _BY_PRODUCTS
        }

    def emitted(self) -> Iterator[Emitted]:
        """Everything that the resources are to yield, in order."""
        for name in self._names:
            yield name, Tombstones()
        copies = Copies()
        try:
            yield from self._records(copies)
            yield from self._by_products()
        finally:
            copies.close()
            self.loaded.close()

    def _records(self, copies: Copies) -> Iterator[Emitted]:
        archives = self._opened.archives
        several = len(archives) > 1
        for number, archive in enumerate(archives):
            if several or archive.form.may_repeat:
                self._note_copies(copies, archive, number)
        for number, archive in enumerate(archives):
            is_noted = several or archive.form.may_repeat
            by_name = ProjectsByName(self.loaded, copies)
            yield from self._of_archive(
                archive, Chooser(copies, number, is_noted=is_noted), by_name
            )
        if self._unread and not any(tally.read_rows for _, tally in self._tallies):
            raise ArchiveError(next(iter(self._unread.values())))

    def _of_archive(
        self, archive: Archive, chooser: Chooser, by_name: ProjectsByName
    ) -> Iterator[Emitted]:
        tally = Tally()
        without_id: list[tuple[int, Found]] = []
        self._tallies.append((archive, tally))
        problem = ""
        try:
            for found in archive.read(tally):
                if found.table == "stories":
                    by_name.note(found.record)
                if found.table == "projects" and _has_no_id(found.record):
                    # its stories come after it
                    without_id.append((chooser.place, found))
                    chooser.place += 1
                    continue
                taker = self._take(found, tally, chooser)
                if taker is not None and len(taker) >= BATCH_SIZE:
                    yield from self._settle(taker, found.table)
        except ArchiveError as error:
            problem = tally.broken[archive.name] = str(error)
        for chooser.place, found in without_id:
            self._take(by_name.joined(found), tally, chooser)
        for name, taker in self._takers.items():
            yield from self._settle(taker, name)
        self._unread |= tally.incomplete
        if problem:
            _leave_out_the_rest(tally, problem)

    def _settle(self, taker: Taker, name: str) -> Iterator[Emitted]:
        """Have what waits for a table loaded, and note what its records say of others."""
        taken, written = taker.settle()
        self._note_projects(name, taken)
        if name in _NAMES_PEOPLE and "people" in self._names:
            for record in written:
                self.people.meet(name, record)
        if name == "activity" and "deleted_records" in self._names:
            deleted = [{**one, "found_at": self._found_at} for one in deletions_in(written)]
            yield "deleted_records", self.with_known_rows("deleted_records", deleted)
        if len(taker.records) >= _WRITTEN_AT_ONCE:
            yield self._emit(taker, name)

    def _emit(self, taker: Taker, name: str) -> Emitted:
        """The records of a table that are to be loaded."""
        records, row_ids = taker.emit()
        self.compare_with(name, row_ids)
        return name, records

    def _note_projects(self, name: str, records: list[Record]) -> None:
        if name == "projects":
            self._described.update(record["id"] for record in records)
            return
        for record in records:
            if isinstance(record.get("project_id"), int):
                self._named.setdefault(record["project_id"], record["_source"])

    def _note_copies(self, copies: Copies, archive: Archive, number: int) -> None:
        """Reads an archive to learn which copy of each record is the best."""
        place = number << 40
        try:
            for found in archive.read(Tally()):
                place += 1
                taker = self._takers.get(found.table)
                key = record_key(taker.table, found.record) if taker is not None else None
                if key is not None:
                    rank = rank_of(found.record, found.source)
                    of_project = found.record.get("project_id")
                    project_id = of_project if is_id(of_project) else None
                    copies.note(found.table, key, rank, place, found.source, project_id)
        except ArchiveError:
            # it is met again, and told, when the archive is loaded
            return

    def _take(self, found: Found, tally: Tally, chooser: Chooser) -> Taker | None:
        """Gives a record to its table, which is returned, or counts it as left out."""
        chooser.place += 1
        if found.is_withdrawn:
            reason = "only rows that are not loaded tell of it"
            leave_out(tally, found, ARCHIVE_TABLES[found.table], reason)
            return None
        if found.table == "people":
            self._take_person(found, tally)
        taker = self._takers.get(found.table)
        if taker is None:
            return None
        record = _whole(found)
        key = record_key(taker.table, record)
        reason = NO_KEY if key is None else self._not_asked_for(found.table, record)
        reason = reason or chooser.reason(found, key)
        if reason:
            found.is_rejected = True
            leave_out(tally, found, taker.table, reason)
            return None
        if found.table == "attachment_files":
            record = described_content(record, found.content, self._options.attachments)
        taker.take(key, record, found, tally)
        return taker

    def _take_person(self, found: Found, tally: Tally) -> None:
        if not is_id(found.record.get("id")):
            tally.leave_out(found.source, "people", NO_KEY, name_of(found.record))
            return
        if "people" in self._names:
            self.people.meet("people", _whole(found))
        tally.loaded(found.source, "people")

    def _not_asked_for(self, name: str, record: Record) -> str:
        wanted = self._options.project_ids
        project_id = record.get("id" if name == "projects" else "project_id")
        if wanted is None or project_id is None or project_id in wanted:
            return ""
        return "of a project that was not asked for"

    def _by_products(self) -> Iterator[Emitted]:
        for name, taker in self._takers.items():
            yield self._emit(taker, name)
        if "projects" in self._takers:
            yield "projects", self._projects_without_record()
        if "people" in self._names:
            yield "people", self.people_records()
        others = [table for n, table in ARCHIVE_TABLES.items() if n not in self._names]
        not_loaded = {member.name for table in others for member in table.family()}
        report = report_records(self._tallies, not_loaded)
        if "load_report" in self._names:
            self.metrics["load_report"] |= {
                "report": report,
                "unread": self._unread,
                "ignored": self._opened.ignored,
            }
            yield from self._report(report, not_loaded)

    def _projects_without_record(self) -> list[Record]:
        """A record for each project that records name and no file describes, to join on."""
        held = self.loaded.row_ids(self.table("projects"), "id", self._named)
        return [
            {"id": one, "_source": source}
            for one, source in self._named.items()
            if one not in held and one not in self._described
        ]

    def _report(self, report: list[Record], not_loaded: set[str]) -> Iterator[Emitted]:
        """The report; what an earlier one said of the same files is replaced."""
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


def _whole(found: Found) -> Record:
    """The record in Tracker's words, with its file, and an activity with its project's id."""
    record = in_tracker_words(found.record)
    if found.table == "activity" and "project_id" not in record:
        project = record.get("project")
        if isinstance(project, dict) and "id" in project:
            record = {"project_id": project["id"], **record}
    return {**record, "_source": found.source}


def _has_no_id(project: Record) -> bool:
    """Whether a project has the key of a name, which is negative."""
    return is_id(project.get("id")) and project["id"] < 0


def _leave_out_the_rest(tally: Tally, problem: str) -> None:
    """Where a file broke off, what had been read but not handed over is lost with it."""
    for (source, table), totals in tally.totals().items():
        if totals.missing > 0:
            tally.leave_out(source, table, problem, "", totals.missing)
