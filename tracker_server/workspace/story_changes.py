"""The changes of stories themselves: create, edit, delete, move, reorder."""

from __future__ import annotations

from itertools import takewhile

from tracker_server.workspace.model import (
    CHILD_LISTS,
    SITE,
    STATES,
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

STORY_TYPES = ("feature", "bug", "chore", "release")

_NOT_IN_NEW_VALUES = {"kind", "url", "transitions", *CHILD_LISTS.values()}


class StoryChanges(WorkspaceData):
    """What can happen to stories."""

    @change
    def create_story(
        self, project_id: int, *, by: int | None = None, **attributes: object
    ) -> Record:
        """Create a story: at the top of the icebox or, in any other state, at the backlog's end.

        Args:
            project_id: Where.
            by: The person who does it, and who requested it if `requested_by_id` is not given.
            attributes: Of the story: `name`, `description`, `story_type` (feature), `current_state`
                (unscheduled), `estimate`, `owner_ids`, `label_ids`, `follower_ids`, `deadline` …

        Raises:
            KeyError: There is no such project.
            ValueError: A state or a type that Tracker does not have.
        """
        project = self.find_project(project_id)
        _check(attributes)
        version, now, story_id = self.next_version(project), self.time(), self.new_id()
        story: Record = {
            "kind": "story",
            "id": story_id,
            "project_id": project_id,
            "name": "",
            "story_type": "feature",
            "current_state": "unscheduled",
            "requested_by_id": self.performer(by),
            "url": f"{SITE}/story/show/{story_id}",
            "owner_ids": [],
            "label_ids": [],
            "follower_ids": [],
            "created_at": now,
            "updated_at": now,
            "transitions": [],
            **{plural: [] for plural in CHILD_LISTS.values()},
        }
        assign(story, attributes)
        if story["current_state"] != "unscheduled":
            self._enter_state(story, version, by)
        _keep_first_owner(story)
        above, below = _put_between_backlog_and_icebox(project, story)
        self._project_ids[story_id] = project_id
        self.record_activity(
            project,
            "story_create_activity",
            by,
            "added",
            f"this {story['story_type']}",
            [_created_story(project, story, above, below)],
            [resource(story)],
        )
        return story

    @change
    def edit_story(
        self, story_id: int, *, by: int | None = None, unnoticed: bool = False, **changes: object
    ) -> Record:
        """Change attributes of a story; None takes one away. Nothing happens where nothing differs.

        A new state appends a transition, sets or removes `accepted_at`, and carries the story over
        the border between backlog and icebox; the first of `owner_ids` becomes `owned_by_id`.

        Args:
            story_id: Which.
            by: The person who does it.
            unnoticed: The row changes, but neither `updated_at` nor the version does, and no
                activity tells of it: LiteTracker does so when only owners are edited.
            changes: The attributes and what they are to be.

        Raises:
            KeyError: There is no such story.
            ValueError: A state or a type that Tracker does not have.
        """
        project, story = self.find_story(story_id)
        _check(changes)
        if unnoticed:
            assign(story, changes)
            _keep_first_owner(story)
            return story
        labels_before = _label_names(project, story) if "label_ids" in changes else []
        state_before = story["current_state"]
        original, new = assign(story, changes)
        if not new:
            return story
        version = self.next_version(project)
        if "current_state" in new:
            accepted_before = story.get("accepted_at")
            self._enter_state(story, version, by)
            _note(original, new, "accepted_at", accepted_before, story.get("accepted_at"))
            if "unscheduled" in (state_before, story["current_state"]):
                _put_between_backlog_and_icebox(project, story)
        if "owner_ids" in new:
            owner_before = story.get("owned_by_id")
            _keep_first_owner(story)
            _note(original, new, "owned_by_id", owner_before, story.get("owned_by_id"))
        if "label_ids" in new:
            _note(original, new, "labels", labels_before, _label_names(project, story))
        if new.keys() - {"owner_ids", "owned_by_id"} or "owner_ids" in self.moves_updated_at:
            _touch(story, self.time(), original, new)
        highlight, rest = _said(story, new)
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

    @change
    def delete_stories(self, *story_ids: int, by: int | None = None) -> None:
        """Delete stories of one project; one activity tells of all of them, as recorded.

        Raises:
            KeyError: One of them is not there; none is deleted then.
            ValueError: They are not all in one project, or there are none.
        """
        project, stories = self._stories_of_one_project(story_ids)
        self.next_version(project)
        for story in stories:
            self._take_out(project, story)
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
        """Move a story to another project, where its labels and review types are made anew.

        Raises:
            KeyError: There is no such story or project.
            ValueError: The story is in that project already.
        """
        source, story = self.find_story(story_id)
        target = self.find_project(project_id)
        if source is target:
            raise ValueError(f"story {story_id} is in project {project_id} already")
        names = _label_names(source, story)
        self._take_out(source, story)
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
        self.next_version(target)
        new_labels = [self.new_label(target, name) for name in names if not _label(target, name)]
        story["label_ids"] = [_label(target, name)["id"] for name in names]
        story["project_id"] = project_id
        story["updated_at"] = self.time()
        new_types = self._remake_review_types(source, target, story)
        above, below = _put_between_backlog_and_icebox(target, story)
        self._project_ids[story_id] = project_id
        for plural in CHILD_LISTS.values():
            self._parent_ids.update((child["id"], story_id) for child in story.get(plural, ()))
        self.record_activity(
            target,
            "story_move_into_project_activity",
            by,
            "moved",
            f"this {story['story_type']} from {source.record.get('name', source.record['id'])}",
            [
                _created_story(target, story, above, below),
                *(created_change(record) for record in (*new_labels, *new_types)),
            ],
            [resource(story)],
        )
        return story

    @change
    def reorder_stories(
        self, *story_ids: int, before_id: int | None = None, by: int | None = None
    ) -> None:
        """Put stories of one project in another place of the priority order, in the order given.

        Their `updated_at` stays: a reader who asks for what was updated never hears of it.

        Args:
            story_ids: Which.
            before_id: The story above which they go; None puts them at the end.
            by: The person who does it.

        Raises:
            KeyError: One of them is not there, or `before_id` is not in their project.
            ValueError: They are not all in one project, or `before_id` is one of them.
        """
        project, stories = self._stories_of_one_project(story_ids)
        if before_id in story_ids:
            raise ValueError(f"story {before_id} cannot go before itself")
        if before_id is not None and before_id not in project.stories:
            raise KeyError(f"there is no story {before_id} in this project")
        original = _neighbours(project, story_ids)
        rest = [story_id for story_id in project.stories if story_id not in set(story_ids)]
        place = len(rest) if before_id is None else rest.index(before_id)
        order = [*rest[:place], *story_ids, *rest[place:]]
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

    def new_label(self, project: Project, name: str) -> Record:
        """Put a label into a project; the change it belongs to tells of it."""
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
        found = [self.find_story(story_id) for story_id in story_ids]
        if len({project.record["id"] for project, _ in found}) != 1:
            raise ValueError("stories of one project, at least one, are needed")
        return found[0][0], [story for _, story in found]

    def _take_out(self, project: Project, story: Record) -> None:
        del project.stories[story["id"]]
        del self._project_ids[story["id"]]
        for plural in CHILD_LISTS.values():
            for child in story.get(plural, ()):
                self._parent_ids.pop(child["id"], None)

    def _remake_review_types(self, source: Project, target: Project, story: Record) -> list[Record]:
        there = {record["name"]: record for record in target.review_types.values()}
        new_types = []
        for review in story.get("reviews", ()):
            name = source.review_types[review["review_type_id"]]["name"]
            if name not in there:
                there[name] = self.new_review_type(target, name)
                new_types.append(there[name])
            review["review_type_id"] = there[name]["id"]
        return new_types

    def new_review_type(self, project: Project, name: str) -> Record:
        """Put a review type into a project; the change it belongs to tells of it."""
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
    if attributes.get("current_state", STATES[0]) not in STATES:
        raise ValueError(f"Tracker has no state {attributes['current_state']!r}")
    if attributes.get("story_type", STORY_TYPES[0]) not in STORY_TYPES:
        raise ValueError(f"Tracker has no story type {attributes['story_type']!r}")


def _keep_first_owner(story: Record) -> None:
    if story["owner_ids"]:
        story["owned_by_id"] = story["owner_ids"][0]
    else:
        story.pop("owned_by_id", None)


def _note(original: Record, new: Record, name: str, before: object, after: object) -> None:
    if before != after:
        original[name] = before
        new[name] = after


def _touch(story: Record, now: str, original: Record, new: Record) -> None:
    _note(original, new, "updated_at", story.get("updated_at"), now)
    story["updated_at"] = now


def _said(story: Record, new: Record) -> tuple[str, str]:
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


def _created_story(project: Project, story: Record, above: int | None, below: int | None) -> Record:
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
    """Put a story at the top of the icebox, which is as well the end of the backlog.

    Only the icebox is gone through, so that a long history costs nothing.

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
    places = {story_id: place for place, story_id in enumerate(order)}
    return {
        story_id: {
            "after_id": order[places[story_id] - 1] if places[story_id] > 0 else None,
            "before_id": order[places[story_id] + 1] if places[story_id] + 1 < len(order) else None,
        }
        for story_id in story_ids
    }
