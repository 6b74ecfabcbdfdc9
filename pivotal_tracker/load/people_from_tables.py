"""Gathers people from the tables, where several runs that met the same ones load side by side."""

from __future__ import annotations

import contextlib
import random
import time

import dlt
from dlt.extract import DltResource
from dlt.pipeline.exceptions import PipelineStepFailed

from .. import tables
from ..records import Record
from .destination_rows import Loaded
from .destinations import file_format
from .people import People

_TRIES = 10
_NAMED = {
    "project_memberships": ("person", "person__"),
    "account_memberships": ("person", "person__"),
    "activity": ("performed_by", "performed_by__"),
}
"""Tables whose rows tell more of a person than the id: the attribute, and how its columns begin."""
_TOLD = ("id", "kind", "name", "email", "initials", "username")
_ONLY_IDS = {
    "stories": ("requested_by_id", "owned_by_id"),
    "stories__owner_ids": ("value",),
    "stories__follower_ids": ("value",),
    "stories__comments": ("person_id",),
    "stories__blockers": ("person_id",),
    "stories__reviews": ("reviewer_id",),
    "stories__transitions": ("performed_by_id",),
}
"""Tables whose rows name people by their ids, and the columns that do."""


def gather_people(pipeline: dlt.Pipeline) -> int:
    """Brings the table `people` up to what the other tables tell of people.

    A run of a shard leaves `people` to this, once its rows are loaded: two runs that wrote the same
    person at once would leave two rows, or the one that says less. It looks again after each write,
    so that the last of several runs to end leaves the table right.

    Args:
        pipeline: The pipeline that the shard was loaded with.

    Returns:
        How many rows it wrote.
    """
    written = 0
    for attempt in range(1, _TRIES + 1):
        try:
            if pipeline.has_pending_data:
                pipeline.load()
            with contextlib.closing(Loaded(pipeline)) as loaded:
                records = _lacking(loaded)
            if not records:
                break
            pipeline.run(_resource(records))
            written += len(records)
        except PipelineStepFailed as error:
            if attempt == _TRIES or error.step != "load":
                raise
        # two that go on in step would meet again
        time.sleep(random.uniform(0, attempt / 2))
    return written


def _resource(records: list[Record]) -> DltResource:
    return dlt.resource(
        records,
        name=tables.PEOPLE.name,
        write_disposition="merge",
        primary_key=tables.PEOPLE.key,
        file_format=file_format(tables.PEOPLE),
    )


def _lacking(loaded: Loaded) -> list[Record]:
    """The people of whom `people` says less than other tables, or has more than one row."""
    people = People()
    for table, (attribute, prefix) in _NAMED.items():
        declared = {**tables.PROJECT_TABLES, "account_memberships": tables.ACCOUNT_MEMBERSHIPS}
        names = [name for name in _TOLD if f"{prefix}{name}" in declared[table].columns]
        for row in loaded.distinct(table, [f"{prefix}{name}" for name in names]):
            people.meet(table, {attribute: dict(zip(names, row, strict=True))})
    for table, columns in _ONLY_IDS.items():
        for column in columns:
            ids = [row[0] for row in loaded.distinct(table, [column])]
            people.meet("stories", {"owner_ids": ids})
    records = people.records(loaded)
    loaded.close()
    return records
