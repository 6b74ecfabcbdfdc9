"""Read Tracker's project export: a CSV, perhaps with attachments and history in a folder or ZIP."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import PurePosixPath
from typing import NamedTuple

from ....records import Record
from ...accounting import LoadAccounting
from ...files import ArchiveError, File, Files
from ...format import FILES, ArchiveRecord
from ...keys import stable_key
from ...line_accounting import LineAccounting
from .conventions import Conventions
from .csv_history import HistoryRows
from .csv_project import Project
from .csv_stories import StoryRows
from .people import PeopleByName
from .sheets import Sheet, sheet_in

_STAMP = re.compile(
    r"(?P<project>.+?)(_(?P<stamp>\d{8}_\d{4}))?(-export)?( ?\(\d+\))?"
    r"([-_ ]history)?( ?\(\d+\))?",
    re.DOTALL,
)
_OWNERS_ID = re.compile(r"\d{1,18}", re.ASCII)


class ProjectExport:
    """Reads the exports that Tracker made: see `Format` for the interface.

    The CSV of stories may be in any folder. If a folder beside it has an id as its name, its files
    are the attachments of the story or epic with that id.
    """

    name = "Tracker's project export"
    gives_people = True

    def recognizes(self, files: Files) -> bool:
        """Check whether a CSV or a workbook has the header of stories or of a history."""
        contents = _contents(files)
        if contents.unreadable and len(files) == 1:
            # it cannot be of another format
            raise next(iter(contents.unreadable.values()))
        return bool(contents.sheets)

    def claims(self, files: Files) -> Collection[str]:
        """Return the sheets, the attachments, and the workbooks that cannot be opened."""
        contents = _contents(files)
        sheets = {sheet.file.name for sheet in contents.sheets}
        attachments = {attachment.file.name for attachment in contents.attachments}
        return sheets | attachments | contents.unreadable.keys()

    def read(self, files: Files, accounting: LoadAccounting) -> Iterator[ArchiveRecord]:
        """Yield projects, stories, iterations, …, and then the people and labels they name."""
        contents = _contents(files)
        for error in contents.unreadable.values():
            accounting.failures[files.label] = str(error)
            accounting.read(files.label, FILES)
            accounting.leave_out(files.label, FILES, "cannot be read", str(error))
        yield from _ExportReader(files, contents, accounting).records()


class _Attachment(NamedTuple):
    """A file in a folder whose name is the id of a story or an epic."""

    owner_id: int
    name: str
    file: File


@dataclass
class _Contents:
    """The files of an export.

    Attributes:
        sheets: The sheets of stories, the latest export first; then those of history.
        attachments: The attachments of stories and epics.
        unreadable: Why a workbook that may be part of the export cannot be read, by name.
    """

    sheets: list[Sheet] = field(default_factory=list)
    attachments: list[_Attachment] = field(default_factory=list)
    unreadable: dict[str, ArchiveError] = field(default_factory=dict)


def _contents(files: Files) -> _Contents:
    contents = _Contents()
    inside = {name for name in files if any(map(_OWNERS_ID.fullmatch, name.split("/")[:-1]))}
    for name in files:
        if name not in inside:
            _look_for_sheet(files[name], contents)
    sheet_folders = {_folder_of(sheet) for sheet in contents.sheets}
    for name in filter(inside.__contains__, files):
        if attachment := _attachment_in(sheet_folders, files[name]):
            contents.attachments.append(attachment)
        else:
            # the name of the folder is another number, such as a year
            _look_for_sheet(files[name], contents)
    contents.sheets.sort(key=lambda sheet: _parse_name(sheet.file)["stamp"] or "", reverse=True)
    contents.sheets.sort(key=lambda sheet: sheet.kind == "history")
    return contents


def _look_for_sheet(file: File, contents: _Contents) -> None:
    try:
        sheet = sheet_in(file)
    except ArchiveError as error:
        contents.unreadable[file.name] = error
    else:
        contents.sheets += [sheet] if sheet else []


def _attachment_in(sheet_folders: Collection[PurePosixPath], file: File) -> _Attachment | None:
    """Return a file as an attachment if its folder has an id as its name and is beside a sheet."""
    path = PurePosixPath(file.name)
    for folder in path.parents:
        if _OWNERS_ID.fullmatch(folder.name) and folder.parent in sheet_folders:
            return _Attachment(int(folder.name), str(path.relative_to(folder)), file)
    return None


def _folder_of(sheet: Sheet) -> PurePosixPath:
    return PurePosixPath(sheet.file.name).parent


def _parse_name(file: File) -> dict[str, str | None]:
    """Split a file name into project and time: `<project>_<YYYYMMDD>_<HHMM>.csv`."""
    stem = PurePosixPath(file.name).stem
    match = _STAMP.fullmatch(stem)
    return match.groupdict() if match else {"project": stem, "stamp": None}


class _ExportReader:
    """One reading of an export."""

    def __init__(self, files: Files, contents: _Contents, accounting: LoadAccounting) -> None:
        self._files = files
        self._attachments_source = files.source("attachments")
        self._contents = contents
        self._accounting = accounting
        self._people = PeopleByName()
        self._projects: dict[str, Project] = {}
        self._in_folder: defaultdict[PurePosixPath, list[Project]] = defaultdict(list)

    def records(self) -> Iterator[ArchiveRecord]:
        for sheet in self._contents.sheets:
            project, is_new = self._project_of(sheet)
            if is_new:
                record: Record = {"kind": "project", "id": project.id, "name": project.name}
                yield self._line_accounting(sheet).add_record("projects", record)
            if sheet.kind == "stories":
                yield from self._stories(sheet, project)
            else:
                yield from self._history(sheet, project)
        yield from self._people.records()
        for project in self._projects.values():
            yield from project.named.records()
        for attachment in self._contents.attachments:
            yield self._attachment(attachment)

    def _project_of(self, sheet: Sheet) -> tuple[Project, bool]:
        """Return the project of a sheet by the file's name, and whether it is a new one."""
        folder = _folder_of(sheet)
        if sheet.kind == "history" and len(self._in_folder[folder]) == 1:
            return self._in_folder[folder][0], False
        name = self._name_of(sheet)
        is_new = name.lower() not in self._projects
        project = self._projects.setdefault(name.lower(), Project(name))
        if project not in self._in_folder[folder]:
            self._in_folder[folder].append(project)
        return project, is_new

    def _name_of(self, sheet: Sheet) -> str:
        """Return the project's name: that in the file name, or in the folder's name.

        The folder is used if files in several folders have the same name, without a time in it.
        """
        named = _parse_name(sheet.file)
        name = named["project"] or sheet.file.name
        folders = {
            _folder_of(other)
            for other in self._contents.sheets
            if other.kind == "stories" and (_parse_name(other.file)["project"] or "") == name
        }
        if named["stamp"] or len(folders) < 2 or not _folder_of(sheet).name:
            return name
        match = _STAMP.fullmatch(_folder_of(sheet).name)
        return (match and match["project"]) or name

    def _line_accounting(self, sheet: Sheet) -> LineAccounting:
        return LineAccounting(self._accounting, self._files.source(sheet.file.name))

    def _stories(self, sheet: Sheet, project: Project) -> Iterator[ArchiveRecord]:
        accounting = self._line_accounting(sheet)
        rows = sheet.rows(partial(self._accounting.drop_value, accounting.source, "stories"))
        conventions = Conventions(sheet)
        stories = StoryRows(next(rows)[1], project, self._people, accounting, conventions)
        for line, cells in rows:
            yield from stories.records(line, cells)
        yield from stories.iterations()

    def _history(self, sheet: Sheet, project: Project) -> Iterator[ArchiveRecord]:
        accounting = self._line_accounting(sheet)
        rows = sheet.rows(partial(self._accounting.drop_value, accounting.source, "activity"))
        conventions = Conventions(sheet)
        history = HistoryRows(next(rows)[1], project, self._people, accounting, conventions.dates)
        for line, cells in rows:
            yield from history.records(line, cells)
        history.decide()
        accounting.assume("activity", conventions.assumption)

    def _attachment(self, attachment: _Attachment) -> ArchiveRecord:
        """Return the record of an attachment; its comment is not known."""
        owner_id = attachment.owner_id
        projects = list(self._projects.values())
        of_story = [p for p in projects if owner_id in p.story_ids]
        of_epic = [] if of_story else [p for p in projects if owner_id in p.epic_ids]
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
        self._accounting.read(self._attachments_source, "attachment_files")
        return ArchiveRecord(
            "attachment_files", record, self._attachments_source, attachment.file.open
        )
