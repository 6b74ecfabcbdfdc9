"""A Prefect flow that loads every hour: `python prefect_flow.py`, in the folder with `.dlt`."""

from __future__ import annotations

import dlt
from prefect import flow, task

from pivotal_tracker import pivotal_tracker_source
from pivotal_tracker.load.dlt_defaults import set_defaults
from pivotal_tracker.views import create_views


@task(retries=2, retry_delay_seconds=300)
def load() -> str:
    """Load what has changed since the last run, and create the views."""
    set_defaults()
    pipeline = dlt.pipeline("pivotal_tracker", destination="duckdb", dataset_name="tracker")
    info = pipeline.run(pivotal_tracker_source())
    create_views(pipeline)
    return str(info)


@flow(name="pivotal_tracker", log_prints=True)
def load_pivotal_tracker() -> None:
    """Load the workspace."""
    print(load())


if __name__ == "__main__":
    # one run at a time: two runs of one pipeline must not overlap
    load_pivotal_tracker.serve(name="hourly", cron="15 * * * *", limit=1)
