"""Which columns contain keys of other tables: for documents, and for diagrams of dlt's schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from .tables import Table

_PERSON_COLUMNS = (
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
_TARGETS = {
    "project_id": "projects",
    "project__id": "projects",
    "label__project_id": "projects",
    "review_type__project_id": "projects",
    "account_id": "accounts",
    "label__id": "labels",
    "review_type_id": "review_types",
    "review_type__id": "review_types",
    **dict.fromkeys(_PERSON_COLUMNS, "people"),
}
"""The table whose `id` a column contains, in any table."""

_LIST_TARGETS = {
    "owner_ids": "people",
    "follower_ids": "people",
    "story_ids": "stories",
    "project_ids": "projects",
}
"""The table whose `id` the column `value` of a list table contains, by the list's name."""

_OTHER_TARGETS = {
    ("stories__labels", "id"): ("labels", "id"),
    ("releases__labels", "id"): ("labels", "id"),
    ("deleted_records", "activity_guid"): ("activity", "guid"),
    ("attachment_files", "story_id"): ("stories", "id"),
    ("attachment_files", "epic_id"): ("epics", "id"),
    ("projects", "same_as_id"): ("projects", "id"),
    ("people", "same_as_id"): ("people", "id"),
}


@dataclass(frozen=True)
class Reference:
    """The columns of one table that contain the key of another.

    Attributes:
        table: The table with the columns.
        columns: Its columns, in the order of the key.
        referenced_table: The other table.
        referenced_columns: The columns of its key.
        is_parent: Whether the table is nested in the other one.
    """

    table: str
    columns: tuple[str, ...]
    referenced_table: str
    referenced_columns: tuple[str, ...]
    is_parent: bool = False


def references(table: Table, parents: tuple[Table, ...] = ()) -> Iterator[Reference]:
    """Yield the references of a table and of those nested in it, those to parents first."""
    names_of_parents = {parent.name for parent in parents}
    for parent in reversed(parents):
        inherited = {
            own: parent.inherited_columns[own]
            for own in parent.key
            if own in parent.inherited_columns
        }
        yield Reference(table.name, tuple(inherited.values()), parent.name, tuple(inherited), True)
    for column in table.columns:
        target = _target(table, column)
        if target is not None and target[0] not in names_of_parents:
            yield Reference(table.name, (column,), target[0], (target[1],))
    for child in table.nested.values():
        yield from references(child, (*parents, table))


def _target(table: Table, column: str) -> tuple[str, str] | None:
    """Return the table and the column that a column refers to, by their names in `tables.py`."""
    name = table.declared_name
    if (name, column) in _OTHER_TARGETS:
        return _OTHER_TARGETS[name, column]
    if column == "value" and table.is_scalar_list:
        return _LIST_TARGETS[name.rpartition("__")[2]], "id"
    return (_TARGETS[column], "id") if column in _TARGETS else None


def loaded_as(root: Table, names: Mapping[str, str]) -> list[Reference]:
    """Return the references to tables that are loaded, with their names in the destination.

    Args:
        root: The table, with the names that it and its child tables have.
        names: The names of the loaded root tables, by those in `tables.py`.
    """
    return [
        reference
        if reference.is_parent
        else replace(reference, referenced_table=names[reference.referenced_table])
        for reference in references(root)
        if reference.is_parent or reference.referenced_table in names
    ]
