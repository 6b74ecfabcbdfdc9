"""Read the activity of a project since the last run."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import Any

from ..activity import deletions_from_activity
from ..records import Key, Record
from .list_reader import ProjectListReader


class ActivityReader(ProjectListReader):
    """Read the activity of a project: what is new since the last run, or all of it."""

    deletes_missing_rows = False

    def begin_reading(self) -> Iterator[Any]:
        """Add the activity since the last run, or read the first page of all activity."""
        feed = self.changes()
        return super().begin_reading() if feed is None else self._take_new(feed)

    def on_new_records(self, records: list[Record], existing: Container[Key]) -> None:
        """Collect the people in activity, and what new activity deleted."""
        super().on_new_records(records, existing)
        new = (record for record in records if record["guid"] not in existing)
        self.reader.run.collect_deleted(deletions_from_activity(new))

    def _take_new(self, feed: list[Record]) -> Iterator[Any]:
        self.add_records(feed)
        yield from self.reader.write()
        yield from self.skip_page()
