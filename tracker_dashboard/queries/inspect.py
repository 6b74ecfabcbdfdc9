"""Queries of the Inspect page."""

from __future__ import annotations

from sqlglot import exp

from .build import as_sql, select, union


@as_sql
def row_counts(tables: tuple[str, ...]) -> exp.Query:
    """Count the rows of each table: `table_name`, `rows`."""
    return union(
        [
            exp.select(
                exp.alias_(exp.Literal.string(table), "table_name"), exp.alias_("count(*)", "rows")
            ).from_(exp.to_table(table))
            for table in tables
        ]
    )


@as_sql
def first_rows(table: str, columns: tuple[str, ...], limit: int) -> exp.Select:
    """Select the first rows of a table."""
    names = (exp.column(name) for name in columns)
    return exp.select(*names).from_(exp.to_table(table)).limit(limit)


@as_sql
def rows_by_load(tables: tuple[str, ...]) -> exp.Query:
    """Count the rows of each table by load: `load_id`, `table_name`, `rows`.

    A row that a later load has written again counts for the later one.
    """
    return union(
        [
            select(
                f"SELECT _dlt_load_id AS load_id, :name AS table_name, count(*) AS rows "  # noqa: S608 - a name from dlt's schema
                f'FROM "{table}" GROUP BY _dlt_load_id',
                name=table,
            )
            for table in tables
        ]
    )


@as_sql
def loads() -> exp.Select:
    """Select every completed load, the latest first."""
    return select(
        """
        SELECT l.load_id, l.inserted_at, l.status, l.schema_name, l.schema_version_hash
        FROM _dlt_loads AS l ORDER BY l.inserted_at DESC
        """
    )


@as_sql
def schema_versions() -> exp.Select:
    """Select every version of the schema, the latest first, with the schema as JSON."""
    return select(
        """
        SELECT v.version, v.inserted_at, v.schema_name, v.version_hash, v.engine_version,
            v.schema AS schema_json
        FROM _dlt_version AS v ORDER BY v.inserted_at DESC
        """
    )


@as_sql
def load_report() -> exp.Select:
    """Select what happened to the rows of archive files."""
    return select(
        """
        SELECT r.source, r.format, r.kind, r.rows_read, r.rows_loaded, r.rows_left_out
        FROM load_report AS r ORDER BY r.source, r.kind
        """
    )


@as_sql
def rejected_rows() -> exp.Select:
    """Select why rows of archive files were not loaded."""
    return select(
        """
        SELECT o.source, o.kind, o.reason, o.rows, o."where"
        FROM load_report__left_out AS o ORDER BY o.source, o.kind, o.reason
        """
    )
