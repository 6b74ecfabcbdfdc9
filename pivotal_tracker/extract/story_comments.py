"""Fetch comments by story, for servers that do not send them with the stories, as LiteTracker."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from ..api.client import TrackerClient
from ..api.errors import (
    AmbiguousNotFoundError,
    EndpointNotSupportedError,
    ForbiddenError,
    NotFoundError,
    UnreadableError,
)
from ..records import Record
from ..settings import STORY_COMMENTS

UNSUPPORTED_THRESHOLD = 3
"""After this many stories whose comments cannot be read, if none can, no more are requested."""


class StoryComments:
    """Fetch the comments of stories that came without them. Safe for threads.

    Attributes:
        is_unsupported: Whether the server does not support comments at all.
        failed: Why comments of a story could not be read, by project. The story is loaded, and
            keeps the comments that were loaded before.

    Args:
        client: The server.
        is_enabled: Whether to fetch comments at all: it is one request per story.
        limit: The maximum number of stories that `reserve` grants; None for no limit.
    """

    def __init__(
        self, client: TrackerClient, *, is_enabled: bool, limit: int | None = None
    ) -> None:
        self._client = client
        self._is_enabled = is_enabled
        self._left = limit
        self.failed: dict[int, UnreadableError] = {}
        self.is_unsupported = False
        self._answered = False
        self._failures = 0
        self._lock = threading.Lock()

    def needs_fetch(self, story: Record) -> bool:
        """Check whether a story came without comments, and they may be fetched."""
        return self._is_enabled and "comments" not in story and isinstance(story.get("id"), int)

    def reserve(self, number: int) -> int:
        """Reserve requests for the comments of stories; return how many are granted."""
        if self._left is None:
            return number
        granted = min(number, self._left)
        self._left -= granted
        return granted

    def with_comments(self, stories: Iterable[Record], project_id: int) -> list[Record]:
        """Return the stories with their comments, as far as these can be read.

        Args:
            stories: As the server sends them.
            project_id: The project that they are in.

        Raises:
            TrackerError: The server sent no usable response.
        """
        return [self._fetch_comments(s, project_id) if self.needs_fetch(s) else s for s in stories]

    def _fetch_comments(self, story: Record, project_id: int) -> Record:
        try:
            page = self._client.page(STORY_COMMENTS, id=project_id, story_id=story["id"])
            comments = self._client.records(page)
        except (EndpointNotSupportedError, ForbiddenError) as error:
            self._record_failure(error)
            return story
        except UnreadableError as error:
            self.failed[project_id] = error
            return story
        self._answered = True
        return {**story, "comments": comments}

    def _record_failure(self, error: EndpointNotSupportedError | ForbiddenError) -> None:
        """Stop fetching comments if the server has none, or this token may not read them."""
        # a single story may have been deleted since it was listed
        is_single_story = isinstance(error, NotFoundError | AmbiguousNotFoundError)
        with self._lock:
            self._failures += 1
            is_certain = not is_single_story or self._failures >= UNSUPPORTED_THRESHOLD
            if is_certain and not self._answered:
                self._is_enabled = False
                self.is_unsupported = isinstance(error, EndpointNotSupportedError)
