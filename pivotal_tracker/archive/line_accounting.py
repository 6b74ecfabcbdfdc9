"""Counting the rows of one file, with the line that is being read."""

from __future__ import annotations

from .accounting import LoadAccounting
from .format import ArchiveRecord, Record

_SHOWN = 60


class LineAccounting:
    """Counts what one file holds, line by line.

    Args:
        accounting: Takes the counts.
        source: The file.

    Attributes:
        line: Where the row ends that is being read.
    """

    def __init__(self, accounting: LoadAccounting, source: str) -> None:
        self.source = source
        self.line = 0
        self._accounting = accounting
        self._read_rows = accounting.read_rows

    def found(self, table: str, record: Record) -> ArchiveRecord:
        """Counts a record, and says where it is from."""
        self._read_rows[self.source, table] += 1
        return ArchiveRecord(table, record, self.source)

    def decide(self) -> None:
        """Has it decided which of the records that were given so far are loaded."""
        self._accounting.decide()

    def read(self, table: str, rows: int) -> None:
        """Counts nested rows."""
        if rows:
            self._read_rows[self.source, table] += rows

    def leave_out(self, table: str, reason: str, text: str, rows: int = 1) -> None:
        """Counts rows that will not be loaded; the text says which."""
        self._accounting.leave_out(self.source, table, reason, self._where(text), rows)

    def reject_row(self, table: str, reason: str, text: str) -> None:
        """Counts a row that could not be read, whose file is not loaded as a whole then."""
        self._accounting.read(self.source, table)
        self._accounting.leave_out(self.source, table, reason, self._where(text))
        self._accounting.unreadable[self.source] += 1

    def assume(self, table: str, assumption: str) -> None:
        """Names an assumption by which the file was read."""
        if assumption:
            self._accounting.assume(self.source, table, assumption)

    def drop_value(self, table: str, reason: str, text: str, values: int = 1) -> None:
        """Counts values that the loaded row will lack; the text says which."""
        self._accounting.drop_value(self.source, table, reason, self._where(text), values)

    def _where(self, text: str) -> str:
        return f"line {self.line:,}: {text[:_SHOWN]!r}"
