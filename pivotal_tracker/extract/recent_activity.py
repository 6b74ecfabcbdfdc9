"""Read the activity of projects without versions since a time.

LiteTracker's projects and activity have no `version`, but it supports `occurred_after`. A cursor
replaces the version: the last activities that were seen. The feed is read from a little before the
newest of them. If it has none of them, it does not reach back to the last run.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ..activity import is_iso_timestamp
from ..api.client import TrackerClient
from ..api.errors import EndpointNotSupportedError, UnreadableError
from ..records import Record
from ..settings import ACTIVITY_OVERLAP, MAX_CURSOR_GUIDS, MAX_NEW_ACTIVITY, RECENT_ACTIVITY


@dataclass(frozen=True)
class Cursor:
    """How far a feed was read.

    Attributes:
        seen: The times, ISO 8601, of the last activities by guid: the newest one, and those of the
            minutes before it. Empty if the feed was empty.
    """

    seen: Mapping[str, str]

    @property
    def start(self) -> datetime | None:
        """The time from which the feed is read the next time; None for all of it."""
        if not self.seen:
            return None
        times = sorted(map(_parse_time, self.seen.values()))
        overlap = times[-1] - ACTIVITY_OVERLAP
        return max(overlap, times[0]) if len(times) == MAX_CURSOR_GUIDS else overlap

    def advanced(self, activities: Iterable[Record]) -> Cursor:
        """Return the cursor after more activities, in any order."""
        seen = dict(self.seen) | {
            str(activity["guid"]): activity["occurred_at"]
            for activity in activities
            if activity.get("guid") and _is_past(activity.get("occurred_at"))
        }
        newest = sorted(seen.items(), key=lambda item: (_parse_time(item[1]), item[0]))
        newest = newest[-MAX_CURSOR_GUIDS:]
        begin = _parse_time(newest[-1][1]) - ACTIVITY_OVERLAP if newest else None
        return Cursor({guid: time for guid, time in newest if begin and _parse_time(time) >= begin})


@dataclass(frozen=True)
class News:
    """The activity of a project after a cursor.

    Attributes:
        activities: The new activities.
        cursor: For the next run; None if the feed cannot be read.
        is_complete: Whether these are all activities since the cursor.
    """

    activities: list[Record]
    cursor: Cursor | None
    is_complete: bool


class RecentActivity:
    """Read the activity of projects, each once for all lists that need it. Safe for threads."""

    def __init__(self, client: TrackerClient) -> None:
        self._client = client
        self._read: dict[int, tuple[datetime | None, list[Record] | None]] = {}
        self._newest: dict[int, list[Record] | None] = {}
        self._locks: defaultdict[int, threading.Lock] = defaultdict(threading.Lock)
        self._lock = threading.Lock()
        self.is_supported = True
        """Whether the server supports activity, as far as is known."""

    def since(self, project_id: int, cursor: Cursor | None) -> News:
        """Read the activity of a project after a cursor.

        Args:
            project_id: The project.
            cursor: The cursor of the last run; None in a first run, which only needs the new
                cursor.
        """
        with self._lock:
            lock = self._locks[project_id]
        with lock:
            if cursor is None:
                if project_id not in self._newest:
                    self._newest[project_id] = self._fetch_newest(project_id)
                newest = self._newest[project_id]
                found = None if newest is None else Cursor({}).advanced(newest)
                return News([], found, is_complete=False)
            activities = self._since(project_id, cursor.start)
        if activities is None:
            return News([], None, is_complete=False)
        guids = {activity.get("guid") for activity in activities}
        return News(
            [new for new in activities if new.get("guid") not in cursor.seen],
            cursor.advanced(activities),
            is_complete=not cursor.seen or not guids.isdisjoint(cursor.seen),
        )

    def _since(self, project_id: int, start: datetime | None) -> list[Record] | None:
        """Return the activities since a time; None if they cannot be read, or are too many."""
        read_from, activities = self._read.get(project_id, (None, None))
        is_read = project_id in self._read and (
            read_from is None or (start is not None and read_from <= start)
        )
        if not is_read:
            activities = self._all_since(project_id, start)
            self._read[project_id] = start, activities
        return activities and [act for act in activities if not _is_before(act, start)]

    def _all_since(self, project_id: int, start: datetime | None) -> list[Record] | None:
        # it is not known whether `occurred_after` includes the time itself
        after = start and (start - timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        params = {"occurred_after": after} if after else {}
        activities: list[Record] = []
        try:
            for page in self._pages(project_id, params):
                # a server that ignores the parameter returns everything
                activities += [act for act in page if not _is_before(act, start)]
                if len(activities) > MAX_NEW_ACTIVITY:
                    return None
        except UnreadableError:
            return None
        return activities

    def _fetch_newest(self, project_id: int) -> list[Record] | None:
        """Return the newest activities: the first page, or the last if the oldest come first."""
        if project_id in self._read:
            return self._read[project_id][1]
        page: list[Record] = []
        try:
            for page in self._pages(project_id, {}):
                times = [
                    act["occurred_at"] for act in page if is_iso_timestamp(act.get("occurred_at"))
                ]
                if times and _parse_time(times[0]) > _parse_time(times[-1]):
                    break
        except UnreadableError:
            return None
        return page

    def _pages(self, project_id: int, params: Mapping[str, str]) -> Iterator[list[Record]]:
        """Yield the pages of a project's activity, without activities of earlier pages."""
        if not self.is_supported:
            raise EndpointNotSupportedError("The server has no activity.")
        guids: set[Any] = set()
        offset: int | None = 0
        while offset is not None:
            try:
                # an empty page is the end, and is not requested again
                page = self._client.page(RECENT_ACTIVITY, offset, params, id=project_id)
            except EndpointNotSupportedError as error:
                self.is_supported = type(error) is not EndpointNotSupportedError
                raise
            records = self._client.records(page)
            new = [act for act in records if act.get("guid") not in guids]
            if not new:
                return
            guids.update(act.get("guid") for act in new)
            yield [{"project_id": project_id, **act} for act in new]
            offset = next(iter(page.next_offsets(len(records))), None)


def _parse_time(time: str) -> datetime:
    return datetime.fromisoformat(time).astimezone(UTC)


def _is_past(time: Any) -> bool:
    """Check whether a value is a time in the past, allowing for wrong clocks."""
    return is_iso_timestamp(time) and _parse_time(time) < datetime.now(UTC) + timedelta(days=1)


def _is_before(activity: Record, start: datetime | None) -> bool:
    time = activity.get("occurred_at")
    return start is not None and is_iso_timestamp(time) and _parse_time(time) < start
