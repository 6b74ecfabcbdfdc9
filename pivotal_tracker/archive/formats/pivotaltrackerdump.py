"""Read the `out` folder of `pivotaltrackerdump`: a file with a list of responses per API path."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import PurePosixPath

from ..accounting import LoadAccounting
from ..files import Files
from ..format import FILES, ArchiveRecord
from .api_responses.saved_responses import candidates, is_whole, merge_responses

_RESPONSES = re.compile(r"(?:^|/)projects_project_id(?:_\w+)?\.json$")
_CACHE = re.compile(r"(?:^|/)cache\.json$")
_HEAD = 4096


class PivotalTrackerDump:
    """Reads one project; the files are copies of the contents of `cache.json`, which is enough."""

    name = "pivotaltrackerdump"
    gives_people = False

    def recognizes(self, files: Files) -> bool:
        """Check whether there are files named after paths, or a cache that contains paths."""
        response_files = [name for name in files if _RESPONSES.search(name)]
        caches = [name for name in files if _is_cache(files, name)]
        folders = {PurePosixPath(name).parent for name in response_files or caches}
        return len(folders) == 1 and is_whole(files, *folders)

    def claims(self, files: Files) -> Collection[str]:
        """Return the files with responses, including those of other tools."""
        return candidates(files)

    def read(self, files: Files, accounting: LoadAccounting) -> Iterator[ArchiveRecord]:
        """Yield all records once: stories are also in iterations, activity is in several files."""
        has_response_files = any(_RESPONSES.search(name) for name in files)
        caches = {name for name in files if has_response_files and _is_cache(files, name)}
        for name in caches:
            accounting.read(files.label, FILES)
            accounting.leave_out(files.label, FILES, "the files beside it contain the same", name)
        yield from merge_responses(
            files, [name for name in files if name not in caches], accounting
        )


def _is_cache(files: Files, name: str) -> bool:
    if not _CACHE.search(name):
        return False
    with closing(files[name].open()) as stream:
        return b'"PathTemplate"' in stream.read(_HEAD)
