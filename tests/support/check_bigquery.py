"""Load a sample workspace into the real BigQuery, and check the tables and views.

`python -m tests.support.check_bigquery`, or `make check-bigquery`, with
the credentials that dlt would use:
`DESTINATION__BIGQUERY__CREDENTIALS__…`, `.dlt/secrets.toml`, or those of gcloud.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import dlt
from dlt.common.configuration.exceptions import ConfigurationException

from pivotal_tracker.tables import PROJECT_TABLES
from tracker_server import TrackerServer
from tracker_server.sample import generate_workspace

from .bigquery import bigquery_tables
from .changes import apply_mixed_changes
from .command import ROOT, Command
from .forking import run_fork_server
from .mirror import CommandMirror

_WORKSPACE = {"projects": 3, "stories": 15, "activity": 30, "seed": 7}


def main() -> int:
    """Load and check a sample workspace, and drop its datasets.

    Print each step.

    Returns:
        0: everything is correct; 1: something is not, and the last line says what.
    """
    dataset = f"tracker_check_{secrets.token_hex(4)}"
    try:
        client = _client(dataset)
    except (ConfigurationException, ValueError) as error:
        problem = " ".join(str(error).split())[:200]
        _print(
            "There are no usable credentials for BigQuery. Set DESTINATION__BIGQUERY__CREDENTIALS__"
            f"PROJECT_ID, __PRIVATE_KEY and __CLIENT_EMAIL, or log in with gcloud. ({problem})"
        )
        return 1
    _print(
        f"Will make the datasets {dataset} and {dataset}_staging in project {client.project}, load "
        "a few thousand sample rows into them by two runs of the command, query every table once, "
        "and drop both. That takes some minutes and scans less than 100 MB."
    )
    try:
        with tempfile.TemporaryDirectory() as folder:
            _check(client, dataset, Path(folder))
    except AssertionError as error:
        _print(f"WRONG: {str(error)[-2000:]}")
        return 1
    finally:
        for name in (dataset, f"{dataset}_staging"):
            client.delete_dataset(name, delete_contents=True, not_found_ok=True)
        _print(f"Dropped {dataset} and {dataset}_staging.")
    _print("Everything is correct.")
    return 0


def _client(dataset: str) -> Any:
    """Return BigQuery's own client, with dlt's credentials and location."""
    pipeline = dlt.pipeline("check_bigquery", destination="bigquery", dataset_name=dataset)
    with pipeline.sql_client() as client:
        return client.native_connection


def _check(client: Any, dataset: str, folder: Path) -> None:
    shutil.copytree(ROOT / ".dlt", folder / ".dlt")
    workspace = generate_workspace(**_WORKSPACE)
    # the environment may have the credentials, or the folder of gcloud's
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with TrackerServer(workspace) as server, run_fork_server() as fork_server:
        mirror = CommandMirror(
            workspace,
            folder,
            server,
            command=Command(folder, server.url, workspace.me["api_token"], fork_server=fork_server),
            options=("--destination", "bigquery", "--dataset", dataset),
            env={**env, "DLT_DATA_DIR": str(folder / "dlt")},
            read=lambda: bigquery_tables(client, dataset),
        )
        _print("First load …")
        mirror.run("--no-views")
        mirror.assert_exact()
        _print("Every table is as the server has it. Second, incremental load, and the views …")
        apply_mixed_changes(workspace)
        mirror.run()
        mirror.assert_exact()
        added = client.query_and_wait(f"SELECT mood FROM `{dataset}.stories`")  # noqa: S608
        assert {row["mood"] for row in added} == {"fine", None}, "an added column has no values"
        _print("Every table is as the server has it.")
        _check_views_of_users(client, dataset, mirror)
    _check_layout(client, dataset)
    _check_views(client, dataset)


def _check_layout(client: Any, dataset: str) -> None:
    if os.environ.get("BIGQUERY_EMULATOR_HOST"):
        _print("The emulator does not report partitions.")
        return
    for table in PROJECT_TABLES.values():
        made = client.get_table(f"{dataset}.{table.name}")
        by = made.time_partitioning.field if made.time_partitioning else None
        expected = table.partition_column or None
        assert by == expected, f"{table.name} is partitioned by {by}, not {expected}"
        assert made.clustering_fields == ["project_id"], f"{table.name} is not clustered"
    _print("Tables are partitioned and clustered.")


def _check_views(client: Any, dataset: str) -> None:
    existing = _views(client, dataset)
    # files with an underscore are parts of others
    files = (ROOT / "pivotal_tracker" / "views").glob("[!_]*.sql")
    expected = {path.stem for path in files}
    missing = ", ".join(sorted(expected - existing))
    assert existing == expected, f"these views are missing: {missing}"
    for view in sorted(existing):
        client.query_and_wait(f"SELECT * FROM `{dataset}.{view}` LIMIT 10")  # noqa: S608
    _print(f"{len(existing)} views can be queried.")


def _check_views_of_users(client: Any, dataset: str, mirror: CommandMirror) -> None:
    """Check that a user's view of the same name is kept, and a missing view created again."""
    view = f"`{dataset}.throughput_weekly`"
    client.query_and_wait(f"CREATE OR REPLACE VIEW {view} AS SELECT 1 AS mine")
    client.query_and_wait(f"DROP VIEW `{dataset}.forecast`")
    output = mirror.run().stdout
    assert "Left out: view throughput_weekly: something else has this name" in output, output
    assert "forecast" in _views(client, dataset), "a dropped view was not created again"
    (row,) = client.query_and_wait(f"SELECT * FROM {view}")  # noqa: S608
    assert row["mine"] == 1, "a view of someone else was replaced"
    client.query_and_wait(f"DROP VIEW {view}")
    mirror.run()
    _print("Views of users are kept.")


def _views(client: Any, dataset: str) -> set[str]:
    return {table.table_id for table in client.list_tables(dataset) if table.table_type == "VIEW"}


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
