"""The lock of a pipeline: only one run at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from dlt.common.pipeline import get_dlt_pipelines_dir
from filelock import FileLock, Timeout

from ..errors import TrackerError


class AlreadyRunningError(TrackerError):
    """Another run of the same pipeline is in progress."""


@contextlib.contextmanager
def pipeline_lock(pipeline_name: str) -> Iterator[None]:
    """Hold the lock of a pipeline: two parallel runs would load each other's unfinished files.

    The system releases the lock however the process ends.

    Args:
        pipeline_name: The pipeline; pipelines with other names may run at the same time.

    Raises:
        AlreadyRunningError: Another process holds the lock.
    """
    folder = Path(get_dlt_pipelines_dir())
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"{pipeline_name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise AlreadyRunningError(
            f"Another run of {pipeline_name} is in progress, so this one ends. Nothing is wrong "
            "unless it happens again and again: then runs take longer than the time between them."
        ) from error
    try:
        yield
    finally:
        lock.release()
