"""One answer's look at the workspace: who may see what, and what takes a walk to find out."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal

from tracker_server.errors import unauthorized_operation, unfound_resource
from tracker_server.workspace import Workspace
from tracker_server.workspace.model import Project, Record


@dataclass
class Reading:
    """Reads the workspace for one answer, while its lock is held.

    What takes a walk through a whole project is walked for once an answer.

    Attributes:
        workspace: What is read.
        forbidden_projects: The ids of projects that are closed to everyone.
        entered: The project that the answer is about; None where it is about no single one.
        repeatable: Whether the same request would be answered the same.
    """

    workspace: Workspace
    forbidden_projects: Collection[int] = ()
    entered: Project | None = None
    repeatable: bool = True
    _iterations: dict[int, list[Record]] = field(default_factory=dict)
    _labelled: dict[int, dict[int, list[Record]]] = field(default_factory=dict)
    _neighbours: dict[tuple[int, str], dict[int, tuple[int | None, int | None]]] = field(
        default_factory=dict
    )
    _finishes: dict[int, dict[int, str]] = field(default_factory=dict)

    def enter(self, project_id: int) -> Project:
        """Open a project, which the answer is then about.

        Raises:
            ApiError: There is no such project (404), or it is closed to this token (403).
        """
        project = self.workspace.projects.get(project_id)
        if project is None:
            raise unfound_resource()
        if project_id in self.forbidden_projects or not self._may_read(project):
            raise unauthorized_operation()
        self.entered = project
        return project

    def my_projects(self) -> list[Project]:
        """Give the projects that the owner of the token is a member of.

        One without any members is taken for theirs: a file may tell of projects and of no members.
        """
        return [project for project in self.workspace.projects.values() if self._is_mine(project)]

    def project_of(self, record: Record) -> Project:
        """Give the project that a record names in `project_id`."""
        return self.workspace.projects[record["project_id"]]

    def person(self, person_id: int | None) -> Record | None:
        """Give a person, None where nobody is known under that id."""
        return self.workspace.people.get(person_id or 0)

    def people(self, person_ids: Iterable[int]) -> list[Record]:
        """Give those of the people who are known."""
        known = self.workspace.people
        return [known[person_id] for person_id in person_ids if person_id in known]

    def labels(self, record: Record) -> list[Record]:
        """Give the labels of a story or a release."""
        labels = self.project_of(record).labels
        return [labels[one] for one in record.get("label_ids", ()) if one in labels]

    def labelled(self, project: Project, label_id: int) -> list[Record]:
        """Give the stories that carry a label, in priority order."""
        project_id = project.record["id"]
        if project_id not in self._labelled:
            by_label: dict[int, list[Record]] = {}
            for story in project.stories.values():
                for one in story["label_ids"]:
                    by_label.setdefault(one, []).append(story)
            self._labelled[project_id] = by_label
        return self._labelled[project_id].get(label_id, [])

    def neighbours(
        self, record: Record, collection: Literal["stories", "epics"]
    ) -> tuple[int | None, int | None]:
        """Give the ids of the story or epic above a record and of the one below it."""
        project = self.project_of(record)
        key = project.record["id"], collection
        if key not in self._neighbours:
            order = list(project.stories if collection == "stories" else project.epics)
            above, below = [None, *order[:-1]], [*order[1:], None]
            self._neighbours[key] = dict(zip(order, zip(above, below, strict=True), strict=True))
        return self._neighbours[key][record["id"]]

    def iterations(self, project: Project) -> list[Record]:
        """Give a project's iterations, the oldest first."""
        project_id = project.record["id"]
        if project_id not in self._iterations:
            self._iterations[project_id] = self.workspace.iterations(project_id)
        return self._iterations[project_id]

    def current_start(self, project: Project) -> str:
        """Say when the current iteration began; an empty text where none is known."""
        now = self.workspace.time()
        # an archive may not know an iteration's days
        ahead = (i.get("start", "") for i in self.iterations(project) if i.get("finish", "") > now)
        return next(ahead, "")

    def projected_completion(self, project: Project, stories: Iterable[Record]) -> str | None:
        """Say when the last of the stories that are still open will be done, as far as is planned.

        Returns:
            The end of an iteration; None if nothing is open, or something open is not planned.
        """
        project_id = project.record["id"]
        if project_id not in self._finishes:
            self._finishes[project_id] = {
                story_id: iteration.get("finish", "")
                for iteration in self.iterations(project)
                for story_id in iteration.get("story_ids", ())
            }
        finishes = self._finishes[project_id]
        ends = [finishes.get(one["id"], "") for one in stories if "accepted_at" not in one]
        return max(ends) if ends and all(ends) else None

    def _is_mine(self, project: Project) -> bool:
        if self.workspace.as_recorded:
            return True
        me = self.workspace.me["id"]
        members = project.memberships.values()
        return not members or any(membership["person_id"] == me for membership in members)

    def _may_read(self, project: Project) -> bool:
        return self._is_mine(project) or bool(project.record.get("public"))


def mentions(activity: Record, record_id: int) -> bool:
    """Say whether an activity is about a record, or changed it."""
    named = chain(activity.get("primary_resources", ()), activity.get("changes", ()))
    return any(one.get("id") == record_id for one in named)
