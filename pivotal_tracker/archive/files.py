"""The files of an archive, whether they lie in a folder, in a ZIP, or the archive is one file."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
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

    Args:
        path: The folder or file that was given, or where it lies in one.
        files: By name.
        refused: See below.
        label: What it is called; the name of `path` by default.

    Attributes:
        path: The folder or file.
        label: What the column `_source` and the load report call it.
        refused: What else is in there and is not read, by name, with the reason: links, names
            that lead out of the archive, what is encrypted.
        unclaimed: The names of files that are none of the archive's, with the reason.
    """

    def __init__(
        self,
        path: Path,
        files: Mapping[str, File],
        refused: Mapping[str, str] | None = None,
        label: str = "",
    ) -> None:
        self.path = path
        self.label = label or path.resolve().name
        self.refused = dict(refused or {})
        self.unclaimed: dict[str, str] = {}
        self._files = files
        self._is_one = len(files) == 1

    def __getitem__(self, name: str) -> File:
        return self._files[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def source(self, name: str) -> str:
        """What the column `_source` and the load report call a file: wherever the archive lies."""
        return self.label if self._is_one and name in self._files else f"{self.label}/{name}"

    def only(self, names: Collection[str]) -> Files:
        """Return some of the files, called as here."""
        chosen = {name: file for name, file in self._files.items() if name in names}
        files = Files(self.path, chosen, label=self.label)
        files._is_one = self._is_one
        return files

    def entries(self, prefix: str) -> dict[str, Files]:
        """Return the files and folders at the top, each as an archive of its own.

        Args:
            prefix: What their labels begin with.
        """
        tops: dict[str, dict[str, File]] = {}
        for name, file in self._files.items():
            top, _, rest = name.partition("/")
            tops.setdefault(top, {})[rest or top] = replace(file, name=rest or top)
        return {
            top: Files(self.path / top, files, label=f"{prefix}{top}")
            for top, files in tops.items()
        }
