"""Every kind of record that is served: its attributes, and how those not stored are worked out.

Which attributes are stored is derived from `pivotal_tracker.tables`. Which are given only when
requested, and which ids an expansion replaces, is as in the manual and in recorded responses.
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
from tracker_server.fields import Kind, Made
from tracker_server.request_view import Reading
from tracker_server.workspace import iterations
from tracker_server.workspace.model import Record

FILES = "https://file-attachments.tracker.example"
"""Where the made-up pre-signed URLs of attachments lead; nothing answers there."""

_COMMENTS = STORIES.nested["comments"]
_CYCLE_TIME = "cycle_time_details__"

_Read = Callable[[Reading, Record], Any]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _attributes(table: Table, *, omit: str = "") -> frozenset[str]:
    """Return the attributes that a table has columns or nested tables for.

    Args:
        table: The table of the records.
        omit: The columns that no attribute of the record is behind.
    """
    columns = {name.partition("__")[0] for name in table.columns if not name.startswith("_")}
    return frozenset((columns | table.nested.keys()) - _words(omit))


def _stored(name: str) -> _Read:
    return lambda _, record: record.get(name, [])


def _ids_of(name: str) -> _Read:
    return lambda _, record: [child["id"] for child in record.get(name, ())]


def _person_of(name: str) -> _Read:
    return lambda reading, record: reading.person(record.get(name))


def _people_of(name: str) -> _Read:
    return lambda reading, record: reading.people(record.get(name, ()))


def _neighbour(place: int, *, epics: bool = False) -> _Read:
    def read(reading: Reading, record: Record) -> int | None:
        return reading.neighbours(record, "epics" if epics else "stories")[place]

    return read


def _signed_url(size: str) -> _Read:
    def read(reading: Reading, attachment: Record) -> str:
        if not attachment.get("uploaded"):
            return "#"
        reading.repeatable = False
        return (
            f"{FILES}/{attachment['id']}/{size}/{quote(attachment['filename'], safe='')}"
            f"?X-Amz-Expires=604800&X-Amz-Signature={secrets.token_hex(32)}"
        )

    return read


def _told(name: str, read: _Read) -> _Read:
    """What a record tells of another, where it does; else as it is known elsewhere."""
    return lambda reading, record: record[name] if name in record else read(reading, record)


def _derived(name: str, read: _Read) -> _Read:
    """What follows from other records; where only recordings count, as it was recorded."""

    def derive(reading: Reading, record: Record) -> Any:
        return record.get(name) if reading.workspace.as_recorded else read(reading, record)

    return derive


def _worked_out(**reads: _Read) -> dict[str, Made]:
    """Plain values that follow from other records, by name."""
    return {name: Made(_derived(name, read)) for name, read in reads.items()}


def _review_type(reading: Reading, review: Record) -> Record | None:
    project, _ = reading.workspace.find_story(review["story_id"])
    return project.review_types.get(review["review_type_id"])


def _attachment_ids(_: Reading, comment: Record) -> list[int]:
    both = (*comment.get("file_attachments", ()), *comment.get("google_attachments", ()))
    return [attachment["id"] for attachment in both]


TRANSITION = Kind(_attributes(STORIES.nested["transitions"]))
CYCLE_TIME_DETAILS = Kind(
    frozenset(
        name.removeprefix(_CYCLE_TIME) for name in STORIES.columns if name.startswith(_CYCLE_TIME)
    )
)
PERSON = Kind(_attributes(PEOPLE, omit="same_as_id"))
TASK = Kind(_attributes(STORIES.nested["tasks"], omit="project_id"))
BLOCKER = Kind(
    _attributes(STORIES.nested["blockers"], omit="project_id"),
    made={"person": Made(_person_of("person_id"), PERSON)},
)
REVIEW_TYPE = Kind(_attributes(REVIEW_TYPES))
REVIEW = Kind(
    _attributes(STORIES.nested["reviews"], omit="project_id"),
    made={
        "review_type": Made(_derived("review_type", _review_type), REVIEW_TYPE),
        "reviewer": Made(_person_of("reviewer_id"), PERSON),
    },
)
PULL_REQUEST = Kind(_attributes(STORIES.nested["pull_requests"], omit="project_id"))
BRANCH = Kind(_attributes(STORIES.nested["branches"], omit="project_id"))
FILE_ATTACHMENT = Kind(
    _attributes(_COMMENTS.nested["file_attachments"], omit="comment_id story_id project_id"),
    made={
        "big_url": Made(_signed_url("big"), default=True),
        "thumbnail_url": Made(_signed_url("thumbnail"), default=True),
    },
)
GOOGLE_ATTACHMENT = Kind(
    _attributes(_COMMENTS.nested["google_attachments"], omit="story_id project_id")
)
COMMENT = Kind(
    _attributes(_COMMENTS, omit="project_id"),
    made={
        "file_attachments": Made(_stored("file_attachments"), FILE_ATTACHMENT),
        "google_attachments": Made(_stored("google_attachments"), GOOGLE_ATTACHMENT),
        "file_attachment_ids": Made(_ids_of("file_attachments")),
        "google_attachment_ids": Made(_ids_of("google_attachments")),
        "attachment_ids": Made(_attachment_ids),
        "person": Made(_person_of("person_id"), PERSON),
    },
)
LABEL = Kind(
    _attributes(LABELS),
    made={
        "counts": Made(
            _derived("counts", lambda reading, label: reading.workspace.story_counts(label))
        )
    },
)


def story_labels(reading: Reading, story: Record) -> list[Record]:
    """Give the labels of a story or a release, as it tells of them itself if it does."""
    labels: list[Record] = story["labels"] if "labels" in story else reading.labels(story)
    return labels


def cycle_time_details(reading: Reading, story: Record) -> Record | None:
    """Give a story's cycle time; None where neither it nor the transitions are recorded."""
    if "cycle_time_details" not in story and "transitions" not in story:
        return None
    return reading.workspace.cycle_time_details(story)


STORY = Kind(
    _attributes(STORIES),
    on_request=_words("label_ids follower_ids"),
    made={
        "labels": Made(story_labels, LABEL, default=True),
        "owners": Made(_people_of("owner_ids"), PERSON),
        "owned_by": Made(_person_of("owned_by_id"), PERSON, instead_of="owned_by_id"),
        "requested_by": Made(_person_of("requested_by_id"), PERSON),
        "followers": Made(_people_of("follower_ids"), PERSON),
        "comments": Made(_stored("comments"), COMMENT),
        "tasks": Made(_stored("tasks"), TASK),
        "blockers": Made(_stored("blockers"), BLOCKER),
        "reviews": Made(_stored("reviews"), REVIEW),
        "transitions": Made(_stored("transitions"), TRANSITION),
        "pull_requests": Made(_stored("pull_requests"), PULL_REQUEST),
        "branches": Made(_stored("branches"), BRANCH),
        "cycle_time_details": Made(
            _derived("cycle_time_details", cycle_time_details), CYCLE_TIME_DETAILS
        ),
        "comment_ids": Made(_ids_of("comments")),
        "task_ids": Made(_ids_of("tasks")),
        "blocker_ids": Made(_ids_of("blockers")),
        "review_ids": Made(_ids_of("reviews")),
        "pull_request_ids": Made(_ids_of("pull_requests")),
        "branch_ids": Made(_ids_of("branches")),
        "after_id": Made(_neighbour(0)),
        "before_id": Made(_neighbour(1)),
    },
)


def _epic_stories(reading: Reading, epic: Record) -> list[Record]:
    return reading.labelled(reading.project_of(epic), epic["label_id"])


def _past_done(reading: Reading, epic: Record) -> list[Record]:
    """Give the stories of an epic that were accepted in the iterations that are over."""
    begin = reading.current_start(reading.project_of(epic))
    stories = _epic_stories(reading, epic)
    return [story for story in stories if begin > story.get("accepted_at", begin)]


def _epic_label(reading: Reading, epic: Record) -> Record | None:
    return reading.project_of(epic).labels.get(epic.get("label_id", 0))


def _past_done_story_estimates(reading: Reading, epic: Record) -> float:
    return sum(story.get("estimate") or 0 for story in _past_done(reading, epic))


def _past_done_stories_count(reading: Reading, epic: Record) -> int:
    return len(_past_done(reading, epic))


def _past_done_stories_no_point_count(reading: Reading, epic: Record) -> int:
    return sum(not story.get("estimate") for story in _past_done(reading, epic))


def _completed_at(reading: Reading, epic: Record) -> str | None:
    accepted = [story.get("accepted_at", "") for story in _epic_stories(reading, epic)]
    return max(accepted) if accepted and all(accepted) else None


def _epic_projected_completion(reading: Reading, epic: Record) -> str | None:
    stories = _epic_stories(reading, epic)
    return reading.projected_completion(reading.project_of(epic), stories)


EPIC = Kind(
    _attributes(EPICS),
    on_request=_words("label_id follower_ids"),
    made={
        "label": Made(_told("label", _epic_label), LABEL, default=True),
        "comments": Made(_stored("comments"), COMMENT),
        "comment_ids": Made(_ids_of("comments")),
        "followers": Made(_people_of("follower_ids"), PERSON),
        "after_id": Made(_neighbour(0, epics=True)),
        "before_id": Made(_neighbour(1, epics=True)),
        "past_done_story_estimates": Made(
            _derived("past_done_story_estimates", _past_done_story_estimates)
        ),
        "past_done_stories_count": Made(
            _derived("past_done_stories_count", _past_done_stories_count)
        ),
        "past_done_stories_no_point_count": Made(
            _derived("past_done_stories_no_point_count", _past_done_stories_no_point_count)
        ),
        **_worked_out(
            completed_at=_completed_at,
            projected_completion=_epic_projected_completion,
        ),
    },
)


def _release_stories(reading: Reading, release: Record) -> list[Record]:
    stories = reading.project_of(release).stories
    return [stories[story_id] for story_id in release["story_ids"]]


def _points(reading: Reading, release: Record, stories: Iterable[Record]) -> float:
    project = reading.project_of(release)
    return sum(iterations.points(project, story) for story in stories)


def _accepted(stories: Iterable[Record]) -> list[Record]:
    return [story for story in stories if "accepted_at" in story]


def _points_accepted(reading: Reading, release: Record) -> float:
    return _points(reading, release, _accepted(_release_stories(reading, release)))


def _points_total(reading: Reading, release: Record) -> float:
    return _points(reading, release, _release_stories(reading, release))


def _counts_accepted(reading: Reading, release: Record) -> int:
    return len(_accepted(_release_stories(reading, release)))


def _counts_total(_: Reading, release: Record) -> int:
    return len(release["story_ids"])


def _release_projected_completion(reading: Reading, release: Record) -> str | None:
    if "accepted_at" in release:
        return None
    stories = _release_stories(reading, release)
    return reading.projected_completion(reading.project_of(release), stories)


RELEASE = Kind(
    _attributes(RELEASES),
    on_request=_words("label_ids story_ids"),
    made={
        "labels": Made(story_labels, LABEL, default=True),
        **_worked_out(
            points_accepted=_points_accepted,
            points_total=_points_total,
            counts_accepted=_counts_accepted,
            counts_total=_counts_total,
        ),
        "projected_completion": Made(
            _derived("projected_completion", _release_projected_completion)
        ),
    },
)


def _iteration_stories(reading: Reading, iteration: Record) -> list[Record]:
    stories = reading.project_of(iteration).stories
    return [stories[story_id] for story_id in iteration.get("story_ids", ()) if story_id in stories]


ITERATION = Kind(
    _attributes(ITERATIONS),
    on_request=_words("story_ids velocity points accepted_points effective_points analytics"),
    made={"stories": Made(_iteration_stories, STORY, default=True)},
)
DAILY_HISTORY = Kind(_words("kind header data"))
MEMBERSHIP = Kind(
    _attributes(PROJECT_MEMBERSHIPS),
    on_request=_words("person_id"),
    made={"person": Made(_told("person", _person_of("person_id")), PERSON, default=True)},
)
ACCOUNT = Kind(_attributes(ACCOUNTS))
ACCOUNT_SUMMARY = Kind(_words("kind id name plan status days_left"))
ACCOUNT_MEMBERSHIP = Kind(
    _attributes(ACCOUNT_MEMBERSHIPS),
    on_request=_words("person_id"),
    made={"person": Made(_told("person", _person_of("person_id")), PERSON, default=True)},
)


def account_summary(account: Record) -> Record:
    """Shorten an account to what its summary has."""
    names = ("id", "name", "status", "days_left", "plan")
    summary = {name: account[name] for name in names if name in account}
    return {"kind": "account_summary", **summary}


def _account(reading: Reading, project: Record) -> Record | None:
    account = reading.workspace.accounts.get(project.get("account_id", 0))
    return account_summary(account) if account else None


def _held(collection: str) -> _Read:
    def read(reading: Reading, project: Record) -> list[Record]:
        held = getattr(reading.workspace.projects[project["id"]], collection)
        return list(held.values())

    return read


def _held_ids(collection: str) -> _Read:
    return lambda reading, project: list(
        getattr(reading.workspace.projects[project["id"]], collection)
    )


def _current_velocity(reading: Reading, project: Record) -> int:
    return reading.workspace.current_velocity(project["id"])


def _current_volatility(reading: Reading, project: Record) -> float:
    return reading.workspace.current_volatility(project["id"])


PROJECT = Kind(
    _attributes(PROJECTS, omit="same_as_id"),
    on_request=_words("status shown_iterations_start_time current_standard_deviation join_as"),
    made={
        "account": Made(_account, ACCOUNT_SUMMARY),
        **_worked_out(
            current_velocity=_current_velocity,
            current_volatility=_current_volatility,
        ),
        "epics": Made(_held("epics"), EPIC),
        "labels": Made(_held("labels"), LABEL),
        "memberships": Made(_held("memberships"), MEMBERSHIP),
        "review_types": Made(_held("review_types"), REVIEW_TYPE),
        "story_ids": Made(_held_ids("stories")),
        "epic_ids": Made(_held_ids("epics")),
        "label_ids": Made(_held_ids("labels")),
        "membership_ids": Made(_held_ids("memberships")),
        "review_type_ids": Made(_held_ids("review_types")),
        "iteration_override_numbers": Made(_held_ids("iteration_overrides")),
    },
)


def _workspace_projects(reading: Reading, workspace: Record) -> list[Record]:
    projects = reading.workspace.projects
    ids = workspace.get("project_ids", ())
    return [projects[project_id].record for project_id in ids if project_id in projects]


WORKSPACE_IN_LIST = Kind(
    _attributes(WORKSPACES),
    made={"projects": Made(_workspace_projects, PROJECT)},
)
WORKSPACE = replace(
    WORKSPACE_IN_LIST,
    made={"projects": Made(_workspace_projects, PROJECT, instead_of="project_ids")},
)
"""Asked for alone its `projects` take the place of `project_ids`; in a list they do not."""

ACTIVITY = Kind(_attributes(tables.ACTIVITY))
ME = Kind(
    _words(
        "kind id name initials username time_zone api_token has_google_identity accounts projects "
        "email receives_in_app_notifications created_at updated_at"
    )
)
