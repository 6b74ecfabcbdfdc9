"""Convert records that do not fit Arrow tables to flat rows, one by one.

A record with an undeclared attribute, or a value of another type, is converted to dicts for dlt's
normalizer, which lets the schema evolve. Both ways give the same tables.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any

from dlt.common.data_types import coerce_value, py_type_to_sc_type
from dlt.common.normalizers.naming.snake_case import NamingConvention

from ..records import Record, is_key, without_secrets
from ..settings import SECRET_ATTRIBUTES
from ..tables import ColumnType, Table

Row = dict[str, Any]
"""A row of a table: flat, except for JSON and undeclared values."""

_NAMING = NamingConvention()
DLT_COLUMNS = frozenset(
    {"_dlt_id", "_dlt_load_id", "_dlt_parent_id", "_dlt_root_id", "_dlt_list_idx", "_deleted"}
)
"""The columns that dlt uses itself."""

UNDECLARED = "_undeclared"
"""The JSON column of the attributes beyond the limit of new columns, by their names."""

_MIN_TIME, _MAX_TIME = "0001-01-01", "9999-12-31"


class RejectedError(Exception):
    """The rows of a record cannot be loaded."""


class RowBuilder:
    """Build the rows of a table and of its child tables from records, one by one.

    Attributes:
        rows: The rows so far, by table. Each has `_dlt_id`; each row of a child table also has
            `_dlt_parent_id`, `_dlt_list_idx` and the ids of its parents.

    Args:
        table: The table that the records belong to.
        limited: Moves attributes beyond the limit of new columns of a row into one column.
    """

    def __init__(self, table: Table, limited: Callable[[Table, Row], Row] | None = None) -> None:
        self.table = table
        self._limited = limited or (lambda _, row: row)
        self.rows: dict[str, list[Row]] = {member.name: [] for member in table.family()}

    def add(self, record: Record, record_id: str) -> None:
        """Add the rows of a record, which is not changed.

        Args:
            record: As the API sends it, with its key.
            record_id: The `_dlt_id` of its row.
        """
        self._add(self.table, record, {}, {"_dlt_id": record_id})

    def add_children(self, record: Record, record_id: str, attribute: str) -> None:
        """Add only the rows of one list of a record.

        Args:
            record: As the API sends it, with its key.
            record_id: The `_dlt_id` of its row.
            attribute: The name of the list.
        """
        values = record.get(attribute)
        if isinstance(values, list):
            child, ids = self.table.nested[attribute], inherited_ids(self.table, record)
            self._add_list(child, values, ids, record_id)

    def items(self) -> dict[str, list[Row]]:
        """Return the rows for dlt's normalizer by table, without empty tables.

        Raises:
            RejectedError: A part of a child row's key has a value that is not a valid key.
        """
        for member in self.table.family():
            rows = [
                self._limited(member, _with_own_names(member, row))
                for row in self.rows[member.name]
            ]
            self.rows[member.name] = rows
            if member is not self.table:
                _fill_missing_keys(member, rows)
        return {
            member.name: [_coerce_row(member, row) for row in self.rows[member.name]]
            for member in self.table.family()
            if self.rows[member.name]
        }

    def _add(self, table: Table, record: Record, ids: Row, keys: Row) -> None:
        row = _merged_row(ids, record, keys)
        lists: list[tuple[Table, list[Any]]] = []
        for name in sorted(record.keys() - table.non_json_columns):
            value = row.pop(name)
            if name in SECRET_ATTRIBUTES:
                continue
            if name in DLT_COLUMNS:
                # dlt would delete a row because of a server's `_deleted`
                row[f"x_{name}"] = without_secrets(record[name])
                if name in keys:
                    row[name] = value
                continue
            child = table.nested.get(name)
            if child is not None and isinstance(value, list):
                lists.append((child, value))
            elif isinstance(value, dict) and name not in table.columns:
                _flatten(row, name, value)
            else:
                row[name] = without_secrets(value)
        self.rows[table.name].append(row)
        if lists:
            inherited = {**ids, **inherited_ids(table, row)}
            for child, values in lists:
                self._add_list(child, values, inherited, keys["_dlt_id"])

    def _add_list(self, table: Table, values: list[Any], ids: Row, parent_id: str) -> None:
        for index, value in enumerate(values):
            if value is not None:
                record = value if isinstance(value, dict) else {"value": value}
                keys = {
                    "_dlt_parent_id": parent_id,
                    "_dlt_list_idx": index,
                    "_dlt_id": f"{parent_id}.{index}",
                }
                self._add(table, record, ids, keys)


def inherited_ids(table: Table, record: Record) -> Row:
    """Return the ids that a record's child rows inherit, by column."""
    return {column: record.get(name) for name, column in table.inherited_columns.items()}


def _merged_row(ids: Row, record: Record, keys: Row) -> Row:
    """Merge inherited ids, the record, and dlt's keys.

    A value of the record wins over an inherited id, unless it is null.
    """
    row = {**ids, **record, **keys}
    for name, inherited in ids.items():
        if row[name] is None:
            row[name] = inherited
    return row


def _flatten(row: Row, prefix: str, value: Record) -> None:
    for name, inner in value.items():
        if name in SECRET_ATTRIBUTES:
            continue
        if isinstance(inner, dict):
            _flatten(row, f"{prefix}__{name}", inner)
        else:
            row[f"{prefix}__{name}"] = without_secrets(inner)


def _fill_missing_keys(table: Table, rows: list[Row]) -> None:
    """Replace missing parts of child rows' keys by the position in the list, as a negative number.

    A key column cannot be null: one such row would fail the whole load.

    Raises:
        RejectedError: A row has a value that is not a valid key.
    """
    for column in table.key:
        kind = table.columns.get(column)
        for row in rows:
            value = row.get(column)
            if is_key(value, kind):
                continue
            if value is not None:
                raise RejectedError(
                    f"{column} of a row of {table.name} is {str(value)[:40]!r}, which is no key"
                )
            row[column] = -1 - row["_dlt_list_idx"] if kind == "bigint" else ""


@cache
def declared_names(table: Table) -> frozenset[str]:
    """Return the names in rows of a table that are not new columns."""
    return frozenset({*table.columns, *table.nested, *DLT_COLUMNS, UNDECLARED})


def _with_own_names(table: Table, row: Row) -> Row:
    """Rename undeclared attributes that dlt would write into a declared column or its own.

    dlt converts `projectId` to `project_id`, and one of the two would overwrite the other.
    """
    taken = declared_names(table)
    if row.keys() <= taken:
        return row
    renamed: Row = {}
    for name, value in row.items():
        spelled = name if name in taken else _NAMING.normalize_path(name)
        while (spelled in taken and spelled != name) or spelled in renamed:
            spelled = f"x_{spelled}"
        renamed[spelled] = value
    return renamed


def _coerce_row(table: Table, row: Row) -> Row:
    """Move values that do not fit their column into an extra column, as texts.

    dlt writes values of another type into such columns, but fails for numbers and times out of
    range.
    """
    fitting: Row = {}
    kinds = table.columns
    for name, value in row.items():
        kind = kinds.get(name)
        if value is None or (kind == "text" and type(value) is str) or name in DLT_COLUMNS:
            fitting[name] = value
            continue
        try:
            fitting[name] = _coerce_value(kind, value)
        except (OverflowError, OSError, ValueError):
            fitting[f"{name}__v_text"] = str(value)
    return fitting


def _coerce_value(kind: ColumnType | None, value: Any) -> Any:
    """Convert a value for a column; without a type it is undeclared. Integer times are in ms.

    Raises:
        ValueError: It is out of the column's range; also OverflowError and OSError.
    """
    if kind == "bigint" and type(value) is int and abs(value) < 2**63:
        return value
    if kind == "timestamp" and isinstance(value, int):
        return datetime.fromtimestamp(value / 1000, UTC)
    if kind == "bigint" or (kind is None and isinstance(value, int)):
        number = _coerced("bigint", value)
        if number is not None and not -(2**63) <= number < 2**63:
            raise ValueError(value)
    elif kind == "timestamp":
        _coerced(kind, value)
    if kind != "text" and isinstance(value, str) and value.startswith((_MIN_TIME, _MAX_TIME)):
        return _clamp_timestamp(value)
    return without_secrets(value)


def _coerced(kind: ColumnType, value: Any) -> Any:
    """Return a value converted by dlt; None if dlt would write it into an extra column.

    Raises:
        OverflowError: dlt fails for it.
    """
    try:
        return coerce_value(kind, py_type_to_sc_type(type(value)), value)
    except (ValueError, TypeError):
        return None


def _clamp_timestamp(text: str) -> str:
    """Return a time; if it is out of range in UTC, the first or the last possible time."""
    try:
        datetime.fromisoformat(text).astimezone(UTC)
    except OverflowError:
        end = datetime.min if text.startswith(_MIN_TIME) else datetime.max
        return end.replace(tzinfo=UTC).isoformat()
    except ValueError:
        return text
    return text
