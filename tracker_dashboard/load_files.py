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
    with tempfile.TemporaryDirectory(dir=path.parent, ignore_cleanup_errors=True) as folder:
        unfinished = Path(folder) / "unfinished.duckdb"
        yield unfinished
        unfinished.replace(path)
    _remove_others(path)


def _remove_others(path: Path) -> None:
    """Remove the files of earlier loads, and unfinished ones."""
    for other in path.parent.iterdir():
        # another dashboard may remove it at the same time, or have it open
        with suppress(OSError):
            if other.is_dir() and other.stat().st_mtime < time.time() - _ABANDONED_SECONDS:
                rmtree(other)
            elif other.is_file() and other != path:
                other.unlink()
