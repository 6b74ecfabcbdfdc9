"""Read the stories of a project: those that have changed, or all of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from functools import cached_property, partial
from typing import Any

from dlt.common.utils import chunks

from ..activity import ChangeSet, changes_from_activity, deletions_from_activity, is_iso_timestamp
from ..api.errors import EndpointNotSupportedError, UnreadableError
from ..records import Key, Record
from ..settings import (
    COMMENT_BATCH_SIZE,
    MAX_IDS_PER_REQUEST,
    UPDATED_OVERLAP,
)
from .list_reader import ProjectListReader
from .resource_reader import Job, ResourceReader, State
from .story_comments import StoryComments
from .story_requests import StoryRequests

MAX_RESCANS = 10
"""The maximum number of scans of a list that changes during each scan."""


class StoryReader(ProjectListReader):
    """Read the stories that activity names, or all stories if that is not enough."""

    def __init__(self, reader: ResourceReader, project: Record) -> None:
        super().__init__(reader, project)
        until = self.before.get("until")
        self._until = until if is_iso_timestamp(until) else ""
        self._reads_all = True
        self._is_doubtful = False
        self._requests = StoryRequests(reader.run, self.project_id, self._exists)
        self._found_by_id: list[Key] = []

    @property
    def will_read_all(self) -> bool:
        """Whether it is not known which stories may have changed."""
        return None in (self.before.get("version"), self.project.get("version"))

    @property
    def comments(self) -> StoryComments:
        """Fetches the comments of stories that came without them."""
        return self.reader.run.comments

    def known(self) -> dict[Key, str]:
        """Return the existing rows of the project; none if only some stories are read."""
        return super().known() if self._reads_all else {}

    def add_page(self, records: list[Record]) -> Iterable[Job]:
        """Add stories; for stories without comments, return jobs that fetch them first."""
        with_comments: list[Record] = []
        without_comments: list[Record] = []
        for story in records:
            (without_comments if self.comments.needs_fetch(story) else with_comments).append(story)
        self.add_records(with_comments)
        batches = list(chunks(without_comments, COMMENT_BATCH_SIZE))
        self._pending_pages += len(batches)
        return (partial(self._fetch_comments, batch) for batch in batches)

    def add_records(self, records: Iterable[Record]) -> None:
        """Add stories, and record the time of the latest update."""
        stories = list(records)
        times = (story.get("updated_at") for story in stories)
        self._until = max([self._until, *filter(is_iso_timestamp, times)])
        super().add_records(stories)

    def mark_missing(self, keys: Iterable[Key]) -> None:
        """Mark stories as missing from the project.

        Stories that moved to a project of another shard are left to its run. It replaces their
        rows; if it has done so already, deleting them here would delete the new rows.
        """
        keys = list(keys)
        if self.reader.run.other_shard_project_ids:
            self.reader.seen.update(self._moved_to_other_shard(keys))
        super().mark_missing(keys)

    def on_all_pages_read(self) -> Iterator[Any]:
        """Read missing stories by id before they are deleted: paging may have missed them."""
        has_shifted = self.may_have_shifted
        if not self._reads_all or not self._complete or (self.rows_missing and not has_shifted):
            yield from self.finish_list()
            return
        missing = self.missing()
        self._is_doubtful = bool(self.unexplained(missing))
        if self._is_doubtful and not self.is_repeated:
            yield from self.repeat()
            return
        ids = [*missing, *self.unlisted().difference(missing)]
        if ids or has_shifted:
            yield from self.reader.begin([partial(self._fetch_missing, ids, has_shifted)])
        else:
            yield from self.finish_list()

    @property
    def may_have_shifted(self) -> bool:
        """Whether stories may have moved between pages during the reading."""
        return len(self.versions) > 1 or (None in self.versions and self.pages > 1)

    def unlisted(self) -> set[Key]:
        """Return ids of new stories that are not in the list although they may exist."""
        return set()

    def next_state(self) -> State:
        """Return the project's version, and the time of the latest update of a story."""
        return {**super().next_state(), "until": self._until}

    def unexplained(self, missing: Collection[Key]) -> list[Key]:
        """Return the unexplained missing keys, without stories requested and not found."""
        return super().unexplained([key for key in missing if key not in self._requests.not_found])

    def finish_list(self) -> Iterator[Any]:
        """Delete missing rows and save the state; delete nothing if only some stories were read."""
        if error := self.comments.failed.pop(self.project_id, None):
            self.record_skipped(error)
        if self._reads_all:
            yield from super().finish_list()
            return
        if self._complete and not self._unusable:
            self.reader.remember(self.project_id, self.next_state())
        yield from self.reader.write()

    def _confirmed(self, missing: Collection[Key]) -> set[Key]:
        """Return the missing stories that were certainly deleted or moved."""
        if self.is_accepted:
            return set(missing)
        return {key for key in missing if key in self._requests.not_found} | self.explained(missing)

    def _save_result(self, missing: list[Key], kept: list[Key]) -> None:
        missing = sorted(self._confirmed(missing))
        # a list that lacks stories which exist may also lack new ones
        super()._save_result(missing, kept or (self._found_by_id if self._is_doubtful else []))

    def _add_with_comments(self, stories: list[Record]) -> Iterator[Any]:
        self.reader.record_attributes(stories)
        self.add_records(stories)
        yield from self.reader.write()
        yield from self.skip_page()

    def _take_changed(self, touched: ChangeSet, updated: list[list[Record]]) -> Iterator[Any]:
        """Add the updated stories, and yield jobs that read other touched stories by id."""
        self._reads_all = False
        ids = touched.stories | self._story_ids_referencing(touched)
        for stories in updated:
            self.add_records(stories)
            ids -= {story.get("id") for story in stories}
            yield from self.reader.write()
        batches = list(chunks(sorted(ids), MAX_IDS_PER_REQUEST))
        self._pending_pages += len(batches)
        yield from self.reader.begin(partial(self._fetch_touched, batch) for batch in batches)
        yield from self.skip_page()

    def _story_ids_referencing(self, touched: ChangeSet) -> set[int]:
        """Return the stories with a label or a review type that was touched: they show its name."""
        loaded, name = self.reader.run.loaded, self.reader.table.name
        labelled = loaded.rows(f"{name}__labels", ["story_id"], "id", touched.labels)
        reviewed = loaded.rows(
            f"{name}__reviews", ["story_id"], "review_type_id", touched.review_types
        )
        return {row[0] for row in (*labelled, *reviewed)}

    def _skip_stories(self, error: UnreadableError) -> Iterator[Any]:
        """Leave the project to the next run, because stories cannot be read by id."""
        self.record_skipped(error)
        if isinstance(error, EndpointNotSupportedError):
            # the next run reads the complete list
            self.reader.state.pop(str(self.project_id), None)
        yield from self.skip_page()

    def _add_touched(self, ids: Sequence[int], stories: list[Record]) -> Iterator[Any]:
        """Add stories read by id; the others are missing from the project."""
        self.add_records(stories)
        missing = self._confirmed(set(ids) - {story.get("id") for story in stories})
        loaded, name = self.reader.run.loaded, self.reader.table.name
        rows = loaded.rows(name, ["id", "project_id"], "id", missing)
        existing = [story_id for story_id, project_id in rows if project_id == self.project_id]
        without_row = missing - {story_id for story_id, _ in rows}
        self.mark_missing([*existing, *self._orphaned_children(without_row)])
        yield from self.reader.write()
        yield from self.skip_page()

    def _orphaned_children(self, ids: Iterable[int]) -> set[int]:
        """Return stories without a row that have child rows: a killed run may leave them."""
        loaded = self.reader.run.loaded
        nested = list(self.reader.table.family())[1:]
        return {
            story_id
            for member in nested
            for (story_id,) in loaded.rows(member.name, ["story_id"], "story_id", ids)
        }

    def _exists(self, story_id: int) -> bool:
        """Check whether a story exists, as far as its list can tell."""
        return story_id in self._listed or self._is_doubtful

    @cached_property
    def _listed(self) -> set[Key]:
        """The ids of the stories that the server lists."""
        return self.keys if self._reads_all else self._requests.all_ids()[0]

    def _moved_to_other_shard(self, ids: Iterable[int]) -> set[Key]:
        """Return the ids of stories that are in a project of another shard now."""
        run = self.reader.run
        deletions = deletions_from_activity(run.feeds.cached(self.project_id))
        deleted = {d["id"] for d in deletions if d["kind"] == "story" and d["change"] == "deleted"}
        return {
            story["id"]
            for key in ids
            if key not in deleted
            for story in self._requests.in_any_project(key)
            if story.get("project_id") in run.other_shard_project_ids
        }

    def _end_list(
        self, found: list[Record], shifted: list[Record], error: UnreadableError | None = None
    ) -> Iterator[Any]:
        """Add stories that the pages did not have, and end the list.

        Args:
            found: Those that were missing.
            shifted: Those that moved to a page that was read already, and new ones.
            error: Why they cannot be read.
        """
        if error is not None:
            self.record_skipped(error)
        self._found_by_id = [story["id"] for story in found]
        self.add_records([*found, *shifted])
        yield from self.finish_list()
        yield from self.reader.job_done()

    # these run in threads of dlt's pool; what they return, and all others, in dlt's own thread

    def begin_reading(self) -> Iterator[Any]:
        """Read the stories that may have changed, or the first page of all stories."""
        feed = self.changes()
        touched = changes_from_activity(feed) if feed is not None else None
        if touched is None or touched.affects_all:
            return super().begin_reading()
        updated: list[list[Record]] | None = []
        if self._until:
            updated = self._requests.updated_since(
                datetime.fromisoformat(self._until) - UPDATED_OVERLAP
            )
        return super().begin_reading() if updated is None else self._take_changed(touched, updated)

    def _fetch_comments(self, stories: Sequence[Record]) -> Iterator[Any]:
        return self._add_with_comments(self.comments.with_comments(stories, self.project_id))

    def _fetch_touched(self, ids: Sequence[int]) -> Iterator[Any]:
        """Fetch stories by id that activity names."""
        try:
            stories = self._requests.by_ids(ids)
            stories += self._fetch_still_existing(set(ids) - {story.get("id") for story in stories})
        except UnreadableError as error:
            return self._skip_stories(error)
        return self._add_touched(ids, stories)

    def _fetch_missing(self, ids: Collection[Key], has_shifted: bool) -> Iterator[Any]:
        """Fetch by id the stories that the pages did not have."""
        try:
            found = self._requests.by_ids(ids)
            found += self._fetch_still_existing(set(ids) - {story.get("id") for story in found})
            shifted = self._fetch_shifted() if has_shifted else []
        except UnreadableError as error:
            return self._end_list([], [], error)
        return self._end_list(found, shifted)

    def _fetch_still_existing(self, ids: Collection[int]) -> list[Record]:
        """Fetch missing stories one by one, and return those that still exist.

        A list that lacks a story does not prove that it was deleted; activity, or a 404 for the
        story, does.
        """
        if self.is_accepted:
            return []
        return self._requests.one_by_one(set(ids) - self._requests.not_found - self.explained(ids))

    def _fetch_shifted(self) -> list[Record]:
        """Fetch stories that moved to a page already read, or that are new."""
        found: dict[int, Record] = {}
        for _ in range(MAX_RESCANS):
            ids, is_steady = self._requests.all_ids()
            missing = ids - self.keys - found.keys()
            found |= {story["id"]: story for story in self._requests.by_ids(missing)}
            if is_steady:
                break
        return list(found.values())
