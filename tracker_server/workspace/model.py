"""The data of a workspace, and what all changes to it have in common.

A change increments its project's `version` and appends one activity. Both are done here; the
modules `story_changes`, `child_changes` and `project_changes` define the changes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import wraps
from typing import Any, TypeVar, cast

Record = dict[str, Any]
"""A record of API v5 with all its attributes, including those returned on request only."""

SITE = "https://www.pivotaltracker.com"
"""The site in the `url` of stories and epics."""

CHILD_LISTS = {
    "comment": "comments",
    "task": "tasks",
    "blocker": "blockers",
    "review": "reviews",
    "pull_request": "pull_requests",
    "branch": "branches",
}
"""The attribute of a story that has its children of a kind; epics have `comments` only."""

MOVES_UPDATED_AT = frozenset({"comment", "task", "owner_ids"})
"""The kinds of children whose changes move their parent's `updated_at`, and `owner_ids`.

Comments and tasks did so in recorded activity. Of the other children nothing is known, so this
server takes the case that is harder for a reader: only the activity tells of them.
"""

MIN_NEW_ID = 10**8
"""New ids are larger, like those of Tracker's later stories."""


@dataclass
class Project:
    """A project and everything in it.

    Records have the form of the API, except that each fact is stored once: a story has `label_ids`
    and no `labels`, an epic has `label_id` and no `label`, and people are referenced by id. The
    other children of a story are nested in it: `owner_ids`, `follower_ids`, `comments` (each with
    `file_attachments` and `google_attachments`), `tasks`, `blockers`, `reviews`, `transitions`,
    `pull_requests`, `branches`. A nested label, person or review type that differs from the one
    known elsewhere is stored too, under the API's name, and returned unchanged.
    """

    record: Record
    """The project's own attributes, `version` among them; no expansions (`labels`, `epics`, …)."""
    stories: dict[int, Record] = field(default_factory=dict)
    """By id, in priority order: done, current, backlog, icebox. Releases are stories too."""
    epics: dict[int, Record] = field(default_factory=dict)
    """By id, in order; each with its `comments`."""
    labels: dict[int, Record] = field(default_factory=dict)
    memberships: dict[int, Record] = field(default_factory=dict)
    """By id, with `person_id` instead of `person`."""
    review_types: dict[int, Record] = field(default_factory=dict)
    activity: list[Record] = field(default_factory=list)
    """Oldest first, as far as the server has kept it."""
    iterations: list[Record] | None = None
    """As recorded, with `story_ids`; None if they are computed from the stories."""
    history_days: Record | None = None
    """As recorded (a `daily_history_container`); None if it is computed from the transitions."""
    releases: dict[int, Record] | None = None
    """As recorded, by id, with `story_ids`; None if they are computed from the stories."""
    iteration_overrides: dict[int, Record] = field(default_factory=dict)
    """By number: the iterations whose `length` or `team_strength` is not the usual one."""


@dataclass
class WorkspaceData:
    """The data of a workspace; `Workspace` adds changes and computed values."""

    me: Record
    """The response to `/me`, with the `api_token`; without one, every token is valid."""
    now: datetime
    """The time in the workspace, for new records and the current iteration."""
    people: dict[int, Record] = field(default_factory=dict)
    projects: dict[int, Project] = field(default_factory=dict)
    accounts: dict[int, Record] = field(default_factory=dict)
    account_memberships: dict[int, Record] = field(default_factory=dict)
    """By id, with `person_id` instead of `person`."""
    workspaces: dict[int, Record] = field(default_factory=dict)
    attachments: MutableMapping[int, bytes] = field(default_factory=dict)
    """The bytes of file attachments, by attachment id."""
    moves_updated_at: frozenset[str] = MOVES_UPDATED_AT
    """What moves `updated_at`. Without `owner_ids`, edits of owners alone leave a story's as it is,
    as at LiteTracker; without `comment`, comments do."""
    is_recording: bool = False
    """Whether a value that is not in a record is unknown, and not computed from other records."""
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False, compare=False)
    """Held by every change, and while several values are read."""
    revision: int = field(default=0, compare=False)
    """Incremented by every change: equal revisions, equal responses."""

    def __post_init__(self) -> None:
        self._formatted_now = (self.now, format_time(self.now))
        self._project_ids: dict[int, int] = {}
        self._parent_ids: dict[int, int] = {}
        self._last_id = max(MIN_NEW_ID, *self._ids())

    def find_project(self, project_id: int) -> Project:
        """Find a project.

        Raises:
            KeyError: There is no such project.
        """
        if project_id not in self.projects:
            raise KeyError(f"there is no project {project_id}")
        return self.projects[project_id]

    def find_story(self, story_id: int) -> tuple[Project, Record]:
        """Find a story and its project, without a search through the stories.

        Raises:
            KeyError: There is no such story.
        """
        project = self.projects.get(self._project_ids.get(story_id, 0))
        if project is None or story_id not in project.stories:
            # projects that were not made by a change are not in the index yet
            project = self._project_with(story_id, "stories")
            self._project_ids[story_id] = project.record["id"]
        return project, project.stories[story_id]

    def find_epic(self, epic_id: int) -> tuple[Project, Record]:
        """Find an epic and its project.

        Raises:
            KeyError: There is no such epic.
        """
        project = self._project_with(epic_id, "epics")
        return project, project.epics[epic_id]

    def find_label(self, label_id: int) -> tuple[Project, Record]:
        """Find a label and its project.

        Raises:
            KeyError: There is no such label.
        """
        project = self._project_with(label_id, "labels")
        return project, project.labels[label_id]

    def find_membership(self, membership_id: int) -> tuple[Project, Record]:
        """Find a project membership and its project.

        Raises:
            KeyError: There is no such membership.
        """
        project = self._project_with(membership_id, "memberships")
        return project, project.memberships[membership_id]

    def find_child(self, kind: str, child_id: int) -> tuple[Project, Record, Record]:
        """Find a record nested in a story, or a comment of an epic.

        Args:
            kind: One of `CHILD_LISTS`.
            child_id: Its id.

        Returns:
            The project, the story or epic, and the child.

        Raises:
            KeyError: There is no such child.
        """
        if child_id not in self._parent_ids:
            self._index_children()
        if child_id in self._parent_ids:
            project, parent = self.find_parent(self._parent_ids[child_id])
            for child in parent.get(CHILD_LISTS[kind], ()):
                if child["id"] == child_id:
                    return project, parent, child
        raise KeyError(f"there is no {kind} {child_id}")

    def find_parent(self, parent_id: int) -> tuple[Project, Record]:
        """Find the story or the epic with this id.

        Raises:
            KeyError: There is neither.
        """
        try:
            return self.find_story(parent_id)
        except KeyError:
            return self.find_epic(parent_id)

    def time(self) -> str:
        """Return the time in the workspace, in the format of the API."""
        if self._formatted_now[0] is not self.now:
            self._formatted_now = (self.now, format_time(self.now))
        return self._formatted_now[1]

    def new_id(self) -> int:
        """Return a new id."""
        self._last_id += 1
        return self._last_id

    def next_version(self, project: Project) -> int:
        """Increment a project's `version`, and return it."""
        version: int = project.record.get("version", 0) + 1
        project.record["version"] = version
        return version

    def performer(self, by: int | None) -> int:
        """Return who performs a change: the person given, or else the owner of the token."""
        return self.me["id"] if by is None else by

    def record_activity(
        self,
        project: Project,
        kind: str,
        by: int | None,
        highlight: str,
        rest: str,
        changes: list[Record],
        primary_resources: list[Record],
    ) -> None:
        """Append the activity of the change that made the project's latest version.

        Args:
            project: The project.
            kind: Such as `story_update_activity`.
            by: The person who did it; None is the owner of the token.
            highlight: The verb, such as `added comment:`.
            rest: The rest of the message.
            changes: The records created, updated and deleted.
            primary_resources: The records that it is about.
        """
        record = project.record
        performer = self._person_in_brief(self.performer(by))
        project.activity.append(
            {
                "kind": kind,
                "guid": f"{record['id']}_{record['version']}",
                "project_version": record["version"],
                "message": f"{performer['name']} {highlight} {rest}",
                "highlight": highlight,
                "changes": changes,
                "primary_resources": primary_resources,
                "secondary_resources": [],
                "project": {"kind": "project", "id": record["id"], "name": record.get("name", "")},
                "performed_by": performer,
                "occurred_at": self.time(),
            }
        )

    def _person_in_brief(self, person_id: int) -> Record:
        person = self.people.get(person_id, self.me)
        brief = {"kind": "person", "id": person_id, "name": person["name"]}
        if "initials" in person:
            brief["initials"] = person["initials"]
        return brief

    def _project_with(self, record_id: int, collection: str) -> Project:
        for project in self.projects.values():
            if record_id in getattr(project, collection):
                return project
        raise KeyError(f"{record_id} is not in {collection} of any project")

    def _parents(self) -> Iterator[Record]:
        for project in self.projects.values():
            yield from project.stories.values()
            yield from project.epics.values()

    def _index_children(self) -> None:
        self._parent_ids = {
            child["id"]: parent["id"]
            for parent in self._parents()
            for plural in CHILD_LISTS.values()
            for child in parent.get(plural, ())
            if "id" in child
        }

    def _ids(self) -> Iterator[int]:
        yield from (self.me.get("id", 0), *self.people, *self.accounts, *self.workspaces)
        yield from (*self.account_memberships, *self.attachments)
        for project in self.projects.values():
            yield project.record["id"]
            yield from (*project.stories, *project.epics, *project.labels)
            yield from (*project.memberships, *project.review_types)
        self._index_children()
        yield from self._parent_ids


_Method = TypeVar("_Method", bound=Callable[..., Any])


def change(method: _Method) -> _Method:
    """Make a method a change: it holds the lock and increments the `revision`."""

    @wraps(method)
    def locked(self: WorkspaceData, *args: object, **kwargs: object) -> object:
        with self.lock:
            self.revision += 1
            return method(self, *args, **kwargs)

    return cast("_Method", locked)


def format_time(timestamp: datetime) -> str:
    """Format a time like the API: `2025-04-25T16:00:00Z`."""
    return timestamp.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def assign(record: Record, values: Mapping[str, object]) -> tuple[Record, Record]:
    """Set attributes of a record; None removes an attribute, because the API has no null.

    Lists are copied, because an activity keeps the list that was there before.

    Args:
        record: Changed in place.
        values: The new values.

    Returns:
        The original and the new values of those attributes that differ, None for absent.
    """
    original: Record = {}
    new: Record = {}
    for name, item in values.items():
        value = list(item) if isinstance(item, (list, tuple)) else item
        if record.get(name) == value:
            continue
        original[name] = record.get(name)
        new[name] = value
        if value is None:
            del record[name]
        else:
            record[name] = value
    return original, new


def created_change(record: Record, values: Mapping[str, object] | None = None) -> Record:
    """Return the change of an activity that created a record.

    Args:
        record: The new record.
        values: Its `new_values`; by default all its attributes but `kind`.
    """
    new_values = values or {name: value for name, value in record.items() if name != "kind"}
    return _describe(record, "create", new_values=new_values)


def updated_change(record: Record, original: Record, new: Record) -> Record:
    """Return the change of an activity that updated a record."""
    return _describe(record, "update", original_values=original, new_values=new)


def deleted_change(record: Record) -> Record:
    """Return the change of an activity that deleted a record; recorded ones have no values."""
    return _describe(record, "delete")


def resource(record: Record) -> Record:
    """Return a story, epic, label or project as it is in `primary_resources`."""
    return {
        name: record[name] for name in ("kind", "id", "name", "story_type", "url") if name in record
    }


def resources(records: Iterable[Record]) -> list[Record]:
    """Return several records as they are in `primary_resources`."""
    return [resource(record) for record in records]


def _describe(record: Record, change_type: str, **values: Mapping[str, object]) -> Record:
    description: Record = {
        "kind": record["kind"],
        "change_type": change_type,
        "id": record["id"],
        **values,
    }
    if record["kind"] in {"story", "epic", "label"}:
        description["name"] = record["name"]
    if record["kind"] == "story":
        description["story_type"] = record["story_type"]
    return description
