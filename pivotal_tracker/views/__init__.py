"""The metrics that Tracker showed, as views on the tables: one `.sql` file per view.

Each file is a query in DuckDB's dialect and explains its columns at the top. In other destinations
the view is created in their dialect.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import dlt
from dlt.common.destination.exceptions import DestinationException
from dlt.destinations.job_client_impl import SqlJobClientBase
from dlt.destinations.sql_client import SqlClientBase

from .sql_files import Template, inlined, relations, templates

_STAMP = re.compile(r"\bpivotal_tracker_[0-9a-f]{12}\b")

_UNSTAMPED = {
    "cycle_times": "working_seconds_now",
    "daily_states": "begun",
    "epic_progress": "not_expected",
    "forecast": "next_points_through",
    "iteration_metrics": "rejections_known",
    "open_story_age": "last_move",
    "person_activity": "activities_since",
    "project_velocity": "now_on",
    "release_progress": "not_expected",
    "story_measures": "rejections",
    "story_overview": "in_epics",
    "throughput_weekly": "1970-01-05",
}
"""A word in each view of the first versions, which did not stamp them."""


@dataclass(frozen=True)
class Views:
    """The result of `create_views`.

    Attributes:
        names: The views that exist now.
        left_out: Why a view is missing or was not replaced, by its name.
        problem: Why there are no views at all; empty if there are.
    """

    names: tuple[str, ...] = ()
    left_out: dict[str, str] = field(default_factory=dict)
    problem: str = ""


def create_views(pipeline: dlt.Pipeline) -> Views:
    """Create the views in the dataset of a pipeline that has run, and replace outdated ones.

    If all views are up to date, it only reads the database's catalog.

    Args:
        pipeline: A pipeline with any destination. One without SQL views gets none.

    Returns:
        The views that exist. A view is left out if its tables are missing, if the destination
        rejects its SQL, or if something else has its name; none of these is an error.
    """
    client = pipeline.destination_client()
    if not isinstance(client, SqlJobClientBase) or not client.capabilities.sqlglot_dialect:
        return Views(problem=f"{pipeline.destination.destination_name} has none")
    if client.capabilities.sqlglot_dialect == "sqlite":
        # it accepts views with functions that it lacks, and fails when they are read
        return Views(problem="SQLite lacks the date functions that they use")
    try:
        with client:
            return _create_all(client.sql_client)
    except DestinationException as error:
        return Views(problem=_first_line(error))


def view_sql(name: str, client: SqlClientBase[Any]) -> str:
    """Return the statement that creates or replaces a view, in a destination's dialect.

    Args:
        name: The view's name.
        client: Knows the dialect and the dataset.
    """
    template = templates()[name]
    if client.capabilities.sqlglot_dialect == "duckdb":
        return _duckdb_sql(template, client)
    from . import dialects  # imports sqlglot, which takes a while

    return dialects.create_view_sql(template, client)


def _create_all(client: SqlClientBase[Any]) -> Views:
    definitions = _definitions(client)
    names: list[str] = []
    left_out: dict[str, str] = {}
    tables = definitions.keys() - templates().keys()
    # a view in Postgres reads no other view
    is_postgres = client.capabilities.sqlglot_dialect == "postgres"
    for template in templates().values():
        if template.is_helper:
            continue
        reads = relations(template, lambda other: is_postgres or other.is_helper)
        missing = reads - tables - set(names)
        if problem := _create(client, template, definitions.get(template.name), missing):
            left_out[template.name] = problem
        else:
            names.append(template.name)
    return Views(tuple(sorted(names)), left_out)


def _create(
    client: SqlClientBase[Any], template: Template, existing: str | None, missing: frozenset[str]
) -> str:
    """Create or replace a view if needed; return the reason if that is not possible.

    Args:
        client: The client of the destination.
        template: The template of the view.
        existing: The SQL of the existing view; None if there is none.
        missing: The tables and views that it reads and that do not exist.
    """
    if existing is not None and not _is_ours(template.name, existing):
        return "something else has this name and was left alone"
    try:
        if missing:
            if existing is not None:
                client.execute_sql(f"DROP VIEW {client.make_qualified_table_name(template.name)}")
            return f"needs {', '.join(sorted(missing))}"
        if existing is not None and template.stamp in existing:
            return ""
        if client.capabilities.sqlglot_dialect == "postgres":
            from . import postgres  # imports sqlglot, which takes a while

            postgres.create_view(client, template, existing)
        else:
            client.execute_sql(view_sql(template.name, client))
    except DestinationException as error:
        return _first_line(error)
    return ""


def _is_ours(name: str, definition: str) -> bool:
    """Check whether the SQL of a view in the database is ours, or that of an earlier version."""
    if _STAMP.search(definition):
        return True
    word = _UNSTAMPED.get(name)
    # in Postgres, the first versions read a function
    return word is not None and (word in definition or f"_{name}(" in definition)


def _definitions(client: SqlClientBase[Any]) -> dict[str, str]:
    """Return the SQL of the existing views by name; empty for a table, or if it is not visible."""
    reads = (template.reads for template in templates().values())
    names = frozenset(templates()).union(*reads)
    paths = {name: client.make_qualified_table_name_path(name, quote=False) for name in names}
    *catalog, dataset, _ = next(iter(paths.values()))
    schema = "INFORMATION_SCHEMA"
    if client.capabilities.sqlglot_dialect == "bigquery":
        schema = f"{client.fully_qualified_dataset_name()}.{schema}"
    query = (
        "SELECT t.table_name, v.view_definition "  # noqa: S608 - no values in it
        f"FROM {schema}.TABLES AS t LEFT JOIN {schema}.VIEWS AS v "
        "ON v.table_catalog = t.table_catalog AND v.table_schema = t.table_schema "
        "AND v.table_name = t.table_name WHERE t.table_schema = %s"
    )
    # DuckDB lists the schemas of all attached databases
    condition = " AND t.table_catalog = %s" if catalog else ""
    rows = client.execute_sql(query + condition, dataset, *catalog) or ()
    definitions = {name.lower(): (sql or "").lower() for name, sql in rows}
    # a destination may have the names in capitals, or with the dataset's name before them
    return {
        name: definitions[path[-1].lower()]
        for name, path in paths.items()
        if path[-1].lower() in definitions
    }


def _duckdb_sql(template: Template, client: SqlClientBase[Any]) -> str:
    """Return the statement that creates or replaces a view in DuckDB: the text of its file."""
    helpers = inlined(template, lambda other: other.is_helper)
    names = {helper.name for helper in helpers}

    def complete_name(name: str) -> str:
        # without the catalog: that is the name of the database file, which people may change
        path = client.make_qualified_table_name_path(name)[-2:]
        return name if name in names else ".".join(path)

    parts = [f"{part.name} AS (\n{part.rewrite(complete_name)}\n)" for part in helpers]
    first = f"WITH {', '.join(parts)}\n" if parts else ""
    query = template.rewrite(complete_name)
    return (
        f"CREATE OR REPLACE VIEW {complete_name(template.name)} AS\n"  # noqa: S608 - ours
        f"{first}SELECT * FROM (\n{query}\n) AS {template.stamp}"
    )


def _first_line(error: Exception) -> str:
    """Return the first line of the error that caused another one."""
    while isinstance(error.__cause__, Exception):
        error = error.__cause__
    return str(error).strip().split("\n", 1)[0][:200]
