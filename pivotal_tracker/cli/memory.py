"""Tune the memory management of the process for pages of many objects, fetched by threads."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import os
import sys

_M_ARENA_MAX = -8
"""The number of glibc's setting in malloc.h; other C libraries have no `mallopt`, or ignore it."""


def tune_process_memory() -> None:
    """Tune the search for garbage, and the heap."""
    # pages have no reference cycles: the search took 10 % of a load
    gc.set_threshold(200_000)
    # the search at exit took 0.2 s of each run
    atexit.register(gc.freeze)
    # Arrow's own allocator keeps more of what is freed
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    # one heap for all threads: separate ones kept 300 MB of 100,000 stories unused
    _call_libc("mallopt", _M_ARENA_MAX, 1)


def release_unused_memory() -> None:
    """Return freed memory to the system: 100 MB after 100,000 stories were read."""
    _call_libc("malloc_trim", 0)


def _call_libc(function: str, *numbers: int) -> None:
    """Call a function that only some C libraries have."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None)[function](*numbers)
