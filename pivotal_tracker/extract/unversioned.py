"""Read the lists of projects without versions, as on LiteTracker.

The activity since the last run replaces the version: a list is read if there is new activity, and
once a week. All stories are always read and compared by their fingerprints, because `updated_at`
does not change with every edit. If they come without comments, these are requested
for the stories that are new, have changed, or are named by activity; and, as a feed may miss
something, for all stories bit by bit within `comments_full_sync_days`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from dlt.common.utils import chunks

from ..activity import changes_from_activity, is_iso_timestamp
from ..api.errors import FailedRequestError
from ..api.pages import Page
from ..records import Key, Record, is_id
from ..settings import COMMENT_BATCH_SIZE, LIST_CHECK_INTERVAL, MIN_PAGE_SIZE, RECENT_ACTIVITY
from .activity_list import ActivityReader
from .daily_lists import DailyReader, IterationReader, local_date
from .fingerprints import fingerprint, pack, unpack
from .list_reader import ProjectListReader
from .project_lists import READERS
from .recent_activity import Cursor, News
from .release_list import ReleaseReader
from .resource_reader import Job, ResourceReader, State
from .story_list import StoryReader

_TOO_LARGE = (500, 504)
"""The statuses of a request for a page that is too large for a server."""


def list_of(reader: ResourceReader, project: Record) -> ProjectListReader:
    """Make the reader of a project's list."""
    kinds = READERS if project.get("version") is not None else _UNVERSIONED_READERS
    default = ProjectListReader if project.get("version") is not None else UnversionedList
    return kinds.get(reader.name, default)(reader, project)


class UnversionedList(ProjectListReader):
    """Read a list if there is activity since the last run, and once a week."""

    _news: News | None = None

    def leave_unchanged(self) -> Iterator[Any]:
        """End without reading anything, and keep the state."""
        self._pending_pages, self._is_completed = 0, True
        self.reader.count_unchanged()
        yield from self.reader.job_done()

    def next_state(self) -> State:
        """Return the cursor of the activity, and the day on which the list was read."""
        cursor = self._news.cursor if self._news else None
        return {
            **super().next_state(),
            "activity": cursor and dict(cursor.seen),
            "read_on": datetime.now(UTC).date().isoformat(),
        }

    def _is_of_today(self) -> bool:
        """Check whether the list was read today, if it changes every day."""
        return True

    # these run in threads of dlt's pool; what they return, and all others, in dlt's own thread

    def begin_reading(self) -> Iterator[Any]:
        """Read the first page, unless nothing has changed."""
        if self._is_unchanged():
            return self.leave_unchanged()
        return super().begin_reading()

    def news(self) -> News:
        """Return the activity since the list was last read."""
        if self._news is None:
            run = self.reader.run
            cursor = _cursor(self.before)
            is_first = run.full_refresh or not self.reader.compares
            self._news = run.recent.since(self.project_id, None if is_first else cursor)
        return self._news

    def _is_unchanged(self) -> bool:
        news = self.news()
        if not news.is_complete or news.activities or self.is_accepted:
            return False
        if "kept_since" in self.before or "incomplete" in self.before:
            return False
        read_on = datetime.fromisoformat(self.before.get("read_on", "1970-01-01"))
        is_recent = datetime.now(UTC) - read_on.replace(tzinfo=UTC) < LIST_CHECK_INTERVAL
        return is_recent and self._is_of_today()


class _UnversionedReleases(UnversionedList, ReleaseReader):
    pass


class _UnversionedDays(UnversionedList, DailyReader):
    def _is_of_today(self) -> bool:
        return bool(self.before.get("day") == local_date(self.project))


class _UnversionedIterations(_UnversionedDays, IterationReader):
    pass


class UnversionedActivity(UnversionedList, ActivityReader):
    """Read the activity of a project: what is new since the last run, or all of it."""

    _cursor = Cursor({})

    def add_records(self, records: Iterable[Record]) -> None:
        """Add activities, and advance the cursor."""
        activities = list(records)
        self._cursor = self._cursor.advanced(activities)
        super().add_records(activities)

    def next_state(self) -> State:
        """Return the cursor after the activity that was read."""
        news = self._news
        cursor = news.cursor if news and news.is_complete and news.cursor else self._cursor
        return {**super().next_state(), "activity": dict(cursor.seen)}

    # these run in threads of dlt's pool; what they return, and all others, in dlt's own thread

    def begin_reading(self) -> Iterator[Any]:
        """Add the activity since the last run, or read all of it."""
        news = self.news() if "activity" in self.before else None
        if news is None or not news.is_complete:
            return ProjectListReader.begin_reading(self)
        if not news.activities:
            return self.leave_unchanged()
        return self._take_new(news.activities)

    def fetch(self, offset: int) -> Page:
        """Request a page of a size that is known to work."""
        get = self.client.page if offset == self.start else self.client.later_page
        endpoint = replace(self.reader.endpoint, limit=RECENT_ACTIVITY.limit)
        return get(endpoint, offset, id=self.project_id)


@dataclass
class _CommentState:
    """Which comments are known from earlier runs, and which are checked next.

    Attributes:
        fingerprints: Fingerprints of the stories whose comments were read, by id.
        pending: The number of stories that were due and are left to later runs.
        checked_id: The comments of stories up to this id were checked again.
        checked_at: The time of that check if all were evenly spread; ISO 8601.
        rewrites: Whether unchanged stories are written too.
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
        """Return the ids of the stories to check now, so that all are checked within `days`."""
        now = datetime.now(UTC)
        since = (
            datetime.fromisoformat(self.checked_at) if is_iso_timestamp(self.checked_at) else now
        )
        # checks may be switched off, or the clock may have been wrong
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


class UnversionedStories(StoryReader):
    """Read all stories of a project, and the comments of those that may have changed."""

    def __init__(self, reader: ResourceReader, project: Record) -> None:
        super().__init__(reader, project)
        self._comments = _CommentState.from_state(self.before.get("comments"))
        self._news: News | None = None
        self._named: set[int] = set()
        self._due: set[int] = set()
        self._handled: set[int] = set()
        self._deferred = 0
        self._is_changed = False

    @property
    def is_first(self) -> bool:
        """Whether no earlier run has read the list."""
        return not self.before

    def add_page(self, records: list[Record]) -> Iterable[Job]:
        """Add stories; for those without comments, return a job that fetches what changed first."""
        without_comments = [story for story in records if self.comments.needs_fetch(story)]
        ids = {story["id"] for story in without_comments}
        self.add_records([story for story in records if story.get("id") not in ids])
        if not without_comments:
            return ()
        self._pending_pages += 1
        return [partial(self._fetch_news, without_comments)]

    def add_records(self, records: Iterable[Record]) -> None:
        """Add stories, and record whose comments have been read."""
        stories = list(records)
        self._is_changed |= bool(stories)
        for story in stories if self._news else ():
            self._record_fingerprint(story)
        super().add_records(stories)

    @property
    def may_have_shifted(self) -> bool:
        """Whether stories may have been missed that no later run would look for."""
        return self.is_first and self.pages > 2 and not self._deferred

    def unlisted(self) -> set[Key]:
        """Return the stories that activity names and the list lacks."""
        return set() if self._news is None else self._named - self.keys - self._handled

    def finish_list(self) -> Iterator[Any]:
        """Save the state of comments in any case; then end as any list of stories."""
        if self._news is not None:
            self._remember_comments(self._news)
        if self._complete and not self._is_changed and not self._deferred and not self.missing():
            self.reader.count_unchanged()
        yield from super().finish_list()

    def next_state(self) -> State:
        """Return the state with the cursor of the activity and the state of comments."""
        names = ("activity", "comments")
        own: State = {name: self.before[name] for name in names if name in self.before}
        return {**super().next_state(), **own}

    def _take_due(self, stories: list[Record], news: News) -> Iterator[Any]:
        """Request comments that may have changed, up to the limit of this run."""
        if self._news is None:
            self._news = news
            self._find_due(news)
        if self._comments.fingerprints:
            self.reader.record_attributes([{"comments": []}])
        due = [story for story in stories if self._is_due(story)]
        granted = self.comments.reserve(len(due))
        for story in due[granted:]:
            self._defer(story["id"])
        batches = list(chunks(due[:granted], COMMENT_BATCH_SIZE))
        self._pending_pages += len(batches)
        yield from self.reader.begin(partial(self._fetch_comments, batch) for batch in batches)
        yield from self.skip_page()

    def _find_due(self, news: News) -> None:
        """Find the stories whose comments may have changed since the last run."""
        comments = self._comments
        self._named = changes_from_activity(news.activities).stories
        if news.is_complete:
            self._due = self._named | comments.next_to_check(self.reader.run.recheck_days)
        elif _cursor(self.before) is not None or not comments.pending:
            # the activity is incomplete: read the comments of all stories again
            comments.fingerprints.clear()

    def _is_due(self, story: Record) -> bool:
        """Check whether to request the comments of a story; if not, its row is kept."""
        story_id = story["id"]
        self.keys.add(story_id)
        if story_id in self._handled:
            return False
        self._handled.add(story_id)
        is_same = self._comments.fingerprints.get(story_id) == fingerprint(story) != b""
        if not is_same or story_id in self._due or not self.existing.get(story_id):
            return True
        self._count_unwritten(story_id)
        self.reader.metrics.rows["unchanged"] += 1
        return False

    def _defer(self, story_id: int) -> None:
        """Keep the row of a story, and leave the story to a later run."""
        self._deferred += 1
        self._comments.fingerprints.pop(story_id, None)
        if story_id in self.existing:
            self._count_unwritten(story_id)
        self.reader.seen.add(story_id)

    def _count_unwritten(self, story_id: int) -> None:
        """Count a story that is in the destination and is not written."""
        if story_id not in self.reader.seen:
            self.reader.seen.add(story_id)
            self.new_counts[self.project_id] += 1

    def _record_fingerprint(self, story: Record) -> None:
        story_id = story.get("id")
        if not is_id(story_id) or story_id < 0:
            return
        if "comments" in story and (known := fingerprint(story)):
            self._comments.fingerprints[story_id] = known
        else:
            self._comments.fingerprints.pop(story_id, None)
        if self._comments.rewrites and story_id in self.existing:
            # no row has this hash, so the story is written
            self.reader.run.writer(self.reader.name).known[story_id] = ""

    def forget(self, keys: Iterable[Key]) -> None:
        """Have the next run read stories again that could not be written."""
        if self._news is not None:
            for key in keys:
                self._comments.fingerprints.pop(key, None)
            self.reader.state[str(self.project_id)]["comments"] = self._comments.as_state()

    def _remember_comments(self, news: News) -> None:
        comments, reader = self._comments, self.reader
        # forget stories that were not read although activity names them
        for story_id in self._due - self._handled - self.keys:
            comments.fingerprints.pop(story_id, None)
        if self._complete and not self._unusable:
            known = comments.fingerprints.items()
            comments.fingerprints = {key: value for key, value in known if key in self.keys}
        comments.pending = self._deferred
        comments.checked_at = comments.checked_at or datetime.now(UTC).isoformat()
        comments.rewrites = bool(self._deferred) and (comments.rewrites or reader.run.full_refresh)
        state = reader.state.setdefault(str(self.project_id), {})
        state["comments"] = comments.as_state()
        state["activity"] = news.cursor and dict(news.cursor.seen)
        reader.metrics.pending[str(self.project_id)] = self._deferred

    # these run in threads of dlt's pool; what they return, and all others, in dlt's own thread

    def fetch(self, offset: int) -> Page:
        """Request a page of the largest size that the server can send."""
        server = self.reader.run.server
        # later runs request missing stories by id, so that they need not confirm an empty page
        get = self.client.later_page if offset and self.is_first else self.client.page
        while True:
            size = server.page_size
            try:
                endpoint = replace(self.reader.endpoint, limit=size)
                return get(endpoint, offset, id=self.project_id)
            except FailedRequestError as error:
                if error.status not in _TOO_LARGE or size < 2 * MIN_PAGE_SIZE:
                    raise
                server.shrink_page(size)

    def _fetch_news(self, stories: list[Record]) -> Iterator[Any]:
        """Read the activity since the last run, before comments are requested."""
        news = self.reader.run.recent.since(self.project_id, _cursor(self.before))
        return self._take_due(stories, news)


def _cursor(state: State) -> Cursor | None:
    """Return the cursor in the state of a list; None if it has none."""
    seen = state.get("activity")
    return None if seen is None else Cursor(seen)


_UNVERSIONED_READERS: dict[str, type[ProjectListReader]] = {
    "stories": UnversionedStories,
    "activity": UnversionedActivity,
    "releases": _UnversionedReleases,
    "iterations": _UnversionedIterations,
    "history_days": _UnversionedDays,
}
