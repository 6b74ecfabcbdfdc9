"""Opening what was given: a folder, a ZIP, or one file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

from .files import ArchiveError, File, Files
from .zips import is_os_metadata, is_zip, open_zip


def open_files(path: Path) -> Files:
    """Lists the files of a folder, of a ZIP, or of one file, and opens none of a folder's.

    Of a folder, no link is followed: what it leads to may be anything of the reader's own. A ZIP
    within is one file; so is a workbook, though it is a ZIP.

    Raises:
        ArchiveError: There is nothing there, or it cannot be read, or it is a ZIP that is damaged
            or too large.
    """
    try:
        return _opened(path)
    except OSError as error:
        raise ArchiveError(f"{path} cannot be opened: {error.strerror or error}.") from error


def _opened(path: Path) -> Files:
    if path.is_dir():
        return _in_folder(path)
    if not path.is_file():
        raise ArchiveError(
            f"{path} is neither a file nor a folder."
            if path.exists()
            else f"{path} does not exist."
        )
    one = _on_disk(path, path.name)
    unpacked = open_zip(one) if is_zip(one) else None
    return Files(path, {one.name: one}) if unpacked is None else unpacked


def _in_folder(root: Path) -> Files:
    files: dict[str, File] = {}
    refused: dict[str, str] = {}
    for path in _below(root, refused):
        # a name that is not UTF-8 could not be written down
        name = path.relative_to(root).as_posix().encode("utf-8", "replace").decode()
        if is_os_metadata(name):
            continue
        if path.is_symlink():
            refused[name] = "a link, which is not followed"
        elif not path.is_file():
            refused[name] = "neither a file nor a folder"
        elif name in files:
            refused[name] = "a second file of that name"
        else:
            files[name] = _on_disk(path, name)
    return Files(root, files, refused)


def _below(root: Path, refused: dict[str, str]) -> Iterator[Path]:
    """Everything in a folder at whatever depth, but for what links lead to, in order of name."""

    def unreadable(error: OSError) -> None:
        if Path(str(error.filename)) == root:
            raise ArchiveError(f"{root} cannot be opened: {error.strerror}.") from error
        refused[os.path.relpath(str(error.filename), root)] = f"cannot be opened: {error.strerror}"

    for folder, folders, names in os.walk(root, onerror=unreadable):
        folders.sort()
        links = [name for name in folders if Path(folder, name).is_symlink()]
        yield from (Path(folder, name) for name in sorted([*names, *links]))


def _on_disk(path: Path, name: str) -> File:
    return File(name, path.stat().st_size, partial(_open, path), path)


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise ArchiveError(f"{path} cannot be opened: {error.strerror}.") from error
