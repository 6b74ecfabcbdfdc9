"""The types of records: their attributes, and how those that are not stored are computed.

The stored attributes are those in `pivotal_tracker.tables`. Which are returned on request only, and
which ids an expansion replaces, is as in the manual and in recorded responses.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from pivotal_tracker import tables
from pivotal_tracker.tables import (
    ACCOUNT_MEMBERSHIPS,
    ACCOUNTS,
    EPICS,
    ITERATIONS,
    LABELS,
    PEOPLE,
    PROJECT_MEMBERSHIPS,
    PROJECTS,
    RELEASES,
    REVIEW_TYPES,
    STORIES,
    WORKSPACES,
    Table,
)

from .fields import ComputedField, RecordType
from .request_view import RequestView
from .workspace import Record, iterations

SIGNED_URL_SITE = "https://file-attachments.tracker.example"
"""The site of the pre-signed URLs of attachments; it does not exist."""

_COMMENTS = STORIES.nested["comments"]
_CYCLE_TIME = "cycle_time_details__"

_Compute = Callable[[RequestView, Record], Any]


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _attributes(table: Table, *, omit: str = "") -> frozenset[str]:
    """Return the attributes that a table has columns or nested tables for.

    Args:
        table: The table of the records.
        omit: The columns that are not attributes of the record.
    """
    columns = {name.partition("__")[0] for name in table.columns if not name.startswith("_")}
    return frozenset((columns | table.nested.keys()) - _names(omit))


def _stored(name: str) -> _Compute:
    return lambda _, record: record.get(name, [])


def _ids_of(name: str) -> _Compute:
    return lambda _, record: [child["id"] for child in record.get(name, ())]


def _person_of(name: str) -> _Compute:
    return lambda view, record: view.person(record.get(name))


def _people_of(name: str) -> _Compute:
    return lambda view, record: view.people(record.get(name, ()))


def _neighbour(place: int, *, epics: bool = False) -> _Compute:
    def compute(view: RequestView, record: Record) -> int | None:
        return view.neighbours(record, "epics" if epics else "stories")[place]

    return compute


def _signed_url(size: str) -> _Compute:
    def compute(view: RequestView, attachment: Record) -> str:
        if not attachment.get("uploaded"):
            return "#"
        view.repeatable = False
        return (
            f"{SIGNED_URL_SITE}/{attachment['id']}/{size}/{quote(attachment['filename'], safe='')}"
            f"?X-Amz-Expires=604800&X-Amz-Signature={secrets.token_hex(32)}"
        )

    return compute


def _stored_or(name: str, compute: _Compute) -> _Compute:
    """Return what is nested in the record, or else the result of a function."""
    return lambda view, record: record[name] if name in record else compute(view, record)


def _unless_recorded(name: str, compute: _Compute) -> _Compute:
    """Compute an attribute, unless the workspace is a recording: then it is as recorded."""

    def compute_or_read(view: RequestView, record: Record) -> Any:
        return record.get(name) if view.workspace.is_recording else compute(view, record)

    return compute_or_read


def _computed_fields(**computes: _Compute) -> dict[str, ComputedField]:
    """Return fields of plain values that are computed from other records, by name."""
    return {
        name: ComputedField(_unless_recorded(name, compute)) for name, compute in computes.items()
    }


def _review_type(view: RequestView, review: Record) -> Record | None:
    project, _ = view.workspace.find_story(review["story_id"])
    return project.review_types.get(review["review_type_id"])


def _attachment_ids(_: RequestView, comment: Record) -> list[int]:
    both = (*comment.get("file_attachments", ()), *comment.get("google_attachments", ()))
    return [attachment["id"] for attachment in both]


TRANSITION = RecordType(_attributes(STORIES.nested["transitions"]))
CYCLE_TIME_DETAILS = RecordType(
    frozenset(
        name.removeprefix(_CYCLE_TIME) for name in STORIES.columns if name.startswith(_CYCLE_TIME)
    )
)
PERSON = RecordType(_attributes(PEOPLE, omit="same_as_id"))
TASK = RecordType(_attributes(STORIES.nested["tasks"], omit="project_id"))
BLOCKER = RecordType(
    _attributes(STORIES.nested["blockers"], omit="project_id"),
    computed={"person": ComputedField(_person_of("person_id"), PERSON)},
)
REVIEW_TYPE = RecordType(_attributes(REVIEW_TYPES))
REVIEW = RecordType(
    _attributes(STORIES.nested["reviews"], omit="project_id"),
    computed={
        "review_type": ComputedField(_unless_recorded("review_type", _review_type), REVIEW_TYPE),
        "reviewer": ComputedField(_person_of("reviewer_id"), PERSON),
    },
)
PULL_REQUEST = RecordType(_attributes(STORIES.nested["pull_requests"], omit="project_id"))
BRANCH = RecordType(_attributes(STORIES.nested["branches"], omit="project_id"))
FILE_ATTACHMENT = RecordType(
    _attributes(_COMMENTS.nested["file_attachments"], omit="comment_id story_id project_id"),
    computed={
        "big_url": ComputedField(_signed_url("big"), default=True),
        "thumbnail_url": ComputedField(_signed_url("thumbnail"), default=True),
    },
)
GOOGLE_ATTACHMENT = RecordType(
    _attributes(_COMMENTS.nested["google_attachments"], omit="story_id project_id")
)
COMMENT = RecordType(
    _attributes(_COMMENTS, omit="project_id"),
    computed={
        "file_attachments": ComputedField(_stored("file_attachments"), FILE_ATTACHMENT),
        "google_attachments": ComputedField(_stored("google_attachments"), GOOGLE_ATTACHMENT),
        "file_attachment_ids": ComputedField(_ids_of("file_attachments")),
        "google_attachment_ids": ComputedField(_ids_of("google_attachments")),
        "attachment_ids": ComputedField(_attachment_ids),
        "person": ComputedField(_person_of("person_id"), PERSON),
    },
)
LABEL = RecordType(
    _attributes(LABELS),
    computed={
        "counts": ComputedField(
            _unless_recorded("counts", lambda view, label: view.workspace.story_counts(label))
        )
    },
)


def story_labels(view: RequestView, story: Record) -> list[Record]:
    """Return the labels of a story or a release: those nested in it, if there are any."""
    labels: list[Record] = story["labels"] if "labels" in story else view.labels(story)
    return labels


def cycle_time_details(view: RequestView, story: Record) -> Record | None:
    """Return a story's cycle time; None if neither it nor the transitions are recorded."""
    if "cycle_time_details" not in story and "transitions" not in story:
        return None
    return view.workspace.cycle_time_details(story)


STORY = RecordType(
    _attributes(STORIES),
    on_request=_names("label_ids follower_ids"),
    computed={
        "labels": ComputedField(story_labels, LABEL, default=True),
        "owners": ComputedField(_people_of("owner_ids"), PERSON),
        "owned_by": ComputedField(_person_of("owned_by_id"), PERSON, replaces="owned_by_id"),
        "requested_by": ComputedField(_person_of("requested_by_id"), PERSON),
        "followers": ComputedField(_people_of("follower_ids"), PERSON),
        "comments": ComputedField(_stored("comments"), COMMENT),
        "tasks": ComputedField(_stored("tasks"), TASK),
        "blockers": ComputedField(_stored("blockers"), BLOCKER),
        "reviews": ComputedField(_stored("reviews"), REVIEW),
        "transitions": ComputedField(_stored("transitions"), TRANSITION),
        "pull_requests": ComputedField(_stored("pull_requests"), PULL_REQUEST),
        "branches": ComputedField(_stored("branches"), BRANCH),
        "cycle_time_details": ComputedField(
            _unless_recorded("cycle_time_details", cycle_time_details), CYCLE_TIME_DETAILS
        ),
        "comment_ids": ComputedField(_ids_of("comments")),
        "task_ids": ComputedField(_ids_of("tasks")),
        "blocker_ids": ComputedField(_ids_of("blockers")),
        "review_ids": ComputedField(_ids_of("reviews")),
        "pull_request_ids": ComputedField(_ids_of("pull_requests")),
        "branch_ids": ComputedField(_ids_of("branches")),
        "after_id": ComputedField(_neighbour(0)),
        "before_id": ComputedField(_neighbour(1)),
    },
)


def _epic_stories(view: RequestView, epic: Record) -> list[Record]:
    return view.stories_with_label(view.project_of(epic), epic["label_id"])


def _past_done(view: RequestView, epic: Record) -> list[Record]:
    """Return the stories of an epic that were accepted in past iterations."""
    begin = view.current_start(view.project_of(epic))
    stories = _epic_stories(view, epic)
    return [story for story in stories if begin > story.get("accepted_at", begin)]


def _epic_label(view: RequestView, epic: Record) -> Record | None:
    return view.project_of(epic).labels.get(epic.get("label_id", 0))


def _past_done_story_estimates(view: RequestView, epic: Record) -> float:
    return sum(story.get("estimate") or 0 for story in _past_done(view, epic))


def _past_done_stories_count(view: RequestView, epic: Record) -> int:
    return len(_past_done(view, epic))


def _past_done_stories_no_point_count(view: RequestView, epic: Record) -> int:
    return sum(not story.get("estimate") for story in _past_done(view, epic))


def _completed_at(view: RequestView, epic: Record) -> str | None:
    accepted = [story.get("accepted_at", "") for story in _epic_stories(view, epic)]
    return max(accepted) if accepted and all(accepted) else None


def _epic_projected_completion(view: RequestView, epic: Record) -> str | None:
    stories = _epic_stories(view, epic)
    return view.projected_completion(view.project_of(epic), stories)


EPIC = RecordType(
    _attributes(EPICS),
    on_request=_names("label_id follower_ids"),
    computed={
        "label": ComputedField(_stored_or("label", _epic_label), LABEL, default=True),
        "comments": ComputedField(_stored("comments"), COMMENT),
        "comment_ids": ComputedField(_ids_of("comments")),
        "followers": ComputedField(_people_of("follower_ids"), PERSON),
        "after_id": ComputedField(_neighbour(0, epics=True)),
        "before_id": ComputedField(_neighbour(1, epics=True)),
        "past_done_story_estimates": ComputedField(
            _unless_recorded("past_done_story_estimates", _past_done_story_estimates)
        ),
        "past_done_stories_count": ComputedField(
            _unless_recorded("past_done_stories_count", _past_done_stories_count)
        ),
        "past_done_stories_no_point_count": ComputedField(
            _unless_recorded("past_done_stories_no_point_count", _past_done_stories_no_point_count)
        ),
        **_computed_fields(
            completed_at=_completed_at,
            projected_completion=_epic_projected_completion,
        ),
    },
)


def _release_stories(view: RequestView, release: Record) -> list[Record]:
    stories = view.project_of(release).stories
    return [stories[story_id] for story_id in release["story_ids"]]


def _points(view: RequestView, release: Record, stories: Iterable[Record]) -> float:
    project = view.project_of(release)
    return sum(iterations.points(project, story) for story in stories)


def _accepted(stories: Iterable[Record]) -> list[Record]:
    return [story for story in stories if "accepted_at" in story]


def _points_accepted(view: RequestView, release: Record) -> float:
    return _points(view, release, _accepted(_release_stories(view, release)))


def _points_total(view: RequestView, release: Record) -> float:
    return _points(view, release, _release_stories(view, release))


def _counts_accepted(view: RequestView, release: Record) -> int:
    return len(_accepted(_release_stories(view, release)))


def _counts_total(_: RequestView, release: Record) -> int:
    return len(release["story_ids"])


def _release_projected_completion(view: RequestView, release: Record) -> str | None:
    if "accepted_at" in release:
        return None
    stories = _release_stories(view, release)
    return view.projected_completion(view.project_of(release), stories)


RELEASE = RecordType(
    _attributes(RELEASES),
    on_request=_names("label_ids story_ids"),
    computed={
        "labels": ComputedField(story_labels, LABEL, default=True),
        **_computed_fields(
            points_accepted=_points_accepted,
            points_total=_points_total,
            counts_accepted=_counts_accepted,
            counts_total=_counts_total,
        ),
        "projected_completion": ComputedField(
            _unless_recorded("projected_completion", _release_projected_completion)
        ),
    },
)


def _iteration_stories(view: RequestView, iteration: Record) -> list[Record]:
    stories = view.project_of(iteration).stories
    return [stories[story_id] for story_id in iteration.get("story_ids", ()) if story_id in stories]


ITERATION = RecordType(
    _attributes(ITERATIONS),
    on_request=_names("story_ids velocity points accepted_points effective_points analytics"),
    computed={"stories": ComputedField(_iteration_stories, STORY, default=True)},
)
DAILY_HISTORY = RecordType(_names("kind header data"))
MEMBERSHIP = RecordType(
    _attributes(PROJECT_MEMBERSHIPS),
    on_request=_names("person_id"),
    computed={
        "person": ComputedField(_stored_or("person", _person_of("person_id")), PERSON, default=True)
    },
)
ACCOUNT = RecordType(_attributes(ACCOUNTS))
ACCOUNT_SUMMARY = RecordType(_names("kind id name plan status days_left"))
ACCOUNT_MEMBERSHIP = RecordType(
    _attributes(ACCOUNT_MEMBERSHIPS),
    on_request=_names("person_id"),
    computed={
        "person": ComputedField(_stored_or("person", _person_of("person_id")), PERSON, default=True)
    },
)


def account_summary(account: Record) -> Record:
    """Return the summary of an account."""
    names = ("id", "name", "status", "days_left", "plan")
    summary = {name: account[name] for name in names if name in account}
    return {"kind": "account_summary", **summary}


def _account(view: RequestView, project: Record) -> Record | None:
    account = view.workspace.accounts.get(project.get("account_id", 0))
    return account_summary(account) if account else None


def _collection(name: str) -> _Compute:
    def compute(view: RequestView, project: Record) -> list[Record]:
        records = getattr(view.workspace.projects[project["id"]], name)
        return list(records.values())

    return compute


def _collection_ids(collection: str) -> _Compute:
    return lambda view, project: list(getattr(view.workspace.projects[project["id"]], collection))


def _current_velocity(view: RequestView, project: Record) -> int:
    return view.workspace.current_velocity(project["id"])


def _current_volatility(view: RequestView, project: Record) -> float:
    return view.workspace.current_volatility(project["id"])


PROJECT = RecordType(
    _attributes(PROJECTS, omit="same_as_id"),
    on_request=_names("status shown_iterations_start_time current_standard_deviation join_as"),
    computed={
        "account": ComputedField(_account, ACCOUNT_SUMMARY),
        **_computed_fields(
            current_velocity=_current_velocity,
            current_volatility=_current_volatility,
        ),
        "epics": ComputedField(_collection("epics"), EPIC),
        "labels": ComputedField(_collection("labels"), LABEL),
        "memberships": ComputedField(_collection("memberships"), MEMBERSHIP),
        "review_types": ComputedField(_collection("review_types"), REVIEW_TYPE),
        "story_ids": ComputedField(_collection_ids("stories")),
        "epic_ids": ComputedField(_collection_ids("epics")),
        "label_ids": ComputedField(_collection_ids("labels")),
        "membership_ids": ComputedField(_collection_ids("memberships")),
        "review_type_ids": ComputedField(_collection_ids("review_types")),
        "iteration_override_numbers": ComputedField(_collection_ids("iteration_overrides")),
    },
)


def _workspace_projects(view: RequestView, workspace: Record) -> list[Record]:
    projects = view.workspace.projects
    ids = workspace.get("project_ids", ())
    return [projects[project_id].record for project_id in ids if project_id in projects]


WORKSPACE_IN_LIST = RecordType(
    _attributes(WORKSPACES),
    computed={"projects": ComputedField(_workspace_projects, PROJECT)},
)
WORKSPACE = replace(
    WORKSPACE_IN_LIST,
    computed={"projects": ComputedField(_workspace_projects, PROJECT, replaces="project_ids")},
)
"""If one workspace is requested, `projects` replaces `project_ids`; in a list it does not."""

ACTIVITY = RecordType(_attributes(tables.ACTIVITY))
ME = RecordType(
    _names(
        "kind id name initials username time_zone api_token has_google_identity accounts projects "
        "email receives_in_app_notifications created_at updated_at"
    )
)
