"""What a pipeline last loaded, read through dlt's dataset access. Knows nothing of the browser."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
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

from .errors import BusyError, DashboardError, NothingLoadedError, NotThereError
from .read_only import READ_ONLY_SESSION, at_most, checked_select

PIPELINES = ("pivotal_tracker", "pivotal_tracker_sample")
"""The names under which the command loads."""

DUCKDB_SETTINGS = {
    "enable_external_access": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "memory_limit": "2GB",
    # it works out `range(400000000)` before the query is run, where DuckDB heeds no limit
    "disabled_optimizers": "expression_rewriter",
}
"""Nothing that a query says reads a file, opens a connection, fetches an extension, or takes all
memory there is."""

MOST_ROWS = 2000
"""So many rows at most are shown of a table or of a query that a person typed."""


@dataclass(frozen=True)
class WorkingDirectory:
    """Where dlt keeps what it knows of a pipeline.

    Attributes:
        name: The pipeline's.
        changed_at: When a run last wrote into it, in seconds since 1970.
    """

    name: str
    changed_at: float


def last_loaded(names: Iterable[str] = PIPELINES) -> WorkingDirectory:
    """Finds which pipeline ran last on this machine.

    Raises:
        NothingLoadedError: None of them ever did.
    """
    found = [found for name in names if (found := _working_directory(name))]
    if not found:
        raise NothingLoadedError(f"No pipeline called {' or '.join(names)} has run here yet.")
    return max(found, key=lambda directory: directory.changed_at)


def _working_directory(name: str) -> WorkingDirectory | None:
    folder = Path(get_dlt_pipelines_dir()) / name
    times = [
        path.stat().st_mtime
        for path in (folder / "state.json", folder / "trace.pickle")
        if path.is_file()
    ]
    return WorkingDirectory(name, max(times)) if times else None


class Loaded:
    """The dataset that a pipeline loads, on whatever destination, for reading.

    Attributes:
        schema: The tables as dlt knew them then; views are not among them.
    """

    def __init__(self, name: str) -> None:
        """Attaches to the pipeline's working directory.

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
        # a copy: dlt reads its own anew whenever it is asked, and threads share this
        self.schema: dlt.Schema = self.pipeline.default_schema.clone()

    def _readable_destination(self) -> Any:
        """The pipeline's destination; a DuckDB file is opened for nothing but reading."""
        config = self.pipeline.destination_client().config
        self.place = str(config.credentials)
        if not isinstance(config.credentials, DuckDbCredentials):
            return self.pipeline.destination
        self.place = str(Path(config.credentials.database).resolve())
        if not Path(self.place).is_file():
            raise NothingLoadedError(f"The database {self.place} is not there.")
        credentials = DuckDbCredentials(self.place)
        credentials.read_only = True
        credentials.global_config = dict(DUCKDB_SETTINGS)
        return dlt.destinations.duckdb(credentials)

    @property
    def name(self) -> str:
        """The pipeline's name."""
        return self.pipeline.pipeline_name

    @property
    def dataset_name(self) -> str:
        """The name of what it loads into."""
        return str(self.pipeline.dataset_name)

    @property
    def destination_name(self) -> str:
        """What kind of database that is."""
        return str(self.pipeline.destination.destination_name)

    @property
    def folder(self) -> Path:
        """Where on this machine the command was run last."""
        context = self.pipeline.last_run_context or {}
        return Path(context.get("local_dir") or ".")

    @property
    def state(self) -> dict[str, Any]:
        """What dlt keeps of the pipeline between runs, as JSON knows it."""
        kept: dict[str, Any] = json.loads(json.dumps(self.pipeline.state))
        return kept

    @property
    def last_trace(self) -> PipelineTrace | None:
        """What dlt noted of the last run on this machine."""
        return self.pipeline.last_trace

    def load_id(self) -> str:
        """The id of the last load that was completed.

        Raises:
            NothingLoadedError: There was none.
        """
        query = exp.select(exp.func("max", exp.column("load_id")).as_("load_id")).from_(
            self.schema.loads_table_name
        )
        try:
            load_id = self.rows([query.where("status = 0")])[0]["load_id"].iloc[0]
        except NotThereError:
            load_id = None
        if load_id is None:
            raise NothingLoadedError(f"The pipeline {self.name} has not completed a load yet.")
        return str(load_id)

    def rows(self, queries: Sequence[str | exp.Query]) -> list[DataFrame]:
        """Runs queries over one connection, which is closed at the end.

        Args:
            queries: In DuckDB's SQL; dlt puts them into that of the destination.

        Raises:
            NotThereError: A table or a view is missing.
            BusyError: A load is writing.
        """
        with self.reading() as dataset:
            return [dataset(query, query_dialect="duckdb").df() for query in queries]

    def typed(self, statement: str) -> DataFrame:
        """Runs what a person typed, which may be nothing but a SELECT, in the destination's SQL.

        Gives at most `MOST_ROWS` rows.

        Raises:
            DashboardError: It is something else, or the database refuses it.
        """
        with self.reading() as dataset:
            query = checked_select(statement, dataset.destination_dialect)
            return dataset(at_most(query, MOST_ROWS), _execute_raw_query=True).df()

    @contextmanager
    def reading(self) -> Iterator[dlt.Dataset]:
        """The dataset over one connection, which can do nothing but read where a database lets it.

        Raises:
            NotThereError: A table or a view is missing.
            BusyError: A load is writing.
            DashboardError: Whatever else the destination has to say.
        """
        dataset = dlt.dataset(self.destination, self.dataset_name, self.schema)
        try:
            with dataset:
                if dataset.destination_dialect in READ_ONLY_SESSION:
                    dataset.sql_client.execute_sql(READ_ONLY_SESSION[dataset.destination_dialect])
                yield dataset
        except (DestinationUndefinedEntity, LineageFailedException) as error:
            raise NotThereError(_first_line(error)) from error
        except SqlClientNotAvailable as error:
            raise DashboardError(f"{self.destination_name} cannot be asked in SQL.") from error
        except (DestinationException, ConfigurationException) as error:
            if "Could not set lock on file" in str(error):
                raise BusyError("A load is writing into the database just now.") from error
            raise DashboardError(_first_line(error)) from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
