"""Rows that belong to others, read in the same order beside them: no more than needed is held."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ...format import Record
from .sqlite import BROKEN_DATABASE

VALUE = "value"
"""What a row is called that is an id and nothing else."""


class ChildRowCursor:
    """Rows in the order of what they belong to, given out as that comes by in the same order.

    Args:
        rows: In the order of the keys.
        key: The columns of the key, which are not given out.
        orphan: Is told of rows to which nothing came.
        failures: Is told of the error that ended the rows before their time.
    """

    def __init__(
        self,
        rows: Iterator[Record],
        key: tuple[str, ...],
        orphan: Callable[[Record], None],
        failures: Callable[[Exception], None],
    ) -> None:
        self._rows = rows
        self._key = key
        self._orphan = orphan
        self._broken = failures
        self._next = self._following()

    def of(self, key: tuple[int, ...]) -> Iterator[Any]:
        """Those of one parent; every key asked for is higher than the one before."""
        while self._next and self._next[0] <= key:
            its_key, row = self._next
            self._next = self._following()
            if its_key == key:
                yield row.get(VALUE, row)
            else:
                self._orphan(row)

    def rest(self) -> None:
        """Those after the last parent are orphans too."""
        while self._next:
            self._orphan(self._next[1])
            self._next = self._following()

    def _following(self) -> tuple[tuple[int, ...], Record] | None:
        try:
            for row in self._rows:
                key = tuple(row.pop(name, None) for name in self._key)
                if all(isinstance(part, int) for part in key):
                    return key, row
                self._orphan(row)
        except BROKEN_DATABASE as error:
            self._broken(error)
        return None
