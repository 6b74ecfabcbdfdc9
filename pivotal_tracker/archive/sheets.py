"""Files that hold a table of Tracker's export: told by the header, read row by row."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from . import csv_rows, xlsx
from .csv_columns import is_of_history, is_of_stories
from .csv_rows import Lose
from .files import File

Holds = Literal["stories", "history"]

_IS_HEADER: dict[Holds, Callable[[Sequence[str]], bool]] = {
    "stories": is_of_stories,
    "history": is_of_history,
}

_DELIMITERS = ",;\t"
"""Tracker writes commas; spreadsheets save again with the others."""

_TEXTS = frozenset({".csv", ".tsv", ".txt"})
_WORKBOOKS = frozenset({".xlsx", ".xlsm"})
_HEAD = 2**16
"""So many bytes are looked at for the header."""


@dataclass(frozen=True)
class Sheet:
    """A table in a file.

    Attributes:
        file: Where it is.
        holds: What its header says it holds.
        delimiter: Between the cells of a CSV; empty for a workbook.
    """

    file: File
    holds: Holds
    delimiter: str

    def rows(self, lose: Lose) -> Iterator[tuple[int, list[str]]]:
        """The rows with their numbers, the header first: see `csv_rows.rows`, `xlsx.rows`."""
        if self.delimiter:
            return csv_rows.rows(self.file, self.delimiter, lose)
        return xlsx.rows(self.file, _IS_HEADER[self.holds], lose)


def sheet_in(file: File, *, whatever_its_name: bool) -> Sheet | None:
    """Recognises a table of an export by its header.

    Args:
        file: What may be one.
        whatever_its_name: Whether it may be a CSV without being called so.

    Raises:
        ArchiveError: It is a workbook that cannot be opened, or there is nothing to open one with.
    """
    suffix = PurePosixPath(file.name).suffix.lower()
    if suffix in _WORKBOOKS:
        return _sheet_of_workbook(file)
    if suffix not in _TEXTS and not whatever_its_name:
        return None
    with file.open() as stream:
        head = stream.read(_HEAD)
    for delimiter in _DELIMITERS:
        if holds := _what_it_holds(_first_row(head, delimiter)):
            return Sheet(file, holds, delimiter)
    return None


def _sheet_of_workbook(file: File) -> Sheet | None:
    for holds, is_header in _IS_HEADER.items():
        if next(xlsx.rows(file, is_header, lambda *_: None), None):
            return Sheet(file, holds, "")
    return None


def _what_it_holds(header: list[str]) -> Holds | None:
    return next((holds for holds, is_header in _IS_HEADER.items() if is_header(header)), None)


def _first_row(head: bytes, delimiter: str) -> list[str]:
    text = head.decode(csv_rows.encoding_of(head), "replace").replace("\0", "\ufffd")
    try:
        return next(filter(any, csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)), [])
    except csv.Error:
        return []
