"""Read the rows of an export that a spreadsheet program saved as a workbook.

This uses openpyxl, which an extra installs. It streams rows, and a single cell far away in an empty
sheet costs nothing; faster readers allocate the whole rectangle until memory runs out.
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
from .csv_rows import ROWS_ABOVE_HEADER, OnDrop

_IN_MEMORY = 16 * 2**20
_ERROR_VALUES = frozenset({"#DIV/0!", "#N/A", "#NAME?", "#NULL!", "#NUM!", "#REF!", "#VALUE!"})


def rows(
    file: File, is_header: Callable[[Sequence[str]], bool], drop_value: OnDrop
) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of the first sheet with a known header that are not empty, as of a CSV.

    Args:
        file: The workbook.
        is_header: Checks whether a row is the header.
        drop_value: Called for other sheets, and for cells with an error value such as `#REF!`.

    Yields:
        The number of a row, from 1, and its cells as text; dates are in ISO 8601.

    Raises:
        ArchiveError: openpyxl is not installed, or the workbook is damaged or too large.
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


def _cells(file: File, sheet: Any, drop_value: OnDrop) -> Iterator[tuple[int, list[str]]]:
    # the size that a sheet states is often wrong
    sheet.reset_dimensions()
    for number, values in enumerate(sheet.iter_rows(values_only=True), start=1):
        if number > MAX_ROWS_OF_A_SHEET or len(values) > MAX_COLUMNS:
            raise ArchiveError(
                f"{file.name} has a sheet of more than {MAX_ROWS_OF_A_SHEET:,} rows or "
                f"{MAX_COLUMNS:,} columns, which no spreadsheet makes."
            )
        cells = [_text(value) for value in values]
        if errors := sum(cell in _ERROR_VALUES for cell in cells):
            drop_value("error values such as #REF! instead of texts", f"row {number:,}", errors)
        if any(cells):
            yield number, cells


@contextmanager
def _workbook(file: File) -> Iterator[Any]:
    """Open a workbook, and convert every error while it is read to an `ArchiveError`."""
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
            # a hostile workbook can raise any exception, as observed
            message = " ".join(str(error).split()) or type(error).__name__
            raise ArchiveError(f"{file.name} is a damaged workbook: {message}.") from error


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
    """Return a cell as a CSV would have it."""
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
