"""A tally that knows which file is read, and where in it the reading is."""

from __future__ import annotations

from .format import Found, Record
from .tally import Tally

_SHOWN = 60


class LineTally:
    """Counts what one file holds, line by line.

    Args:
        tally: Takes the counts.
        source: The file.

    Attributes:
        line: Where the row ends that is being read.
    """

    def __init__(self, tally: Tally, source: str) -> None:
        self.source = source
        self.line = 0
        self._tally = tally
        self._read_rows = tally.read_rows

    def found(self, table: str, record: Record) -> Found:
        """Counts a record, and says where it is from."""
        self._read_rows[self.source, table] += 1
        return Found(table, record, self.source)

    def decide(self) -> None:
        """Has it decided which of the records that were given so far are loaded."""
        self._tally.decide()

    def read(self, table: str, rows: int) -> None:
        """Counts nested rows."""
        if rows:
            self._read_rows[self.source, table] += rows

    def leave_out(self, table: str, reason: str, text: str, rows: int = 1) -> None:
        """Counts rows that will not be loaded; the text says which."""
        self._tally.leave_out(self.source, table, reason, self._where(text), rows)

    def reject_row(self, table: str, reason: str, text: str) -> None:
        """Counts a row that could not be read, whose file is not loaded as a whole then."""
        self._tally.read(self.source, table)
        self._tally.leave_out(self.source, table, reason, self._where(text))
        self._tally.unreadable[self.source] += 1

    def assume(self, table: str, assumption: str) -> None:
        """Names an assumption by which the file was read."""
        if assumption:
            self._tally.assume(self.source, table, assumption)

    def lose(self, table: str, reason: str, text: str, values: int = 1) -> None:
        """Counts values that the loaded row will lack; the text says which."""
        self._tally.lose(self.source, table, reason, self._where(text), values)

    def _where(self, text: str) -> str:
        return f"line {self.line:,}: {text[:_SHOWN]!r}"
