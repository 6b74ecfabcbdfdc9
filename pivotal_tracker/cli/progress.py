"""Report the progress of a run, one line per step."""

from __future__ import annotations

import sys
import time
from typing import Any

import dlt
from dlt.common.runtime.collector import Collector, NullCollector
from dlt.pipeline.progress import TCollectorArg
from tqdm import tqdm

from .memory import release_unused_memory

PROGRESS_NAMES = ("steps", "log", "tqdm", "enlighten", "alive_progress", "none")
"""What `--progress` takes: `steps` is the default, `none` is silent, the others are dlt's."""

_STEPS = {"Extract": "Reading", "Normalize": "Preparing", "Load": "Loading"}
"""The names of dlt's steps on the screen."""

_FILES = ("Files", "Jobs")
"""dlt's counters of the files of a step; it counts rows under the names of tables."""

_SECONDS_BETWEEN_LINES = 10
"""How often a long step is reported if lines cannot be overwritten."""


def progress_collector(name: str | None) -> TCollectorArg:
    """Make the collector of dlt's progress.

    Args:
        name: One of `PROGRESS_NAMES`; None is `steps`.
    """
    if name == "log":
        return dlt.progress.log(log_period=10, logger=sys.stderr, dump_system_stats=False)
    if name == "none":
        return NullCollector()
    return StepProgress() if name in (None, "steps") else name  # type: ignore[return-value]


class StepProgress(Collector):
    """Write a line to stderr for each step of a run.

    On a terminal it is rewritten while the step runs. Elsewhere a line is written when the step
    ends, and every 10 seconds before that.
    """

    def __init__(self) -> None:
        self._title = self._previous_title = ""
        self._rows = self._files = self._all_files = 0
        self._started_at = self._last_line = 0.0
        self._bar: tqdm[Any] | None = None

    def update(
        self,
        name: str,
        inc: int = 1,
        total: int | None = None,
        inc_total: int | None = None,
        message: str | None = None,
        label: str | None = None,
    ) -> None:
        """Count rows of a table, or files that are done."""
        # failed jobs are counted twice, the second time with a label
        if label or name == "Resources" or name.startswith("_dlt"):
            return
        if name in _FILES:
            self._files += inc
            self._all_files = (total or self._all_files) + (inc_total or 0)
        else:
            self._rows += inc
        if self._bar is not None:
            self._bar.set_description_str(self._text(), refresh=False)
            self._bar.update()
        elif time.monotonic() - self._last_line > _SECONDS_BETWEEN_LINES:
            self._write_line()

    def _start(self, step: str) -> None:
        # the database needs the memory that the step before has freed
        release_unused_memory()
        self._previous_title = self._title
        self._title = _STEPS.get(step.split()[0], step)
        self._rows = self._files = self._all_files = 0
        self._started_at = self._last_line = time.monotonic()
        if sys.stderr.isatty():
            self._bar = tqdm(
                bar_format="{desc} {elapsed}",
                desc=self._text(),
                file=sys.stderr,
                # a terminal of unknown size would show nothing
                ncols=80,
                nrows=24,
            )

    def _stop(self) -> None:
        # after a source, dlt extracts its state in a step of its own
        is_shown = bool(self._rows) or self._title != self._previous_title
        if self._bar is not None:
            self._bar.leave = is_shown
            self._bar.set_description_str(self._text(), refresh=False)
            self._bar.close()
            self._bar = None
        elif is_shown:
            self._write_line()

    def _write_line(self) -> None:
        self._last_line = time.monotonic()
        sys.stderr.write(f"{self._text()} {self._last_line - self._started_at:.1f} s\n")
        sys.stderr.flush()

    def _text(self) -> str:
        rows = f"{self._rows:,} row{'s' * (self._rows != 1)}" if self._rows else ""
        files = f"{self._files:,} of {self._all_files:,} files" if self._all_files else ""
        return f"{self._title:14} {rows:>16} {files:>20} "
