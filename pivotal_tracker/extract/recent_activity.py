"""What happened in projects without versions, from their activity since a time.

LiteTracker's projects have no `version`, and its activity none either, but it knows
`occurred_after`. A cursor takes the place of the version: the last activities that were seen. The
feed is read from a little before the newest of them. If none of them is in it any more, it does not
reach back to the last run.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ..activity import is_time
from ..api.client import NotOfferedError, TrackerClient, UnreadableError
from ..records import Record
from ..settings import ACTIVITY_OVERLAP, MAX_CURSOR_GUIDS, MAX_NEW_ACTIVITY, RECENT_ACTIVITY


@dataclass(frozen=True)
class Cursor:
    """How far a feed was read.

    Attributes:
        seen: When the last activities occurred, ISO 8601, by their guids: those of the last minutes
            before the newest. Empty if the feed was empty.
    """

    seen: Mapping[str, str]

    @property
    def start(self) -> datetime | None:
        """From which time on to read the feed the next time; None for all of it."""
        if not self.seen:
            return None
        times = sorted(map(_parsed, self.seen.values()))
        overlap = times[-1] - ACTIVITY_OVERLAP
        return max(overlap, times[0]) if len(times) == MAX_CURSOR_GUIDS else overlap

    def advanced(self, activities: Iterable[Record]) -> Cursor:
        """Give the cursor after more activities, in whichever order they are."""
        seen = dict(self.seen) | {
            str(one["guid"]): one["occurred_at"]
            for one in activities
            if one.get("guid") and _is_past(one.get("occurred_at"))
        }
        newest = sorted(seen.items(), key=lambda item: (_parsed(item[1]), item[0]))
        newest = newest[-MAX_CURSOR_GUIDS:]
        begin = _parsed(newest[-1][1]) - ACTIVITY_OVERLAP if newest else None
        return Cursor({guid: time for guid, time in newest if begin and _parsed(time) >= begin})


@dataclass(frozen=True)
class News:
    """What a feed has after a cursor.

    Attributes:
        activities: Those that the cursor does not know.
        cursor: For the next run; None if the feed cannot be read.
        is_complete: Whether these are all since the cursor. If not, anything may have happened.
    """

    activities: list[Record]
    cursor: Cursor | None
    is_complete: bool


class RecentActivity:
    """Reads the feeds of projects, each once however many lists need it. Safe for threads."""

    def __init__(self, client: TrackerClient) -> None:
        self._client = client
        self._read: dict[int, tuple[datetime | None, list[Record] | None]] = {}
        self._locks: defaultdict[int, threading.Lock] = defaultdict(threading.Lock)
        self._lock = threading.Lock()
        self.is_supported = True
        """Whether the server has such feeds, as far as is known."""

    def since(self, project_id: int, cursor: Cursor | None) -> News:
        """Read what happened in a project after a cursor.

        Args:
            project_id: The project.
            cursor: How far the feed was read before; None if it never was. Then only the cursor for
                the next time is found.
        """
        with self._lock:
            lock = self._locks[project_id]
        with lock:
            if cursor is None:
                newest = self._newest(project_id)
                found = None if newest is None else Cursor({}).advanced(newest)
                return News([], found, is_complete=False)
            activities = self._since(project_id, cursor.start)
        if activities is None:
            return News([], None, is_complete=False)
        guids = {one.get("guid") for one in activities}
        return News(
            [one for one in activities if one.get("guid") not in cursor.seen],
            cursor.advanced(activities),
            is_complete=not cursor.seen or not guids.isdisjoint(cursor.seen),
        )

    def _since(self, project_id: int, start: datetime | None) -> list[Record] | None:
        """The activities since a time; None if they cannot be read, or are too many."""
        read_from, activities = self._read.get(project_id, (None, None))
        is_read = project_id in self._read and (
            read_from is None or (start is not None and read_from <= start)
        )
        if not is_read:
            activities = self._all_since(project_id, start)
            self._read[project_id] = start, activities
        return activities and [one for one in activities if not _is_before(one, start)]

    def _all_since(self, project_id: int, start: datetime | None) -> list[Record] | None:
        # whether the time itself is included is not known
        after = start and (start - timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        params = {"occurred_after": after} if after else {}
        activities: list[Record] = []
        try:
            for page in self._pages(project_id, params):
                # a server that ignores the parameter gives everything
                activities += [one for one in page if not _is_before(one, start)]
                if len(activities) > MAX_NEW_ACTIVITY:
                    return None
        except UnreadableError:
            return None
        return activities

    def _newest(self, project_id: int) -> list[Record] | None:
        """The newest activities: on the first page, or on the last if the oldest come first."""
        if project_id in self._read:
            return self._read[project_id][1]
        page: list[Record] = []
        try:
            for page in self._pages(project_id, {}):
                times = [one["occurred_at"] for one in page if is_time(one.get("occurred_at"))]
                if times and _parsed(times[0]) > _parsed(times[-1]):
                    break
        except UnreadableError:
            return None
        return page

    def _pages(self, project_id: int, params: Mapping[str, str]) -> Iterator[list[Record]]:
        """The pages of a project's feed, without activities that an earlier page had."""
        guids: set[Any] = set()
        offset: int | None = 0
        while offset is not None:
            records = self._page(project_id, offset, params)
            new = [one for one in records[0] if one.get("guid") not in guids]
            if not new:
                return
            guids.update(one.get("guid") for one in new)
            yield [{"project_id": project_id, **one} for one in new]
            offset = records[1]

    def _page(
        self, project_id: int, offset: int, params: Mapping[str, str]
    ) -> tuple[list[Record], int | None]:
        """The records of a page, and where the next one begins."""
        if not self.is_supported:
            raise NotOfferedError("The server has no activity.")
        try:
            page = self._client.page(RECENT_ACTIVITY, offset, params, id=project_id)
        except NotOfferedError as error:
            self.is_supported = type(error) is not NotOfferedError
            raise
        records = self._client.records(page)
        return records, next(iter(page.following_offsets(len(records))), None)


def _parsed(time: str) -> datetime:
    return datetime.fromisoformat(time).astimezone(UTC)


def _is_past(time: Any) -> bool:
    """Whether a value is a time that has been, wherever the server's clock is."""
    return is_time(time) and _parsed(time) < datetime.now(UTC) + timedelta(days=1)


def _is_before(activity: Record, start: datetime | None) -> bool:
    time = activity.get("occurred_at")
    return start is not None and is_time(time) and _parsed(time) < start
