"""Read the files of a ZIP in place: nothing is unpacked to a path that the ZIP names."""

from __future__ import annotations

import contextlib
import io
import lzma
import re
import shutil
import stat
import struct
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path, PurePath, PurePosixPath
from typing import IO, Any, BinaryIO, cast

from .files import ArchiveError, File, Files
from .limits import (
    MAX_BYTES,
    MAX_BYTES_OF_A_DIRECTORY,
    MAX_BYTES_OF_AN_INNER_ZIP,
    MAX_RATIO,
    RATIO_EXEMPT_BYTES,
)

_BROKEN = (
    OSError,
    EOFError,
    RuntimeError,
    NotImplementedError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
)
"""The exceptions that reading a damaged ZIP can raise, as observed."""

_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}
_END, _END_SIZE, _END64, _END64_SIZE, _LOCATOR_SIZE = b"PK\5\6", 22, b"PK\6\6", 56, 20
_ENCRYPTED, _UTF_8 = 0x1, 0x800
_WORKBOOK = "[Content_Types].xml"
_OS_METADATA = re.compile(
    r"(^|/)(__MACOSX/|\._|\.DS_Store$|Thumbs\.db$|desktop\.ini$)", re.IGNORECASE
)


def is_os_metadata(name: str) -> bool:
    """Check whether a file is metadata of a desktop system, such as `.DS_Store`."""
    return _OS_METADATA.search(name) is not None


def is_zip(file: File) -> bool:
    """Check whether a file begins like a ZIP, complete or not."""
    with file.open() as stream:
        return stream.read(4) in (b"PK\3\4", _END)


def open_zip(file: File, label: str = "") -> Files | None:
    """List the files of a ZIP; one inside another ZIP is unpacked to a temporary file.

    Args:
        file: The ZIP.
        label: Its name in the load report; that of the file by default.

    Returns:
        None for a workbook: it is a ZIP too, but a single file to a person.

    Raises:
        ArchiveError: It is damaged, or too large when unpacked.
    """
    path = file.path or PurePath(file.name)
    archive = open_checked(file.path or _unpacked(file), str(path), MAX_BYTES)
    members = [info for info in archive.infolist() if not info.is_dir()]
    if any(info.filename == _WORKBOOK for info in members):
        archive.close()
        return None
    files: dict[str, File] = {}
    refused: dict[str, str] = {}
    numbers: Counter[str] = Counter()
    for info in members:
        name = _name_of(info)
        if is_os_metadata(name):
            continue
        if reason := _rejection_reason(info, name):
            refused[name] = reason
            continue
        name = _unique_name(name, files, numbers)
        files[name] = File(name, info.file_size, partial(_open, archive, info, path.name))
    return Files(Path(path), files, refused, label)


def _unpacked(file: File) -> IO[bytes]:
    """Copy a ZIP inside another one to a temporary file, which is deleted when it is closed."""
    if file.size > MAX_BYTES_OF_AN_INNER_ZIP:
        raise ArchiveError(
            f"{file.name} is a ZIP in a ZIP, of {file.size / 2**30:,.1f} GB; at most "
            f"{MAX_BYTES_OF_AN_INNER_ZIP / 2**30:,.0f} GB are read. Unpack the outer one."
        )
    copy = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the archive is
    with file.open() as stream:
        shutil.copyfileobj(stream, copy)
    return copy


def open_checked(file: Path | IO[bytes], label: str, max_bytes: int) -> zipfile.ZipFile:
    """Open a ZIP after checking that it is complete and not a ZIP bomb.

    Args:
        file: Its path, or its bytes.
        label: Its name for error messages.
        max_bytes: The largest unpacked size.

    Raises:
        ArchiveError: It is damaged or too large.
    """
    try:
        directory = _directory_size(_tail(file))
        if directory > MAX_BYTES_OF_A_DIRECTORY:
            raise ArchiveError(
                f"{label} is a ZIP whose list of files has {directory / 2**20:,.0f} MB; at most "
                f"{MAX_BYTES_OF_A_DIRECTORY / 2**20:,.0f} MB are read."
            )
        archive = zipfile.ZipFile(file)
    except _BROKEN as error:
        raise ArchiveError(
            f"{label} is a ZIP that is damaged or incomplete: {error}. Get a complete copy of it."
        ) from error
    _check_size(archive.infolist(), label, max_bytes)
    return archive


def _tail(file: Path | IO[bytes]) -> bytes:
    """Read the end of a ZIP; a comment of up to 64 KB may follow its end record."""
    if isinstance(file, Path):
        with file.open("rb") as stream:
            return _tail(stream)
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - _END_SIZE - 2**16 - _LOCATOR_SIZE - _END64_SIZE))
    return file.read()


def _directory_size(tail: bytes) -> int:
    """Return the size of a ZIP's list of files by its end record; zipfile would read all of it."""
    end = tail.rfind(_END)
    if end < 0 or end + _END_SIZE > len(tail):
        raise zipfile.BadZipFile("its end is missing")
    size: int = struct.unpack_from("<I", tail, end + 12)[0]
    end64 = end - _LOCATOR_SIZE - _END64_SIZE
    if end64 >= 0 and tail[end64 : end64 + 4] == _END64:
        size = max(size if size != 2**32 - 1 else 0, *struct.unpack_from("<Q", tail, end64 + 40))
    return size


def _check_size(members: Sequence[zipfile.ZipInfo], label: str, max_bytes: int) -> None:
    """Refuse a ZIP bomb by the sizes that the ZIP states: zipfile reads no more bytes than that."""
    unpacked = sum(info.file_size for info in members)
    packed = sum(info.compress_size for info in members)
    if unpacked > max_bytes:
        raise ArchiveError(
            f"{label} would unpack to {unpacked / 2**30:,.1f} GB; at most "
            f"{max_bytes / 2**30:,.0f} GB are read. Unpack it and give the folder."
        )
    if unpacked > RATIO_EXEMPT_BYTES and unpacked > MAX_RATIO * packed:
        raise ArchiveError(
            f"{label} would unpack to {unpacked // max(packed, 1):,} times its size; at most "
            f"{MAX_RATIO} times are read. If you trust it, unpack it and give the folder."
        )


def _name_of(info: zipfile.ZipInfo) -> str:
    name = info.filename
    if not info.flag_bits & _UTF_8:
        # many programs write UTF-8 without setting the flag for it
        with contextlib.suppress(UnicodeError):
            name = name.encode("cp437").decode()
    return PurePosixPath(name.replace("\\", "/")).as_posix()


def _unique_name(name: str, files: Mapping[str, File], numbers: Counter[str]) -> str:
    """Return the name, with a number if it is in use: a ZIP may contain a name twice.

    Args:
        name: The name in the ZIP.
        files: The files so far.
        numbers: The last number used for each name, so that none is tried twice.
    """
    path, unique = PurePosixPath(name), name
    while unique in files:
        numbers[name] += 1
        unique = path.with_name(f"{path.stem} ({numbers[name] + 1}){path.suffix}").as_posix()
    return unique


def _rejection_reason(info: zipfile.ZipInfo, name: str) -> str:
    """Return why a file of a ZIP is not read; empty if it is."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    if not PurePosixPath(name).name:
        return "it has no name"
    if ".." in PurePosixPath(name).parts or name.startswith("/") or re.match("[A-Za-z]:", name):
        return "its name leads out of the ZIP"
    if stat.S_ISLNK(kind):
        return "a link, which is not followed"
    if kind not in (0, stat.S_IFREG):
        return "neither a file nor a folder"
    if info.flag_bits & _ENCRYPTED:
        return "encrypted: unpack the ZIP with its password and give the folder"
    if info.compress_type not in _METHODS:
        return "compressed in a way that is not supported: unpack the ZIP and give the folder"
    return ""


def _open(archive: zipfile.ZipFile, info: zipfile.ZipInfo, archive_name: str) -> BinaryIO:
    label = f"{info.filename} in {archive_name}"
    try:
        return cast(BinaryIO, io.BufferedReader(_Member(archive.open(info), label)))
    except _BROKEN as error:
        raise _damaged(label, error) from error


def _damaged(label: str, error: BaseException) -> ArchiveError:
    return ArchiveError(f"{label} is damaged and cannot be read: {error or type(error).__name__}.")


class _Member(io.RawIOBase):
    """A file in a ZIP that raises `ArchiveError` if it is damaged."""

    def __init__(self, stream: IO[bytes], label: str) -> None:
        self._stream = stream
        self._label = label

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._stream.read(len(buffer))
        except _BROKEN as error:
            raise _damaged(self._label, error) from error
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()
