"""Reads the activity of a project since the last run."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import Any

from ..activity import deletions_in
from ..records import Key, Record
from .list_reader import ProjectList


class ActivityList(ProjectList):
    """The activity of a project: what is new since the last run, or all that the server has."""

    deletes_missing_rows = False

    def first_job(self) -> Iterator[Any]:
        """Take what the feed has since the last run, or reads its first page."""
        feed = self.changes()
        return super().first_job() if feed is None else self._take_new(feed)

    def on_new_records(self, records: list[Record], held: Container[Key]) -> None:
        """Note the people in activity, and what new activity says was deleted."""
        super().on_new_records(records, held)
        new = (record for record in records if record["guid"] not in held)
        self.reading.run.collect_deleted(deletions_in(new))

    def _take_new(self, feed: list[Record]) -> Iterator[Any]:
        self.take(feed)
        yield from self.reading.write()
        yield from self.skip()
