"""The changes of projects, people, memberships, labels, epics, review types and iterations."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from .iterations import first_day, midnight
from .model import (
    SITE,
    Project,
    Record,
    assign,
    change,
    created_change,
    deleted_change,
    format_time,
    resource,
    resources,
    updated_change,
)
from .story_changes import StoryChanges

_NEW_PROJECT = {
    "name": "",
    "version": 0,
    "iteration_length": 1,
    "week_start_day": "Monday",
    "point_scale": "0,1,2,3",
    "point_scale_is_custom": False,
    "bugs_and_chores_are_estimatable": False,
    "automatic_planning": True,
    "enable_tasks": True,
    "time_zone": "UTC",
    "velocity_averaged_over": 3,
    "number_of_done_iterations_to_show": 12,
    "has_google_domain": False,
    "enable_incoming_emails": True,
    "initial_velocity": 10,
    "public": False,
    "atom_enabled": False,
    "project_type": "private",
    "current_iteration_number": 1,
    "enable_following": True,
}
"""The settings of a new project."""


class ProjectChanges(StoryChanges):
    """Changes of everything but stories and the records nested in them."""

    @change
    def add_person(
        self,
        name: str,
        *,
        email: str | None = None,
        initials: str | None = None,
        username: str | None = None,
    ) -> Record:
        """Add a person; what is not given is derived from the name."""
        words = name.split()
        handle = "".join(filter(str.isalnum, words[0].lower()))
        person: Record = {
            "kind": "person",
            "id": self.new_id(),
            "name": name,
            "email": email or f"{handle}@example.org",
            "initials": initials or "".join(word[0].upper() for word in words),
            "username": username or handle,
        }
        self.people[person["id"]] = person
        return person

    @change
    def create_project(self, *, by: int | None = None, **attributes: object) -> Project:
        """Create a project; its first activity is the membership of its owner.

        Args:
            by: The owner.
            attributes: Attributes of the project that differ from those of a new one. `time_zone`
                may be an Olson name.
        """
        now, project_id = self.time(), self.new_id()
        record: Record = {
            "kind": "project",
            "id": project_id,
            **_NEW_PROJECT,
            "created_at": now,
            "updated_at": now,
            **attributes,
        }
        if isinstance(record["time_zone"], str):
            record["time_zone"] = self._time_zone(record["time_zone"])
        project = Project(record)
        record["start_time"] = format_time(midnight(record, first_day(project)))
        self.projects[project_id] = project
        self.add_membership(project_id, self.performer(by), "owner", by=by)
        return project

    @change
    def edit_project(self, project_id: int, *, by: int | None = None, **changes: object) -> Project:
        """Change attributes of a project; None removes one.

        Raises:
            KeyError: There is no such project.
        """
        project = self.find_project(project_id)
        if isinstance(changes.get("time_zone"), str):
            changes["time_zone"] = self._time_zone(str(changes["time_zone"]))
        original, new = assign(project.record, changes)
        if not new:
            return project
        self._touch(project.record, original, new)
        if "name" in new:
            self._refresh_my_projects()
        self._record_change(
            project,
            "project_update_activity",
            by,
            "edited",
            "this project",
            [updated_change(project.record, original, new)],
        )
        return project

    @change
    def delete_project(self, project_id: int) -> None:
        """Delete a project with everything in it, its activity included.

        Raises:
            KeyError: There is no such project.
        """
        project = self.find_project(project_id)
        for story in list(project.stories.values()):
            self.find_story(story["id"])
            self._remove_story(project, story)
        del self.projects[project_id]
        for workspace in self.workspaces.values():
            ids = workspace.get("project_ids", [])
            workspace["project_ids"] = [each for each in ids if each != project_id]
        self._refresh_my_projects()

    @change
    def add_membership(
        self, project_id: int, person_id: int, role: str = "member", *, by: int | None = None
    ) -> Record:
        """Add a person to a project.

        Args:
            project_id: The project.
            person_id: The person.
            role: `owner`, `member` or `viewer`.
            by: The person who adds them.

        Raises:
            KeyError: There is no such project.
        """
        project = self.find_project(project_id)
        membership: Record = {
            "kind": "project_membership",
            "id": self.new_id(),
            "project_id": project_id,
            "person_id": person_id,
            "role": role,
            "project_color": "555555",
            "favorite": False,
            "wants_comment_notification_emails": True,
            "will_receive_mention_notifications_or_emails": True,
            "created_at": self.time(),
            "updated_at": self.time(),
        }
        project.memberships[membership["id"]] = membership
        self._refresh_my_projects()
        self._record_change(
            project,
            "project_membership_create_activity",
            by,
            "added",
            f"{self._person_in_brief(person_id)['name']} to this project",
            [created_change(membership)],
        )
        return membership

    @change
    def edit_membership(
        self, membership_id: int, *, by: int | None = None, **changes: object
    ) -> Record:
        """Change a membership, such as its `role`.

        Raises:
            KeyError: There is no such membership.
        """
        project, membership = self.find_membership(membership_id)
        original, new = assign(membership, changes)
        if not new:
            return membership
        self._touch(membership, original, new)
        self._refresh_my_projects()
        self._record_change(
            project,
            "project_membership_update_activity",
            by,
            "edited",
            f"the membership of {self._person_in_brief(membership['person_id'])['name']}",
            [updated_change(membership, original, new)],
        )
        return membership

    @change
    def remove_membership(self, membership_id: int, *, by: int | None = None) -> None:
        """Remove a person from a project; their stories and comments stay.

        Raises:
            KeyError: There is no such membership.
        """
        project, membership = self.find_membership(membership_id)
        del project.memberships[membership_id]
        self._refresh_my_projects()
        self._record_change(
            project,
            "project_membership_delete_activity",
            by,
            "removed",
            f"{self._person_in_brief(membership['person_id'])['name']} from this project",
            [deleted_change(membership)],
        )

    @change
    def create_label(self, project_id: int, name: str, *, by: int | None = None) -> Record:
        """Create a label.

        Raises:
            KeyError: There is no such project.
        """
        project = self.find_project(project_id)
        label = self.new_label(project, name)
        self._record_change(
            project,
            "label_create_activity",
            by,
            "added",
            f'label "{name}"',
            [created_change(label)],
            [resource(label)],
        )
        return label

    @change
    def rename_label(self, label_id: int, name: str, *, by: int | None = None) -> Record:
        """Rename a label; the `updated_at` of its stories does not change.

        Raises:
            KeyError: There is no such label.
        """
        project, label = self.find_label(label_id)
        original, new = assign(label, {"name": name})
        if not new:
            return label
        self._touch(label, original, new)
        self._record_change(
            project,
            "label_update_activity",
            by,
            "renamed",
            f'label "{original["name"]}" to "{name}"',
            [updated_change(label, original, new)],
            [resource(label)],
        )
        return label

    @change
    def delete_label(self, label_id: int, *, by: int | None = None) -> None:
        """Delete a label and remove it from its stories, with one activity for all.

        Raises:
            KeyError: There is no such label.
            ValueError: It belongs to an epic.
        """
        project, label = self.find_label(label_id)
        if any(epic["label_id"] == label_id for epic in project.epics.values()):
            raise ValueError(f"label {label_id} belongs to an epic")
        changes = [deleted_change(label)]
        for story in project.stories.values():
            if label_id in story["label_ids"]:
                kept = [other for other in story["label_ids"] if other != label_id]
                original, new = assign(story, {"label_ids": kept})
                self._touch(story, original, new)
                changes.append(updated_change(story, original, new))
        del project.labels[label_id]
        self._record_change(
            project,
            "label_delete_activity",
            by,
            "deleted",
            f'label "{label["name"]}"',
            changes,
            [resource(label)],
        )

    @change
    def create_epic(
        self,
        project_id: int,
        name: str,
        *,
        label_id: int | None = None,
        description: str | None = None,
        by: int | None = None,
    ) -> Record:
        """Create an epic after the others.

        Args:
            project_id: The project.
            name: The name.
            label_id: The label; None creates one with the name in lower case.
            description: The description.
            by: The person who creates it.

        Raises:
            KeyError: There is no such project.
        """
        project = self.find_project(project_id)
        new_label = self.new_label(project, name.lower()) if label_id is None else None
        epic = self._new_epic(project_id, name, new_label["id"] if new_label else label_id)
        if description is not None:
            epic["description"] = description
        project.epics[epic["id"]] = epic
        values = {key: value for key, value in epic.items() if key not in {"kind", "comments"}}
        changes = [created_change(epic, values)]
        if new_label:
            changes.append(created_change(new_label))
        self._record_change(
            project, "epic_create_activity", by, "added", "this epic", changes, [resource(epic)]
        )
        return epic

    @change
    def edit_epic(self, epic_id: int, *, by: int | None = None, **changes: object) -> Record:
        """Change attributes of an epic; None removes one.

        Raises:
            KeyError: There is no such epic.
        """
        project, epic = self.find_epic(epic_id)
        original, new = assign(epic, changes)
        if not new:
            return epic
        self._touch(epic, original, new)
        self._record_change(
            project,
            "epic_update_activity",
            by,
            "edited",
            "this epic",
            [updated_change(epic, original, new)],
            [resource(epic)],
        )
        return epic

    @change
    def delete_epic(self, epic_id: int, *, by: int | None = None) -> None:
        """Delete an epic; its label and stories stay.

        Raises:
            KeyError: There is no such epic.
        """
        project, epic = self.find_epic(epic_id)
        del project.epics[epic_id]
        for comment in epic["comments"]:
            self._parent_ids.pop(comment["id"], None)
        self._record_change(
            project,
            "epic_delete_activity",
            by,
            "deleted",
            "this epic",
            [deleted_change(epic)],
            [resource(epic)],
        )

    @change
    def reorder_epics(self, project_id: int, *epic_ids: int, by: int | None = None) -> None:
        """Move epics to the top, in the order given.

        Raises:
            KeyError: There is no such project, or no such epic in it.
        """
        project = self.find_project(project_id)
        before = list(project.epics)
        after = [*epic_ids, *(epic_id for epic_id in before if epic_id not in epic_ids)]
        project.epics = {epic_id: project.epics[epic_id] for epic_id in after}
        moved = [project.epics[epic_id] for epic_id in epic_ids]
        self._record_change(
            project,
            "epic_move_activity",
            by,
            "moved",
            "this epic" if len(moved) == 1 else f"{len(moved)} epics",
            [
                updated_change(epic, _following(before, epic["id"]), _following(after, epic["id"]))
                for epic in moved
            ],
            resources(moved),
        )

    @change
    def add_review_type(self, project_id: int, name: str, *, by: int | None = None) -> Record:
        """Add a review type to a project.

        Raises:
            KeyError: There is no such project.
        """
        project = self.find_project(project_id)
        review_type = self.new_review_type(project, name)
        self._record_change(
            project,
            "review_type_create_activity",
            by,
            "added",
            f'review type "{name}"',
            [created_change(review_type)],
        )
        return review_type

    @change
    def override_iteration(
        self,
        project_id: int,
        number: int,
        *,
        length: int | None = None,
        team_strength: float | None = None,
        by: int | None = None,
    ) -> Record:
        """Change the length or the team strength of one iteration.

        Args:
            project_id: The project.
            number: The number of the iteration, from 1.
            length: The length in weeks; None for that of the project.
            team_strength: 1 for a full team, 0 for nobody; None for 1.
            by: The person who changes it.

        Raises:
            KeyError: There is no such project.
        """
        project = self.find_project(project_id)
        override: Record = {
            "kind": "iteration_override",
            "number": number,
            "project_id": project_id,
            "length": project.record["iteration_length"] if length is None else length,
            "team_strength": 1 if team_strength is None else team_strength,
        }
        project.iteration_overrides[number] = override
        self._record_change(
            project,
            "iteration_update_activity",
            by,
            "edited",
            f"iteration {number}",
            [_override_created_change(override)],
        )
        return override

    @change
    def forget_activity(self, project_id: int, keep: int) -> None:
        """Remove all activity but the latest, as Tracker did after months.

        Raises:
            KeyError: There is no such project.
        """
        activity = self.find_project(project_id).activity
        del activity[: max(0, len(activity) - keep)]

    def _new_epic(self, project_id: int, name: str, label_id: int | None) -> Record:
        epic_id = self.new_id()
        return {
            "kind": "epic",
            "id": epic_id,
            "project_id": project_id,
            "name": name,
            "url": f"{SITE}/epic/show/{epic_id}",
            "label_id": label_id,
            "created_at": self.time(),
            "updated_at": self.time(),
            "comments": [],
        }

    def _record_change(
        self,
        project: Project,
        kind: str,
        by: int | None,
        highlight: str,
        rest: str,
        changes: list[Record],
        primary_resources: list[Record] | None = None,
    ) -> None:
        self.next_version(project)
        about = [resource(project.record)] if primary_resources is None else primary_resources
        self.record_activity(project, kind, by, highlight, rest, changes, about)

    def _touch(self, record: Record, original: Record, new: Record) -> None:
        original["updated_at"], new["updated_at"] = record.get("updated_at"), self.time()
        record["updated_at"] = self.time()

    def _time_zone(self, olson_name: str) -> Record:
        offset = self.now.astimezone(ZoneInfo(olson_name)).isoformat()[-6:]
        return {"kind": "time_zone", "olson_name": olson_name, "offset": offset}

    def _refresh_my_projects(self) -> None:
        self.me["projects"] = [
            {
                "kind": "membership_summary",
                "id": membership["id"],
                "project_id": project.record["id"],
                "project_name": project.record.get("name", ""),
                "project_color": membership.get("project_color", ""),
                "favorite": membership.get("favorite", False),
                "role": membership["role"],
            }
            for project in self.projects.values()
            for membership in project.memberships.values()
            if membership["person_id"] == self.me["id"]
        ]


def _following(order: list[int], epic_id: int) -> Record:
    position = order.index(epic_id) + 1
    return {"before_id": order[position] if position < len(order) else None}


def _override_created_change(override: Record) -> Record:
    """Return the change of an activity; it has a number, because iterations have no id."""
    return {
        "kind": "iteration_override",
        "change_type": "create",
        "number": override["number"],
        "new_values": dict(override),
    }
