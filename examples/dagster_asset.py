"""Dagster assets, one per table, loaded every hour: `dagster dev -f dagster_asset.py`."""

from collections.abc import Iterator
from typing import Any

import dlt
from dagster import AssetExecutionContext, Definitions, ScheduleDefinition, define_asset_job
from dagster_dlt import DagsterDltResource, dlt_assets

from pivotal_tracker import pivotal_tracker_source
from pivotal_tracker.load.dlt_defaults import apply_dlt_defaults

apply_dlt_defaults()
# make the pipeline first: the source chooses the file format by its destination
pipeline = dlt.pipeline("pivotal_tracker", destination="duckdb", dataset_name="tracker")


@dlt_assets(
    dlt_source=pivotal_tracker_source(),
    dlt_pipeline=pipeline,
    name="pivotal_tracker",
    group_name="tracker",
    # runs that write to the same database wait for each other if the pool has one slot
    pool="pivotal_tracker",
)
def pivotal_tracker_assets(
    context: AssetExecutionContext, dlt_resource: DagsterDltResource
) -> Iterator[Any]:
    """Load the tables of the workspace."""
    yield from dlt_resource.run(context=context)


load = define_asset_job("load_pivotal_tracker", [pivotal_tracker_assets])

definitions = Definitions(
    assets=[pivotal_tracker_assets],
    resources={"dlt_resource": DagsterDltResource()},
    schedules=[ScheduleDefinition(job=load, cron_schedule="15 * * * *")],
)
