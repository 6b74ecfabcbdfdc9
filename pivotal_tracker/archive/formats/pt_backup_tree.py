"""Read the folder of `pt-backup`, which contains only `projects/<project name>/stories.json`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import PurePosixPath

from ..accounting import LoadAccounting
from ..files import Files
from ..format import ArchiveRecord
from ..records import parse_id
from .api_responses.provenance import Provenance
from .api_responses.saved_responses import could_be_archives, merge_responses, read_responses

_STORIES = re.compile(r"(?:^|/)projects/[^/]+/stories\.(json|xml)$")


class PtBackupTree:
    """Reads the stories of several projects, which are named by their folders."""

    name = "pt-backup"
    gives_people = False

    def recognizes(self, files: Files) -> bool:
        """Check whether project folders contain stories in JSON, and there is no other archive."""
        stories = set(_stories(files))
        others = (name for name in files if name not in stories)
        return any(map(_is_json, stories)) and not could_be_archives(others)

    def claims(self, files: Files) -> Collection[str]:
        """Return the JSON files of stories."""
        return [name for name in _stories(files) if _is_json(name)]

    def read(self, files: Files, accounting: LoadAccounting) -> Iterator[ArchiveRecord]:
        """Yield all stories and their projects."""
        project_names = {
            project_id: PurePosixPath(name).parent.name
            for name in files
            if (project_id := _project_of(files, name)) is not None
        }
        for entry in merge_responses(files, list(files), accounting):
            if entry.table == "projects" and entry.record["id"] in project_names:
                entry.record.setdefault("name", project_names[entry.record["id"]])
            yield entry


def _is_json(name: str) -> bool:
    return name.endswith(".json")


def _stories(files: Files) -> list[str]:
    """Return the files of stories; the archive may be the folder `projects` or its parent."""
    prefix = "projects/" if files.path.resolve().name == "projects" else ""
    return [name for name in files if _STORIES.search(prefix + name)]


def _project_of(files: Files, name: str) -> int | None:
    """Return the project id of the first story in a file."""
    for story, _ in islice(read_responses(files[name], Provenance(""), LoadAccounting()), 1):
        return parse_id(story.get("project_id")) if isinstance(story, dict) else None
    return None
