"""What every format of archive has to offer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Protocol

from .accounting import LoadAccounting
from .files import Files

Record = dict[str, Any]

FILES = "files"
"""Stands for the table in an accounting, where whole files are left out."""


@dataclass
class ArchiveRecord:
    """One record that an archive holds.

    Attributes:
        table: The table that it belongs to: `stories`, `activity`, `people`, …
        record: In the API's shape, with everything nested in it that the archive knows; what it
            does not know is absent. `_date_precision` is `day` where its times are only dates.
        source: The file that it came from, for the column `_source`.
        content: For `attachment_files`: opens the bytes of the file, while the archive is read.
        elsewhere: How many of the record's nested rows came from another file than `source`, by
            that file and their table: comments that lie beside the stories, say.
        is_rejected: Whether the record is not loaded, final after `Tally.decide`: what it says of
            others does not count then.
        is_withdrawn: Whether only rejected records tell of this one, so that it is not loaded.
    """

    table: str
    record: Record
    source: str
    content: Callable[[], BinaryIO] | None = None
    elsewhere: Mapping[tuple[str, str], int] = field(default_factory=dict)
    is_rejected: bool = False
    is_withdrawn: bool = False

    def by_source(self, rows: Mapping[str, int]) -> Iterator[tuple[str, str, int]]:
        """Shares the record's rows out to the files they came from, for the accounting.

        Args:
            rows: How many rows the record brings to each table.

        Yields:
            File, table and the number of rows, where there are any.
        """
        left = dict(rows)
        for (source, table), count in self.elsewhere.items():
            left[table] = left.get(table, 0) - count
            yield source, table, count
        yield from ((self.source, table, count) for table, count in left.items() if count)


class Format(Protocol):
    """One format: how it is recognised, and how it is read.

    Attributes:
        name: As the load report calls it.
        signature: What is looked for, for the error that says nothing was found.
        may_contain_duplicates: Whether one record may come several times in one archive.
        gives_people: Whether it gives a record of everyone whom its records name.
    """

    name: str
    signature: str
    may_contain_duplicates: bool
    gives_people: bool

    def recognizes(self, files: Files) -> bool:
        """Whether files are of this format, told by as little of them as will do."""
        ...

    def claims(self, files: Files) -> Collection[str]:
        """The names of the files that are read, of those that were recognised."""
        ...

    def read(self, files: Files, accounting: LoadAccounting) -> Iterator[ArchiveRecord]:
        """Gives all records, file by file, in memory that does not grow with the archive.

        Args:
            files: The archive.
            accounting: Counts what is read, by file and table (nested tables too), as the file
                holds it, and takes what is left out with the reason.

        Raises:
            ArchiveError: It cannot be read on.
        """
        ...


@dataclass(frozen=True)
class Archive:
    """An archive whose format is known."""

    files: Files
    form: Format

    @property
    def name(self) -> str:
        """Its own name, without the folders that it lies in."""
        return self.files.label

    def read(self, accounting: LoadAccounting) -> Iterator[ArchiveRecord]:
        """All records: see `Format.read`; files that are not read are told to the accounting."""
        for name, reason in (self.files.refused | self.files.unclaimed).items():
            accounting.read(self.files.label, FILES)
            accounting.leave_out(self.files.label, FILES, reason, name)
        return self.form.read(self.files, accounting)
