"""Read the folder of `pt_backup.py`: files with JSON lists, and attachments in `attachments/`."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import PurePosixPath

from ..accounting import LoadAccounting
from ..files import Files
from ..format import ArchiveRecord
from ..records import parse_id
from .api_responses.saved_responses import candidates, is_whole, merge_responses
from .attachments import Attachments

_NAMES = ("memberships", "epics", "stories", "tasks", "comments", "activities")
"""The files in the order in which they were written; there is none for an empty list."""


class PtBackup:
    """Reads one project: records as the API returned them, tasks and comments in other files."""

    name = "pt_backup.py"
    gives_people = False

    def recognizes(self, files: Files) -> bool:
        """Check whether the stories and one of the other files are in the same folder."""
        folder = _folder(files)
        return folder is not None and is_whole(files, folder)

    def is_contained_in(self, files: Files) -> bool:
        """Check whether any of the folders is such a backup with attachments."""
        folder = _folder(files)
        return folder is not None and bool(_contents(files, folder / "attachments"))

    def claims(self, files: Files) -> Collection[str]:
        """Return the files with responses, including those of other tools, and the attachments."""
        folder = _folder(files)
        contents = _contents(files, folder / "attachments") if folder is not None else {}
        return {*candidates(files), *contents.values()}

    def read(self, files: Files, accounting: LoadAccounting) -> Iterator[ArchiveRecord]:
        """Yield all records, with tasks and comments in their stories, and the attachments."""
        folder = _folder(files)
        if folder is None:
            return
        names = _contents(files, folder / "attachments")
        attached = set(names.values())
        contents = {number: files[name] for number, name in names.items()}
        attachments = Attachments(contents, files.source("attachments"), accounting)
        for entry in merge_responses(files, [n for n in files if n not in attached], accounting):
            yield entry
            yield from attachments.of(entry)
        yield from attachments.rest()


def _folder(files: Files) -> PurePosixPath | None:
    """Return the folder of the files, which may be inside a ZIP; None if there is none."""
    for name in files:
        path = PurePosixPath(name)
        others = (str(path.with_name(f"{other}.json")) for other in _NAMES if other != "stories")
        if path.name == "stories.json" and any(other in files for other in others):
            return path.parent
    return None


def _contents(files: Files, folder: PurePosixPath) -> dict[int, str]:
    """Return the names of the attachments by id, which is the name of their folder."""
    contents: dict[int, str] = {}
    for name in files:
        path = PurePosixPath(name)
        number = parse_id(path.parent.name)
        if path.parent.parent == folder and number is not None:
            contents.setdefault(number, name)
    return contents
