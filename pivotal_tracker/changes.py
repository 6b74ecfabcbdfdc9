"""What changed in a project since the last run, as its activity feed tells."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeGuard

from .client import TrackerClient, UnreadableError
from .rows import Record
from .settings import MOST_CHANGES, PROJECT_ENDPOINTS

_TOLD_BY_THEIR_STORIES = (
    "story_",
    "comment_",
    "task_",
    "blocker_",
    "blocking_",
    "review_",
    "follower_",
    "reaction_",
    "pull_request_",
    "branch_",
    "cicd_event_",
    "epic_",
    "label_create_",
    "label_update_",
    "label_delete_",
    "iteration_update_",
    "project_update_",
    "project_membership_",
)
"""The beginnings of the kinds whose effect on stories is known: on those that they name, and those
that carry a label or have a review of a type that they name."""


@dataclass
class Touched:
    """What activities name.

    Attributes:
        stories: Ids of stories that may have changed, or be gone.
        labels: Ids of labels; the stories that carry them show their name.
        review_types: Ids of review types; the reviews of a type show its name.
        iterations: Numbers of iterations that were overridden.
        accepted_at: The times, ISO 8601, at which stories are or were said to be accepted.
        everything: Whether an activity may have changed more than it names.
        project: Whether the project's own settings changed, on which its iterations depend.
    """

    stories: set[int] = field(default_factory=set)
    labels: set[int] = field(default_factory=set)
    review_types: set[int] = field(default_factory=set)
    iterations: set[int] = field(default_factory=set)
    accepted_at: list[str] = field(default_factory=list)
    everything: bool = False
    project: bool = False


def touched_by(activities: Iterable[Record]) -> Touched:
    """What activities name; a kind that nobody has described may have changed everything."""
    touched = Touched()
    for activity in activities:
        kind = str(activity.get("kind"))
        if not kind.startswith(_TOLD_BY_THEIR_STORIES):
            touched.everything = True
        touched.project |= kind.startswith("project_update_")
        for resource in [
            *_dicts(activity, "primary_resources"),
            *(r.get("resource") for r in _dicts(activity, "secondary_resources")),
        ]:
            _note(touched, resource)
        for change in _dicts(activity, "changes"):
            _note(touched, change)
            if isinstance(change.get("number"), int):
                touched.iterations.add(change["number"])
            for values in (change.get("new_values"), change.get("original_values")):
                if isinstance(values, dict):
                    _note(touched, {"kind": "story", "id": values.get("story_id")})
                    if is_time(values.get("accepted_at")):
                        touched.accepted_at.append(values["accepted_at"])
    return touched


def _note(touched: Touched, resource: Any) -> None:
    if not isinstance(resource, dict) or not isinstance(resource.get("id"), int):
        return
    ids = {
        "story": touched.stories,
        "release": touched.stories,
        "label": touched.labels,
        "review_type": touched.review_types,
    }.get(str(resource.get("kind")))
    if ids is not None:
        ids.add(resource["id"])


def is_time(value: Any) -> TypeGuard[str]:
    """Whether a value is a time as the API writes it, to be compared with others."""
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def _dicts(record: Record, name: str) -> list[Record]:
    value = record.get(name)
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []


def deletions_in(activities: Iterable[Record]) -> list[Record]:
    """What activities say was deleted or moved away: records of `deleted_records`.

    One activity may delete many; a story that moves to another project is a deletion here.
    """
    return [
        {
            "kind": change["kind"],
            "id": change["id"],
            "project_id": activity.get("project_id"),
            "change": "moved" if "_move_" in str(activity.get("kind")) else "deleted",
            "deleted_at": activity.get("occurred_at"),
            "deleted_by_id": (activity.get("performed_by") or {}).get("id"),
            "activity_guid": activity.get("guid"),
        }
        for activity in activities
        for change in _dicts(activity, "changes")
        if change.get("change_type") == "delete"
        and isinstance(change.get("id"), int)
        and isinstance(change.get("kind"), str)
    ]


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
