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
        name: Relative to the archive, with `/` between folders; never `..`, never absolute.
        size: In bytes.
        open: Opens it for reading from its beginning. What cannot be opened, or read on, is an
            ArchiveError.
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
        refused: What else is in there and is not read, by name, with the reason: links, names
            that lead out of the archive, what is encrypted.
    """

    def __init__(
        self, path: Path, files: Mapping[str, File], refused: Mapping[str, str] | None = None
    ) -> None:
        self.path = path
        self.refused = refused or {}
        self._files = files

    def __getitem__(self, name: str) -> File:
        return self._files[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def source(self, name: str) -> str:
        """What the column `_source` and the tally call a file: wherever the archive lies."""
        archive = self.path.resolve().name
        return archive if [name] == list(self._files) else f"{archive}/{name}"
