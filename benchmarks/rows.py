"""How many rows there are, in the server and in a loaded DuckDB file, by the same names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import requests

from .endpoints import PROJECT_ENDPOINTS, PROJECTS, parameters
from .server import Server

SCHEMA = "tracker"
"""Where every contender puts its tables."""

Rows = Counter[str]
"""Rows by the name that dlt gives the table: `stories`, `stories__comments`, …"""


def rows_of_server(server: Server) -> Rows:
    """Return what a complete load brings.

    Each list is read until an empty page, without a look at the paging headers that the contenders
    go by. A list in a record counts as a nested table; one inside of an object, such as an
    activity's `new_values`, does not.

    Raises:
        requests.RequestException: The server does not answer as it should.
    """
    rows = Rows()
    with requests.Session() as session:
        session.headers["X-TrackerToken"] = server.token
        projects = [p for page in _pages(session, server.url, PROJECTS) for p in page]
        _count(rows, "projects", projects)
        for project in projects:
            for name, endpoint in PROJECT_ENDPOINTS.items():
                for page in _pages(session, server.url, endpoint, id=project["id"]):
                    _count(rows, name, page)
    return rows


def _pages(
    session: requests.Session, base_url: str, endpoint: Any, **path_values: int
) -> Iterator[list[Any]]:
    url = f"{base_url}/{endpoint.path.format(**path_values)}"
    offset = 0
    while True:
        answer = session.get(url, params=parameters(endpoint, offset), timeout=120)
        answer.raise_for_status()
        page = _records(endpoint, answer.json())
        if not page:
            return
        yield page
        if endpoint.limit is None:
            return
        offset += len(page)


def _records(endpoint: Any, body: Any) -> list[Any]:
    """The records in an answer, also where it is one object: a container of days, or a project."""
    if endpoint.data_key:
        body = body[endpoint.data_key]
    return list(body["data"] if endpoint.is_single_record else body)


def _count(rows: Rows, name: str, records: Iterable[Any]) -> None:
    for record in records:
        rows[name] += 1
        # a day of history is a list, and one row
        if isinstance(record, dict):
            for attribute, value in record.items():
                if isinstance(value, list):
                    _count(rows, f"{name}__{attribute}", value)


def rows_of_database(path: Path) -> Rows:
    """Return what a contender loaded, dlt's own tables left out.

    A column that holds lists counts as the nested table that it stands for.

    Raises:
        duckdb.Error: The file is no database, or cannot be opened.
    """
    rows = Rows()
    with duckdb.connect(str(path), read_only=True) as database:
        tables = database.execute(
            "SELECT table_name FROM duckdb_tables() WHERE schema_name = ?"
            " AND NOT starts_with(table_name, '_dlt')",
            [SCHEMA],
        ).fetchall()
        lists = database.execute(
            "SELECT table_name, column_name FROM duckdb_columns() WHERE schema_name = ?"
            " AND ends_with(data_type, '[]') AND NOT starts_with(table_name, '_dlt')",
            [SCHEMA],
        ).fetchall()
        for (table,) in tables:
            rows[table] = _number(database, table, "count(*)")
        for table, column in lists:
            rows[f"{table}__{column}"] = _number(
                database, table, f'coalesce(sum(len("{column}")), 0)'
            )
    return rows


def _number(database: duckdb.DuckDBPyConnection, table: str, aggregate: str) -> int:
    (number,) = database.table(f'{SCHEMA}."{table}"').aggregate(aggregate).fetchone() or (0,)
    return int(number)
