"""The resources whose records come from the other resources: people and deleted records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..records import Record, Tombstones
from .run import Run


def read_people(run: Run, projects: list[Record]) -> Iterator[Any]:
    """Yield what the resource `people` yields, once the other resources are read."""
    yield Tombstones()
    yield from run.wait_for_others("people")
    # two shards that write the same person at the same time would leave two rows, or the older one:
    # `refresh_people` writes people after the load
    if run.shard.is_whole:
        yield run.people_records()
    run.finish("people")


def read_deleted_records(run: Run, projects: list[Record]) -> Iterator[Any]:
    """Yield what the resource `deleted_records` yields, once the other resources are read."""
    yield Tombstones()
    yield from run.wait_for_others("deleted_records")
    yield run.look_up_rows("deleted_records", run.deleted_records())
    run.finish("deleted_records")
