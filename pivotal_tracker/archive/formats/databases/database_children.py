"""Read child rows in the order of their parents, so that memory holds those of one parent only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ....records import Record
from .sqlite import BROKEN_DATABASE

VALUE = "value"
"""The column of a row that is only an id."""


class ChildRowCursor:
    """Yields the child rows of one parent after the other.

    Args:
        rows: The child rows, in the order of their parents' keys.
        key: The columns with the parent's key, which are removed from the rows.
        on_orphan: Called for each row without a parent.
        on_error: Called with the error that ended the rows too early.
    """

    def __init__(
        self,
        rows: Iterator[Record],
        key: tuple[str, ...],
        on_orphan: Callable[[Record], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        self._rows = rows
        self._key = key
        self._on_orphan = on_orphan
        self._on_error = on_error
        self._next = self._next_row()

    def of(self, key: tuple[int, ...]) -> Iterator[Any]:
        """Yield the rows of one parent; each call must have a higher key than the one before."""
        while self._next and self._next[0] <= key:
            its_key, row = self._next
            self._next = self._next_row()
            if its_key == key:
                yield row.get(VALUE, row)
            else:
                self._on_orphan(row)

    def rest(self) -> None:
        """Report the rows after the last parent as orphans."""
        while self._next:
            self._on_orphan(self._next[1])
            self._next = self._next_row()

    def _next_row(self) -> tuple[tuple[int, ...], Record] | None:
        try:
            for row in self._rows:
                key = tuple(row.pop(name, None) for name in self._key)
                if all(isinstance(part, int) for part in key):
                    return key, row
                self._on_orphan(row)
        except BROKEN_DATABASE as error:
            self._on_error(error)
        return None
