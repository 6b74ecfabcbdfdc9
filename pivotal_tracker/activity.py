"""What activities say: which records they touch, and which were deleted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeGuard

from .records import Record

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
