"""Translate the views into other dialects than DuckDB's.

Importing this module imports sqlglot, which takes a while: nothing needs it for DuckDB.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import sqlglot
from dlt.destinations.sql_client import SqlClientBase
from sqlglot import exp
from sqlglot.errors import ErrorLevel

from .sql_files import Template, inlined


def translate(
    template: Template, client: SqlClientBase[Any], is_inlined: Callable[[Template], bool]
) -> exp.Select:
    """Return a view's query with complete table names.

    Args:
        template: The template of the view.
        client: The client of the destination, which has the dialect and the dataset.
        is_inlined: Whether a template that it reads becomes part of the query.
    """
    parts = inlined(template, is_inlined)
    names = {part.name for part in parts}
    query = _with_complete_names(template, client, names)
    for part in reversed(parts):
        query = _with_cte(query, part.name, _with_complete_names(part, client, names))
    if client.capabilities.sqlglot_dialect == "bigquery":
        for extract in list(query.find_all(exp.Extract)):
            extract.replace(_unix_seconds(extract))
    return query


def create_view_sql(template: Template, client: SqlClientBase[Any]) -> str:
    """Return the statement that creates or replaces a view."""
    query = translate(template, client, lambda other: other.is_helper)
    # not around the query: not every database has recursive queries in a subquery
    query = _with_cte(query, template.stamp, exp.select(exp.alias_("1", "one")))
    view = _complete_name(client, template.name)
    return to_sql(exp.Create(this=view, kind="VIEW", replace=True, expression=query), client)


def to_sql(statement: exp.Expression, client: SqlClientBase[Any]) -> str:
    """Return the statement in the destination's dialect."""
    dialect = client.capabilities.sqlglot_dialect
    # its warnings are about the order of nulls in columns that have none
    return statement.sql(dialect, comments=False, unsupported_level=ErrorLevel.IGNORE)


@cache
def _parse(sql: str) -> exp.Select:
    return sqlglot.parse_one(sql, read="duckdb", into=exp.Select)


def _with_complete_names(
    template: Template, client: SqlClientBase[Any], names_of_parts: set[str]
) -> exp.Select:
    query = _parse(template.sql).copy()
    for table in list(query.find_all(exp.Table)):
        if table.name in template.reads - names_of_parts:
            name = _complete_name(client, table.name)
            table.replace(exp.alias_(name, table.alias_or_name, table=True))
    return query


def _with_cte(query: exp.Select, alias: str, part: exp.Select) -> exp.Select:
    """Return the query with another common table expression before its own."""
    first = exp.CTE(this=part, alias=exp.TableAlias(this=exp.to_identifier(alias)))
    own = next((node for node in query.iter_expressions() if isinstance(node, exp.With)), None)
    if own is None:
        return query.with_(alias, as_=part)
    own.set("expressions", [first, *own.expressions])
    return query


def _complete_name(client: SqlClientBase[Any], name: str) -> exp.Table:
    *catalog, dataset, table = client.make_qualified_table_name_path(name, quote=False)
    return exp.table_(table, db=dataset, catalog=next(iter(catalog), None), quoted=True)


def _unix_seconds(extract: exp.Extract) -> exp.Expression:
    """Replace `EXTRACT(EPOCH FROM …)`, which BigQuery does not have."""
    micros = exp.Anonymous(this="UNIX_MICROS", expressions=[extract.expression.copy()])
    return exp.paren(exp.Div(this=micros, expression=exp.Literal.number(1_000_000)))
