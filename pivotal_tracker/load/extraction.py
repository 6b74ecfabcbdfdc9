"""The base of an extraction: its destination, its writers, and the people in its records."""

from __future__ import annotations

import weakref
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import dlt

from ..errors import TrackerError
from ..records import Key, Record
from ..tables import Table
from .destination_rows import DestinationReader
from .hints import is_replaced, require_supported, row_changes_of
from .metrics import Metrics
from .people import People
from .to_tables import TableWriter, current_load_id

_emitted_keys: weakref.WeakKeyDictionary[Any, tuple[str, defaultdict[str, set[Key]]]] = (
    weakref.WeakKeyDictionary()
)
"""The keys that were written in the current load package of each pipeline, by table."""


class Extraction:
    """An extraction of a source, or an iteration over its resources outside of a load.

    Attributes:
        load_id: The load package; None outside of a load, where state and destination are not used.
        loaded: The rows of earlier runs in the destination.
        selected: The names of the resources that are loaded.
        metrics: The metrics of each resource, by its name.
        people: All people in the records, for the resource `people`.
        is_append_only: Whether rows in the destination cannot be changed, as in plain files.

    Args:
        tables: The tables of the source, by the names of their resources.
        rewrites: Whether unchanged records are written too.
    """

    def __init__(self, tables: Mapping[str, Table], *, rewrites: bool = False) -> None:
        self.load_id = current_load_id()
        self.metrics = {name: Metrics() for name in tables}
        self.people = People()
        self._tables = tables
        self._rewrites = rewrites
        self._writers: dict[str, TableWriter] = {}
        self._waiting: set[str] = set()
        resources: Mapping[str, Any] = {}
        if self.load_id is None:
            self.loaded, self.selected = DestinationReader(None), frozenset[str]()
        else:
            self.loaded = DestinationReader(dlt.current.pipeline(), is_extracting=True)
            resources = dlt.current.source().resources.selected
            self.selected = frozenset(name for name in resources if name in tables)
            for name in self.selected:
                require_supported(resources[name])
            self._emitted_keys = _emitted_keys_of(self.load_id)
        self._unfinished = Counter[str]()
        self.is_append_only = any(
            row_changes_of(resources[name]) == "none" for name in self.selected
        )

    def is_replaced(self, resource: str) -> bool:
        """Check whether all rows are written: tables are replaced, or there is no load."""
        if self.load_id is None:
            return True
        return is_replaced(dlt.current.source().resources[resource])

    def writer(self, resource: str) -> TableWriter:
        """Return the writer of a resource's tables in this load."""
        if resource not in self._writers:
            if self.load_id is None:
                raise TrackerError(f"{resource} has no tables outside of a load.")
            self._writers[resource] = TableWriter(
                dlt.current.source().resources[resource],
                self._tables[resource],
                self.loaded,
                self.load_id,
                self._emitted_keys[self._tables[resource].name],
                self.metrics[resource],
                rewrites=self._rewrites,
            )
        return self._writers[resource]

    def custom_metrics(self, resource: str) -> dict[str, Any]:
        """Return a copy of a resource's metrics for dlt's trace."""
        return self.metrics[resource].as_custom_metrics()

    def table(self, resource: str) -> Table:
        """Return a resource's table, with its name in the destination."""
        return self._tables[resource] if self.load_id is None else self.writer(resource).table

    def compare_with(self, resource: str, row_ids: Mapping[Key, str]) -> None:
        """Compare the next records of a resource with rows of the destination.

        Args:
            resource: The resource.
            row_ids: The `_dlt_id` of the rows, by key.
        """
        if row_ids:
            self.writer(resource).known.update(row_ids)

    def look_up_rows(self, resource: str, records: Iterable[Record]) -> list[Record]:
        """Look up the existing rows of records before these are yielded; return the records."""
        records = list(records)
        if self.loaded.has_previous_run and not self.is_replaced(resource):
            table = self.table(resource)
            ids = {record["id"] for record in records}
            self.compare_with(resource, self.loaded.row_ids(table, "id", ids))
        return records

    def people_records(self) -> list[Record]:
        """Return people who are new, or have new values."""
        records = self.people.records(self.loaded)
        table = self.table("people")
        existing = self.loaded.row_ids(table, "id", {record["id"] for record in records})
        # a person with two rows is written although nothing has changed
        self.compare_with("people", dict.fromkeys(existing, ""))
        return records

    def expect(self, resources: Iterable[str]) -> None:
        """Record that resources, if they are selected, will yield records."""
        self._unfinished.update(name for name in resources if name in self.selected)

    def finish(self, resource: str) -> None:
        """Record that a resource has yielded everything; the last one closes the connection."""
        self._unfinished[resource] -= 1
        if not self._unfinished.total():
            self.loaded.close()

    def wait_for_others(self, resource: str) -> Iterator[None]:
        """Wait until all resources that do not wait have yielded everything.

        Yields:
            None: dlt then continues with other resources.
        """
        self._waiting.add(resource)
        while any(n > 0 for name, n in self._unfinished.items() if name not in self._waiting):
            yield None


def _emitted_keys_of(load_id: str) -> defaultdict[str, set[Key]]:
    """Return the keys that were written in a load package: several sources may share them."""
    pipeline = dlt.current.pipeline()
    latest, keys = _emitted_keys.get(pipeline, ("", defaultdict(set)))
    if latest != load_id:
        keys = defaultdict(set)
        _emitted_keys[pipeline] = load_id, keys
    return keys
