"""Read a list of a project page by page, and compare it with the loaded rows."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Collection, Container, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any

from ..activity import deletions_from_activity
from ..api.client import TrackerClient
from ..api.errors import EndpointNotSupportedError, UnreadableError
from ..api.pages import Page
from ..errors import TrackerError
from ..records import Key, Record, expand_daily_history, from_litetracker, record_key
from ..settings import MAX_LIST_ROWS
from .deletions import is_doubtful, record_accepted, record_kept
from .resource_reader import Job, ResourceReader, State


class ProjectListReader:
    """Read a complete list of a project, and compare it with the loaded rows.

    Args:
        reader: The reader of the resource.
        project: The project's record, as the list of projects has it.
    """

    deletes_missing_rows = True
    """Whether rows that are missing from the server are deleted."""

    def __init__(self, reader: ResourceReader, project: Record) -> None:
        self.reader = reader
        self.project_id: int = project["id"]
        self.project = project
        self.start = 0
        self.versions: set[int | None] = set()
        self.pages = 0
        self._seen_keys: set[tuple[Any, ...]] = set()
        self._end_offset: float = math.inf
        self._total: int | None = None
        self._unusable = 0
        self._pending_pages = 1
        self._complete = True
        self._is_completed = False
        self.keys: set[Key] = set()
        """The keys of the list."""
        self.new_counts: Counter[Any] = Counter()
        """The number of records of each project that were first seen in this list."""
        self._known: dict[Key, str] | None = None
        self.is_repeated = False
        """Whether the list was read a second time, because the first response was doubtful."""

    # methods that readers of some tables override

    @property
    def will_read_all(self) -> bool:
        """Whether the complete list will be compared, as far as is known before reading."""
        return True

    def needs_read(self) -> bool:
        """Check by the project's version whether there may be changes to read."""
        version = self.project.get("version")
        return version is None or self.before.get("version") != version or self.is_accepted

    def known(self) -> dict[Key, str]:
        """Return the `_dlt_id` of the list's rows in the destination, by key."""
        return self.reader.known.pop(self.project_id)

    def mark_missing(self, keys: Iterable[Key]) -> None:
        """Mark records as missing from the project."""
        self.reader.mark_missing(self.project_id, keys)

    def on_all_pages_read(self) -> Iterator[Any]:
        """Go on after all pages are read."""
        yield from self.finish_list()

    def forget(self, keys: Iterable[Key]) -> None:
        """Have the next run read records again that could not be written."""

    def next_state(self) -> State:
        """Return the state of the list for the next run."""
        return {"version": self.project.get("version")}

    # methods that all readers share

    @property
    def before(self) -> State:
        """The state of the last run."""
        return self.reader.state.get(str(self.project_id), {})

    def changes(self) -> list[Record] | None:
        """Return the activity since the last run; None if it may be incomplete."""
        run, version, now = (
            self.reader.run,
            self.before.get("version"),
            self.project.get("version"),
        )
        if version is None or now is None or run.full_refresh or not self.reader.compares:
            return None
        return [] if version == now else run.feeds.since(self.project_id, version)

    @property
    def client(self) -> TrackerClient:
        """The server."""
        return self.reader.run.client

    @property
    def existing(self) -> dict[Key, str]:
        """The `_dlt_id` of the list's existing rows, by key; only for dlt's own thread."""
        if self._known is None:
            reader = self.reader
            # a full refresh also repairs tables, so it compares only with complete ones
            compares = reader.compares and (
                not reader.run.full_refresh
                or (
                    reader.run.loaded.has_table_family(reader.table)
                    and not reader.run.is_append_only
                )
            )
            self._known = self.known() if compares else {}
            reader.run.compare_with(reader.name, self._known)
        return self._known

    @property
    def is_accepted(self) -> bool:
        """Whether the user accepts that all missing rows of the list are deleted."""
        return (self.project_id, self.reader.name) in self.reader.run.accepted

    def explained(self, missing: Collection[Key]) -> set[Key]:
        """Return the missing keys that activity says were deleted or moved."""
        kind = self.reader.table.kind
        deletions = deletions_from_activity(self.earlier_changes() or ())
        return {d["id"] for d in deletions if d["kind"] == kind}.intersection(missing)

    def earlier_changes(self) -> list[Record] | None:
        """Return the activity since the list was last read, also in a full refresh."""
        version = self.before.get("version") or self.before.get("read_version")
        if version is None or not self.reader.compares:
            return None
        return self.reader.run.feeds.since(self.project_id, version)

    def unexplained(self, missing: Collection[Key]) -> list[Key]:
        """Return the missing keys that must not be deleted: empty unless the list is doubtful."""
        listed, existing = len(self.keys), len(self.existing)
        if self.is_accepted or not is_doubtful(existing, listed, len(missing)):
            return []
        explained = self.explained(missing)
        unexplained = [key for key in missing if key not in explained]
        return unexplained if is_doubtful(existing, listed, len(unexplained)) else []

    def repeat(self) -> Iterator[Any]:
        """Read the whole list again."""
        self.is_repeated, self._is_completed = True, False
        self.keys, self._seen_keys, self.versions = set(), set(), set()
        self.pages, self._end_offset, self._total, self._unusable = 0, math.inf, None, 0
        self._pending_pages += 1
        yield from self.reader.begin([partial(self._fetch_offset, self.start)])

    @property
    def rows_missing(self) -> int:
        """The number of rows that the server announced and did not send."""
        if self._total is None:
            return 0
        return max(0, self._total - self.start - len(self.keys) - self._unusable)

    def _leave_incomplete(self) -> None:
        """Delete nothing, and keep the old state unless the last run got the same rows.

        A server's total may be too large. If the list has the same rows again, there are no more.
        """
        keys = sorted(map(str, self.keys))
        digest = hashlib.blake2b("\n".join(keys).encode(), digest_size=8).hexdigest()
        is_same = self.before.get("incomplete") == digest
        state = self.next_state() if is_same else self.before
        self.reader.remember(self.project_id, {**state, "incomplete": digest})
        self.reader.metrics.incomplete[str(self.project_id)] = {
            "rows": len(self.keys),
            "total": (self._total or 0) - self.start,
            "is_new": not is_same,
        }

    def missing(self) -> list[Key]:
        """Return the keys in the destination that are missing from this list."""
        return [key for key in self.existing if key not in self.keys]

    def finish_list(self) -> Iterator[Any]:
        """Delete missing rows and save the state; keep rows if the list is doubtful."""
        if self._unusable:
            # a record without a valid key may be one of the missing rows
            self._complete = False
        if self._complete and self.rows_missing:
            self._leave_incomplete()
        elif self._complete:
            missing = self.missing() if self.deletes_missing_rows else []
            kept = self.unexplained(missing)
            if kept and not self.is_repeated:
                yield from self.repeat()
                return
            self._save_result(missing, kept)
        yield from self.reader.write()
        # free memory: with hundreds of projects, these take most of it
        self._known, self.keys, self._seen_keys = {}, set(), set()

    def _save_result(self, missing: list[Key], kept: list[Key]) -> None:
        deleted = set(missing).difference(kept)
        if self.is_accepted:
            record_accepted(self.reader.metrics, self.project_id, len(deleted))
        self.mark_missing(deleted)
        if kept:
            # keep the old state too
            state = self.reader.state.setdefault(str(self.project_id), {})
            record_kept(state, self.reader.metrics, self.project_id, len(kept))
            return
        if not self.start and self.pages:
            # the number of rows of the complete list is checked after the load
            self.reader.metrics.counted[str(self.project_id)] = {
                "said": self._total,
                "read": self.new_counts[self.project_id],
            }
        self.reader.remember(self.project_id, self.next_state())

    def record_skipped(self, error: TrackerError) -> None:
        """Record an error, and leave the list to the next run without deleting rows."""
        self._complete = False
        self.reader.metrics.skipped[str(self.project_id)] = str(error)

    def process_page(
        self, page: Page | UnreadableError | None, until: int | None = None
    ) -> Iterator[Any]:
        """Add the rows of a page, and yield the jobs for the next pages.

        Args:
            page: The page, or why it cannot be read; None if the server does not have the list.
            until: The offset of the next page that has a job already.
        """
        self._pending_pages -= 1
        if page is None:
            self._complete = False
        elif isinstance(page, EndpointNotSupportedError):
            self._complete = False
            self.reader.record_unsupported(self.project_id, page)
        elif isinstance(page, UnreadableError):
            self.record_skipped(page)
        else:
            jobs = self._add_page(page, until)
            # free its memory: dlt may go on with this generator after many other pages
            del page
            yield from self.reader.write()
            yield from self.reader.begin(jobs)
        yield from self._end_job()

    def skip_page(self) -> Iterator[Any]:
        """End a job for a page after the end of the list."""
        self._pending_pages -= 1
        yield from self._end_job()

    def _end_job(self) -> Iterator[Any]:
        # the last page may end while dlt still iterates over the rows of another one
        if not self._pending_pages and not self._is_completed:
            self._is_completed = True
            yield from self.on_all_pages_read()
        yield from self.reader.job_done()

    def _add_page(self, page: Page, until: int | None) -> Iterable[Job]:
        """Add the rows of a page; return the jobs that follow."""
        records = self._records_of(page)
        next_pages = self._next_jobs_after(page, len(records), until)
        return chain(self.add_page(records), next_pages)

    def add_page(self, records: list[Record]) -> Iterable[Job]:
        """Add the rows of a page's records that are new or changed; return jobs to start."""
        self.add_records(records)
        return ()

    def add_records(self, records: Iterable[Record]) -> None:
        """Add the records that no list has had before, with the project's id."""
        existing, fresh = self.existing, []
        for record in map(from_litetracker, records):
            record.setdefault("project_id", self.project_id)
            key = record_key(self.reader.table, record)
            if key is None:
                self.reader.metrics.rows["unusable"] += 1
                self._unusable += 1
                continue
            self.keys.add(key)
            if key not in self.reader.seen:
                self.reader.seen.add(key)
                self.new_counts[record.get("project_id")] += 1
                fresh.append(record)
        self.reader.add(fresh)
        self.on_new_records(fresh, existing)

    def on_new_records(self, records: list[Record], existing: Container[Key]) -> None:
        """Collect people and deletions from new records.

        Args:
            records: Records that no list has had before.
            existing: The keys of the list's rows in the destination.
        """
        self.reader.run.collect_people(self.reader.name, records)

    def records(self, page: Page) -> list[Record]:
        """Return the records of a page."""
        records = self.client.records(page)
        if len(records) == 1 and records[0].get("kind") == "daily_history_container":
            return expand_daily_history(records[0])
        return records

    def _records_of(self, page: Page) -> list[Record]:
        """Return the records of a page; none if it is after the end of the list."""
        try:
            records = self.records(page)
            self._unusable += len(self.client.rejected.get(page.path, ()))
        except EndpointNotSupportedError as error:
            self.reader.metrics.not_offered = str(error)
            self._complete = False
            return []
        except UnreadableError as error:
            self.record_skipped(error)
            return []
        self.reader.answered = True
        self.reader.record_attributes(records)
        self.versions.add(page.version)
        self.pages += 1
        if self._is_past_the_end(page, records):
            self._end_offset = min(self._end_offset, page.offset)
            return []
        return records

    def _is_past_the_end(self, page: Page, records: list[Record]) -> bool:
        is_first = page.offset == self.start
        if is_first:
            self._total = page.known_total(len(records))
        # without a total: a server that ignores the offset returns the same page for ever
        has_new = self._has_new_keys(records) if self._total is None else bool(records)
        return not is_first and not has_new

    def _has_new_keys(self, records: list[Record]) -> bool:
        """Check whether one of the records was not in an earlier page."""
        names = self.reader.table.key
        keys = {tuple(str(record.get(name)) for name in names) for record in records}
        is_new = not keys <= self._seen_keys
        self._seen_keys |= keys
        return is_new

    def _next_jobs_after(self, page: Page, returned: int, until: int | None) -> Iterator[Job]:
        offsets: Sequence[int] = ()
        if page.offset < self._end_offset:
            offsets = page.next_offsets(returned)
        if page.offset != self.start and self._total is not None:
            # all pages have jobs; another job is needed only if this page is too short
            self._total = min(self._total, self._total if page.total is None else page.total)
            is_short = returned and until is not None and page.offset + returned < until
            offsets = (
                (page.offset + returned,) if is_short and page.offset < self._end_offset else ()
            )
        self._pending_pages += len(offsets)
        return self._jobs(offsets, until if page.offset != self.start else self._total)

    def _jobs(self, offsets: Sequence[int], end: int | None) -> Iterator[Job]:
        """Yield jobs for the pages at offsets."""
        for done, offset in enumerate(offsets):
            until = offsets[done + 1] if done + 1 < len(offsets) else end
            if offset >= self._end_offset:
                # the list has ended: one job stands for all that are left
                self._pending_pages -= len(offsets) - done - 1
                yield self.skip_page
                return
            yield partial(self._fetch_offset, offset, until)

    # these run in threads of dlt's pool; what they return, and all others, in dlt's own thread

    def begin_reading(self) -> Iterator[Any]:
        """Read the first page; the result adds its rows, and yields jobs for the next pages."""
        return self._fetch_offset(self.start)

    def fetch(self, offset: int) -> Page:
        """Request a page.

        Raises:
            TrackerError: It cannot be read; see `api.errors` for the types.
        """
        get = self.client.page if offset == self.start else self.client.later_page
        return get(self.reader.endpoint, offset, id=self.project_id)

    def _fetch_offset(self, offset: int, until: int | None = None) -> Iterator[Any]:
        """Read a page, unless it is after the end of the list."""
        if offset > MAX_LIST_ROWS:
            error = UnreadableError(f"The list has not ended after {MAX_LIST_ROWS:,} rows.")
            return self.process_page(error, until)
        if offset >= self._end_offset:
            return self.skip_page()
        if self.reader.metrics.not_offered:
            return self.process_page(None)
        try:
            return self.process_page(self.fetch(offset), until)
        except UnreadableError as error:
            return self.process_page(error)
