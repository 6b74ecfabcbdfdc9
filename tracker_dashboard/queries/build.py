"""Builds queries from SQL with placeholders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache, lru_cache, wraps
from typing import Any, ParamSpec, cast

from sqlglot import exp, parse_one

MAX_IDS = 3000
"""The most ids that are written into a query."""

PEOPLE = """
    SELECT p.id, coalesce(q.name, q.username, p.name, p.username) AS name,
        coalesce(q.username, p.username) AS username, coalesce(q.initials, p.initials) AS initials,
        coalesce(p.same_as_id, p.id) AS person_id
    FROM people AS p LEFT JOIN people AS q ON q.id = p.same_as_id
"""
"""Every person by every id under which they are known."""


Arguments = ParamSpec("Arguments")


@dataclass(frozen=True)
class Scope:
    """The projects and days that a page shows; no projects means all of them."""

    projects: tuple[int, ...] = ()
    first: date | None = None
    last: date | None = None


def as_sql(build: Callable[Arguments, exp.Query]) -> Callable[Arguments, str]:
    """Make a function return its query as DuckDB's SQL, cached by the function's arguments.

    A page asks for about ten queries. Building them each time took a fifth of its script.
    """

    @lru_cache(maxsize=50)
    def sql(*args: Arguments.args, **kwargs: Arguments.kwargs) -> str:
        return build(*args, **kwargs).sql("duckdb", copy=False)

    return cast(Callable[Arguments, str], wraps(build)(sql))


def select(sql: str, **values: Any) -> exp.Select:
    """Parse a query and replace its `:name` placeholders."""
    return cast(exp.Select, condition(sql, **values))


def condition(sql: str, **values: Any) -> exp.Expression:
    """Parse a condition and replace its `:name` placeholders."""
    parsed = _parse(sql)
    return cast(
        exp.Expression, exp.replace_placeholders(parsed, **values) if values else parsed.copy()
    )


@cache
def _parse(sql: str) -> exp.Expr:
    """Return the syntax tree of a text of ours, which takes long to parse, to be copied."""
    return parse_one(sql, dialect="duckdb")


def in_projects(query: exp.Select, scope: Scope, alias: str) -> exp.Select:
    """Restrict a query to the projects of a scope."""
    if scope.projects:
        query = query.where(exp.column("project_id", alias).isin(*scope.projects), copy=False)
    return query


def in_days(query: exp.Select, scope: Scope, column: str, alias: str) -> exp.Select:
    """Restrict a query to rows whose date is within the days of a scope."""
    if scope.first:
        query = query.where(exp.column(column, alias) >= date_literal(scope.first), copy=False)
    if scope.last:
        query = query.where(exp.column(column, alias) <= date_literal(scope.last), copy=False)
    return query


def date_literal(day: date) -> exp.Expression:
    """Return a day as a SQL date."""
    return exp.cast(exp.Literal.string(day.isoformat()), "date")


def id_list(ids: Sequence[int]) -> tuple[int, ...] | None:
    """Return ids as queries take them, `None` for a long list.

    It would take longer to parse than all rows take to read: then all are returned, and the caller
    looks up those it needs.
    """
    return tuple(ids) if len(ids) <= MAX_IDS else None


def with_ids(query: exp.Select, column: str, alias: str, ids: tuple[int, ...] | None) -> exp.Select:
    """Restrict a query to rows with one of some ids, or to none if there are none."""
    if ids is None:
        return query
    return query.where(exp.column(column, alias).isin(*ids) if ids else exp.false(), copy=False)


def union(queries: Sequence[exp.Query]) -> exp.Query:
    """Select all rows of several queries."""
    first, *others = queries
    # by default each query would be copied once for every later one
    return exp.union(first, *others, distinct=False, copy=False) if others else first
