"""Makes sure that SQL from a person only reads."""

from __future__ import annotations

import re

import sqlglot
from sqlglot import exp

from .errors import DashboardError

READ_ONLY_SESSION = {
    "postgres": "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "redshift": "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
}
"""The statement that makes a session read-only, for the dialects that have one."""

_WRITING = (exp.DML, exp.DDL, exp.Command, exp.Into, exp.Lock, exp.Create, exp.Drop)
_EXTERNAL = (exp.ReadCSV, exp.ReadParquet, exp.NextValueFor)
_READING_STATEMENTS = (exp.Summarize, exp.Describe, exp.Values, exp.Pivot)
"""Statements of DuckDB that read like a SELECT, and can be the table of one."""


_NAME = re.compile(r"[^\W\d]\w*")
"""The name of a table, and not of a file, which DuckDB reads like one."""


def parse_select(statement: str, dialect: str, *, is_isolated: bool = False) -> exp.Query:
    """Parse one SELECT that only reads.

    On DuckDB, SUMMARIZE, DESCRIBE, VALUES and PIVOT are allowed too.

    Functions that the parser does not know, and files in place of tables, are allowed only where
    the connection itself can neither write nor open files. Elsewhere they could do anything
    (`pg_read_file`, `lo_export`, `setval`, `query_to_xml`, `EXTERNAL_QUERY`, `read_text`).

    Args:
        statement: What a person typed.
        dialect: The destination's name in sqlglot.
        is_isolated: Whether the connection can neither write nor open files.

    Raises:
        DashboardError: It is not one SELECT, or does more than read.
    """
    try:
        parsed = [tree for tree in sqlglot.parse(statement, read=dialect) if tree is not None]
    except sqlglot.errors.SqlglotError as error:
        raise DashboardError(
            f"This is not valid SQL for {dialect}: {str(error).splitlines()[0]}"
        ) from error
    if len(parsed) == 1 and dialect == "duckdb" and isinstance(parsed[0], _READING_STATEMENTS):
        parsed = [exp.select("*").from_(exp.Subquery(this=parsed[0]))]
    if len(parsed) != 1 or not isinstance(parsed[0], exp.Query):
        raise DashboardError("Only a single SELECT is allowed.")
    query = parsed[0]
    for node in query.walk():
        if isinstance(node, _WRITING) and not isinstance(node, exp.Query):
            raise DashboardError("Only reading is allowed: this statement does more.")
        if isinstance(node, _EXTERNAL) or (isinstance(node, exp.Anonymous) and not is_isolated):
            name = node.name or node.sql_name().lower()
            raise DashboardError(f"The function {name} is not allowed: it might do more than read.")
        may_be_file = isinstance(node, exp.Table) and dialect == "duckdb" and not is_isolated
        if may_be_file and node.name and not _NAME.fullmatch(node.name):
            raise DashboardError(f"{node.name} is not the name of a table.")
    return query


def with_row_limit(query: exp.Query, rows: int) -> exp.Query:
    """Limit a query to a number of rows."""
    limit = query.args.get("limit")
    if limit is None:
        return query.limit(rows)
    if isinstance(limit, exp.Limit) and limit.expression.is_int:
        return query.limit(min(rows, int(limit.expression.name)))
    return exp.select("*").from_(query.subquery("query")).limit(rows)
