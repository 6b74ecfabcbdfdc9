"""The command into BigQuery: on an emulator, and its SQL in BigQuery's dialect without a server."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator

import dlt
import pytest
import sqlglot
from dlt.common.configuration.specs import GcpServiceAccountCredentials
from dlt.common.schema import Schema
from dlt.destinations import bigquery
from dlt.destinations.exceptions import DatabaseTerminalException
from dlt.destinations.impl.bigquery.bigquery import BigQueryClient, BigQueryMergeJob
from dlt.destinations.impl.bigquery.configuration import BigQueryClientConfiguration
from google.api_core.exceptions import BadRequest
from google.auth.credentials import AnonymousCredentials

from pivotal_tracker import pivotal_tracker_source
from pivotal_tracker.cli.error_messages import reason
from pivotal_tracker.tables import (
    ACCOUNT_MEMBERSHIPS,
    ACCOUNTS,
    DELETED_RECORDS,
    PEOPLE,
    PROJECT_TABLES,
    PROJECTS,
    WORKSPACES,
)
from tracker_server import TrackerServer
from tracker_server.sample import generate_workspace

from ..support.bigquery import bigquery_environment, bigquery_server  # noqa: F401
from ..support.command import ROOT, Command


def check(command: Command, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.support.check_bigquery"],
        cwd=ROOT,
        env=command.environment({**env, "DLT_PROJECT_DIR": str(command.folder)}),
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_check_passes_on_an_emulator(command: Command, bigquery_server: str) -> None:  # noqa: F811
    result = check(command, bigquery_environment(bigquery_server))
    assert result.returncode == 0, result.stdout + result.stderr
    said = result.stdout.splitlines()
    assert said[0].startswith("Will make the datasets tracker_check_")
    assert said[-2].startswith("Dropped tracker_check_")
    assert said[-1] == "All is right."


def test_without_credentials_the_check_says_so(command: Command) -> None:
    result = check(command, {})
    assert result.returncode == 1
    (line,) = result.stdout.splitlines()
    assert line.startswith("There are no usable credentials for BigQuery.")
    assert "Traceback" not in result.stderr


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Schema]:
    """The schema of a load whose files were never sent."""
    workspace = generate_workspace(projects=1, stories=10, activity=20, seed=7)
    pipeline = dlt.pipeline(
        "pivotal_tracker",
        destination="bigquery",
        dataset_name="tracker",
        pipelines_dir=str(tmp_path_factory.mktemp("pipelines")),
    )
    with TrackerServer(workspace) as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr("pivotal_tracker.load.destination_rows._schema_in_dataset", lambda _: None)
        # every load but the first one merges
        patch.setattr("pivotal_tracker.load.to_tables.may_append", lambda *_: False)
        pipeline.extract(pivotal_tracker_source(workspace.me["api_token"], server.url))
    pipeline.normalize()
    yield pipeline.default_schema
    pipeline.deactivate()


@pytest.fixture
def client(schema: Schema, monkeypatch: pytest.MonkeyPatch) -> BigQueryClient:
    monkeypatch.setattr(
        GcpServiceAccountCredentials, "to_native_credentials", lambda _: AnonymousCredentials()
    )
    credentials = GcpServiceAccountCredentials()
    for name in ("project_id", "private_key", "client_email"):
        setattr(credentials, name, "tests")
    configuration = BigQueryClientConfiguration(credentials=credentials)
    made = bigquery().client(schema, configuration._bind_dataset_name("tracker"))
    assert isinstance(made, BigQueryClient)
    return made


def created(client: BigQueryClient, table: str) -> str:
    columns = client.schema.get_table_columns(table).values()
    (statement,) = client._get_table_update_sql(table, list(columns), generate_alter=False)
    return statement


@pytest.mark.parametrize(
    ("table", "layout"),
    [
        ("stories", "PARTITION BY TIMESTAMP_TRUNC(`updated_at`, DAY)\nCLUSTER BY `project_id`"),
        ("activity", "PARTITION BY TIMESTAMP_TRUNC(`occurred_at`, DAY)\nCLUSTER BY `project_id`"),
        ("stories__comments", "CLUSTER BY `project_id`"),
        ("labels", "CLUSTER BY `project_id`"),
        ("projects", ""),
    ],
)
def test_tables_are_laid_out(table: str, layout: str, client: BigQueryClient) -> None:
    statement = created(client, table)
    assert layout in statement
    assert ("PARTITION" in statement) == ("PARTITION" in layout)
    assert ("CLUSTER" in statement) == ("CLUSTER" in layout)


def test_more_days_than_one_job_may_write_are_named_with_a_way_out() -> None:
    # an emulator has no such limit
    said = "400 Too many partitions produced by query, allowed 4000, query produces at least 4001"
    try:
        raise DatabaseTerminalException(BadRequest(said)) from BadRequest(said)
    except DatabaseTerminalException as error:
        told = reason(error)
    assert "4,000 days" in told
    assert "--project" in told


def test_every_table_and_merge_is_bigquery_sql(client: BigQueryClient) -> None:
    roots = (PROJECTS, *PROJECT_TABLES.values(), WORKSPACES, ACCOUNTS, ACCOUNT_MEMBERSHIPS)
    families = [table for root in roots for table in root.family()]
    for table in [*families, PEOPLE, DELETED_RECORDS]:
        statement = created(client, table.name)
        sqlglot.parse_one(statement, dialect="bigquery")
        layout = statement[statement.rindex(")PARTITION" if ")PARTITION" in statement else ")") :]
        assert set(re.findall(r"`(\w+)`", layout)) <= table.columns.keys()
        merge = BigQueryMergeJob.generate_sql(
            [client.prepare_load_table(table.name)], client.sql_client
        )
        assert any(one.strip().startswith("DELETE FROM") for one in merge)
        for one in merge:
            sqlglot.parse_one(one, dialect="bigquery")
