"""Parse activities: which records they touch, and which were deleted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeGuard

from .records import Record

_STORY_SCOPED_KINDS = (
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
"""The beginnings of the kinds whose effect on stories is known. They change the stories that they
name, and the stories with a label, or a review of a type, that they name."""


@dataclass
class ChangeSet:
    """The records that activities may have changed.

    Attributes:
        stories: Ids of stories that may have changed or been deleted.
        labels: Ids of labels; a story with such a label shows its name.
        review_types: Ids of review types; the reviews of a type show its name.
        iterations: Numbers of iterations that were overridden.
        accepted_at: The times, ISO 8601, of acceptance of stories, new and previous.
        affects_all: Whether an activity may have changed more than it names.
        settings_changed: Whether the project's settings changed; its iterations depend on them.
    """

    stories: set[int] = field(default_factory=set)
    labels: set[int] = field(default_factory=set)
    review_types: set[int] = field(default_factory=set)
    iterations: set[int] = field(default_factory=set)
    accepted_at: list[str] = field(default_factory=list)
    affects_all: bool = False
    settings_changed: bool = False


def changes_from_activity(activities: Iterable[Record]) -> ChangeSet:
    """Collect what activities name; an activity of an unknown kind may have changed everything."""
    touched = ChangeSet()
    for activity in activities:
        kind = str(activity.get("kind"))
        if not kind.startswith(_STORY_SCOPED_KINDS):
            touched.affects_all = True
        touched.settings_changed |= kind.startswith("project_update_")
        for resource in [
            *_dicts(activity, "primary_resources"),
            *(r.get("resource") for r in _dicts(activity, "secondary_resources")),
        ]:
            _add_resource(touched, resource)
        for change in _dicts(activity, "changes"):
            _add_resource(touched, change)
            if isinstance(change.get("number"), int):
                touched.iterations.add(change["number"])
            for values in (change.get("new_values"), change.get("original_values")):
                if isinstance(values, dict):
                    _add_resource(touched, {"kind": "story", "id": values.get("story_id")})
                    if is_iso_timestamp(values.get("accepted_at")):
                        touched.accepted_at.append(values["accepted_at"])
    return touched


def _add_resource(touched: ChangeSet, resource: Any) -> None:
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


def is_iso_timestamp(value: Any) -> TypeGuard[str]:
    """Check whether a value is a time as the API writes it, with a time zone."""
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def _dicts(record: Record, name: str) -> list[Record]:
    value = record.get(name)
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []


def deletions_from_activity(activities: Iterable[Record]) -> list[Record]:
    """Return records of `deleted_records` for what activities deleted or moved away.

    One activity may delete several records. A story that moves to another project counts as
    deleted here.
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
