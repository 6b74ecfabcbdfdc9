"""Tracker's own project export: a CSV, alone or in a folder or ZIP with attachments and history."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import PurePosixPath
from typing import NamedTuple

from .conventions import Conventions
from .csv_history import HistoryRows
from .csv_project import Project
from .csv_stories import StoryRows
from .files import ArchiveError, File, Files
from .format import FILES, Found, Record
from .keys import stable_key
from .line_tally import LineTally
from .people import PeopleByName
from .sheets import Sheet, sheet_in
from .tally import Tally

_STAMP = re.compile(
    r"(?P<project>.+?)(_(?P<stamp>\d{8}_\d{4}))?(-export)?( ?\(\d+\))?"
    r"([-_ ]history)?( ?\(\d+\))?",
    re.DOTALL,
)
_OWNERS_ID = re.compile(r"\d{1,18}", re.ASCII)


class ProjectExport:
    """The export that Tracker made: see `Format` for the protocol.

    The CSV of stories is in the top folder, or in the one folder that holds everything. The files
    in a folder named by an id are the attachments of that story, or epic.
    """

    name = "Tracker's project export"
    looks_like = (
        "Tracker's project export (a CSV or XLSX with columns Id, Title or Story, Type, Current "
        "State; or its ZIP)"
    )
    may_repeat = False

    def recognises(self, files: Files) -> bool:
        """Whether there is a CSV or a workbook with the header of stories, or of a history."""
        contents = _contents(files)
        if contents.unreadable and not contents.sheets and not contents.others:
            # nothing else that it could be
            raise contents.unreadable[0]
        return bool(contents.sheets)

    def read(self, files: Files, tally: Tally) -> Iterator[Found]:
        """Gives projects, people, labels, stories, …: each before what refers to it."""
        contents = _contents(files)
        for name in contents.others:
            tally.read(files.path.name, FILES)
            reason = "not part of a project export; if it is an archive, give it by itself"
            tally.leave_out(files.path.name, FILES, reason, name)
        for error in contents.unreadable:
            tally.broken[files.path.name] = str(error)
            tally.read(files.path.name, FILES)
            tally.leave_out(files.path.name, FILES, "cannot be read", str(error))
        yield from _Reading(files, contents, tally).found()


class _Attachment(NamedTuple):
    """A file in a folder that is named by the id of a story or an epic."""

    owner_id: int
    name: str
    file: File


@dataclass
class _Contents:
    """What the files of an export are.

    Attributes:
        sheets: Of stories, the latest export first; then of history.
        others: The names of what is none of the export's.
        unreadable: What is wrong with workbooks that may be part of it.
    """

    sheets: list[Sheet] = field(default_factory=list)
    attachments: list[_Attachment] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    unreadable: list[ArchiveError] = field(default_factory=list)


def _contents(files: Files) -> _Contents:
    contents = _Contents()
    home = _home(files)
    for name, file in files.items():
        first, *rest = name[len(home) :].split("/")
        if rest and _OWNERS_ID.fullmatch(first):
            contents.attachments.append(_Attachment(int(first), "/".join(rest), file))
            continue
        try:
            sheet = None if rest else sheet_in(file)
        except ArchiveError as error:
            contents.unreadable.append(error)
            continue
        if sheet:
            contents.sheets.append(sheet)
        else:
            contents.others.append(name)
    contents.sheets.sort(key=lambda sheet: _of_name(sheet.file)["stamp"] or "", reverse=True)
    contents.sheets.sort(key=lambda sheet: sheet.holds == "history")
    return contents


def _home(files: Files) -> str:
    """The folder that everything is in, with a `/` at its end; empty for the top."""
    tops = {name.partition("/")[0] for name in files if "/" in name}
    if len(tops) != 1 or any("/" not in name for name in files):
        return ""
    top = tops.pop()
    return "" if _OWNERS_ID.fullmatch(top) else f"{top}/"


def _of_name(file: File) -> dict[str, str | None]:
    """The project and the time in `<project>_<YYYYMMDD>_<HHMM>.csv`."""
    stem = PurePosixPath(file.name).stem
    found = _STAMP.fullmatch(stem)
    return found.groupdict() if found else {"project": stem, "stamp": None}


class _Reading:
    """One reading of an export."""

    def __init__(self, files: Files, contents: _Contents, tally: Tally) -> None:
        self._files = files
        self._attached = files.source("attachments")
        self._contents = contents
        self._tally = tally
        self._people = PeopleByName()
        self._projects: dict[str, Project] = {}

    def found(self) -> Iterator[Found]:
        for sheet in self._contents.sheets:
            project, is_new = self._project_of(sheet)
            if is_new:
                record: Record = {"kind": "project", "id": project.id, "name": project.name}
                yield self._line_tally(sheet).found("projects", record)
            if sheet.holds == "stories":
                yield from self._stories(sheet, project)
            else:
                yield from self._history(sheet, project)
        for attachment in self._contents.attachments:
            yield self._attachment(attachment)

    def _project_of(self, sheet: Sheet) -> tuple[Project, bool]:
        """The project of a sheet, by the file's name, and whether it is met for the first time."""
        name = _of_name(sheet.file)["project"] or sheet.file.name
        if sheet.holds == "history" and len(self._projects) == 1:
            return next(iter(self._projects.values())), False
        is_new = name.lower() not in self._projects
        new = Project(name)
        return self._projects.setdefault(name.lower(), new), is_new

    def _line_tally(self, sheet: Sheet) -> LineTally:
        return LineTally(self._tally, self._files.source(sheet.file.name))

    def _stories(self, sheet: Sheet, project: Project) -> Iterator[Found]:
        tally = self._line_tally(sheet)
        rows = sheet.rows(partial(self._tally.lose, tally.source, "stories"))
        conventions = Conventions(sheet)
        stories = StoryRows(next(rows)[1], project, self._people, tally, conventions)
        for line, cells in rows:
            yield from stories.records(line, cells)
        yield from stories.iterations()

    def _history(self, sheet: Sheet, project: Project) -> Iterator[Found]:
        tally = self._line_tally(sheet)
        rows = sheet.rows(partial(self._tally.lose, tally.source, "activity"))
        conventions = Conventions(sheet)
        history = HistoryRows(next(rows)[1], project, self._people, tally, conventions.dates)
        for line, cells in rows:
            yield from history.records(line, cells)
        tally.assume("activity", conventions.assumption)

    def _attachment(self, attachment: _Attachment) -> Found:
        """A file that was attached to a story, or an epic; to which comment is not known."""
        owner_id = attachment.owner_id
        projects = list(self._projects.values())
        of_story = [one for one in projects if owner_id in one.story_ids]
        of_epic = [] if of_story else [one for one in projects if owner_id in one.epic_ids]
        record: Record = {
            "id": stable_key("attachment", owner_id, attachment.name),
            "epic_id" if of_epic else "story_id": owner_id,
            "filename": PurePosixPath(attachment.name).name,
            "size": attachment.file.size,
        }
        if project := next(
            iter(of_story or of_epic or (projects if len(projects) == 1 else ())), None
        ):
            record["project_id"] = project.id
        self._tally.read(self._attached, "attachment_files")
        return Found("attachment_files", record, self._attached, attachment.file.open)
