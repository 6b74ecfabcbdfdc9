"""Count the rows of the server and of a loaded DuckDB file, by the names of dlt's tables."""

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
"""The dataset that every contender loads into."""

Rows = Counter[str]
"""Rows by the name that dlt gives the table: `stories`, `stories__comments`, …"""


def rows_of_server(server: Server) -> Rows:
    """Count the rows of a complete load.

    Each list is read up to an empty page, and the paging headers that the contenders use are
    ignored. A list in a record counts as a nested table, but not a list in an object, such as an
    activity's `new_values`.

    Raises:
        requests.RequestException: A request failed.
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
        response = session.get(url, params=parameters(endpoint, offset), timeout=120)
        response.raise_for_status()
        page = _records(endpoint, response.json())
        if not page:
            return
        yield page
        if endpoint.limit is None:
            return
        offset += len(page)


def _records(endpoint: Any, body: Any) -> list[Any]:
    """Return the records in a response, which may be one object, such as a project."""
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
    """Count the rows that a contender loaded, without those of dlt's own tables.

    The items of a column of lists count as rows of a nested table.

    Raises:
        duckdb.Error: The file is not a database, or cannot be opened.
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
