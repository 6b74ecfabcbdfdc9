"""The rows of a CSV, as text, whatever its encoding and however broken."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from typing import IO

from .files import ArchiveError, File
from .limits import MOST_CHARACTERS_IN_A_ROW, MOST_COLUMNS

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_ESCAPED_BYTES = re.compile("[\udc80-\udcff]")
_END = "\0"
"""Follows the last line. A file that ends within a quoted cell has it in that cell."""

Lose = Callable[[str, str, int], None]
"""Takes what was lost, where, and how many times."""


def rows(file: File, delimiter: str, lose: Lose) -> Iterator[tuple[int, list[str]]]:
    """Reads the rows of a CSV that are not empty, the header included.

    The encoding is UTF-16 where a byte order mark or the zero bytes of ASCII letters say so, else
    UTF-8, with or without a mark. Bytes that are not UTF-8 are taken as Windows-1252, each by
    itself, so that a file of that encoding is read, and one with a few broken texts too. NULs, and
    what no encoding knows, become U+FFFD.

    Args:
        file: The CSV.
        delimiter: What stands between its cells.
        lose: Told of what was not read as it was written.

    Yields:
        The number of a row's last line, from 1, and its cells.

    Raises:
        ArchiveError: A row or its number of cells is beyond all measure, or the file is damaged.
    """
    csv.field_size_limit(max(csv.field_size_limit(), MOST_CHARACTERS_IN_A_ROW))
    with file.open() as stream:
        lines = _Lines(file.name, stream, lose)
        reader = csv.reader(lines, delimiter=delimiter)
        try:
            for cells in reader:
                lines.start_row()
                if len(cells) > MOST_COLUMNS:
                    raise ArchiveError(
                        f"{file.name}, line {lines.number:,}, has {len(cells):,} cells; at most "
                        f"{MOST_COLUMNS:,} are read, and no known export has more than 118."
                    )
                if cells and cells[-1].endswith(_END):
                    cells[-1] = cells[-1].removesuffix(_END)
                    if not any(cells):
                        return
                    lose("the file ends within a cell: it was cut short", f"line {lines.number}", 1)
                if any(cells):
                    yield lines.number, cells
        except (csv.Error, OSError) as error:
            raise ArchiveError(f"{file.name}, line {lines.number:,}: {error}.") from error


class _Lines(Iterator[str]):
    """The lines of a file as the csv module takes them, with their ends."""

    def __init__(self, name: str, stream: IO[bytes], lose: Lose) -> None:
        self.number = 0
        self._name = name
        self._lose = lose
        head = stream.peek(4)[:4] if isinstance(stream, io.BufferedReader) else b""
        self._encoding = encoding_of(head)
        errors = "surrogateescape" if self._encoding == "utf-8-sig" else "replace"
        self._text = io.TextIOWrapper(stream, self._encoding, errors, newline="")
        self._left = MOST_CHARACTERS_IN_A_ROW
        self._has_ended = False

    def start_row(self) -> None:
        """Begins to count the characters of a row anew."""
        self._left = MOST_CHARACTERS_IN_A_ROW

    def __next__(self) -> str:
        line = self._text.readline(self._left)
        if not line:
            if self._has_ended:
                raise StopIteration
            self._has_ended = True
            return _END
        self.number += 1
        self._left -= len(line)
        if self._left <= 0:
            raise ArchiveError(
                f"{self._name}, line {self.number:,}: a row of more than "
                f"{MOST_CHARACTERS_IN_A_ROW:,} characters: is there a quote that is never closed?"
            )
        return line if line.isascii() and "\0" not in line else self._storable(line)

    def _storable(self, line: str) -> str:
        where = f"line {self.number}"
        if nuls := line.count("\0"):
            self._lose("NUL characters, now U+FFFD", where, nuls)
            line = line.replace("\0", _REPLACEMENT)
        if self._encoding != "utf-8-sig":
            if broken := line.count(_REPLACEMENT) - nuls:
                self._lose(f"characters that are not {self._encoding}, now U+FFFD", where, broken)
            return line
        line, broken = _ESCAPED_BYTES.subn(_windows_1252, line)
        if broken:
            self._lose("bytes that are not UTF-8, read as Windows-1252", where, broken)
        return line


def encoding_of(head: bytes) -> str:
    """The encoding of a file by its first four bytes: see `rows`."""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    zeros = [byte == 0 for byte in head[:4]]
    if zeros == [False, True, False, True]:
        return "utf-16-le"
    return "utf-16-be" if zeros == [True, False, True, False] else "utf-8-sig"


def _windows_1252(found: re.Match[str]) -> str:
    return bytes([ord(found[0]) - 0xDC00]).decode("cp1252", "replace")
