"""Read all tables of a destination."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import psycopg2
from psycopg2 import sql

from .truth import Record, Tables


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
