"""The example queries, the notebook and the examples for orchestrators run as they are.

Each orchestrator needs many packages of its own, so each has an environment of its own: `make
orchestrator NAME=prefect`, in a job of `test.yml`.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nbformat
import pytest

from docs import example_queries, notebook
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


def test_results_of_example_queries_are_current(sample_database: Path) -> None:
    page = (ROOT / "docs" / "queries.md").read_text()
    assert page == example_queries.page(sample_database), "run `make docs`"
    assert len(list(example_queries.QUERIES.glob("*.sql"))) == page.count("```sql") == 20
    results = [section.partition("```sql")[2] for section in page.split("\n## ")[1:]]
    assert all(result.count("\n|") > 2 for result in results), "a question without an answer"


def test_results_in_the_notebook_are_current(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def results(cells: Any) -> list[str]:
        texts = [out.get("data", out).get("text/plain", out.get("text")) for out in cells]
        return ["".join(text) for text in texts]

    def outputs(executed: Any) -> list[Any]:
        return [out for cell in executed.cells for out in cell.get("outputs", [])]

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    shown = nbformat.read(notebook.NOTEBOOK, as_version=4)
    assert results(outputs(notebook.execute(tmp_path))) == results(outputs(shown))
    assert sum("image/png" in out.get("data", {}) for out in outputs(shown)) == 2


def run(command: Command, *line: str, env: dict[str, str]) -> None:
    """Run a program in the command's folder, which must succeed."""
    done = subprocess.run(
        line,
        cwd=command.folder,
        env=command.environment({"PYTHONPATH": str(ROOT), **env}),
        capture_output=True,
        text=True,
        timeout=240,
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
    one_run = "import prefect_flow; prefect_flow.load_pivotal_tracker()"
    for _ in range(2):
        run(command, sys.executable, "-c", one_run, env=env)
    assert_read_once(server)
    assert_tables_equal(command.tables(), served_tables(server))
