"""Limit the number of columns and tables for undeclared attributes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from dlt.common.schema import Schema

from ..tables import Table
from .rows import DLT_COLUMNS, UNDECLARED, Row, declared_names

MAX_TABLE_NAME = 120
"""Longer table names, for lists in lists, are too long for dlt's file names."""

_VARIANT = "__v_"
"""Part of the names of dlt's extra columns for values of another type."""


class NewColumns:
    """Limit how many undeclared attributes of each table get a column, or a table, of their own.

    Attributes that have one from earlier runs count.

    Args:
        schema: dlt's schema of the tables.
        tables: The table of the records and its child tables.
        limit: The maximum number of attributes of each table.
    """

    def __init__(self, schema: Schema, tables: Iterable[Table], limit: int) -> None:
        self._limit = limit
        self._schema = schema
        self._names: dict[str, set[str]] = {}
        for table in tables:
            prefix = f"{table.name}__"
            lists = {
                name.removeprefix(prefix).split("__")[0]
                for name in schema.tables
                if name.startswith(prefix)
            }
            self._names[table.name] = (self._columns(table.name) | lists) - declared_names(table)

    def limited(self, table: Table, row: Row) -> Row:
        """Return the row with the attributes beyond the limit in the column `_undeclared`."""
        names = self._names[table.name]
        undeclared = sorted(row.keys() - declared_names(table))
        beyond = {
            name
            for name in undeclared
            if isinstance(row[name], list)
            and not self._admit_list(f"{table.name}__{name}", row[name])
        }
        for name in undeclared:
            if name not in beyond and name not in names:
                if len(names) < self._limit:
                    names.add(name)
                else:
                    beyond.add(name)
        if not beyond:
            return row
        kept = {name: value for name, value in row.items() if name not in beyond}
        return {**kept, UNDECLARED: {name: row[name] for name in sorted(beyond)}}

    def _admit_list(self, path: str, values: list[Any]) -> bool:
        """Check whether the tables that dlt would make for a list are within the limits."""
        columns: dict[str, set[str]] = {}
        for name, column in _columns_of_list(path, values):
            columns.setdefault(name, set()).update({column} - {""})
        for name, new in columns.items():
            if len(name) > MAX_TABLE_NAME:
                return False
            new |= self._names.setdefault(name, self._columns(name))
            if len(new) > self._limit:
                return False
        self._names |= columns
        return True

    def _columns(self, name: str) -> set[str]:
        """Return the attributes for which a table has columns."""
        columns = self._schema.tables.get(name, {}).get("columns", {})
        return set(filter(None, map(_own_name, columns)))


def _columns_of_list(path: str, values: list[Any]) -> Iterator[tuple[str, str]]:
    """Yield the tables that dlt makes for a list, each with a column, which may be empty."""
    yield path, ""
    for value in values:
        if isinstance(value, list):
            yield from _columns_of_list(f"{path}__list", value)
        elif isinstance(value, dict):
            yield from _columns_of_object(path, "", value)
        else:
            yield path, "value"


def _columns_of_object(path: str, prefix: str, value: Row) -> Iterator[tuple[str, str]]:
    for key, inner in value.items():
        name = f"{prefix}{key}"
        if isinstance(inner, list):
            yield from _columns_of_list(f"{path}__{name}", inner)
        elif isinstance(inner, dict):
            yield from _columns_of_object(path, f"{name}__", inner)
        else:
            yield path, name


def _own_name(column: str) -> str:
    """Return the attribute of a column; empty for dlt's own columns."""
    name = column.partition(_VARIANT)[0]
    return "" if name in DLT_COLUMNS or name.startswith("_dlt_") else name
