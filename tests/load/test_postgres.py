"""The command with Postgres: every table equals the server's, run after run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import psycopg2
import pytest

from pivotal_tracker.descriptions import TABLES, column_description
from tracker_server import TrackerServer
from tracker_server.sample import generate_workspace
from tracker_server.workspace import Workspace

from ..support.changes import apply_mixed_changes
from ..support.command import Command, make_small_workspace, new_command, serving
from ..support.destinations import postgres_tables
from ..support.forking import ForkServer
from ..support.kill import LOADED, KillPoint, kill_at, mark_jobs_as_started
from ..support.mirror import CommandMirror
from ..support.postgres import new_database, postgres, postgres_server  # noqa: F401 - fixtures
from ..support.view_database import VIEWS

pytestmark = pytest.mark.integration

CREDENTIALS = "DESTINATION__POSTGRES__CREDENTIALS"


def _mirror(command: Command, server: TrackerServer, database: str) -> CommandMirror:
    return CommandMirror(
        server.workspace,
        command.folder,
        server,
        command=command,
        options=("--destination", "postgres"),
        env={CREDENTIALS: database},
        read=lambda: postgres_tables(database),
    )


@pytest.fixture(scope="module")
def first_load(
    fork_server: ForkServer,
    postgres_server: str,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> CommandMirror:
    """Load the small workspace once, for all tests of later runs."""
    command = new_command(fork_server, tmp_path_factory.mktemp("first_load") / "run")
    with serving(make_small_workspace(), command) as server:
        mirror = _mirror(command, server, new_database(f"{postgres_server}/postgres"))
        result = mirror.run()
        assert "In postgres, dataset tracker: postgresql://127.0.0.1:" in result.stdout
        assert "WARNING" not in result.stderr
        mirror.assert_exact()
    return mirror


@pytest.fixture
def mirror(command: Command, server: TrackerServer, first_load: CommandMirror) -> CommandMirror:
    """The small workspace after its first load."""
    command.take_over(first_load.command)
    mirror = _mirror(command, server, new_database(first_load.env[CREDENTIALS]))
    mirror.seen = dict(first_load.seen)
    return mirror


def test_columns_have_their_declared_types(first_load: CommandMirror) -> None:
    with closing(psycopg2.connect(first_load.env[CREDENTIALS])) as connection:
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


def test_tables_and_columns_have_comments(first_load: CommandMirror) -> None:
    with closing(psycopg2.connect(first_load.env[CREDENTIALS])) as connection:
        cursor = connection.cursor()
        cursor.execute(
            "SELECT obj_description('tracker.stories'::regclass), "
            "col_description('tracker.epics__comments'::regclass, attnum) FROM pg_attribute "
            "WHERE attrelid = 'tracker.epics__comments'::regclass AND attname = 'person_id'"
        )
        assert cursor.fetchall() == [
            (TABLES["stories"], column_description("epics__comments", "person_id"))
        ]


def test_tables_are_exact_after_changes_without_working_folder(mirror: CommandMirror) -> None:
    before = mirror.tables()
    mirror.command.views = True
    apply_mixed_changes(mirror.workspace)
    mirror.command.folder.joinpath("dlt").rename(mirror.command.folder / "moved")
    result = mirror.run()
    assert len(mirror.server.requests) < 30
    assert "Unchanged since the last run: 1 project." in result.stdout
    assert f"Views: {len(VIEWS)}." in result.stdout
    assert before.keys() <= mirror.tables().keys()
    mirror.assert_exact()
    assert any(row.get("mood") == "fine" for row in mirror.tables()["stories"])
    assert "Loaded 0 rows" in mirror.run().stdout
    # rebuild tables that views read
    result = mirror.run("--full-refresh", "--resource", "stories", "activity")
    assert f"Views: {len(VIEWS)}." in result.stdout
    mirror.assert_exact()


def test_killed_run_is_resumed(mirror: CommandMirror) -> None:
    """Files were loaded before dlt recorded them, including files of nested tables."""
    apply_mixed_changes(mirror.workspace)
    options = (*mirror.options, "--no-views")
    kill_at(KillPoint(LOADED, 8), mirror.command, mirror.server, *options, env=mirror.env)
    mark_jobs_as_started(mirror.command)
    mirror.run()
    mirror.assert_exact()


def test_empty_workspace_creates_tables(
    command: Command,
    serve: Callable[[Workspace], TrackerServer],
    postgres: str,  # noqa: F811
) -> None:
    serve(generate_workspace(projects=0))
    resources = ("--resource", "epics", "iterations")
    result = command("--destination", "postgres", *resources, env={CREDENTIALS: postgres})
    assert result.returncode == 0, result.stderr
    assert {"epics__comments__file_attachments", "iterations"} <= postgres_tables(postgres).keys()
