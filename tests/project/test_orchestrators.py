"""The examples for orchestrators load, and later runs read only what changed.

Each orchestrator needs many packages of its own, so each has an environment of its own: `make
orchestrator NAME=prefect`, in a job of `test.yml`.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tracker_server import TrackerServer

from ..support.command import ROOT, Command
from ..support.truth import assert_tables_equal, served_tables

EXAMPLES = ROOT / "examples"
ONE_RUN = """
import dagster_asset
job = dagster_asset.definitions.resolve_job_def("load_pivotal_tracker")
result = job.execute_in_process()
assert result.success and len(result.get_asset_materialization_events()) > 10
"""


def run(command: Command, *line: str, env: dict[str, str]) -> None:
    """Run a program in the command's folder, which must succeed."""
    done = subprocess.run(
        line,
        cwd=command.folder,
        env=command.environment({"PYTHONPATH": str(ROOT), **env}),
        capture_output=True,
        text=True,
        timeout=480,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def assert_read_once(server: TrackerServer) -> None:
    """Assert that both runs requested the projects, and only the first one their lists."""
    paths = [request.path.removeprefix("/services/v5/") for request in server.requests]
    assert paths.count("projects") == 2
    for project in server.workspace.projects:
        assert paths.count(f"projects/{project}/epics") == 1


@pytest.mark.skipif(not find_spec("dagster_dlt"), reason="needs `make orchestrator NAME=dagster`")
def test_dagster_loads_and_keeps_up(command: Command, server: TrackerServer) -> None:
    source = (EXAMPLES / "dagster_asset.py").read_text()
    (command.folder / "dagster_asset.py").write_text(source)
    for _ in range(2):  # each in a process of its own, as Dagster's launcher has it
        run(command, sys.executable, "-c", ONE_RUN, env={"DAGSTER_HOME": str(command.folder)})
    assert_read_once(server)
    assert_tables_equal(command.tables(), served_tables(server))


@pytest.mark.skipif(not find_spec("airflow"), reason="needs `make orchestrator NAME=airflow`")
def test_airflow_loads_and_keeps_up(command: Command, server: TrackerServer) -> None:
    source = (EXAMPLES / "airflow_dag.py").read_text()
    database = f'destination=dlt.destinations.duckdb("{command.database}")'
    assert 'destination="bigquery"' in source
    dags = command.folder / "dags"
    dags.mkdir()
    (dags / "airflow_dag.py").write_text(source.replace('destination="bigquery"', database))
    env = {
        "AIRFLOW_HOME": str(command.folder),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "TMPDIR": str(command.folder),
    }
    airflow = str(Path(sys.executable).with_name("airflow"))
    run(command, airflow, "db", "migrate", env=env)
    for _ in range(2):
        run(command, airflow, "dags", "test", "pivotal_tracker", env=env)
    # with a working folder of its own each time, so that it is the destination which remembers
    assert_read_once(server)
    assert_tables_equal(command.tables(), served_tables(server))


@pytest.mark.skipif(not find_spec("prefect"), reason="needs `make orchestrator NAME=prefect`")
def test_prefect_loads_and_keeps_up(command: Command, server: TrackerServer) -> None:
    source = (EXAMPLES / "prefect_flow.py").read_text()
    (command.folder / "prefect_flow.py").write_text(source)
    env = {
        "PREFECT_HOME": str(command.folder / "prefect"),
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    # a failure is shown at once, not retried after five minutes
    one_run = (
        "import prefect_flow; prefect_flow.load.retries = 0; prefect_flow.load_pivotal_tracker()"
    )
    for _ in range(2):
        run(command, sys.executable, "-c", one_run, env=env)
    assert_read_once(server)
    assert_tables_equal(command.tables(), served_tables(server))
