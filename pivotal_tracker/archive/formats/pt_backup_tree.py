"""What `pt-backup` wrote: `projects/<name of the project>/stories.json`, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import PurePosixPath

from ..files import Files
from ..format import Found
from ..records import whole_number
from ..tally import Tally
from .api_responses.api_answers import answers_in, could_be_archives, gathered
from .api_responses.origin import Origin

_STORIES = re.compile(r"(?:^|/)projects/[^/]+/stories\.(json|xml)$")


class PtBackupTree:
    """Stories of any number of projects, whose names are those of the folders."""

    name = "pt-backup"
    looks_like = "the projects/<name>/stories.json of pt-backup"
    may_repeat = False
    gives_people = False

    def recognises(self, files: Files) -> bool:
        """Whether stories lie in a folder of their project's, in JSON, and nothing like them."""
        stories = set(_stories(files))
        others = (name for name in files if name not in stories)
        return any(map(_is_json, stories)) and not could_be_archives(others)

    def claims(self, files: Files) -> Collection[str]:
        """The files of stories in JSON."""
        return [name for name in _stories(files) if _is_json(name)]

    def read(self, files: Files, tally: Tally) -> Iterator[Found]:
        """All stories, and the projects that they are of."""
        project_names = {
            project_id: PurePosixPath(name).parent.name
            for name in files
            if (project_id := _project_of(files, name)) is not None
        }
        for found in gathered(files, list(files), tally):
            if found.table == "projects" and found.record["id"] in project_names:
                found.record.setdefault("name", project_names[found.record["id"]])
            yield found


def _is_json(name: str) -> bool:
    return name.endswith(".json")


def _stories(files: Files) -> list[str]:
    """The files of stories, whether the folder `projects` was given or what it lies in."""
    prefix = "projects/" if files.path.resolve().name == "projects" else ""
    return [name for name in files if _STORIES.search(prefix + name)]


def _project_of(files: Files, name: str) -> int | None:
    """The project that the first story of a file says it is of."""
    for story, _ in islice(answers_in(files[name], Origin(""), Tally()), 1):
        return whole_number(story.get("project_id")) if isinstance(story, dict) else None
    return None
