"""Reads what a pipeline last loaded, through dlt's datasets. Independent of the browser."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Timer
from typing import Any

import dlt
from dlt.common.configuration.exceptions import ConfigurationException
from dlt.common.destination.exceptions import (
    DestinationException,
    DestinationUndefinedEntity,
    SqlClientNotAvailable,
)
from dlt.common.json import json
from dlt.common.pipeline import get_dlt_pipelines_dir
from dlt.dataset.exceptions import LineageFailedException
from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials
from dlt.pipeline.exceptions import CannotRestorePipelineException
from dlt.pipeline.trace import PipelineTrace
from pandas import DataFrame
from sqlglot import exp

from .errors import (
    DashboardError,
    DatabaseLockedError,
    MissingTableError,
    NothingLoadedError,
    first_line,
)
from .read_only import READ_ONLY_SESSION, parse_select, with_row_limit

PIPELINES = ("pivotal_tracker", "pivotal_tracker_sample")
"""The names of the command's pipelines."""

DUCKDB_SETTINGS = {
    "enable_external_access": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "memory_limit": "2GB",
    # it would evaluate `range(400000000)` before the query runs, without the memory limit
    "disabled_optimizers": "expression_rewriter",
}
"""No query can read a file, open a connection, download an extension or use up the memory."""

MAX_ROWS = 2000
"""The most rows shown of a table or of a query that a person typed."""

USER_QUERY_SECONDS = 30
"""How long such a query may take."""


@dataclass(frozen=True)
class WorkingDirectory:
    """Where dlt keeps the state of a pipeline.

    Attributes:
        name: The name of the pipeline.
        changed_at: When a run last wrote into it, in seconds since 1970.
    """

    name: str
    changed_at: float


def last_loaded(names: Iterable[str] = PIPELINES) -> WorkingDirectory:
    """Return the working directory of the pipeline that ran last on this machine.

    Raises:
        NothingLoadedError: None of them has run.
    """
    directories = [directory for name in names if (directory := _working_directory(name))]
    if not directories:
        raise NothingLoadedError(f"No pipeline called {' or '.join(names)} has run here yet.")
    return max(directories, key=lambda directory: directory.changed_at)


def _working_directory(name: str) -> WorkingDirectory | None:
    folder = Path(get_dlt_pipelines_dir()) / name
    times = [
        path.stat().st_mtime
        for path in (folder / "state.json", folder / "trace.pickle")
        if path.is_file()
    ]
    return WorkingDirectory(name, max(times)) if times else None


class Dataset:
    """The dataset of a pipeline, on any destination, for reading.

    Attributes:
        schema: The tables that dlt knew when the dataset was opened; it contains no views.
    """

    def __init__(self, name: str) -> None:
        """Attach to the pipeline's working directory.

        Raises:
            NothingLoadedError: There is none, or it belongs to a pipeline that never ran.
        """
        try:
            self.pipeline = dlt.attach(name)
            self.destination = self._readable_destination()
        except CannotRestorePipelineException as error:
            raise NothingLoadedError(f"No pipeline called {name} has run here yet.") from error
        if not self.pipeline.default_schema_name or not self.pipeline.dataset_name:
            raise NothingLoadedError(f"The pipeline {name} has not loaded anything yet.")
        # a copy: dlt reads its own again on each access, and threads share this one
        self.schema: dlt.Schema = self.pipeline.default_schema.clone()

    def _readable_destination(self) -> Any:
        """Return the pipeline's destination; a DuckDB file is read-only, and cannot read others."""
        config = self.pipeline.destination_client().config
        self.location = str(config)
        self.is_isolated = isinstance(config.credentials, DuckDbCredentials)
        if not isinstance(config.credentials, DuckDbCredentials):
            return self.pipeline.destination
        self.location = str(Path(config.credentials.database).resolve())
        if not Path(self.location).is_file():
            raise NothingLoadedError(f"The database {self.location} does not exist.")
        credentials = DuckDbCredentials(self.location)
        credentials.read_only = True
        credentials.global_config = dict(DUCKDB_SETTINGS)
        return dlt.destinations.duckdb(credentials)

    @property
    def name(self) -> str:
        """The pipeline's name."""
        return self.pipeline.pipeline_name

    @property
    def dataset_name(self) -> str:
        """The name of the dataset."""
        return str(self.pipeline.dataset_name)

    @property
    def destination_name(self) -> str:
        """The kind of database, such as `duckdb`."""
        return str(self.pipeline.destination.destination_name)

    @property
    def folder(self) -> Path:
        """The folder in which the command last ran."""
        context = self.pipeline.last_run_context or {}
        return Path(context.get("local_dir") or ".")

    @property
    def state(self) -> dict[str, Any]:
        """The state that dlt keeps between runs, as JSON values."""
        state: dict[str, Any] = json.loads(json.dumps(self.pipeline.state))
        return state

    @property
    def last_trace(self) -> PipelineTrace | None:
        """Dlt's record of the last run on this machine."""
        return self.pipeline.last_trace

    def load_id(self) -> str:
        """Return the id of the last completed load.

        Raises:
            NothingLoadedError: There was none.
        """
        query = exp.select(exp.func("max", exp.column("load_id")).as_("load_id")).from_(
            self.schema.loads_table_name
        )
        try:
            load_id = self.rows([query.where("status = 0")])[0]["load_id"].iloc[0]
        except MissingTableError:
            load_id = None
        if load_id is None:
            raise NothingLoadedError(f"The pipeline {self.name} has not completed a load yet.")
        return str(load_id)

    def rows(self, queries: Sequence[str | exp.Query]) -> list[DataFrame]:
        """Run queries over one connection.

        Args:
            queries: In DuckDB's SQL, which dlt translates for the destination.

        Raises:
            MissingTableError: A table or a view is missing.
            DatabaseLockedError: A load is writing.
        """
        with self.connect() as dataset:
            return [dataset(query, query_dialect="duckdb").df() for query in queries]

    def run_user_sql(self, statement: str) -> DataFrame:
        """Run a SELECT that a person typed, in the destination's SQL, for at most `MAX_ROWS` rows.

        Raises:
            DashboardError: It is something else, or the database refuses it.
        """
        with self.connect() as dataset:
            dialect = dataset.destination_dialect
            query = parse_select(statement, dialect, is_isolated=self.is_isolated)
            with _time_limit(dataset):
                return dataset(with_row_limit(query, MAX_ROWS), _execute_raw_query=True).df()

    @contextmanager
    def connect(self) -> Iterator[dlt.Dataset]:
        """Open a connection, read-only where the database supports that.

        Raises:
            MissingTableError: A table or a view is missing.
            DatabaseLockedError: A load is writing.
            DashboardError: The destination reports another error.
        """
        dataset = dlt.dataset(self.destination, self.dataset_name, self.schema)
        try:
            with dataset:
                if dataset.destination_dialect in READ_ONLY_SESSION:
                    dataset.sql_client.execute_sql(READ_ONLY_SESSION[dataset.destination_dialect])
                yield dataset
        except (DestinationUndefinedEntity, LineageFailedException) as error:
            raise MissingTableError(first_line(error)) from error
        except SqlClientNotAvailable as error:
            raise DashboardError(f"{self.destination_name} cannot be queried with SQL.") from error
        except (DestinationException, ConfigurationException) as error:
            if "Could not set lock on file" in str(error):
                raise DatabaseLockedError("A load is writing to the database.") from error
            raise DashboardError(first_line(error)) from error


@contextmanager
def _time_limit(dataset: dlt.Dataset) -> Iterator[None]:
    """Stop a query of a person that takes too long, on DuckDB and Postgres.

    Raises:
        DashboardError: It was stopped.
    """
    if dataset.destination_dialect == "postgres":
        dataset.sql_client.execute_sql(f"SET statement_timeout = {USER_QUERY_SECONDS * 1000}")
    stopped = Event()

    def stop() -> None:
        stopped.set()
        dataset.sql_client.native_connection.interrupt()

    timer = Timer(USER_QUERY_SECONDS, stop)
    if dataset.destination_dialect == "duckdb":
        timer.start()
    try:
        yield
    except DestinationException as error:
        if stopped.is_set() or "statement timeout" in str(error):
            raise DashboardError(
                f"The query took longer than {USER_QUERY_SECONDS} seconds and was stopped."
            ) from error
        raise
    finally:
        timer.cancel()
