"""Update `people` from the other tables, after several runs have loaded in parallel."""

from __future__ import annotations

import contextlib
import random
import time

import dlt
from dlt.extract import DltResource
from dlt.pipeline.exceptions import PipelineStepFailed

from .. import tables
from ..records import Record
from .destination_rows import DestinationReader
from .destinations import file_format
from .people import People

MAX_ATTEMPTS = 10
_PERSON_TABLES = {
    "project_memberships": ("person", "person__"),
    "account_memberships": ("person", "person__"),
    "activity": ("performed_by", "performed_by__"),
}
"""Tables with more than the ids of people: the attribute, and the prefix of its columns."""
_PERSON_COLUMNS = ("id", "kind", "name", "email", "initials", "username")
_PERSON_ID_COLUMNS = {
    "stories": ("requested_by_id", "owned_by_id"),
    "stories__owner_ids": ("value",),
    "stories__follower_ids": ("value",),
    "stories__comments": ("person_id",),
    "stories__blockers": ("person_id",),
    "stories__reviews": ("reviewer_id",),
    "stories__transitions": ("performed_by_id",),
}
"""Tables with only the ids of people, and their columns."""


def refresh_people(pipeline: dlt.Pipeline) -> int:
    """Update the table `people` from the other tables.

    Runs of shards do not write `people` themselves: two runs that write the same person at the same
    time would leave two rows, or the older one. This is called after each load. It repeats until
    nothing is missing, so that the last of several runs leaves the table correct.

    Args:
        pipeline: The pipeline that the shard was loaded with.

    Returns:
        The number of rows written.
    """
    written = 0
    for attempt in range(1, MAX_ATTEMPTS + 1):
        try:
            if pipeline.has_pending_data:
                pipeline.load()
            with contextlib.closing(DestinationReader(pipeline)) as loaded:
                records = _incomplete_people(loaded)
            if not records:
                break
            pipeline.run(_resource(records))
            written += len(records)
        except PipelineStepFailed as error:
            if attempt == MAX_ATTEMPTS or error.step != "load":
                raise
        # a random wait, so that two runs do not collide again
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


def _incomplete_people(loaded: DestinationReader) -> list[Record]:
    """Return the people of whom other tables have more, or who have more than one row."""
    people = People()
    for table, (attribute, prefix) in _PERSON_TABLES.items():
        declared = {**tables.PROJECT_TABLES, "account_memberships": tables.ACCOUNT_MEMBERSHIPS}
        names = [name for name in _PERSON_COLUMNS if f"{prefix}{name}" in declared[table].columns]
        for row in loaded.distinct(table, [f"{prefix}{name}" for name in names]):
            people.collect(table, {attribute: dict(zip(names, row, strict=True))})
    for table, columns in _PERSON_ID_COLUMNS.items():
        for column in columns:
            ids = [row[0] for row in loaded.distinct(table, [column])]
            people.collect("stories", {"owner_ids": ids})
    records = people.records(loaded)
    loaded.close()
    return records
