"""Read untrusted SQLite files: read-only, and without running any SQL that they contain."""

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
    BASE_STEPS,
    MAX_BYTES_OF_A_RECORD,
    MAX_STEPS_PER_BYTE,
    MIN_BYTES_OF_A_ROW,
)

BROKEN_DATABASE = (sqlite3.Error, UnicodeDecodeError)
"""The exceptions of a damaged file; the second one if SQLite's message quotes invalid bytes."""

MAGIC = b"SQLite format 3\0"

_STEPS_PER_CHECK = 1_000_000
_MAX_NAMES = 10_000
_NAMES = (
    "SELECT name, type = 'table' AND rootpage > 0 FROM sqlite_master "
    "WHERE type IN ('table', 'view') LIMIT ?"
)
_PRAGMAS = ("trusted_schema = OFF", "cell_size_check = ON", "query_only = ON", "mmap_size = 0")


class Blob(NamedTuple):
    """The position of an attachment's content.

    Attributes:
        id: The id of the attachment.
        row: The rowid of the row that contains it.
        size: The number of bytes.
    """

    id: int
    row: int
    size: int


class Database:
    """Reads the ordinary tables of a database.

    Views, virtual tables and computed columns would make SQLite run code from the file, so they are
    not read. A table whose pages refer to each other can be endless, so the work is limited.

    Args:
        path: The file.
        name: Its name in errors.

    Attributes:
        replaced: The number of invalid characters that were replaced by U+FFFD so far.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self.name = name
        self.replaced = 0
        size = path.stat().st_size
        self._rows_left = size // MIN_BYTES_OF_A_ROW
        steps = MAX_STEPS_PER_BYTE * size + BASE_STEPS
        self._steps_left = steps // _STEPS_PER_CHECK
        self._connection = _connect(path)
        self._connection.text_factory = self._text
        self._connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_BYTES_OF_A_RECORD)
        # the limit would also forbid queries for the size of a larger blob: these use another one
        self._sizes = _connect(path)
        for connection in (self._connection, self._sizes):
            connection.set_progress_handler(self._exceeds_limit, _STEPS_PER_CHECK)
        try:
            self._tables = dict(self._connection.execute(_NAMES, (_MAX_NAMES,)))
        except BROKEN_DATABASE as error:
            self.close()
            raise ArchiveError(f"{name} cannot be read as a database: {one_line(error)}") from error

    def close(self) -> None:
        """Close the database."""
        self._connection.close()
        self._sizes.close()

    def _exceeds_limit(self) -> bool:
        self._steps_left -= 1
        return self._steps_left < 0

    def _text(self, value: bytes) -> str:
        text = value.decode("utf-8", "replace").replace("\0", "\ufffd")
        if "\ufffd" in text:
            self.replaced += max(text.count("\ufffd") - value.count("\ufffd".encode()), 0)
        return text

    @property
    def names(self) -> list[str]:
        """The names of all tables and views."""
        return list(self._tables)

    def has(self, table: str) -> bool:
        """Check whether there is a table.

        Raises:
            ArchiveError: Something other than an ordinary table has this name.
        """
        if self._tables.get(table) == 0:
            raise ArchiveError(f"{self.name} is refused: its {table} is not an ordinary table.")
        return table in self._tables

    def columns(self, table: str) -> list[str]:
        """Return the columns of a table, without computed ones."""
        rows = self._connection.execute("SELECT name, hidden FROM pragma_table_xinfo(?)", (table,))
        return [name for name, hidden in rows if not hidden]

    def count(self, table: str) -> int:
        """Count the rows of a table, whose name is one of our own."""
        ((count,),) = self._connection.execute(f"SELECT count(*) FROM {table}")  # noqa: S608
        return int(count)

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> Iterator[dict[str, Any]]:
        """Yield the rows of one of our own queries, without nulls.

        Raises:
            BROKEN_DATABASE: The file is damaged, or needs too much work for its size.
        """
        cursor = self._connection.execute(query, parameters)
        names = [column[0] for column in cursor.description]
        for row in cursor:
            self._rows_left -= 1
            if self._rows_left < 0:
                raise sqlite3.DatabaseError("it has more rows than fit into its size")
            yield {n: v for n, v in zip(names, row, strict=True) if v is not None}

    def blobs(self, query: str, parameters: Sequence[Any] = ()) -> Iterator[Blob]:
        """Yield the blobs of one of our own queries, which selects id, row and size.

        Raises:
            BROKEN_DATABASE: As for `rows`.
        """
        yield from map(Blob._make, self._sizes.execute(query, parameters))

    def opener(self, table: str, column: str, row: int) -> Callable[[], BinaryIO]:
        """Return a function that opens the blob in a row as a stream."""

        def open_blob() -> BinaryIO:
            connection = _connect(self._path)
            try:
                blob = connection.blobopen(table, column, row, readonly=True)
            except BROKEN_DATABASE as error:
                connection.close()
                raise ArchiveError(f"{self.name} is damaged: {one_line(error)}") from error
            return io.BufferedReader(_BlobStream(blob, connection))

        return open_blob


class _BlobStream(io.RawIOBase):
    """A stream of a blob that closes its own connection."""

    def __init__(self, blob: sqlite3.Blob, connection: sqlite3.Connection) -> None:
        self._blob, self._connection = blob, connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            chunk = self._blob.read(len(buffer))
        except BROKEN_DATABASE as error:
            raise ArchiveError(f"an attachment is damaged: {one_line(error)}") from error
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def close(self) -> None:
        if not self.closed:
            self._blob.close()
            self._connection.close()
        super().close()


def _connect(path: Path) -> sqlite3.Connection:
    try:
        # immutable: SQLite then uses neither a lock nor a journal beside the file
        connection = sqlite3.connect(
            f"file:{quote(str(path.resolve()))}?mode=ro&immutable=1",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
        )
    except BROKEN_DATABASE as error:
        raise ArchiveError(f"{path.name} cannot be opened: {one_line(error)}") from error
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    return connection


@contextmanager
def open_database(file: File) -> Iterator[Database]:
    """Open a database of an archive; one inside a ZIP is unpacked to a temporary folder.

    Raises:
        ArchiveError: It is not a database, or it is damaged.
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
    """Check whether a file begins like a SQLite file."""
    with closing(file.open()) as stream:
        return stream.read(len(MAGIC)) == MAGIC


def one_line(error: Exception) -> str:
    """Return an error of SQLite as one short line, because it may quote the file."""
    if isinstance(error, UnicodeDecodeError):
        return "its schema is broken"
    return " ".join(str(error).split())[:100]
