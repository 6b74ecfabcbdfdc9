"""The files of an archive, which may be a folder, a ZIP, or a single file."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from ..errors import TrackerError


class ArchiveError(TrackerError):
    """An archive that cannot be read. The message names it and says what is wrong."""


@dataclass(frozen=True)
class File:
    """One file of an archive.

    Attributes:
        name: Relative to the archive, with `/` between folders; never contains `..`.
        size: In bytes.
        open: Opens it for reading from its beginning; opening or reading may raise ArchiveError.
        path: Where it is on disk; None if it is in a ZIP.
    """

    name: str
    size: int
    open: Callable[[], BinaryIO]
    path: Path | None = None


class Files(Mapping[str, File]):
    """The files of one archive, by name.

    Args:
        path: The folder or file.
        files: The files by name.
        refused: Files that are not read: see below.
        label: The name of the archive; that of `path` by default.

    Attributes:
        path: The folder or file.
        label: The name of the archive in the column `_source` and the load report.
        refused: Why a file is not read, by name: a link, a name that leads out of the archive, an
            encrypted file.
        unclaimed: Why a file does not belong to the archive, by name.
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
        self._is_single_file = len(files) == 1

    def __getitem__(self, name: str) -> File:
        return self._files[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def source(self, name: str) -> str:
        """Return the name of a file for the column `_source` and the load report."""
        return (
            self.label if self._is_single_file and name in self._files else f"{self.label}/{name}"
        )

    def only(self, names: Collection[str]) -> Files:
        """Return some of the files, under the same label."""
        chosen = {name: file for name, file in self._files.items() if name in names}
        files = Files(self.path, chosen, label=self.label)
        files._is_single_file = self._is_single_file
        return files

    def entries(self, prefix: str) -> dict[str, Files]:
        """Return the files and folders at the top, each as an archive of its own.

        Args:
            prefix: The start of their labels.
        """
        tops: dict[str, dict[str, File]] = {}
        for name, file in self._files.items():
            top, _, rest = name.partition("/")
            tops.setdefault(top, {})[rest or top] = replace(file, name=rest or top)
        return {
            top: Files(self.path / top, files, label=f"{prefix}{top}")
            for top, files in tops.items()
        }
