"""Recognize the tables of Tracker's export by their header, and read them row by row."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import dropwhile, islice
from pathlib import PurePosixPath
from typing import Literal

from ...files import File
from . import csv_rows, xlsx
from .csv_columns import is_of_history, is_of_stories
from .csv_rows import ROWS_ABOVE_HEADER, OnDrop
from .encodings import encoding_by_mark, encoding_of

SheetKind = Literal["stories", "history"]

_IS_HEADER: dict[SheetKind, Callable[[Sequence[str]], bool]] = {
    "stories": is_of_stories,
    "history": is_of_history,
}

_DELIMITERS = ",;\t|"
"""Tracker writes commas; spreadsheets may save the file with one of the others."""

_WORKBOOKS = frozenset({".xlsx", ".xlsm"})
_HEAD = 2**16
"""The number of bytes that are searched for the header."""


@dataclass(frozen=True)
class Sheet:
    """A table in a file.

    Attributes:
        file: The file.
        kind: Its contents, by its header.
        delimiter: The character between the cells of a CSV; empty for a workbook.
    """

    file: File
    kind: SheetKind
    delimiter: str

    def rows(self, drop_value: OnDrop) -> Iterator[tuple[int, list[str]]]:
        """Yield the rows with their numbers, the header first: see `csv_rows.rows`, `xlsx.rows`."""
        is_header = _IS_HEADER[self.kind]
        if not self.delimiter:
            return xlsx.rows(self.file, is_header, drop_value)
        rows = csv_rows.rows(self.file, self.delimiter, self._encoding, drop_value)
        return dropwhile(lambda row: not is_header(row[1]), rows)

    @cached_property
    def _encoding(self) -> str:
        with self.file.open() as stream:
            return encoding_of(stream)


def sheet_in(file: File) -> Sheet | None:
    """Recognize a table of an export by its header, under any file name.

    Raises:
        ArchiveError: It is a workbook that cannot be opened, or openpyxl is not installed.
    """
    if PurePosixPath(file.name).suffix.lower() in _WORKBOOKS:
        return _sheet_of_workbook(file)
    with file.open() as stream:
        head = stream.read(_HEAD)
    text = head.decode(encoding_by_mark(head) or "utf-8", "replace").replace("\0", "\ufffd")
    for delimiter in _DELIMITERS:
        for cells in _first_rows(text, delimiter):
            if kind := _kind_of(cells):
                return Sheet(file, kind, delimiter)
    return None


def _sheet_of_workbook(file: File) -> Sheet | None:
    for kind, is_header in _IS_HEADER.items():
        if next(xlsx.rows(file, is_header, lambda *_: None), None):
            return Sheet(file, kind, "")
    return None


def _kind_of(header: list[str]) -> SheetKind | None:
    return next((kind for kind, is_header in _IS_HEADER.items() if is_header(header)), None)


def _first_rows(text: str, delimiter: str) -> Iterator[list[str]]:
    """Yield the first rows, one of which must be the header."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    with suppress(csv.Error):
        yield from islice(filter(any, reader), ROWS_ABOVE_HEADER)
