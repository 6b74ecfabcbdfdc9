"""What changed in a project since the last run, as its activity feed tells."""

from __future__ import annotations

import threading
from collections import defaultdict

from ..api.client import TrackerClient, UnreadableError
from ..records import Record
from ..settings import MOST_CHANGES, PROJECT_ENDPOINTS


class Feeds:
    """The activity of projects since a version, read once however many tables want it."""

    def __init__(self, client: TrackerClient) -> None:
        self._client = client
        self._read: dict[tuple[int, int], list[Record] | None] = {}
        self._locks: defaultdict[tuple[int, int], threading.Lock] = defaultdict(threading.Lock)
        self._lock = threading.Lock()

    def since(self, project_id: int, version: int) -> list[Record] | None:
        """A project's activity since a version, the oldest first.

        Returns:
            None where that cannot be told: the feed does not reach back so far, the server does not
            offer it or does not know `since_version`, or there is too much of it.
        """
        key = (project_id, version)
        with self._lock:
            lock = self._locks[key]
        with lock:
            if key not in self._read:
                self._read[key] = self._since(project_id, version)
            return self._read[key]

    def known(self, project_id: int) -> list[Record]:
        """What has been read of a project's activity so far."""
        return [
            activity
            for (read_id, _), activities in list(self._read.items())
            if read_id == project_id
            for activity in activities or ()
        ]

    def _since(self, project_id: int, version: int) -> list[Record] | None:
        # the one that made the version is asked for too: where it is missing, so may be others
        asked = {"since_version": version - 1}
        activities: dict[str, Record] = {}
        offset = 0
        while True:
            try:
                get = self._client.later_page if offset else self._client.page
                page = get(PROJECT_ENDPOINTS["activity"], offset, asked, id=project_id)
                records = self._client.records(page)
            except UnreadableError:
                return None
            new = {str(r.get("guid")): r for r in records if str(r.get("guid")) not in activities}
            if not offset and not any(r.get("project_version") == version for r in records):
                return None
            activities |= new
            following = next(iter(page.following_offsets(len(records))), None)
            if not new or following is None:
                break
            offset = following
            if len(activities) > MOST_CHANGES:
                return None
        return [
            {"project_id": project_id, **activity}
            for activity in activities.values()
            if _version(activity) > version
        ]


def _version(activity: Record) -> int:
    version = activity.get("project_version")
    return version if isinstance(version, int) else 0
