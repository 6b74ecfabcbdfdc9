"""Loads a sample workspace into BigQuery for real, and looks whether everything is right there.

`python -m tests.support.check_bigquery`, or `make check-bigquery`, with
the credentials that dlt would use:
`DESTINATION__BIGQUERY__CREDENTIALS__…`, `.dlt/secrets.toml`, or those of gcloud.
"""

from __future__ import annotations

import contextlib
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
from .command import ROOT, Command
from .destinations import CommandMirror, a_busy_day
from .forking import Forking

_WORKSPACE = {"projects": 3, "stories": 15, "activity": 30, "seed": 7}


def main() -> int:
    """Says what it will do, does it, and drops what it made.

    Returns:
        0: all is right; 1: something is not, and what was said last says what.
    """
    dataset = f"tracker_check_{secrets.token_hex(4)}"
    try:
        client = _client(dataset)
    except (ConfigurationException, ValueError) as error:
        problem = " ".join(str(error).split())[:200]
        _say(
            "There are no usable credentials for BigQuery. Set DESTINATION__BIGQUERY__CREDENTIALS__"
            f"PROJECT_ID, __PRIVATE_KEY and __CLIENT_EMAIL, or log in with gcloud. ({problem})"
        )
        return 1
    _say(
        f"Will make the datasets {dataset} and {dataset}_staging in project {client.project}, load "
        "a few thousand sample rows into them by two runs of the command, query every table once, "
        "and drop both. That takes some minutes and scans less than 100 MB."
    )
    try:
        with tempfile.TemporaryDirectory() as folder:
            _check(client, dataset, Path(folder))
    except AssertionError as error:
        _say(f"WRONG: {str(error)[-2000:]}")
        return 1
    finally:
        for name in (dataset, f"{dataset}_staging"):
            client.delete_dataset(name, delete_contents=True, not_found_ok=True)
        _say(f"Dropped {dataset} and {dataset}_staging.")
    _say("All is right.")
    return 0


def _client(dataset: str) -> Any:
    """BigQuery's own client, with the credentials and the location that dlt would use."""
    pipeline = dlt.pipeline("check_bigquery", destination="bigquery", dataset_name=dataset)
    with pipeline.sql_client() as client:
        return client.native_connection


def _check(client: Any, dataset: str, folder: Path) -> None:
    shutil.copytree(ROOT / ".dlt", folder / ".dlt")
    workspace = generate_workspace(**_WORKSPACE)
    # what names the credentials may be in, and where gcloud keeps its own; what PYTHONPATH brings
    # is in the process that forks
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with TrackerServer(workspace) as server, contextlib.closing(Forking()) as forking:
        mirror = CommandMirror(
            workspace,
            folder,
            server,
            command=Command(folder, server.url, workspace.me["api_token"], forking=forking),
            options=("--destination", "bigquery", "--dataset", dataset),
            env={**env, "DLT_DATA_DIR": str(folder / "dlt")},
            read=lambda: bigquery_tables(client, dataset),
        )
        _say("First load …")
        mirror.run("--no-views")
        mirror.assert_exact()
        _say("Every table is as the server has it. Second, incremental load, and the views …")
        a_busy_day(workspace)
        mirror.run()
        mirror.assert_exact()
        added = client.query_and_wait(f"SELECT mood FROM `{dataset}.stories`")  # noqa: S608
        assert {row["mood"] for row in added} == {"fine", None}, "an added column has no values"
        _say("Every table is as the server has it.")
        _check_views_of_users(client, dataset, mirror)
    _check_layout(client, dataset)
    _check_views(client, dataset)


def _check_layout(client: Any, dataset: str) -> None:
    if os.environ.get("BIGQUERY_EMULATOR_HOST"):
        _say("The emulator does not tell how tables are partitioned.")
        return
    for table in PROJECT_TABLES.values():
        made = client.get_table(f"{dataset}.{table.name}")
        by = made.time_partitioning.field if made.time_partitioning else None
        wanted = table.partition.column if table.partition else None
        assert by == wanted, f"{table.name} is partitioned by {by}, not {wanted}"
        assert made.clustering_fields == ["project_id"], f"{table.name} is not clustered"
    _say("Tables are partitioned and clustered.")


def _check_views(client: Any, dataset: str) -> None:
    there = _views(client, dataset)
    # those with an underscore are part of the others
    files = (ROOT / "pivotal_tracker" / "views").glob("[!_]*.sql")
    wanted = {path.stem for path in files}
    assert there == wanted, f"these views are missing: {', '.join(sorted(wanted - there))}"
    for view in sorted(there):
        client.query_and_wait(f"SELECT * FROM `{dataset}.{view}` LIMIT 10")  # noqa: S608
    _say(f"{len(there)} views answer.")


def _check_views_of_users(client: Any, dataset: str, mirror: CommandMirror) -> None:
    """Something else with the name of a view is left alone, and a missing view created again."""
    view = f"`{dataset}.throughput_weekly`"
    client.query_and_wait(f"CREATE OR REPLACE VIEW {view} AS SELECT 1 AS mine")
    client.query_and_wait(f"DROP VIEW `{dataset}.forecast`")
    said = mirror.run().stdout
    assert "Left out: view throughput_weekly: something else has this name" in said, said
    assert "forecast" in _views(client, dataset), "a dropped view was not created again"
    (row,) = client.query_and_wait(f"SELECT * FROM {view}")  # noqa: S608
    assert row["mine"] == 1, "a view of someone else was replaced"
    client.query_and_wait(f"DROP VIEW {view}")
    mirror.run()
    _say("Views of other people are left alone.")


def _views(client: Any, dataset: str) -> set[str]:
    return {one.table_id for one in client.list_tables(dataset) if one.table_type == "VIEW"}


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
