"""Keeps what a person types from doing anything but read."""

from __future__ import annotations

import sqlglot
from sqlglot import exp

from .errors import DashboardError

READ_ONLY_SESSION = {
    "postgres": "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "redshift": "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
}
"""By dialect, what keeps a session from writing, where the database knows such a thing."""


_WRITING = (exp.DML, exp.DDL, exp.Command, exp.Into, exp.Lock, exp.Create, exp.Drop)
_REACHING_OUT = (exp.ReadCSV, exp.ReadParquet, exp.NextValueFor)


def checked_select(statement: str, dialect: str) -> exp.Query:
    """Parses one SELECT that only reads.

    Functions that the parser does not know by name are allowed on DuckDB alone, where the
    connection itself cannot write or reach files: elsewhere they could do anything
    (`pg_read_file`, `lo_export`, `setval`, `query_to_xml`, `EXTERNAL_QUERY`).

    Args:
        statement: What a person typed.
        dialect: The destination's, as sqlglot calls it.

    Raises:
        DashboardError: It is not one SELECT, or does more than to read.
    """
    try:
        parsed = [each for each in sqlglot.parse(statement, read=dialect) if each is not None]
    except sqlglot.errors.SqlglotError as error:
        raise DashboardError(
            f"This is not SQL of {dialect}: {str(error).splitlines()[0]}"
        ) from error
    if len(parsed) != 1 or not isinstance(parsed[0], exp.Query):
        raise DashboardError("One SELECT, please: anything else is refused here.")
    query = parsed[0]
    for node in query.walk():
        if isinstance(node, _WRITING) and not isinstance(node, exp.Query):
            raise DashboardError("Only reading, please: this statement does more.")
        if isinstance(node, _REACHING_OUT) or (
            isinstance(node, exp.Anonymous) and dialect != "duckdb"
        ):
            name = node.name or node.sql_name().lower()
            raise DashboardError(
                f"The function {name} is refused here: it might do more than read."
            )
    return query


def at_most(query: exp.Query, rows: int) -> exp.Query:
    """The query, giving no more than so many rows."""
    limit = query.args.get("limit")
    if limit is None:
        return query.limit(rows)
    if isinstance(limit, exp.Limit) and limit.expression.is_int:
        return query.limit(min(rows, int(limit.expression.name)))
    return exp.select("*").from_(query.subquery("asked")).limit(rows)
