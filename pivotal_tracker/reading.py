"""Reads one list of each project, page by page, side by side in dlt's pool.

A resource yields callables; dlt runs them in its pool of `[extract] workers` threads, and goes on
with what they return in its own. So projects and pages are fetched together, no more of them at a
time than the pool holds, while rows are made in one thread: making them in many is no faster in
Python, and slows the thread that writes them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import dlt

from .client import NotOfferedError, Page, RefusedError, TrackerClient, TrackerError
from .rows import Batch, Record, in_tracker_words
from .settings import BATCH_SIZE, MOST_ROWS, Endpoint

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
    _unfinished: int = 0

    def items(self, projects: Sequence[Record]) -> Iterator[Any]:
        """What the resource yields for a page of projects: empty tables, then a job a project."""
        note_client(self.client, self.metrics)
        yield from self.batch.empty_items()
        for project in projects:
            yield self.begun(ProjectList(self, project["id"]).first_page)

    def begun(self, job: Job) -> Job:
        """Counts a job that dlt is about to be given; `ended` has to follow."""
        self._unfinished += 1
        return job

    def ended(self) -> Iterator[Any]:
        """What is to be yielded when a job is done: the last rows, after the last job."""
        self._unfinished -= 1
        if not self._unfinished or len(self.batch) >= BATCH_SIZE:
            yield from self.batch.items()


@dataclass
class ProjectList:
    """One list of one project, on its way through its pages."""

    reading: Reading
    project_id: int
    _first: list[Record] = field(default_factory=list)
    _end: float = math.inf

    def first_page(self) -> Iterator[Any]:
        """Reads the first page; what it returns says which pages follow."""
        page = self._read(0)
        if page is not None:
            self._first = page.records
        return self._go_on(page, follow=True)

    def _one_page(self, offset: int) -> Iterator[Any]:
        """Reads a page that the server's total says is there."""
        page = self._read(offset) if offset < self._end else None
        return self._go_on(page, follow=False)

    def _next_page(self, offset: int) -> Iterator[Any]:
        """Reads a page of a list whose end only an empty page tells."""
        if offset > MOST_ROWS:
            raise TrackerError(
                f"Project {self.project_id}: the server's list {self.reading.endpoint.path} has "
                f"not ended after {MOST_ROWS:,} rows."
            )
        return self._go_on(self._read(offset), follow=True)

    def _go_on(self, page: Page | None, *, follow: bool) -> Iterator[Any]:
        """Takes the rows of a page, and gives dlt the jobs for the pages after it."""
        if page is not None:
            records = (in_tracker_words(record) for record in page.records)
            self.reading.batch.add(records, project_id=self.project_id)
            for job in self._following(page) if follow else ():
                yield self.reading.begun(job)
        yield from self.reading.ended()

    def _following(self, page: Page) -> Iterator[Job]:
        offsets = page.following_offsets()
        if offsets is None:
            yield partial(self._next_page, page.offset + page.step)
            return
        for offset in offsets:
            if offset >= self._end:
                return
            yield partial(self._one_page, offset)

    def _read(self, offset: int) -> Page | None:
        """The page; None where it cannot be had, which the metrics then say, or past the end."""
        reading = self.reading
        if "not_offered" in reading.metrics:
            return None
        try:
            page = reading.client.page(reading.endpoint, offset, id=self.project_id)
        except NotOfferedError as error:
            reading.metrics["not_offered"] = str(error)
            return None
        except RefusedError as error:
            reading.metrics.setdefault("skipped", {})[str(self.project_id)] = str(error)
            return None
        # a server that ignores the offset gives the first page for ever
        if offset and (not page.records or page.records == self._first):
            self._end = min(self._end, offset)
            return None
        return page


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
    records = {r["id"]: in_tracker_words(r) for r in client.page(endpoint).records}
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
