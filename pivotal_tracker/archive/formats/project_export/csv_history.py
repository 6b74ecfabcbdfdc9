"""Read the history in Tracker's export: `ID, Type, Message, Performed By, Occurred At`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

from ....records import Record
from ....settings import BATCH_SIZE
from ....tables import STORY_TYPES
from ...dates import DateReader, is_day
from ...format import ArchiveRecord
from ...keys import SiblingKeys
from ...line_accounting import LineAccounting
from . import csv_cells
from .csv_columns import history_columns
from .csv_project import Project
from .people import PeopleByName

_GUID = re.compile(r"\d{1,18}_(\d{1,18})", re.ASCII)
_NUMBER = re.compile(r"\d{1,18}", re.ASCII)
_KINDS = {"story": "story", "epic": "epic", **dict.fromkeys(STORY_TYPES, "story")}


class HistoryRows:
    """Converts the rows of one file to records.

    The meaning of ID is not documented. If it looks like a guid, it is taken as that of the
    activity, else as the id of the story or epic that the message is about.

    Args:
        header: The first row.
        project: The project; its stories must have been read before.
        people: The people named so far.
        accounting: The accounting of the file.
        dates: Reads the dates of the file.
    """

    def __init__(
        self,
        header: Sequence[str],
        project: Project,
        people: PeopleByName,
        accounting: LineAccounting,
        dates: DateReader,
    ) -> None:
        self._dates = dates
        self._indices = history_columns(header)
        self._project = project
        self._people = people
        self._accounting = accounting
        self._keys = SiblingKeys()
        self._undecided: list[tuple[ArchiveRecord, Collection[int]]] = []
        people.accounting = accounting

    def records(self, line: int, cells: list[str]) -> Iterator[ArchiveRecord]:
        """Yield the activity in a row."""
        self._accounting.line = line
        texts = [cells[i] if i < len(cells) else "" for i in self._indices]
        if not any(texts):
            self._accounting.read("activity", 1)
            reason = "nothing in the columns of a history"
            self._accounting.leave_out("activity", reason, " ".join(filter(None, cells)))
            return
        entry = self._accounting.add_record("activity", self._activity(*texts))
        yield entry
        self._undecided.append((entry, self._people.end_row()))
        if len(self._undecided) >= BATCH_SIZE:
            self.decide()

    def decide(self) -> None:
        """Decide which rows are loaded, and confirm the people that they name."""
        self._accounting.decide()
        for entry, people in self._undecided:
            if not entry.is_rejected:
                self._people.confirm(people)
        self._undecided.clear()

    def _activity(self, about: str, kind: str, message: str, performer: str, at: str) -> Record:
        project = self._project
        key = self._keys.key("activity", project.id, about, kind, message, performer, at)
        activity: Record = {
            "guid": str(key),
            "project_id": project.id,
            "project": {"kind": "project", "id": project.id, "name": project.name},
        }
        if kind:
            activity["kind"] = kind
        if message:
            activity["message"] = csv_cells.unescape_formula(message)
        if (person_id := self._people.id_of(performer)) is not None:
            activity["performed_by"] = {
                "kind": "person",
                "id": person_id,
                "name": performer.strip(),
            }
        if occurred_at := self._dates.parse(at):
            activity["occurred_at"] = occurred_at
            if is_day(occurred_at):
                activity["_date_precision"] = "day"
        elif at:
            self._accounting.drop_value(
                "activity", f"an occurred_at that {self._dates.problem(at)}", at
            )
        self._add_primary_resource(activity, about.strip(), kind)
        return activity

    def _add_primary_resource(self, activity: Record, about: str, kind: str) -> None:
        if guid := _GUID.fullmatch(about):
            activity["guid"] = about
            activity["project_version"] = int(guid[1])
        elif _NUMBER.fullmatch(about):
            resource: Record = {"id": int(about)}
            if resource_kind := self._kind_of(int(about), kind):
                resource["kind"] = resource_kind
            activity["primary_resources"] = [resource]
            self._accounting.read("activity__primary_resources", 1)
        elif about:
            self._accounting.drop_value("activity", "an ID that is not a number", about)

    def _kind_of(self, number: int, kind: str) -> str | None:
        if number in self._project.story_ids:
            return "story"
        if number in self._project.epic_ids:
            return "epic"
        return _KINDS.get(kind.strip().lower().partition("_")[0])
