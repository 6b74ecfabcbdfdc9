"""What suits the destination: the files that it is given, and how BigQuery lays out tables."""

from __future__ import annotations

from typing import Any

from dlt.common.configuration.container import Container
from dlt.common.pipeline import PipelineContext
from dlt.common.schema.typing import TFileFormat
from dlt.destinations.impl.bigquery.bigquery_adapter import CLUSTER_COLUMNS_HINT, PARTITION_HINT

from ..tables import Table

_BIGQUERY = "dlt.destinations.bigquery"
_PARQUET_THROUGH_ADBC = frozenset({"dlt.destinations.postgres", "dlt.destinations.mssql"})
"""Destinations into which dlt loads parquet with a driver that fails on a file without rows."""


def only_adds() -> bool:
    """Whether the active pipeline's destination holds plain files, whose rows stay as they are."""
    return _kind() == "dlt.destinations.filesystem"


def file_format(table: Table) -> TFileFormat:
    """The format of files in which a table is loaded fastest into the active pipeline's place.

    Returns:
        `parquet`, many times faster than dlt's default for DuckDB, which inserts literals, unless
        it would fail; then `jsonl`, or `preferred` for dlt's own choice.
    """
    kind = _kind()
    if kind in _PARQUET_THROUGH_ADBC:
        return "preferred"
    if kind == _BIGQUERY and table.json_columns:
        # it takes no JSON from parquet
        return "jsonl"
    return "parquet"


def _kind() -> str:
    context = Container()[PipelineContext]
    destination = context.pipeline().destination if context.is_active() else None
    return destination.destination_type if destination is not None else ""


def bigquery_layout(table: Table) -> dict[str, Any]:
    """The hints of `bigquery_adapter` for a table; other destinations do not heed them.

    Tables are clustered by project. A layout takes effect when BigQuery makes the table.
    """
    partition = table.partition
    return {
        # empty, where there is none: hints that are left out are those of the resource's own table
        PARTITION_HINT: {partition.column: "TIMESTAMP_TRUNC({column_name}, DAY)"}
        if partition
        else {},
        CLUSTER_COLUMNS_HINT: ["project_id"] if "project_id" in table.columns else [],
    }
