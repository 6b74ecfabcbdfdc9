"""Comments of stories where a server gives them for one story at a time, as LiteTracker does."""

from __future__ import annotations

from collections.abc import Iterable

from ..api.client import (
    NotOfferedError,
    PerhapsNotOfferedError,
    RefusedError,
    TrackerClient,
    UnfoundError,
    UnreadableError,
)
from ..records import Record
from ..settings import STORY_COMMENTS

_ENOUGH = 3
"""So many stories whose comments cannot be had, and none whose can, are enough to ask no more."""


class StoryComments:
    """Asks for the comments of stories that came without. Safe to use from many threads.

    Attributes:
        is_unsupported: Whether the server has comments of no story.
        failed: Why comments of some story could not be read, by project; the story is loaded, and
            the comments that were loaded before stay.

    Args:
        client: The server.
        wanted: Whether to ask at all: it is one request a story.
        limit: For how many stories at most; None for all. Only `reserve` heeds it.
    """

    def __init__(self, client: TrackerClient, *, wanted: bool, limit: int | None = None) -> None:
        self._client = client
        self._asks = wanted
        self._left = limit
        self.failed: dict[int, UnreadableError] = {}
        self.is_unsupported = False
        self._answered = False
        self._failures = 0

    def are_missing(self, story: Record) -> bool:
        """Whether a story came without its comments, and it is worth asking for them."""
        return self._asks and "comments" not in story and isinstance(story.get("id"), int)

    def reserve(self, number: int) -> int:
        """Reserve requests for the comments of stories; give how many of them are granted."""
        if self._left is None:
            return number
        granted = min(number, self._left)
        self._left -= granted
        return granted

    def added(self, stories: Iterable[Record], project_id: int) -> list[Record]:
        """The stories, each with its comments as far as they can be had.

        Args:
            stories: As the server gives them.
            project_id: The project that they are in.

        Raises:
            TrackerError: The server gave no usable answer.
        """
        return [self._with_comments(s, project_id) if self.are_missing(s) else s for s in stories]

    def _with_comments(self, story: Record, project_id: int) -> Record:
        try:
            page = self._client.page(STORY_COMMENTS, id=project_id, story_id=story["id"])
            comments = self._client.records(page)
        except (NotOfferedError, RefusedError) as error:
            self._note(error)
            return story
        except UnreadableError as error:
            self.failed[project_id] = error
            return story
        self._answered = True
        return {**story, "comments": comments}

    def _note(self, error: NotOfferedError | RefusedError) -> None:
        """Asks no more where the server has comments of no story, or gives none to this token."""
        # one story may be gone since it was listed
        of_this_alone = isinstance(error, UnfoundError | PerhapsNotOfferedError)
        self._failures += 1
        if not self._answered and (not of_this_alone or self._failures >= _ENOUGH):
            self._asks = False
            self.is_unsupported = isinstance(error, NotOfferedError)
