"""Read the stories of a project: those that have changed, or all of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import Any

from dlt.common.utils import chunks

from ..activity import ChangeSet, changes_from_activity, deletions_from_activity, is_iso_timestamp
from ..api.errors import EndpointNotSupportedError, NotFoundError, UnreadableError
from ..records import Key, Record
from ..settings import (
    ANY_STORY,
    COMMENT_BATCH_SIZE,
    MAX_IDS_PER_REQUEST,
    ONE_STORY,
    STORIES_BY_ID,
    STORY_IDS,
    UPDATED_OVERLAP,
)
from .list_reader import ProjectListReader
from .resource_reader import State
from .story_comments import StoryComments

MAX_RESCANS = 10
"""The maximum number of scans of a list that changes during each scan."""


class StoryReader(ProjectListReader):
    """Read the stories that activity names, or all stories if that is not enough."""

    def __init__(self, reader: Any, project: Record) -> None:
        super().__init__(reader, project)
        until = self.before.get("until")
        self._until = until if is_iso_timestamp(until) else ""
        self._reads_all = True
        self._is_doubtful = False
        self._not_found: set[Key] = set()
        self._found_by_id: list[Key] = []

    @property
    def will_read_all(self) -> bool:
        """Whether it is not known which stories may have changed."""
        return None in (self.before.get("version"), self.project.get("version"))

    @property
    def comments(self) -> StoryComments:
        """Fetches the comments of stories that came without them."""
        return self.reader.run.comments

    def begin_reading(self) -> Iterator[Any]:
        """Read the stories that may have changed, or the first page of all stories."""
        feed = self.changes()
        touched = changes_from_activity(feed) if feed is not None else None
        updated = self._fetch_updated() if touched and not touched.affects_all else None
        if touched is None or updated is None:
            return super().begin_reading()
        self._reads_all = False
        return self._take_changed(touched, updated)

    def known(self) -> dict[Key, str]:
        """Return the existing rows of the project; none if only some stories are read."""
        return super().known() if self._reads_all else {}

    def add_page(self, records: list[Record]) -> Iterator[Any]:
        """Add stories; for stories without comments, yield jobs that fetch them first."""
        with_comments: list[Record] = []
        without_comments: list[Record] = []
        for story in records:
            (without_comments if self.comments.needs_fetch(story) else with_comments).append(story)
        yield from super().add_page(with_comments)
        batches = list(chunks(without_comments, COMMENT_BATCH_SIZE))
        self._pending_pages += len(batches)
        yield from self.reader.begin(partial(self._fetch_comments, batch) for batch in batches)

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
            yield from self.reader.begin([partial(self._verify_missing, ids, has_shifted)])
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
        return super().unexplained([key for key in missing if key not in self._not_found])

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
        return {key for key in missing if key in self._not_found} | self.explained(missing)

    def _save_result(self, missing: list[Key], kept: list[Key]) -> None:
        missing = sorted(self._confirmed(missing))
        # a list that lacks stories which exist may also lack new ones
        super()._save_result(missing, kept or (self._found_by_id if self._is_doubtful else []))

    def _fetch_comments(self, stories: Sequence[Record]) -> Iterator[Any]:
        return self._add_with_comments(self.comments.with_comments(stories, self.project_id))

    def _add_with_comments(self, stories: list[Record]) -> Iterator[Any]:
        self.reader.record_attributes(stories)
        self.add_records(stories)
        yield from self.reader.write()
        yield from self.skip_page()

    def _fetch_updated(self) -> list[list[Record]] | None:
        """Fetch the stories updated since the last run, by page; None if this is not supported."""
        if not self._until:
            return []
        since = datetime.fromisoformat(self._until) - UPDATED_OVERLAP
        extra_params = {"updated_after": since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
        pages: list[list[Record]] = []
        offset: int | None = 0
        while offset is not None:
            try:
                get = self.client.later_page if offset else self.client.page
                page = get(self.reader.endpoint, offset, extra_params, id=self.project_id)
                pages.append(self.client.records(page))
            except UnreadableError:
                return None
            offset = next(iter(page.next_offsets(len(pages[-1]))), None)
            if page.total is None and len(pages) > 1:
                # the server may ignore `updated_after` and return everything
                return None
        return [self.comments.with_comments(stories, self.project_id) for stories in pages]

    def _take_changed(self, touched: ChangeSet, updated: list[list[Record]]) -> Iterator[Any]:
        """Add the updated stories, and yield jobs that read other touched stories by id."""
        ids = touched.stories | self._story_ids_referencing(touched)
        for stories in updated:
            self.add_records(stories)
            ids -= {story.get("id") for story in stories}
            yield from self.reader.write()
        batches = list(chunks(sorted(ids), MAX_IDS_PER_REQUEST))
        self._pending_pages += len(batches)
        yield from self.reader.begin(partial(self._refetch, batch) for batch in batches)
        yield from self.skip_page()

    def _story_ids_referencing(self, touched: ChangeSet) -> set[int]:
        """Return the stories with a label or a review type that was touched: they show its name."""
        loaded, name = self.reader.run.loaded, self.reader.table.name
        labelled = loaded.rows(f"{name}__labels", ["story_id"], "id", touched.labels)
        reviewed = loaded.rows(
            f"{name}__reviews", ["story_id"], "review_type_id", touched.review_types
        )
        return {row[0] for row in (*labelled, *reviewed)}

    def _refetch(self, ids: Sequence[int]) -> Iterator[Any]:
        try:
            return self._add_refetched(ids, self._fetch_by_ids(ids))
        except UnreadableError as error:
            self.record_skipped(error)
            if isinstance(error, EndpointNotSupportedError):
                # stories cannot be read by id: the next run reads the complete list
                self.reader.state.pop(str(self.project_id), None)
            return self.skip_page()

    def _add_refetched(self, ids: Sequence[int], stories: list[Record]) -> Iterator[Any]:
        """Add stories read by id; the others are missing from the project."""
        missing = set(ids) - {story.get("id") for story in stories}
        stories = [*stories, *self._fetch_still_existing(missing)]
        self.add_records(stories)
        missing = self._confirmed(missing - {story.get("id") for story in stories})
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

    def _fetch_by_ids(self, ids: Iterable[int]) -> list[Record]:
        """Fetch stories by id, in few requests; stories that do not exist are left out."""
        stories: list[Record] = []
        server = self.reader.run.server
        for chunk in chunks(sorted(ids), MAX_IDS_PER_REQUEST):
            if server.unsupported(STORIES_BY_ID.path):
                stories += self._fetch_singly(chunk)
                continue
            try:
                page = self.client.page(
                    STORIES_BY_ID,
                    extra_params={"ids": ",".join(map(str, chunk))},
                    id=self.project_id,
                )
                stories += self.client.records(page)
            except UnreadableError as error:
                if isinstance(error, EndpointNotSupportedError):
                    server.add_unsupported(STORIES_BY_ID.path, str(error))
                stories += self._fetch_singly(chunk)
        return self.comments.with_comments(stories, self.project_id)

    def _fetch_still_existing(self, ids: Collection[int]) -> list[Record]:
        """Fetch missing stories one by one, and return those that still exist.

        A list that lacks a story does not prove that it was deleted; activity, or a 404 for the
        story, does.
        """
        doubtful = set(ids) - self._not_found - self.explained(ids)
        stories = [] if self.is_accepted else self._fetch_singly(sorted(doubtful))
        return self.comments.with_comments(stories, self.project_id)

    def _fetch_singly(self, ids: Iterable[int]) -> list[Record]:
        stories: list[Record] = []
        for story_id in ids:
            try:
                page = self.client.page(ONE_STORY, id=self.project_id, story_id=story_id)
                stories += self.client.records(page)
            except NotFoundError:
                self._not_found.add(story_id)
            except EndpointNotSupportedError:
                # a server may send this for a deleted story
                if story_id in self._listed or self._is_doubtful:
                    raise
                self._not_found.add(story_id)
        return stories

    @cached_property
    def _listed(self) -> set[Key]:
        """The ids of the stories that the server lists."""
        return self.keys if self._reads_all else self._scan_ids()[0]

    def _moved_to_other_shard(self, ids: Iterable[int]) -> set[Key]:
        """Return the ids of stories that are in a project of another shard now."""
        run = self.reader.run
        deletions = deletions_from_activity(run.feeds.cached(self.project_id))
        deleted = {d["id"] for d in deletions if d["kind"] == "story" and d["change"] == "deleted"}
        stories = [s for key in ids if key not in deleted for s in self._fetch_any_project(key)]
        return {s["id"] for s in stories if s.get("project_id") in run.other_shard_project_ids}

    def _fetch_any_project(self, story_id: int) -> list[Record]:
        """Fetch a story from any project, if this token may see it."""
        try:
            return self.client.records(self.client.page(ANY_STORY, story_id=story_id))
        except UnreadableError:
            return []

    def _verify_missing(self, ids: Collection[Key], has_shifted: bool) -> Iterator[Any]:
        """Read by id the stories that the pages did not have."""
        try:
            found = self._fetch_by_ids(ids)
            found += self._fetch_still_existing(set(ids) - {story.get("id") for story in found})
            self._found_by_id = [story["id"] for story in found]
            return self._finish_with([*found, *(self._fetch_shifted() if has_shifted else [])])
        except UnreadableError as error:
            self.record_skipped(error)
            return self._finish_with([])

    def _finish_with(self, stories: list[Record]) -> Iterator[Any]:
        self.add_records(stories)
        yield from self.finish_list()
        yield from self.reader.job_done()

    def _fetch_shifted(self) -> list[Record]:
        """Fetch stories that moved to a page already read, or that are new."""
        found: dict[int, Record] = {}
        for _ in range(MAX_RESCANS):
            ids, is_steady = self._scan_ids()
            missing = ids - self.keys - found.keys()
            found |= {story["id"]: story for story in self._fetch_by_ids(missing)}
            if is_steady:
                break
        return list(found.values())

    def _scan_ids(self) -> tuple[set[int], bool]:
        """Return the ids of all stories, and whether the project did not change meanwhile."""
        ids: set[int] = set()
        versions: set[int | None] = set()
        offset: int | None = 0
        while offset is not None:
            get = self.client.later_page if offset else self.client.page
            page = get(STORY_IDS, offset, id=self.project_id)
            records = self.client.records(page)
            new = {r["id"] for r in records if isinstance(r.get("id"), int)} - ids
            ids |= new
            versions.add(page.version)
            offset = next(iter(page.next_offsets(len(records))), None) if new else None
        return ids, len(versions) == 1
