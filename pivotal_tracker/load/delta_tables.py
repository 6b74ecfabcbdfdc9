"""Read Delta tables with the library that writes them.

dlt's own SQL client would read them with an extension that DuckDB downloads on first use.
"""

from __future__ import annotations

from typing import Any

import dlt
from dlt.common.destination.client import SupportsOpenTables
from dlt.common.destination.exceptions import DestinationUndefinedEntity
from dlt.common.schema import Schema

from .dlt_internals import destination_client


def delta_table_names(schema: Schema) -> list[str]:
    """Return the names of a schema's Delta tables that exist; none in other destinations."""
    return [
        name
        for name in schema.data_table_names(seen_data_only=True)
        if schema.tables[name].get("table_format") == "delta"
    ]


def register_delta_tables(pipeline: dlt.Pipeline, sql_client: Any, schema: Schema) -> None:
    """Register the Delta tables of a schema, as they are now, in an open SQL client of files.

    Args:
        pipeline: The pipeline that loads them.
        sql_client: Its client, connected.
        schema: The schema with the tables.
    """
    sql_client.set_schemas([schema])
    connection = sql_client.native_connection
    with destination_client(pipeline, schema) as client:
        assert isinstance(client, SupportsOpenTables)  # noqa: S101 - for the type checker
        for name in delta_table_names(schema):
            try:
                table = client.load_open_table("delta", name)
            except DestinationUndefinedEntity:
                # it does not exist yet
                continue
            # the SQL client makes its own view of a table for each statement, unless there is one
            connection.register(f"delta_{name}", table.to_pyarrow_dataset())
            connection.execute(
                f"CREATE VIEW {sql_client.make_qualified_table_name(name)} "  # noqa: S608 - ours
                f"AS SELECT * FROM {sql_client.escape_column_name(f'delta_{name}')}"
            )
