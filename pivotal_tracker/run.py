"""What the resources of one extraction share: the destination, the server, people, deletions."""

from __future__ import annotations

import weakref
from collections import Counter, defaultdict
from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import dlt

from . import tables
from .changes import Feeds, deletions_in
from .client import TrackerClient
from .destination import only_adds
from .errors import TrackerError
from .hints import is_replaced, require_supported
from .loaded import Loaded
from .people import People
from .rows import Key, Record, Tombstones, record_key
from .settings import ACCOUNT_LISTS
from .shard import Shard
from .story_comments import StoryComments
from .tables import Table
from .to_tables import TableWriter, current_load_id

_emitted_keys: weakref.WeakKeyDictionary[Any, tuple[str, defaultdict[str, set[Key]]]] = (
    weakref.WeakKeyDictionary()
)
"""The keys that were written in the present load package of each pipeline, by table."""


class Extraction:
    """One extraction of a source, or one reading of its resources outside of a load.

    Attributes:
        load_id: The load package; None outside of a load, where neither state nor destination
            matters.
        loaded: What the destination holds from earlier runs.
        selected: The names of the resources that are loaded.
        people: Everyone who was seen, for the resource `people`.

    Args:
        tables: The tables of the source, by the names of their resources.
        rewrites: Whether records are written although the destination holds them unchanged.
    """

    def __init__(self, tables: Mapping[str, Table], *, rewrites: bool = False) -> None:
        self.load_id = current_load_id()
        self.people = People()
        self._tables = tables
        self._rewrites = rewrites
        self._writers: dict[str, TableWriter] = {}
        self._waiting: set[str] = set()
        if self.load_id is None:
            self.loaded, self.selected = Loaded.nothing(), frozenset[str]()
        else:
            self.loaded = Loaded()
            resources = dlt.current.source().resources.selected
            self.selected = frozenset(name for name in resources if name in tables)
            for name in self.selected:
                require_supported(resources[name])
        self._unfinished = Counter[str]()

    @property
    def compares(self) -> bool:
        """Whether there may be rows in the destination to compare records with."""
        return self.loaded.anything

    def is_replaced(self, resource: str) -> bool:
        """Whether a resource reads and writes everything: its tables are replaced, or no load."""
        if self.load_id is None:
            return True
        return is_replaced(dlt.current.source().resources[resource])

    def writer(self, resource: str) -> TableWriter:
        """The writer of a resource's tables, in a load."""
        if resource not in self._writers:
            if self.load_id is None:
                raise TrackerError(f"{resource} has no tables outside of a load.")
            self._writers[resource] = TableWriter(
                dlt.current.source().resources[resource],
                self._tables[resource],
                self.loaded,
                self.load_id,
                _keys_emitted_in(self.load_id)[self._tables[resource].name],
                rewrites=self._rewrites,
            )
        return self._writers[resource]

    def table(self, resource: str) -> Table:
        """A resource's table, by the name that it has in the destination."""
        return self._tables[resource] if self.load_id is None else self.writer(resource).table

    def compare_with(self, resource: str, row_ids: Mapping[Key, str]) -> None:
        """Have the next records of a resource compared with rows of the destination.

        Args:
            resource: The resource.
            row_ids: The `_dlt_id` of the rows, by key.
        """
        if row_ids:
            self.writer(resource).known.update(row_ids)

    def with_known_rows(self, resource: str, records: Iterable[Record]) -> list[Record]:
        """Look up what the destination holds of records, which are about to be yielded."""
        records = list(records)
        if self.compares and not self.is_replaced(resource):
            table = self.table(resource)
            ids = {record["id"] for record in records}
            self.compare_with(resource, self.loaded.row_ids(table, "id", ids))
        return records

    def people_records(self) -> list[Record]:
        """Those who are new, or of whom more is known than the destination holds."""
        records = self.people.records(self.loaded)
        table = self.table("people")
        held = self.loaded.row_ids(table, "id", {record["id"] for record in records})
        # one who is there twice is written although nothing changed
        self.compare_with("people", dict.fromkeys(held, ""))
        return records

    def expect(self, resources: Iterable[str]) -> None:
        """Note that resources, as far as they are selected, are about to yield records."""
        self._unfinished.update(name for name in resources if name in self.selected)

    def finish(self, resource: str) -> None:
        """Note that a resource has yielded everything; the last one lets go of the destination."""
        self._unfinished[resource] -= 1
        if not self._unfinished.total():
            self.loaded.close()

    def wait_for_others(self, resource: str) -> Iterator[None]:
        """Wait until all resources that do not wait themselves have yielded everything.

        Yields:
            None, which has dlt go on with other resources.
        """
        self._waiting.add(resource)
        while any(n > 0 for name, n in self._unfinished.items() if name not in self._waiting):
            yield None


def _keys_emitted_in(load_id: str) -> defaultdict[str, set[Key]]:
    """The keys that were written in a load package, by whichever sources: they may be the same."""
    pipeline = dlt.current.pipeline()
    latest, keys = _emitted_keys.get(pipeline, ("", defaultdict(set)))
    if latest != load_id:
        keys = defaultdict(set)
        _emitted_keys[pipeline] = load_id, keys
    return keys


class Run(Extraction):
    """One extraction of a server.

    Attributes:
        client: The server.
        comments: Those of stories that come without.
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
        accepted: Container[tuple[int | None, str]] = (),
    ) -> None:
        super().__init__(tables, rewrites=full_refresh)
        self.client = client
        self.comments = StoryComments(client, wanted=comments_one_by_one)
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
        if only_adds():
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


def tombstones(table: Table, keys: Iterable[Key]) -> Tombstones:
    """The tombstones of records by their keys."""
    return Tombstones(
        dict(zip(table.key, key if isinstance(key, tuple) else (key,), strict=True)) for key in keys
    )
