"""The metrics that Tracker showed, as views beside the tables: one `.sql` file a view.

Each file is a query in DuckDB's SQL, and says at its top what it means and what it needs. It is put
into the destination in the destination's own SQL, as sqlglot writes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from graphlib import TopologicalSorter
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dlt
import sqlglot
from dlt.common.destination.exceptions import DestinationException
from dlt.destinations.job_client_impl import SqlJobClientBase
from dlt.destinations.sql_client import SqlClientBase
from sqlglot import exp
from sqlglot.errors import ErrorLevel, SqlglotError

_REMEMBERED = "pivotal_tracker_views"
"""The key in the pipeline's local state of what the views were last made from."""


@dataclass(frozen=True)
class Views:
    """What became of the views.

    Attributes:
        names: Those in place.
        left_out: Why one is not there, by its name.
        problem: Why there are none at all; empty if there are.
    """

    names: tuple[str, ...] = ()
    left_out: dict[str, str] = field(default_factory=dict)
    problem: str = ""


def create_views(pipeline: dlt.Pipeline) -> Views:
    """Puts the views into the dataset of a pipeline that has run, or leaves them as they are.

    Where they are there already, as made from the same files, it costs one look at the catalogue.

    Args:
        pipeline: Its destination may be any; one without SQL views gets none.

    Returns:
        Which are in place. One whose tables are missing is left out, as is one that the destination
        does not take: nothing of that is an error.
    """
    client = pipeline.destination_client()
    if not isinstance(client, SqlJobClientBase) or not client.capabilities.sqlglot_dialect:
        return Views(problem=f"{pipeline.destination.destination_name} has none")
    if client.capabilities.sqlglot_dialect == "sqlite":
        # it would take views with functions that it does not have, and fail when they are read
        return Views(problem="SQLite lacks what they reckon with")
    try:
        with client:
            return _put_in_place(pipeline, client)
    except DestinationException as error:
        return Views(problem=_in_one_line(error))


def _put_in_place(pipeline: dlt.Pipeline, client: SqlJobClientBase) -> Views:
    made_from, remembered = _fingerprint(client), _remembered(pipeline)
    if remembered.get("made_from") == made_from:
        relations = remembered["relations"]
        if _found(client, relations).issuperset(relations):
            return Views(tuple(sorted(_files())))
    relations = sorted(_files().keys() | frozenset[str]().union(*_reads().values()))
    found = _found(client, relations)
    left_out = _lacking(found - _files().keys())
    for name in left_out.keys() & found:
        client.sql_client.execute_sql(
            f"DROP VIEW IF EXISTS {client.sql_client.make_qualified_table_name(name)}"
        )
    left_out |= _create(client.sql_client, [name for name in _in_order() if name not in left_out])
    complete = {} if left_out else {"made_from": made_from, "relations": relations}
    pipeline.set_local_state_val(_REMEMBERED, complete)
    return Views(tuple(sorted(_files().keys() - left_out.keys())), left_out)


def view_sql(name: str, client: SqlClientBase[Any]) -> str:
    """The statement that makes a view, in a destination's own SQL.

    Args:
        name: The view's, which is its file's without `.sql`.
        client: The destination's, which knows its dialect and the dataset.
    """
    view = _qualified(client, name)
    create = exp.Create(this=view, kind="VIEW", replace=True, expression=_query(name, client))
    return _sql(create, client)


@cache
def _files() -> dict[str, str]:
    """The text of each file, by the name of its view."""
    folder = Path(__file__).parent
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.sql"))}


@cache
def _reads() -> dict[str, frozenset[str]]:
    """The tables and views that each view reads."""
    return {name: frozenset(_relations(_parsed(text))) for name, text in _files().items()}


@cache
def _parsed(text: str) -> exp.Select:
    return sqlglot.parse_one(text, read="duckdb", into=exp.Select)


def _relations(query: exp.Select) -> dict[str, list[exp.Table]]:
    """Where a query names what is not its own common table expression."""
    own = {cte.alias for cte in query.find_all(exp.CTE)}
    relations: dict[str, list[exp.Table]] = {}
    for table in query.find_all(exp.Table):
        if table.name not in own:
            relations.setdefault(table.name, []).append(table)
    return relations


def _in_order() -> list[str]:
    """The names of the views, each after those it reads."""
    graph = {name: sorted(reads & _files().keys()) for name, reads in sorted(_reads().items())}
    return list(TopologicalSorter(graph).static_order())


def _found(client: SqlJobClientBase, names: Iterable[str]) -> set[str]:
    """Which of some tables and views there are."""
    return {name for name, columns in client.get_storage_tables(names) if columns}


def _lacking(found: set[str]) -> dict[str, str]:
    """Which views cannot be, for want of a table among those found."""
    there, lacking = set(found), dict[str, str]()
    for name in _in_order():
        if missing := _reads()[name] - there:
            lacking[name] = f"needs {', '.join(sorted(missing))}"
        else:
            there.add(name)
    return lacking


def _fingerprint(client: SqlJobClientBase) -> str:
    """What the views are made from, and where."""
    parts = [
        *(text for pair in sorted(_files().items()) for text in pair),
        Path(__file__).read_text(encoding="utf-8"),
        version("sqlglot"),
        str(client.capabilities.sqlglot_dialect),
        client.config.fingerprint(),
        client.sql_client.fully_qualified_dataset_name(),
    ]
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=12).hexdigest()


def _remembered(pipeline: dlt.Pipeline) -> dict[str, Any]:
    """What all the views were last made from, and what there has to be that they can be read."""
    try:
        remembered = pipeline.get_local_state_val(_REMEMBERED)
    except KeyError:
        return {}
    # another version may have remembered something else
    return remembered if isinstance(remembered, dict) else {}


def _create(client: SqlClientBase[Any], names: list[str]) -> dict[str, str]:
    """Creates or replaces views; gives those that the destination did not take, and why."""
    refused: dict[str, str] = {}
    for name in names:
        if without := _reads()[name] & refused.keys():
            refused[name] = f"needs {', '.join(sorted(without))}"
            continue
        try:
            if client.capabilities.sqlglot_dialect == "postgres":
                _create_unbound(client, name)
            else:
                client.execute_sql(view_sql(name, client))
        except (DestinationException, SqlglotError) as error:
            refused[name] = _in_one_line(error)
    return refused


def _query(name: str, client: SqlClientBase[Any]) -> exp.Select:
    """A view's query, its tables named in full, with nothing that sqlglot does not translate."""
    query = _parsed(_files()[name]).copy()
    for relation, tables in _relations(query).items():
        for table in tables:
            told = exp.alias_(_qualified(client, relation), table.alias_or_name, table=True)
            table.replace(told)
    if client.capabilities.sqlglot_dialect == "bigquery":
        for extract in list(query.find_all(exp.Extract)):
            extract.replace(_unix_seconds(extract))
    return query


def _sql(statement: exp.Select | exp.Create, client: SqlClientBase[Any]) -> str:
    dialect = client.capabilities.sqlglot_dialect
    # what it would warn of is the place of nulls in the order of columns that have none
    return statement.sql(dialect, comments=False, unsupported_level=ErrorLevel.IGNORE)


def _qualified(client: SqlClientBase[Any], name: str) -> exp.Table:
    """A table or view with its dataset, and the catalogue where that does not move."""
    path = client.make_qualified_table_name_path(name, quote=False)
    # the catalogue of a DuckDB file is called as the file is, until someone renames it
    if client.capabilities.sqlglot_dialect == "duckdb":
        path = path[-2:]
    *catalog, dataset, table = path
    return exp.table_(table, db=dataset, catalog=next(iter(catalog), None), quoted=True)


def _unix_seconds(extract: exp.Extract) -> exp.Expression:
    """BigQuery has no `EXTRACT(EPOCH FROM …)`."""
    micros = exp.Anonymous(this="UNIX_MICROS", expressions=[extract.expression.copy()])
    return exp.paren(exp.Div(this=micros, expression=exp.Literal.number(1_000_000)))


def _create_unbound(client: SqlClientBase[Any], name: str) -> None:
    """Creates a view that Postgres does not bind to the tables that it reads.

    Postgres drops no table that a view reads, and dlt could not rebuild one. The text of a function
    binds nothing, and Postgres plans one like this as if its query stood in its place.
    """
    query = _sql(_query(name, client), client)
    view = client.make_qualified_table_name(name)
    function = f"{client.make_qualified_table_name(f'_{name}')}()"
    with client.begin_transaction():
        client.execute_sql(f"DROP VIEW IF EXISTS {view}")
        client.execute_sql(f"DROP FUNCTION IF EXISTS {function}")
        client.execute_sql(f"CREATE VIEW {view} AS {query}")
        columns = client.execute_sql(
            "SELECT quote_ident(attname), format_type(atttypid, atttypmod) FROM pg_attribute "
            "WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum",
            view,
        )
        returned = ", ".join(" ".join(column) for column in columns or ())
        client.execute_sql(f"DROP VIEW {view}")
        client.execute_sql(
            f"CREATE FUNCTION {function} RETURNS TABLE ({returned}) LANGUAGE sql STABLE "
            f"AS $view${query}$view$"
        )
        client.execute_sql(f"CREATE VIEW {view} AS SELECT * FROM {function}")  # noqa: S608 - ours


def _in_one_line(error: Exception) -> str:
    """The first line of what went wrong, without what it is wrapped in."""
    while isinstance(error.__cause__, Exception):
        error = error.__cause__
    return str(error).strip().split("\n", 1)[0][:200]
