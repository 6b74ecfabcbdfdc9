"""Read the activity of a project since a version of it."""

from __future__ import annotations

import threading
from collections import defaultdict

from ..api.client import TrackerClient
from ..api.errors import UnreadableError
from ..records import Record
from ..settings import MAX_NEW_ACTIVITY, PROJECT_ENDPOINTS


class ActivityFeed:
    """The activity of projects since a version. Each is read once for all tables that need it."""

    def __init__(self, client: TrackerClient) -> None:
        self._client = client
        self._read: dict[tuple[int, int], list[Record] | None] = {}
        self._locks: defaultdict[tuple[int, int], threading.Lock] = defaultdict(threading.Lock)
        self._lock = threading.Lock()

    def since(self, project_id: int, version: int) -> list[Record] | None:
        """Return a project's activity since a version, the oldest first.

        Returns:
            None if it is not known: the feed does not reach back so far, the server does not
            support it or `since_version`, or there is too much activity.
        """
        key = (project_id, version)
        with self._lock:
            lock = self._locks[key]
        with lock:
            if key not in self._read:
                self._read[key] = self._since(project_id, version)
            return self._read[key]

    def cached(self, project_id: int) -> list[Record]:
        """Return what has been read of a project's activity so far."""
        return [
            activity
            for (read_id, _), activities in list(self._read.items())
            if read_id == project_id
            for activity in activities or ()
        ]

    def _since(self, project_id: int, version: int) -> list[Record] | None:
        # request the activity of the version itself too: if it is missing, others may be missing
        extra_params = {"since_version": version - 1}
        endpoint = PROJECT_ENDPOINTS["activity"]
        activities: dict[str, Record] = {}
        try:
            for page, records in self._client.pages(endpoint, extra_params, id=project_id):
                if not page.offset and version not in [r.get("project_version") for r in records]:
                    return None
                new = {guid: r for r in records if (guid := str(r.get("guid"))) not in activities}
                activities |= new
                if not new:
                    break
                if len(activities) > MAX_NEW_ACTIVITY:
                    return None
        except UnreadableError:
            return None
        return [
            {"project_id": project_id, **activity}
            for activity in activities.values()
            if isinstance(number := activity.get("project_version"), int) and number > version
        ]
