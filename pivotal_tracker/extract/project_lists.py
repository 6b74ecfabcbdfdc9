"""How each list of a project is read."""

from __future__ import annotations

from .activity_list import ActivityList
from .daily_lists import DailyList, IterationList
from .list_reader import ProjectList
from .release_list import ReleaseList
from .story_list import StoryList

LISTS: dict[str, type[ProjectList]] = {
    "stories": StoryList,
    "activity": ActivityList,
    "releases": ReleaseList,
    "iterations": IterationList,
    "history_days": DailyList,
}
"""How a resource's list is read, where it is not just read whole when its project moved."""
