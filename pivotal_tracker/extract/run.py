"""What the resources of one extraction share: the destination, the server, people, deletions."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import dlt

from .. import tables
from ..activity import deletions_in
from ..api.client import TrackerClient
from ..load.extraction import Extraction
from ..records import Key, Record, record_key
from ..settings import ACCOUNT_LISTS
from ..tables import Table
from .activity_feed import Feeds
from .recent_activity import RecentActivity
from .server_memory import ServerMemory
from .shards import Shard
from .story_comments import StoryComments

_COMMENTS = "stories__comments"


class Run(Extraction):
    """One extraction of a server.

    Attributes:
        client: The server.
        server: What earlier runs have found out about it.
        comments: Those of stories that come without.
        recheck_days: In how many days the comments of all stories are read again; 0 for never.
        recent: The activity of projects without versions.
        feeds: The projects' activity since a version.
        full_refresh: Whether everything is read again.
        shard: The projects that it reads.
        listed: The ids of the projects in the list, if it is all that the token sees.
        elsewhere: The ids of the projects that other shards read.
        list_metrics: What the lists noted that several tables are loaded from, by table.
        accepted: The lists whose deletions the user accepts in this run.
        accounts: The list of accounts once it is read, in a tuple: None where it cannot be.
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
        self.server = ServerMemory(self._server_state(client.base_url), forget=full_refresh)
        for path, names in self.server.refused_fields().items():
            client.refuse_fields(path, names)
        self.comments = StoryComments(
            client,
            wanted=comments_one_by_one and not self.server.unsupported(_COMMENTS),
            # what is in plain files cannot be added to by a later run
            limit=None if self.only_adds else max_commented_stories,
        )
        self.recheck_days = recheck_days
        self.recent = RecentActivity(client)
        self.recent.is_supported = not self.server.unsupported("activity")
        self.shard = shard
        self.listed: set[int] | None = None
        self.elsewhere: set[int] = set()
        self.feeds = Feeds(client)
        self.full_refresh = full_refresh
        self.accepted = accepted
        self.list_metrics: dict[str, dict[str, Any]] = {"projects": {}, "accounts": {}}
        self.accounts: tuple[list[Record] | None] | None = None
        self.expect(ACCOUNT_LISTS if shard.has_accounts else ())
        self._same_projects: dict[int, int] = {}
        self._deleted: list[Record] = []

    def _server_state(self, base_url: str) -> dict[str, Any]:
        """What dlt keeps of a server from run to run; nothing outside of a load."""
        if self.load_id is None:
            return {}
        servers: dict[str, Any] = dlt.current.source_state().setdefault("servers", {})
        state: dict[str, Any] = servers.setdefault(base_url, {})
        return state

    def remember_server(self) -> None:
        """Remember what the server refused, so that the next run does not request it."""
        for path, names in list(self.client.refused_by_path.items()):
            if names:
                self.server.add_refused_fields(path, names)
        if self.comments.is_unsupported and not self.loaded.counts(_COMMENTS):
            self.server.add_unsupported(_COMMENTS, "The server has no comments of stories.")

    def note_listed(self, listed: Collection[Record], metrics: dict[str, Any]) -> None:
        """Note in a resource's metrics how many projects it reads, and which cannot be had."""
        metrics["listed"] = len(listed)
        metrics["not_listed"] = self.list_metrics["projects"].get("skipped", {})

    def collect_people(self, resource: str, records: Iterable[Record]) -> None:
        """Collect the people that records name, where they are loaded."""
        if "people" in self.selected:
            for record in records:
                self.people.meet(resource, record)

    def collect_deleted(self, records: Iterable[Record]) -> None:
        """Collect what was deleted: records of `deleted_records`, as far as they are known."""
        self._deleted += records

    def deleted_records(self) -> list[Record]:
        """What was deleted, with when and by whom as far as the activity that was read says so."""
        found_at = datetime.now(UTC).isoformat(timespec="seconds")
        records: dict[Key, Record] = {}
        for record in self._deleted:
            key = record_key(tables.DELETED_RECORDS, record)
            records[key] = records.get(key, {}) | record | {"found_at": found_at}
        for project_id in {record["project_id"] for record in records.values()}:
            for record in deletions_in(self.feeds.known(project_id)):
                key = record_key(tables.DELETED_RECORDS, record)
                if key in records:
                    records[key] |= record
        if self.only_adds:
            # where nothing is merged, what an earlier run has logged is not logged again
            held = self.loaded.row_ids(tables.DELETED_RECORDS)
            return [record for key, record in records.items() if key not in held]
        return list(records.values())

    def join_projects(self, stories: Mapping[int, int]) -> None:
        """Note which projects of files, known by their names only, have had stories of others.

        Args:
            stories: The project that each story has on the server, by its id.
        """
        if not self.loaded.has(tables.LOAD_REPORT.name):
            return
        for story_id, known in self.loaded.rows("stories", ["id", "project_id"], "id", stories):
            if known is not None and known < 0 < stories[story_id]:
                self._same_projects[known] = stories[story_id]

    def joined_projects(self) -> list[Record]:
        """Records of those projects with `same_as_id`, where their rows do not have it."""
        same = self._same_projects
        return [
            {name: value for name, value in row.items() if value is not None}
            | {"same_as_id": same[row["id"]]}
            for row in self.loaded.records(tables.PROJECTS, same)
            if row.get("same_as_id") != same[row["id"]]
        ]
