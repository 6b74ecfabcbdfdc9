"""From records in the API's shape to the rows of their tables, in the form that dlt loads fastest.

A page of records is cut into the rows of its table and of the tables nested in it. Rows that fit
the declared columns travel as Arrow tables, which dlt loads as they are; where an attribute nobody
declared arrives, or a value of another type, that table's rows go through dlt's own normalizer,
which lets the schema evolve. Both ways give the same tables.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import dlt
import pyarrow as pa
from dlt.common.data_types import coerce_value, py_type_to_sc_type
from dlt.common.json import json

from .loaded import Loaded
from .nested import NestedRows
from .row_lists import RowLists, arrays_of, keys_of, merged
from .settings import NEVER_LOADED
from .tables import ColumnType, Table

Record = dict[str, Any]
"""One record as API v5 gives it."""
Row = dict[str, Any]
"""One row of one table: flat, but for what is kept as JSON or was never declared."""

_KEY_COLUMNS: dict[str, ColumnType] = {
    "_deleted": "bool",
    "_dlt_id": "text",
    "_dlt_load_id": "text",
}
_NESTED_KEY_COLUMNS: dict[str, ColumnType] = {
    "_dlt_parent_id": "text",
    "_dlt_list_idx": "bigint",
    **_KEY_COLUMNS,
}
_REQUIRED_KEYS = set(_NESTED_KEY_COLUMNS) - {"_deleted"}
_TYPES: dict[ColumnType, pa.DataType] = {
    "bigint": pa.int64(),
    "text": pa.string(),
    "double": pa.float64(),
    "bool": pa.bool_(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "date": pa.date32(),
}
_WRITTEN_TYPES = {**_TYPES, "timestamp": pa.string(), "date": pa.string()}
"""How the API writes the values of a column."""
_ENDS_OF_TIME = ("0001-01-01", "9999-12-31")
_has_volatile = re.compile(rb'"(?:big_url|thumbnail_url|api_token)"').search
"""Finds what is signed anew with each answer, so that equal records would differ in it."""


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
    speaks_so = "title" in record and "name" not in record
    if speaks_so:
        record = {("name" if k == "title" else k): v for k, v in record.items()}
    owners = record.get("owners")
    if isinstance(owners, list):
        owner_ids = [o["user_id"] for o in owners if isinstance(o, dict) and "user_id" in o]
        if owner_ids or (speaks_so and not owners):
            record = {k: v for k, v in record.items() if k != "owners"} | {"owner_ids": owner_ids}
    return record


def row_id(record: Record) -> str:
    """The `_dlt_id` of a record's row: equal records have equal ones, so a change is told by it.

    That a record came from an archive is a difference, from which file is none.
    """
    if "_source" in record:
        record = {**record, "_source": ""}
    text = json.dumpb(record, sort_keys=True)
    if _has_volatile(text):
        text = json.dumpb(without_secrets(record), sort_keys=True)
    return hashlib.blake2b(text, digest_size=12).hexdigest()


def is_key(value: Any) -> bool:
    """Whether a value can tell a row from others: a text, or a number that a column holds."""
    if isinstance(value, int) and not isinstance(value, bool):
        return -(2**63) <= value < 2**63
    return isinstance(value, str)


def days_of(container: Record) -> list[Record]:
    """The rows of a `daily_history_container`, one record a day, by the names in its header."""
    header = [str(name) for name in container.get("header") or ()]
    return [dict(zip(header, day, strict=False)) for day in container.get("data") or ()]


def count_rows(table: Table, record: Record, counted: Counter[str]) -> None:
    """Adds the rows that a record brings to its table and to those nested in it, by their names."""
    counted[table.name] += 1
    for name, nested in table.nested.items():
        values = record.get(name)
        if not values or not isinstance(values, list):
            continue
        if not nested.nested:
            counted[nested.name] += len(values) - values.count(None)
            continue
        for value in values:
            if isinstance(value, dict):
                count_rows(nested, value, counted)
            elif value is not None:
                counted[nested.name] += 1


class Batch:
    """Rows of a table and of those nested in it, gathered over pages until they are worth writing.

    Args:
        table: The table that the records belong to.
        load_id: The load package that the rows will say they came with.
        loaded: What the destination holds.
        metrics: Of a resource, to which it adds what was `written`, by table, and what became of
            the nested rows, in `rows_of`: see `NestedRows`.
    """

    def __init__(self, table: Table, load_id: str, loaded: Loaded, metrics: dict[str, Any]) -> None:
        self.table = table
        self.load_id = load_id
        self._nested = list(table.family())[1:]
        self._rows: dict[str, list[Row]] = {member.name: [] for member in table.family()}
        self._lists = {member.name: RowLists(member) for member in self._nested}
        """Nested rows of records that replace none, as far as they are still in lists."""
        self.written: Counter[str] = metrics.setdefault("written", Counter())
        """How many rows of each table have been handed to dlt; those that delete do not count."""
        self._nested_rows = NestedRows(
            table, loaded, metrics.setdefault("rows_of", {}), self._arrow
        )
        self._replaces = False
        self._undeclared: set[str] = set()

    def __len__(self) -> int:
        """How many records it holds."""
        return len(self._rows[self.table.name])

    def rows(self, name: str) -> list[Row]:
        """The rows of a table so far.

        Each has `_dlt_id`, each nested one `_dlt_parent_id` and `_dlt_list_idx` too, and the ids
        that its parents hand down.
        """
        lists = self._lists.get(name)
        return [*self._rows[name], *(lists.rows() if lists is not None else ())]

    def add(self, record: Record, *, replaces: bool = False) -> None:
        """Adds the rows that a record brings.

        Args:
            record: In the API's shape, with its key; it is not changed.
            replaces: Whether it takes the place of one in the destination, whose nested rows go.
        """
        before = self._lengths() if replaces else {}
        self._replaces = replaces
        self._add(self.table, record, {}, {"_dlt_id": row_id(record)})
        if replaces:
            self._nested_rows.replace(self._handed_down(record))
        for member, length in before.items():
            if length == len(self._rows[member.name]):
                self._mark_deleted(member, self._handed_down(record))

    def remove(self, record: Record) -> None:
        """Has the row of a record, of which only the key matters, and its nested rows deleted."""
        self._mark_deleted(self.table, record)
        self._nested_rows.replace(self._handed_down(record))
        for member in self._nested:
            self._mark_deleted(member, self._handed_down(record))

    def _lengths(self) -> dict[Table, int]:
        return {member: len(self._rows[member.name]) for member in self._nested}

    def _handed_down(self, record: Record) -> Row:
        return {new: record.get(old) for old, new in self.table.hands_down.items()}

    def _mark_deleted(self, table: Table, ids: Row) -> None:
        """A row that takes those of its key, or of its parent, out of the destination."""
        name = ":".join(str(value) for value in ids.values())
        none: Row = {
            column: "" if table.columns.get(column) == "text" else 0
            for column in (*table.key, "_dlt_list_idx")
        }
        if table is self.table:
            ids = {column: ids.get(column) for column in table.key}
            none.pop("_dlt_list_idx")
        else:
            none["_dlt_parent_id"] = ""
        row_key = {"_dlt_id": f"deleted:{name}", "_deleted": True}
        told = {column: value for column, value in ids.items() if value is not None}
        self._rows[table.name].append({**none, **told, **row_key})

    def _add(self, table: Table, record: Record, ids: Row, keys: Row) -> None:
        row = merged(ids, record, keys)
        lists: list[tuple[Table, list[Any]]] = []
        for name in sorted(record.keys() - table.plain_columns):
            value = row.pop(name)
            if name in NEVER_LOADED or name == "_deleted":
                # which would have dlt delete the row
                continue
            nested = table.nested.get(name)
            if nested is not None and isinstance(value, list):
                lists.append((nested, value))
            elif isinstance(value, dict) and name not in table.columns:
                self._flatten(table, row, name, value)
            else:
                self._set(table, row, name, value)
        self._rows[table.name].append(row)
        if lists:
            handed = {**ids, **{new: row.get(old) for old, new in table.hands_down.items()}}
            for nested, values in lists:
                self._add_nested(nested, values, handed, keys["_dlt_id"])

    def _add_nested(self, table: Table, values: list[Any], ids: Row, parent: str) -> None:
        # those that replace others are looked at one by one
        if not self._replaces and self._lists[table.name].take(values, ids, parent):
            return
        rows, plain_columns = self._rows[table.name], table.plain_columns
        for index, value in enumerate(values):
            if value is None:
                continue
            keys = keys_of(parent, index)
            if not isinstance(value, dict):
                rows.append(merged(ids, {"value": value}, keys))
            elif value.keys() <= plain_columns:
                rows.append(merged(ids, value, keys))
            else:
                self._add(table, value, ids, keys)

    def _flatten(self, table: Table, row: Row, prefix: str, value: dict[str, Any]) -> None:
        for name, inner in value.items():
            if name in NEVER_LOADED:
                continue
            if isinstance(inner, dict):
                self._flatten(table, row, f"{prefix}__{name}", inner)
            else:
                self._set(table, row, f"{prefix}__{name}", inner)

    def _set(self, table: Table, row: Row, name: str, value: Any) -> None:
        row[name] = without_secrets(value)
        if name not in table.columns:
            self._undeclared.add(table.name)

    def items(self) -> list[Any]:
        """What a resource yields for the rows so far, which are then forgotten.

        Returns:
            Arrow tables, or lists of rows, each marked with the name of its table. They are made at
            once: dlt may do other things between two of them, and rows take ten times the memory.
        """
        in_lists = {name: len(lists) for name, lists in self._lists.items()}
        self._nested_rows.count(self._rows, in_lists)
        items = [
            dlt.mark.with_table_name(self._item(member), member.name)
            for member in self.table.family()
            if self._rows[member.name] or in_lists.get(member.name)
        ]
        for name, rows in self._rows.items():
            written = sum("_deleted" not in row for row in rows) + in_lists.get(name, 0)
            if written:
                self.written[name] += written
            rows.clear()
        for lists in self._lists.values():
            lists.clear()
        self._undeclared.clear()
        return items

    def empty_items(self) -> Iterator[Any]:
        """An empty Arrow table for each table of the family, so that all of them exist."""
        self.written.update({member.name: 0 for member in self.table.family()})
        for member in self.table.family():
            item = self._arrow(member, [])
            yield dlt.mark.with_table_name(item, member.name)

    def _item(self, member: Table) -> Any:
        is_nested = member is not self.table
        if not member.json_columns and member.name not in self._undeclared:
            try:
                item = self._arrow(member, self._rows[member.name], self._lists.get(member.name))
                if not is_nested or not any(item[name].null_count for name in member.key):
                    return item
            except (pa.ArrowException, TypeError, ValueError, OverflowError):
                # a value of another type than declared, which dlt's normalizer has an answer to
                pass
        rows = self.rows(member.name)
        if is_nested:
            _complete_keys(member, rows)
        return [_as_dlt_takes_it(member, row) for row in rows]

    def _arrow(self, member: Table, rows: list[Row], lists: RowLists | None = None) -> pa.Table:
        handed_key = () if member is self.table else self.table.handed_key
        required = {*member.key, *handed_key, *_REQUIRED_KEYS}
        columns = self._columns(member)
        types = {name: _WRITTEN_TYPES[kind] for name, kind in columns.items()}
        parts = []
        if rows or not lists:
            arrays = arrays_of(rows, types)
            parts.append(_arrow_table(columns, required, arrays, len(rows), self.load_id))
        if lists:
            arrays = lists.arrays(types)
            parts.append(_arrow_table(columns, required, arrays, len(lists), self.load_id))
        return pa.concat_tables(parts)

    def _columns(self, member: Table) -> dict[str, ColumnType]:
        """The declared columns of a table that Arrow has a type for in order, dlt's keys last."""
        keys = _KEY_COLUMNS if member is self.table else _NESTED_KEY_COLUMNS
        declared = {name: kind for name, kind in member.columns.items() if kind != "json"}
        return {**declared, **keys}


def _complete_keys(table: Table, rows: list[Row]) -> None:
    """Gives nested rows that lack a usable part of their key their place in the list, negative.

    No column of a key takes null, and one such row would keep all others from being loaded.
    """
    for column in table.key:
        if not all(is_key(row.get(column)) for row in rows):
            is_number = table.columns.get(column) == "bigint"
            for row in rows:
                if not is_key(row.get(column)):
                    row[column] = -1 - row["_dlt_list_idx"] if is_number else ""


def _arrow_table(
    columns: dict[str, ColumnType],
    required: set[str],
    arrays: dict[str, pa.Array],
    length: int,
    load_id: str,
) -> pa.Table:
    fields, cast = [], []
    for name, kind in columns.items():
        if name == "_dlt_load_id":
            cast.append(pa.repeat(pa.scalar(load_id), length))
        elif name in arrays:
            cast.append(arrays[name].cast(_TYPES[kind]))
        else:
            cast.append(pa.nulls(length, _TYPES[kind]))
        fields.append(pa.field(name, _TYPES[kind], nullable=name not in required))
    return pa.Table.from_arrays(cast, schema=pa.schema(fields))


def _as_dlt_takes_it(table: Table, row: Row) -> Row:
    """The row as dlt's normalizer takes it, which ends at what is beyond all numbers or times.

    Such values are texts in a column beside, where dlt itself puts a value of another type.
    """
    fitting: Row = {}
    for name, value in row.items():
        kind = table.columns.get(name)
        try:
            fitting[name] = _in_range(kind, value)
        except (OverflowError, OSError, ValueError):
            fitting[f"{name}__v_text"] = str(value)
    return fitting


def _in_range(kind: ColumnType | None, value: Any) -> Any:
    """The value for a column, undeclared if it has no type; integer times are milliseconds.

    Raises:
        ValueError: It is beyond what the column holds; so are the other two that Python has.
    """
    if kind == "timestamp" and isinstance(value, int):
        return datetime.fromtimestamp(value / 1000, UTC)
    if kind == "bigint" or (kind is None and isinstance(value, int)):
        number = _as_dlt_has_it("bigint", value)
        if number is not None and not -(2**63) <= number < 2**63:
            raise ValueError(value)
    elif kind == "timestamp":
        _as_dlt_has_it(kind, value)
    if kind != "text" and isinstance(value, str) and value.startswith(_ENDS_OF_TIME):
        return _within_time(value)
    return without_secrets(value)


def _as_dlt_has_it(kind: ColumnType, value: Any) -> Any:
    """What dlt makes of a value of another type; None where it is none, to which it has an answer.

    Raises:
        OverflowError: It has none to this one; so does the other that Python has.
    """
    try:
        return coerce_value(kind, py_type_to_sc_type(type(value)), value)
    except (ValueError, TypeError):
        return None


def _within_time(text: str) -> str:
    """A time of the first or the last day as itself, or as that end where UTC has it beyond."""
    try:
        datetime.fromisoformat(text).astimezone(UTC)
    except OverflowError:
        end = datetime.min if text.startswith(_ENDS_OF_TIME[0]) else datetime.max
        return end.replace(tzinfo=UTC).isoformat()
    except ValueError:
        return text
    return text
