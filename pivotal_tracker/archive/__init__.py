"""Files that former users of Tracker hold: one module a format, each giving API-shaped records."""

from __future__ import annotations

from pathlib import Path

from .api_answers import ApiAnswers
from .database_dumps import PIVOTAL_TRACKER_DUMP, STORYEXPORTER
from .files import ArchiveError, Files
from .format import Archive, Format, Found
from .opening import open_files
from .pivotaltrackerdump import PivotalTrackerDump
from .pt_backup import PtBackup
from .pt_backup_tree import PtBackupTree
from .tally import Tally

__all__ = ["FORMATS", "Archive", "ArchiveError", "Format", "Found", "Tally", "open_archive"]

FORMATS: tuple[Format, ...] = (
    PtBackup(),
    PivotalTrackerDump(),
    PtBackupTree(),
    STORYEXPORTER,
    PIVOTAL_TRACKER_DUMP,
    ApiAnswers(),
)
"""Every format that is read, in the order in which they are tried."""


def open_archive(path: Path) -> Archive:
    """Recognises what a file or a folder holds by what is in it.

    Args:
        path: A file or a folder.

    Raises:
        ArchiveError: There is nothing there, or nothing that any format recognises.
    """
    files = open_files(path)
    for form in FORMATS:
        if form.recognises(files):
            return Archive(files, form)
    raise ArchiveError(
        f"{path} is no archive that is known. Looked for: "
        f"{'; '.join(form.looks_like for form in FORMATS)}. Found: {_some_of(files)}."
    )


def _some_of(files: Files) -> str:
    """The first names in an archive, for a person to see what was looked at."""
    names = [*sorted(files), *(f"{name} ({why})" for name, why in files.refused.items())]
    more = f" and {len(names) - 5:,} more" if len(names) > 5 else ""
    return f"{', '.join(names[:5]) or 'nothing'}{more}"
