"""Read the rows of a CSV as text, in any encoding, even if it is damaged."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from typing import IO

from ...files import ArchiveError, File
from ...limits import MAX_CHARACTERS_IN_A_ROW, MAX_COLUMNS

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_ESCAPED_BYTES = re.compile("[\udc80-\udcff]")
ROWS_ABOVE_HEADER = 20
"""The number of rows above the header that are skipped, such as titles or `sep=;`."""

_END = "\0"
"""Added after the last line; if the file ends within a quoted cell, that cell ends with it."""


OnDrop = Callable[[str, str, int], None]
"""Called for dropped values, with what was dropped, where, and how many times."""


def rows(
    file: File, delimiter: str, encoding: str, drop_value: OnDrop
) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a CSV that are not empty, including the header.

    NULs and invalid bytes become U+FFFD. In UTF-8, invalid bytes are read as Windows-1252: they
    come from texts that were pasted in.

    Args:
        file: The CSV.
        delimiter: The character between its cells.
        encoding: The encoding of its text.
        drop_value: Called for what was changed or lost.

    Yields:
        The number of a row's last line, from 1, and its cells.

    Raises:
        ArchiveError: A row is too long or has too many cells, or the file is damaged.
    """
    csv.field_size_limit(max(csv.field_size_limit(), MAX_CHARACTERS_IN_A_ROW))
    with file.open() as stream:
        lines = _Lines(file.name, stream, encoding, drop_value)
        reader = csv.reader(lines, delimiter=delimiter)
        try:
            for cells in reader:
                lines.start_row()
                if len(cells) > MAX_COLUMNS:
                    raise ArchiveError(
                        f"{file.name}, line {lines.number:,}, has {len(cells):,} cells; at most "
                        f"{MAX_COLUMNS:,} are read, and no known export has more than 118."
                    )
                if cells and cells[-1].endswith(_END):
                    cells[-1] = cells[-1].removesuffix(_END)
                    if not any(cells):
                        return
                    drop_value(
                        "the file ends within a cell: it is incomplete", f"line {lines.number}", 1
                    )
                if any(cells):
                    yield lines.number, cells
        except (csv.Error, OSError) as error:
            raise ArchiveError(f"{file.name}, line {lines.number:,}: {error}.") from error


class _Lines(Iterator[str]):
    """The lines of a file, with line ends, for the csv module."""

    def __init__(self, name: str, stream: IO[bytes], encoding: str, drop_value: OnDrop) -> None:
        self.number = 0
        self._name = name
        self._drop_value = drop_value
        self._encoding = encoding
        errors = "surrogateescape" if self._encoding == "utf-8-sig" else "replace"
        self._text = io.TextIOWrapper(stream, self._encoding, errors, newline="")
        self._characters_left = MAX_CHARACTERS_IN_A_ROW
        self._has_ended = False

    def start_row(self) -> None:
        """Start counting the characters of the next row."""
        self._characters_left = MAX_CHARACTERS_IN_A_ROW

    def __next__(self) -> str:
        line = self._text.readline(self._characters_left)
        if not line:
            if self._has_ended:
                raise StopIteration
            self._has_ended = True
            return _END
        self.number += 1
        self._characters_left -= len(line)
        if self._characters_left <= 0:
            raise ArchiveError(
                f"{self._name}, line {self.number:,}: a row of more than "
                f"{MAX_CHARACTERS_IN_A_ROW:,} characters. Is a quote never closed?"
            )
        return line if line.isascii() and "\0" not in line else self._storable(line)

    def _storable(self, line: str) -> str:
        where = f"line {self.number}"
        if nuls := line.count("\0"):
            self._drop_value("NUL characters, now U+FFFD", where, nuls)
            line = line.replace("\0", _REPLACEMENT)
        if self._encoding != "utf-8-sig":
            if failures := line.count(_REPLACEMENT) - nuls:
                self._drop_value(
                    f"characters that are not {self._encoding}, now U+FFFD", where, failures
                )
            return line
        line, failures = _ESCAPED_BYTES.subn(_windows_1252, line)
        if failures:
            self._drop_value("bytes that are not UTF-8, read as Windows-1252", where, failures)
        return line


def _windows_1252(match: re.Match[str]) -> str:
    return bytes([ord(match[0]) - 0xDC00]).decode("cp1252", "replace")
