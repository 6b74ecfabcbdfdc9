"""The command with SQLite, through dlt's SQLAlchemy destination."""

from __future__ import annotations

from pivotal_tracker.cli.error_messages import reason
from tracker_server import TrackerServer

from ..support.changes import apply_mixed_changes
from ..support.command import Command
from ..support.destinations import sqlite_tables
from ..support.mirror import CommandMirror


def test_sqlite_tables_are_exact_after_changes(command: Command, server: TrackerServer) -> None:
    command.views = True
    mirror = CommandMirror(
        server.workspace,
        command.folder,
        server,
        command=command,
        options=("--destination", "sqlalchemy"),
        env={"DESTINATION__SQLALCHEMY__CREDENTIALS": "sqlite:///loaded.db"},
        # dlt gives each dataset a file of its own
        read=lambda: sqlite_tables(command.folder / "loaded__tracker.db"),
    )
    assert "Views: none, SQLite lacks" in mirror.run().stdout
    mirror.assert_exact()
    apply_mixed_changes(mirror.workspace)
    mirror.run()
    mirror.assert_exact()
    assert "Loaded 0 rows" in mirror.run().stdout


def test_too_long_schema_in_mysql_suggests_what_to_do() -> None:
    message = reason(ValueError("(1406, \"Data too long for column 'schema' at row 1\")"))
    assert "ALTER TABLE _dlt_version" in message
    assert "_staging" in message
