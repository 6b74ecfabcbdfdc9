"""Files that former users of Tracker hold: one module a format, each giving API-shaped records."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from .api_answers import ApiAnswers
from .copies import Copies, Rank, known_values, rank_of
from .csv_export import ProjectExport
from .database_dumps import PIVOTAL_TRACKER_DUMP, STORYEXPORTER
from .files import ArchiveError, Files
from .format import FILES, Archive, Format, Found
from .opening import open_files
from .pivotaltrackerdump import PivotalTrackerDump
from .pt_backup import PtBackup
from .pt_backup_tree import PtBackupTree
from .tally import LeftOut, Tally, Totals

__all__ = [
    "FILES",
    "FORMATS",
    "Archive",
    "ArchiveError",
    "Copies",
    "Format",
    "Found",
    "LeftOut",
    "Opened",
    "Rank",
    "Tally",
    "Totals",
    "known_values",
    "open_archive",
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
    ApiAnswers(PtBackup().lies_in),
)
"""Every format that is read, in the order in which they are tried."""

_NOBODYS = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})
"""What file managers leave in folders."""


class UnknownArchiveError(ArchiveError):
    """Something that is no archive of any format."""


@dataclass
class Opened:
    """What was given, as far as it is known.

    Attributes:
        archives: What can be read, in the order given.
        unread: Why a path that was given cannot, by its name.
        ignored: What lies in a folder beside archives and is none.
    """

    archives: list[Archive] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)


def open_archives(paths: Iterable[str | Path]) -> Opened:
    """Recognises files and folders; a folder may be one archive, or hold several.

    Args:
        paths: Each is looked at as a whole; a folder that is not known as a whole, one level down.

    Raises:
        ArchiveError: There is nothing at one of the paths, or nothing known at any of them.
    """
    opened = Opened()
    for path in dict.fromkeys(Path(one).resolve() for one in paths):
        try:
            opened.archives.append(open_archive(path))
        except UnknownArchiveError as error:
            if not _open_inside(path, opened):
                opened.unread[path.name] = str(error)
        except ArchiveError as error:
            if not path.exists():
                raise
            opened.unread[path.name] = str(error)
    if not opened.archives:
        raise ArchiveError(next(iter(opened.unread.values()), "No archive was given."))
    return opened


def _open_inside(folder: Path, opened: Opened) -> bool:
    """Opens the archives in a folder, and says whether there are any."""
    archives, ignored = [], []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name.startswith(".") or path.name in _NOBODYS or path.is_symlink():
            continue
        try:
            archives.append(open_archive(path))
        except UnknownArchiveError:
            ignored.append(f"{folder.name}/{path.name}")
        except ArchiveError as error:
            opened.unread[f"{folder.name}/{path.name}"] = str(error)
    opened.archives += archives
    if archives:
        opened.ignored += ignored
    return bool(archives)


def open_archive(path: Path) -> Archive:
    """Recognises what a file or a folder holds by what is in it.

    Args:
        path: A file or a folder.

    Raises:
        UnknownArchiveError: No format recognises what is there.
        ArchiveError: There is nothing there, or it cannot be read.
    """
    files = open_files(path)
    for form in FORMATS:
        if form.recognises(files):
            return Archive(files, form)
    raise UnknownArchiveError(
        f"{path} is no archive that is known. Looked for: "
        f"{'; '.join(form.looks_like for form in FORMATS)}. Found: {_some_of(files)}."
    )


def _some_of(files: Files) -> str:
    """The first names in an archive, for a person to see what was looked at."""
    names = [*sorted(files), *(f"{name} ({why})" for name, why in files.refused.items())]
    more = f" and {len(names) - 5:,} more" if len(names) > 5 else ""
    return f"{', '.join(names[:5]) or 'nothing'}{more}"
