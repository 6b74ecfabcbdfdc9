"""The command with BigQuery: loads into an emulator, and SQL checked without a server."""

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


def run_check(command: Command, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.support.check_bigquery"],
        cwd=ROOT,
        env=command.environment({**env, "DLT_PROJECT_DIR": str(command.folder)}),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.integration
def test_bigquery_check_passes_on_the_emulator(command: Command, bigquery_server: str) -> None:  # noqa: F811
    result = run_check(command, bigquery_environment(bigquery_server))
    assert result.returncode == 0, result.stdout + result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].startswith("Will make the datasets tracker_check_")
    assert lines[-2].startswith("Dropped tracker_check_")
    assert lines[-1] == "Everything is correct."


def test_bigquery_check_without_credentials_fails_with_one_line(command: Command) -> None:
    result = run_check(command, {})
    assert result.returncode == 1
    (line,) = result.stdout.splitlines()
    assert line.startswith("There are no usable credentials for BigQuery.")
    assert "Traceback" not in result.stderr


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Schema]:
    """The schema of a package that was extracted and normalized, but not loaded."""
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


def create_statement(client: BigQueryClient, table: str) -> str:
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
def test_tables_are_partitioned_and_clustered(
    table: str, layout: str, client: BigQueryClient
) -> None:
    statement = create_statement(client, table)
    assert layout in statement
    assert ("PARTITION" in statement) == ("PARTITION" in layout)
    assert ("CLUSTER" in statement) == ("CLUSTER" in layout)


def test_too_many_partitions_error_suggests_what_to_do() -> None:
    # an emulator has no such limit
    text = "400 Too many partitions produced by query, allowed 4000, query produces at least 4001"
    try:
        raise DatabaseTerminalException(BadRequest(text)) from BadRequest(text)
    except DatabaseTerminalException as error:
        message = reason(error)
    assert "4,000 days" in message
    assert "--project" in message


def test_create_and_merge_statements_are_valid_bigquery_sql(client: BigQueryClient) -> None:
    roots = (PROJECTS, *PROJECT_TABLES.values(), WORKSPACES, ACCOUNTS, ACCOUNT_MEMBERSHIPS)
    families = [table for root in roots for table in root.family()]
    for table in [*families, PEOPLE, DELETED_RECORDS]:
        statement = create_statement(client, table.name)
        sqlglot.parse_one(statement, dialect="bigquery")
        layout = statement[statement.rindex(")PARTITION" if ")PARTITION" in statement else ")") :]
        assert set(re.findall(r"`(\w+)`", layout)) <= table.columns.keys()
        statements = BigQueryMergeJob.generate_sql(
            [client.prepare_load_table(table.name)], client.sql_client
        )
        assert any(sql.strip().startswith("DELETE FROM") for sql in statements)
        for sql in statements:
            sqlglot.parse_one(sql, dialect="bigquery")
