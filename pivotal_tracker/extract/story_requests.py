"""Request stories of a project that its list lacks, or that have changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from dlt.common.utils import chunks

from ..api.errors import EndpointNotSupportedError, NotFoundError, UnreadableError
from ..records import Key, Record
from ..settings import (
    ANY_STORY,
    MAX_IDS_PER_REQUEST,
    ONE_STORY,
    PROJECT_ENDPOINTS,
    STORIES_BY_ID,
    STORY_IDS,
)
from .run import Run


class StoryRequests:
    """Request stories of one project, with their comments. Safe for threads.

    Attributes:
        not_found: The ids of the stories that were requested and do not exist.

    Args:
        run: The run.
        project_id: The project.
        exists: Whether a story exists although the server says that it does not know its path.
    """

    def __init__(self, run: Run, project_id: int, exists: Callable[[int], bool]) -> None:
        self.not_found: set[Key] = set()
        self._client = run.client
        self._server = run.server
        self._comments = run.comments
        self._project_id = project_id
        self._exists = exists

    def updated_since(self, since: datetime) -> list[list[Record]] | None:
        """Request the stories updated since a time, by page; None if this is not supported."""
        extra_params = {"updated_after": since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
        endpoint = PROJECT_ENDPOINTS["stories"]
        pages: list[list[Record]] = []
        try:
            for page, stories in self._client.pages(endpoint, extra_params, id=self._project_id):
                pages.append(stories)
                if page.total is None and len(pages) > 1:
                    # the server may ignore `updated_after` and return everything
                    return None
        except UnreadableError:
            return None
        return [self._with_comments(stories) for stories in pages]

    def by_ids(self, ids: Iterable[int]) -> list[Record]:
        """Request stories by id, in few requests; stories that do not exist are left out.

        Raises:
            UnreadableError: One of them cannot be read.
        """
        stories: list[Record] = []
        for chunk in chunks(sorted(ids), MAX_IDS_PER_REQUEST):
            if self._server.unsupported(STORIES_BY_ID.path):
                stories += self._one_by_one(chunk)
                continue
            try:
                page = self._client.page(
                    STORIES_BY_ID,
                    extra_params={"ids": ",".join(map(str, chunk))},
                    id=self._project_id,
                )
                stories += self._client.records(page)
            except UnreadableError as error:
                if isinstance(error, EndpointNotSupportedError):
                    self._server.add_unsupported(STORIES_BY_ID.path, str(error))
                stories += self._one_by_one(chunk)
        return self._with_comments(stories)

    def one_by_one(self, ids: Iterable[int]) -> list[Record]:
        """Request each story; stories that do not exist are left out, and are `not_found`.

        Raises:
            UnreadableError: One of them cannot be read.
        """
        return self._with_comments(self._one_by_one(sorted(ids)))

    def _one_by_one(self, ids: Iterable[int]) -> list[Record]:
        stories: list[Record] = []
        for story_id in ids:
            try:
                page = self._client.page(ONE_STORY, id=self._project_id, story_id=story_id)
                stories += self._client.records(page)
            except NotFoundError:
                self.not_found.add(story_id)
            except EndpointNotSupportedError:
                # a server may send this for a deleted story
                if self._exists(story_id):
                    raise
                self.not_found.add(story_id)
        return stories

    def in_any_project(self, story_id: int) -> list[Record]:
        """Request a story of any project; empty if this token may not see it."""
        try:
            return self._client.records(self._client.page(ANY_STORY, story_id=story_id))
        except UnreadableError:
            return []

    def all_ids(self) -> tuple[set[int], bool]:
        """Return the ids of all stories, and whether the project did not change meanwhile."""
        ids: set[int] = set()
        versions: set[int | None] = set()
        for page, records in self._client.pages(STORY_IDS, id=self._project_id):
            new = {r["id"] for r in records if isinstance(r.get("id"), int)} - ids
            ids |= new
            versions.add(page.version)
            if not new:
                break
        return ids, len(versions) == 1

    def _with_comments(self, stories: list[Record]) -> list[Record]:
        return self._comments.with_comments(stories, self._project_id)
