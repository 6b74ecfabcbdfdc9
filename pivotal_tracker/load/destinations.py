"""Capabilities of the destination: file formats, how rows change, the layout of tables.

They come from dlt's description of a destination, not from its name.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal, cast

import dlt
from dlt.common.configuration.container import Container
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.exceptions import TerminalValueError
from dlt.common.pipeline import PipelineContext
from dlt.common.schema.typing import TFileFormat, TTableSchema
from dlt.destinations.impl.bigquery.bigquery_adapter import CLUSTER_COLUMNS_HINT, PARTITION_HINT

from ..errors import TrackerError
from ..suggestions import most_similar
from ..tables import Table

_BY_SQLALCHEMY = frozenset({"sqlite", "mysql", "mariadb", "oracle"})
"""Databases that dlt loads through its destination `sqlalchemy`."""

RowChanges = Literal["delete-insert", "upsert", "none"]
"""How rows that are in the destination change: deleted and inserted again by key or by parent;
updated and deleted by key alone, as in Delta tables; or not at all, as in plain files."""


def has_table_formats() -> bool:
    """Check whether the active pipeline's destination has several formats of tables."""
    capabilities = _capabilities()
    return capabilities is not None and bool(capabilities.supported_table_formats)


def row_changes(table: TTableSchema) -> RowChanges:
    """Return how the rows of a table change in the active pipeline's destination.

    Args:
        table: Its schema; only the format of the table matters.

    Raises:
        TrackerError: Rows can be updated there, but not deleted.
    """
    capabilities = _capabilities()
    if capabilities is None:
        return "delete-insert"
    strategies: Sequence[str] = capabilities.supported_merge_strategies or ()
    if capabilities.merge_strategies_selector is not None:
        strategies = capabilities.merge_strategies_selector(
            capabilities.supported_merge_strategies, table_schema=table
        )
    if not strategies:
        return "none"
    if "delete-insert" in strategies:
        return "delete-insert"
    # a destination that supports change logs (cdc) can delete by key
    if "cdc" in strategies:
        return "upsert"
    kind = table.get("table_format") or "this destination"
    raise TrackerError(
        f"dlt cannot delete rows in {kind}, so what is deleted at Tracker would stay. Load into "
        'a database, or into Delta tables: destination "filesystem" with table_format="delta".'
    )


def unknown_destination(name: str) -> str:
    """Say that a destination does not exist, and which one may be meant.

    Args:
        name: What was typed.
    """
    known = sorted(set(dlt.destinations.__all__) - {"destination", "dummy"})
    closest = "sqlalchemy" if name.lower() in _BY_SQLALCHEMY else most_similar(name, known)
    if not closest:
        return (
            f"There is no destination {name}; there are {', '.join(known)}. Most need an extra "
            'of dlt: pip install "dlt[NAME]"'
        )
    return f'There is no destination {name}. Use {closest}: pip install "dlt[{closest}]"'


def file_format(table: Table) -> TFileFormat:
    """Return the file format that the active pipeline's destination loads fastest.

    Returns:
        `parquet`, which is many times faster than dlt's default for DuckDB (INSERT statements). If
        that would fail, `jsonl`, or `preferred` for dlt's default.
    """
    capabilities = _capabilities()
    if capabilities is None:
        return "parquet"
    formats = (
        capabilities.supported_loader_file_formats or capabilities.supported_staging_file_formats
    )
    if "parquet" not in (formats or ()) or _needs_driver_for_parquet(capabilities):
        return "preferred"
    if table.json_columns and not _takes_json_from_parquet(capabilities):
        return "jsonl"
    return "parquet"


def _needs_driver_for_parquet(capabilities: DestinationCapabilitiesContext) -> bool:
    """Check whether dlt loads parquet with a database driver (ADBC), which fails on empty files.

    For these destinations the formats depend on the driver, not on the table's format.
    """
    chooses = capabilities.loader_file_format_selector is not None
    return chooses and not capabilities.supported_table_formats


def _takes_json_from_parquet(capabilities: DestinationCapabilitiesContext) -> bool:
    if capabilities.type_mapper is None:
        return True
    table: Any = {"name": "any", "columns": {}}
    try:
        capabilities.get_type_mapper().ensure_supported_type(
            {"name": "any", "data_type": "json"}, table, "parquet"
        )
    except TerminalValueError:
        return False
    return True


def _capabilities() -> DestinationCapabilitiesContext | None:
    """Return the capabilities of the active pipeline's destination; None if there is none."""
    context = Container()[PipelineContext]
    destination = context.pipeline().destination if context.is_active() else None
    return None if destination is None else _capabilities_of(destination)


@lru_cache(maxsize=4)
def _capabilities_of(destination: Any) -> DestinationCapabilitiesContext:
    return cast(DestinationCapabilitiesContext, destination.capabilities())


def bigquery_layout(table: Table) -> dict[str, Any]:
    """Return the hints of `bigquery_adapter` for a table; none for other destinations.

    Tables are clustered by project. A layout takes effect when the table is created.
    """
    capabilities = _capabilities()
    if capabilities is None or capabilities.sqlglot_dialect != "bigquery":
        return {}
    column = table.partition_column
    return {
        # empty if there is none: without the hint, that of the resource's own table would apply
        PARTITION_HINT: {column: "TIMESTAMP_TRUNC({column_name}, DAY)"} if column else {},
        CLUSTER_COLUMNS_HINT: ["project_id"] if "project_id" in table.columns else [],
    }
