"""Convert the rows of Tracker's export to records: stories, epics, releases, iterations."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from ....records import Record
from ....settings import BATCH_SIZE
from ...dates import is_day
from ...format import ArchiveRecord
from ...keys import SiblingKeys
from ...limits import MAX_CACHE_ENTRIES
from ...line_accounting import LineAccounting
from ...records import release_of
from . import csv_cells
from .conventions import Conventions, parse_integer
from .csv_children import CsvChildParser
from .csv_columns import Columns, is_of_stories
from .csv_iterations import Iterations
from .csv_project import Project
from .csv_shifted import trusted_cells
from .people import PeopleByName

_CONFLICT_MARKS = ("<<<<<<<", "=======", ">>>>>>>", "|||||||")
_AN_OR_A = {"created_at": "a", "accepted_at": "an", "deadline": "a"}
_TOO_MANY_CELLS = "more cells than the header has, so that they may be shifted"


class _Undecided(NamedTuple):
    """A row that may or may not be loaded; that is not decided yet.

    Attributes:
        line: The number of its last line in the file.
        record_id: The id of the story or epic.
        entries: Its records.
        iteration: The number, first day and last day of its iteration.
        people: The keys of people that it names.
        others: The keys of labels and review types that it names.
    """

    line: int
    record_id: int
    entries: list[ArchiveRecord]
    iteration: tuple[int, str, str] | None
    people: Collection[int]
    others: Collection[int]


class StoryRows:
    """Converts the rows of one file to records.

    Args:
        header: The first row.
        project: The project of the stories.
        people: The people named so far.
        accounting: The accounting of the file.
        conventions: Reads the dates and numbers of the file.
    """

    def __init__(
        self,
        header: Sequence[str],
        project: Project,
        people: PeopleByName,
        accounting: LineAccounting,
        conventions: Conventions,
    ) -> None:
        self._conventions = conventions
        self._dates = conventions.dates
        self._columns = Columns(header)
        self._project = project
        self._people = people
        self._accounting = accounting
        self._children = CsvChildParser(project, people, accounting, self._dates)
        self._iterations = Iterations(self._dates)
        self._position = 0
        self._choices_by_text: dict[tuple[str, str, str, bool], csv_cells.Choices] = {}
        self._undecided: list[_Undecided] = []
        people.accounting = project.named.accounting = accounting

    def records(self, line: int, cells: list[str]) -> Iterator[ArchiveRecord]:
        """Yield the records in a row.

        Args:
            line: The number of the row's last line in the file.
            cells: The cells of the row; they may be fewer or more than the header has.
        """
        self._accounting.line = line
        columns = self._columns
        record_id = parse_integer(cells[columns.id]) if columns.id < len(cells) else None
        if record_id is None:
            self._without_id(cells)
            return
        if not self._fit_to_width(cells):
            self._accounting.reject_row("stories", _TOO_MANY_CELLS, " ".join(filter(None, cells)))
            return
        kind = cells[columns.type].strip().lower()
        if not self._is_first(record_id, kind):
            return
        if kind == "epic":
            entries = [self._accounting.add_record("epics", self._epic(record_id, cells))]
        else:
            story = self._story(record_id, kind, cells)
            entries = [self._accounting.add_record("stories", story)]
            if kind == "release":
                self._accounting.read("releases__labels", len(story["labels"]))
                entries.append(self._accounting.add_record("releases", release_of(story)))
        yield from entries
        iteration = self._iteration_of(cells) if kind != "epic" else None
        people, others = self._people.end_row(), self._project.named.end_row()
        self._undecided.append(_Undecided(line, record_id, entries, iteration, people, others))
        if len(self._undecided) >= BATCH_SIZE:
            self._decide()

    def _decide(self) -> None:
        """Decide which rows are loaded, and add the iterations, people and labels they name."""
        self._accounting.decide()
        for row in self._undecided:
            is_rejected = any(entry.is_rejected for entry in row.entries)
            if row.iteration is not None:
                self._add_iteration(row, *row.iteration, is_rejected=is_rejected)
            if not is_rejected:
                self._people.confirm(row.people)
                self._project.named.confirm(row.others)
        self._undecided.clear()

    def iterations(self) -> Iterator[ArchiveRecord]:
        """Yield the iterations that the rows named, with their stories in the order of the file."""
        self._decide()
        self._accounting.assume("stories", self._conventions.assumption)
        for record in self._iterations.records(self._project.id):
            self._accounting.read("iterations__story_ids", len(record["story_ids"]))
            entry = self._accounting.add_record("iterations", record)
            entry.is_withdrawn = not record["story_ids"]
            yield entry

    def _without_id(self, cells: list[str]) -> None:
        """Handle a row that is not a story: a repeated header, a conflict mark, or a bad row."""
        if is_of_stories(cells):
            # several files were concatenated
            self._columns = Columns(cells)
            return
        text = " ".join(filter(None, cells))
        if cells[0].startswith(_CONFLICT_MARKS) and not any(cells[1:]):
            self._accounting.read("stories", 1)
            self._accounting.leave_out("stories", "a mark of a merge conflict", text)
        else:
            self._accounting.reject_row("stories", "no id of a story or an epic", text)

    def _fit_to_width(self, cells: list[str]) -> bool:
        """Pad or cut a row to the width of the header.

        If it has more cells than the header, only the cells before the first one that does not fit
        its column are kept.

        Returns:
            False if the row cannot be used at all.
        """
        width = self._columns.width - 1
        if len(cells) > width:
            trusted = trusted_cells(self._columns, cells)
            if self._columns.type >= trusted:
                return False
            if untrusted := [cell for cell in cells[trusted:] if cell]:
                self._accounting.drop_value(
                    "stories", _TOO_MANY_CELLS, untrusted[0], len(untrusted)
                )
            del cells[trusted:]
        del cells[width:]
        cells.extend([""] * (width + 1 - len(cells)))
        return True

    def _is_first(self, record_id: int, kind: str) -> bool:
        """Check whether a row is the first with its id; if not, count it as left out."""
        is_epic = kind == "epic"
        seen = self._project.epic_ids if is_epic else self._project.story_ids
        if record_id not in seen:
            seen.add(record_id)
            return True
        for table in ("epics",) if is_epic else ("stories", *(("releases",) * (kind == "release"))):
            self._accounting.read(table, 1)
            self._accounting.leave_out(table, "it came before", str(record_id))
        return False

    def _story(self, story_id: int, story_type: str, cells: list[str]) -> Record:
        self._position += 1
        story: Record = {
            "kind": "story",
            "id": story_id,
            "project_id": self._project.id,
            "_position": self._position,
        }
        self._texts("stories", story, cells)
        self._choices(story, story_type, cells)
        if text := cells[self._columns.estimate]:
            self._estimate(story, text)
        self._times("stories", story, cells)
        self._people_of(story, cells)
        story["labels"] = self._project.labels(cells[self._columns.labels])
        self._accounting.read("stories__labels", len(story["labels"]))
        story.update(self._children.of_story(story_id, self._columns, cells))
        return story

    def _epic(self, epic_id: int, cells: list[str]) -> Record:
        columns = self._columns
        epic: Record = {"kind": "epic", "id": epic_id, "project_id": self._project.id}
        self._texts("epics", epic, cells)
        self._times("epics", epic, cells)
        labels = self._project.labels(cells[columns.labels])
        if labels:
            epic["label"] = labels[0]
        if labels[1:]:
            reason = "labels beyond the one that an epic has"
            self._accounting.drop_value("epics", reason, cells[columns.labels], len(labels) - 1)
        if any(group := columns.comments(cells)):
            epic["comments"] = self._children.comments("epic_id", epic_id, group, SiblingKeys())
            self._accounting.read("epics__comments", len(epic["comments"]))
        if filled := [cell for cell in columns.story_only(cells) if cell]:
            self._accounting.drop_value(
                "epics", "cells that epics do not have", filled[0], len(filled)
            )
        return epic

    def _texts(self, table: str, record: Record, cells: list[str]) -> None:
        columns = self._columns
        if text := cells[columns.title]:
            record["name"] = csv_cells.unescape_formula(text)
        if text := cells[columns.description]:
            record["description"] = csv_cells.unescape_formula(text)
        if text := cells[columns.url]:
            record["url"] = text
        if columns.others and any(texts := columns.other_cells(cells)):
            for column, text in zip(columns.others, texts, strict=True):
                if text and column.attribute:
                    record[column.attribute] = text
                elif text:
                    reason = "columns that are not Tracker's, beyond the first hundred"
                    self._accounting.drop_value(table, reason, f"{column.header}: {text}")

    def _choices(self, story: Record, story_type: str, cells: list[str]) -> None:
        """Add the attributes with a fixed set of values: type, state and priority."""
        columns = self._columns
        texts = (
            story_type,
            cells[columns.current_state],
            cells[columns.priority],
            not cells[columns.iteration],
        )
        choices = self._choices_by_text.get(texts)
        if choices is None:
            choices = csv_cells.choices(*texts)
            if len(self._choices_by_text) < MAX_CACHE_ENTRIES:
                self._choices_by_text[texts] = choices
        known, unknown = choices
        story.update(known)
        for attribute, text in unknown:
            self._accounting.drop_value(
                "stories", f"a {attribute} that Tracker does not know", text
            )

    def _estimate(self, story: Record, text: str) -> None:
        estimate = self._conventions.number(text)
        if estimate is None:
            self._accounting.drop_value("stories", "an estimate that is not a number", text)
        elif estimate >= 0:
            # -1 means no estimate
            story["estimate"] = int(estimate) if estimate.is_integer() else estimate

    def _times(self, table: str, record: Record, cells: list[str]) -> None:
        record["_date_precision"] = "day"
        for attribute, index in self._columns.times:
            text = cells[index]
            if not text:
                continue
            at = self._dates.parse(text)
            if at is None:
                if text.strip():
                    reason = f"{_AN_OR_A[attribute]} {attribute} that {self._dates.problem(text)}"
                    self._accounting.drop_value(table, reason, text)
                continue
            record[attribute] = at
            if not is_day(at):
                record.pop("_date_precision", None)

    def _people_of(self, story: Record, cells: list[str]) -> None:
        columns = self._columns
        if (requester := self._people.id_of(cells[columns.requested_by])) is not None:
            story["requested_by_id"] = requester
        named = filter(None, map(self._people.id_of, filter(None, columns.owned_by(cells))))
        owners = list(named)
        story["owner_ids"] = owner_ids = list(dict.fromkeys(owners))
        self._accounting.read("stories__owner_ids", len(owners))
        if owner_ids:
            story["owned_by_id"] = owner_ids[0]
        if again := len(owners) - len(owner_ids):
            self._accounting.leave_out("stories__owner_ids", "named twice", "", again)

    def _iteration_of(self, cells: list[str]) -> tuple[int, str, str] | None:
        """Return the number, first day and last day of a row's iteration; None if it has none."""
        columns = self._columns
        text = cells[columns.iteration]
        if not text:
            return None
        number = parse_integer(text)
        if number is None:
            self._accounting.drop_value("stories", "an iteration that is not a number", text)
            return None
        return number, cells[columns.iteration_start], cells[columns.iteration_end]

    def _add_iteration(
        self, row: _Undecided, number: int, first: str, last: str, *, is_rejected: bool
    ) -> None:
        if is_rejected:
            self._iterations.add_empty(number)
            return
        unread = self._iterations.add(number, row.record_id, first, last)
        if unread:
            self._accounting.line = row.line
            reason = f"a start or an end that {self._dates.problem(unread)}"
            self._accounting.drop_value("iterations", reason, f"{first}, {last}")
