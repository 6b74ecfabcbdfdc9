"""Merges into DuckDB in memory that hardly grows with the load.

dlt numbers the rows of each key in the staging table, with all columns in hand, and keeps the
first: that takes 2 GB for a million stories, and given less, DuckDB fails or turns in circles. Here
only the keys are looked through, which is as fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dlt.destinations.impl.duckdb.duck import DuckDbClient
from dlt.destinations.sql_jobs import SqlMergeFollowupJob


class LeanMergeJob(SqlMergeFollowupJob):
    """dlt's merge, with another way to find the first row of each key."""

    @classmethod
    def gen_select_from_dedup_sql(
        cls,
        table_name: str,
        primary_keys: Sequence[str],
        columns: Sequence[str],
        dedup_sort: Any = None,
        condition: str | None = None,
        condition_columns: Sequence[str] | None = None,
        skip_dedup: bool = False,
    ) -> str:
        """The query for one row of each key; arguments as dlt's own has them."""
        if skip_dedup or dedup_sort is not None:
            return super().gen_select_from_dedup_sql(
                table_name,
                primary_keys,
                columns,
                dedup_sort,
                condition,  # type: ignore[arg-type]  # None is its default
                condition_columns,  # type: ignore[arg-type]
                skip_dedup,
            )
        return (
            f"SELECT {', '.join(columns)} FROM {table_name} WHERE rowid IN "  # noqa: S608 - as dlt
            f"(SELECT min(rowid) FROM {table_name} GROUP BY {', '.join(primary_keys)}) "
            f"AND ({condition or '1 = 1'})"
        )


def merge_leanly() -> None:
    """Has dlt merge so into DuckDB's files from now on."""
    usual = DuckDbClient._create_merge_followup_jobs
    if usual.__module__ == __name__:
        return

    def jobs(client: DuckDbClient, tables: Any) -> Any:
        if type(client) is not DuckDbClient:
            return usual(client, tables)
        return [LeanMergeJob.from_table_chain(tables, client.sql_client)]

    DuckDbClient._create_merge_followup_jobs = jobs  # type: ignore[method-assign, assignment]
