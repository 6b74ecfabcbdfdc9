"""The changes of stories: create, edit, delete, move, reorder."""

from __future__ import annotations

from itertools import takewhile

from pivotal_tracker.tables import STORY_STATES, STORY_TYPES

from .model import (
    CHILD_LISTS,
    SITE,
    Project,
    Record,
    WorkspaceData,
    assign,
    change,
    created_change,
    deleted_change,
    resource,
    resources,
    updated_change,
)

_NOT_IN_NEW_VALUES = {"kind", "url", "transitions", *CHILD_LISTS.values()}


class StoryChanges(WorkspaceData):
    """Changes of stories."""

    @change
    def create_story(
        self, project_id: int, *, by: int | None = None, **attributes: object
    ) -> Record:
        """Create a story at the top of the icebox or, if scheduled, at the end of the backlog.

        Args:
            project_id: The project.
            by: The person who creates it, and its requester if no `requested_by_id` is given.
            attributes: Attributes of the story: `name`, `description`, `story_type` (feature),
                `current_state` (unscheduled), `estimate`, `owner_ids`, `label_ids`, …

        Raises:
            KeyError: There is no such project.
            ValueError: Tracker has no such state or type.
        """
        project = self.find_project(project_id)
        _check(attributes)
        version = self.next_version(project)
        story = self._new_story(project_id, self.performer(by))
        assign(story, attributes)
        if story["current_state"] != "unscheduled":
            self._enter_state(story, version, by)
        _keep_first_owner(story)
        above, below = _put_between_backlog_and_icebox(project, story)
        self._project_ids[story["id"]] = project_id
        self.record_activity(
            project,
            "story_create_activity",
            by,
            "added",
            f"this {story['story_type']}",
            [_story_created_change(project, story, above, below)],
            [resource(story)],
        )
        return story

    @change
    def edit_story(
        self, story_id: int, *, by: int | None = None, unnoticed: bool = False, **changes: object
    ) -> Record:
        """Change attributes of a story; None removes one. Equal values change nothing.

        A new state appends a transition, sets or removes `accepted_at`, and moves the story between
        backlog and icebox. The first of `owner_ids` becomes `owned_by_id`.

        Args:
            story_id: The story.
            by: The person who edits it.
            unnoticed: Change the record alone: no `updated_at`, no version, no activity.
            changes: The new values.

        Raises:
            KeyError: There is no such story.
            ValueError: Tracker has no such state or type.
        """
        project, story = self.find_story(story_id)
        _check(changes)
        if unnoticed:
            assign(story, changes)
            _keep_first_owner(story)
            return story
        original, new = self._apply_changes(project, story, changes, by)
        if not new:
            return story
        highlight, rest = _describe_edit(story, new)
        self.record_activity(
            project,
            "story_update_activity",
            by,
            highlight,
            rest,
            [updated_change(story, original, new)],
            [resource(story)],
        )
        return story

    def _apply_changes(
        self, project: Project, story: Record, changes: dict[str, object], by: int | None
    ) -> tuple[Record, Record]:
        """Change a story and all that depends on it, and return original and new values."""
        state, before = story["current_state"], _dependent_values(project, story, changes)
        original, new = assign(story, changes)
        if not new:
            return original, new
        version = self.next_version(project)
        if "current_state" in new:
            self._enter_state(story, version, by)
            if "unscheduled" in (state, story["current_state"]):
                _put_between_backlog_and_icebox(project, story)
        if "owner_ids" in new:
            _keep_first_owner(story)
        for name, value in _dependent_values(project, story, changes).items():
            _add_difference(original, new, name, before[name], value)
        if new.keys() - {"owner_ids", "owned_by_id"} or "owner_ids" in self.moves_updated_at:
            _touch(story, self.time(), original, new)
        return original, new

    @change
    def delete_stories(self, *story_ids: int, by: int | None = None) -> None:
        """Delete stories of one project, with one activity for all, as recorded.

        Raises:
            KeyError: One of them does not exist; then none is deleted.
            ValueError: They are in several projects, or there are none.
        """
        project, stories = self._stories_of_one_project(story_ids)
        self.next_version(project)
        for story in stories:
            self._remove_story(project, story)
        self.record_activity(
            project,
            "story_delete_activity",
            by,
            "deleted",
            _this_or_these(stories),
            [deleted_change(story) for story in stories],
            resources(stories),
        )

    @change
    def move_story_to_project(
        self, story_id: int, project_id: int, *, by: int | None = None
    ) -> Record:
        """Move a story to another project, which gets copies of its labels and review types.

        Raises:
            KeyError: There is no such story or project.
            ValueError: The story is already in that project.
        """
        source, story = self.find_story(story_id)
        target = self.find_project(project_id)
        if source is target:
            raise ValueError(f"story {story_id} is already in project {project_id}")
        label_names = _label_names(source, story)
        self._remove_story(source, story)
        self.next_version(source)
        self.record_activity(
            source,
            "story_move_from_project_activity",
            by,
            "moved",
            f"this {story['story_type']} to {target.record.get('name', project_id)}",
            [deleted_change(story)],
            [resource(story)],
        )
        self._move_in(source, target, story, label_names, by)
        return story

    @change
    def reorder_stories(
        self, *story_ids: int, before_id: int | None = None, by: int | None = None
    ) -> None:
        """Move stories of one project in the priority order.

        Their `updated_at` does not change, so `updated_after` does not find them.

        Args:
            story_ids: The stories in their new order.
            before_id: The story below them; None moves them to the end.
            by: The person who moves them.

        Raises:
            KeyError: One of them does not exist, or `before_id` is not in their project.
            ValueError: They are in several projects, or `before_id` is one of them.
        """
        project, stories = self._stories_of_one_project(story_ids)
        if before_id in story_ids:
            raise ValueError(f"story {before_id} cannot be moved before itself")
        if before_id is not None and before_id not in project.stories:
            raise KeyError(f"there is no story {before_id} in this project")
        original = _neighbours(project, story_ids)
        rest = [story_id for story_id in project.stories if story_id not in set(story_ids)]
        position = len(rest) if before_id is None else rest.index(before_id)
        order = [*rest[:position], *story_ids, *rest[position:]]
        project.stories = {story_id: project.stories[story_id] for story_id in order}
        new = _neighbours(project, story_ids)
        self.next_version(project)
        self.record_activity(
            project,
            "story_move_activity",
            by,
            "moved",
            _this_or_these(stories),
            [updated_change(story, original[story["id"]], new[story["id"]]) for story in stories],
            resources(stories),
        )

    def _move_in(
        self,
        source: Project,
        target: Project,
        story: Record,
        label_names: list[str],
        by: int | None,
    ) -> None:
        self.next_version(target)
        new_labels = [
            self.new_label(target, name) for name in label_names if not _label(target, name)
        ]
        story["label_ids"] = [_label(target, name)["id"] for name in label_names]
        story["project_id"] = target.record["id"]
        story["updated_at"] = self.time()
        new_types = self._copy_review_types(source, target, story)
        above, below = _put_between_backlog_and_icebox(target, story)
        self._project_ids[story["id"]] = target.record["id"]
        for plural in CHILD_LISTS.values():
            self._parent_ids.update((child["id"], story["id"]) for child in story.get(plural, ()))
        self.record_activity(
            target,
            "story_move_into_project_activity",
            by,
            "moved",
            f"this {story['story_type']} from {source.record.get('name', source.record['id'])}",
            [
                _story_created_change(target, story, above, below),
                *(created_change(record) for record in (*new_labels, *new_types)),
            ],
            [resource(story)],
        )

    def _new_story(self, project_id: int, requested_by_id: int) -> Record:
        story_id, now = self.new_id(), self.time()
        return {
            "kind": "story",
            "id": story_id,
            "project_id": project_id,
            "name": "",
            "story_type": "feature",
            "current_state": "unscheduled",
            "requested_by_id": requested_by_id,
            "url": f"{SITE}/story/show/{story_id}",
            "owner_ids": [],
            "label_ids": [],
            "follower_ids": [],
            "created_at": now,
            "updated_at": now,
            "transitions": [],
            **{plural: [] for plural in CHILD_LISTS.values()},
        }

    def new_label(self, project: Project, name: str) -> Record:
        """Add a label to a project, without an activity of its own."""
        label: Record = {
            "kind": "label",
            "id": self.new_id(),
            "project_id": project.record["id"],
            "name": name,
            "created_at": self.time(),
            "updated_at": self.time(),
        }
        project.labels[label["id"]] = label
        return label

    def _enter_state(self, story: Record, version: int, by: int | None) -> None:
        story.setdefault("transitions", []).append(
            {
                "kind": "story_transition",
                "state": story["current_state"],
                "story_id": story["id"],
                "project_id": story["project_id"],
                "project_version": version,
                "occurred_at": self.time(),
                "performed_by_id": self.performer(by),
            }
        )
        if story["current_state"] == "accepted":
            story["accepted_at"] = self.time()
        else:
            story.pop("accepted_at", None)

    def _stories_of_one_project(self, story_ids: tuple[int, ...]) -> tuple[Project, list[Record]]:
        pairs = [self.find_story(story_id) for story_id in story_ids]
        if len({project.record["id"] for project, _ in pairs}) != 1:
            raise ValueError("expected one or more stories of the same project")
        return pairs[0][0], [story for _, story in pairs]

    def _remove_story(self, project: Project, story: Record) -> None:
        del project.stories[story["id"]]
        del self._project_ids[story["id"]]
        for plural in CHILD_LISTS.values():
            for child in story.get(plural, ()):
                self._parent_ids.pop(child["id"], None)

    def _copy_review_types(self, source: Project, target: Project, story: Record) -> list[Record]:
        by_name = {record["name"]: record for record in target.review_types.values()}
        new_types = []
        for review in story.get("reviews", ()):
            name = source.review_types[review["review_type_id"]]["name"]
            if name not in by_name:
                by_name[name] = self.new_review_type(target, name)
                new_types.append(by_name[name])
            review["review_type_id"] = by_name[name]["id"]
        return new_types

    def new_review_type(self, project: Project, name: str) -> Record:
        """Add a review type to a project, without an activity of its own."""
        review_type: Record = {
            "kind": "review_type",
            "id": self.new_id(),
            "project_id": project.record["id"],
            "name": name,
            "hidden": False,
            "created_at": self.time(),
            "updated_at": self.time(),
        }
        project.review_types[review_type["id"]] = review_type
        return review_type


def _check(attributes: dict[str, object]) -> None:
    if attributes.get("current_state", STORY_STATES[0]) not in STORY_STATES:
        raise ValueError(f"Tracker has no state {attributes['current_state']!r}")
    if attributes.get("story_type", STORY_TYPES[0]) not in STORY_TYPES:
        raise ValueError(f"Tracker has no story type {attributes['story_type']!r}")


def _keep_first_owner(story: Record) -> None:
    if story["owner_ids"]:
        story["owned_by_id"] = story["owner_ids"][0]
    else:
        story.pop("owned_by_id", None)


def _dependent_values(project: Project, story: Record, changes: dict[str, object]) -> Record:
    """Return the values that depend on other attributes, and can change with them."""
    values = {name: story.get(name) for name in ("accepted_at", "owned_by_id")}
    if "label_ids" in changes:
        values["labels"] = _label_names(project, story)
    return {name: value for name, value in values.items() if name not in changes}


def _add_difference(
    original: Record, new: Record, name: str, before: object, after: object
) -> None:
    if before != after:
        original[name] = before
        new[name] = after


def _touch(story: Record, now: str, original: Record, new: Record) -> None:
    _add_difference(original, new, "updated_at", story.get("updated_at"), now)
    story["updated_at"] = now


def _describe_edit(story: Record, new: Record) -> tuple[str, str]:
    this = f"this {story['story_type']}"
    if "current_state" in new:
        return new["current_state"], this
    if new.get("estimate") is not None:
        points = new["estimate"]
        return "estimated", f"{this} as {points} {'point' if points == 1 else 'points'}"
    return "edited", this


def _this_or_these(stories: list[Record]) -> str:
    return f"this {stories[0]['story_type']}" if len(stories) == 1 else f"{len(stories)} stories"


def _label(project: Project, name: str) -> Record:
    return next((label for label in project.labels.values() if label["name"] == name), {})


def _label_names(project: Project, story: Record) -> list[str]:
    return [project.labels[label_id]["name"] for label_id in story["label_ids"]]


def _story_created_change(
    project: Project, story: Record, above: int | None, below: int | None
) -> Record:
    values = {name: value for name, value in story.items() if name not in _NOT_IN_NEW_VALUES}
    values |= {
        "after_id": above,
        "before_id": below,
        "blocked_story_ids": [],
        "labels": _label_names(project, story),
    }
    return created_change(story, values)


def _put_between_backlog_and_icebox(
    project: Project, story: Record
) -> tuple[int | None, int | None]:
    """Move a story to the top of the icebox, which is also the end of the backlog.

    Only the stories of the icebox are moved, so that a long history costs nothing.

    Returns:
        The ids of the stories above and below it; None at the ends.
    """
    stories = project.stories
    stories.pop(story["id"], None)
    icebox = list(
        takewhile(lambda other: stories[other]["current_state"] == "unscheduled", reversed(stories))
    )
    frozen = [(other, stories.pop(other)) for other in icebox]
    above = next(reversed(stories), None)
    stories[story["id"]] = story
    stories.update(reversed(frozen))
    return above, (icebox[-1] if icebox else None)


def _neighbours(project: Project, story_ids: tuple[int, ...]) -> dict[int, Record]:
    order = list(project.stories)
    positions = {story_id: position for position, story_id in enumerate(order)}
    return {
        story_id: {
            "after_id": order[positions[story_id] - 1] if positions[story_id] > 0 else None,
            "before_id": order[positions[story_id] + 1]
            if positions[story_id] + 1 < len(order)
            else None,
        }
        for story_id in story_ids
    }
