"""The changes of comments, tasks, blockers, reviews, pull requests and branches."""

from __future__ import annotations

from collections.abc import Sequence

from .model import (
    CHILD_LISTS,
    Project,
    Record,
    WorkspaceData,
    assign,
    change,
    created_change,
    deleted_change,
    resource,
    updated_change,
)


class ChildChanges(WorkspaceData):
    """Changes of the records nested in stories and epics."""

    @change
    def add_comment(
        self,
        text: str | None = None,
        *,
        story_id: int | None = None,
        epic_id: int | None = None,
        file_attachments: Sequence[Record] = (),
        google_attachments: Sequence[Record] = (),
        by: int | None = None,
        **attributes: object,
    ) -> Record:
        """Comment on a story or on an epic.

        Args:
            text: The text; None if there are only attachments.
            story_id: The story; None for a comment on an epic.
            epic_id: The epic; None for a comment on a story.
            file_attachments: Each with `filename` and the bytes as `content`; other attributes,
                such as `content_type`, are kept.
            google_attachments: Each with `title`, `alternate_link` …
            by: The person who comments.
            attributes: Further attributes, such as `commit_identifier` and `commit_type`.

        Raises:
            KeyError: There is no such story or epic.
            ValueError: Both or neither of them was given.
        """
        project, parent = self._commented_record(story_id, epic_id)
        comment_id = self.new_id()
        comment = {
            **self._new_comment(parent, comment_id, by),
            **attributes,
            "file_attachments": [self._attach(file, by) for file in file_attachments],
            "google_attachments": [
                self._attach_link(link, comment_id, by) for link in google_attachments
            ],
        }
        if text is not None:
            comment["text"] = text
        return self._add(project, parent, comment, by, "added comment:", f'"{text or ""}"')

    @change
    def edit_comment(self, comment_id: int, text: str, *, by: int | None = None) -> Record:
        """Change the text of a comment.

        Raises:
            KeyError: There is no such comment.
        """
        return self._edit("comment", comment_id, {"text": text}, by, "edited", "this comment")

    @change
    def delete_comment(self, comment_id: int, *, by: int | None = None) -> None:
        """Delete a comment with its attachments.

        Raises:
            KeyError: There is no such comment.
        """
        comment = self._delete("comment", comment_id, by, "deleted", "this comment")
        for attachment in comment.get("file_attachments", ()):
            self.attachments.pop(attachment["id"], None)

    @change
    def add_task(
        self, story_id: int, description: str, *, complete: bool = False, by: int | None = None
    ) -> Record:
        """Add a task after the others of the story.

        Raises:
            KeyError: There is no such story.
        """
        project, story = self.find_story(story_id)
        task = {
            "kind": "task",
            "id": self.new_id(),
            "story_id": story_id,
            "description": description,
            "complete": complete,
            "position": len(story.get("tasks", ())) + 1,
            "created_at": self.time(),
            "updated_at": self.time(),
        }
        return self._add(project, story, task, by, "added task:", f'"{description}"')

    @change
    def edit_task(self, task_id: int, *, by: int | None = None, **changes: object) -> Record:
        """Change or complete a task.

        Args:
            task_id: The task.
            by: The person who edits it.
            changes: New values of `description` and `complete`.

        Raises:
            KeyError: There is no such task.
        """
        _, _, task = self.find_child("task", task_id)
        highlight = "rewrote task:" if "description" in changes else "completed task:"
        text = f'"{changes.get("description", task["description"])}"'
        return self._edit("task", task_id, changes, by, highlight, text)

    @change
    def delete_task(self, task_id: int, *, by: int | None = None) -> None:
        """Delete a task; the positions of later ones are decremented.

        Raises:
            KeyError: There is no such task.
        """
        _, story, task = self.find_child("task", task_id)
        self._delete("task", task_id, by, "deleted task:", f'"{task["description"]}"')
        for position, other in enumerate(story["tasks"], start=1):
            other["position"] = position

    @change
    def add_blocker(self, story_id: int, description: str, *, by: int | None = None) -> Record:
        """Add a blocker to a story: a text, which may name another story as `#id`.

        Raises:
            KeyError: There is no such story.
        """
        project, story = self.find_story(story_id)
        blocker = {
            "kind": "blocker",
            "id": self.new_id(),
            "story_id": story_id,
            "person_id": self.performer(by),
            "description": description,
            "resolved": False,
            "created_at": self.time(),
            "updated_at": self.time(),
        }
        return self._add(project, story, blocker, by, "added blocker:", f'"{description}"')

    @change
    def edit_blocker(self, blocker_id: int, *, by: int | None = None, **changes: object) -> Record:
        """Change or resolve a blocker.

        Args:
            blocker_id: The blocker.
            by: The person who edits it.
            changes: New values of `description` and `resolved`.

        Raises:
            KeyError: There is no such blocker.
        """
        highlight = "resolved" if changes.get("resolved") else "edited"
        return self._edit("blocker", blocker_id, changes, by, highlight, "this blocker")

    @change
    def delete_blocker(self, blocker_id: int, *, by: int | None = None) -> None:
        """Delete a blocker.

        Raises:
            KeyError: There is no such blocker.
        """
        self._delete("blocker", blocker_id, by, "deleted", "this blocker")

    @change
    def add_review(
        self,
        story_id: int,
        review_type_id: int,
        *,
        reviewer_id: int | None = None,
        status: str = "unstarted",
        by: int | None = None,
    ) -> Record:
        """Request a review.

        Args:
            story_id: The story.
            review_type_id: One of the project's review types.
            reviewer_id: The reviewer; None if nobody is assigned.
            status: `unstarted`, `in_review`, `pass` or `revise`.
            by: The person who requests it.

        Raises:
            KeyError: There is no such story, or no such review type in its project.
        """
        project, story = self.find_story(story_id)
        name = project.review_types[review_type_id]["name"]
        review = {
            "kind": "review",
            "id": self.new_id(),
            "story_id": story_id,
            "review_type_id": review_type_id,
            "status": status,
            "created_at": self.time(),
            "updated_at": self.time(),
        }
        if reviewer_id is not None:
            review["reviewer_id"] = reviewer_id
        return self._add(project, story, review, by, "added", f"a {name} review")

    @change
    def edit_review(self, review_id: int, *, by: int | None = None, **changes: object) -> Record:
        """Change the reviewer or the status of a review.

        Args:
            review_id: The review.
            by: The person who edits it.
            changes: New values of `status` and `reviewer_id`.

        Raises:
            KeyError: There is no such review.
        """
        return self._edit("review", review_id, changes, by, "edited", "this review")

    @change
    def delete_review(self, review_id: int, *, by: int | None = None) -> None:
        """Delete a review.

        Raises:
            KeyError: There is no such review.
        """
        self._delete("review", review_id, by, "deleted", "this review")

    @change
    def add_pull_request(
        self,
        story_id: int,
        *,
        owner: str,
        repo: str,
        number: int,
        status: str = "open",
        by: int | None = None,
    ) -> Record:
        """Attach a GitHub pull request to a story.

        Args:
            story_id: The story.
            owner: The owner of the repository.
            repo: The name of the repository.
            number: The number of the pull request.
            status: `open`, `merged`, `closed` or, as recorded, `unknown`.
            by: The person who attaches it.

        Raises:
            KeyError: There is no such story.
        """
        project, story = self.find_story(story_id)
        pull_request = {
            "kind": "pull_request",
            "id": self.new_id(),
            "story_id": story_id,
            "owner": owner,
            "repo": repo,
            "host_url": "https://github.com/",
            "original_url": f"https://github.com/{owner}/{repo}/pull/{number}",
            "status": status,
            "number": number,
            "created_at": self.time(),
            "updated_at": self.time(),
        }
        return self._add(project, story, pull_request, by, "attached", f"pull request {number}")

    @change
    def add_branch(
        self, story_id: int, *, owner: str, repo: str, name: str, by: int | None = None
    ) -> Record:
        """Attach a GitHub branch to a story.

        No branch was recorded, so its attributes are similar to those of a pull request.

        Args:
            story_id: The story.
            owner: The owner of the repository.
            repo: The name of the repository.
            name: The name of the branch.
            by: The person who attaches it.

        Raises:
            KeyError: There is no such story.
        """
        project, story = self.find_story(story_id)
        branch = {
            "kind": "branch",
            "id": self.new_id(),
            "story_id": story_id,
            "owner": owner,
            "repo": repo,
            "host_url": "https://github.com/",
            "original_url": f"https://github.com/{owner}/{repo}/tree/{name}",
            "name": name,
            "created_at": self.time(),
            "updated_at": self.time(),
        }
        return self._add(project, story, branch, by, "attached", f"branch {name}")

    def _new_comment(self, parent: Record, comment_id: int, by: int | None) -> Record:
        return {
            "kind": "comment",
            "id": comment_id,
            f"{parent['kind']}_id": parent["id"],
            "person_id": self.performer(by),
            "created_at": self.time(),
            "updated_at": self.time(),
        }

    def _commented_record(
        self, story_id: int | None, epic_id: int | None
    ) -> tuple[Project, Record]:
        if story_id is not None and epic_id is None:
            return self.find_story(story_id)
        if epic_id is not None and story_id is None:
            return self.find_epic(epic_id)
        raise ValueError("a comment belongs to a story or to an epic")

    def _add(
        self,
        project: Project,
        parent: Record,
        child: Record,
        by: int | None,
        highlight: str,
        rest: str,
    ) -> Record:
        kind = child["kind"]
        self.next_version(project)
        parent.setdefault(CHILD_LISTS[kind], []).append(child)
        self._parent_ids[child["id"]] = parent["id"]
        self.record_activity(
            project,
            f"{kind}_create_activity",
            by,
            highlight,
            rest,
            [created_change(child, _new_values(child)), *self._touch_parent(parent, kind)],
            [resource(parent)],
        )
        return child

    def _edit(
        self,
        kind: str,
        child_id: int,
        changes: dict[str, object],
        by: int | None,
        highlight: str,
        rest: str,
    ) -> Record:
        project, parent, child = self.find_child(kind, child_id)
        original, new = assign(child, changes)
        if not new:
            return child
        self.next_version(project)
        original["updated_at"], new["updated_at"] = child["updated_at"], self.time()
        child["updated_at"] = self.time()
        self.record_activity(
            project,
            f"{kind}_update_activity",
            by,
            highlight,
            rest,
            [updated_change(child, original, new), *self._touch_parent(parent, kind)],
            [resource(parent)],
        )
        return child

    def _delete(
        self, kind: str, child_id: int, by: int | None, highlight: str, rest: str
    ) -> Record:
        project, parent, child = self.find_child(kind, child_id)
        self.next_version(project)
        parent[CHILD_LISTS[kind]].remove(child)
        del self._parent_ids[child_id]
        self.record_activity(
            project,
            f"{kind}_delete_activity",
            by,
            highlight,
            rest,
            [*self._touch_parent(parent, kind), deleted_change(child)],
            [resource(parent)],
        )
        return child

    def _touch_parent(self, parent: Record, kind: str) -> list[Record]:
        now = self.time()
        if kind not in self.moves_updated_at or parent.get("updated_at") == now:
            return []
        original = {"updated_at": parent.get("updated_at")}
        parent["updated_at"] = now
        return [updated_change(parent, original, {"updated_at": now})]

    def _attach(self, file: Record, by: int | None) -> Record:
        attachment_id = self.new_id()
        self.attachments[attachment_id] = file["content"]
        return {
            "kind": "file_attachment",
            "id": attachment_id,
            "created_at": self.time(),
            "uploader_id": self.performer(by),
            "thumbnailable": "width" in file,
            "size": len(file["content"]),
            "download_url": f"/file_attachments/{attachment_id}/download",
            "uploaded": True,
            **{name: value for name, value in file.items() if name != "content"},
        }

    def _attach_link(self, link: Record, comment_id: int, by: int | None) -> Record:
        return {
            "kind": "google_attachment",
            "id": self.new_id(),
            "comment_id": comment_id,
            "person_id": self.performer(by),
            **link,
        }


def _new_values(child: Record) -> Record:
    values = {name: value for name, value in child.items() if name != "kind"}
    if child["kind"] == "comment":
        files = [attachment["id"] for attachment in child["file_attachments"]]
        links = [attachment["id"] for attachment in child["google_attachments"]]
        values["file_attachment_ids"] = files
        values["google_attachment_ids"] = links
        values["attachment_ids"] = files + links
    return values
