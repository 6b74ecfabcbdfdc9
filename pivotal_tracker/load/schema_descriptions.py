"""Write descriptions and references of tables into dlt's schema.

They are set once in the schema: dlt would merge hints of a resource into the schema again with
every item.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from dlt.common.schema import Schema
from dlt.common.schema.typing import TTableSchema

from ..descriptions import DELETED, column_description, table_description
from ..references import Reference, loaded_as
from ..tables import Table


def describe_tables(schema: Schema, root: Table, names: Mapping[str, str]) -> None:
    """Add the descriptions and references of a table, and of those nested in it, to a schema.

    A schema that has them already is not changed, so that it keeps its version.

    Args:
        schema: The schema of the source in this load.
        root: The table, with its name in the destination.
        names: The names of the loaded root tables, by their names in `tables.py`.
    """
    found = loaded_as(root, names)
    for member in root.family():
        own = [reference for reference in found if reference.table == member.name]
        described = _described(member, own)
        present = schema.tables.get(member.name)
        if present is None or not _has(present, described):
            schema.update_table(described, normalize_identifiers=False)


def _described(table: Table, references: list[Reference]) -> TTableSchema:
    """Return a part of a table's schema: only descriptions and references."""
    name = table.declared_name
    texts = {column: column_description(name, column) for column in table.columns}
    described: dict[str, Any] = {
        "name": table.name,
        "description": table_description(name),
        "columns": {
            column: {"name": column, "description": text}
            for column, text in {**texts, "_deleted": DELETED}.items()
        },
    }
    if references:
        described["references"] = _as_hints(references)
    return cast(TTableSchema, described)


def _as_hints(references: list[Reference]) -> list[dict[str, Any]]:
    """Return one hint per referenced table, as dlt keeps no more; its label names all columns."""
    first: dict[str, Reference] = {}
    labels: dict[str, list[str]] = {}
    for reference in references:
        first.setdefault(reference.referenced_table, reference)
        labels.setdefault(reference.referenced_table, []).extend(reference.columns)
    return [
        {
            "referenced_table": name,
            "columns": list(reference.columns),
            "referenced_columns": list(reference.referenced_columns),
            "label": ", ".join(labels[name]),
            "cardinality": "many_to_one" if reference.is_parent else "many_to_zero",
        }
        for name, reference in first.items()
    ]


def _has(table: TTableSchema, described: TTableSchema) -> bool:
    """Check whether a table's schema has all descriptions and references of a partial one."""
    columns = table["columns"]
    return (
        table.get("description") == described["description"]
        and table.get("references") == described.get("references", table.get("references"))
        and all(
            columns.get(name, {}).get("description") == column["description"]
            for name, column in described["columns"].items()
        )
    )
