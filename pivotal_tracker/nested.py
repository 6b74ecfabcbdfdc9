"""Counts what became of nested rows, which are written anew wherever their record has changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import pyarrow as pa

from .loaded import Loaded
from .tables import Table

Row = dict[str, Any]
Values = tuple[Any, ...]

MOST_COMPARED = 5_000
"""The nested rows of so many changed or deleted records are compared with those that were there; of
more it is only told how many were written."""


class NestedRows:
    """What became of the rows that are nested in a table's records.

    Args:
        table: The table of the records.
        loaded: What the destination holds.
        counts: Takes, by nested table, how many rows were `new`, `changed`, `deleted`, though
            written anew `unchanged`, and `not_compared`.
        typed: Gives rows of a nested table in the types in which the destination holds them.
    """

    def __init__(
        self,
        table: Table,
        loaded: Loaded,
        counts: dict[str, Counter[str]],
        typed: Callable[[Table, list[Row]], pa.Table],
    ) -> None:
        self._members = list(table.family())[1:]
        self._parent = table.handed_key
        self._loaded = loaded
        self._counts = counts
        self._typed = typed
        self._replaced: set[Values] = set()
        self._compared = 0

    def replace(self, parent: Row) -> None:
        """Notes that the nested rows of a record, told by what it hands down, leave."""
        self._replaced.add(_values(parent, self._parent))

    def count(self, rows: dict[str, list[Row]], of_new: dict[str, int]) -> None:
        """Counts the rows that are about to be written, and drops those that delete nothing.

        Args:
            rows: By table, those that delete among them.
            of_new: How many more there are, of new records.
        """
        self._compared += len(self._replaced)
        for member in self._members:
            written = rows[member.name]
            if self._replaced:
                written = [row for row in written if "_deleted" not in row]
            counter = self._counts.setdefault(member.name, Counter())
            counter["new"] += of_new[member.name]
            if self._compared > MOST_COMPARED:
                counter["not_compared"] += len(written)
            elif self._replaced:
                there = self._there(member)
                counter.update(self._compared_with_before(member, written, there))
                held = {_values(row, self._parent) for row in there}
                # each table that is written to takes its time, with one row or with many
                rows[member.name] = [
                    row
                    for row in rows[member.name]
                    if "_deleted" not in row or _values(row, self._parent) in held
                ]
            else:
                counter["new"] += len(written)
        self._replaced.clear()

    def _compared_with_before(
        self, member: Table, written: list[Row], there: list[Row]
    ) -> Counter[str]:
        replacing = [row for row in written if _values(row, self._parent) in self._replaced]
        identity = (*self._parent, *member.key)
        plain = self._plain_columns(member)
        left = {_values(row, identity): row for row in there}
        counts = Counter(new=len(written) - len(replacing))
        for row, typed in zip(replacing, self._in_types(member, replacing), strict=True):
            before = left.pop(_values(row, identity), None)
            if before is None:
                counts["new"] += 1
            elif all(before[name] == typed.get(name) for name in plain):
                counts["unchanged"] += 1
            else:
                counts["changed"] += 1
        counts["deleted"] += len(left)
        return counts

    def _plain_columns(self, member: Table) -> list[str]:
        known = self._loaded.columns(member.name)
        return [name for name in known if name in member.plain_columns]

    def _there(self, member: Table) -> list[Row]:
        """The rows of the replaced records that the destination holds."""
        names = list(dict.fromkeys((*self._parent, *member.key, *self._plain_columns(member))))
        first, *_ = self._parent
        parents = {values[0] for values in self._replaced}
        rows = self._loaded.rows(member.name, names, first, parents)
        found = [dict(zip(names, row, strict=True)) for row in rows]
        return [row for row in found if _values(row, self._parent) in self._replaced]

    def _in_types(self, member: Table, rows: list[Row]) -> list[Row]:
        try:
            typed: list[Row] = self._typed(member, rows).to_pylist()
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            # a value of another type than declared: whatever was there, it is another now
            return [{} for _ in rows]
        return typed


def _values(row: Row, columns: Iterable[str]) -> Values:
    return tuple(row.get(name) for name in columns)
