"""A database with tables and views, in DuckDB or Postgres, for tests of the views."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dlt
import duckdb

from pivotal_tracker import pivotal_tracker_archive, pivotal_tracker_source
from pivotal_tracker.views.sql_files import templates
from tracker_server import TrackerServer
from tracker_server.workspace import Workspace

from .postgres import new_database

Record = dict[str, Any]

VIEWS = {name for name, template in templates().items() if not template.is_helper}
"""The names of all views."""


class _UndoError(Exception):
    """Ends a transaction without its changes."""


@dataclass
class ViewDatabase:
    """A database with tables and views.

    Attributes:
        folder: The pipeline's working folder and DuckDB's file are in it.
        database: The DSN, if the destination is Postgres.
        workspace: The workspace that `load` loads.
    """

    folder: Path
    database: str = ""
    workspace: Workspace | None = field(kw_only=True, default=None)
    pipeline: dlt.Pipeline = field(init=False)
    _connection: duckdb.DuckDBPyConnection | None = None
    _changing: Any = None

    def __post_init__(self) -> None:
        file = self.folder / "pivotal_tracker.duckdb"
        self.pipeline = dlt.pipeline(
            "pivotal_tracker",
            destination=dlt.destinations.postgres(self.database)
            if self.database
            else dlt.destinations.duckdb(str(file)),
            dataset_name="tracker",
            pipelines_dir=str(self.folder / "dlt" / "pipelines"),
        )
        if not self.database:
            # keep the file open, as the command does: otherwise dlt opens it for each query
            self._connection = duckdb.connect(str(file))
            self._connection.execute("SET threads = 1")

    def __enter__(self) -> ViewDatabase:
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection:
            self._connection.close()

    def copied(self, folder: Path) -> ViewDatabase:
        """Copy the database into a new folder."""
        if self._connection:
            # write everything into the file
            self._connection.execute("CHECKPOINT")
        shutil.copytree(self.folder, folder)
        database = self.database and new_database(self.database)
        return replace(self, folder=folder, database=database, _connection=None)

    def load(self, *resources: str, refresh: Any = None, **options: Any) -> None:
        """Load the workspace, or some resources of it."""
        assert self.workspace
        with TrackerServer(self.workspace) as server:
            source = pivotal_tracker_source(
                api_token=self.workspace.me["api_token"], base_url=server.url, **options
            )
            self.pipeline.run(
                source.with_resources(*resources) if resources else source,
                loader_file_format="parquet",
                refresh=refresh,
            )

    def load_archive(self, *paths: Path) -> None:
        """Load files."""
        self.pipeline.run(pivotal_tracker_archive(list(paths)), loader_file_format="parquet")

    def rows(self, query: str) -> list[Record]:
        """Return the rows of a table, a view, or a query that has `{}` before names of tables."""
        with self._client() as client:
            if " " not in query:
                query = f"SELECT * FROM {{}}{query}"  # noqa: S608
            text = query.replace("{}", f"{client.fully_qualified_dataset_name()}.")
            with client.execute_query(text) as cursor:
                names = [column[0] for column in cursor.description]
                return [
                    {name: _plain(value) for name, value in zip(names, row, strict=True)}
                    for row in cursor.fetchall()
                ]

    def by(self, view: str, *key: str) -> dict[Any, Record]:
        """Return the rows of a view by their key."""
        rows = self.rows(view)
        found = {tuple(row[k] for k in key) if len(key) > 1 else row[key[0]]: row for row in rows}
        assert len(found) == len(rows)
        return found

    @contextmanager
    def changed(self, *statements: str) -> Iterator[None]:
        """Change what was loaded, and undo the changes at the end."""
        with (
            self.pipeline.sql_client() as client,
            suppress(_UndoError),
            client.begin_transaction(),
        ):
            self._changing = client
            try:
                self.execute(*statements)
                yield
                raise _UndoError
            finally:
                self._changing = None

    def _client(self) -> AbstractContextManager[Any]:
        return nullcontext(self._changing) if self._changing else self.pipeline.sql_client()

    def execute(self, *statements: str) -> None:
        """Run statements that have `{}` before the names of tables and views."""
        with self._client() as client:
            for statement in statements:
                client.execute_sql(
                    statement.replace("{}", f"{client.fully_qualified_dataset_name()}.")
                )


def _plain(value: Any) -> Any:
    """Convert times to the API's format, and dates to ISO 8601."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else value
