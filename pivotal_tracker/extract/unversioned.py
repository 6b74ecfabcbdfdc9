"""The lists of projects without versions, as LiteTracker's are.

The activity since the last run takes the place of the version: a list is read if there is some, and
once a week. The stories are always read whole and compared by their fingerprints, as their
`updated_at` does not move with every edit. Where they come without comments, these are requested
for the stories that are new, have changed, or are named by activity; and, as a feed may miss
something, for all stories bit by bit within `comments_full_sync_days`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from dlt.common.utils import chunks

from ..activity import is_time, touched_by
from ..api.client import FailedRequestError, Page
from ..records import Key, Record, is_id
from ..settings import COMMENTED_AT_ONCE, LIST_CHECK_INTERVAL, MIN_PAGE_SIZE, RECENT_ACTIVITY
from .fingerprints import fingerprint, pack, unpack
from .incremental_lists import (
    LISTS,
    ActivityList,
    DailyList,
    IterationList,
    ReleaseList,
    StoryList,
    today_in,
)
from .list_reader import ProjectList, Reading, State
from .recent_activity import Cursor, News

_TOO_LARGE = (500, 504)
"""How a server answers a request for a page that is too large for it."""


def list_of(reading: Reading, project: Record) -> ProjectList:
    """Choose how a project's list is read."""
    kinds = LISTS if project.get("version") is not None else _UNVERSIONED_LISTS
    default = ProjectList if project.get("version") is not None else UnversionedList
    return kinds.get(reading.name, default)(reading, project)


class UnversionedList(ProjectList):
    """A list that is read if there is activity since the last run, and once a week."""

    _news: News | None = None

    def first_job(self) -> Iterator[Any]:
        """Read the first page, unless nothing has happened."""
        if self._is_unchanged():
            return self.leave_unchanged()
        return super().first_job()

    def leave_unchanged(self) -> Iterator[Any]:
        """End without reading anything; what is remembered stays as it is."""
        self._to_come, self._is_completed = 0, True
        self.reading.metrics["unchanged"] += 1
        yield from self.reading.end_one()

    def news(self) -> News:
        """The activity since the list was last read."""
        if self._news is None:
            run = self.reading.run
            cursor = _cursor(self.before)
            is_first = run.full_refresh or not self.reading.compares
            self._news = run.recent.since(self.project_id, None if is_first else cursor)
        return self._news

    def remembered(self) -> State:
        """How far activity was read, and on which day the list."""
        cursor = self._news.cursor if self._news else None
        return {
            **super().remembered(),
            "activity": cursor and dict(cursor.seen),
            "read_on": datetime.now(UTC).date().isoformat(),
        }

    def _is_unchanged(self) -> bool:
        news = self.news()
        if not news.is_complete or news.activities or self.is_accepted:
            return False
        if "kept_since" in self.before or "incomplete" in self.before:
            return False
        read_on = datetime.fromisoformat(self.before.get("read_on", "1970-01-01"))
        is_recent = datetime.now(UTC) - read_on.replace(tzinfo=UTC) < LIST_CHECK_INTERVAL
        return is_recent and self._is_of_today()

    def _is_of_today(self) -> bool:
        """Whether no day has passed on which the list depends."""
        return True


class _UnversionedReleases(UnversionedList, ReleaseList):
    pass


class _UnversionedDays(UnversionedList, DailyList):
    def _is_of_today(self) -> bool:
        return bool(self.before.get("day") == today_in(self.project))


class _UnversionedIterations(_UnversionedDays, IterationList):
    pass


class UnversionedActivity(UnversionedList, ActivityList):
    """The activity of a project: what is new since the last run, or all that the server has."""

    _cursor = Cursor({})

    def first_job(self) -> Iterator[Any]:
        """Take what the feed has since the last run, or read all of it."""
        news = self.news() if "activity" in self.before else None
        if news is None or not news.is_complete:
            return ProjectList.first_job(self)
        if not news.activities:
            return self.leave_unchanged()
        return self._take_new(news.activities)

    def fetch(self, offset: int) -> Page:
        """Request a page that is as large as is known to work."""
        get = self.client.page if offset == self.start else self.client.later_page
        endpoint = replace(self.reading.endpoint, limit=RECENT_ACTIVITY.limit)
        return get(endpoint, offset, id=self.project_id)

    def take(self, records: Iterable[Record]) -> None:
        """Add activities, and move the cursor behind them."""
        activities = list(records)
        self._cursor = self._cursor.advanced(activities)
        super().take(activities)

    def remembered(self) -> State:
        """The cursor: behind what was read."""
        news = self._news
        cursor = news.cursor if news and news.is_complete and news.cursor else self._cursor
        return {**super().remembered(), "activity": dict(cursor.seen)}


@dataclass
class _CommentState:
    """Which stories' comments are as in the last run, and which are to be checked next.

    Attributes:
        fingerprints: Of the stories whose comments have been read, by id.
        pending: How many stories are left of those that were due.
        checked_id: The comments of stories up to this id have been checked again.
        checked_at: When they would have been, if all were checked at an even pace; ISO 8601.
        rewrites: Whether stories are written although they have not changed.
    """

    fingerprints: dict[int, bytes] = field(default_factory=dict)
    pending: int = 0
    checked_id: int = 0
    checked_at: str = ""
    rewrites: bool = False

    @classmethod
    def from_state(cls, state: dict[str, Any] | None) -> _CommentState:
        state = dict(state or {})
        return cls(**{**state, "fingerprints": unpack(state.get("fingerprints", ""))})

    def as_state(self) -> dict[str, Any]:
        return {**vars(self), "fingerprints": pack(self.fingerprints)}

    def next_to_check(self, days: float) -> set[int]:
        """The ids of the stories whose turn has come since the last run, if all take `days`."""
        now = datetime.now(UTC)
        since = datetime.fromisoformat(self.checked_at) if is_time(self.checked_at) else now
        # it may be switched off, or the clock may have been wrong
        if not days > 0 or since >= now:
            self.checked_at = now.isoformat()
            return set()
        ids = sorted(self.fingerprints)
        period = timedelta(seconds=max(1, min(days, 36_500) * 86_400))
        number = int((now - since) / period * len(ids))
        if number < 1:
            return set()
        due = [*(i for i in ids if i > self.checked_id), *(i for i in ids if i <= self.checked_id)]
        due = due[:number]
        self.checked_id = due[-1]
        is_late = number > len(ids)
        self.checked_at = (now if is_late else since + period * number / len(ids)).isoformat()
        return set(due)


class UnversionedStories(StoryList):
    """The stories of a project: all are read, and the comments of those that may have changed."""

    def __init__(self, reading: Reading, project: Record) -> None:
        super().__init__(reading, project)
        self._comments = _CommentState.from_state(self.before.get("comments"))
        self._news: News | None = None
        self._news_lock = threading.Lock()
        self._named: set[int] = set()
        self._due: set[int] = set()
        self._handled: set[int] = set()
        self._deferred = 0
        self._is_changed = False

    @property
    def is_first(self) -> bool:
        """Whether no earlier run has read the list."""
        return not self.before

    def fetch(self, offset: int) -> Page:
        """Request a page that is as large as the server can give it."""
        server = self.reading.run.server
        # later runs request missing stories by id, so that they need not confirm an empty page
        get = self.client.later_page if offset and self.is_first else self.client.page
        while True:
            size = server.page_size
            try:
                endpoint = replace(self.reading.endpoint, limit=size)
                return get(endpoint, offset, id=self.project_id)
            except FailedRequestError as error:
                if error.status not in _TOO_LARGE or size < 2 * MIN_PAGE_SIZE:
                    raise
                server.shrink_page(size)

    def take_page(self, records: list[Record]) -> Iterator[Any]:
        """Add stories; of those that came without comments, those that may have changed."""
        without = [story for story in records if self.comments.are_missing(story)]
        if without:
            self._to_come += 1
            yield from self.reading.begin([partial(self._read_news, without)])
            ids = {story["id"] for story in without}
            records = [story for story in records if story.get("id") not in ids]
        yield from ProjectList.take_page(self, records)

    def take(self, records: Iterable[Record]) -> None:
        """Add stories, and record whose comments have been read."""
        stories = list(records)
        self._is_changed |= bool(stories)
        for story in stories if self._news else ():
            self._record_fingerprint(story)
        super().take(stories)

    @property
    def may_have_shifted(self) -> bool:
        """Whether stories may have been missed that no later run would look for."""
        return self.is_first and self.pages > 2 and not self._deferred

    def unlisted(self) -> set[Key]:
        """The stories that activity names and the list does not have."""
        return set() if self._news is None else self._named - self.own - self._handled

    def settle(self) -> Iterator[Any]:
        """As any list of stories; what was found out of comments is remembered in any case."""
        if self._news is not None:
            self._remember_comments(self._news)
        if self._complete and not self._is_changed and not self._deferred and not self.missing():
            self.reading.metrics["unchanged"] += 1
        yield from super().settle()

    def remembered(self) -> State:
        """How far activity was read, and which stories' comments."""
        names = ("activity", "comments")
        own: State = {name: self.before[name] for name in names if name in self.before}
        return {**super().remembered(), **own}

    def _read_news(self, stories: list[Record]) -> Iterator[Any]:
        """Find out what has happened since the last run, before comments are requested."""
        with self._news_lock:
            if self._news is None:
                self._news = self._first_news()
        return self._take_due(stories)

    def _first_news(self) -> News:
        run, comments = self.reading.run, self._comments
        cursor = _cursor(self.before)
        news = run.recent.since(self.project_id, cursor)
        self._named = touched_by(news.activities).stories
        if news.is_complete:
            self._due = self._named | comments.next_to_check(run.recheck_days)
        elif cursor is not None or not comments.pending:
            # anything may have happened: the comments of all stories are read again
            comments.fingerprints.clear()
        return news

    def _take_due(self, stories: list[Record]) -> Iterator[Any]:
        """Request the comments of stories that may have changed, as far as this run may."""
        if self._comments.fingerprints:
            self.reading.note_given([{"comments": []}])
        due = [story for story in stories if self._is_due(story)]
        granted = self.comments.reserve(len(due))
        for story in due[granted:]:
            self._defer(story["id"])
        parts = list(chunks(due[:granted], COMMENTED_AT_ONCE))
        self._to_come += len(parts)
        yield from self.reading.begin(partial(self._ask_for_comments, part) for part in parts)
        yield from self.skip()

    def _is_due(self, story: Record) -> bool:
        """Whether the comments of a story are to be requested; if not, it stays as it is."""
        story_id = story["id"]
        self.own.add(story_id)
        if story_id in self._handled:
            return False
        self._handled.add(story_id)
        is_same = self._comments.fingerprints.get(story_id) == _fingerprint(story) != b""
        if not is_same or story_id in self._due or not self.held.get(story_id):
            return True
        self._leave(story_id)
        if self.reading.run.load_id is not None:
            self.reading.run.writer(self.reading.name).counts["unchanged"] += 1
        return False

    def _defer(self, story_id: int) -> None:
        """Leave a story as it is, for a later run to read."""
        self._deferred += 1
        self._comments.fingerprints.pop(story_id, None)
        if story_id in self.held:
            self._leave(story_id)
        self.reading.seen.add(story_id)

    def _leave(self, story_id: int) -> None:
        """Count a story that the destination holds and that is not written."""
        if story_id not in self.reading.seen:
            self.reading.seen.add(story_id)
            self.taken[self.project_id] += 1

    def _record_fingerprint(self, story: Record) -> None:
        story_id = story.get("id")
        if not is_id(story_id) or story_id < 0:
            return
        if "comments" in story and (known := _fingerprint(story)):
            self._comments.fingerprints[story_id] = known
        else:
            self._comments.fingerprints.pop(story_id, None)
        if self._comments.rewrites and story_id in self.held:
            # no row has this hash
            self.reading.run.writer(self.reading.name).known[story_id] = ""

    def forget(self, keys: Iterable[Key]) -> None:
        """Have the next run read stories again that could not be written."""
        if self._news is not None:
            for key in keys:
                self._comments.fingerprints.pop(key, None)
            self.reading.state[str(self.project_id)]["comments"] = self._comments.as_state()

    def _remember_comments(self, news: News) -> None:
        comments, reading = self._comments, self.reading
        # a story that was not read although activity names it
        for story_id in self._due - self._handled - self.own:
            comments.fingerprints.pop(story_id, None)
        if self._complete and not self._unusable:
            known = comments.fingerprints.items()
            comments.fingerprints = {one: value for one, value in known if one in self.own}
        comments.pending = self._deferred
        comments.checked_at = comments.checked_at or datetime.now(UTC).isoformat()
        comments.rewrites = bool(self._deferred) and (comments.rewrites or reading.run.full_refresh)
        state = reading.state.setdefault(str(self.project_id), {})
        state["comments"] = comments.as_state()
        state["activity"] = news.cursor and dict(news.cursor.seen)
        reading.metrics.setdefault("pending", {})[str(self.project_id)] = self._deferred


def _cursor(state: State) -> Cursor | None:
    """How far a feed was read, as a list remembers it; None if it never was."""
    seen = state.get("activity")
    return None if seen is None else Cursor(seen)


def _fingerprint(story: Record) -> bytes:
    """The fingerprint of a story; empty if it cannot have one."""
    try:
        return fingerprint(story)
    except (TypeError, ValueError, RecursionError):
        return b""


_UNVERSIONED_LISTS: dict[str, type[ProjectList]] = {
    "stories": UnversionedStories,
    "activity": UnversionedActivity,
    "releases": _UnversionedReleases,
    "iterations": _UnversionedIterations,
    "history_days": _UnversionedDays,
}
