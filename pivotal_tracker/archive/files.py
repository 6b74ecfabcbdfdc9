"""The files of an archive, whether they lie in a folder, in a ZIP, or the archive is one file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..errors import TrackerError


class ArchiveError(TrackerError):
    """An archive that cannot be read; its text says which, and what is wrong with it."""


@dataclass(frozen=True)
class File:
    """One file of an archive.

    Attributes:
        name: Relative to the archive, with `/` between folders.
        size: In bytes.
        open: Opens it for reading from its beginning.
        path: Where it lies on disk; None where it lies in a ZIP.
    """

    name: str
    size: int
    open: Callable[[], BinaryIO]
    path: Path | None = None


class Files(Mapping[str, File]):
    """The files of one archive, by name.

    Attributes:
        path: The folder or file that was given.
    """

    def __init__(self, path: Path, files: Mapping[str, File]) -> None:
        self.path = path
        self._files = files

    def __getitem__(self, name: str) -> File:
        return self._files[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def open_files(path: Path) -> Files:
    """Lists the files of a folder or of one file.

    Raises:
        ArchiveError: There is nothing there.
    """
    if not path.exists():
        raise ArchiveError(f"{path} does not exist.")
    found = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    root = path.parent if path.is_file() else path
    return Files(path, {f.name: f for f in (_on_disk(one, root) for one in found)})


def _on_disk(path: Path, root: Path) -> File:
    return File(
        name=path.relative_to(root).as_posix(),
        size=path.stat().st_size,
        open=lambda: path.open("rb"),
        path=path,
    )
