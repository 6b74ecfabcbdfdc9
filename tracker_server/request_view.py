"""The workspace as one request sees it: access rights, and lookups that need a whole project."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal

from .errors import unauthorized_operation, unfound_resource
from .workspace import Project, Record, Workspace


@dataclass
class RequestView:
    """Reads the workspace for one request, while its lock is held.

    Lookups that go through a whole project are done once per request.

    Attributes:
        workspace: The workspace.
        forbidden_projects: Ids of the projects for which the token gets 403.
        project: The project that the request is about; None if it is about no single one.
        repeatable: Whether the same request would get the same response.
    """

    workspace: Workspace
    forbidden_projects: Collection[int] = ()
    project: Project | None = None
    repeatable: bool = True
    _iterations: dict[int, list[Record]] = field(default_factory=dict)
    _stories_by_label: dict[int, dict[int, list[Record]]] = field(default_factory=dict)
    _neighbours: dict[tuple[int, str], dict[int, tuple[int | None, int | None]]] = field(
        default_factory=dict
    )
    _finishes: dict[int, dict[int, str]] = field(default_factory=dict)

    def open_project(self, project_id: int) -> Project:
        """Return a project, and make it the one that the request is about.

        Raises:
            ApiError: There is no such project (404), or the token may not read it (403).
        """
        project = self.workspace.projects.get(project_id)
        if project is None:
            raise unfound_resource()
        if project_id in self.forbidden_projects or not self._may_read(project):
            raise unauthorized_operation()
        self.project = project
        return project

    def my_projects(self) -> list[Project]:
        """Return the projects of which the owner of the token is a member.

        A project without any members counts, because an archive may lack memberships.
        """
        return [project for project in self.workspace.projects.values() if self._is_mine(project)]

    def project_of(self, record: Record) -> Project:
        """Return the project with the record's `project_id`."""
        return self.workspace.projects[record["project_id"]]

    def person(self, person_id: int | None) -> Record | None:
        """Return a person; None if there is none with that id."""
        return self.workspace.people.get(person_id or 0)

    def people(self, person_ids: Iterable[int]) -> list[Record]:
        """Return the people with these ids, without those who are not known."""
        known = self.workspace.people
        return [known[person_id] for person_id in person_ids if person_id in known]

    def labels(self, record: Record) -> list[Record]:
        """Return the labels of a story or a release."""
        labels = self.project_of(record).labels
        return [labels[label_id] for label_id in record.get("label_ids", ()) if label_id in labels]

    def stories_with_label(self, project: Project, label_id: int) -> list[Record]:
        """Return the stories that have a label, in priority order."""
        project_id = project.record["id"]
        if project_id not in self._stories_by_label:
            by_label: dict[int, list[Record]] = {}
            for story in project.stories.values():
                for each in story["label_ids"]:
                    by_label.setdefault(each, []).append(story)
            self._stories_by_label[project_id] = by_label
        return self._stories_by_label[project_id].get(label_id, [])

    def neighbours(
        self, record: Record, collection: Literal["stories", "epics"]
    ) -> tuple[int | None, int | None]:
        """Return the ids of the story or epic above a record and of the one below it."""
        project = self.project_of(record)
        key = project.record["id"], collection
        if key not in self._neighbours:
            order = list(project.stories if collection == "stories" else project.epics)
            above, below = [None, *order[:-1]], [*order[1:], None]
            self._neighbours[key] = dict(zip(order, zip(above, below, strict=True), strict=True))
        return self._neighbours[key][record["id"]]

    def iterations(self, project: Project) -> list[Record]:
        """Return a project's iterations, the oldest first."""
        project_id = project.record["id"]
        if project_id not in self._iterations:
            self._iterations[project_id] = self.workspace.iterations(project_id)
        return self._iterations[project_id]

    def current_start(self, project: Project) -> str:
        """Return when the current iteration began; an empty text if that is not known."""
        now = self.workspace.time()
        # an archive may not contain an iteration's days
        ahead = (i.get("start", "") for i in self.iterations(project) if i.get("finish", "") > now)
        return next(ahead, "")

    def projected_completion(self, project: Project, stories: Iterable[Record]) -> str | None:
        """Return when the last of the open stories will be done.

        Returns:
            The end of an iteration; None if nothing is open, or an open story is in no iteration.
        """
        project_id = project.record["id"]
        if project_id not in self._finishes:
            self._finishes[project_id] = {
                story_id: iteration.get("finish", "")
                for iteration in self.iterations(project)
                for story_id in iteration.get("story_ids", ())
            }
        finishes = self._finishes[project_id]
        ends = [finishes.get(story["id"], "") for story in stories if "accepted_at" not in story]
        return max(ends) if ends and all(ends) else None

    def _is_mine(self, project: Project) -> bool:
        if self.workspace.is_recording:
            return True
        me = self.workspace.me["id"]
        members = project.memberships.values()
        return not members or any(membership["person_id"] == me for membership in members)

    def _may_read(self, project: Project) -> bool:
        return self._is_mine(project) or bool(project.record.get("public"))


def mentions(activity: Record, record_id: int) -> bool:
    """Check whether an activity is about a record, or changed it."""
    records = chain(activity.get("primary_resources", ()), activity.get("changes", ()))
    return any(record.get("id") == record_id for record in records)
