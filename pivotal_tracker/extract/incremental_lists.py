"""The lists of a project that need not be read whole, and what tells which part of them changed."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import Any
from zoneinfo import ZoneInfo

from dlt.common.utils import chunks

from ..activity import Touched, deletions_in, is_time, touched_by
from ..api.client import NotOfferedError, Page, UnfoundError, UnreadableError
from ..records import Key, Record, in_tracker_words
from ..settings import (
    ANY_STORY,
    COMMENTED_AT_ONCE,
    MOST_IDS,
    ONE_STORY,
    OVERLAP,
    STORIES_BY_ID,
    STORY_IDS,
)
from .list_reader import ProjectList, State
from .story_comments import StoryComments

_MOST_WALKS = 10
"""So often is a list walked through again that changes while it is."""


class StoryList(ProjectList):
    """The stories of a project: those that its activity names, or all where that is not enough."""

    def __init__(self, reading: Any, project: Record) -> None:
        super().__init__(reading, project)
        until = self.before.get("until")
        self._until = until if is_time(until) else ""
        self._is_whole = True
        self._is_doubtful = False
        self._not_found: set[Key] = set()
        self._found_by_id: list[Key] = []

    @property
    def is_surely_whole(self) -> bool:
        """Whether nothing can tell which stories may have changed."""
        return None in (self.before.get("version"), self.project.get("version"))

    @property
    def comments(self) -> StoryComments:
        """Where to have the comments of stories that came without."""
        return self.reading.run.comments

    def first_job(self) -> Iterator[Any]:
        """Reads what may have changed since the last run, or the first page of everything."""
        feed = self.changes()
        touched = touched_by(feed) if feed is not None else None
        updated = self._updated() if touched and not touched.everything else None
        if touched is None or updated is None:
            return super().first_job()
        self._is_whole = False
        return self._take_changed(touched, updated)

    def known(self) -> dict[Key, str]:
        """What the destination holds of the project's stories; nothing where only some are read."""
        return super().known() if self._is_whole else {}

    def take_page(self, records: list[Record]) -> Iterator[Any]:
        """Adds the rows of stories; of those that came without comments, once these are there."""
        told: list[Record] = []
        untold: list[Record] = []
        for story in records:
            (untold if self.comments.are_missing(story) else told).append(story)
        yield from super().take_page(told)
        parts = list(chunks(untold, COMMENTED_AT_ONCE))
        self._to_come += len(parts)
        yield from self.reading.begin(partial(self._ask_for_comments, part) for part in parts)

    def take(self, records: Iterable[Record]) -> None:
        """Add stories, and note when the last of them was updated."""
        stories = list(records)
        times = (story.get("updated_at") for story in stories)
        self._until = max([self._until, *filter(is_time, times)])
        super().take(stories)

    def bury(self, keys: Iterable[Key]) -> None:
        """Note that the project has these no more.

        Those that another shard has now are left to its run: what it writes takes the place of
        their rows, and if it has done so already, deleting them here would take that out.
        """
        keys = list(keys)
        if self.reading.run.elsewhere:
            self.reading.seen.update(self._moved_elsewhere(keys))
        super().bury(keys)

    def completed(self) -> Iterator[Any]:
        """Looks for what paging may have missed before anything is called gone."""
        has_shifted = self.may_have_shifted
        if not self._is_whole or not self._complete or (self.rows_missing and not has_shifted):
            yield from self.settle()
            return
        gone = self.missing()
        self._is_doubtful = bool(self.unexplained(gone))
        if self._is_doubtful and not self.is_repeated:
            yield from self.repeat()
            return
        wanted = [*gone, *self.unlisted().difference(gone)]
        if wanted or has_shifted:
            yield from self.reading.begin([partial(self._search, wanted, has_shifted)])
        else:
            yield from self.settle()

    @property
    def may_have_shifted(self) -> bool:
        """Whether stories may have moved from page to page while these were read."""
        return len(self.versions) > 1 or (None in self.versions and self.pages > 1)

    def unlisted(self) -> set[Key]:
        """Stories that are not in the list and may be there, beside those that were loaded."""
        return set()

    def remembered(self) -> State:
        """The project's version, and when the last of its stories was updated."""
        return {**super().remembered(), "until": self._until}

    def unexplained(self, missing: Collection[Key]) -> list[Key]:
        """As of any list, without the stories that the server does not have when asked for each."""
        return super().unexplained([key for key in missing if key not in self._not_found])

    def settle(self) -> Iterator[Any]:
        """As a list read whole; where it was not, nothing is gone for not having been read."""
        if error := self.comments.failed.pop(self.project_id, None):
            self.note_skipped(error)
        if self._is_whole:
            yield from super().settle()
            return
        if self._complete and not self._unusable:
            self.reading.remember(self.project_id, self.remembered())
        yield from self.reading.write()

    def _confirmed(self, missing: Collection[Key]) -> set[Key]:
        """Those of the missing stories that are deleted or moved for sure."""
        if self.is_accepted:
            return set(missing)
        return {key for key in missing if key in self._not_found} | self.explained(missing)

    def _settle(self, missing: list[Key], kept: list[Key]) -> None:
        missing = sorted(self._confirmed(missing))
        # a list without stories that the server has may lack new ones too
        super()._settle(missing, kept or (self._found_by_id if self._is_doubtful else []))

    def _ask_for_comments(self, stories: Sequence[Record]) -> Iterator[Any]:
        return self._take_commented(self.comments.added(stories, self.project_id))

    def _take_commented(self, stories: list[Record]) -> Iterator[Any]:
        self.reading.note_given(stories)
        self.take(stories)
        yield from self.reading.write()
        yield from self.skip()

    def _updated(self) -> list[list[Record]] | None:
        """The stories updated since the last run; None where the server does not tell."""
        if not self._until:
            return []
        since = datetime.fromisoformat(self._until) - OVERLAP
        asked = {"updated_after": since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
        pages: list[list[Record]] = []
        offset: int | None = 0
        while offset is not None:
            try:
                get = self.client.later_page if offset else self.client.page
                page = get(self.reading.endpoint, offset, asked, id=self.project_id)
                pages.append(self.client.records(page))
            except UnreadableError:
                return None
            offset = next(iter(page.following_offsets(len(pages[-1]))), None)
            if page.total is None and len(pages) > 1:
                # it may be ignoring what was asked, and giving everything
                return None
        return [self.comments.added(stories, self.project_id) for stories in pages]

    def _take_changed(self, touched: Touched, updated: list[list[Record]]) -> Iterator[Any]:
        """Takes the stories that were updated, and has the others that were touched read again."""
        ids = touched.stories | self._carriers(touched)
        for stories in updated:
            self.take(stories)
            ids -= {story.get("id") for story in stories}
            yield from self.reading.write()
        wanted = sorted(ids)
        parts = list(chunks(wanted, MOST_IDS))
        self._to_come += len(parts)
        yield from self.reading.begin(partial(self._read_again, part) for part in parts)
        yield from self.skip()

    def _carriers(self, touched: Touched) -> set[int]:
        """The stories that show the name of a label or a review type that was touched."""
        loaded, name = self.reading.run.loaded, self.reading.table.name
        labelled = loaded.rows(f"{name}__labels", ["story_id"], "id", touched.labels)
        reviewed = loaded.rows(
            f"{name}__reviews", ["story_id"], "review_type_id", touched.review_types
        )
        return {row[0] for row in (*labelled, *reviewed)}

    def _read_again(self, ids: Sequence[int]) -> Iterator[Any]:
        try:
            return self._take_again(ids, self._stories(ids))
        except UnreadableError as error:
            self.note_skipped(error)
            if isinstance(error, NotOfferedError):
                # nothing can be read by its id: the next run reads the project whole
                self.reading.state.pop(str(self.project_id), None)
            return self.skip()

    def _take_again(self, ids: Sequence[int], stories: list[Record]) -> Iterator[Any]:
        """Takes stories read by id; those that did not come are gone from the project."""
        missing = set(ids) - {story.get("id") for story in stories}
        stories = [*stories, *self._still_there(missing)]
        self.take(stories)
        missing = self._confirmed(missing - {story.get("id") for story in stories})
        loaded, name = self.reading.run.loaded, self.reading.table.name
        rows = loaded.rows(name, ["id", "project_id"], "id", missing)
        held = [one for one, project_id in rows if project_id == self.project_id]
        self.bury([*held, *self._half_deleted(missing - {one for one, _ in rows})])
        yield from self.reading.write()
        yield from self.skip()

    def _half_deleted(self, ids: Iterable[int]) -> set[int]:
        """Those of which a run that was killed, and lost its files, has left nested rows alone."""
        loaded = self.reading.run.loaded
        nested = list(self.reading.table.family())[1:]
        return {
            story_id
            for member in nested
            for (story_id,) in loaded.rows(member.name, ["story_id"], "story_id", ids)
        }

    def _stories(self, ids: Iterable[int]) -> list[Record]:
        """Stories by id, in as few requests as the server lets; without those that it lacks."""
        stories: list[Record] = []
        server = self.reading.run.server
        for chunk in chunks(sorted(ids), MOST_IDS):
            if server.unsupported(STORIES_BY_ID.path):
                stories += self._one_by_one(chunk)
                continue
            try:
                page = self.client.page(
                    STORIES_BY_ID, asked={"ids": ",".join(map(str, chunk))}, id=self.project_id
                )
                stories += self.client.records(page)
            except UnreadableError as error:
                if isinstance(error, NotOfferedError):
                    server.add_unsupported(STORIES_BY_ID.path, str(error))
                stories += self._one_by_one(chunk)
        return self.comments.added(stories, self.project_id)

    def _still_there(self, ids: Collection[int]) -> list[Record]:
        """Those of the stories missing from a response that the server has when asked for each.

        A response without them alone does not prove that they are deleted; activity, or a 404 for
        the story, does.
        """
        doubtful = set(ids) - self._not_found - self.explained(ids)
        stories = [] if self.is_accepted else self._one_by_one(sorted(doubtful))
        return self.comments.added(stories, self.project_id)

    def _one_by_one(self, ids: Iterable[int]) -> list[Record]:
        stories: list[Record] = []
        for one in ids:
            try:
                page = self.client.page(ONE_STORY, id=self.project_id, story_id=one)
                stories += self.client.records(page)
            except UnfoundError:
                self._not_found.add(one)
            except NotOfferedError:
                # a server may say so of a story that is gone
                if one in self._listed or self._is_doubtful:
                    raise
                self._not_found.add(one)
        return stories

    @cached_property
    def _listed(self) -> set[Key]:
        """The ids of the stories that the server lists."""
        return self.own if self._is_whole else self._walk()[0]

    def _moved_elsewhere(self, ids: Iterable[int]) -> set[Key]:
        """The ids of those that are in a project of another shard now."""
        run = self.reading.run
        deletions = deletions_in(run.feeds.known(self.project_id))
        deleted = {d["id"] for d in deletions if d["kind"] == "story" and d["change"] == "deleted"}
        stories = [s for one in ids if one not in deleted for s in self._anywhere(one)]
        return {s["id"] for s in stories if s.get("project_id") in run.elsewhere}

    def _anywhere(self, story_id: int) -> list[Record]:
        """A story in whichever project it is, if this token may see it there."""
        try:
            return self.client.records(self.client.page(ANY_STORY, story_id=story_id))
        except UnreadableError:
            return []

    def _search(self, gone: Collection[Key], has_shifted: bool) -> Iterator[Any]:
        """Reads by id what the pages did not have: what seems gone, and what slipped between."""
        try:
            found = self._stories(gone)
            found += self._still_there(set(gone) - {story.get("id") for story in found})
            self._found_by_id = [story["id"] for story in found]
            return self._found([*found, *(self._slipped() if has_shifted else [])])
        except UnreadableError as error:
            self.note_skipped(error)
            return self._found([])

    def _found(self, stories: list[Record]) -> Iterator[Any]:
        self.take(stories)
        yield from self.settle()
        yield from self.reading.end_one()

    def _slipped(self) -> list[Record]:
        """The stories that moved to a page already read while another was, or came meanwhile."""
        found: dict[int, Record] = {}
        for _ in range(_MOST_WALKS):
            ids, is_steady = self._walk()
            missing = ids - self.own - found.keys()
            found |= {story["id"]: story for story in self._stories(missing)}
            if is_steady:
                break
        return list(found.values())

    def _walk(self) -> tuple[set[int], bool]:
        """The ids of all stories, and whether the project stayed as it was meanwhile."""
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
            offset = next(iter(page.following_offsets(len(records))), None) if new else None
        return ids, len(versions) == 1


class ActivityList(ProjectList):
    """The activity of a project: what is new since the last run, or all that the server has."""

    ever_shrinks = False

    def first_job(self) -> Iterator[Any]:
        """Takes what the feed has since the last run, or reads its first page."""
        feed = self.changes()
        return super().first_job() if feed is None else self._take_new(feed)

    def learn_from(self, records: list[Record], held: Container[Key]) -> None:
        """Note the people in activity, and what new activity says was deleted."""
        super().learn_from(records, held)
        new = (record for record in records if record["guid"] not in held)
        self.reading.run.collect_deleted(deletions_in(new))

    def _take_new(self, feed: list[Record]) -> Iterator[Any]:
        self.take(feed)
        yield from self.reading.write()
        yield from self.skip()


class ReleaseList(ProjectList):
    """The releases of a project: those of its stories that are of that type."""

    def explained(self, missing: Collection[Key]) -> set[Key]:
        """Those that activity names as stories or releases."""
        return touched_by(self.earlier_changes() or ()).stories.intersection(missing)


class DailyList(ProjectList):
    """A list that changes with the days too: read again when one has passed in the project."""

    def explained(self, missing: Collection[Key]) -> set[Key]:
        """All, if the project's settings changed, such as the day on which it starts."""
        touched = touched_by(self.earlier_changes() or ())
        return set(missing) if touched.project else set()

    def may_have_changed(self) -> bool:
        """Whether the project's version moved, or a day passed in its time zone."""
        return super().may_have_changed() or self.before.get("day") != today_in(self.project)

    def remembered(self) -> State:
        """The project's version, and the day."""
        return {**super().remembered(), "day": today_in(self.project)}


class IterationList(DailyList):
    """The iterations of a project: the current one and the later ones.

    Those that were done when they were last read are read again only if something that they hold
    was touched since.
    """

    def first_job(self) -> Iterator[Any]:
        """Finds what was touched; what it returns reads on from the first that may have changed."""
        feed = self.changes()
        return super().first_job() if feed is None else self._read_on(touched_by(feed))

    def explained(self, missing: Collection[Key]) -> set[Key]:
        """All, if the project's settings changed, or some iterations are left and stories moved."""
        touched = touched_by(self.earlier_changes() or ())
        is_explained = touched.project or (self.own and touched.stories)
        return set(missing) if is_explained else set()

    def known(self) -> dict[Key, str]:
        """What the destination holds of the iterations that are read."""
        return {key: told for key, told in super().known().items() if key[1] > self.start}

    def remembered(self) -> State:
        """The number of the iteration that is current, with what a daily list remembers."""
        return {**super().remembered(), "current": self.project.get("current_iteration_number")}

    def records(self, page: Page) -> list[Record]:
        """Iterations with `story_ids`, also where the server gives only whole `stories`."""
        return [_with_story_ids(record) for record in super().records(page)]

    def _read_on(self, touched: Touched) -> Iterator[Any]:
        self.start = self._first_touched(touched) - 1
        self._to_come += 1
        yield from self.reading.begin([partial(self._page_at, self.start)])
        yield from self.skip()

    def _first_touched(self, touched: Touched) -> int:
        """The number of the first iteration to read."""
        current, now = self.before.get("current"), self.project.get("current_iteration_number")
        if not current or not now or touched.everything or touched.project:
            return 1
        return max(1, min([int(current), int(now), *touched.iterations, *self._of(touched)]))

    def _of(self, touched: Touched) -> Iterator[int]:
        """The iterations that held a touched story, or hold one by the time of its acceptance."""
        loaded, name = self.reading.run.loaded, self.reading.table.name
        columns = ["project_id", "iteration_number"]
        rows = loaded.rows(f"{name}__story_ids", columns, "value", touched.stories)
        yield from (number for project_id, number in rows if project_id == self.project_id)
        if touched.accepted_at:
            earliest = datetime.fromisoformat(min(touched.accepted_at))
            spans = loaded.rows(
                name, ["number", "start", "finish"], "project_id", [self.project_id]
            )
            yield from (number for number, start, finish in spans if start <= earliest < finish)


def _with_story_ids(iteration: Record) -> Record:
    stories = iteration.get("stories")
    if not isinstance(stories, list):
        return iteration
    ids = [s["id"] for s in map(in_tracker_words, stories) if isinstance(s.get("id"), int)]
    return {k: v for k, v in iteration.items() if k != "stories"} | {"story_ids": ids}


def today_in(project: Record) -> str:
    """The date that it is in a project's time zone, ISO 8601; in UTC where that is not known."""
    zone = project.get("time_zone")
    name = zone.get("olson_name") if isinstance(zone, dict) else None
    try:
        here = ZoneInfo(str(name))
    except (KeyError, ValueError, OSError):
        here = ZoneInfo("UTC")
    return datetime.now(here).date().isoformat()


LISTS: dict[str, type[ProjectList]] = {
    "stories": StoryList,
    "activity": ActivityList,
    "releases": ReleaseList,
    "iterations": IterationList,
    "history_days": DailyList,
}
"""How a resource's list is read, where it is not just read whole when its project moved."""
