"""List the files of a folder, a ZIP, or a single file."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

from .files import ArchiveError, File, Files
from .zips import is_os_metadata, is_zip, open_zip

MAX_FOLDER_DEPTH = 100
"""Folders that are nested deeper are not read."""


def open_files(path: Path) -> Files:
    """List the files of a folder, a ZIP, or a single file, without opening those of a folder.

    Links in a folder are not followed: they may lead to any private file of the user. A ZIP in a
    folder is one file. So is a workbook, although it is a ZIP.

    Raises:
        ArchiveError: The path does not exist or cannot be read, or it is a ZIP that is damaged or
            too large.
    """
    try:
        if path.is_dir():
            return _in_folder(path)
        if path.is_file():
            file = _file_on_disk(path, path.name)
            unpacked = open_zip(file) if is_zip(file) else None
            return Files(path, {file.name: file}) if unpacked is None else unpacked
        problem = "is neither a file nor a folder" if path.exists() else "does not exist"
    except OSError as error:
        raise ArchiveError(f"{path} cannot be opened: {error.strerror or error}.") from error
    raise ArchiveError(f"{path} {problem}.")


def _in_folder(root: Path) -> Files:
    files: dict[str, File] = {}
    refused: dict[str, str] = {}
    for path in _walk(root, refused):
        # a name that is not UTF-8 could not be stored in a table
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
            files[name] = _file_on_disk(path, name)
    return Files(root, files, refused)


def _walk(root: Path, refused: dict[str, str]) -> Iterator[Path]:
    """Yield all files and links in a folder at any depth, without following links, by name."""

    def unreadable(error: OSError) -> None:
        path = Path(str(error.filename))
        if path == root:
            raise ArchiveError(f"{root} cannot be opened: {error.strerror}.") from error
        refused[path.relative_to(root).as_posix()] = f"cannot be opened: {error.strerror}"

    for folder, folders, names in os.walk(root, onerror=unreadable):
        inside = Path(folder).relative_to(root)
        if len(inside.parts) == MAX_FOLDER_DEPTH:
            refused |= {
                (inside / name).as_posix(): f"more than {MAX_FOLDER_DEPTH} folders deep"
                for name in folders
            }
            folders.clear()
        folders.sort()
        links = [name for name in folders if Path(folder, name).is_symlink()]
        yield from (Path(folder, name) for name in sorted([*names, *links]))


def _file_on_disk(path: Path, name: str) -> File:
    size = path.stat().st_size
    # a size of 0 is also that of files such as those in /proc, which may be endless
    return File(name, size, partial(_open, path) if size else io.BytesIO, path)


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise ArchiveError(f"{path} cannot be opened: {error.strerror}.") from error
