"""Reads one list of each project, page by page, side by side in dlt's pool.

A resource yields callables; dlt runs them in its pool of `[extract] workers` threads and takes what
they return: the items of a page, and the callables of the pages after it. So projects and pages are
fetched together, no more of them at a time than the pool holds, and a page is dropped once loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Any

import dlt

from .client import NotOfferedError, Page, RefusedError, TrackerClient, TrackerError
from .rows import Record, empty_items_of, in_tracker_words, items_of
from .settings import MOST_ROWS, Endpoint
from .tables import Table

Job = Callable[[], Iterator[Any]]


@dataclass
class Reading:
    """One table's reading of all projects.

    Attributes:
        client: The server.
        endpoint: The list to read.
        table: Where its records go.
        load_id: The load package that the rows will come with.
        metrics: What could not be read: `skipped` by project id and `not_offered`, both with the
            reason, `refused_fields`; and the client's `counts`.
    """

    client: TrackerClient
    endpoint: Endpoint
    table: Table
    load_id: str
    metrics: dict[str, Any]

    def items(self, projects: Sequence[Record]) -> Iterator[Any]:
        """What the resource yields for a page of projects: empty tables, then a job a project."""
        self.metrics["counts"] = self.client.counts
        self.metrics["refused_fields"] = self.client.refused_fields
        yield from empty_items_of(self.table, self.load_id)
        for project in projects:
            yield ProjectList(self, project["id"]).first_page


@dataclass
class ProjectList:
    """One list of one project, on its way through its pages."""

    reading: Reading
    project_id: int
    _first: list[Record] = field(default_factory=list)
    _ended: bool = False

    def first_page(self) -> Iterator[Any]:
        """Reads the first page, and says which pages follow."""
        page = self._read(0)
        if page is None:
            return iter(())
        self._first = page.records
        return chain(self._items(page), self._following(page))

    def _one_page(self, offset: int) -> Iterator[Any]:
        """Reads a page that the server's total says is there."""
        page = None if self._ended else self._read(offset)
        return iter(()) if page is None else self._items(page)

    def _next_page(self, offset: int) -> Iterator[Any]:
        """Reads a page of a list whose end only an empty page tells."""
        page = self._read(offset)
        if page is None or self._ended:
            return iter(())
        if offset > MOST_ROWS:
            raise TrackerError(
                f"Project {self.project_id}: the server's list of {self.reading.table.name} has "
                f"not ended after {MOST_ROWS:,} rows."
            )
        return chain(self._items(page), self._following(page))

    def _following(self, page: Page) -> Iterator[Job]:
        offsets = page.following_offsets()
        if offsets is None:
            yield partial(self._next_page, page.offset + page.step)
            return
        for offset in offsets:
            if self._ended:
                return
            yield partial(self._one_page, offset)

    def _read(self, offset: int) -> Page | None:
        """The page, or None where it cannot be had, which is then said in the metrics."""
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
        if not page.records or (offset and page.records == self._first):
            self._ended = True
        return page

    def _items(self, page: Page) -> Iterator[Any]:
        if self._ended and page.offset:
            return iter(())
        records = [in_tracker_words(record) for record in page.records]
        reading = self.reading
        return iter(
            list(items_of(reading.table, records, reading.load_id, project_id=self.project_id))
        )


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
    records = {r["id"]: in_tracker_words(r) for r in client.page(endpoint).records}
    if project_ids is None:
        return list(records.values())
    skipped = dlt.current.resource_metrics().setdefault("skipped", {})
    for project_id in project_ids:
        if project_id not in records:
            try:
                records[project_id] = in_tracker_words(client.get(f"projects/{project_id}"))
            except (RefusedError, NotOfferedError) as error:
                skipped[str(project_id)] = str(error)
    return [
        records[project_id] for project_id in dict.fromkeys(project_ids) if project_id in records
    ]
