"""Write the descriptions of tables and columns into the database as comments.

dlt does that itself for BigQuery and Databricks, when it creates a table. Here it is done for
DuckDB and Postgres, also for tables that exist: only comments whose text differs are written.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dlt
from dlt.common import logger
from dlt.common.destination.exceptions import DestinationException
from dlt.destinations.job_client_impl import SqlJobClientBase
from dlt.destinations.sql_client import SqlClientBase

_QUERIES = {
    "duckdb": """
        SELECT table_name, NULL, comment FROM duckdb_tables()
        WHERE schema_name = %s AND database_name = current_database()
        UNION ALL
        SELECT table_name, column_name, comment FROM duckdb_columns()
        WHERE schema_name = %s AND database_name = current_database()
    """,
    "postgres": """
        SELECT c.relname, a.attname, d.description
        FROM pg_class AS c
        JOIN pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname = %s
        JOIN (
            SELECT attrelid, attname, attnum FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped
            UNION ALL SELECT oid, NULL, 0 FROM pg_class
        ) AS a ON a.attrelid = c.oid
        LEFT JOIN pg_description AS d
            ON d.objoid = c.oid AND d.classoid = 'pg_class'::regclass AND d.objsubid = a.attnum
        WHERE c.relkind = 'r'
    """,
}
"""The existing comments: table, column (null for the table itself), comment."""

_Comments = dict[tuple[str, str | None], str | None]
"""Comments by table and column; None as the column is the table itself."""


def write_comments(pipeline: dlt.Pipeline) -> int:
    """Bring the comments in the dataset of a pipeline up to date with its schema's descriptions.

    Args:
        pipeline: A pipeline that has run, with any destination; only DuckDB and Postgres get
            comments.

    Returns:
        The number of comments written. If the database refuses them, that is logged.
    """
    client = pipeline.destination_client()
    if not isinstance(client, SqlJobClientBase) or client.capabilities.sqlglot_dialect not in (
        _QUERIES
    ):
        return 0
    descriptions = _descriptions(client.schema)
    try:
        with client:
            existing = _existing_comments(client.sql_client)
            changed = {
                place: text
                for place, text in descriptions.items()
                if place in existing and existing[place] != text
            }
            _write(client.sql_client, changed)
    except DestinationException as error:
        logger.warning(f"The comments on tables and columns were not written: {error}")
        return 0
    logger.info(f"Wrote {len(changed)} comments on tables and columns.")
    return len(changed)


def _descriptions(schema: dlt.Schema) -> _Comments:
    """Return the descriptions in dlt's schema."""
    descriptions: _Comments = {}
    for name, table in schema.tables.items():
        if text := table.get("description"):
            descriptions[name, None] = text
        for column in table["columns"].values():
            if text := column.get("description"):
                descriptions[name, column["name"]] = text
    return descriptions


def _existing_comments(client: SqlClientBase[Any]) -> _Comments:
    """Return the comments in the database, with None where a table or column has none."""
    dataset = client.make_qualified_table_name_path(None, quote=False)[-1]
    query = _QUERIES[str(client.capabilities.sqlglot_dialect)]
    rows = client.execute_sql(query, *[dataset] * query.count("%s")) or ()
    return {(table, column): comment for table, column, comment in rows}


def _write(client: SqlClientBase[Any], comments: _Comments) -> None:
    if comments:
        with client.begin_transaction():
            # in one request; `execute_many` sends each statement alone to DuckDB
            client.execute_sql(";\n".join(_statements(client, comments)))


def _statements(client: SqlClientBase[Any], comments: _Comments) -> Iterator[str]:
    for (table, column), text in comments.items():
        name = client.make_qualified_table_name(table)
        literal = client.capabilities.escape_literal(text)
        if column is None:
            yield f"COMMENT ON TABLE {name} IS {literal}"
        else:
            yield f"COMMENT ON COLUMN {name}.{client.escape_column_name(column)} IS {literal}"
