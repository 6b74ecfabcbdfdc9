"""Measure a contender: run it in a new process and a new folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from .contenders import Contender
from .row_counts import Rows, rows_of_database, rows_of_server
from .server import ROOT, Server

_BYTES_OF_MAXRSS = 1 if sys.platform == "darwin" else 1024
_REQUESTS = re.compile(r"([\d,]+) requests")
_WRITTEN = re.compile(r"Loaded ([\d,]+) rows")


class IncompleteError(Exception):
    """A contender failed, or did not load everything, so its time means nothing."""


@dataclass(frozen=True)
class Measurement:
    """One run of one contender.

    Attributes:
        seconds: Wall-clock time of the whole process, start-up included.
        peak_memory: Its highest resident memory, in MB (10⁶ bytes).
        rows: The rows in the database; for a later run, the rows that it wrote.
        requests: The number of requests; None if the contender does not print it.
        written: The number of rows written, as the contender prints it.
    """

    seconds: float
    peak_memory: float
    rows: int
    requests: int | None
    written: int | None


def measure_all(contender: Contender, server: Server, expected: Rows) -> dict[str, Measurement]:
    """Run a contender in a new folder, followed by its later runs.

    Args:
        contender: The contender.
        server: The server that it loads from.
        expected: The rows that its first run has to load.

    Returns:
        The runs, by letter.

    Raises:
        IncompleteError: It failed, or did not load everything.
    """
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        contender.prepare(folder)
        runs = {contender.letter: measure(contender, server, expected, folder)}
        for later in contender.later_runs:
            if later.share:
                server.rename(later.share)
                expected = rows_of_server(server)
            run = measure(contender, server, expected, folder)
            runs[later.letter] = replace(run, rows=run.written or 0)
    return runs


def measure(contender: Contender, server: Server, expected: Rows, folder: Path) -> Measurement:
    """Run a contender once in a folder.

    Raises:
        IncompleteError: It failed, or did not load everything.
    """
    process = run_python(
        contender.name, contender.command(server), folder, _environment(folder, server)
    )
    return Measurement(
        seconds=process.seconds,
        peak_memory=process.peak_memory,
        rows=_loaded_rows(contender, folder, expected).total(),
        requests=_number(_REQUESTS, process.output),
        written=_number(_WRITTEN, process.output),
    )


class FinishedProcess(NamedTuple):
    """Seconds of wall-clock time, peak memory in MB, and the output of a process."""

    seconds: float
    peak_memory: float
    output: str


def run_python(
    name: str, arguments: Sequence[str], folder: Path, environment: dict[str, str]
) -> FinishedProcess:
    """Run Python in a folder, and measure it.

    Raises:
        IncompleteError: It failed.
    """
    log = folder / "output.txt"
    with log.open("w") as file:
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=folder,
            env=os.environ | environment,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
        # Linux counts the memory of the parent at the fork as a first peak of the child: this
        # process must stay smaller than those it measures
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    output = log.read_text()
    if process.returncode:
        raise IncompleteError(f"{name} exited with {process.returncode}:\n{output}")
    return FinishedProcess(seconds, usage.ru_maxrss * _BYTES_OF_MAXRSS / 1e6, output)


def seconds_to_import_dlt() -> float:
    """Time `import dlt` in a new process: every run needs at least this long."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        run = run_python("import dlt", ["-c", "import dlt"], folder, isolated_environment(folder))
    return run.seconds


def _number(pattern: re.Pattern[str], output: str) -> int | None:
    found = pattern.search(output)
    return int(found[1].replace(",", "")) if found else None


def isolated_environment(folder: Path) -> dict[str, str]:
    """Return environment variables that make dlt keep its files in a folder."""
    return {
        "PYTHONPATH": str(ROOT),
        "DLT_DATA_DIR": str(folder / "dlt"),
        # without internet access, dlt would wait for it
        "RUNTIME__DLTHUB_TELEMETRY": "false",
    }


def _environment(folder: Path, server: Server) -> dict[str, str]:
    return isolated_environment(folder) | {
        "SOURCES__PIVOTAL_TRACKER__BASE_URL": server.url,
        "SOURCES__PIVOTAL_TRACKER__API_TOKEN": server.token,
    }


def _loaded_rows(contender: Contender, folder: Path, expected: Rows) -> Rows:
    (database,) = folder.glob("*.duckdb")
    rows = rows_of_database(database)
    shortfall = contender.shortfall(rows, expected)
    if shortfall:
        differences = ", ".join(
            f"{name} {loaded:,} of {total:,}" for name, (loaded, total) in shortfall.items()
        )
        raise IncompleteError(f"{contender.name} did not load everything: {differences}")
    return rows
