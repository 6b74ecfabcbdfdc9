"""Create the views in Postgres so that they do not block changes to the tables.

A view on the tables themselves would keep dlt from dropping and rebuilding them. So each view reads
a function whose text contains the whole query: Postgres does not bind that to the tables.

The function runs with the rights of its owner, so readers of the view need no rights on the tables.
It is in a schema that nobody else may use, so that only the view can call it. The name of the
function contains the fingerprint of the query. When a view changes, it is replaced by one that
reads another function, so its grants and other people's views that read it are kept.

Just-in-time compilation is off: it takes seconds for queries of this size, and gains nothing.
"""

from __future__ import annotations

from typing import Any

from dlt.common.destination.exceptions import DestinationException
from dlt.destinations.sql_client import SqlClientBase

from . import dialects
from .sql_files import Template


def create_view(client: SqlClientBase[Any], template: Template, existing: str | None) -> None:
    """Create or replace a view.

    Args:
        client: The client of the dataset.
        template: The template of the view.
        existing: The SQL of the existing view; None if there is none.
    """
    query = dialects.to_sql(dialects.translate(template, client, lambda _: True), client)
    schema, is_private = _schema_of_functions(client)
    function = f"_pivotal_tracker_{template.name}_{template.fingerprint}"
    view = client.make_qualified_table_name(template.name)
    call = f"{_quoted(client, schema, function)}()"
    options = "SECURITY DEFINER SET search_path = pg_catalog, pg_temp" if is_private else ""
    with client.begin_transaction():
        client.execute_sql("SET LOCAL jit = off")
        columns = _columns(client, query)
        client.execute_sql(
            f"CREATE OR REPLACE FUNCTION {call} RETURNS TABLE ({columns}) LANGUAGE sql STABLE "
            f"{options} SET jit = off AS $view${query}$view$"
        )
        client.execute_sql(f"GRANT EXECUTE ON FUNCTION {call} TO PUBLIC")
        client.execute_sql(
            f"CREATE OR REPLACE VIEW {view} AS SELECT * FROM {call} AS {template.stamp}"  # noqa: S608
        )
        _drop_former_functions(client, template, function, existing)


def _columns(client: SqlClientBase[Any], query: str) -> str:
    """Return the names and types of a query's columns, as a function declares them."""
    with client.execute_query(f"SELECT * FROM ({query}) AS q LIMIT 0") as cursor:  # noqa: S608
        columns = [(column[0], column[1]) for column in cursor.description or ()]
    oids = [oid for _, oid in columns]
    types = client.execute_sql("SELECT format_type(unnest(%s::oid[]), NULL)", oids) or ()
    return ", ".join(
        f"{client.escape_column_name(name)} {kind}"
        for (name, _), (kind,) in zip(columns, types, strict=True)
    )


def _schema_of_functions(client: SqlClientBase[Any]) -> tuple[str, bool]:
    """Return the schema for the functions, and whether it contains nothing else.

    Without the right to create schemas, the functions are in the dataset. Everybody could call them
    there, so they run with the rights of whoever reads the view.
    """
    dataset = client.make_qualified_table_name_path(None, quote=False)[-1]
    private = f"_pivotal_tracker_{dataset}"[:63]
    rows = client.execute_sql(
        "SELECT has_schema_privilege(oid, 'CREATE') FROM pg_namespace WHERE nspname = %s", private
    )
    if rows:
        return (private, True) if rows[0][0] else (dataset, False)
    try:
        client.execute_sql(f"CREATE SCHEMA {client.capabilities.escape_identifier(private)}")
    except DestinationException:
        return dataset, False
    return private, True


def _drop_former_functions(
    client: SqlClientBase[Any], template: Template, function: str, existing: str | None
) -> None:
    """Drop the functions that the view read before."""
    dataset = client.make_qualified_table_name_path(None, quote=False)[-1]
    functions = client.execute_sql(
        "SELECT nspname, proname FROM pg_proc JOIN pg_namespace AS n ON n.oid = pronamespace "
        "WHERE nspname IN (%s, %s) AND proname ~ %s AND proname <> %s",
        dataset,
        f"_pivotal_tracker_{dataset}"[:63],
        f"^_pivotal_tracker_{template.name}_[0-9a-f]{{12}}$",
        function,
    )
    names = [tuple(row) for row in functions or ()]
    # the first versions named it like this
    if existing and f"_{template.name}(" in existing:
        names.append((dataset, f"_{template.name}"))
    for name in names:
        client.execute_sql(f"DROP FUNCTION IF EXISTS {_quoted(client, *name)}()")


def _quoted(client: SqlClientBase[Any], *path: str) -> str:
    return ".".join(client.capabilities.escape_identifier(part) for part in path)
