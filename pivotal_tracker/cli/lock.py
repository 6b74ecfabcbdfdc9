"""Keeps two runs of one pipeline apart."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from dlt.common.pipeline import get_dlt_pipelines_dir

from ..errors import TrackerError


class AlreadyRunningError(TrackerError):
    """Another run of the same pipeline is under way."""


@contextlib.contextmanager
def alone(pipeline_name: str) -> Iterator[None]:
    """Holds the lock of a pipeline: two runs at once would load each other's unfinished files.

    The system takes the lock back however the process ends. Windows has no such lock: there, two
    runs are not kept apart.

    Args:
        pipeline_name: The pipeline's; those of different names may run side by side.

    Raises:
        AlreadyRunningError: Somebody else holds it.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl

    folder = Path(get_dlt_pipelines_dir())
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{pipeline_name}.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunningError(
                f"Another run of {pipeline_name} is under way; this one ends. Nothing is wrong "
                "unless it happens again and again: then runs take longer than the time between."
            ) from error
        yield
