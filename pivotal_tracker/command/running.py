"""Carries out a run: to its end if it can be, and as fast as the destination lets it."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import random
import time
from collections.abc import Callable
from typing import Any, cast

import dlt
from dlt.pipeline.exceptions import PipelineStepFailed
from dlt.pipeline.trace import PipelineTrace

from ..errors import TrackerError
from ..shard import Shard

MOST_TRIES = 5
"""So often is a load tried again that the load of another shard may have got in the way of."""

_M_ARENA_MAX = -8
"""The number of glibc's setting in malloc.h; other systems have no `mallopt`, or ignore it."""


def suit_memory_to_pages() -> None:
    """Has memory managed for what a run is made of: pages of many objects, fetched by threads."""
    # they hold no cycles: looking for some as often as usual took a tenth of a load
    gc.set_threshold(200_000)
    # one heap for all threads: those of their own kept 300 MB of 100,000 stories for nothing
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def suit_load_to(pipeline: dlt.Pipeline, shard: Shard) -> None:
    """Has DuckDB load few files at once, each of which takes memory; a server may take many.

    A shard gets a staging dataset of its own: each run empties the tables in it.
    """
    is_duckdb = pipeline.destination.destination_type == "dlt.destinations.duckdb"
    if is_duckdb and dlt.config.get("load.workers") is None:
        dlt.config["load.workers"] = 2
    if not shard.is_whole:
        name = f"destination.{pipeline.destination.destination_name}.staging_dataset_name_layout"
        dlt.config[name] = f"%s_staging_{shard.name}"


def complete_interrupted_run(pipeline: dlt.Pipeline, shard: Shard) -> None:
    """Loads what an earlier run has read: a new run would load that and drop its own data."""
    # killed between two steps, dlt keeps a package that it has normalized among those to normalize,
    # and then stumbles over itself
    for load_id in pipeline.list_normalized_load_packages():
        if load_id in pipeline.list_extracted_load_packages():
            pipeline._get_normalize_storage().extracted_packages.delete_package(load_id)
    _expect_rows_twice(pipeline)
    if pipeline.has_pending_data:
        patiently(pipeline, shard, pipeline.run)


def _expect_rows_twice(pipeline: dlt.Pipeline) -> None:
    """Has rows that come twice looked for: what is loaded again may bring a file's again."""
    packages = pipeline._get_load_storage().normalized_packages
    for load_id in pipeline.list_normalized_load_packages():
        schema = packages.load_schema(load_id)
        for table in schema.tables.values():
            cast(dict[str, Any], table).pop("x-stage-data-deduplicated", None)
        packages.save_schema(load_id, schema)


def patiently(pipeline: dlt.Pipeline, shard: Shard, run: Callable[[], Any]) -> PipelineTrace:
    """Runs a pipeline; of a shard, loads again what failed, as another's load may be the reason.

    Returns:
        What dlt noted of the run, its extraction included.
    """
    try:
        run()
    except PipelineStepFailed as error:
        if shard.is_whole or error.step != "load":
            raise
        trace = _last_trace(pipeline)
        _load_again(pipeline)
        return trace
    return _last_trace(pipeline)


def _load_again(pipeline: dlt.Pipeline) -> None:
    _expect_rows_twice(pipeline)
    for attempt in range(1, MOST_TRIES + 1):
        # two that make the same table at once fail in step, and would again
        time.sleep(random.uniform(1, 2) * attempt)
        try:
            pipeline.load()
            break
        except PipelineStepFailed:
            if attempt == MOST_TRIES:
                raise


def _last_trace(pipeline: dlt.Pipeline) -> PipelineTrace:
    if pipeline.last_trace is None:
        raise TrackerError("dlt kept no record of the run.")
    return pipeline.last_trace
