"""Reads one list of each project, page by page, side by side in dlt's pool.

A resource yields callables; dlt runs them in its pool of `[extract] workers` threads, and goes on
with what they return in its own. So projects and pages are fetched together, no more of them at a
time than the pool holds, while rows are made in one thread: making them in many is no faster in
Python, and slows the thread that writes them.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import dlt

from .client import NotOfferedError, Page, RefusedError, TrackerClient, TrackerError
from .rows import Batch, Record, in_tracker_words
from .settings import BATCH_SIZE, MOST_ROWS, PAGES_AT_ONCE, Endpoint

Job = Callable[[], Iterator[Any]]


@dataclass
class Reading:
    """One table's reading of all projects.

    Attributes:
        client: The server.
        endpoint: The list to read.
        batch: Where the rows gather on their way to dlt.
        metrics: What could not be read: `skipped` by project id and `not_offered`, both with the
            reason, `refused_fields`; and the client's `counts`.
    """

    client: TrackerClient
    endpoint: Endpoint
    batch: Batch
    metrics: dict[str, Any]
    _waiting: deque[Iterator[Job]] = field(default_factory=deque)
    _under_way: int = 0

    def items(self, projects: Sequence[Record]) -> Iterator[Any]:
        """What the resource yields for a page of projects: empty tables, then the first jobs."""
        note_client(self.client, self.metrics)
        yield from self.batch.empty_items()
        yield from self.begin(ProjectList(self, project["id"]).first_page for project in projects)

    def begin(self, jobs: Iterator[Job]) -> Iterator[Job]:
        """Lines up jobs, and gives those of the line that may begin now."""
        self._waiting.append(jobs)
        yield from self._next_jobs()

    def end_one(self) -> Iterator[Any]:
        """Goes on when a job is done: gives the next in line, and after the last one the rows."""
        self._under_way -= 1
        yield from self._next_jobs()
        if not self._under_way:
            yield from self.batch.items()

    def _next_jobs(self) -> Iterator[Job]:
        # dlt keeps whatever its pool has done until there is time for it, so the line is held here
        while self._waiting and self._under_way < PAGES_AT_ONCE:
            job = next(self._waiting[0], None)
            if job is None:
                self._waiting.popleft()
            else:
                self._under_way += 1
                yield job


@dataclass
class ProjectList:
    """One list of one project, on its way through its pages."""

    reading: Reading
    project_id: int
    _first_keys: list[Any] = field(default_factory=list)
    _end: float = math.inf

    def first_page(self) -> Iterator[Any]:
        """Reads the first page; what it returns takes its rows and says which pages follow."""
        return self._go_on(self._read(0))

    def _page_at(self, offset: int) -> Iterator[Any]:
        """Reads another page, unless the list has turned out to end before it."""
        if offset > MOST_ROWS:
            raise TrackerError(
                f"Project {self.project_id}: the server's list {self.reading.endpoint.path} has "
                f"not ended after {MOST_ROWS:,} rows."
            )
        return self._go_on(self._read(offset) if offset < self._end else None)

    def _read(self, offset: int) -> Page | None:
        """The page, or None where it cannot be had, which the metrics then say."""
        reading = self.reading
        if "not_offered" in reading.metrics:
            return None
        try:
            return reading.client.page(reading.endpoint, offset, id=self.project_id)
        except NotOfferedError as error:
            reading.metrics["not_offered"] = str(error)
        except RefusedError as error:
            reading.metrics.setdefault("skipped", {})[str(self.project_id)] = str(error)
        return None

    def _go_on(self, page: Page | None) -> Iterator[Any]:
        """Takes the rows of a page, and gives dlt the jobs for the pages after it."""
        if page is not None:
            following = self._following(page, self._take(page))
            if len(self.reading.batch) >= BATCH_SIZE:
                yield from self.reading.batch.items()
            yield from self.reading.begin(following)
        yield from self.reading.end_one()

    def _take(self, page: Page) -> int:
        """Adds the rows of a page to the batch, and says how many records it had."""
        records = self.reading.client.records(page)
        if self._is_past_the_end(page, records):
            self._end = min(self._end, page.offset)
            return 0
        words = map(in_tracker_words, records)
        self.reading.batch.add(words, project_id=self.project_id)
        return len(records)

    def _is_past_the_end(self, page: Page, records: list[Record]) -> bool:
        key = self.reading.batch.table.key
        keys = [[record.get(name) for name in key] for record in records]
        if not page.offset:
            self._first_keys = keys
            return False
        # a server that ignores the offset gives the first page for ever
        return not records or keys == self._first_keys

    def _following(self, page: Page, returned: int) -> Iterator[Job]:
        if page.offset and page.total is not None:
            # the first page has told them all
            return
        for offset in page.following_offsets(returned):
            if offset >= self._end:
                return
            yield partial(self._page_at, offset)


def note_client(client: TrackerClient, metrics: dict[str, Any]) -> None:
    """Notes what a client counts and is refused, so that it ends in dlt's trace of the run."""
    metrics["counts"] = client.counts
    metrics["refused_fields"] = client.refused_fields


def read_projects(
    client: TrackerClient, endpoint: Endpoint, project_ids: Sequence[int] | None
) -> list[Record]:
    """The projects that the token sees, or those asked for.

    Args:
        client: The server.
        endpoint: The list of projects.
        project_ids: Only these; one that the list does not name is asked for by itself (a public
            project is not in it), and skipped with a word in the metrics where it is refused.

    Returns:
        Project records in Tracker's words.
    """
    metrics = dlt.current.resource_metrics()
    note_client(client, metrics)
    records = {r["id"]: in_tracker_words(r) for r in client.records(client.page(endpoint))}
    if project_ids is None:
        return list(records.values())
    skipped = metrics.setdefault("skipped", {})
    for project_id in project_ids:
        if project_id not in records:
            try:
                records[project_id] = in_tracker_words(client.get(f"projects/{project_id}"))
            except (RefusedError, NotOfferedError) as error:
                skipped[str(project_id)] = str(error)
    return [records[wanted] for wanted in dict.fromkeys(project_ids) if wanted in records]
