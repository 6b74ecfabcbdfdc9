"""Read the lists of a project that change every day, such as its iterations."""

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
    """Read a list that changes every day: it is read again when the day of the project changes."""

    def explained(self, missing: Collection[Key]) -> set[Key]:
        """Return all missing keys if the project's settings changed, such as its start day."""
        touched = changes_from_activity(self.earlier_changes() or ())
        return set(missing) if touched.settings_changed else set()

    def needs_read(self) -> bool:
        """Check whether the project's version or, in its time zone, the day has changed."""
        return super().needs_read() or self.before.get("day") != local_date(self.project)

    def next_state(self) -> State:
        """Return the project's version and the day."""
        return {**super().next_state(), "day": local_date(self.project)}


class IterationReader(DailyReader):
    """Read the iterations of a project: the current one and later ones.

    Iterations that were done when they were last read are read again only if one of their stories
    may have changed since.
    """

    def begin_reading(self) -> Iterator[Any]:
        """Find the first iteration that may have changed, and read from there on."""
        feed = self.changes()
        return (
            super().begin_reading() if feed is None else self._read_on(changes_from_activity(feed))
        )

    def explained(self, missing: Collection[Key]) -> set[Key]:
        """Return all missing keys if settings changed, or stories did and the list is not empty."""
        touched = changes_from_activity(self.earlier_changes() or ())
        is_explained = touched.settings_changed or (self.keys and touched.stories)
        return set(missing) if is_explained else set()

    def known(self) -> dict[Key, str]:
        """Return the existing rows of the iterations that are read."""
        return {key: row_id for key, row_id in super().known().items() if key[1] > self.start}

    def next_state(self) -> State:
        """Return the state of a daily list with the number of the current iteration."""
        return {**super().next_state(), "current": self.project.get("current_iteration_number")}

    def records(self, page: Page) -> list[Record]:
        """Return iterations with `story_ids`, also if the server sends only complete `stories`."""
        return [_with_story_ids(record) for record in super().records(page)]

    def _read_on(self, touched: ChangeSet) -> Iterator[Any]:
        self.start = self._first_touched(touched) - 1
        self._pending_pages += 1
        yield from self.reader.begin([partial(self._fetch_offset, self.start)])
        yield from self.skip_page()

    def _first_touched(self, touched: ChangeSet) -> int:
        """Return the number of the first iteration to read."""
        current, now = self.before.get("current"), self.project.get("current_iteration_number")
        if not current or not now or touched.affects_all or touched.settings_changed:
            return 1
        return max(
            1, min([int(current), int(now), *touched.iterations, *self._iterations_of(touched)])
        )

    def _iterations_of(self, touched: ChangeSet) -> Iterator[int]:
        """Yield the iterations of touched stories, as loaded or by the time of acceptance."""
        loaded, name = self.reader.run.loaded, self.reader.table.name
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
    """Return today's date in a project's time zone, ISO 8601; in UTC if the zone is not known."""
    zone = project.get("time_zone")
    name = zone.get("olson_name") if isinstance(zone, dict) else None
    try:
        here = ZoneInfo(str(name))
    except (KeyError, ValueError, OSError):
        here = ZoneInfo("UTC")
    return datetime.now(here).date().isoformat()
