"""What suits the destination: the files that it is given, and how BigQuery lays out tables."""

from __future__ import annotations

from typing import Any

from dlt.common.configuration.container import Container
from dlt.common.pipeline import PipelineContext
from dlt.destinations.impl.bigquery.bigquery_adapter import CLUSTER_COLUMNS_HINT, PARTITION_HINT

from .tables import Table

_PARQUET_THROUGH_ADBC = frozenset({"dlt.destinations.postgres", "dlt.destinations.mssql"})
"""Destinations into which dlt loads parquet with a driver that fails on a file without rows."""


def file_format() -> str:
    """The format of files in which dlt loads rows fastest into the active pipeline's destination.

    Returns:
        `parquet`, many times faster than dlt's default for DuckDB, which inserts literals; or
        `preferred`, dlt's own choice, where dlt 1.31 loads parquet in a way that may fail.
    """
    context = Container()[PipelineContext]
    destination = context.pipeline().destination if context.is_active() else None
    if destination is not None and destination.destination_type in _PARQUET_THROUGH_ADBC:
        return "preferred"
    return "parquet"


def bigquery_layout(table: Table) -> dict[str, Any]:
    """The hints of `bigquery_adapter` for a table; other destinations do not heed them.

    Tables are clustered by project. A layout takes effect when BigQuery makes the table.
    """
    hints: dict[str, Any] = {}
    if table.partition is not None:
        hints[PARTITION_HINT] = {
            table.partition.column: f"TIMESTAMP_TRUNC({{column_name}}, {table.partition.unit})"
        }
    if "project_id" in table.columns:
        hints[CLUSTER_COLUMNS_HINT] = ["project_id"]
    return hints
