"""An Airflow DAG that loads every hour; put it into `dags/`, beside `.dlt`."""

from __future__ import annotations

from datetime import timedelta

import dlt
import pendulum
from airflow.sdk import DAG
from dlt.helpers.airflow_helper import PipelineTasksGroup

from pivotal_tracker import pivotal_tracker_source
from pivotal_tracker.load.dlt_defaults import apply_dlt_defaults

with DAG(
    "pivotal_tracker",
    schedule="15 * * * *",
    start_date=pendulum.datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,  # two runs of one pipeline must not overlap
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
):
    # gives each task a working folder of its own: the state of earlier runs is restored from the
    # destination, so that must be BigQuery or a server, not a file on the worker
    group = PipelineTasksGroup("pivotal_tracker_load")
    apply_dlt_defaults()
    pipeline = dlt.pipeline("pivotal_tracker", destination="bigquery", dataset_name="tracker")
    # the source is made when the task runs, so that parsing this file needs no token
    group.add_run(pipeline, pivotal_tracker_source)
