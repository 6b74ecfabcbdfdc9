"""Match projects that have only a name in an archive with projects that have an id."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace

from ... import tables
from ...load.destination_rows import DestinationReader
from ...records import Record
from ..duplicates import DuplicateIndex
from ..format import ArchiveRecord

_MAX_STORIES = 1_000
"""The number of stories of a project that are looked up; even one would nearly be enough."""


class ProjectsByName:
    """The projects of one archive that have no id, with some of their stories, which have ids.

    Args:
        loaded: The destination.
        copies: The records of the other archives.
    """

    def __init__(self, loaded: DestinationReader, copies: DuplicateIndex) -> None:
        self._loaded = loaded
        self._copies = copies
        self._stories: defaultdict[int, set[int]] = defaultdict(set)

    def add_story(self, story: Record) -> None:
        """Record a story, if its project has no id."""
        project_id, story_id = story.get("project_id"), story.get("id")
        if isinstance(project_id, int) and project_id < 0 and isinstance(story_id, int):
            stories = self._stories[project_id]
            if len(stories) < _MAX_STORIES:
                stories.add(story_id)

    def with_match(self, entry: ArchiveRecord) -> ArchiveRecord:
        """Return a project's record with `same_as_id`: the project with the same stories."""
        same_as_id = self._same_as(entry.record["id"])
        if same_as_id is None:
            return entry
        return replace(entry, record={**entry.record, "same_as_id": same_as_id})

    def _same_as(self, project_id: int) -> int | None:
        stories = self._stories.get(project_id, set())
        places = Counter(self._copies.project_of("stories", story_id) for story_id in stories)
        columns = ("id", "project_id")
        places.update(row[1] for row in self._loaded.rows("stories", columns, "id", stories))
        known = {project: count for project, count in places.items() if project and project > 0}
        if known:
            return max(known, key=lambda project: known[project])
        project_rows = self._loaded.records(tables.PROJECTS, [project_id])
        return project_rows[0].get("same_as_id") if project_rows else None
