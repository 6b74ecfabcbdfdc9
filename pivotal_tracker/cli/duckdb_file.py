"""DuckDB's file, opened once a run, with little of it held in memory."""

from __future__ import annotations

from typing import Any, cast

import dlt
import duckdb
from dlt.common import logger
from dlt.destinations.impl.duckdb.duck import DuckDbClient

from .error_messages import causes_of

FILES_AT_ONCE = 2
"""So many files are loaded side by side: each takes memory."""

MEMORY = "128MB"
"""What DuckDB may hold at first: it keeps whatever it has read or written up to its limit, which is
most of the machine's memory otherwise. Measured with 1,000,000 stories; 64 MB were too little."""

THREADS = 1
"""Of DuckDB's own for each file: one has too few rows to be shared out, and with more threads to
wait for each other the load of 100,000 stories took a third more CPU time on two cores."""

_LIMIT = "memory_limit"


class DuckDbFile:
    """The file of a pipeline, held open: else dlt opens and closes it for each job of a load.

    A limit of memory, or a number of threads, that the user has set in dlt's configuration stays.
    """

    def __init__(self, pipeline: dlt.Pipeline) -> None:
        if dlt.config.get("load.workers") is None:
            dlt.config["load.workers"] = FILES_AT_ONCE
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
            self._limit(MEMORY)

    def lift_limit(self) -> bool:
        """Lets DuckDB hold as much as it would by itself; False where it does already.

        Only a connection that is open can do so: once memory has run out, no other can be opened.
        """
        if self._usual_limit is None:
            return False
        logger.warning(
            f"DuckDB needed more memory than {MEMORY}: the load is tried again with up to "
            f"{self._usual_limit}."
        )
        # RESET would tell the usual limit ever after, and not heed it
        self._limit(self._usual_limit)
        self._usual_limit = None
        return True

    def close(self) -> None:
        """Lets go of the file, into which DuckDB then writes what is left in its log."""
        self._sql.close_connection()

    def _limit(self, memory: str) -> None:
        self._sql.execute_sql(f"SET {_LIMIT} = '{memory}'")


def lacked_memory(error: BaseException) -> bool:
    """Whether DuckDB failed for want of memory."""
    return any(isinstance(cause, duckdb.OutOfMemoryException) for cause in causes_of(error))
