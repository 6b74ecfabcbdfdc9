"""The command into Postgres: every table equal to the server's, run after run."""

from __future__ import annotations

from collections.abc import Callable

import psycopg2
import pytest

from tracker_server import TrackerServer
from tracker_server.made_up import made_up_workspace
from tracker_server.workspace import Workspace

from .conftest import Command
from .destinations import CommandMirror, a_busy_day, postgres_tables
from .postgres import postgres, postgres_server  # noqa: F401 - fixtures
from .test_killed import LOADED, Point, forget_loaded, kill_at


@pytest.fixture
def mirror(command: Command, server: TrackerServer, postgres: str) -> CommandMirror:  # noqa: F811
    return CommandMirror(
        server.workspace,
        command.folder,
        server,
        command=command,
        options=("--destination", "postgres"),
        env={"DESTINATION__POSTGRES__CREDENTIALS": postgres},
        read=lambda: postgres_tables(postgres),
    )


def test_it_keeps_up(mirror: CommandMirror) -> None:
    result = mirror.run()
    assert "In postgres, dataset tracker." in result.stdout
    assert "WARNING" not in result.stderr
    mirror.assert_exact()
    a_busy_day(mirror.workspace)
    mirror.run()
    mirror.assert_exact()
    assert any(row.get("mood") == "fine" for row in mirror.tables()["stories"])
    a_busy_day(mirror.workspace)
    mirror.run()
    mirror.assert_exact()
    assert "Loaded 0 rows" in mirror.run().stdout
    mirror.run("--full-refresh")
    mirror.assert_exact()


def test_columns_have_their_types(mirror: CommandMirror) -> None:
    mirror.run("--resource", "activity", "history_days", "stories")
    with psycopg2.connect(mirror.env["DESTINATION__POSTGRES__CREDENTIALS"]) as connection:
        cursor = connection.cursor()
        cursor.execute(
            "SELECT table_name, column_name, data_type FROM information_schema.columns "
            "WHERE table_schema = 'tracker'"
        )
        types = {(table, column): kind for table, column, kind in cursor.fetchall()}
    assert types["stories", "id"] == "bigint"
    assert types["stories", "estimate"] == "double precision"
    assert types["stories", "updated_at"] == "timestamp with time zone"
    assert types["history_days", "date"] == "date"
    assert types["activity__changes", "new_values"] == "jsonb"
    assert types["stories", "cycle_time_details__total_cycle_time"] == "bigint"


def test_a_lost_working_folder_costs_nothing(mirror: CommandMirror) -> None:
    mirror.run()
    before = mirror.tables()
    a_busy_day(mirror.workspace)
    mirror.command.folder.joinpath("dlt").rename(mirror.command.folder / "elsewhere")
    result = mirror.run()
    assert len(mirror.server.requests) < 30
    assert "Unchanged since the last run: 1 projects." in result.stdout
    assert before.keys() <= mirror.tables().keys()
    mirror.assert_exact()


def test_a_killed_run_is_completed(mirror: CommandMirror) -> None:
    """Also where files were loaded that dlt had not noted yet, those of nested rows among them."""
    mirror.run()
    a_busy_day(mirror.workspace)
    options = (*mirror.options, "--no-views")
    kill_at(Point(LOADED, 8), mirror.command, mirror.server, *options, env=mirror.env)
    forget_loaded(mirror.command)
    mirror.run()
    mirror.assert_exact()


def test_an_empty_workspace_has_every_table(
    command: Command,
    serve: Callable[[Workspace], TrackerServer],
    postgres: str,  # noqa: F811
) -> None:
    serve(made_up_workspace(projects=0))
    result = command(
        "--destination", "postgres", env={"DESTINATION__POSTGRES__CREDENTIALS": postgres}
    )
    assert result.returncode == 0, result.stderr
    assert {"stories__comments__file_attachments", "iterations"} <= postgres_tables(postgres).keys()
