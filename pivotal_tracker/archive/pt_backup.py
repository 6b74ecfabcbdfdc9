"""The folder that `pt_backup.py` wrote: a JSON list a file, and attachments in `attachments/`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from .api_answers import gathered, is_whole, leave_files_out
from .attachments import Attachments
from .files import File, Files
from .format import Found
from .records import whole_number
from .tally import Tally

_NAMES = ("memberships", "epics", "stories", "tasks", "comments", "activities")
"""The files, in the order in which they were written; what a project had none of has no file."""


class PtBackup:
    """One project: its records as the API gave them, tasks and comments beside the stories."""

    name = "pt_backup.py"
    looks_like = "the stories.json of pt_backup.py beside its activities.json, tasks.json and so on"
    may_repeat = False

    def recognises(self, files: Files) -> bool:
        """Whether two of the files lie in one folder, the stories among them."""
        folder = _folder(files)
        return folder is not None and is_whole(files, folder)

    def lies_in(self, files: Files) -> bool:
        """Whether it is somewhere among the files, with attachments that no other format knows."""
        folder = _folder(files)
        return folder is not None and bool(_contents(files, folder / "attachments"))

    def read(self, files: Files, tally: Tally) -> Iterator[Found]:
        """All records, the tasks and comments in their stories, then what is attached to them."""
        folder = _folder(files)
        if folder is None:
            return
        paths = [str(folder / f"{name}.json") for name in _NAMES]
        names = [path for path in paths if path in files]
        contents = _contents(files, folder / "attachments")
        known = {*names, *(file.name for file in contents.values())}
        leave_files_out(files, (name for name in files if name not in known), tally)
        attachments = Attachments(contents, files.source("attachments"), tally)
        for found in gathered(files, names, tally):
            yield found
            yield from attachments.of(found)
        yield from attachments.rest()


def _folder(files: Files) -> PurePosixPath | None:
    """The folder in which the files lie; a ZIP may hold it."""
    for name in files:
        path = PurePosixPath(name)
        others = (str(path.with_name(f"{other}.json")) for other in _NAMES if other != "stories")
        if path.name == "stories.json" and any(other in files for other in others):
            return path.parent
    return None


def _contents(files: Files, folder: PurePosixPath) -> dict[int, File]:
    """The files of attachments, by the id that their folder is named by."""
    contents: dict[int, File] = {}
    for name, file in files.items():
        path = PurePosixPath(name)
        number = whole_number(path.parent.name)
        if path.parent.parent == folder and number is not None:
            contents.setdefault(number, file)
    return contents
