"""The rows of nested tables while they are still the lists that they came in.

Most nested rows are the objects of a list as they are, with keys and ids beside. A row of its own
for each takes longer than all else that is done with it; here the keys and ids are made column by
column, for many lists at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate, chain
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from .tables import Table

Row = dict[str, Any]


class RowLists:
    """The lists of one nested table whose elements fit its columns.

    Args:
        table: The nested table.
    """

    def __init__(self, table: Table) -> None:
        self._of_values = table.of_values
        self._columns = table.plain_columns
        self._lists: list[tuple[list[Any], Row, str]] = []
        self._length = 0

    def __len__(self) -> int:
        """How many rows there are in all lists."""
        return self._length

    def take(self, values: list[Any], ids: Row, parent: str) -> bool:
        """Takes a list in, unless some of it does not fit the columns, or is none.

        Args:
            values: The list as the API gives it; it is not changed.
            ids: What the parents hand down to each row.
            parent: The `_dlt_id` of the parent's row.

        Returns:
            Whether it was taken.
        """
        columns = self._columns
        if self._of_values:
            fits = all(isinstance(value, int) for value in values)
        else:
            fits = all(isinstance(value, dict) and value.keys() <= columns for value in values)
        if fits and values:
            self._lists.append((values, ids, parent))
            self._length += len(values)
        return fits

    def rows(self) -> Iterator[Row]:
        """All rows, each by itself."""
        for values, ids, parent in self._lists:
            for index, value in enumerate(values):
                told = {"value": value} if self._of_values else value
                yield merged(ids, told, keys_of(parent, index))

    def arrays(self, types: dict[str, pa.DataType]) -> dict[str, pa.Array]:
        """The columns of all rows, but for those in which no row has anything.

        Args:
            types: Of the columns that are wanted.

        Raises:
            pa.ArrowException: A value is of another type; so are the others that Arrow has.
        """
        values = list(chain.from_iterable(values for values, _, _ in self._lists))
        own = [{"value": value} for value in values] if self._of_values else values
        arrays = arrays_of(own, types)
        ends = accumulate((len(values) for values, _, _ in self._lists), initial=0)
        starts = pa.array(ends, pa.int32())
        lists = pa.ListArray.from_arrays(starts, pa.nulls(len(values)))
        of_list = pc.list_parent_indices(lists)
        for name in set[str]().union(*(ids for _, ids, _ in self._lists)):
            ids = pa.array([ids.get(name) for _, ids, _ in self._lists], types[name]).take(of_list)
            arrays[name] = pc.coalesce(arrays[name], ids) if name in arrays else ids
        parents = pa.array([parent for _, _, parent in self._lists]).take(of_list)
        indexes = pc.subtract(pa.array(range(len(values))), starts.take(of_list))
        arrays["_dlt_parent_id"] = parents
        arrays["_dlt_list_idx"] = indexes
        arrays["_dlt_id"] = pc.binary_join_element_wise(parents, indexes.cast(pa.string()), ".")
        return arrays

    def clear(self) -> None:
        """Forgets them."""
        self._lists.clear()
        self._length = 0


def arrays_of(rows: list[Row], types: dict[str, pa.DataType]) -> dict[str, pa.Array]:
    """The columns of rows, but for those in which no row has anything.

    Args:
        rows: Each with the columns that it has.
        types: Of the columns that are wanted.

    Raises:
        pa.ArrowException: A value is of another type; so are the others that Arrow has.
    """
    # columns that no row has cost as much to look for as others, and there are many
    met = set[str]().union(*rows)
    told = [name for name in types if name in met]
    struct = pa.struct([(name, types[name]) for name in told])
    return dict(zip(told, pa.array(rows, struct).flatten(), strict=True))


def keys_of(parent: str, index: int) -> Row:
    """The keys by which dlt knows a nested row.

    Args:
        parent: The `_dlt_id` of its parent's row.
        index: Its place in the list.
    """
    return {"_dlt_parent_id": parent, "_dlt_list_idx": index, "_dlt_id": f"{parent}.{index}"}


def merged(ids: Row, told: Row, keys: Row) -> Row:
    """A row of what its parents hand down, what it says itself, and dlt's keys.

    What it says goes before an id that is handed down, unless it only says that there is none.
    """
    row = {**ids, **told, **keys}
    for name, handed in ids.items():
        if row[name] is None:
            row[name] = handed
    return row
