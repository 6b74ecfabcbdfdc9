"""Reads the stories of a project: those that have changed, or all of them."""

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
    COMMENTED_AT_ONCE,
    MAX_IDS_PER_REQUEST,
    ONE_STORY,
    OVERLAP,
    STORIES_BY_ID,
    STORY_IDS,
)
from .list_reader import ProjectListReader
from .resource_reader import State
from .story_comments import StoryComments

MAX_RESCANS = 10
"""So often is a list walked through again that changes while it is."""


class StoryReader(ProjectListReader):
    """The stories of a project: those that its activity names, or all where that is not enough."""

    def __init__(self, reading: Any, project: Record) -> None:
        super().__init__(reading, project)
        until = self.before.get("until")
        self._until = until if is_iso_timestamp(until) else ""
        self._reads_all = True
        self._is_doubtful = False
        self._not_found: set[Key] = set()
        self._found_by_id: list[Key] = []

    @property
    def will_read_all(self) -> bool:
        """Whether nothing can tell which stories may have changed."""
        return None in (self.before.get("version"), self.project.get("version"))

    @property
    def comments(self) -> StoryComments:
        """Where to have the comments of stories that came without."""
        return self.reading.run.comments

    def begin_reading(self) -> Iterator[Any]:
        """Read what may have changed since the last run, or the first page of everything."""
        feed = self.changes()
        touched = changes_from_activity(feed) if feed is not None else None
        updated = self._updated() if touched and not touched.everything else None
        if touched is None or updated is None:
            return super().begin_reading()
        self._reads_all = False
        return self._take_changed(touched, updated)

    def known(self) -> dict[Key, str]:
        """What the destination holds of the project's stories; nothing where only some are read."""
        return super().known() if self._reads_all else {}

    def add_page(self, records: list[Record]) -> Iterator[Any]:
        """Add the rows of stories; of those that came without comments, once these are there."""
        with_comments: list[Record] = []
        without_comments: list[Record] = []
        for story in records:
            (without_comments if self.comments.are_missing(story) else with_comments).append(story)
        yield from super().add_page(with_comments)
        parts = list(chunks(without_comments, COMMENTED_AT_ONCE))
        self._pending_pages += len(parts)
        yield from self.reading.begin(partial(self._fetch_comments, part) for part in parts)

    def take(self, records: Iterable[Record]) -> None:
        """Add stories, and note when the last of them was updated."""
        stories = list(records)
        times = (story.get("updated_at") for story in stories)
        self._until = max([self._until, *filter(is_iso_timestamp, times)])
        super().take(stories)

    def mark_missing(self, keys: Iterable[Key]) -> None:
        """Note that the project has these no more.

        Those that another shard has now are left to its run: what it writes takes the place of
        their rows, and if it has done so already, deleting them here would take that out.
        """
        keys = list(keys)
        if self.reading.run.other_shard_project_ids:
            self.reading.seen.update(self._moved_to_other_shard(keys))
        super().mark_missing(keys)

    def completed(self) -> Iterator[Any]:
        """Look for what paging may have missed before anything is called gone."""
        has_shifted = self.may_have_shifted
        if not self._reads_all or not self._complete or (self.rows_missing and not has_shifted):
            yield from self.settle()
            return
        gone = self.missing()
        self._is_doubtful = bool(self.unexplained(gone))
        if self._is_doubtful and not self.is_repeated:
            yield from self.repeat()
            return
        wanted = [*gone, *self.unlisted().difference(gone)]
        if wanted or has_shifted:
            yield from self.reading.begin([partial(self._verify_missing, wanted, has_shifted)])
        else:
            yield from self.settle()

    @property
    def may_have_shifted(self) -> bool:
        """Whether stories may have moved from page to page while these were read."""
        return len(self.versions) > 1 or (None in self.versions and self.pages > 1)

    def unlisted(self) -> set[Key]:
        """Stories that are not in the list and may be there, beside those that were loaded."""
        return set()

    def next_state(self) -> State:
        """Return the project's version, and when the last of its stories was updated."""
        return {**super().next_state(), "until": self._until}

    def unexplained(self, missing: Collection[Key]) -> list[Key]:
        """As of any list, without the stories that the server does not have when asked for each."""
        return super().unexplained([key for key in missing if key not in self._not_found])

    def settle(self) -> Iterator[Any]:
        """As a list read whole; where it was not, nothing is gone for not having been read."""
        if error := self.comments.failed.pop(self.project_id, None):
            self.record_skipped(error)
        if self._reads_all:
            yield from super().settle()
            return
        if self._complete and not self._unusable:
            self.reading.remember(self.project_id, self.next_state())
        yield from self.reading.write()

    def _confirmed(self, missing: Collection[Key]) -> set[Key]:
        """Return those of the missing stories that are deleted or moved for sure."""
        if self.is_accepted:
            return set(missing)
        return {key for key in missing if key in self._not_found} | self.explained(missing)

    def _settle(self, missing: list[Key], kept: list[Key]) -> None:
        missing = sorted(self._confirmed(missing))
        # a list without stories that the server has may record_unsupported new ones too
        super()._settle(missing, kept or (self._found_by_id if self._is_doubtful else []))

    def _fetch_comments(self, stories: Sequence[Record]) -> Iterator[Any]:
        return self._add_with_comments(self.comments.added(stories, self.project_id))

    def _add_with_comments(self, stories: list[Record]) -> Iterator[Any]:
        self.reading.record_attributes(stories)
        self.take(stories)
        yield from self.reading.write()
        yield from self.skip()

    def _updated(self) -> list[list[Record]] | None:
        """Return the stories updated since the last run; None where the server does not tell."""
        if not self._until:
            return []
        since = datetime.fromisoformat(self._until) - OVERLAP
        extra_params = {"updated_after": since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
        pages: list[list[Record]] = []
        offset: int | None = 0
        while offset is not None:
            try:
                get = self.client.later_page if offset else self.client.page
                page = get(self.reading.endpoint, offset, extra_params, id=self.project_id)
                pages.append(self.client.records(page))
            except UnreadableError:
                return None
            offset = next(iter(page.next_offsets(len(pages[-1]))), None)
            if page.total is None and len(pages) > 1:
                # it may be ignoring what was asked, and giving everything
                return None
        return [self.comments.added(stories, self.project_id) for stories in pages]

    def _take_changed(self, touched: ChangeSet, updated: list[list[Record]]) -> Iterator[Any]:
        """Take the stories that were updated, and has the others that were touched read again."""
        ids = touched.stories | self._story_ids_referencing(touched)
        for stories in updated:
            self.take(stories)
            ids -= {story.get("id") for story in stories}
            yield from self.reading.write()
        wanted = sorted(ids)
        parts = list(chunks(wanted, MAX_IDS_PER_REQUEST))
        self._pending_pages += len(parts)
        yield from self.reading.begin(partial(self._refetch, part) for part in parts)
        yield from self.skip()

    def _story_ids_referencing(self, touched: ChangeSet) -> set[int]:
        """Return the stories that show the name of a label or a review type that was touched."""
        loaded, name = self.reading.run.loaded, self.reading.table.name
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
                # nothing can be read by its id: the next run reads the project whole
                self.reading.state.pop(str(self.project_id), None)
            return self.skip()

    def _add_refetched(self, ids: Sequence[int], stories: list[Record]) -> Iterator[Any]:
        """Take stories read by id; those that did not come are gone from the project."""
        missing = set(ids) - {story.get("id") for story in stories}
        stories = [*stories, *self._fetch_still_existing(missing)]
        self.take(stories)
        missing = self._confirmed(missing - {story.get("id") for story in stories})
        loaded, name = self.reading.run.loaded, self.reading.table.name
        rows = loaded.rows(name, ["id", "project_id"], "id", missing)
        existing = [one for one, project_id in rows if project_id == self.project_id]
        self.mark_missing([*existing, *self._orphaned_children(missing - {one for one, _ in rows})])
        yield from self.reading.write()
        yield from self.skip()

    def _orphaned_children(self, ids: Iterable[int]) -> set[int]:
        """Those of which a run that was killed, and lost its files, has left nested rows alone."""
        loaded = self.reading.run.loaded
        nested = list(self.reading.table.family())[1:]
        return {
            story_id
            for member in nested
            for (story_id,) in loaded.rows(member.name, ["story_id"], "story_id", ids)
        }

    def _fetch_by_ids(self, ids: Iterable[int]) -> list[Record]:
        """Stories by id, in as few requests as the server lets; without those that it lacks."""
        stories: list[Record] = []
        server = self.reading.run.server
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
        return self.comments.added(stories, self.project_id)

    def _fetch_still_existing(self, ids: Collection[int]) -> list[Record]:
        """Those of the stories missing from a response that the server has when asked for each.

        A response without them alone does not prove that they are deleted; activity, or a 404 for
        the story, does.
        """
        doubtful = set(ids) - self._not_found - self.explained(ids)
        stories = [] if self.is_accepted else self._fetch_singly(sorted(doubtful))
        return self.comments.added(stories, self.project_id)

    def _fetch_singly(self, ids: Iterable[int]) -> list[Record]:
        stories: list[Record] = []
        for one in ids:
            try:
                page = self.client.page(ONE_STORY, id=self.project_id, story_id=one)
                stories += self.client.records(page)
            except NotFoundError:
                self._not_found.add(one)
            except EndpointNotSupportedError:
                # a server may say so of a story that is gone
                if one in self._listed or self._is_doubtful:
                    raise
                self._not_found.add(one)
        return stories

    @cached_property
    def _listed(self) -> set[Key]:
        """The ids of the stories that the server lists."""
        return self.own if self._reads_all else self._scan_ids()[0]

    def _moved_to_other_shard(self, ids: Iterable[int]) -> set[Key]:
        """Return the ids of those that are in a project of another shard now."""
        run = self.reading.run
        deletions = deletions_from_activity(run.feeds.known(self.project_id))
        deleted = {d["id"] for d in deletions if d["kind"] == "story" and d["change"] == "deleted"}
        stories = [s for one in ids if one not in deleted for s in self._fetch_any_project(one)]
        return {s["id"] for s in stories if s.get("project_id") in run.other_shard_project_ids}

    def _fetch_any_project(self, story_id: int) -> list[Record]:
        """Return a story in whichever project it is, if this token may see it there."""
        try:
            return self.client.records(self.client.page(ANY_STORY, story_id=story_id))
        except UnreadableError:
            return []

    def _verify_missing(self, gone: Collection[Key], has_shifted: bool) -> Iterator[Any]:
        """Read by id what the pages did not have: what seems gone, and what slipped between."""
        try:
            found = self._fetch_by_ids(gone)
            found += self._fetch_still_existing(set(gone) - {story.get("id") for story in found})
            self._found_by_id = [story["id"] for story in found]
            return self._finish_with([*found, *(self._fetch_shifted() if has_shifted else [])])
        except UnreadableError as error:
            self.record_skipped(error)
            return self._finish_with([])

    def _finish_with(self, stories: list[Record]) -> Iterator[Any]:
        self.take(stories)
        yield from self.settle()
        yield from self.reading.end_one()

    def _fetch_shifted(self) -> list[Record]:
        """The stories that moved to a page already read while another was, or came meanwhile."""
        found: dict[int, Record] = {}
        for _ in range(MAX_RESCANS):
            ids, is_steady = self._scan_ids()
            missing = ids - self.own - found.keys()
            found |= {story["id"]: story for story in self._fetch_by_ids(missing)}
            if is_steady:
                break
        return list(found.values())

    def _scan_ids(self) -> tuple[set[int], bool]:
        """Return the ids of all stories, and whether the project stayed as it was meanwhile."""
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
