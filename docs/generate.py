"""Generate documentation from the code, and the dbt package: `python -m docs.generate`."""

from __future__ import annotations

import argparse
import ast
import inspect
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pivotal_tracker
from docs import dbt_package, example_queries, notebook
from pivotal_tracker import tables
from pivotal_tracker.cli.options import command_line
from pivotal_tracker.descriptions import column_description, table_description
from pivotal_tracker.load import dlt_defaults
from pivotal_tracker.references import references
from pivotal_tracker.tables import Table

ROOT = Path(__file__).parent.parent

TABLES = """# Tables

These tables are in the dataset after a load. A load from a server creates every table and column
below, whether or not there are rows. Attributes of the API that are not listed become columns too.
Times are UTC.

`bigint`, `text`, `double`, `bool`, `timestamp`, `date` and `json` are dlt's types. On DuckDB and
Postgres they have the nearest type there (a `timestamp` is one with time zone); on BigQuery they
are `INT64`, `STRING`, `FLOAT64`, `BOOL`, `TIMESTAMP`, `DATE` and `JSON`.

A table with `__` in its name holds a list inside a record. Join it by the ids that it carries, such
as `stories__comments.story_id = stories.id`.

dlt adds columns of its own:

| column | meaning |
|---|---|
| `_dlt_load_id` | the load that wrote the row; `_dlt_loads` says when that was |
| `_dlt_id` | a key made by dlt |
| `_dlt_parent_id` | in nested tables: the `_dlt_id` of the parent |
| `_dlt_list_idx` | in nested tables: the place in the list |
| `_deleted` | used by dlt to delete rows; always null |

The descriptions below are also in dlt's schema, with the references between tables
(`dlt pipeline pivotal_tracker schema --format mermaid`), and in DuckDB and Postgres as comments on
tables and columns. On BigQuery and Databricks, dlt writes them when it creates a table.
"""

OPTIONS = """# Options

## The command

`python pivotal_tracker_pipeline.py`, or `pivotal-tracker` if the package is installed. In bash,
`source <(pivotal-tracker --print-completion bash)` lets the Tab key complete its options.
"""

SETTINGS = """## Settings of dlt

These defaults apply unless the environment (`EXTRACT__WORKERS=4`) or dlt's files
(`.dlt/config.toml`) set other values:
"""


def generated_files() -> dict[str, str]:
    """Return the texts of all files that follow from the code alone, by path in the repository."""
    package = {f"dbt/{name}": text for name, text in dbt_package.dbt_files().items()}
    return {"docs/tables.md": _tables(), "docs/options.md": _options(), **package}


def _tables() -> str:
    roots = [root for root, _ in _noted_tables()]
    sections = (part for root, note in _noted_tables() for part in _table_section(root, note))
    return "\n".join([TABLES, *_relations(roots), *sections])


def _noted_tables() -> list[tuple[Table, str]]:
    """Return the tables that are nested in no other, each with its note in `tables.py`."""
    body = ast.parse(inspect.getsource(tables)).body
    noted_tables = []
    for statement, after in zip(body, [*body[1:], ast.Pass()], strict=True):
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            table = getattr(tables, statement.targets[0].id)
            if isinstance(table, Table):
                is_note = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
                note = ast.literal_eval(after.value) if is_note else ""  # type: ignore[attr-defined]
                noted_tables.append((table, inspect.cleandoc(note)))
    return noted_tables


def _relations(roots: list[Table]) -> Iterator[str]:
    yield "## Relations\n"
    yield "The columns that refer to each table; those of nested tables only for people:\n"
    referring: dict[str, list[str]] = {root.name: [] for root in roots}
    for root in roots:
        for reference in references(root):
            if not reference.is_parent and (
                reference.table == root.name or reference.referenced_table == "people"
            ):
                columns = ", ".join(f"`{reference.table}.{name}`" for name in reference.columns)
                referring[reference.referenced_table].append(columns)
    yield "| table | columns that refer to it |\n|---|---|"
    for name, columns_of_others in referring.items():
        if columns_of_others:
            yield f"| `{name}` | {', '.join(columns_of_others)} |"
    yield "\nThe tables nested in them:\n"
    for root in roots:
        if root.nested:
            _, *nested = root.family()
            yield f"* `{root.name}`: {', '.join(f'`{table.name}`' for table in nested)}"
    yield ""


def _table_section(root: Table, note: str) -> Iterator[str]:
    yield f"## {root.name}\n"
    targets = {
        (reference.table, reference.columns[0]): f" (`{reference.referenced_table}.{name}`)"
        for reference in references(root)
        if len(reference.columns) == 1
        for name in reference.referenced_columns
    }
    for table in root.family():
        if table is not root:
            yield f"### {table.name}\n"
        yield table_description(table.name) + "\n"
        if note and table is root:
            yield note + "\n"
        yield f"Key: {', '.join(f'`{column}`' for column in table.key)}\n"
        yield "| column | type | description |\n|---|---|---|"
        for column, kind in table.columns.items():
            text = column_description(table.name, column).removesuffix(".")
            yield f"| `{column}` | {kind} | {text}{targets.get((table.name, column), '')} |"
        yield ""


def _options() -> str:
    sources = [name for name in pivotal_tracker.__all__ if name.startswith("pivotal_tracker_")]
    parts = [OPTIONS, *_command(command_line())]
    for name in sorted(sources, key=lambda name: name != "pivotal_tracker_source"):
        parts += _source(name)
    return "\n".join([*parts, SETTINGS, "```python", _source_of("DEFAULTS"), "```", ""])


def _command(parser: argparse.ArgumentParser) -> Iterator[str]:
    yield "| option | meaning |\n|---|---|"
    for action in parser._actions:  # argparse has no other way to list them
        values = [action.metavar or ""] if not action.choices else list(map(str, action.choices))
        names = [*action.option_strings[-1:], "\\|".join(map(str, values))]
        more = " …" if action.nargs in ("+", "*") else ""
        meaning = (action.help or "").replace("%(default)s", str(action.default))
        yield f"| `{' '.join(filter(None, names))}{more}` | {meaning} |"
    yield f"\n{parser.epilog}\n"


def _source(name: str) -> Iterator[str]:
    """Yield the arguments of a source, which are also its settings in dlt's configuration."""
    text = inspect.getdoc(getattr(pivotal_tracker, name)) or ""
    about, _, rest = text.partition("\n\nArgs:\n")
    yield f"## `{name}`\n\n{about}\n"
    yield "| argument | meaning |\n|---|---|"
    for argument, meaning in _arguments(rest.partition("\n\n")[0]):
        yield f"| `{argument}` | {meaning} |"
    yield ""


def _arguments(text: str) -> Iterator[tuple[str, str]]:
    """Yield the arguments in a docstring in Google's style, each with its meaning."""
    entries: list[str] = []
    for line in text.splitlines():
        if line.startswith(" " * 8):
            entries[-1] += " " + line.strip()
        else:
            entries.append(line.strip())
    for entry in entries:
        name, _, meaning = entry.partition(": ")
        yield name, meaning


def _source_of(constant: str) -> str:
    source = inspect.getsource(dlt_defaults)
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.AnnAssign) and ast.unparse(statement.target) == constant:
            return ast.get_source_segment(source, statement) or ""
    raise LookupError(constant)


def main() -> None:
    """Write all generated files; load the sample for the results of the example queries."""
    for name, text in generated_files().items():
        path = ROOT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(ROOT / "pivotal_tracker_pipeline.py"), "--sample"]
        # dlt would load into the file of an earlier run otherwise
        environment = os.environ | {"DLT_DATA_DIR": str(Path(folder) / "dlt")}
        subprocess.run(command, cwd=folder, env=environment, check=True)  # noqa: S603 - our own
        page = example_queries.page(Path(folder) / "pivotal_tracker_sample.duckdb")
        (ROOT / "docs" / "queries.md").write_text(page)
        notebook.save_executed(Path(folder))


if __name__ == "__main__":
    main()
