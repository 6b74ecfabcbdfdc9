"""SQLite files that may come from anyone: opened for reading, and nothing in them is obeyed."""

from __future__ import annotations

import io
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, NamedTuple
from urllib.parse import quote

from ...files import ArchiveError, File
from ...limits import (
    MAX_BYTES_OF_A_RECORD,
    MAX_STEPS_PER_BYTE,
    MIN_BYTES_OF_A_ROW,
    STEPS_OF_ANY_DATABASE,
)

BROKEN_DATABASE = (sqlite3.Error, UnicodeDecodeError)
"""What reading a damaged file may raise; the second where SQLite's complaint quotes it."""

MAGIC = b"SQLite format 3\0"

_STEPS_AT_ONCE = 1_000_000
_MAX_NAMES = 10_000
_NAMES = (
    "SELECT name, type = 'table' AND rootpage > 0 FROM sqlite_master "
    "WHERE type IN ('table', 'view') LIMIT ?"
)
_PRAGMAS = ("trusted_schema = OFF", "cell_size_check = ON", "query_only = ON", "mmap_size = 0")


class Blob(NamedTuple):
    """Where the bytes of an attachment are.

    Attributes:
        id: Of the attachment.
        row: The row that holds them.
        size: How many there are.
    """

    id: int
    row: int
    size: int


class Database:
    """A database of which only tables that hold their rows themselves are read.

    Views, virtual tables and computed columns would have SQLite run what the file says; a table
    whose pages lie in each other can be made to go on for ever, so the work is limited.

    Args:
        path: Where it lies.
        name: What errors call it.

    Attributes:
        replaced: How many characters of the rows read so far were none, U+FFFD in their place.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self.name = name
        self.replaced = 0
        size = path.stat().st_size
        self._rows_left = size // MIN_BYTES_OF_A_ROW
        steps = MAX_STEPS_PER_BYTE * size + STEPS_OF_ANY_DATABASE
        self._steps_left = steps // _STEPS_AT_ONCE
        self._connection = _connected(path)
        self._connection.text_factory = self._text
        self._connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_BYTES_OF_A_RECORD)
        # of blobs only the size is asked for, which the limit would forbid
        self._sizes = _connected(path)
        for connection in (self._connection, self._sizes):
            connection.set_progress_handler(self._is_too_much, _STEPS_AT_ONCE)
        try:
            self._tables = dict(self._connection.execute(_NAMES, (_MAX_NAMES,)))
        except BROKEN_DATABASE as error:
            self.close()
            raise ArchiveError(
                f"{name} cannot be read as a database: {in_a_line(error)}"
            ) from error

    def close(self) -> None:
        """Closes it."""
        self._connection.close()
        self._sizes.close()

    def _is_too_much(self) -> bool:
        self._steps_left -= 1
        return self._steps_left < 0

    def _text(self, value: bytes) -> str:
        text = value.decode("utf-8", "replace").replace("\0", "\ufffd")
        if "\ufffd" in text:
            self.replaced += max(text.count("\ufffd") - value.count("\ufffd".encode()), 0)
        return text

    @property
    def names(self) -> list[str]:
        """The names of all that could be read from, whether it will be or not."""
        return list(self._tables)

    def has(self, table: str) -> bool:
        """Whether it has a table.

        Raises:
            ArchiveError: There is something else of that name.
        """
        if self._tables.get(table) == 0:
            raise ArchiveError(f"{self.name} is refused: its {table} is no table of plain rows.")
        return table in self._tables

    def columns(self, table: str) -> list[str]:
        """The columns whose values the rows of a table hold themselves."""
        found = self._connection.execute("SELECT name, hidden FROM pragma_table_xinfo(?)", (table,))
        return [name for name, hidden in found if not hidden]

    def count(self, table: str) -> int:
        """How many rows a table has."""
        ((count,),) = self._connection.execute(f'SELECT count(*) FROM "{_quoted(table)}"')  # noqa: S608
        return int(count)

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> Iterator[dict[str, Any]]:
        """The rows of one of our own queries, without their nulls.

        Raises:
            BROKEN_DATABASE: The file is damaged, or takes more work than it can be worth.
        """
        cursor = self._connection.execute(query, parameters)
        names = [column[0] for column in cursor.description]
        for row in cursor:
            self._rows_left -= 1
            if self._rows_left < 0:
                raise sqlite3.DatabaseError("it gives more rows than have room in it")
            yield {n: v for n, v in zip(names, row, strict=True) if v is not None}

    def blobs(self, query: str, parameters: Sequence[Any] = ()) -> Iterator[Blob]:
        """The blobs that one of our own queries gives by id, row and size.

        Raises:
            BROKEN_DATABASE: As for `rows`.
        """
        yield from map(Blob._make, self._sizes.execute(query, parameters))

    def opener(self, table: str, column: str, row: int) -> Callable[[], BinaryIO]:
        """What opens the bytes in a row for reading, without holding them in memory."""

        def opened() -> BinaryIO:
            connection = _connected(self._path)
            try:
                blob = connection.blobopen(table, column, row, readonly=True)
            except BROKEN_DATABASE as error:
                connection.close()
                raise ArchiveError(f"{self.name} is damaged: {in_a_line(error)}") from error
            return io.BufferedReader(_BlobStream(blob, connection))

        return opened


class _BlobStream(io.RawIOBase):
    """The bytes of a blob as a stream that closes the connection it has to itself."""

    def __init__(self, blob: sqlite3.Blob, connection: sqlite3.Connection) -> None:
        self._blob, self._connection = blob, connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            chunk = self._blob.read(len(buffer))
        except BROKEN_DATABASE as error:
            raise ArchiveError(f"an attachment is damaged: {in_a_line(error)}") from error
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def close(self) -> None:
        if not self.closed:
            self._blob.close()
            self._connection.close()
        super().close()


def _connected(path: Path) -> sqlite3.Connection:
    try:
        # immutable: neither a lock nor a journal beside the file is touched
        connection = sqlite3.connect(
            f"file:{quote(str(path.resolve()))}?mode=ro&immutable=1",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
        )
    except BROKEN_DATABASE as error:
        raise ArchiveError(f"{path.name} cannot be opened: {in_a_line(error)}") from error
    for pragma in (
        "trusted_schema = OFF",
        "cell_size_check = ON",
        "query_only = ON",
        "mmap_size = 0",
    ):
        connection.execute(f"PRAGMA {pragma}")
    return connection


@contextmanager
def opened(file: File) -> Iterator[Database]:
    """Opens a database of an archive; one that lies in a ZIP is unpacked for the time.

    Raises:
        ArchiveError: It is none, or is damaged.
    """
    if file.path:
        with closing(Database(file.path, file.name)) as database:
            yield database
        return
    with TemporaryDirectory(prefix="pivotal_tracker-") as folder:
        path = Path(folder) / "database"
        with closing(file.open()) as packed, path.open("wb") as unpacked:
            shutil.copyfileobj(packed, unpacked)
        with closing(Database(path, file.name)) as database:
            yield database


def is_sqlite(file: File) -> bool:
    """Whether a file begins as all SQLite files do."""
    with closing(file.open()) as stream:
        return stream.read(len(MAGIC)) == MAGIC


def in_a_line(error: Exception) -> str:
    """An error of SQLite, which may quote the file."""
    if isinstance(error, UnicodeDecodeError):
        return "its schema is broken"
    return " ".join(str(error).split())[:100]


def _quoted(name: str) -> str:
    return name.replace('"', '""')
