"""Writes `docs/tables.md` and `docs/options.md` from the code: `python -m docs.generate`."""

from __future__ import annotations

import argparse
import ast
import inspect
from collections.abc import Iterable, Iterator
from pathlib import Path

import pivotal_tracker
from pivotal_tracker import tables
from pivotal_tracker.cli.options import command_line
from pivotal_tracker.descriptions import column_description, table_description
from pivotal_tracker.load import dlt_defaults as defaults
from pivotal_tracker.references import Reference, references
from pivotal_tracker.tables import Table

FOLDER = Path(__file__).parent

TABLES = """# Tables

What a load leaves in the dataset. A run of the source makes every table and column below, whether
or not there are rows; attributes of the API that are not listed become columns too. Times are UTC.

`bigint`, `text`, `double`, `bool`, `timestamp`, `date` and `json` are dlt's types. On DuckDB and
Postgres they have the nearest name there (a `timestamp` is one with time zone), on BigQuery they
are `INT64`, `STRING`, `FLOAT64`, `BOOL`, `TIMESTAMP`, `DATE` and `JSON`.

Tables with `__` in their names hold the lists inside a record: join them by the ids that they
carry, such as `stories__comments.story_id = stories.id`. Beside the columns below dlt has its own:
`_dlt_load_id` (of the run that wrote the row; `_dlt_loads` says when that was), `_dlt_id`, and in
nested tables `_dlt_parent_id` and `_dlt_list_idx` (the place in the list). `_deleted` is how dlt is
told to delete; it is null in every row that you see.

The descriptions are also in dlt's schema, with the references between tables
(`dlt pipeline pivotal_tracker schema --format mermaid`), and in DuckDB and Postgres as comments on
tables and columns. Into BigQuery and Databricks dlt writes them when it creates a table.
"""

OPTIONS = """# Options

## The command

`pivotal-tracker`, where the package is installed, or `python pivotal_tracker_pipeline.py`.
"""

SETTINGS = """## Settings of dlt

Those that suit the source are in force wherever the environment (`EXTRACT__WORKERS=4`) and dlt's
files (`.dlt/config.toml`) give no others:
"""


def documents() -> dict[str, str]:
    """The texts, by the name of their file."""
    return {"tables.md": _tables(), "options.md": _options()}


def _tables() -> str:
    roots = _roots()
    described = (part for root, note in roots for part in _described(root, note))
    return "\n".join([TABLES, _diagram([root for root, _ in roots]), *described])


def _roots() -> list[tuple[Table, str]]:
    """The tables that are nested in no other, each with what `tables.py` says of it."""
    body = ast.parse(inspect.getsource(tables)).body
    found = []
    for statement, after in zip(body, [*body[1:], ast.Pass()], strict=True):
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            table = getattr(tables, statement.targets[0].id)
            if isinstance(table, Table):
                is_note = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
                note = ast.literal_eval(after.value) if is_note else ""  # type: ignore[attr-defined]
                found.append((table, inspect.cleandoc(note)))
    return found


def _diagram(roots: list[Table]) -> str:
    lines = ["## How they belong together", "", "```mermaid", "erDiagram"]
    for root in roots:
        found = _references(root)
        for table in root.family():
            lines += [f"    {table.name} ||--o{{ {t.name} : has" for t in table.nested.values()]
            lines += [
                f'    {other} ||--o{{ {table.name} : "{" ".join(columns)}"'
                for other, columns in _drawn(found.get(table.name, ()), root is table).items()
            ]
        if not root.nested and not _drawn(found.get(root.name, ()), is_root=True):
            lines.append(f"    {root.name}")
    return "\n".join([*lines, "```", ""])


def _references(root: Table) -> dict[str, list[Reference]]:
    """The references of a table and of those nested in it, by table."""
    found: dict[str, list[Reference]] = {}
    for reference in references(root):
        found.setdefault(reference.table, []).append(reference)
    return found


def _drawn(found: Iterable[Reference], is_root: bool) -> dict[str, list[str]]:
    """The columns to draw between a table and others, by those: nesting is drawn by itself."""
    drawn: dict[str, list[str]] = {}
    for reference in found:
        other = reference.referenced_table
        is_inherited = other == "projects" and not is_root and reference.columns != ("value",)
        if not reference.is_parent and not is_inherited and other != reference.table:
            drawn.setdefault(other, []).extend(reference.columns)
    return drawn


def _described(root: Table, note: str) -> Iterator[str]:
    yield f"## {root.name}\n"
    found = _references(root)
    for table in root.family():
        if table is not root:
            yield f"### {table.name}\n"
        yield table_description(table.name) + "\n"
        if note and table is root:
            yield note + "\n"
        yield f"Key: {', '.join(f'`{column}`' for column in table.key)}\n"
        targets = {
            reference.columns[0]: f" (`{reference.referenced_table}.{name}`)"
            for reference in found.get(table.name, ())
            for name in reference.referenced_columns
            if len(reference.columns) == 1
        }
        yield "| column | type | is |\n|---|---|---|"
        for column, kind in table.columns.items():
            text = column_description(table.name, column).removesuffix(".")
            yield f"| `{column}` | {kind} | {text}{targets.get(column, '')} |"
        yield ""


def _options() -> str:
    sources = [name for name in pivotal_tracker.__all__ if name.startswith("pivotal_tracker_")]
    parts = [OPTIONS, *_command(command_line())]
    for name in sorted(sources, key=lambda name: name != "pivotal_tracker_source"):
        parts += _source(name)
    return "\n".join([*parts, SETTINGS, "```python", _source_of("DEFAULTS"), "```", ""])


def _command(parser: argparse.ArgumentParser) -> Iterator[str]:
    yield "| option | meaning |\n|---|---|"
    for action in parser._actions:  # argparse tells of them nowhere else
        values = [action.metavar or ""] if not action.choices else list(map(str, action.choices))
        names = [*action.option_strings[-1:], "\\|".join(map(str, values))]
        more = " …" if action.nargs in ("+", "*") else ""
        meaning = (action.help or "").replace("%(default)s", str(action.default))
        yield f"| `{' '.join(filter(None, names))}{more}` | {meaning} |"
    yield f"\n{parser.epilog}\n"


def _source(name: str) -> Iterator[str]:
    """What a source takes: as its arguments in Python, and in dlt's configuration."""
    text = inspect.getdoc(getattr(pivotal_tracker, name)) or ""
    about, _, rest = text.partition("\n\nArgs:\n")
    yield f"## `{name}`\n\n{about}\n"
    yield "| argument | meaning |\n|---|---|"
    for argument, meaning in _arguments(rest.partition("\n\n")[0]):
        yield f"| `{argument}` | {meaning} |"
    yield ""


def _arguments(text: str) -> Iterator[tuple[str, str]]:
    """The arguments of a docstring in Google's style, and what is said of each."""
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
    source = inspect.getsource(defaults)
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.AnnAssign) and ast.unparse(statement.target) == constant:
            return ast.get_source_segment(source, statement) or ""
    raise LookupError(constant)


def main() -> None:
    """Writes the files."""
    for name, text in documents().items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
