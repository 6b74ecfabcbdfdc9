"""Read the files that former Tracker users have: one module per format, yielding API records."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from .accounting import LoadAccounting
from .duplicates import DuplicateIndex, Rank, count_values, rank_of
from .file_listing import open_files
from .files import ArchiveError, Files
from .format import Archive, ArchiveRecord, Format
from .formats.api_responses.saved_responses import ApiResponses
from .formats.databases.database_dumps import PIVOTAL_TRACKER_DUMP, STORYEXPORTER
from .formats.pivotaltrackerdump import PivotalTrackerDump
from .formats.project_export.csv_export import ProjectExport
from .formats.pt_backup import PtBackup
from .formats.pt_backup_tree import PtBackupTree
from .limits import MAX_ZIP_NESTING
from .unrecognized import refusal, why_unknown
from .zips import is_zip, open_zip

__all__ = [
    "FORMATS",
    "Archive",
    "ArchiveError",
    "ArchiveRecord",
    "DuplicateIndex",
    "Format",
    "LoadAccounting",
    "OpenedArchives",
    "Rank",
    "count_values",
    "open_archives",
    "rank_of",
]

FORMATS: tuple[Format, ...] = (
    PtBackup(),
    PivotalTrackerDump(),
    PtBackupTree(),
    ProjectExport(),
    STORYEXPORTER,
    PIVOTAL_TRACKER_DUMP,
    ApiResponses(PtBackup().is_contained_in),
)
"""All formats, in the order in which they are tried."""


@dataclass
class OpenedArchives:
    """The archives recognized at some paths, and what could not be read there.

    Attributes:
        archives: The archives that can be read, in the order of the paths.
        unread: Why a path or an archive in it cannot be read, by its name.
        ignored: Files that are beside archives in a folder and are not archives.
    """

    archives: list[Archive] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)

    def add(self, name: str, inside: OpenedArchives) -> None:
        """Add the contents of a folder, a ZIP or a file with this name."""
        self.archives += inside.archives
        self.unread |= {
            f"{name}/{inner}".rstrip("/"): reason for inner, reason in inside.unread.items()
        }
        self.ignored += [f"{name}/{inner}".rstrip("/") for inner in inside.ignored]


def open_archives(paths: Iterable[str | Path]) -> OpenedArchives:
    """Recognize files and folders; each may be one archive or contain several.

    Args:
        paths: Each is tried as one archive first. If no format recognizes it, its folders, files
            and ZIPs are tried one by one.

    Raises:
        ArchiveError: A path does not exist, or none of them contains an archive.
    """
    opened = OpenedArchives()
    for path in dict.fromkeys(Path(path).resolve() for path in paths):
        try:
            files = open_files(path)
        except ArchiveError as error:
            if not path.exists():
                raise
            opened.unread[path.name] = str(error)
        else:
            inside = _archives_in(files, "" if path.is_dir() else f"{path.name}/")
            if not inside.archives and not inside.unread:
                inside = OpenedArchives(unread={"": refusal(files)})
            opened.add(path.name, inside)
    if not opened.archives:
        raise ArchiveError(next(iter(opened.unread.values()), "No archive was given."))
    return opened


def _archives_in(files: Files, prefix: str, level: int = 0) -> OpenedArchives:
    """Recognize files together, then those that no archive claims one by one.

    Args:
        files: The files of one folder or ZIP.
        prefix: The start of the names of the archives in it.
        level: The number of ZIPs that contain it.
    """
    opened = OpenedArchives()
    rest = files
    while rest and (file_format := _format_of(rest)):
        claimed = file_format.claims(rest)
        opened.archives.append(Archive(rest.only(claimed), file_format))
        rest = rest.only(rest.keys() - set(claimed))
    whole = [archive.files for archive in opened.archives]
    for top, entry in sorted(rest.entries(prefix).items()):
        if not top.startswith("."):
            opened.add(top, _archives_in_entry(top, entry, level))
    if whole:
        whole[0].refused |= files.refused
        whole[0].unclaimed |= {
            name: f"not recognized: {why_unknown(rest[name])}"
            for name in opened.ignored
            if name in rest
        }
        opened.ignored = [name for name in opened.ignored if name not in rest]
    else:
        opened.ignored += [f"{name} ({reason})" for name, reason in files.refused.items()]
    return opened


def _archives_in_entry(name: str, entry: Files, level: int) -> OpenedArchives:
    """Recognize a folder, a ZIP, or a single file."""
    if list(entry) != [name]:
        return _archives_in(entry, f"{entry.label}/", level)
    try:
        packed = open_zip(entry[name], entry.label) if is_zip(entry[name]) else None
        if packed is None:
            file_format = _format_of(entry)
            return (
                OpenedArchives([Archive(entry, file_format)])
                if file_format
                else OpenedArchives(ignored=[""])
            )
        if level == MAX_ZIP_NESTING:
            return OpenedArchives(unread={"": "it is inside too many ZIPs: unpack them"})
        inside = _archives_in(packed, f"{entry.label}/", level + 1)
        return inside if inside.archives or inside.unread else OpenedArchives(ignored=[""])
    except ArchiveError as error:
        return OpenedArchives(unread={"": str(error)})


def _format_of(files: Files) -> Format | None:
    """Return the format of files taken together.

    Returns:
        None if no format recognizes them, or if one of several files is damaged.

    Raises:
        ArchiveError: There is only one file, and it is damaged.
    """
    try:
        return next((file_format for file_format in FORMATS if file_format.recognizes(files)), None)
    except ArchiveError:
        if len(files) == 1:
            raise
        return None
