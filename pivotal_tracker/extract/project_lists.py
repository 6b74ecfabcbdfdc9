"""The readers of the lists of a project."""

from __future__ import annotations

from .activity_list import ActivityReader
from .daily_lists import DailyReader, IterationReader
from .list_reader import ProjectListReader
from .release_list import ReleaseReader
from .story_list import StoryReader

READERS: dict[str, type[ProjectListReader]] = {
    "stories": StoryReader,
    "activity": ActivityReader,
    "releases": ReleaseReader,
    "iterations": IterationReader,
    "history_days": DailyReader,
}
"""The readers of lists by resource; other lists are read completely when their project changes."""
