"""The files in archives: what they are, and where they can be read once the archive is loaded."""

from __future__ import annotations

import hashlib
import io
import sqlite3
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from ..load.attachment_storage import described, file_path, save
from ..records import Record
from .files import ArchiveError

_PIECE = 1 << 20
_BROKEN = (ArchiveError, EOFError, zipfile.BadZipFile, zlib.error, sqlite3.Error, ValueError)


def with_file_metadata(
    record: Record, content: Callable[[], BinaryIO] | None, folder: Path | None
) -> Record:
    """A record of `attachment_files` with what its bytes tell: `size`, `sha256` and `path`.

    Args:
        record: With `id`, `project_id`, `filename` and perhaps the `size` that it should have.
        content: Opens the bytes; None where the archive does not have them.
        folder: Where they are written; None where they are only looked at.

    Returns:
        `path` is where the file can be read now, absent if that is only inside the archive;
        `problem` why it cannot.
    """
    if content is None:
        return {**record, "problem": "the archive does not have its bytes"}
    try:
        with content() as file:
            told = _written(record, file, folder) if folder else _hash_stream(file)
    except _BROKEN as error:
        return {**record, "problem": " ".join(str(error).split()) or type(error).__name__}
    size = record.get("size")
    if isinstance(size, int) and size != told["size"]:
        told["problem"] = f"it has {told['size']:,} bytes, where {size:,} were expected"
    return {**record, **told}


def _hash_stream(file: BinaryIO) -> Record:
    digest, size = hashlib.sha256(), 0
    for piece in _pieces(file):
        digest.update(piece)
        size += len(piece)
    return {"size": size, "sha256": digest.hexdigest(), **_place(file)}


def _place(file: BinaryIO) -> Record:
    """Where a file lies on disk, if it is a file of its own."""
    is_own = isinstance(file, io.BufferedReader) and isinstance(file.raw, io.FileIO)
    return {"path": str(file.name)} if is_own and isinstance(file.name, str) else {}


def _written(record: Record, file: BinaryIO, folder: Path) -> Record:
    path = file_path(folder, record)
    if path.is_file():
        there = described(path)
        if there["sha256"] == _hash_stream(file)["sha256"]:
            return there
        file.seek(0)
    save(_pieces(file), path, None)
    return described(path)


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(_PIECE):
        yield piece
