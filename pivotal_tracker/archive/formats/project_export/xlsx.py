"""The rows of an export that a spreadsheet saved again as a workbook.

Read with openpyxl, which an extra installs: it streams rows, and a cell far out in an otherwise
empty sheet costs it nothing, where faster readers lay out the whole rectangle until memory ends.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time
from itertools import islice
from typing import IO, Any

from ...files import ArchiveError, File
from ...limits import MAX_BYTES_OF_A_WORKBOOK, MAX_COLUMNS, MAX_ROWS_OF_A_SHEET
from ...zips import open_checked
from .csv_rows import ROWS_ABOVE_HEADER, Lose

_IN_MEMORY = 16 * 2**20
_MISTAKES = frozenset({"#DIV/0!", "#N/A", "#NAME?", "#NULL!", "#NUM!", "#REF!", "#VALUE!"})


def rows(
    file: File, is_header: Callable[[Sequence[str]], bool], drop_value: Lose
) -> Iterator[tuple[int, list[str]]]:
    """Reads the rows that are not empty of the first sheet with a known header, as a CSV's.

    Args:
        file: The workbook.
        is_header: Tells whether the first row of a sheet is the header that is looked for.
        drop_value: Called for other sheets, and for cells in which a spreadsheet put an error of
            its own.

    Yields:
        The number of a row, from 1, and its cells as text; dates are written as ISO 8601 has them.

    Raises:
        ArchiveError: openpyxl is not installed, or the workbook is damaged or beyond all measure.
    """
    with _workbook(file) as book:
        is_found = False
        for sheet in book.worksheets:
            cells = _cells(file, sheet, drop_value)
            head = () if is_found else islice(cells, ROWS_ABOVE_HEADER)
            header = next((row for row in head if is_header(row[1])), None)
            if header is None:
                drop_value("sheets that are not read", str(sheet.title), 1)
                continue
            is_found = True
            yield header
            yield from cells


def _cells(file: File, sheet: Any, drop_value: Lose) -> Iterator[tuple[int, list[str]]]:
    # what a sheet says of its own size is often wrong
    sheet.reset_dimensions()
    for number, values in enumerate(sheet.iter_rows(values_only=True), start=1):
        if number > MAX_ROWS_OF_A_SHEET or len(values) > MAX_COLUMNS:
            raise ArchiveError(
                f"{file.name} has a sheet of more than {MAX_ROWS_OF_A_SHEET:,} rows or "
                f"{MAX_COLUMNS:,} columns, which no spreadsheet makes."
            )
        cells = [_text(value) for value in values]
        if mistakes := sum(cell in _MISTAKES for cell in cells):
            drop_value("mistakes of a spreadsheet instead of texts", f"row {number:,}", mistakes)
        if any(cells):
            yield number, cells


@contextmanager
def _workbook(file: File) -> Iterator[Any]:
    """Opens a workbook, and tells in words for people what is wrong with it, while it is read."""
    try:
        import openpyxl
    except ImportError as error:
        raise ArchiveError(
            f"{file.name} is a workbook: to read it, pip install openpyxl defusedxml, or save it "
            f"as CSV."
        ) from error
    with _seekable(file) as stream:
        open_checked(stream, file.name, MAX_BYTES_OF_A_WORKBOOK).close()
        try:
            book = openpyxl.load_workbook(stream, read_only=True, data_only=True, keep_links=False)
            yield book
            book.close()
        except ArchiveError:
            raise
        except Exception as error:
            # a hostile workbook was seen to raise whatever Python has
            said = " ".join(str(error).split()) or type(error).__name__
            raise ArchiveError(f"{file.name} is a damaged workbook: {said}.") from error


@contextmanager
def _seekable(file: File) -> Iterator[IO[bytes]]:
    with file.open() as stream:
        if stream.seekable():
            yield stream
            return
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as copy:
            shutil.copyfileobj(stream, copy)
            yield copy


def _text(value: Any) -> str:
    """A cell as a CSV would have it."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value.replace("_x000D_", "")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    return str(value)
