"""What the tables of one run share: the server, the feeds, the people met, what was found gone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import dlt

from . import tables
from .changes import Feeds, deletions_in
from .client import TrackerClient
from .comparison import Comparison
from .destination import only_adds
from .loaded import Key, Loaded, claim_tables, key_of
from .people import People
from .rows import Batch, Record
from .shard import Shard
from .story_comments import StoryComments

MEETS_PEOPLE = frozenset(
    {"stories", "activity", "project_memberships", "account_memberships", "people"}
)
"""The resources in whose records people are met."""


class Run:
    """One extraction of the source.

    Attributes:
        client: The server.
        comments: Those of stories that come without.
        load_id: The load package that its rows come with.
        loaded: What the destination holds from earlier runs.
        feeds: The projects' activity since a version.
        full_refresh: Whether everything is read again.
        rebuilds: Whether the tables are made anew of it: not those that hold more projects.
        shard: The projects that it reads.
        elsewhere: The ids of the projects that other shards read.
        selected: The names of the resources that are read.
    """

    def __init__(
        self,
        client: TrackerClient,
        shard: Shard,
        *,
        full_refresh: bool = False,
        rebuilds: bool = False,
        comments_one_by_one: bool = True,
    ) -> None:
        self.client = client
        self.comments = StoryComments(client, wanted=comments_one_by_one)
        self.shard = shard
        self.elsewhere: set[int] = set()
        self.load_id: str = dlt.current.load_package_state()["load_id"]
        self.loaded = Loaded()
        self.feeds = Feeds(client)
        self.full_refresh = full_refresh
        self.rebuilds = rebuilds
        self.selected = frozenset(dlt.current.source().resources.selected)
        self.list_metrics: dict[str, dict[str, Any]] = {"projects": {}, "accounts": {}}
        """What the lists noted that no table is loaded from by themselves, by their table."""
        self._people = People()
        self._meeting = set(self.selected & MEETS_PEOPLE)
        self._reading = set(self.selected)
        self._same_projects: dict[int, int] = {}
        self._found_at = datetime.now(UTC).isoformat(timespec="seconds")

    def batch(self, table: tables.Table, metrics: dict[str, Any]) -> Batch:
        """A batch whose rows are counted in a resource's metrics."""
        return Batch(table, self.load_id, self.loaded, metrics)

    def missing_tables(self, batch: Batch) -> Iterator[Any]:
        """What makes the tables of a batch, and their columns, where an earlier run has not."""
        is_there = self.loaded.is_remembered and self.loaded.has_all_of(batch.table)
        if self.rebuilds or not is_there:
            yield from batch.empty_items()

    def note_listed(self, listed: Collection[Record], metrics: dict[str, Any]) -> None:
        """Notes in a resource's metrics how many projects it reads, and which cannot be had."""
        metrics["listed"] = len(listed)
        metrics["not_listed"] = self.list_metrics["projects"].get("skipped", {})

    def meet(self, table: str, record: Record) -> None:
        """Notes the people that a record names."""
        self._people.meet(table, record)

    def ended(self, resource: str) -> Iterator[Any]:
        """What is left to yield when a resource has come to its end.

        The last of those that meet people gives their rows; the last of all lets go of the
        destination.
        """
        if resource in self._meeting:
            self._meeting.discard(resource)
            # people whom several shards meet are gathered when they are loaded
            if not self._meeting and self.shard.is_whole:
                yield from self.items(tables.PEOPLE, self._people.records(self.loaded))
        self._reading.discard(resource)
        if not self._reading:
            self.loaded.close()
            claim_tables()

    def deleted(self, records: Iterable[Record]) -> list[Any]:
        """The rows of `deleted_records` for what was found gone.

        Args:
            records: Each with `kind`, `id` and `project_id`; when and by whom is taken from what
                has been read of the feed.
        """
        rows = {}
        for record in records:
            key = (record["kind"], record["id"], record.get("project_id"))
            rows[key] = {**record, "found_at": self._found_at}
        for project_id in {key[2] for key in rows if isinstance(key[2], int)}:
            for told in deletions_in(self.feeds.known(project_id)):
                key = (told["kind"], told["id"], project_id)
                if key in rows:
                    rows[key] |= told
        if only_adds():
            # where nothing is merged, what an earlier run has told is not told again
            held = self.loaded.row_ids(tables.DELETED_RECORDS)
            rows = {key: row for key, row in rows.items() if key not in held}
        return self.items(tables.DELETED_RECORDS, rows.values())

    def join_projects(self, story_ids: Iterable[int], project_id: int) -> None:
        """Notes which project of files, known by its name only, has had stories of a project."""
        if project_id > 0 and self.loaded.has(tables.LOAD_REPORT.name):
            rows = self.loaded.rows(tables.STORIES.name, ["project_id"], "id", story_ids)
            known = (one for (one,) in rows if one is not None and one < 0)
            self._same_projects |= dict.fromkeys(known, project_id)

    def joined_projects(self) -> list[Any]:
        """The rows of those projects, which say so, where they did not."""
        same, self._same_projects = self._same_projects, {}
        rows = self.loaded.records(tables.PROJECTS, same)
        told = [
            {name: value for name, value in row.items() if value is not None}
            | {"same_as_id": same[row["id"]]}
            for row in rows
            if row.get("same_as_id") != same[row["id"]]
        ]
        return self.items(tables.PROJECTS, told) if told else []

    def items(self, table: tables.Table, records: Iterable[Record]) -> list[Any]:
        """What a resource yields to add or replace rows of a table that several feed."""
        metrics = dlt.current.resource_metrics()
        return items_counted(self.batch(table, metrics), records, self.loaded, metrics)


def items_counted(
    batch: Batch, records: Iterable[Record], loaded: Loaded, metrics: dict[str, Any]
) -> list[Any]:
    """What a resource yields to add or replace rows of a table that several feed.

    Args:
        batch: Takes the rows.
        records: Theirs.
        loaded: What the destination holds.
        metrics: Of the resource; `rows_of` takes, by table, how many rows are `new` and `changed`.
    """
    table = batch.table
    told = {key_of([record.get(name) for name in table.key]): record for record in records}
    held = loaded.row_ids(table, "id", {record["id"] for record in told.values()})
    counts = metrics.setdefault("rows_of", {}).setdefault(table.name, Counter())
    for key, record in told.items():
        batch.add(record)
        counts["changed" if key in held else "new"] += 1
    return batch.items()


def rows_counted(metrics: dict[str, Any]) -> Counter[str]:
    """The counter of what became of a resource's records, made when first needed."""
    counter: Counter[str] = metrics.setdefault(
        "rows", Counter(new=0, changed=0, deleted=0, unchanged=0, unusable=0)
    )
    return counter


def account_wide(
    run: Run,
    table: tables.Table,
    records: list[Record] | None,
    metrics: dict[str, Any],
    kept: Collection[Key] = (),
) -> Iterator[Any]:
    """What a resource yields for a list that is read whole and compared with what was loaded.

    Args:
        run: The run.
        table: The list's table.
        records: The whole list; None where it could not be read, so that nothing is known gone.
        metrics: Those of the resource.
        kept: The keys of what may still be there, as its part of the list could not be read.
    """
    if not run.shard.has_accounts:
        return
    batch = run.batch(table, metrics)
    yield from run.missing_tables(batch)
    if records is None:
        return
    known = {} if run.rebuilds else run.loaded.row_ids(table)
    comparison = Comparison(batch, known, set(), rows_counted(metrics))
    comparison.take(records)
    gone = set(comparison.gone()) - run.loaded.from_archives(table) - set(kept)
    comparison.remove(gone)
    yield from batch.items()
    yield from run.deleted({"kind": table.kind, "id": one, "project_id": 0} for one in gone)
