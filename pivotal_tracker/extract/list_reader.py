"""Reads one list of each project, page by page, side by side in dlt's pool.

A resource yields callables; dlt runs them in its pool of `[extract] workers` threads, and goes on
with what they return in its own. So projects and pages are fetched together, no more of them at a
time than the pool holds, while rows are made in one thread: making them in many is no faster in
Python, and slows the thread that writes them.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, deque
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ..activity import deletions_in
from ..api.client import (
    NotOfferedError,
    Page,
    PerhapsNotOfferedError,
    TrackerClient,
    UnreadableError,
)
from ..errors import TrackerError
from ..load.destination_rows import KnownRows
from ..records import Key, Record, Tombstones, days_of, in_tracker_words, record_key, tombstones
from ..settings import BATCH_SIZE, MOST_ROWS, PAGES_AT_ONCE, Endpoint
from ..tables import LOAD_REPORT, Table
from .deletions import explained_by, is_doubtful, note_accepted, note_kept
from .run import Run

STORIES = "stories"

_ENOUGH = 3
"""So many projects without a list, and none with it, are enough to judge the server by."""

Job = Callable[[], Iterator[Any]]
State = dict[str, Any]


@dataclass
class Reading:
    """One table's reading of all projects.

    Attributes:
        run: What it shares with the other tables.
        name: The resource.
        endpoint: The list to read.
        state: What is remembered of each project until the next run, by its id as text.
        metrics: What could not be read: `skipped` by project id and `not_offered`, both with the
            reason, `refused_fields`, and `not_given`, the lists in records that were asked for in
            vain; `kept` and `accepted` by project id, see `deletions`; how many projects were
            `unchanged`; `pending`, of how many stories of each comments are left to later runs;
            `counted`, how many rows the lists read whole have; and the client's
            `counts`.
        seen: The keys met so far, in any project.
        known: What the destination holds of the projects.
        answered: Whether the list of any project has been read.
    """

    run: Run
    name: str
    endpoint: Endpoint
    state: dict[str, State]
    metrics: dict[str, Any]
    seen: set[Key] = field(default_factory=set)
    known: KnownRows = field(init=False)
    answered: bool = False
    _records: list[Record] = field(default_factory=list)
    _lacking: dict[str, str] = field(default_factory=dict)
    _given: set[str] = field(default_factory=set)
    _missing: dict[Key, int] = field(default_factory=dict)
    _earlier: dict[str, State] = field(default_factory=dict)
    _lists: Sequence[ProjectList] = ()
    _waiting: deque[Iterator[Job]] = field(default_factory=deque)
    _under_way: int = 0
    _is_finished: bool = False

    @property
    def table(self) -> Table:
        """The table of the records, as it is named in the destination."""
        return self.run.table(self.name)

    @property
    def reads_everything(self) -> bool:
        """Whether earlier runs do not matter: outside of a load, or where tables are replaced."""
        return self.run.is_replaced(self.name)

    @property
    def compares(self) -> bool:
        """Whether there may be rows in the destination to compare records with."""
        return self.run.compares and not self.reads_everything

    def items(self, lists: Sequence[ProjectList]) -> Iterator[Any]:
        """What the resource yields: the first jobs of the projects' lists, and what follows."""
        note_client(self.run.client, self.metrics)
        yield Tombstones()
        if reason := self.run.server.unsupported(self.name):
            self.metrics["not_offered"] = reason
            yield from self._finish()
            return
        to_read = [one for one in lists if self.reads_everything or one.may_have_changed()]
        self._lists = to_read
        whole = (one.project_id for one in to_read if one.is_surely_whole)
        self.known = KnownRows(self.run.loaded, self.table, whole)
        self.metrics["unchanged"] = len(lists) - len(to_read)
        yield from self.begin(one.first_job for one in to_read)
        if not to_read:
            yield from self._finish()

    def begin(self, jobs: Iterable[Job]) -> Iterator[Job]:
        """Lines up jobs, and gives those of the line that may begin now."""
        self._waiting.append(iter(jobs))
        yield from self._next_jobs()

    def end_one(self) -> Iterator[Any]:
        """Goes on when a job is done: gives the next in line, and after the last one the rows."""
        self._under_way -= 1
        yield from self._next_jobs()
        if not self._under_way:
            yield from self._finish()

    def add(self, records: Iterable[Record]) -> None:
        """Add records that no list has brought before, to be yielded with others."""
        self._records += records

    def write(self, *, all_of_it: bool = False) -> Iterator[Any]:
        """Yield the records once there are enough of them."""
        if self._records and (all_of_it or len(self._records) >= BATCH_SIZE):
            records, self._records = self._records, []
            if self.compares:
                self.run.compare_with(self.name, self._look_up(records))
            yield records

    def _look_up(self, records: list[Record]) -> dict[Key, str]:
        """What the destination holds of records that no earlier run has seen in their list."""
        loaded = self.run.loaded
        if not self.table.nested and not loaded.has(LOAD_REPORT.name):
            # of records that move to another project, only child rows need a look; but files know
            # projects by other ids than the server
            return {}
        if self.table.key != ("id",):
            return {}
        known = self.run.writer(self.name).known
        projects = {r["id"]: r["project_id"] for r in records if r["id"] not in known}
        found = loaded.row_ids(self.table, "id", projects)
        if self.name == STORIES:
            self.run.join_projects({key: projects[key] for key in found})
        return found

    def count_unusable(self) -> None:
        """Count a record that no table can take."""
        if self.run.load_id is not None:
            self.run.writer(self.name).counts["unusable"] += 1

    def bury(self, project_id: int, keys: Iterable[Key]) -> None:
        """Note that a project has these no more; they may yet be met in another."""
        self._missing |= dict.fromkeys(keys, project_id)

    def lack(self, project_id: int, error: NotOfferedError) -> None:
        """Notes that a project's list is not there: offered to nobody, or missing of this one."""
        self._lacking[str(project_id)] = str(error)
        is_told = not isinstance(error, PerhapsNotOfferedError)
        if is_told or (not self.answered and len(self._lacking) >= _ENOUGH):
            self.metrics["not_offered"] = str(error)

    def note_given(self, records: Iterable[Record]) -> None:
        """Notes which lists records have in them."""
        self._given.update(*(record.keys() for record in records))

    def _finish(self) -> Iterator[Any]:
        # the job that starts the last one may go on after that one has ended
        if self._is_finished:
            return
        self._is_finished = True
        self._note_what_is_lacking()
        yield from self.write(all_of_it=True)
        deleted = [key for key in self._missing if key not in self.seen]
        yield tombstones(self.table, deleted)
        self._read_rejected_again()
        self._remember_server()
        if self.table.kind:
            self.run.collect_deleted(
                {
                    "kind": self.table.kind,
                    "id": key,
                    "project_id": project_id,
                    "change": "moved" if key in self.seen else "deleted",
                }
                for key, project_id in self._missing.items()
            )
        self.run.finish(self.name)

    def remember(self, project_id: int, state: State) -> None:
        """Remember what was read of a project's list until the next run."""
        self._earlier[str(project_id)] = self.state.get(str(project_id), {})
        self.state[str(project_id)] = state

    def _read_rejected_again(self) -> None:
        """Have the next run read the lists again of which a record was rejected."""
        if self.run.load_id is None:
            return
        writer = self.run.writer(self.name)
        for project_id in map(str, writer.rejected_in):
            if project_id in self._earlier:
                self.state[project_id] = self._earlier[project_id]
        for one in self._lists if writer.rejected_keys else ():
            one.forget(writer.rejected_keys)

    def _remember_server(self) -> None:
        """Remember what the server lacks, unless an earlier run could read the list."""
        reason = self.metrics.get("not_offered")
        if reason and not any(self.state.values()) and not self.run.server.unsupported(self.name):
            self.run.server.add_unsupported(self.name, reason)
        self.run.remember_server()

    def _note_what_is_lacking(self) -> None:
        """Note which lists the server has not, for all projects or for some."""
        asked = {field.partition("(")[0] for field in self.endpoint.fields}
        lists = asked & self.table.nested.keys() - self.run.client.refused_fields
        if self._given:
            self.metrics["not_given"] = sorted(lists - self._given)
        if self._lacking and self.answered and "not_offered" not in self.metrics:
            self.metrics.setdefault("skipped", {}).update(self._lacking)
        elif self._lacking:
            self.metrics.setdefault("not_offered", next(iter(self._lacking.values())))

    def _next_jobs(self) -> Iterator[Job]:
        # dlt keeps whatever its pool has done until there is time for it, so the line is held here
        while self._waiting and self._under_way < PAGES_AT_ONCE:
            job = next(self._waiting[0], None)
            if job is None:
                self._waiting.popleft()
            else:
                self._under_way += 1
                yield job


class ProjectList:
    """One list of one project: read whole, page by page, and compared with what was loaded.

    Args:
        reading: The reading it is part of.
        project: The project's record, as the list of projects has it.
    """

    ever_shrinks = True
    """Whether what the server has no more is deleted."""

    def __init__(self, reading: Reading, project: Record) -> None:
        self.reading = reading
        self.project_id: int = project["id"]
        self.project = project
        self.start = 0
        self.versions: set[int | None] = set()
        self.pages = 0
        self._met: set[tuple[Any, ...]] = set()
        self._end: float = math.inf
        self._total: int | None = None
        self._unusable = 0
        self._to_come = 1
        self._complete = True
        self._is_completed = False
        self.own: set[Key] = set()
        """The keys of the list."""
        self.taken: Counter[Any] = Counter()
        """How many records of each project were first met in the list."""
        self._known: dict[Key, str] | None = None
        self.is_repeated = False
        """Whether the whole list was read a second time, as the first response was doubtful."""

    # what a table may do otherwise

    @property
    def is_surely_whole(self) -> bool:
        """Whether all of the list will be compared, as far as is known before it is read."""
        return True

    def may_have_changed(self) -> bool:
        """Whether there is anything to read, as far as the project's version tells."""
        version = self.project.get("version")
        return version is None or self.before.get("version") != version or self.is_accepted

    def first_job(self) -> Iterator[Any]:
        """Reads the first page; what it returns takes its rows and says which pages follow."""
        return self.go_on(self.read(self.start))

    def known(self) -> dict[Key, str]:
        """What the destination holds of this list."""
        return self.reading.known.of(self.project_id)

    def bury(self, keys: Iterable[Key]) -> None:
        """Note that the project has these no more."""
        self.reading.bury(self.project_id, keys)

    def completed(self) -> Iterator[Any]:
        """What follows when all pages are read."""
        yield from self.settle()

    def forget(self, keys: Iterable[Key]) -> None:
        """Have the next run read records again, by their keys, that could not be written."""

    def remembered(self) -> State:
        """What is remembered of the list until the next run."""
        return {"version": self.project.get("version")}

    # what all have in common

    @property
    def _is_unfiltered(self) -> bool:
        """Whether the server's total is that of the list that is read."""
        return True

    @property
    def before(self) -> State:
        """What the last run remembered."""
        return self.reading.state.get(str(self.project_id), {})

    def changes(self) -> list[Record] | None:
        """The project's activity since the last run; None where that does not tell everything."""
        run, version, now = (
            self.reading.run,
            self.before.get("version"),
            self.project.get("version"),
        )
        if version is None or now is None or run.full_refresh or not self.reading.compares:
            return None
        return [] if version == now else run.feeds.since(self.project_id, version)

    @property
    def client(self) -> TrackerClient:
        """The server."""
        return self.reading.run.client

    @property
    def held(self) -> dict[Key, str]:
        """The `_dlt_id` of the list's rows in the destination; for dlt's own thread only."""
        if self._known is None:
            reading = self.reading
            # a refresh is also what helps where the tables are not as they should be
            knows = reading.compares and (
                not reading.run.full_refresh
                or (reading.run.loaded.has_all_of(reading.table) and not reading.run.only_adds)
            )
            self._known = self.known() if knows else {}
            reading.run.compare_with(reading.name, self._known)
        return self._known

    @property
    def is_accepted(self) -> bool:
        """Whether the user accepts, in this run, what the list lacks as deleted."""
        return (self.project_id, self.reading.name) in self.reading.run.accepted

    def explained(self, missing: Collection[Key]) -> set[Key]:
        """Those of the missing keys of which activity says that they were deleted or moved."""
        return explained_by(self.reading.table, missing, deletions_in(self.earlier_changes() or ()))

    def earlier_changes(self) -> list[Record] | None:
        """The activity since the list was last read completely, also in a full refresh."""
        version = self.before.get("version") or self.before.get("read_version")
        if version is None or not self.reading.compares:
            return None
        return self.reading.run.feeds.since(self.project_id, version)

    def unexplained(self, missing: Collection[Key]) -> list[Key]:
        """The missing keys that may not be deleted: empty unless the list is doubtful."""
        listed, held = len(self.own), len(self.held)
        if self.is_accepted or not is_doubtful(held, listed, len(missing)):
            return []
        explained = self.explained(missing)
        unexplained = [key for key in missing if key not in explained]
        return unexplained if is_doubtful(held, listed, len(unexplained)) else []

    def repeat(self) -> Iterator[Any]:
        """Read the whole list again."""
        self.is_repeated, self._is_completed = True, False
        self.own, self._met, self.versions = set(), set(), set()
        self.pages, self._end, self._total, self._unusable = 0, math.inf, None, 0
        self._to_come += 1
        yield from self.reading.begin([partial(self._page_at, self.start)])

    @property
    def rows_missing(self) -> int:
        """How many rows fewer the list gave than the server announced."""
        if self._total is None or not self._is_unfiltered:
            return 0
        return max(0, self._total - self.start - len(self.own) - self._unusable)

    def _leave_incomplete(self) -> None:
        """Delete nothing, and do not advance unless the last run got the same rows.

        A total may honestly be too large: of a list that gives the same rows again there is no more
        to be had.
        """
        keys = sorted(map(str, self.own))
        digest = hashlib.blake2b("\n".join(keys).encode(), digest_size=8).hexdigest()
        is_same = self.before.get("incomplete") == digest
        state = self.remembered() if is_same else self.before
        self.reading.remember(self.project_id, {**state, "incomplete": digest})
        self.reading.metrics.setdefault("incomplete", {})[str(self.project_id)] = {
            "rows": len(self.own),
            "total": (self._total or 0) - self.start,
            "is_new": not is_same,
        }

    def keep(self, keys: Collection[Key]) -> None:
        """Note that rows are kept, and do not advance what is remembered of the list."""
        state = self.reading.state.setdefault(str(self.project_id), {})
        note_kept(state, self.reading.metrics, self.project_id, len(keys))

    def missing(self) -> list[Key]:
        """The keys in the destination that this list does not have (any more)."""
        return [key for key in self.held if key not in self.own]

    def settle(self) -> Iterator[Any]:
        """Delete what is gone, and remember what was read; keep rows where that is doubtful."""
        if self._unusable:
            # one of the rows that seem to be missing may be that of a record without a usable key
            self._complete = False
        if self._complete and self.rows_missing:
            self._leave_incomplete()
        elif self._complete:
            missing = self.missing() if self.ever_shrinks else []
            kept = self.unexplained(missing)
            if kept and not self.is_repeated:
                yield from self.repeat()
                return
            self._settle(missing, kept)
        yield from self.reading.write()
        # of hundreds of projects, these are most of what the reading holds in memory
        self._known, self.own, self._met = {}, set(), set()

    def _settle(self, missing: list[Key], kept: list[Key]) -> None:
        gone = set(missing).difference(kept)
        if self.is_accepted:
            note_accepted(self.reading.metrics, self.project_id, len(gone))
        self.bury(gone)
        if kept:
            self.keep(kept)
            return
        if not self.start and self.pages:
            self._note_numbers()
        self.reading.remember(self.project_id, self.remembered())

    def _note_numbers(self) -> None:
        """Notes how many rows the whole list has, for them to be counted when they are loaded."""
        self.reading.metrics.setdefault("counted", {})[str(self.project_id)] = {
            "said": self._total,
            "read": self.taken[self.project_id],
        }

    def read(self, offset: int) -> Page | None:
        """The page, or None where it cannot be had, which the metrics then say."""
        reading = self.reading
        if "not_offered" in reading.metrics:
            return None
        try:
            return self.fetch(offset)
        except NotOfferedError as error:
            reading.lack(self.project_id, error)
        except UnreadableError as error:
            self.note_skipped(error)
        return None

    def fetch(self, offset: int) -> Page:
        """Request a page.

        Raises:
            TrackerError: It cannot be had; the kind says why.
        """
        get = self.client.page if offset == self.start else self.client.later_page
        return get(self.reading.endpoint, offset, id=self.project_id)

    def note_skipped(self, error: TrackerError) -> None:
        """Leave the list to the next run: what cannot be read now is not gone."""
        self._complete = False
        self.reading.metrics.setdefault("skipped", {})[str(self.project_id)] = str(error)

    def go_on(self, page: Page | None, until: int | None = None) -> Iterator[Any]:
        """Take the rows of a page, and give dlt the jobs for the pages after it.

        Args:
            page: The page; None where it cannot be had.
            until: Where the page after it begins that is read anyway.
        """
        self._to_come -= 1
        if page is None:
            self._complete = False
        else:
            records = self._records_of(page)
            following = self._following(page, len(records), until)
            yield from self.take_page(records)
            yield from self.reading.begin(following)
        yield from self._end_job()

    def skip(self) -> Iterator[Any]:
        """Ends a job for a page that the list has turned out not to have."""
        self._to_come -= 1
        yield from self._end_job()

    def _end_job(self) -> Iterator[Any]:
        # a page may wait for dlt to take its rows while the last page comes and ends the list
        if not self._to_come and not self._is_completed:
            self._is_completed = True
            yield from self.completed()
        yield from self.reading.end_one()

    def take_page(self, records: list[Record]) -> Iterator[Any]:
        """Adds the rows of a page's records that are new or changed."""
        self.take(records)
        yield from self.reading.write()

    def take(self, records: Iterable[Record]) -> None:
        """Add records that no list has brought before."""
        held, fresh = self.held, []
        for record in self.as_loaded(records):
            key = record_key(self.reading.table, record)
            if key is None:
                self.reading.count_unusable()
                self._unusable += 1
                continue
            self.own.add(key)
            if key not in self.reading.seen:
                self.reading.seen.add(key)
                self.taken[record.get("project_id")] += 1
                fresh.append(record)
        self.reading.add(fresh)
        self.learn_from(fresh, held)

    def as_loaded(self, records: Iterable[Record]) -> Iterator[Record]:
        """Records in Tracker's words, each with its project."""
        return ({"project_id": self.project_id, **in_tracker_words(r)} for r in records)

    def learn_from(self, records: list[Record], held: Container[Key]) -> None:
        """Note what records say of others.

        Args:
            records: Those that no list has brought before.
            held: The keys of those that the destination holds.
        """
        self.reading.run.collect_people(self.reading.name, records)

    def records(self, page: Page) -> list[Record]:
        """The records of a page."""
        records = self.client.records(page)
        if len(records) == 1 and records[0].get("kind") == "daily_history_container":
            return days_of(records[0])
        return records

    def _records_of(self, page: Page) -> list[Record]:
        """The records of a page that was read; none where the list has ended before it."""
        try:
            records = self.records(page)
            self._unusable += len(self.client.rejected.get(page.path, ()))
        except NotOfferedError as error:
            self.reading.metrics["not_offered"] = str(error)
            self._complete = False
            return []
        except UnreadableError as error:
            self.note_skipped(error)
            return []
        self.reading.answered = True
        self.reading.note_given(records)
        self.versions.add(page.version)
        self.pages += 1
        if self._is_past_the_end(page, records):
            self._end = min(self._end, page.offset)
            return []
        return records

    def _is_past_the_end(self, page: Page, records: list[Record]) -> bool:
        # a server that ignores the offset gives the same pages for ever
        has_new = self._total is not None or self._meets_new(records)
        if page.offset == self.start:
            self._total = page.known_total(len(records))
            return False
        return not records or not has_new

    def _meets_new(self, records: list[Record]) -> bool:
        """Whether any of the records has not been in a page before."""
        names = self.reading.table.key
        keys = {tuple(str(record.get(name)) for name in names) for record in records}
        is_new = not keys <= self._met
        self._met |= keys
        return is_new

    def _following(self, page: Page, returned: int, until: int | None) -> Iterator[Job]:
        offsets: Sequence[int] = ()
        if page.offset < self._end:
            offsets = page.following_offsets(returned)
        if page.offset != self.start and self._total is not None:
            # the first page has told them all, unless this one is shorter than it said
            self._total = min(self._total, self._total if page.total is None else page.total)
            is_short = returned and until is not None and page.offset + returned < until
            offsets = (page.offset + returned,) if is_short and page.offset < self._end else ()
        self._to_come += len(offsets)
        return self._jobs(offsets, until if page.offset != self.start else self._total)

    def _jobs(self, offsets: Sequence[int], end: int | None) -> Iterator[Job]:
        """Jobs for the pages at offsets, each of which reaches to the next one or to the end."""
        for done, offset in enumerate(offsets):
            until = offsets[done + 1] if done + 1 < len(offsets) else end
            if offset >= self._end:
                # what is left is never begun; this one job ends them all
                self._to_come -= len(offsets) - done - 1
                yield self.skip
                return
            yield partial(self._page_at, offset, until)

    def _page_at(self, offset: int, until: int | None = None) -> Iterator[Any]:
        """Read another page, unless the list has turned out to end before it."""
        if offset > MOST_ROWS:
            self.note_skipped(TrackerError(f"The list has not ended after {MOST_ROWS:,} rows."))
            return self.skip()
        if offset >= self._end:
            return self.skip()
        return self.go_on(self.read(offset), until)


def note_client(client: TrackerClient, metrics: dict[str, Any]) -> None:
    """Notes what a client counts and is refused, so that it ends in dlt's trace of the run."""
    metrics["counts"] = client.counts
    metrics["refused_fields"] = client.refused_fields
    metrics["unparsable"] = client.rejected
