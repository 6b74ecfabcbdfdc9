"""The interface that each archive format implements."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from ..records import Record
from .accounting import LoadAccounting
from .files import Files

FILES = "files"
"""Used instead of a table's name to count files that are left out."""


@dataclass
class ArchiveRecord:
    """One record of an archive.

    Attributes:
        table: Its table: `stories`, `activity`, `people`, …
        record: The record as API v5 would return it, with its nested records; what the archive does
            not contain is absent. `_date_precision` is `day` if its times are only dates.
        source: The file that it came from, for the column `_source`.
        content: For `attachment_files`: opens the bytes of the file, while the archive is read.
        rows_from_other_files: The number of nested rows that came from other files than `source`,
            by file and table: for example, comments in a file beside that of the stories.
        is_rejected: Whether the record is not loaded; final after `LoadAccounting.decide`. Then
            nothing is derived from it.
        is_withdrawn: Whether only rejected records refer to this one, so that it is not loaded.
    """

    table: str
    record: Record
    source: str
    content: Callable[[], BinaryIO] | None = None
    rows_from_other_files: Mapping[tuple[str, str], int] = field(default_factory=dict)
    is_rejected: bool = False
    is_withdrawn: bool = False

    def rows_by_source(self, rows: Mapping[str, int]) -> Iterator[tuple[str, str, int]]:
        """Divide the record's rows among the files that they came from.

        Args:
            rows: The number of rows that the record has in each table.

        Yields:
            File, table and number of rows, without zeros.
        """
        left = dict(rows)
        for (source, table), count in self.rows_from_other_files.items():
            left[table] = left.get(table, 0) - count
            yield source, table, count
        yield from ((self.source, table, count) for table, count in left.items() if count)


class Format(Protocol):
    """One format: how it is recognized and read.

    Attributes:
        name: Its name in the load report.
        gives_people: Whether it yields a record for each person that its records name.
    """

    name: str
    gives_people: bool

    def recognizes(self, files: Files) -> bool:
        """Check whether files are of this format, reading as little as possible."""
        ...

    def claims(self, files: Files) -> Collection[str]:
        """Return the names of the files that belong to the archive."""
        ...

    def read(self, files: Files, accounting: LoadAccounting) -> Iterator[ArchiveRecord]:
        """Yield all records, file by file; memory does not grow with the archive.

        Args:
            files: The archive.
            accounting: Counts the rows read and left out, by file and table, including nested
                tables.

        Raises:
            ArchiveError: The rest of the archive cannot be read.
        """
        ...


@dataclass(frozen=True)
class Archive:
    """An archive whose format is known."""

    files: Files
    format: Format

    @property
    def name(self) -> str:
        """The name of the archive, without the folders that contain it."""
        return self.files.label

    def read(self, accounting: LoadAccounting) -> Iterator[ArchiveRecord]:
        """Yield all records: see `Format.read`; count the files that are not read as left out."""
        for name, reason in (self.files.refused | self.files.unclaimed).items():
            accounting.read(self.files.label, FILES)
            accounting.leave_out(self.files.label, FILES, reason, name)
        return self.format.read(self.files, accounting)
