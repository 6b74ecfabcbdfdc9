"""Which columns hold ids of other tables, and the notes on tables in `tables.py`."""

from __future__ import annotations

import ast
import inspect

from pivotal_tracker import tables
from pivotal_tracker.tables import Table

PERSON_COLUMNS = (
    "person_id",
    "person__id",
    "requested_by_id",
    "owned_by_id",
    "performed_by_id",
    "performed_by__id",
    "uploader_id",
    "reviewer_id",
    "deleted_by_id",
)
REFERENCES = {
    "project_id": "projects",
    "account_id": "accounts",
    "label__id": "labels",
    "review_type_id": "review_types",
    **dict.fromkeys(PERSON_COLUMNS, "people"),
}
"""The table whose id a column holds."""

VALUES = {
    "owner_ids": "people",
    "follower_ids": "people",
    "story_ids": "stories",
    "project_ids": "projects",
}
"""The table whose id the column `value` of a list table holds, by the list's name."""


def references(table: Table) -> dict[str, str]:
    """The columns that hold ids of other tables, with the table of each; parents are left out."""
    found = {name: other for name, other in REFERENCES.items() if name in table.columns}
    list_name = table.name.rpartition("__")[2]
    if table.of_values:
        found["value"] = VALUES[list_name]
    elif "__" in table.name and list_name == "labels":
        found["id"] = "labels"
    return found


def parent_columns(table: Table) -> dict[str, str]:
    """The columns of a nested table that hold the id of a record around it, with its table."""
    found: dict[str, str] = {}
    for root in tables.ARCHIVE_TABLES.values():
        for parent in root.family():
            column = parent.hands_down.get("id")
            if column and column in table.columns and table.name.startswith(f"{parent.name}__"):
                found[column] = parent.name
    return found


def table_notes() -> list[tuple[Table, str]]:
    """The tables that are nested in no other, each with its note in `tables.py`."""
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
