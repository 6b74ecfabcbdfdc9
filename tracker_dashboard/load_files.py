"""Files that are made once per load, in the pipeline's working directory."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree
from urllib.parse import quote

from .data import Dataset

_UNFINISHED = "unfinished-"
"""The prefix of the folder in which a file is written."""

_ABANDONED_SECONDS = 3600.0
"""An unfinished file that is older belongs to a process that was killed."""


def load_file(dataset: Dataset, folder: str, load_id: str, version: int) -> Path:
    """Return the path of the file of a load.

    Args:
        dataset: The dataset of the load.
        folder: The kind of file.
        load_id: The id of the load.
        version: To be increased with every change to what such a file contains.
    """
    name = f"{quote(load_id, safe='')}-{version}.duckdb"
    return Path(dataset.pipeline.working_dir) / folder / name


@contextmanager
def new_load_file(path: Path) -> Iterator[Path]:
    """Give a path to write to; when it is complete, it replaces the files of earlier loads.

    Raises:
        OSError: The file cannot be written.
    """
    path.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=_UNFINISHED, dir=path.parent, ignore_cleanup_errors=True
    ) as folder:
        unfinished = Path(folder) / "unfinished.duckdb"
        yield unfinished
        unfinished.replace(path)
    _remove_others(path)


def _remove_others(path: Path) -> None:
    """Remove the files of earlier loads, and unfinished ones."""
    # another dashboard may remove one at the same time, or have it open
    for other in path.parent.glob("*.duckdb*"):
        with suppress(OSError):
            if other != path:
                other.unlink()
    for folder in path.parent.glob(f"{_UNFINISHED}*"):
        with suppress(OSError):
            if folder.stat().st_mtime < time.time() - _ABANDONED_SECONDS:
                rmtree(folder)
