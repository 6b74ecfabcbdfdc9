"""Open DuckDB's file once per run, with a memory limit."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from importlib.abc import MetaPathFinder
from typing import Any, cast

import dlt
import duckdb
from dlt.common import logger
from dlt.destinations.impl.duckdb.duck import DuckDbClient

from .error_messages import causes_of

MAX_CONCURRENT_FILES = 1
"""How many files are loaded at the same time. With two, the load of 100,000 stories took 60 MB more
and was 7 % quicker."""

MEMORY_LIMIT = "128MB"
"""DuckDB's memory limit at first. DuckDB keeps what it has read or written in memory, up to its
limit; the default is most of the memory. With 1,000,000 stories 64 MB failed, 128 MB did not. If it
is too little, see `lift_limit`."""

THREADS = 1
"""DuckDB's threads. Files have too few rows to be divided: with more threads, which wait for each
other, the load of 100,000 stories took a third more CPU time on two cores."""

_LIMIT = "memory_limit"
_UNUSED_PACKAGES = ("pandas", "sqlalchemy")
"""DuckDB and dlt import these if they are installed, in 0.4 s, and load as well without them."""


@contextlib.contextmanager
def without_unused_packages(pipeline: dlt.Pipeline) -> Iterator[None]:
    """Treat unused packages as not installed while a pipeline loads into DuckDB.

    Those that are imported already stay so; other destinations may need them.
    """
    if not uses_duckdb(pipeline):
        yield
        return
    finder = _UnusedPackages()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _UnusedPackages(MetaPathFinder):
    """Makes the import of unused packages fail."""

    def find_spec(self, fullname: str, *_: object) -> None:
        if fullname in _UNUSED_PACKAGES:
            raise ModuleNotFoundError(f"{fullname} is not used", name=fullname)


def uses_duckdb(pipeline: dlt.Pipeline) -> bool:
    """Check whether a pipeline loads into a DuckDB file."""
    return pipeline.destination.destination_type == "dlt.destinations.duckdb"


class DuckDbFile:
    """The database file of a pipeline, kept open: dlt would open it again for each job.

    A memory limit or number of threads that the user has set in dlt's configuration is kept.
    """

    def __init__(self, pipeline: dlt.Pipeline) -> None:
        if dlt.config.get("load.workers") is None:
            dlt.config["load.workers"] = MAX_CONCURRENT_FILES
        self._pipeline = pipeline
        client = cast(DuckDbClient, pipeline.destination_client())
        set_by_user = client.config.credentials.global_config or {}
        self._usual_limit: str | None = None
        self._sql = client.sql_client
        self._sql.open_connection()
        if "threads" not in set_by_user:
            self._sql.execute_sql(f"SET threads = {THREADS}")
        if _LIMIT not in set_by_user:
            rows: Any = self._sql.execute_sql(f"SELECT current_setting('{_LIMIT}')")
            self._usual_limit = str(rows[0][0])
            self._limit(MEMORY_LIMIT)

    def lift_limit(self) -> bool:
        """Raise the memory limit to DuckDB's default; return False if it has that limit already.

        This needs the open connection: after memory has run out, no other can be opened.
        """
        if self._usual_limit is None:
            return False
        logger.warning(
            f"DuckDB needed more memory than {MEMORY_LIMIT}: the load is repeated with up to "
            f"{self._usual_limit}."
        )
        # after RESET, DuckDB reports the usual limit but does not apply it
        self._limit(self._usual_limit)
        self._usual_limit = None
        return True

    def close(self) -> None:
        """Close the file; DuckDB then merges its log into it."""
        self._sql.close_connection()

    def _limit(self, memory: str) -> None:
        self._sql.execute_sql(f"SET {_LIMIT} = '{memory}'")


def lacked_memory(error: BaseException) -> bool:
    """Check whether DuckDB failed because it ran out of memory."""
    return any(isinstance(cause, duckdb.OutOfMemoryException) for cause in causes_of(error))
