"""The context of an extraction: the server, its state, people and deleted records."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import dlt

from .. import tables
from ..activity import deletions_from_activity
from ..api.client import TrackerClient
from ..load.extraction import Extraction
from ..records import Key, Record, record_key
from ..settings import ACCOUNT_LISTS
from ..tables import Table
from .activity_feed import ActivityFeed
from .recent_activity import RecentActivity
from .server_memory import ServerMemory
from .shards import Shard
from .story_comments import StoryComments

_COMMENTS = "stories__comments"


class Run(Extraction):
    """The context of one extraction of a server, which its resources share.

    Attributes:
        client: The server.
        server: What earlier runs have remembered about the server.
        comments: Fetches the comments of stories that come without them.
        recheck_days: All comments are read again once in this many days; 0 for never.
        recent: The activity of projects without versions.
        feeds: The projects' activity since a version.
        full_refresh: Whether everything is read again.
        shard: The projects that are read.
        listed: The ids of all projects that the token sees; None if only some are requested.
        other_shard_project_ids: The ids of the projects that other shards read.
        not_listed: Why requested projects could not be read, by their ids.
        accepted: The lists whose deletions the user accepts in this run.
        accounts: The list of accounts in a tuple, once it is read; it is None if it cannot be read.
    """

    def __init__(
        self,
        tables: Mapping[str, Table],
        client: TrackerClient,
        shard: Shard,
        *,
        full_refresh: bool = False,
        comments_one_by_one: bool = True,
        max_commented_stories: int | None = None,
        recheck_days: float = 0,
        accepted: Container[tuple[int | None, str]] = (),
    ) -> None:
        super().__init__(tables, rewrites=full_refresh)
        self.client = client
        self.server = ServerMemory(self._server_state(client.server.url), forget=full_refresh)
        for path, names in self.server.refused_fields().items():
            client.refuse_fields(path, names)
        self.comments = StoryComments(
            client,
            is_enabled=comments_one_by_one and not self.server.unsupported(_COMMENTS),
            # a later run cannot change rows in plain files, so all comments are read now
            limit=None if self.is_append_only else max_commented_stories,
        )
        self.recheck_days = recheck_days
        self.recent = RecentActivity(client)
        self.recent.is_supported = not self.server.unsupported("activity")
        self.shard = shard
        self.listed: set[int] | None = None
        self.other_shard_project_ids: set[int] = set()
        self.feeds = ActivityFeed(client)
        self.full_refresh = full_refresh
        self.accepted = accepted
        self.not_listed: dict[int, str] = {}
        self.accounts: tuple[list[Record] | None] | None = None
        self.expect(ACCOUNT_LISTS if shard.includes_account_data else ())
        self._project_aliases: dict[int, int] = {}
        self._deleted: list[Record] = []

    def _server_state(self, base_url: str) -> dict[str, Any]:
        """Return the server's part of dlt's state; empty outside a load."""
        if self.load_id is None:
            return {}
        servers: dict[str, Any] = dlt.current.source_state().setdefault("servers", {})
        state: dict[str, Any] = servers.setdefault(base_url, {})
        return state

    def remember_server(self) -> None:
        """Remember what the server does not support, so that the next run does not request it."""
        for path, names in list(self.client.refused_by_path.items()):
            if names:
                self.server.add_refused_fields(path, names)
        if self.comments.is_unsupported and not self.loaded.counts(_COMMENTS):
            self.server.add_unsupported(_COMMENTS, "The server has no comments of stories.")

    def record_project_list(self, resource: str, listed: Collection[Record]) -> None:
        """Record in a resource's metrics how many projects it reads, and which cannot be read."""
        self.metrics[resource].listed = len(listed)
        self.metrics[resource].not_listed = {str(key): why for key, why in self.not_listed.items()}

    def custom_metrics(self, resource: str) -> dict[str, Any]:
        """Return a copy of a resource's metrics, and of the client's, for dlt's trace."""
        metrics = replace(self.metrics[resource], **self.client.metrics())
        return metrics.as_custom_metrics()

    def collect_people(self, resource: str, records: Iterable[Record]) -> None:
        """Collect the people in records, if people are loaded."""
        if "people" in self.selected:
            for record in records:
                self.people.collect(resource, record)

    def collect_deleted(self, records: Iterable[Record]) -> None:
        """Collect records of `deleted_records`, which may lack some attributes."""
        self._deleted += records

    def deleted_records(self) -> list[Record]:
        """Return what was deleted; when and by whom, if the activity that was read says so."""
        found_at = datetime.now(UTC).isoformat(timespec="seconds")
        records: dict[Key, Record] = {}
        for record in self._deleted:
            key = record_key(tables.DELETED_RECORDS, record)
            records[key] = records.get(key, {}) | record | {"found_at": found_at}
        for project_id in {record["project_id"] for record in records.values()}:
            for record in deletions_from_activity(self.feeds.cached(project_id)):
                key = record_key(tables.DELETED_RECORDS, record)
                if key in records:
                    records[key] |= record
        if self.is_append_only:
            # rows are not merged here, so leave out what an earlier run has logged
            existing = self.loaded.row_ids(tables.DELETED_RECORDS)
            return [record for key, record in records.items() if key not in existing]
        return list(records.values())

    def link_archive_projects(self, stories: Mapping[int, int]) -> None:
        """Find projects of archives, known by name, whose stories are in the server's projects.

        Args:
            stories: The project that each story has on the server, by its id.
        """
        if not self.loaded.has(tables.LOAD_REPORT.name):
            return
        for story_id, known in self.loaded.rows("stories", ["id", "project_id"], "id", stories):
            if known is not None and known < 0 < stories[story_id]:
                self._project_aliases[known] = stories[story_id]

    def linked_project_records(self) -> list[Record]:
        """Return those projects with `same_as_id`, unless their rows have it."""
        same = self._project_aliases
        return [
            {name: value for name, value in row.items() if value is not None}
            | {"same_as_id": same[row["id"]]}
            for row in self.loaded.records(tables.PROJECTS, same)
            if row.get("same_as_id") != same[row["id"]]
        ]
