"""Describe the attachments in archives: size, checksum, and where they can be read."""

from __future__ import annotations

import hashlib
import io
import sqlite3
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from ..load.attachment_storage import file_metadata, file_path, save
from ..records import Record
from .files import ArchiveError

_CHUNK_SIZE = 1 << 20
_BROKEN = (ArchiveError, EOFError, zipfile.BadZipFile, zlib.error, sqlite3.Error, ValueError)


def with_file_metadata(
    record: Record, content: Callable[[], BinaryIO] | None, folder: Path | None
) -> Record:
    """Return a record of `attachment_files` with the `size`, `sha256` and `path` of its content.

    Args:
        record: With `id`, `project_id`, `filename` and perhaps the expected `size`.
        content: Opens the content; None if the archive does not have it.
        folder: Where the content is written; None to only read it.

    Returns:
        `path` is where the file is on disk, absent if it is only inside the archive; `problem` is
        why it cannot be read.
    """
    if content is None:
        return {**record, "problem": "the archive does not have its bytes"}
    try:
        with content() as file:
            content_record = _write_file(record, file, folder) if folder else _hash_stream(file)
    except _BROKEN as error:
        return {**record, "problem": " ".join(str(error).split()) or type(error).__name__}
    size = record.get("size")
    if isinstance(size, int) and size != content_record["size"]:
        content_record["problem"] = (
            f"it has {content_record['size']:,} bytes, where {size:,} were expected"
        )
    return {**record, **content_record}


def _hash_stream(file: BinaryIO) -> Record:
    digest, size = hashlib.sha256(), 0
    for chunk in _chunks(file):
        digest.update(chunk)
        size += len(chunk)
    return {"size": size, "sha256": digest.hexdigest(), **_path_on_disk(file)}


def _path_on_disk(file: BinaryIO) -> Record:
    """Return the `path` of a file on disk; empty for a file inside another."""
    is_own = isinstance(file, io.BufferedReader) and isinstance(file.raw, io.FileIO)
    return {"path": str(file.name)} if is_own and isinstance(file.name, str) else {}


def _write_file(record: Record, file: BinaryIO, folder: Path) -> Record:
    path = file_path(folder, record)
    if path.is_file():
        existing = file_metadata(path)
        if existing["sha256"] == _hash_stream(file)["sha256"]:
            return existing
        file.seek(0)
    save(_chunks(file), path, None)
    return file_metadata(path)


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK_SIZE):
        yield chunk
