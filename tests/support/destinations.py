"""The destinations in tests of the command, and functions that read their tables."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import duckdb
import psycopg2
from psycopg2 import sql

from tracker_server.workspace import Workspace

from ..extract.test_incremental_loading import Mirror
from .command import Command
from .truth import Record, Tables


@dataclass
class CommandMirror(Mirror):
    """A served workspace, and the destination that the command loads it into."""

    command: Command = field(kw_only=True)
    options: tuple[str, ...] = field(kw_only=True)
    env: Mapping[str, str] = field(kw_only=True)
    read: Callable[[], Tables] = field(kw_only=True)

    def run(self, *options: str) -> CompletedProcess[str]:
        """Run the command, which must succeed."""
        self.server.requests.clear()
        result = self.command(*self.options, *options, env=self.env)
        assert result.returncode == 0, result.stderr
        assert "Traceback" not in result.stderr
        return result

    def tables(self) -> Tables:
        return self.read()


def postgres_tables(dsn: str, dataset: str = "tracker") -> Tables:
    """Return every row of every table of a dataset in Postgres, without dlt's own tables."""
    with closing(psycopg2.connect(dsn)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name FROM information_schema.tables "
            "WHERE table_schema = %s AND table_type = 'BASE TABLE'",
            [dataset],
        )
        names = [name for (name,) in cursor.fetchall() if not name.startswith("_dlt")]
        return {name: _postgres_rows(cursor, dataset, name) for name in names}


def _postgres_rows(cursor: Any, dataset: str, table: str) -> list[Record]:
    cursor.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(dataset, table)))
    columns = [column.name for column in cursor.description]
    return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]


def sqlite_tables(database: Path) -> Tables:
    """Return every row of every table of a dataset in SQLite, without dlt's own tables."""
    with closing(sqlite3.connect(database)) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return {
            name: _sqlite_rows(connection, name) for (name,) in names if not name.startswith("_dlt")
        }


def _sqlite_rows(connection: sqlite3.Connection, table: str) -> list[Record]:
    """Return rows with values of the declared types of columns, which SQLite ignores."""
    columns = [
        (name, kind) for _, name, kind, *_ in connection.execute(f"PRAGMA table_info({table})")
    ]
    # dlt passes JSON as a text to SQLAlchemy, which writes the text as JSON
    kinds = {
        "BOOLEAN": bool,
        "DATETIME": _parse_time,
        "DATE": date.fromisoformat,
        "JSON": json.loads,
    }
    return [
        {
            name: value if value is None else kinds.get(kind, lambda same: same)(value)
            for (name, kind), value in zip(columns, row, strict=True)
        }
        for row in connection.execute(f"SELECT * FROM {table}")  # noqa: S608
    ]


def _parse_time(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def apply_mixed_changes(workspace: Workspace) -> None:
    """Make a change of every kind that may happen between two runs."""
    first, second, _ = workspace.projects
    stories = list(workspace.projects[first].stories)
    workspace.edit_story(stories[0], name="Say \"no\" to \\ and '', 'often'\n\ttwice", mood="fine")
    workspace.edit_story(stories[1], description="")
    workspace.delete_stories(*stories[2:9])
    workspace.move_story_to_project(stories[10], second)
    label_id = next(
        s["label_ids"][0] for s in workspace.projects[first].stories.values() if s["label_ids"]
    )
    workspace.rename_label(label_id, "under another name")
    workspace.delete_epic(next(iter(workspace.projects[second].epics)))
    workspace.add_comment("Once", story_id=stories[11])
    workspace.create_story(second, name="New")


def parquet_tables(folder: Path) -> Tables:
    """Return every row of every table of parquet files, without dlt's own tables."""
    tables: Tables = {}
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for table in folder.iterdir():
            if table.is_dir() and not table.name.startswith("_dlt"):
                files = connection.read_parquet(f"{table}/*.parquet", union_by_name=True)
                rows = files.fetchall()
                tables[table.name] = [dict(zip(files.columns, row, strict=True)) for row in rows]
    return tables
