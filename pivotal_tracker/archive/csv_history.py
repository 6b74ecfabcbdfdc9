"""The project-history file of Tracker's export: `ID, Type, Message, Performed By, Occurred At`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from . import csv_cells
from .csv_columns import history_columns
from .csv_stories import Project
from .format import Found, Record
from .keys import Siblings
from .people import PeopleByName
from .tally import Tally

_GUID = re.compile(r"\d{1,18}_(\d{1,18})", re.ASCII)
_NUMBER = re.compile(r"\d{1,18}", re.ASCII)
_KINDS = {"story": "story", "epic": "epic"} | dict.fromkeys(
    ("feature", "bug", "chore", "release"), "story"
)


class HistoryRows:
    """Makes records of the rows of one file.

    What ID numbers is not written down anywhere: it is taken as the activity's own where it has
    the shape of a guid, else as that of the story or epic that the message is about.

    Args:
        source: The file.
        header: Its first row.
        project: Whose history it is, its stories known already; None where that is not known.
        people: Who has been met by name.
        tally: Takes the counts.
    """

    def __init__(
        self,
        source: str,
        header: Sequence[str],
        project: Project | None,
        people: PeopleByName,
        tally: Tally,
    ) -> None:
        self._source = source
        self._indices = history_columns(header)
        self._project = project
        self._people = people
        self._tally = tally
        self._keys = Siblings()

    def records(self, line: int, cells: list[str]) -> Iterator[Found]:
        """The activity that a row tells of, after the person who is the first time named."""
        texts = [cells[i] if i < len(cells) else "" for i in self._indices]
        self._tally.read(self._source, "activity")
        if not any(texts):
            reason = "nothing in the columns of a history"
            self._tally.leave_out(self._source, "activity", reason, f"line {line:,}")
            return
        activity = self._activity(line, *texts)
        for person in self._people.new():
            self._tally.read(self._source, "people")
            yield Found("people", person, self._source)
        yield Found("activity", activity, self._source)

    def _activity(
        self, line: int, about: str, kind: str, message: str, who: str, at: str
    ) -> Record:
        project_id = self._project.id if self._project else None
        activity: Record = {
            "guid": str(self._keys.key("activity", project_id, about, kind, message, who, at))
        }
        if kind:
            activity["kind"] = kind
        if message:
            activity["message"] = csv_cells.free_text(message)
        if self._project:
            activity["project_id"] = project_id
            activity["project"] = {"kind": "project", "id": project_id, "name": self._project.name}
        if (person_id := self._people.id_of(who)) is not None:
            activity["performed_by"] = {"kind": "person", "id": person_id, "name": who.strip()}
        self._note_time(activity, at, line)
        self._note_what_it_is_about(activity, about.strip(), kind, line)
        return activity

    def _note_time(self, activity: Record, at: str, line: int) -> None:
        if occurred_at := csv_cells.time(at):
            activity["occurred_at"] = occurred_at
            if csv_cells.is_day(occurred_at):
                activity["_date_precision"] = "day"
        elif at:
            self._lose("Occurred At that is no time", at, line)

    def _note_what_it_is_about(self, activity: Record, about: str, kind: str, line: int) -> None:
        if guid := _GUID.fullmatch(about):
            activity["guid"] = about
            activity["project_version"] = int(guid[1])
        elif _NUMBER.fullmatch(about):
            number = int(about)
            resource: Record = {"id": number}
            if kind_of_it := self._kind_of(number, kind):
                resource["kind"] = kind_of_it
            activity["primary_resources"] = [resource]
            self._tally.read(self._source, "activity__primary_resources")
        elif about:
            self._lose("ID that is no number", about, line)

    def _kind_of(self, number: int, kind: str) -> str | None:
        if self._project and number in self._project.story_ids:
            return "story"
        if self._project and number in self._project.epic_ids:
            return "epic"
        return _KINDS.get(kind.strip().lower().removesuffix("_activity").partition("_")[0])

    def _lose(self, reason: str, text: str, line: int) -> None:
        self._tally.lose(self._source, "activity", reason, f"line {line:,}: {text[:60]!r}")
