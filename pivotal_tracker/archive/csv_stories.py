"""The rows of Tracker's export as records: stories, epics, releases, and what they tell beside."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from . import csv_cells
from .csv_columns import Columns, is_of_stories
from .format import Found, Record
from .keys import Siblings, stable_key
from .limits import MOST_REMEMBERED
from .people import PeopleByName
from .tally import Tally

_TYPES = frozenset({"feature", "bug", "chore", "release"})
_STATES = frozenset(
    {
        "accepted",
        "delivered",
        "finished",
        "started",
        "rejected",
        "planned",
        "unstarted",
        "unscheduled",
    }
)
_PRIORITIES = frozenset({"p0", "p1", "p2", "p3", "none"})
_TASK_STATUS = {"completed": True, "not completed": False}
_BLOCKER_STATUS = {"resolved": True, "blocked": False}
_REVIEW_STATUS = {
    "unstarted": "unstarted",
    "in_review": "in_review",
    "in review": "in_review",
    "pass": "pass",
    "passed": "pass",
    "revise": "revise",
}
_CONFLICT_MARKS = ("<<<<<<<", "=======", ">>>>>>>", "|||||||")
_LONGEST_ID = 18
_LONGEST_KEPT = 1_000
_SHOWN = 60
_RELEASE_HAS = (
    "id",
    "project_id",
    "name",
    "description",
    "current_state",
    "created_at",
    "accepted_at",
    "deadline",
    "labels",
    "url",
    "_date_precision",
)


@dataclass
class Project:
    """A project, known by its name only, and what has been met of it.

    Attributes:
        name: As the name of its file has it.
        id: A stable negative key.
        keeps_ids: Whether somebody wants to know which stories and epics it has.
        story_ids: Of its stories so far.
        epic_ids: The same of its epics.
    """

    name: str
    keeps_ids: bool
    id: int = field(init=False)
    labels: dict[str, Record] = field(default_factory=dict)
    review_types: dict[str, Record] = field(default_factory=dict)
    story_ids: set[int] = field(default_factory=set)
    epic_ids: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.id = stable_key("project", self.name.lower())


@dataclass
class _Iteration:
    start: str | None
    finish: str | None
    story_ids: array[int] = field(default_factory=lambda: array("q"))


class StoryRows:
    """Makes records of the rows of one file.

    Args:
        source: The file.
        header: Its first row.
        project: Whose stories they are.
        people: Who has been met by name.
        tally: Takes the counts.
    """

    def __init__(
        self,
        source: str,
        header: Sequence[str],
        project: Project,
        people: PeopleByName,
        tally: Tally,
    ) -> None:
        self._source = source
        self._columns = Columns(header)
        self._project = project
        self._people = people
        self._tally = tally
        self._line = 0
        self._position = 0
        self._iterations: dict[int, _Iteration] = {}
        self._labels_by_cell: dict[str, list[Record]] = {}
        self._new: list[Found] = []

    def records(self, line: int, cells: list[str]) -> Iterator[Found]:
        """What a row holds, after whom and what it is the first to name.

        Args:
            line: Where the row ends in the file.
            cells: Of the row; they may be fewer or more than the header has.
        """
        self._line = line
        columns = self._columns
        record_id = _id(cells[columns.id]) if columns.id < len(cells) else None
        if record_id is None:
            self._without_id(cells)
            return
        self._bring_to_width(cells)
        kind = cells[columns.type].strip().lower()
        if kind == "epic":
            record = self._epic(record_id, cells)
            found = [self._found("epics", record)]
        else:
            record = self._story(record_id, kind, cells)
            found = [self._found("stories", record)]
            if kind == "release":
                found.append(self._found("releases", self._release(record)))
        for person in self._people.new():
            yield self._found("people", person)
        yield from self._new
        self._new.clear()
        yield from found

    def iterations(self) -> Iterator[Found]:
        """The iterations that the rows named, with their stories in the order of the file."""
        for number, iteration in self._iterations.items():
            record: Record = {
                "kind": "iteration",
                "number": number,
                "project_id": self._project.id,
                "_date_precision": "day",
            }
            if iteration.start:
                record["start"] = iteration.start
            if iteration.finish:
                record["finish"] = iteration.finish
            weeks = csv_cells.weeks_between(iteration.start, iteration.finish)
            if weeks:
                record["length"] = weeks
            record["story_ids"] = list(iteration.story_ids)
            self._tally.read(self._source, "iterations__story_ids", len(iteration.story_ids))
            yield self._found("iterations", record)

    def _bring_to_width(self, cells: list[str]) -> None:
        width = self._columns.width
        if len(cells) >= width:
            if beyond := sum(map(bool, cells[width - 1 :])):
                self._lose("stories", "cells beyond the header", cells[-1], beyond)
            del cells[width - 1 :]
        cells.extend([""] * (width - len(cells)))

    def _found(self, table: str, record: Record) -> Found:
        self._tally.read(self._source, table)
        return Found(table, record, self._source)

    def _lose(self, table: str, reason: str, text: str, values: int = 1) -> None:
        where = f"line {self._line:,}: {text[:_SHOWN]!r}"
        self._tally.lose(self._source, table, reason, where, values)

    def _without_id(self, cells: list[str]) -> None:
        """A row that is none: what it is instead is told, and what comes after it is read."""
        if is_of_stories(cells):
            # files that were put one behind the other
            self._columns = Columns(cells)
            return
        first = cells[0]
        is_mark = first.startswith(_CONFLICT_MARKS) and not any(cells[1:])
        reason = "a mark of a merge conflict" if is_mark else "no id of a story or an epic"
        where = f"line {self._line:,}: {' '.join(filter(None, cells))[:_SHOWN]!r}"
        self._tally.read(self._source, "stories")
        self._tally.leave_out(self._source, "stories", reason, where)

    def _story(self, story_id: int, story_type: str, cells: list[str]) -> Record:
        columns = self._columns
        self._position += 1
        story: Record = {
            "kind": "story",
            "id": story_id,
            "project_id": self._project.id,
            "_position": self._position,
        }
        if self._project.keeps_ids:
            self._project.story_ids.add(story_id)
        self._texts(story, cells)
        self._choice(story, "story_type", "Type", story_type, _TYPES)
        state = cells[columns.current_state].strip().lower()
        self._choice(story, "current_state", "Current State", state or "unscheduled", _STATES)
        if text := cells[columns.priority]:
            priority = text.partition("-")[0].strip().lower()
            self._choice(story, "story_priority", "Priority", priority, _PRIORITIES)
        if text := cells[columns.estimate]:
            self._estimate(story, text)
        self._times("stories", story, cells)
        if text := cells[columns.requested_by]:
            self._set(story, "requested_by_id", self._people.id_of(text))
        story["labels"] = self._labels("stories", cells[columns.labels])
        story["owner_ids"] = owner_ids = self._owner_ids(columns.owned_by(cells))
        if owner_ids:
            story["owned_by_id"] = owner_ids[0]
        if text := cells[columns.iteration]:
            self._note_iteration(text, story_id, cells)
        self._children(story, story_id, cells)
        return story

    def _children(self, story: Record, story_id: int, cells: list[str]) -> None:
        """The lists of a story that have columns of their own, each as wide as the widest story."""
        columns = self._columns
        siblings = Siblings()
        if any(group := columns.comments(cells)):
            self._add(story, "comments", self._comments("story_id", story_id, group, siblings))
        if any(group := columns.tasks(cells)):
            self._add(story, "tasks", self._tasks(story_id, group, siblings))
        if any(group := columns.blockers(cells)):
            self._add(story, "blockers", self._blockers(story_id, group, siblings))
        if any(group := columns.reviews(cells)):
            self._add(story, "reviews", self._reviews(story_id, group, siblings))
        if any(group := columns.pull_requests(cells)):
            self._add(story, "pull_requests", self._pull_requests(story_id, group, siblings))
        if any(group := columns.branches(cells)):
            self._add(story, "branches", self._branches(story_id, group, siblings))

    def _add(self, story: Record, attribute: str, children: list[Record]) -> None:
        story[attribute] = children
        self._tally.read(self._source, f"stories__{attribute}", len(children))

    def _epic(self, epic_id: int, cells: list[str]) -> Record:
        columns = self._columns
        epic: Record = {"kind": "epic", "id": epic_id, "project_id": self._project.id}
        if self._project.keeps_ids:
            self._project.epic_ids.add(epic_id)
        self._texts(epic, cells)
        self._times("epics", epic, cells)
        labels = self._labels_in(cells[columns.labels])
        if labels:
            epic["label"] = labels[0]
        if labels[1:]:
            self._lose("epics", "labels beyond the one that an epic has", cells[columns.labels])
        if any(group := columns.comments(cells)):
            epic["comments"] = self._comments("epic_id", epic_id, group, Siblings())
            self._tally.read(self._source, "epics__comments", len(epic["comments"]))
        self._lose_what_epics_lack(cells)
        return epic

    def _lose_what_epics_lack(self, cells: list[str]) -> None:
        columns = self._columns
        filled = [
            *(cells[columns.iteration], cells[columns.estimate], cells[columns.priority]),
            *(cells[columns.current_state], cells[columns.requested_by]),
            *columns.owned_by(cells),
            *columns.tasks(cells),
            *columns.blockers(cells),
            *columns.reviews(cells),
            *columns.pull_requests(cells),
            *columns.branches(cells),
        ]
        if filled := [cell for cell in filled if cell]:
            self._lose("epics", "cells that epics do not have", filled[0], len(filled))

    def _release(self, story: Record) -> Record:
        release: Record = {"kind": "release"}
        release.update((name, story[name]) for name in _RELEASE_HAS if name in story)
        if release["labels"]:
            self._tally.read(self._source, "releases__labels", len(release["labels"]))
        return release

    def _texts(self, record: Record, cells: list[str]) -> None:
        columns = self._columns
        for attribute, index in (("name", columns.title), ("description", columns.description)):
            if text := cells[index]:
                record[attribute] = csv_cells.free_text(text)
        if text := cells[columns.url]:
            record["url"] = text
        if columns.others and any(texts := columns.other_cells(cells)):
            self._other_texts(record, texts)

    def _other_texts(self, record: Record, texts: Sequence[str]) -> None:
        """Columns that are not Tracker's: nobody knows what they hold, so they stay texts."""
        for column, text in zip(self._columns.others, texts, strict=True):
            if text and column.attribute:
                record[column.attribute] = text
            elif text:
                reason = "columns that are not Tracker's, beyond the first hundred"
                self._lose("stories", reason, f"{column.header}: {text}")

    def _times(self, table: str, record: Record, cells: list[str]) -> None:
        columns = self._columns
        record["_date_precision"] = "day"
        for attribute, index, called in (
            ("created_at", columns.created_at, "Created at"),
            ("accepted_at", columns.accepted_at, "Accepted at"),
            ("deadline", columns.deadline, "Deadline"),
        ):
            if text := cells[index]:
                at = csv_cells.time(text)
                self._set_or_lose(table, record, attribute, f"{called} that is no date", at, text)
                if at and not csv_cells.is_day(at):
                    record.pop("_date_precision", None)

    def _choice(
        self, story: Record, attribute: str, column: str, text: str, known: frozenset[str]
    ) -> None:
        """Sets an attribute of which Tracker has a list of values."""
        if text in known:
            story[attribute] = text
        elif text:
            self._lose("stories", f"{column} that Tracker does not know", text)

    def _estimate(self, story: Record, text: str) -> None:
        try:
            estimate = float(text)
        except ValueError:
            estimate = math.nan
        if not math.isfinite(estimate):
            self._lose("stories", "Estimate that is no number", text)
        elif estimate >= 0:
            # -1 says that there is none
            story["estimate"] = int(estimate) if estimate.is_integer() else estimate

    def _set_or_lose(
        self, table: str, record: Record, attribute: str, reason: str, value: object, text: str
    ) -> None:
        """Sets an attribute to what its cell said; None where it said nothing that can be read."""
        if value is not None:
            record[attribute] = value
        elif text.strip():
            self._lose(table, reason, text)

    @staticmethod
    def _set(record: Record, attribute: str, value: object) -> None:
        if value is not None:
            record[attribute] = value

    def _note_iteration(self, text: str, story_id: int, cells: list[str]) -> None:
        number = _id(text)
        if number is None:
            self._lose("stories", "Iteration that is no number", text)
            return
        iteration = self._iterations.get(number)
        if iteration is None:
            iteration = self._iterations[number] = self._first_of_iteration(cells)
        iteration.story_ids.append(story_id)

    def _first_of_iteration(self, cells: list[str]) -> _Iteration:
        days: list[str | None] = []
        for column in (self._columns.iteration_start, self._columns.iteration_end):
            days.append(day := csv_cells.time(cells[column]))
            if day is None and cells[column].strip():
                self._lose("iterations", "start or end that is no date", cells[column])
        # the export names the last day, the API the first that is no more of it
        return _Iteration(days[0], csv_cells.day_after(days[1]) if days[1] else None)

    def _labels_in(self, cell: str) -> list[Record]:
        """The labels that a cell names, each once."""
        if not cell:
            return []
        known = self._labels_by_cell.get(cell)
        if known is None:
            known = [self._label(name) for name in csv_cells.names(cell)]
            if len(cell) < _LONGEST_KEPT and len(self._labels_by_cell) < MOST_REMEMBERED:
                self._labels_by_cell[cell] = known
        return known

    def _labels(self, table: str, cell: str) -> list[Record]:
        labels = self._labels_in(cell)
        if labels:
            self._tally.read(self._source, f"{table}__labels", len(labels))
        return labels

    def _label(self, name: str) -> Record:
        label = self._project.labels.get(name)
        if label is None:
            project_id = self._project.id
            label = {
                "kind": "label",
                "id": stable_key("label", project_id, name),
                "project_id": project_id,
                "name": name,
            }
            self._project.labels[name] = label
            self._new.append(self._found("labels", label))
        return label

    def _owner_ids(self, names: Sequence[str]) -> list[int]:
        if not any(names):
            return []
        ids = [person for name in names if (person := self._people.id_of(name)) is not None]
        self._tally.read(self._source, "stories__owner_ids", len(ids))
        owner_ids = list(dict.fromkeys(ids))
        if len(owner_ids) < len(ids):
            where = f"line {self._line:,}"
            self._tally.leave_out(
                self._source, "stories__owner_ids", "named twice", where, len(ids) - len(owner_ids)
            )
        return owner_ids

    def _comments(
        self, parent: str, parent_id: int, cells: Sequence[str], siblings: Siblings
    ) -> list[Record]:
        comments = []
        for cell in cells:
            if not cell or cell.isspace():
                continue
            text, author, day = csv_cells.comment(csv_cells.free_text(cell))
            key = siblings.key("comment", parent_id, text, author, day)
            comment: Record = {"kind": "comment", "id": key, parent: parent_id}
            if text:
                comment["text"] = text
                comment.update(csv_cells.commit(text))
            if author:
                self._set(comment, "person_id", self._people.id_of(author))
            if day:
                comment["created_at"] = day
            comments.append(comment)
        return comments

    def _tasks(self, story_id: int, cells: Sequence[str], siblings: Siblings) -> list[Record]:
        tasks: list[Record] = []
        for text, status in zip(cells[::2], cells[1::2], strict=True):
            if not text and not status:
                continue
            description = csv_cells.free_text(text)
            task: Record = {
                "kind": "task",
                "id": siblings.key("task", story_id, description),
                "story_id": story_id,
                "position": len(tasks) + 1,
            }
            if description:
                task["description"] = description
            complete = _TASK_STATUS.get(status.strip().lower())
            self._set_or_lose(
                "stories__tasks", task, "complete", "Task Status unknown", complete, status
            )
            tasks.append(task)
        return tasks

    def _blockers(self, story_id: int, cells: Sequence[str], siblings: Siblings) -> list[Record]:
        blockers: list[Record] = []
        for text, status in zip(cells[::2], cells[1::2], strict=True):
            if not text and not status:
                continue
            description = csv_cells.free_text(text)
            key = siblings.key("blocker", story_id, description)
            blocker: Record = {"kind": "blocker", "id": key, "story_id": story_id}
            if description:
                blocker["description"] = description
            resolved = _BLOCKER_STATUS.get(status.strip().lower())
            self._set_or_lose(
                "stories__blockers", blocker, "resolved", "Blocker Status unknown", resolved, status
            )
            blockers.append(blocker)
        return blockers

    def _reviews(self, story_id: int, cells: Sequence[str], siblings: Siblings) -> list[Record]:
        reviews: list[Record] = []
        for kind, reviewer, status in zip(cells[::3], cells[1::3], cells[2::3], strict=True):
            if not kind and not reviewer and not status:
                continue
            key = siblings.key("review", story_id, kind.strip(), reviewer.strip())
            review: Record = {"kind": "review", "id": key, "story_id": story_id}
            if kind.strip():
                review["review_type"] = self._review_type(kind.strip())
                review["review_type_id"] = review["review_type"]["id"]
            self._set(review, "reviewer_id", self._people.id_of(reviewer))
            said = _REVIEW_STATUS.get(status.strip().lower())
            self._set_or_lose(
                "stories__reviews", review, "status", "Review Status unknown", said, status
            )
            reviews.append(review)
        return reviews

    def _review_type(self, name: str) -> Record:
        review_type = self._project.review_types.get(name)
        if review_type is None:
            project_id = self._project.id
            review_type = {
                "kind": "review_type",
                "id": stable_key("review_type", project_id, name),
                "project_id": project_id,
                "name": name,
            }
            self._project.review_types[name] = review_type
            self._new.append(self._found("review_types", review_type))
        return review_type

    def _pull_requests(
        self, story_id: int, cells: Sequence[str], siblings: Siblings
    ) -> list[Record]:
        return [
            {
                "kind": "pull_request",
                "id": siblings.key("pull_request", story_id, address),
                "story_id": story_id,
                **csv_cells.pull_request(address),
            }
            for cell in cells
            if (address := cell.strip())
        ]

    def _branches(self, story_id: int, cells: Sequence[str], siblings: Siblings) -> list[Record]:
        return [
            {
                "kind": "branch",
                "id": siblings.key("branch", story_id, name),
                "story_id": story_id,
                **csv_cells.branch(name),
            }
            for cell in cells
            if (name := cell.strip())
        ]


def _id(text: str) -> int | None:
    text = text.strip()
    is_id = text.isascii() and text.isdigit() and len(text) <= _LONGEST_ID
    return int(text) if is_id else None
