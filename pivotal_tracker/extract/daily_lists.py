"""Reads the lists of a project that also change with the days, such as its iterations."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from ..activity import ChangeSet, changes_from_activity
from ..api.pages import Page
from ..records import Key, Record, from_litetracker
from .list_reader import ProjectListReader
from .resource_reader import State


class DailyReader(ProjectListReader):
    """A list that changes with the days too: read again when one has passed in the project."""

    def explained(self, missing: Collection[Key]) -> set[Key]:
        """Return all, if the project's settings changed, such as the day on which it starts."""
        touched = changes_from_activity(self.earlier_changes() or ())
        return set(missing) if touched.project else set()

    def needs_read(self) -> bool:
        """Check whether the project's version moved, or a day passed in its time zone."""
        return super().needs_read() or self.before.get("day") != local_date(self.project)

    def next_state(self) -> State:
        """Return the project's version, and the day."""
        return {**super().next_state(), "day": local_date(self.project)}


class IterationReader(DailyReader):
    """The iterations of a project: the current one and the later ones.

    Those that were done when they were last read are read again only if something that they hold
    was touched since.
    """

    def begin_reading(self) -> Iterator[Any]:
        """Find what was touched; what it returns reads on from the first that may have changed."""
        feed = self.changes()
        return (
            super().begin_reading() if feed is None else self._read_on(changes_from_activity(feed))
        )

    def explained(self, missing: Collection[Key]) -> set[Key]:
        """All, if the project's settings changed, or some iterations are left and stories moved."""
        touched = changes_from_activity(self.earlier_changes() or ())
        is_explained = touched.project or (self.own and touched.stories)
        return set(missing) if is_explained else set()

    def known(self) -> dict[Key, str]:
        """Return what the destination holds of the iterations that are read."""
        return {key: row_id for key, row_id in super().known().items() if key[1] > self.start}

    def next_state(self) -> State:
        """Return the number of the iteration that is current, with what a daily list remembers."""
        return {**super().next_state(), "current": self.project.get("current_iteration_number")}

    def records(self, page: Page) -> list[Record]:
        """Iterations with `story_ids`, also where the server gives only whole `stories`."""
        return [_with_story_ids(record) for record in super().records(page)]

    def _read_on(self, touched: ChangeSet) -> Iterator[Any]:
        self.start = self._first_touched(touched) - 1
        self._pending_pages += 1
        yield from self.reading.begin([partial(self._fetch_offset, self.start)])
        yield from self.skip()

    def _first_touched(self, touched: ChangeSet) -> int:
        """Return the number of the first iteration to read."""
        current, now = self.before.get("current"), self.project.get("current_iteration_number")
        if not current or not now or touched.everything or touched.project:
            return 1
        return max(1, min([int(current), int(now), *touched.iterations, *self._of(touched)]))

    def _of(self, touched: ChangeSet) -> Iterator[int]:
        """The iterations that held a touched story, or hold one by the time of its acceptance."""
        loaded, name = self.reading.run.loaded, self.reading.table.name
        columns = ["project_id", "iteration_number"]
        rows = loaded.rows(f"{name}__story_ids", columns, "value", touched.stories)
        yield from (number for project_id, number in rows if project_id == self.project_id)
        if touched.accepted_at:
            earliest = datetime.fromisoformat(min(touched.accepted_at))
            spans = loaded.rows(
                name, ["number", "start", "finish"], "project_id", [self.project_id]
            )
            yield from (number for number, start, finish in spans if start <= earliest < finish)


def _with_story_ids(iteration: Record) -> Record:
    stories = iteration.get("stories")
    if not isinstance(stories, list):
        return iteration
    ids = [s["id"] for s in map(from_litetracker, stories) if isinstance(s.get("id"), int)]
    return {k: v for k, v in iteration.items() if k != "stories"} | {"story_ids": ids}


def local_date(project: Record) -> str:
    """The date that it is in a project's time zone, ISO 8601; in UTC where that is not known."""
    zone = project.get("time_zone")
    name = zone.get("olson_name") if isinstance(zone, dict) else None
    try:
        here = ZoneInfo(str(name))
    except (KeyError, ValueError, OSError):
        here = ZoneInfo("UTC")
    return datetime.now(here).date().isoformat()
