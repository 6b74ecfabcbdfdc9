"""Hints for dlt about the tables of a resource, and those that users have set."""

from __future__ import annotations

from typing import Any, cast

import dlt
from dlt.common.schema.typing import TColumnSchema, TFileFormat, TWriteDispositionConfig
from dlt.extract import DltResource

from ..errors import TrackerError
from ..tables import ARCHIVE_TABLES, DELETED_RECORDS, PEOPLE, Table
from .destinations import (
    RowChanges,
    bigquery_layout,
    file_format,
    has_table_formats,
    row_changes,
)

_LISTS_AS_JSON: dict[str, Any] = {"x-normalizer": {"max_nesting": 0}}
"""For upserted tables: dlt would make nested tables, and never delete rows from them."""

_UPSERT: TWriteDispositionConfig = {"disposition": "merge", "strategy": "upsert"}


def root_hints(table: Table) -> dict[str, Any]:
    """Return the hints of a resource's own table, as `apply_hints` takes them."""
    return {
        "write_disposition": _merge_disposition(table),
        "primary_key": table.key,
        "columns": _columns(table),
        "file_format": file_format(table),
        "additional_table_hints": bigquery_layout(table),
    }


def may_append(resource: DltResource, table: Table) -> bool:
    """Check whether rows can be appended to a table that the destination does not have yet."""
    schema = resource.compute_table_schema()
    return (
        _disposition(resource) == "merge"
        and not _has_several_writers(table)
        and not schema.get("table_format")
        and schema.get("file_format") != "jsonl"
    )


def append_rows(resource: DltResource, root: Table) -> None:
    """Append rows that are marked with the name of the resource's table."""
    resource.apply_hints(
        table_name=root.name,
        create_table_variant=True,
        write_disposition="append",
        columns={"_deleted": _deleted_column(is_merged=False)},
    )


def add_child_hints(
    resource: DltResource, root: Table, child: Table, *, appends: bool = False
) -> None:
    """Add the hints of a child table, following the user's settings for the resource.

    Args:
        resource: The resource that yields the rows.
        root: The table of its records.
        child: One of the tables nested in it.
        appends: Whether its rows are appended.
    """
    schema = resource.compute_table_schema()
    is_upserted = row_changes_of(resource) == "upsert"
    layout = bigquery_layout(child)
    depth = _max_table_nesting(resource)
    if is_upserted:
        layout |= _LISTS_AS_JSON
    elif depth is not None:
        layout["x-normalizer"] = {"max_nesting": depth - _depth(root, child)}
    resource.apply_hints(
        table_name=child.name,
        create_table_variant=True,
        write_disposition=(
            "append"
            if appends
            else "replace"
            if is_replaced(resource)
            else _UPSERT
            if is_upserted
            else _merge_disposition(child)
        ),
        # the child rows of a record are replaced together; with a primary key, dlt would compare
        # each with every existing row
        primary_key=("_dlt_id",) if is_upserted else (),
        merge_key=() if is_upserted else root.parent_key,
        columns=_columns(child) | {"_deleted": _deleted_column(is_merged=not appends)},
        file_format=child_file_format(resource, root, child),
        table_format=schema.get("table_format"),
        schema_contract=resource.schema_contract,
        additional_table_hints=layout,
    )


def child_file_format(resource: DltResource, root: Table, child: Table) -> TFileFormat:
    """Return the file format of a child table: the user's for the resource, or the fastest."""
    format_of_root = resource.compute_table_schema().get("file_format")
    is_set_by_user = format_of_root != file_format(root)
    return cast(TFileFormat, format_of_root) if is_set_by_user else file_format(child)


def row_changes_of(resource: DltResource) -> RowChanges:
    """Return how the rows of a resource change, in the existing or new format of its table.

    Raises:
        TrackerError: Rows could be updated, but not deleted.
    """
    if not has_table_formats():
        return row_changes({})
    schema = resource.compute_table_schema()
    stored = dlt.current.source_schema().tables.get(str(schema["name"]))
    if stored is not None and "table_format" in stored:
        return row_changes({"table_format": stored["table_format"], **schema})
    return row_changes(schema)


def adapt_root_hints(resource: DltResource) -> RowChanges:
    """Adapt the hints of a resource to how the destination changes rows; return how."""
    changes = row_changes_of(resource)
    if changes == "upsert":
        resource.apply_hints(additional_table_hints=_LISTS_AS_JSON)
        if not is_replaced(resource):
            resource.apply_hints(write_disposition=_UPSERT)
    return changes


def is_replaced(resource: DltResource) -> bool:
    """Check whether each run replaces the tables of a resource."""
    return _disposition(resource) == "replace"


def loaded_table(resource: DltResource, table: Table) -> Table:
    """Return the table with the name and the depth that the user has set for its resource."""
    name = resource.table_name
    if callable(name):
        raise TrackerError(
            f"{resource.name}: table_name must be a name. A function of the record would put "
            "records into other tables than their child rows."
        )
    if name != table.name:
        naming = dlt.current.source_schema().naming
        table = table.renamed(naming.normalize_table_identifier(name))
    depth = _max_table_nesting(resource)
    return table if depth is None else table.limited(depth)


def loaded_table_names() -> dict[str, str]:
    """Return the names of existing and loaded tables, by their names in `tables.py`."""
    names = {name: name for name in ARCHIVE_TABLES if name in dlt.current.source_schema().tables}
    resources = dlt.current.source().resources.selected
    loaded = {name: resources[name].table_name for name in ARCHIVE_TABLES if name in resources}
    return names | {name: str(table) for name, table in loaded.items() if not callable(table)}


def require_supported(resource: DltResource) -> None:
    """Refuse hints that the tables of a resource cannot follow.

    Raises:
        TrackerError: A hint is not supported.
    """
    if resource.validator is not None:
        raise TrackerError(
            f"{resource.name}: a Pydantic model as columns does not fit records with child tables. "
            f"Validate them in a function instead: source.{resource.name}.add_map(validate), where "
            "validate returns the record."
        )
    disposition = _disposition(resource)
    if disposition not in ("merge", "replace", "skip"):
        raise TrackerError(
            f"{resource.name}: write_disposition={disposition!r} would load changed records twice. "
            "Leave it out: records are merged by their key; or use 'replace'."
        )


def _disposition(resource: DltResource) -> str:
    value = resource.write_disposition
    if isinstance(value, dict):
        return str(value.get("disposition"))
    return "" if callable(value) else str(value)


def _merge_disposition(table: Table) -> TWriteDispositionConfig:
    """Return the merge disposition of a table. The last step writes no record twice."""
    return {
        "disposition": "merge",
        "strategy": "delete-insert",
        "deduplicated": not _has_several_writers(table),
    }


def _has_several_writers(table: Table) -> bool:
    """Check whether parallel runs may write the same records of a table."""
    return table.name in (PEOPLE.name, DELETED_RECORDS.name)


def _columns(table: Table) -> dict[str, Any]:
    """Return hints of columns, without types, which the Arrow tables have."""
    columns: dict[str, Any] = {name: {"data_type": "json"} for name in sorted(table.json_columns)}
    # dlt merges its own nested tables, of undeclared lists, by this column. It is not unique in a
    # load: while a record replaces another, both exist
    columns["_dlt_id"] = {"data_type": "text", "nullable": False, "unique": False, "row_key": True}
    columns["_deleted"] = _deleted_column(is_merged=True)
    return columns


def _deleted_column(*, is_merged: bool) -> TColumnSchema:
    """Return the column that marks deleted rows; dlt warns of the hint without a merge."""
    return {"data_type": "bool", "hard_delete": is_merged}


def _max_table_nesting(resource: DltResource) -> int | None:
    own = resource.max_table_nesting
    return own if own is not None else dlt.current.source().max_table_nesting


def _depth(root: Table, child: Table) -> int:
    """Return the depth of a child table: 1 for `stories__comments`."""
    return next(
        1 if nested is child else 1 + _depth(nested, child)
        for nested in root.nested.values()
        if child in nested.family()
    )
