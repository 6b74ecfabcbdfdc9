"""The command into SQLite, by dlt's destination for whatever SQLAlchemy knows."""

from __future__ import annotations

from pivotal_tracker.cli.error_messages import reason
from tracker_server import TrackerServer

from ..support.command import Command
from ..support.destinations import CommandMirror, apply_mixed_changes, sqlite_tables


def test_it_keeps_up(command: Command, server: TrackerServer) -> None:
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


def test_too_short_a_column_in_mysql_is_named_with_a_way_out() -> None:
    told = reason(ValueError("(1406, \"Data too long for column 'schema' at row 1\")"))
    assert "ALTER TABLE _dlt_version" in told
    assert "_staging" in told
