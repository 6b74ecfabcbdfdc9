"""The `out` folder of `pivotaltrackerdump`: a file for each path of the API, a list of answers."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import PurePosixPath

from ..files import Files
from ..format import FILES, Found
from ..tally import Tally
from .api_responses.api_answers import candidates, gathered, is_whole

_ANSWERS = re.compile(r"(?:^|/)projects_project_id(?:_\w+)?\.json$")
_CACHE = re.compile(r"(?:^|/)cache\.json$")
_HEAD = 4096


class PivotalTrackerDump:
    """One project; the files are copies of what `cache.json` holds, which may also be alone."""

    name = "pivotaltrackerdump"
    looks_like = "the projects_project_id*.json or the cache.json of pivotaltrackerdump"
    may_repeat = False
    gives_people = False

    def recognises(self, files: Files) -> bool:
        """Whether there are files named after paths, or a cache that tells of paths."""
        answers = [name for name in files if _ANSWERS.search(name)]
        caches = [name for name in files if _is_cache(files, name)]
        folders = {PurePosixPath(name).parent for name in answers or caches}
        return len(folders) == 1 and is_whole(files, *folders)

    def claims(self, files: Files) -> Collection[str]:
        """The saved answers, also those that `pivotaltrackerdump` did not write."""
        return candidates(files)

    def read(self, files: Files, tally: Tally) -> Iterator[Found]:
        """All records once: stories are in the iterations too, activity in several files."""
        has_answers = any(_ANSWERS.search(name) for name in files)
        caches = {name for name in files if has_answers and _is_cache(files, name)}
        for name in caches:
            tally.read(files.label, FILES)
            tally.leave_out(files.label, FILES, "the files beside it hold the same", name)
        yield from gathered(files, [name for name in files if name not in caches], tally)


def _is_cache(files: Files, name: str) -> bool:
    if not _CACHE.search(name):
        return False
    with closing(files[name].open()) as stream:
        return b'"PathTemplate"' in stream.read(_HEAD)
