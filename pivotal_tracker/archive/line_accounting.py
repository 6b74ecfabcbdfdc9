"""Count the rows of one file, with the line being read."""

from __future__ import annotations

from ..records import Record
from .accounting import LoadAccounting
from .format import ArchiveRecord

_MAX_SHOWN = 60


class LineAccounting:
    """Counts the rows of one file, line by line.

    Args:
        accounting: Receives the counts.
        source: The name of the file.

    Attributes:
        line: The number of the last line of the row being read.
    """

    def __init__(self, accounting: LoadAccounting, source: str) -> None:
        self.source = source
        self.line = 0
        self._accounting = accounting
        self._read_rows = accounting.read_rows

    def add_record(self, table: str, record: Record) -> ArchiveRecord:
        """Count a record as read, and return it with its file."""
        self._read_rows[self.source, table] += 1
        return ArchiveRecord(table, record, self.source)

    def decide(self) -> None:
        """Decide which of the records yielded so far are loaded."""
        self._accounting.decide()

    def read(self, table: str, rows: int) -> None:
        """Count nested rows as read."""
        if rows:
            self._read_rows[self.source, table] += rows

    def leave_out(self, table: str, reason: str, text: str, rows: int = 1) -> None:
        """Count rows as left out.

        Args:
            table: Their table.
            reason: Why they are left out.
            text: An excerpt to find them by.
            rows: The number of rows.
        """
        self._accounting.leave_out(self.source, table, reason, self._where(text), rows)

    def reject_row(self, table: str, reason: str, text: str) -> None:
        """Count a row that cannot be read; its file counts as incomplete."""
        self._accounting.reject_row(self.source, table, reason, self._where(text))

    def assume(self, table: str, assumption: str) -> None:
        """Record an assumption that was made to read the file; nothing if it is empty."""
        if assumption:
            self._accounting.assumptions[self.source, table] = assumption

    def drop_value(self, table: str, reason: str, text: str, values: int = 1) -> None:
        """Count values that the loaded row lacks; the text is an excerpt to find them by."""
        self._accounting.drop_value(self.source, table, reason, self._where(text), values)

    def _where(self, text: str) -> str:
        return f"line {self.line:,}: {text[:_MAX_SHOWN]!r}"
