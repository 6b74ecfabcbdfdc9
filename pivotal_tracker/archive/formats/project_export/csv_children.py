"""Parse the nested records of stories and epics: comments, tasks, blockers, reviews, code links.

Each kind has columns, or pairs or triples of columns: as many as the story with the most items.
A pair with one empty cell is still a pair: empty cells must not be dropped before pairing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ....records import Record
from ...dates import DateReader
from ...keys import SiblingKeys
from ...line_accounting import LineAccounting
from . import csv_cells
from .csv_columns import Columns
from .csv_project import Project
from .people import PeopleByName


class CsvChildParser:
    """Parses the nested records of one parent at a time.

    Args:
        project: The project of the parents.
        people: The people named so far.
        accounting: The accounting of the file.
        dates: Reads the dates of the file.
    """

    def __init__(
        self, project: Project, people: PeopleByName, accounting: LineAccounting, dates: DateReader
    ) -> None:
        self._dates = dates
        self._project = project
        self._people = people
        self._accounting = accounting

    def of_story(self, story_id: int, columns: Columns, cells: Sequence[str]) -> Record:
        """Return the nonempty lists of a story, by attribute."""
        siblings = SiblingKeys()
        lists: Record = {}
        if any(group := columns.comments(cells)):
            lists["comments"] = self.comments("story_id", story_id, group, siblings)
        if any(group := columns.tasks(cells)):
            lists["tasks"] = self._tasks(story_id, group, siblings)
        if any(group := columns.blockers(cells)):
            lists["blockers"] = self._blockers(story_id, group, siblings)
        if any(group := columns.reviews(cells)):
            lists["reviews"] = self._reviews(story_id, group, siblings)
        if any(group := columns.pull_requests(cells)):
            lists["pull_requests"] = _code_links(
                "pull_request", csv_cells.pull_request, story_id, group, siblings
            )
        if any(group := columns.branches(cells)):
            lists["branches"] = _code_links("branch", csv_cells.branch, story_id, group, siblings)
        for attribute, children in lists.items():
            self._accounting.read(f"stories__{attribute}", len(children))
        return lists

    def comments(
        self, parent: str, parent_id: int, cells: Sequence[str], siblings: SiblingKeys
    ) -> list[Record]:
        """Return the comments of a story or an epic.

        Args:
            parent: `story_id` or `epic_id`.
            parent_id: The value of that attribute.
            cells: The cells of the Comment or Note columns.
            siblings: Makes the keys of the comments.
        """
        comments = []
        for cell in filter(str.strip, filter(None, cells)):
            text, author, day = csv_cells.comment(csv_cells.unescape_formula(cell), self._dates)
            key = siblings.key("comment", parent_id, text, author, day)
            comment: Record = {"kind": "comment", "id": key, parent: parent_id}
            if text:
                comment["text"] = text
                comment.update(csv_cells.commit(text))
            if (person_id := self._people.id_of(author)) is not None:
                comment["person_id"] = person_id
            if day:
                comment["created_at"] = day
            comments.append(comment)
        return comments

    def _tasks(self, story_id: int, cells: Sequence[str], siblings: SiblingKeys) -> list[Record]:
        tasks = self._children_with_status(
            "task", story_id, cells, siblings, "complete", csv_cells.TASK_STATUSES
        )
        for position, task in enumerate(tasks, start=1):
            task["position"] = position
        return tasks

    def _blockers(self, story_id: int, cells: Sequence[str], siblings: SiblingKeys) -> list[Record]:
        return self._children_with_status(
            "blocker", story_id, cells, siblings, "resolved", csv_cells.BLOCKER_STATUSES
        )

    def _children_with_status(
        self,
        kind: str,
        story_id: int,
        cells: Sequence[str],
        siblings: SiblingKeys,
        attribute: str,
        statuses: Mapping[str, bool],
    ) -> list[Record]:
        """Return the records in pairs of a description and a status."""
        records: list[Record] = []
        for text, status in zip(cells[::2], cells[1::2], strict=True):
            if not (text or status):
                continue
            description = csv_cells.unescape_formula(text)
            key = siblings.key(kind, story_id, description)
            record: Record = {"kind": kind, "id": key, "story_id": story_id}
            if description:
                record["description"] = description
            value = statuses.get(status)
            if value is None:
                value = statuses.get(status.strip().lower())
            if value is not None:
                record[attribute] = value
            elif status.strip():
                reason = f"a status of a {kind} that Tracker does not know"
                self._accounting.drop_value(f"stories__{kind}s", reason, status)
            records.append(record)
        return records

    def _reviews(self, story_id: int, cells: Sequence[str], siblings: SiblingKeys) -> list[Record]:
        reviews: list[Record] = []
        for kind, reviewer, status in zip(cells[::3], cells[1::3], cells[2::3], strict=True):
            if not kind and not reviewer and not status:
                continue
            key = siblings.key("review", story_id, kind.strip(), reviewer.strip())
            review: Record = {"kind": "review", "id": key, "story_id": story_id}
            if name := kind.strip():
                review["review_type"] = self._project.review_type(name)
                review["review_type_id"] = review["review_type"]["id"]
            if (reviewer_id := self._people.id_of(reviewer)) is not None:
                review["reviewer_id"] = reviewer_id
            value = csv_cells.REVIEW_STATUSES.get(status.strip().lower())
            if value is not None:
                review["status"] = value
            elif status.strip():
                reason = "a status of a review that Tracker does not know"
                self._accounting.drop_value("stories__reviews", reason, status)
            reviews.append(review)
        return reviews


def _code_links(
    kind: str,
    read: Callable[[str], Record],
    story_id: int,
    cells: Sequence[str],
    siblings: SiblingKeys,
) -> list[Record]:
    """Return the pull requests or branches in cells with URLs or names."""
    return [
        {"kind": kind, "id": siblings.key(kind, story_id, text), "story_id": story_id, **read(text)}
        for cell in cells
        if (text := cell.strip())
    ]
