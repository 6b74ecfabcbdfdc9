"""Count what happens to each row of an archive, by file and table, so that no loss is silent."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass
class Rejection:
    """Rows that were left out for the same reason.

    Attributes:
        rows: The number of rows.
        where: Where the first of them is: a line, a record, a name.
    """

    rows: int = 0
    where: str = ""


class RowTotals(NamedTuple):
    """Rows of one table in one file."""

    read: int
    loaded: int
    left_out: int

    @property
    def missing(self) -> int:
        """The number of rows that are neither loaded nor left out: 0 unless there is a bug."""
        return self.read - self.loaded - self.left_out


@dataclass
class LoadAccounting:
    """Counts of the rows read, loaded and left out; at the end, read = loaded + left out.

    A row is a row of a table: a comment in a CSV cell is one row of `stories__comments`.
    """

    decide: Callable[[], None] = lambda: None
    """Decides which of the records yielded so far are loaded, and sets `is_rejected` on the others.
    Called before records that are derived from them are yielded."""

    read_rows: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By file and table."""
    loaded_rows: Counter[tuple[str, str]] = field(default_factory=Counter)
    left_out: defaultdict[tuple[str, str, str], Rejection] = field(
        default_factory=lambda: defaultdict(Rejection)
    )
    """By file, table and reason."""

    lost_values: defaultdict[tuple[str, str, str], Rejection] = field(
        default_factory=lambda: defaultdict(Rejection)
    )
    """Dropped values (not rows), by file, table and reason: their rows are loaded without them."""

    failures: dict[str, str] = field(default_factory=dict)
    """The reason why a file could not be read to its end, by file."""

    unreadable: Counter[str] = field(default_factory=Counter)
    """The number of rows that could not be read, by file."""

    assumptions: dict[tuple[str, str], str] = field(default_factory=dict)
    """What was assumed without evidence to read a file, by file and table."""

    @property
    def incomplete(self) -> dict[str, str]:
        """The reason why a file could not be read completely, by file."""
        rows = {
            source: f"{count:,} {'row' if count == 1 else 'rows'} could not be read"
            for source, count in self.unreadable.items()
        }
        return rows | self.failures

    def read(self, source: str, table: str, rows: int = 1) -> None:
        """Count rows that a file contains."""
        self.read_rows[source, table] += rows

    def loaded(self, source: str, table: str, rows: int = 1) -> None:
        """Count rows that were loaded."""
        self.loaded_rows[source, table] += rows

    def leave_out(self, source: str, table: str, reason: str, where: str, rows: int = 1) -> None:
        """Count rows that are not loaded, with the reason."""
        rejection = self.left_out[source, table, reason]
        rejection.rows += rows
        rejection.where = rejection.where or where

    def reject_row(self, source: str, table: str, reason: str, where: str) -> None:
        """Count a row that cannot be read; its file counts as incomplete (exit code 3)."""
        self.read(source, table)
        self.leave_out(source, table, reason, where)
        self.unreadable[source] += 1

    def drop_value(self, source: str, table: str, reason: str, where: str, values: int = 1) -> None:
        """Count values that are missing from the loaded row, or changed in it."""
        rejection = self.lost_values[source, table, reason]
        rejection.rows += values
        rejection.where = rejection.where or where

    def totals(self) -> dict[tuple[str, str], RowTotals]:
        """Return the counts of each file and table."""
        left_out = Counter[tuple[str, str]]()
        for (source, table, _), rejection in self.left_out.items():
            left_out[source, table] += rejection.rows
        return {
            kind: RowTotals(self.read_rows[kind], self.loaded_rows[kind], left_out[kind])
            for kind in sorted({*self.read_rows, *self.loaded_rows, *left_out})
        }
