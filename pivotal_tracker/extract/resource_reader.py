"""Runs the requests of one resource, for all projects, side by side in dlt's pool.

A resource yields callables; dlt runs them in its pool of `[extract] workers` threads, and goes on
with what they return in its own. So projects and pages are fetched together, no more of them at a
time than the pool holds, while rows are made in one thread: making them in many is no faster in
Python, and slows the thread that writes them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..api.client import TrackerClient
from ..api.errors import NotOfferedError, PerhapsNotOfferedError
from ..load.destination_rows import KnownRows
from ..records import Key, Record, Tombstones, tombstones
from ..settings import BATCH_SIZE, PAGES_AT_ONCE, Endpoint
from ..tables import LOAD_REPORT, Table
from .run import Run

if TYPE_CHECKING:
    from .list_reader import ProjectList

STORIES = "stories"

UNSUPPORTED_THRESHOLD = 3
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
    _unsupported_projects: dict[str, str] = field(default_factory=dict)
    _seen_attributes: set[str] = field(default_factory=set)
    _missing: dict[Key, int] = field(default_factory=dict)
    _earlier: dict[str, State] = field(default_factory=dict)
    _lists: Sequence[ProjectList] = ()
    _queue: deque[Iterator[Job]] = field(default_factory=deque)
    _in_flight: int = 0
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
        to_read = [one for one in lists if self.reads_everything or one.needs_read()]
        self._lists = to_read
        whole = (one.project_id for one in to_read if one.will_read_all)
        self.known = KnownRows(self.run.loaded, self.table, whole)
        self.metrics["unchanged"] = len(lists) - len(to_read)
        yield from self.begin(one.first_job for one in to_read)
        if not to_read:
            yield from self._finish()

    def begin(self, jobs: Iterable[Job]) -> Iterator[Job]:
        """Line up jobs, and gives those of the line that may begin now."""
        self._queue.append(iter(jobs))
        yield from self._next_jobs()

    def end_one(self) -> Iterator[Any]:
        """Go on when a job is done: gives the next in line, and after the last one the rows."""
        self._in_flight -= 1
        yield from self._next_jobs()
        if not self._in_flight:
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

    def mark_missing(self, project_id: int, keys: Iterable[Key]) -> None:
        """Note that a project has these no more; they may yet be met in another."""
        self._missing |= dict.fromkeys(keys, project_id)

    def record_unsupported(self, project_id: int, error: NotOfferedError) -> None:
        """Note that a project's list is not there: offered to nobody, or missing of this one."""
        self._unsupported_projects[str(project_id)] = str(error)
        is_certain = not isinstance(error, PerhapsNotOfferedError)
        if is_certain or (
            not self.answered and len(self._unsupported_projects) >= UNSUPPORTED_THRESHOLD
        ):
            self.metrics["not_offered"] = str(error)

    def record_attributes(self, records: Iterable[Record]) -> None:
        """Note which lists records have in them."""
        self._seen_attributes.update(*(record.keys() for record in records))

    def _finish(self) -> Iterator[Any]:
        # the job that starts the last one may go on after that one has ended
        if self._is_finished:
            return
        self._is_finished = True
        self._record_unsupported_lists()
        yield from self.write(all_of_it=True)
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

    def _record_unsupported_lists(self) -> None:
        """Note which lists the server has not, for all projects or for some."""
        asked = {field.partition("(")[0] for field in self.endpoint.fields}
        lists = asked & self.table.nested.keys() - self.run.client.refused_fields
        if self._seen_attributes:
            self.metrics["not_given"] = sorted(lists - self._seen_attributes)
        if self._unsupported_projects and self.answered and "not_offered" not in self.metrics:
            self.metrics.setdefault("skipped", {}).update(self._unsupported_projects)
        elif self._unsupported_projects:
            self.metrics.setdefault("not_offered", next(iter(self._unsupported_projects.values())))

    def _next_jobs(self) -> Iterator[Job]:
        # dlt keeps whatever its pool has done until there is time for it, so the line is held here
        while self._queue and self._in_flight < PAGES_AT_ONCE:
            job = next(self._queue[0], None)
            if job is None:
                self._queue.popleft()
            else:
                self._in_flight += 1
                yield job


def note_client(client: TrackerClient, metrics: dict[str, Any]) -> None:
    """Note what a client counts and is refused, so that it ends in dlt's trace of the run."""
    metrics["counts"] = client.counts
    metrics["refused_fields"] = client.refused_fields
    metrics["unparsable"] = client.rejected
