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
from .people import CHILD_ID_ATTRIBUTES, ID_ATTRIBUTES, ID_LISTS, PERSON_ATTRIBUTES, People

MAX_ATTEMPTS = 10
_ID_COLUMNS = (
    *(("stories", name) for name in ID_ATTRIBUTES),
    *((f"stories__{name}", "value") for name in ID_LISTS),
    *((f"stories__{name}", attribute) for name, attribute in CHILD_ID_ATTRIBUTES.items()),
)
"""The columns with ids of people, each with its table."""


def refresh_people(pipeline: dlt.Pipeline) -> int:
    """Update the table `people` from the other tables, after a shard was loaded.

    It repeats until nothing is missing, so that the last of several runs leaves the table correct.

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
    for table, attribute in PERSON_ATTRIBUTES.items():
        prefix = f"{attribute}__"
        columns = [c for c in tables.SERVER_TABLES[table].columns if c.startswith(prefix)]
        names = [column.removeprefix(prefix) for column in columns]
        for row in loaded.distinct(table, columns):
            people.collect(table, {attribute: dict(zip(names, row, strict=True))})
    for table, column in _ID_COLUMNS:
        ids = [row[0] for row in loaded.distinct(table, [column])]
        people.collect("stories", {"owner_ids": ids})
    return people.records(loaded)
