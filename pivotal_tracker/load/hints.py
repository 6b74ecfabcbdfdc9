"""What dlt is told of the tables of a resource, and what users tell it of them."""

from __future__ import annotations

from typing import Any

import dlt
from dlt.common.schema.typing import TWriteDispositionConfig
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
"""Of tables that are upserted: dlt deletes no rows from the nested tables that it would make."""


def root_hints(table: Table) -> dict[str, Any]:
    """The hints of a resource's own table, as `apply_hints` takes them."""
    return {
        "write_disposition": _merge(table),
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
        and not _is_shared(table)
        and not schema.get("table_format")
        and schema.get("file_format") != "jsonl"
    )


def append_rows(resource: DltResource, root: Table) -> None:
    """Have rows that are marked with the name of the resource's table appended to it."""
    resource.apply_hints(
        table_name=root.name, create_table_variant=True, write_disposition="append"
    )


def add_child_hints(
    resource: DltResource, root: Table, child: Table, *, appends: bool = False
) -> None:
    """Tell dlt of a child table, following what the user has set for the resource.

    Args:
        resource: The resource that yields the rows.
        root: The table of its records.
        child: One of the tables nested in it.
        appends: Whether its rows are appended.
    """
    schema = resource.compute_table_schema()
    is_upserted = row_changes_of(resource) == "upsert"
    format_of_root = schema.get("file_format")
    is_set_by_user = format_of_root != file_format(root)
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
            else _merge(child, is_upserted)
        ),
        # the child rows of a record are replaced together; with a key of their own beside it, dlt
        # would compare each with every row there is
        primary_key=("_dlt_id",) if is_upserted else (),
        merge_key=() if is_upserted else root.handed_key,
        columns=_columns(child),
        file_format=format_of_root if is_set_by_user else file_format(child),
        table_format=schema.get("table_format"),
        schema_contract=resource.schema_contract,
        additional_table_hints=layout,
    )


def row_changes_of(resource: DltResource) -> RowChanges:
    """How the rows of a resource change, in the format that its table has or is to have.

    Raises:
        TrackerError: They could be updated, but not deleted.
    """
    if not has_table_formats():
        return row_changes({})
    schema = resource.compute_table_schema()
    stored = dlt.current.source_schema().tables.get(str(schema["name"]))
    if stored is not None and "table_format" in stored:
        return row_changes({"table_format": stored["table_format"], **schema})
    return row_changes(schema)


def adapt_root_hints(resource: DltResource) -> RowChanges:
    """Have a resource's own table written as the destination can change rows; say how that is."""
    changes = row_changes_of(resource)
    if changes == "upsert":
        if is_replaced(resource):
            resource.apply_hints(additional_table_hints=_LISTS_AS_JSON)
        else:
            resource.apply_hints(
                write_disposition={"disposition": "merge", "strategy": "upsert"},
                additional_table_hints=_LISTS_AS_JSON,
            )
    return changes


def is_replaced(resource: DltResource) -> bool:
    """Whether the user has the tables of a resource replaced in each run."""
    return _disposition(resource) == "replace"


def loaded_table(resource: DltResource, table: Table) -> Table:
    """The table with the name and the depth that the user has set for its resource."""
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
    """The names of the tables that are in the schema or loaded now, by those in `tables.py`."""
    names = {name: name for name in ARCHIVE_TABLES if name in dlt.current.source_schema().tables}
    resources = dlt.current.source().resources.selected
    loaded = {name: resources[name].table_name for name in ARCHIVE_TABLES if name in resources}
    return names | {name: str(table) for name, table in loaded.items() if not callable(table)}


def require_supported(resource: DltResource) -> None:
    """Refuse hints that the tables of a resource cannot follow.

    Raises:
        TrackerError: Says which, and what to do instead.
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


def _merge(table: Table, is_upserted: bool = False) -> TWriteDispositionConfig:
    """How a table is brought up to date. The last step of a resource writes no record twice."""
    if is_upserted:
        return {"disposition": "merge", "strategy": "upsert"}
    return {
        "disposition": "merge",
        "strategy": "delete-insert",
        "deduplicated": not _is_shared(table),
    }


def _is_shared(table: Table) -> bool:
    """Whether runs that load side by side may write the same records of a table."""
    return table.name in (PEOPLE.name, DELETED_RECORDS.name)


def _columns(table: Table) -> dict[str, Any]:
    """What dlt is told of columns beyond the types, which come with the Arrow tables."""
    columns: dict[str, Any] = {name: {"data_type": "json"} for name in sorted(table.json_columns)}
    # dlt's own nested tables, of lists that nobody declared, are merged by it; not unique in one
    # load, as a record that replaces another is there twice for a moment
    columns["_dlt_id"] = {"data_type": "text", "nullable": False, "unique": False, "row_key": True}
    columns["_deleted"] = {"data_type": "bool", "hard_delete": True}
    return columns


def _max_table_nesting(resource: DltResource) -> int | None:
    own = resource.max_table_nesting
    return own if own is not None else dlt.current.source().max_table_nesting


def _depth(root: Table, child: Table) -> int:
    """How many lists deep a child table is: 1 for `stories__comments`."""
    return next(
        1 if nested is child else 1 + _depth(nested, child)
        for nested in root.nested.values()
        if child in nested.family()
    )
