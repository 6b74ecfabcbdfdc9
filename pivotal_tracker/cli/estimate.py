"""Estimate the number of requests of a first and a later run, and their duration."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..settings import MAX_PAGE_SIZE, MAX_PAGES_IN_FLIGHT, PROJECT_ENDPOINTS


@dataclass(frozen=True)
class Workload:
    """What there is to load.

    Attributes:
        projects: How many projects.
        stories: How many stories, in all projects.
        lists: How many lists the server has of each project.
        account_lists: How many lists of the account the server has.
        has_versions: Whether projects have versions, so that unchanged ones need no request.
        has_totals: Whether the server reports the length of lists, so that no empty page is needed.
        comments_by_story: Whether comments take a request for each story.
        recheck_days: All comments are read again once in this many days; 0 for never.
    """

    projects: int
    stories: int
    lists: int
    account_lists: int
    has_versions: bool
    has_totals: bool
    comments_by_story: bool
    recheck_days: float

    @property
    def first_run(self) -> int:
        """Requests of a run that loads everything."""
        comments = self.stories if self.comments_by_story else 0
        lists = self.projects * (self.lists - 1)
        return 1 + self.account_lists + lists + self._story_pages + comments

    @property
    def later_run(self) -> int:
        """Requests of a run in which nothing has changed, one day after the last."""
        if self.has_versions:
            return 1 + self.account_lists
        return 1 + self.account_lists + self._story_pages + 2 * self.projects + self.rechecks

    @property
    def rechecks(self) -> int:
        """Requests of such a run that only check comments again."""
        if self.has_versions or not self.comments_by_story or not self.recheck_days > 0:
            return 0
        return math.ceil(self.stories / self.recheck_days)

    @property
    def _story_pages(self) -> int:
        limit = PROJECT_ENDPOINTS["stories"].limit if self.has_versions else MAX_PAGE_SIZE
        pages = max(self.projects, math.ceil(self.stories / (limit or MAX_PAGE_SIZE)))
        return pages if self.has_totals else pages + self.projects


def duration(requests: int, rate: float) -> str:
    """Write how long requests take at a rate per second: `1 h 46 min`."""
    seconds = math.ceil(requests / rate)
    minutes, hours = math.ceil(seconds / 60), seconds // 3600
    if hours:
        return f"{hours} h {math.ceil((seconds - hours * 3600) / 60)} min"
    return f"{minutes} min" if seconds > 90 else f"{seconds} s"


def rate_without_limit(seconds_per_request: float) -> float:
    """Estimate the rate of requests without a limit, with all pages in flight."""
    return MAX_PAGES_IN_FLIGHT / max(seconds_per_request, 0.001)
