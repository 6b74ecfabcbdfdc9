"""Inspect: tables and their rows, SQL, runs, schema versions, the pipeline, the load report."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import dlt
import streamlit as st
from dlt.pipeline.trace import PipelineTrace
from pandas import DataFrame

from .. import controls, text
from ..components import section, show_line, show_table, show_title
from ..data import MAX_ROWS, USER_QUERY_SECONDS, Dataset
from ..errors import DashboardError, MissingTableError
from ..header import Selection
from ..queries import inspect as queries
from ..session import dataset, rows

_FIRST_ROWS = 200
"""How many rows of a table are shown; the browser gets all values, also long texts."""

_ROWS_SHOWN = f"The first {_FIRST_ROWS} rows; SQL shows up to {MAX_ROWS:,}."


def render(_: Selection) -> None:
    """Show the page."""
    show_title("Inspect")
    parts = {
        "Tables": _tables,
        "SQL": _sql,
        "Runs": _runs,
        "Schema": _schema_versions,
        "Pipeline": _pipeline,
        "Load report": _load_report,
    }
    chosen = controls.choice_param(
        "Part",
        "part",
        list(parts),
        "Tables",
        widget=st.segmented_control,
        required=True,
        label_visibility="collapsed",
    )
    parts[chosen](dataset())


def _tables(source: Dataset) -> None:
    # imported here because it takes long and nothing else needs it
    from pivotal_tracker.tables import ARCHIVE_TABLES

    tables = [
        *sorted(source.schema.data_table_names(seen_data_only=True)),
        *source.schema.dlt_table_names(),
    ]
    (counts,) = rows(queries.row_counts(tuple(tables)))
    counts = counts.assign(
        columns=[len(source.schema.get_table_columns(name)) for name in counts["table_name"]]
    )
    show_table("Tables", counts)
    first = "stories" if "stories" in tables else tables[0]
    name = controls.choice_param("Table or view", "table", [*tables, *_view_names()], first)
    if name not in tables:
        _view(source, name)
        return
    columns = source.schema.get_table_columns(name)
    # dlt does not know the keys of nested tables: it replaces their rows with the parent
    keys = {one.name: one.key for table in ARCHIVE_TABLES.values() for one in table.family()}
    section(f"Columns of {name}")
    described = [
        {
            "column": column,
            "type": hints.get("data_type"),
            "nullable": hints.get("nullable", True),
            "key": column in keys.get(name, ()) or hints.get("primary_key", False),
        }
        for column, hints in columns.items()
    ]
    show_table(f"Columns of {name}", DataFrame(described))
    section(f"Rows of {name}", _ROWS_SHOWN)
    show_table(f"Rows of {name}", rows(queries.first_rows(name, tuple(columns), _FIRST_ROWS))[0])


def _view_names() -> list[str]:
    """Return the metric views, without importing the source, which takes long."""
    package = find_spec("pivotal_tracker")
    folders = package.submodule_search_locations if package else None
    files = [path for folder in folders or () for path in Path(folder, "views").glob("*.sql")]
    return sorted(path.stem for path in files if not path.stem.startswith("_"))


def _view(source: Dataset, name: str) -> None:
    section(f"Rows of {name}", _ROWS_SHOWN)
    try:
        found = source.run_user_sql(f"SELECT * FROM {name} LIMIT {_FIRST_ROWS}")  # noqa: S608 - a name of ours
        show_table(f"Rows of {name}", found)
    except MissingTableError:
        st.info("This view is not in the dataset: it was loaded with `--no-views`.")


def _sql(source: Dataset) -> None:
    with st.form("sql", border=False):
        statement = st.text_area(
            "SQL",
            "SELECT current_state, count(*) AS stories\nFROM stories\nGROUP BY current_state",
            help=f"A single SELECT in the SQL of {source.destination_name}, which can only read; "
            "on DuckDB also SUMMARIZE, DESCRIBE, VALUES or PIVOT. "
            f"At most {MAX_ROWS:,} rows, for at most {USER_QUERY_SECONDS} seconds.",
        )
        submitted = st.form_submit_button("Run", shortcut="Ctrl+Enter")
    if not submitted:
        return
    try:
        show_table("SQL result", source.run_user_sql(statement))
    except DashboardError as error:
        st.error(text.label(error))


def _runs(source: Dataset) -> None:
    tables = [
        name
        for name in source.schema.data_table_names(seen_data_only=True)
        if "_dlt_load_id" in source.schema.get_table_columns(name)
    ]
    loads, written = rows(queries.loads(), queries.rows_by_load(tuple(tables)))
    of_load = written.groupby("load_id")["rows"].sum()
    loads["rows"] = loads["load_id"].map(of_load).fillna(0).astype(int)
    section("Loads", "The rows of a load are those that it was the last to write.")
    show_table("Loads", loads)
    chosen = st.selectbox("Rows of the load", loads["load_id"])
    show_table("Rows by table", written[written["load_id"] == chosen].drop(columns="load_id"))
    section("The last run on this machine")
    if source.last_trace is None:
        st.info("dlt has no record of a run on this machine.")
        return
    show_table("Steps of the last run", _steps(source.last_trace))


def _steps(trace: PipelineTrace) -> DataFrame:
    return DataFrame(
        {
            "step": step.step,
            "started_at": step.started_at,
            "seconds": (
                (step.finished_at - step.started_at).total_seconds() if step.finished_at else None
            ),
            "failed": step.step_exception,
        }
        for step in trace.steps
    )


def _schema_versions(source: Dataset) -> None:
    (versions,) = rows(queries.schema_versions())
    show_line("What each version of the schema changed, the latest first.")
    show_table("Schema versions", versions.drop(columns="schema_json"))
    show_table("Schema changes", schema_changes(versions))
    section("Tables and their references")
    with st.expander("Diagram", key="diagram", on_change="rerun") as panel:
        if panel.open:
            st.graphviz_chart(
                _diagram(source.schema),
                width="content",
                alt="Tables, their keys, and the references between them",
            )


def _diagram(schema: dlt.Schema) -> str:
    """Return dlt's diagram of the tables, with the columns that are keys or references only.

    With all columns it has no text that can be read, and dlt's layout draws tables over others.
    """
    shown = schema.clone()
    references = [
        (name, reference)
        for name, table in shown.tables.items()
        for reference in table.get("references") or ()
    ]
    keys = {(name, column) for name, reference in references for column in reference["columns"]}
    keys |= {
        (reference["referenced_table"], column)
        for _, reference in references
        for column in reference["referenced_columns"]
    }
    for name, table in shown.tables.items():
        table["columns"] = {
            column: hints
            for column, hints in table["columns"].items()
            if (name, column) in keys or hints.get("primary_key")
        }
    diagram = shown.to_dot(
        remove_processing_hints=True,
        include_dlt_tables=False,
        include_internal_dlt_ref=False,
        include_parent_child_ref=False,
        include_root_child_ref=False,
    )
    for theirs, ours in (
        ("twopi", "dot"),
        ("BT", "RL"),
        ("ranksep=5", "ranksep=0.6, nodesep=0.1"),
        # without the space of an ellipse around each table
        ("penwidth=0", "shape=plain"),
    ):
        diagram = diagram.replace(theirs, ours, 1)
    return diagram.replace('cellpadding="6"', 'cellpadding="3"')


def schema_changes(versions: DataFrame) -> DataFrame:
    """Return the tables and columns that were added or removed with each version of the schema.

    Args:
        versions: `version`, `schema_name`, `inserted_at`, `schema_json`, the latest first.

    Returns:
        `version`, `inserted_at`, `change`, `table`, `column`; a table's first columns are one row.
    """
    before: dict[str, dict[str, set[str]]] = {}
    changes: list[dict[str, Any]] = []
    for version in versions.iloc[::-1].itertuples():
        now = _columns_by_table(version.schema_json)
        known = before.get(version.schema_name, {})
        for table in sorted({*now, *known}):
            when = {"version": version.version, "inserted_at": version.inserted_at, "table": table}
            if table not in known or table not in now:
                changes.append(when | {"change": "new table" if table in now else "table removed"})
                continue
            for change, columns in (
                ("new column", now[table] - known[table]),
                ("column removed", known[table] - now[table]),
            ):
                changes += [when | {"change": change, "column": name} for name in sorted(columns)]
        before[version.schema_name] = now
    return DataFrame(changes[::-1], columns=["version", "inserted_at", "change", "table", "column"])


def _columns_by_table(schema: str) -> dict[str, set[str]]:
    return {
        name: set(table.get("columns", {})) for name, table in json.loads(schema)["tables"].items()
    }


def _pipeline(source: Dataset) -> None:
    facts = {
        "pipeline": source.name,
        "destination": source.destination_name,
        "location": source.location,
        "dataset": source.dataset_name,
        "working directory": source.pipeline.working_dir,
        "schemas": ", ".join(source.pipeline.schema_names),
        "unfinished load": "yes" if source.pipeline.has_pending_data else "no",
    }
    show_table("Pipeline", DataFrame(facts.items(), columns=["property", "value"]))
    section("State")
    st.json(source.state, expanded=1)


def _load_report(_: Dataset) -> None:
    try:
        report, rejected = rows(queries.load_report(), queries.rejected_rows())
    except MissingTableError:
        st.info("There is no report: it is written when files are loaded.")
        return
    show_table("Load report", report)
    if not rejected.empty:
        section("Rows not loaded")
        show_table("Rows not loaded", rejected)
