"""A copy of a DuckDB database, made once per load, in which the metric views are tables.

A view computes its rows each time it is read, which takes seconds with 100,000 stories. And while a
load writes to the database nobody can read it, but the copy of the load before.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import date
from hashlib import sha256
from pathlib import Path
from shutil import copyfile

import duckdb
from pandas import DataFrame

from .data import Dataset
from .errors import DashboardError, MissingTableError, first_line
from .load_files import load_file, new_load_file

_FILE_VERSION = 1
"""To be increased with every change to what the file contains."""

_VIEWS = (
    "project_as_of",
    "story_measures",
    "project_velocity",
    "cycle_times",
    "throughput_weekly",
    "daily_states",
    "iteration_metrics",
    "forecast",
    "epic_progress",
    "release_progress",
    "open_story_age",
    "person_activity",
)
"""The views that the dashboard reads; each reads only those before it."""

_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "enable_external_access": False,
    "memory_limit": "2GB",
}


class Snapshot:
    """The copy of the database of one load."""

    def __init__(self, path: Path, schema: str) -> None:
        """Open the file of a copy.

        Raises:
            duckdb.Error: It is not usable, for example because a later DuckDB wrote it.
        """
        self.path = path
        self._schema = schema
        self._connection = duckdb.connect(str(path), read_only=True, config=_SETTINGS)
        self._connection.execute("SET GLOBAL TimeZone = 'UTC'")

    def rows(self, queries: Sequence[str]) -> list[DataFrame]:
        """Run queries.

        Raises:
            MissingTableError: A table or a view is missing.
            DashboardError: DuckDB reports another error.
        """
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(f"SET schema = {_literal(self._schema)}")
                return [cursor.execute(query).df() for query in queries]
        except duckdb.CatalogException as error:
            raise MissingTableError(first_line(error)) from error
        except duckdb.Error as error:
            raise DashboardError(first_line(error)) from error


def open_snapshot(dataset: Dataset, load_id: str, day: date) -> Snapshot | None:
    """Open the copy of a load, and make it first if there is none.

    Args:
        dataset: The dataset of the load.
        load_id: The id of the load.
        day: Today. Ages of stories grow, so that the views give other rows each day.

    Returns:
        `None` if the destination is not DuckDB, or the copy cannot be made, for example because
        the disk is full.

    Raises:
        DatabaseLockedError: There is no copy, and a load is writing.
    """
    if dataset.destination_name != "duckdb":
        return None
    # views may be created after the load
    key = f"{load_id}-{day}-{_fingerprint_of_views(dataset)}"
    path = load_file(dataset, "snapshot", key, _FILE_VERSION)
    with suppress(duckdb.Error, OSError):
        if not path.is_file():
            _make(dataset, path)
        return Snapshot(path, dataset.dataset_name)
    return None


def _fingerprint_of_views(dataset: Dataset) -> str:
    with dataset.connect() as source:
        views = source.sql_client.execute_sql(
            "SELECT view_name, sql FROM duckdb_views() WHERE schema_name = %s ORDER BY view_name",
            dataset.dataset_name,
        )
    return sha256(repr(views).encode()).hexdigest()[:12]


def _make(dataset: Dataset, path: Path) -> None:
    """Copy the database while nobody can write to it, and turn views into tables.

    Raises:
        DatabaseLockedError: A load is writing.
        OSError: The copy cannot be written.
        duckdb.Error: DuckDB cannot open or change the copy.
    """
    with new_load_file(path) as unfinished:
        with dataset.connect():
            copyfile(dataset.location, unfinished)
            log = Path(f"{dataset.location}.wal")
            if log.is_file():  # what a killed process has not written into the file yet
                copyfile(log, f"{unfinished}.wal")
        with duckdb.connect(str(unfinished), config=_SETTINGS) as connection:
            connection.execute(f"SET schema = {_literal(dataset.dataset_name)}")
            for name in _VIEWS:
                # a view that is missing, or cannot be computed, is explained by whoever reads it
                with suppress(duckdb.CatalogException, duckdb.BinderException):
                    _store(connection, name)


def _store(connection: duckdb.DuckDBPyConnection, view: str) -> None:
    """Replace a view by a table of its rows."""
    connection.execute(f"CREATE TABLE stored_view AS SELECT * FROM {view}")  # noqa: S608 - ours
    try:
        connection.execute(f"DROP VIEW {view}")
        connection.execute(f"ALTER TABLE stored_view RENAME TO {view}")
    finally:
        connection.execute("DROP TABLE IF EXISTS stored_view")


def _literal(text: str) -> str:
    escaped = text.replace("'", "''")
    return f"'{escaped}'"
