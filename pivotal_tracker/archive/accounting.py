"""What became of the rows of an archive, by file and table: nothing is lost without a word."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass
class Rejection:
    """Rows that were left out for one reason.

    Attributes:
        rows: How many.
        where: The first of them: a line, a record, a name.
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
        """Rows of which nothing was said: 0 where all is well."""
        return self.read - self.loaded - self.left_out


@dataclass
class LoadAccounting:
    """Counts rows read, loaded and left out; in the end read = loaded + left out.

    A row is a row of a table: a comment in a cell is one row of `stories__comments`.
    """

    decide: Callable[[], None] = lambda: None
    """Decides which of the records that were given so far are loaded: `is_rejected` of each is
    final then. Called before what they tell of others is given."""

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
    """Values, not rows, by file, table and reason: their rows are loaded without them."""

    failures: dict[str, str] = field(default_factory=dict)
    """Files that could not be read to their end, with the reason."""

    unreadable: Counter[str] = field(default_factory=Counter)
    """Rows that were left out because they could not be read, by file."""

    assumptions: dict[tuple[str, str], str] = field(default_factory=dict)
    """What was assumed to read a file without evidence, by file and table."""

    @property
    def incomplete(self) -> dict[str, str]:
        """The files that could not be read as a whole, with the reason."""
        rows = {
            source: f"{count:,} {'row' if count == 1 else 'rows'} could not be read"
            for source, count in self.unreadable.items()
        }
        return rows | self.failures

    def assume(self, source: str, table: str, assumption: str) -> None:
        """Names an assumption by which values of a file were read."""
        self.assumptions[source, table] = assumption

    def read(self, source: str, table: str, rows: int = 1) -> None:
        """Counts rows that a file holds."""
        self.read_rows[source, table] += rows

    def loaded(self, source: str, table: str, rows: int = 1) -> None:
        """Counts rows that the destination holds now."""
        self.loaded_rows[source, table] += rows

    def leave_out(self, source: str, table: str, reason: str, where: str, rows: int = 1) -> None:
        """Counts rows that a file holds and the destination will not, for a reason."""
        noted = self.left_out[source, table, reason]
        noted.rows += rows
        noted.where = noted.where or where

    def drop_value(self, source: str, table: str, reason: str, where: str, values: int = 1) -> None:
        """Counts values that a file holds and the loaded row does not, or not as it was."""
        noted = self.lost_values[source, table, reason]
        noted.rows += values
        noted.where = noted.where or where

    def totals(self) -> dict[tuple[str, str], RowTotals]:
        """The counts of each file and table."""
        left_out = Counter[tuple[str, str]]()
        for (source, table, _), noted in self.left_out.items():
            left_out[source, table] += noted.rows
        return {
            kind: RowTotals(self.read_rows[kind], self.loaded_rows[kind], left_out[kind])
            for kind in sorted({*self.read_rows, *self.loaded_rows, *left_out})
        }
