"""From records in the API's shape to the rows of their tables, in the form that dlt loads fastest.

A page of records is cut into the rows of its table and of the tables nested in it. Rows that fit
the declared columns travel as Arrow tables, which dlt loads as they are; where an attribute nobody
declared arrives, or a value of another type, that table's rows go through dlt's own normalizer,
which lets the schema evolve. Both ways give the same tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import dlt
import pyarrow as pa

from .settings import NEVER_LOADED
from .tables import ColumnType, Table

Record = dict[str, Any]
"""One record as API v5 gives it."""
Row = dict[str, Any]
"""One row of one table: flat, but for what is kept as JSON or was never declared."""

_KEY_COLUMNS: dict[str, ColumnType] = {"_dlt_id": "text", "_dlt_load_id": "text"}
_NESTED_KEY_COLUMNS: dict[str, ColumnType] = {
    "_dlt_parent_id": "text",
    "_dlt_list_idx": "bigint",
    **_KEY_COLUMNS,
}
_ARROW_TYPES: dict[ColumnType, pa.DataType] = {
    "bigint": pa.int64(),
    "text": pa.string(),
    "double": pa.float64(),
    "bool": pa.bool_(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "date": pa.date32(),
}


def without_secrets(value: Any) -> Any:
    """A copy of a JSON value without the attributes that are never loaded, at whatever depth."""
    if isinstance(value, dict):
        return {k: without_secrets(v) for k, v in value.items() if k not in NEVER_LOADED}
    if isinstance(value, list):
        return [without_secrets(v) for v in value]
    return value


def in_tracker_words(record: Record) -> Record:
    """The record in the words of Tracker's API, where it came in LiteTracker's.

    LiteTracker says `title` for `name`, and names a story's owners as `owners[].user_id` where
    Tracker gives `owner_ids`; its `owner_ids`, where given, is not to be trusted.
    """
    if "title" in record and "name" not in record:
        record = {("name" if k == "title" else k): v for k, v in record.items()}
    owners = record.get("owners")
    if isinstance(owners, list) and any(isinstance(o, dict) and "user_id" in o for o in owners):
        owner_ids = [o["user_id"] for o in owners if isinstance(o, dict) and "user_id" in o]
        record = {k: v for k, v in record.items() if k != "owners"} | {"owner_ids": owner_ids}
    return record


class Batch:
    """Rows of a table and of those nested in it, gathered over pages until they are worth writing.

    Args:
        table: The table that the records belong to.
        load_id: The load package that the rows will say they came with.
    """

    def __init__(self, table: Table, load_id: str) -> None:
        self.table = table
        self.load_id = load_id
        self.rows: dict[str, list[Row]] = {member.name: [] for member in table.family()}
        """By table; each row has `_dlt_id`, each nested one `_dlt_parent_id` and `_dlt_list_idx`
        too, and the ids that its parents hand down."""

    def __len__(self) -> int:
        """How many records it holds."""
        return len(self.rows[self.table.name])

    def add(self, records: Iterable[Record], **ids: Any) -> None:
        """Adds the rows that records bring.

        Args:
            records: Records in the API's shape; they are not changed.
            ids: What every record shares and may not say itself, such as `project_id`.
        """
        for record in records:
            key = ":".join(str(record.get(name, ids.get(name))) for name in self.table.key)
            _add_row(self.table, record, ids, {"_dlt_id": key}, self.rows)

    def items(self) -> Iterator[Any]:
        """What a resource yields for the rows so far, which are then forgotten.

        Yields:
            Arrow tables, or lists of rows, each marked with the name of its table.
        """
        for member in self.table.family():
            rows = self.rows[member.name]
            if rows:
                self.rows[member.name] = []
                yield dlt.mark.with_table_name(self._item(member, rows), member.name)

    def empty_items(self) -> Iterator[Any]:
        """An empty Arrow table for each table of the family, so that all of them exist."""
        for member in self.table.family():
            item = _arrow_table(member, self._columns(member), [], self.load_id)
            yield dlt.mark.with_table_name(item, member.name)

    def _item(self, member: Table, rows: list[Row]) -> Any:
        columns = self._columns(member)
        if "json" not in columns.values() and columns.keys() >= set().union(*rows):
            try:
                return _arrow_table(member, columns, rows, self.load_id)
            except (pa.ArrowException, TypeError, ValueError, OverflowError):
                # a value of another type than declared, which dlt's normalizer has an answer to
                pass
        return [_with_times(member, row) for row in rows]

    def _columns(self, member: Table) -> dict[str, ColumnType]:
        """The declared columns of a table in order, dlt's keys last."""
        keys = _KEY_COLUMNS if member is self.table else _NESTED_KEY_COLUMNS
        return {**member.columns, **keys}


def _add_row(table: Table, record: Record, ids: Row, keys: Row, rows: dict[str, list[Row]]) -> None:
    row: Row = {**ids}
    lists: list[tuple[Table, list[Any]]] = []
    for name, value in record.items():
        if name in NEVER_LOADED:
            continue
        kind = type(value)
        if kind is list or kind is dict:
            nested = table.nested.get(name)
            if nested is not None and kind is list:
                lists.append((nested, value))
            elif kind is dict and table.columns.get(name) != "json":
                _flatten(row, name, value)
            else:
                row[name] = without_secrets(value)
        else:
            row[name] = value
    row.update(keys)
    rows[table.name].append(row)
    handed = ids
    if lists and table.hands_down:
        handed = {**ids, **{new: row.get(old) for old, new in table.hands_down.items()}}
    parent = keys["_dlt_id"]
    for nested, values in lists:
        for index, value in enumerate(values):
            keys = {
                "_dlt_parent_id": parent,
                "_dlt_list_idx": index,
                "_dlt_id": f"{parent}.{index}",
            }
            if isinstance(value, dict):
                _add_row(nested, value, handed, keys, rows)
            else:
                rows[nested.name].append({**handed, "value": value, **keys})


def _flatten(row: Row, prefix: str, value: dict[str, Any]) -> None:
    for name, inner in value.items():
        if name in NEVER_LOADED:
            continue
        if type(inner) is dict:
            _flatten(row, f"{prefix}__{name}", inner)
        else:
            row[f"{prefix}__{name}"] = without_secrets(inner)


def _arrow_table(
    table: Table, columns: dict[str, ColumnType], rows: list[Row], load_id: str
) -> pa.Table:
    fields, arrays = [], []
    for name, kind in columns.items():
        if kind == "json":
            continue
        if name == "_dlt_load_id":
            array = pa.repeat(pa.scalar(load_id, pa.string()), len(rows))
        else:
            array = _array([row.get(name) for row in rows], kind)
        fields.append(pa.field(name, array.type, nullable=name not in _required(table)))
        arrays.append(array)
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def _array(values: list[Any], kind: ColumnType) -> pa.Array:
    if kind in ("timestamp", "date"):
        return pa.array(values, pa.string()).cast(_ARROW_TYPES[kind])
    return pa.array(values, _ARROW_TYPES[kind])


def _required(table: Table) -> set[str]:
    return {*table.key, *_NESTED_KEY_COLUMNS}


def _with_times(table: Table, row: Row) -> Row:
    """The row with its integer times, which are milliseconds since 1970, as times."""
    return {
        name: datetime.fromtimestamp(value / 1000, UTC)
        if isinstance(value, int) and table.columns.get(name) == "timestamp"
        else value
        for name, value in row.items()
    }
