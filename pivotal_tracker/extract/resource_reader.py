"""Run the requests of a resource for all projects in parallel in dlt's pool.

A resource yields jobs, which are callables. dlt runs them in its pool of `[extract] workers`
threads, and iterates over what they return in its own thread. So projects and pages are fetched in
parallel, and rows are made in one thread: several would not be faster in Python, and would slow
down the thread that writes them.

Jobs send requests. What the responses change is changed by the iterators that jobs return, so that
a reader needs no locks. Methods that run in the pool are at the end of each class.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..api.errors import AmbiguousNotFoundError, EndpointNotSupportedError
from ..api.fields import top_level_names
from ..load.destination_rows import RowIdCache
from ..load.metrics import Metrics
from ..records import Key, Record, Tombstones, tombstones
from ..settings import BATCH_SIZE, MAX_PAGES_IN_FLIGHT, Endpoint
from ..tables import LOAD_REPORT, Table
from .run import Run

if TYPE_CHECKING:
    from .list_reader import ProjectListReader

UNSUPPORTED_THRESHOLD = 3
"""If this many projects lack a list and none has it, the server does not support the list."""

Job = Callable[[], Iterator[Any]]
State = dict[str, Any]


@dataclass
class ResourceReader:
    """Read one table of all projects.

    Attributes:
        run: The context that the tables share.
        name: The resource.
        endpoint: The list to read.
        state: The state of each project for the next run, by its id as text.
        seen: The keys of all records so far, in any project.
        known: The hashes of the projects' rows in the destination.
        answered: Whether the list of any project has been read.
    """

    run: Run
    name: str
    endpoint: Endpoint
    state: dict[str, State]
    seen: set[Key] = field(default_factory=set)
    known: RowIdCache = field(init=False)
    answered: bool = False
    _records: list[Record] = field(default_factory=list)
    _unsupported_projects: dict[str, str] = field(default_factory=dict)
    _seen_attributes: set[str] = field(default_factory=set)
    _missing: dict[Key, int] = field(default_factory=dict)
    _earlier: dict[str, State] = field(default_factory=dict)
    _lists: Sequence[ProjectListReader] = ()
    _queue: deque[Iterator[Job]] = field(default_factory=deque)
    _in_flight: int = 0
    _is_finished: bool = False

    @property
    def metrics(self) -> Metrics:
        """The metrics of the resource."""
        return self.run.metrics[self.name]

    @property
    def table(self) -> Table:
        """The table of the records, with its name in the destination."""
        return self.run.table(self.name)

    @property
    def reads_everything(self) -> bool:
        """Whether earlier runs are ignored: outside of a load, or if tables are replaced."""
        return self.run.is_replaced(self.name)

    @property
    def compares(self) -> bool:
        """Whether there may be rows in the destination to compare records with."""
        return self.run.loaded.has_previous_run and not self.reads_everything

    def items(self, lists: Sequence[ProjectListReader]) -> Iterator[Any]:
        """Yield what the resource yields: jobs for dlt's pool, and records."""
        yield Tombstones()
        if reason := self.run.server.unsupported(self.name):
            self.metrics.not_offered = reason
            yield from self._finish()
            return
        to_read = [reader for reader in lists if self.reads_everything or reader.needs_read()]
        self._lists = to_read
        whole = (reader.project_id for reader in to_read if reader.will_read_all)
        self.known = RowIdCache(self.run.loaded, self.table, whole)
        self.metrics.unchanged = len(lists) - len(to_read)
        yield from self.begin(reader.begin_reading for reader in to_read)
        if not to_read:
            yield from self._finish()

    def begin(self, jobs: Iterable[Job]) -> Iterator[Job]:
        """Add jobs to the queue, and yield those that may start now."""
        self._queue.append(iter(jobs))
        yield from self._next_jobs()

    def job_done(self) -> Iterator[Any]:
        """Yield the next job after one is done; after the last one, the remaining records."""
        self._in_flight -= 1
        yield from self._next_jobs()
        if not self._in_flight:
            yield from self._finish()

    def add(self, records: Iterable[Record]) -> None:
        """Add new records; they are yielded in batches."""
        self._records += records

    def write(self, *, force: bool = False) -> Iterator[Any]:
        """Yield the records if there are enough for a batch, or with `force`."""
        if self._records and (force or len(self._records) >= BATCH_SIZE):
            yield self._take_records()

    def _take_records(self) -> list[Record]:
        # the generator must not hold them: dlt may go on with it after many other pages
        records, self._records = self._records, []
        if self.compares:
            self.run.compare_with(self.name, self._look_up(records))
        return records

    def _look_up(self, records: list[Record]) -> dict[Key, str]:
        """Look up the existing rows of records that were not in their list before."""
        loaded = self.run.loaded
        if not self.table.nested and not loaded.has(LOAD_REPORT.name):
            # a record may have moved from another project: only its child rows depend on the old
            # row; but archives may know a project by another id
            return {}
        if self.table.key != ("id",):
            return {}
        known = self.run.writer(self.name).known
        projects = {r["id"]: r["project_id"] for r in records if r["id"] not in known}
        found = loaded.row_ids(self.table, "id", projects)
        if self.name == "stories":
            self.run.link_archive_projects({key: projects[key] for key in found})
        return found

    def count_unchanged(self) -> None:
        """Count a project that was not read again."""
        self.metrics.unchanged = (self.metrics.unchanged or 0) + 1

    def mark_missing(self, project_id: int, keys: Iterable[Key]) -> None:
        """Mark records as missing from a project; another project may still have them."""
        self._missing |= dict.fromkeys(keys, project_id)

    def record_unsupported(self, project_id: int, error: EndpointNotSupportedError) -> None:
        """Record that a list does not exist, for this project or at all."""
        self._unsupported_projects[str(project_id)] = str(error)
        is_certain = not isinstance(error, AmbiguousNotFoundError)
        if is_certain or (
            not self.answered and len(self._unsupported_projects) >= UNSUPPORTED_THRESHOLD
        ):
            self.metrics.not_offered = str(error)

    def record_attributes(self, records: Iterable[Record]) -> None:
        """Record which attributes records have."""
        self._seen_attributes.update(*records)

    def _finish(self) -> Iterator[Any]:
        # the job that starts the last job may still run after that one has ended
        if self._is_finished:
            return
        self._is_finished = True
        self._record_unsupported_lists()
        yield from self.write(force=True)
        deleted = [key for key in self._missing if key not in self.seen]
        yield tombstones(self.table, deleted)
        self._forget_state_of_rejected()
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

    def _forget_state_of_rejected(self) -> None:
        """Have the next run read the lists with rejected records again."""
        if self.run.load_id is None:
            return
        writer = self.run.writer(self.name)
        for project_id in map(str, writer.rejected_in):
            if project_id in self._earlier:
                self.state[project_id] = self._earlier[project_id]
        for reader in self._lists if writer.rejected_keys else ():
            reader.forget(writer.rejected_keys)

    def _remember_server(self) -> None:
        """Remember that the server lacks the list, unless an earlier run could read it."""
        reason = self.metrics.not_offered
        if reason and not any(self.state.values()) and not self.run.server.unsupported(self.name):
            self.run.server.add_unsupported(self.name, reason)
        self.run.remember_server()

    def _record_unsupported_lists(self) -> None:
        """Record which lists the server lacks, for all projects or for some."""
        requested = top_level_names(self.endpoint.fields)
        lists = requested & self.table.nested.keys() - self.run.client.refused_fields
        if self._seen_attributes:
            self.metrics.not_given = sorted(lists - self._seen_attributes)
        if self.answered and not self.metrics.not_offered:
            self.metrics.skipped |= self._unsupported_projects
        elif self._unsupported_projects and not self.metrics.not_offered:
            self.metrics.not_offered = next(iter(self._unsupported_projects.values()))

    def _next_jobs(self) -> Iterator[Job]:
        # dlt keeps the results of its pool in memory, so limit the jobs in flight here
        while self._queue and self._in_flight < MAX_PAGES_IN_FLIGHT:
            job = next(self._queue[0], None)
            if job is None:
                self._queue.popleft()
            else:
                self._in_flight += 1
                yield job
