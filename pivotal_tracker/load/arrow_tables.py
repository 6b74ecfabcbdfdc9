"""Build Arrow tables from records, by column: one for a table and one for each child table.

The nested Arrow type of a page is derived from `tables.py`: structs for objects, lists for child
tables. One `pa.array` call converts all records. The child tables are the flattened lists, with the
ids of their parents.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import chain, repeat
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ..limits import Limits
from ..records import Record, json_text
from ..settings import SECRET_ATTRIBUTES
from ..tables import ColumnType, Table
from .trial import is_deeper

ARROW_TYPES: dict[ColumnType, pa.DataType] = {
    "bigint": pa.int64(),
    "text": pa.string(),
    "double": pa.float64(),
    "bool": pa.bool_(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "date": pa.date32(),
    # the text of the JSON; the destination converts it
    "json": pa.string(),
}
"""The types of columns in the tables for dlt."""

_API_ARROW_TYPES = {**ARROW_TYPES, "timestamp": pa.string(), "date": pa.string()}
"""The types of values as the API writes them."""

KEY_COLUMNS: dict[str, ColumnType] = {
    "_deleted": "bool",
    "_dlt_id": "text",
    "_dlt_load_id": "text",
}
CHILD_KEY_COLUMNS: dict[str, ColumnType] = {
    "_dlt_parent_id": "text",
    "_dlt_list_idx": "bigint",
    **KEY_COLUMNS,
}
_REQUIRED_KEYS = set(CHILD_KEY_COLUMNS) - {"_deleted"}


class MisfitError(ValueError):
    """A record has an attribute or a value that fits no declared column."""


CONVERSION_ERRORS = (pa.ArrowException, TypeError, ValueError, OverflowError)
"""The errors of building Arrow tables from records that do not fit, including `MisfitError`."""


@dataclass
class _Shape:
    """The structure of records: which attributes have values, objects and lists.

    Attributes:
        values: Arrow types by attribute.
        objects: Shapes by attribute.
        lists: Child tables by attribute.
    """

    values: dict[str, pa.DataType] = field(default_factory=dict)
    objects: dict[str, _Shape] = field(default_factory=dict)
    lists: dict[str, Table] = field(default_factory=dict)

    @property
    def attributes(self) -> frozenset[str]:
        """All attributes that a record of this shape may have."""
        return frozenset({*self.values, *self.objects, *self.lists, *SECRET_ATTRIBUTES})


@dataclass(frozen=True)
class _Batch:
    """The rows of one table while they are built.

    Attributes:
        columns: Arrays by column.
        row_ids: The `_dlt_id` of each row.
        inherited: The ids that child rows inherit from the parents of this table, by column.
    """

    columns: dict[str, pa.Array]
    row_ids: pa.Array
    inherited: dict[str, pa.Array]


def arrow_tables(
    table: Table,
    records: Sequence[Record],
    row_ids: Sequence[str],
    load_id: str,
    *,
    left_out: frozenset[str] = frozenset(),
    max_depth: int = Limits.max_depth,
) -> dict[str, pa.Table]:
    """Build the tables of records whose attributes and values are all declared.

    Args:
        table: The table of the records.
        records: As the API sends them, not empty, each with its key.
        row_ids: The `_dlt_id` of each record.
        load_id: The value of `_dlt_load_id`.
        left_out: The names of lists that are not converted.
        max_depth: How many lists and objects may be nested in a JSON value.

    Returns:
        Arrow tables by name, without child tables that have no rows.

    Raises:
        MisfitError: A record does not fit; `CONVERSION_ERRORS` has the other errors of this kind.
    """
    converted = _lists_with_json(table) - left_out
    if converted:
        records = [_with_json_texts(table, record, converted, max_depth) for record in records]
    struct = pa.array(records, _page_type(_shape_of(table), records, left_out))
    tables: dict[str, pa.Table] = {}
    batch = _Batch(_leaves(struct, _shape_of(table)), pa.array(row_ids, pa.string()), {})
    _build(table, struct, batch, {}, load_id, tables)
    return tables


def table_from_rows(
    table: Table, rows: list[dict[str, Any]], load_id: str, *, is_child: bool, required: set[str]
) -> pa.Table:
    """Build an Arrow table of flat rows; there may be none.

    Args:
        table: The table of the rows.
        rows: Values by column; a column that no row has is null.
        load_id: The value of `_dlt_load_id`.
        is_child: Whether the table has the columns of a child table.
        required: The columns that are declared not null.

    Raises:
        pa.ArrowException: A value has another type; see `CONVERSION_ERRORS`.
    """
    types = {
        name: _API_ARROW_TYPES[kind] for name, kind in columns_of(table, is_child=is_child).items()
    }
    present = set[str]().union(*rows)
    names = [name for name in types if name in present]
    struct = pa.array(rows, pa.struct([(name, types[name]) for name in names]))
    arrays = dict(zip(names, struct.flatten(), strict=True))
    return _finish(table, arrays, len(rows), load_id, is_child=is_child, required=required)


def columns_of(table: Table, *, is_child: bool) -> dict[str, ColumnType]:
    """Return the declared columns, then dlt's own."""
    return {**table.columns, **(CHILD_KEY_COLUMNS if is_child else KEY_COLUMNS)}


def required_columns(table: Table, root: Table) -> set[str]:
    """Return the columns of a table that are never null: its key, its parent's, and dlt's own."""
    parent_key = () if table is root else root.parent_key
    return {*table.key, *parent_key, *_REQUIRED_KEYS}


@cache
def _shape_of(table: Table) -> _Shape:
    """Return the shape of a table's records: `label__id` is the `id` of the object `label`."""
    shape = _Shape(lists=dict(table.nested))
    for name, kind in table.columns.items():
        *parents, attribute = name.split("__")
        inner = shape
        for parent in parents:
            inner = inner.objects.setdefault(parent, _Shape())
        inner.values[attribute] = _API_ARROW_TYPES[kind]
    return shape


@cache
def _lists_with_json(table: Table) -> frozenset[str]:
    """Return the lists of a table's records whose child tables have JSON columns."""
    return frozenset(name for name, child in table.nested.items() if child.json_columns)


def _with_json_texts(table: Table, record: Record, lists: frozenset[str], max_depth: int) -> Record:
    """Copy a record with the JSON values in its lists as texts.

    Raises:
        MisfitError: A value is not an object, or is nested deeper than `max_depth`.
    """
    converted = {}
    for name in lists & record.keys():
        columns = table.nested[name].json_columns
        elements = record[name] or ()
        if not all(isinstance(element, dict) for element in elements):
            raise MisfitError("a list has elements that are not objects")
        converted[name] = [
            element | {c: _json_text(element[c], max_depth) for c in columns & element.keys()}
            for element in elements
        ]
    return record | converted


def _json_text(value: Any, max_depth: int) -> str | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise MisfitError("a JSON value is not an object")
    text = json_text(value).decode()
    # few texts have so many brackets, and counting them is quick
    if text.count("{") + text.count("[") > max_depth and is_deeper(value, max_depth):
        raise MisfitError("a JSON value is nested too deep")
    return text


def _page_type(
    shape: _Shape, records: Sequence[dict[str, Any]], left_out: frozenset[str] = frozenset()
) -> pa.DataType:
    """Return the Arrow type of a page, without attributes that no record has: these take time too.

    Args:
        shape: The attributes that records may have.
        records: The records, or the objects in one of their lists.
        left_out: Lists that are not converted.

    Raises:
        MisfitError: An attribute is not declared, or a list has other values than objects.
    """
    if not all(issubclass(kind, dict) for kind in set(map(type, records))):
        raise MisfitError("a list has elements that are not objects")
    present = set[str]().union(*records)
    unknown = present - shape.attributes
    if unknown:
        raise MisfitError(f"undeclared attributes: {', '.join(sorted(map(str, unknown)))}")
    fields = [(name, kind) for name, kind in shape.values.items() if name in present]
    for name, kind in fields:
        _require_fitting(kind, name, _values(records, name))
    for name, inner in shape.objects.items():
        if name in present:
            values = [v for v in _values(records, name) if v is not None]
            if values:
                fields.append((name, _page_type(inner, values)))
    for name, child in shape.lists.items():
        if name not in present or name in left_out:
            continue
        elements = list(chain.from_iterable(filter(None, _values(records, name))))
        if child.is_scalar_list:
            _require_fitting(child_value_type(child), name, elements)
            fields.append((name, pa.list_(child_value_type(child))))
            continue
        if elements:
            fields.append((name, pa.list_(_page_type(_shape_of(child), elements))))
    return pa.struct(fields)


def _require_fitting(kind: pa.DataType, name: str, values: Iterable[Any]) -> None:
    """Check that Arrow would not cut off the decimals of values.

    Raises:
        MisfitError: A value of a column of whole numbers is not one.
    """
    if kind == pa.int64() and float in set(map(type, values)):
        raise MisfitError(f"{name} is not a whole number")


def _values(records: Iterable[dict[str, Any]], name: str) -> Iterator[Any]:
    """Return the value of an attribute in each record; None where it is missing."""
    return map(dict.get, records, repeat(name))


def child_value_type(child: Table) -> pa.DataType:
    """Return the Arrow type of the values of a plain list such as `owner_ids`."""
    return _API_ARROW_TYPES[child.columns["value"]]


def _leaves(struct: pa.StructArray, shape: _Shape, prefix: str = "") -> dict[str, pa.Array]:
    """Return the values in a struct by column name, including those of nested objects."""
    leaves: dict[str, pa.Array] = {}
    # unlike `field`, `flatten` makes the values of null structs null
    for child, array in zip(struct.type, struct.flatten(), strict=True):
        if child.name in shape.objects:
            inner = shape.objects[child.name]
            leaves |= _leaves(array, inner, f"{prefix}{child.name}__")
        elif child.name in shape.values:
            leaves[f"{prefix}{child.name}"] = array
    return leaves


def _build(
    table: Table,
    struct: pa.StructArray | None,
    batch: _Batch,
    own: dict[str, pa.Array],
    load_id: str,
    tables: dict[str, pa.Table],
    root: Table | None = None,
) -> None:
    """Add the table of a batch, then those of the lists in its records."""
    columns = dict(batch.columns)
    for name, ids in batch.inherited.items():
        # an id in the record itself wins over the inherited one, unless it is null
        columns[name] = pc.coalesce(columns[name], ids) if name in columns else ids
    arrays = {**columns, **own, "_dlt_id": batch.row_ids}
    is_child, root = root is not None, root or table
    required = required_columns(table, root)
    tables[table.name] = built = _finish(
        table, arrays, len(batch.row_ids), load_id, is_child=is_child, required=required
    )
    if any(built[name].null_count for name in required if name in table.columns):
        raise MisfitError(f"a row of {table.name} lacks a part of its key")
    if struct is None:
        return
    for attribute, child in table.nested.items():
        index = struct.type.get_field_index(attribute)
        if index >= 0:
            lists = struct.field(index)
            _build_children(table, child, lists, built, batch, load_id, tables, root)


def _build_children(
    table: Table,
    child: Table,
    lists: pa.ListArray,
    built: pa.Table,
    batch: _Batch,
    load_id: str,
    tables: dict[str, pa.Table],
    root: Table,
) -> None:
    elements = lists.flatten()
    if not len(elements):
        return
    parents = pc.list_parent_indices(lists)
    starts = pa.array(lists.offsets[:-1])
    position = pc.subtract(
        pa.array(range(len(elements)), pa.int64()),
        pc.subtract(starts, starts[0]).take(parents).cast(pa.int64()),
    )
    parent_ids = batch.row_ids.take(parents)
    inherited = {name: ids.take(parents) for name, ids in batch.inherited.items()}
    for column, name in table.inherited_columns.items():
        inherited[name] = built[column].combine_chunks().take(parents)
    own = {"_dlt_parent_id": parent_ids, "_dlt_list_idx": position}
    row_ids = pc.binary_join_element_wise(parent_ids, position.cast(pa.string()), ".")
    if child.is_scalar_list:
        if elements.null_count:
            raise MisfitError(f"a list of {child.name} has a null")
        _build(
            child, None, _Batch({"value": elements}, row_ids, inherited), own, load_id, tables, root
        )
        return
    columns = _leaves(elements, _shape_of(child))
    _build(child, elements, _Batch(columns, row_ids, inherited), own, load_id, tables, root)


def _finish(
    table: Table,
    arrays: dict[str, pa.Array],
    length: int,
    load_id: str,
    *,
    is_child: bool,
    required: set[str],
) -> pa.Table:
    """Return an Arrow table with all columns of a table, in order and with their types."""
    fields, columns = [], []
    for name, kind in columns_of(table, is_child=is_child).items():
        if kind == "json" and name not in arrays:
            # dlt adds the column; not all destinations take its type in these files
            continue
        if name == "_dlt_load_id":
            columns.append(pa.repeat(pa.scalar(load_id), length))
        elif name in arrays:
            array, declared = arrays[name], ARROW_TYPES[kind]
            columns.append(array if array.type == declared else array.cast(declared))
        else:
            columns.append(pa.nulls(length, ARROW_TYPES[kind]))
        fields.append(pa.field(name, ARROW_TYPES[kind], nullable=name not in required))
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))
