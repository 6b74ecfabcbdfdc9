"""How each list of a project is read."""

from __future__ import annotations

from .activity_list import ActivityReader
from .daily_lists import DailyReader, IterationReader
from .list_reader import ProjectListReader
from .release_list import ReleaseReader
from .story_list import StoryReader

LISTS: dict[str, type[ProjectListReader]] = {
    "stories": StoryReader,
    "activity": ActivityReader,
    "releases": ReleaseReader,
    "iterations": IterationReader,
    "history_days": DailyReader,
}
"""How a resource's list is read, where it is not just read whole when its project moved."""
