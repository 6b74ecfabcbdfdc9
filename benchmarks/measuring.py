"""Measures one contender: a fresh process in a fresh folder, from its start to its end."""

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
from .rows import Rows, rows_of_database, rows_of_server
from .server import ROOT, Server

_BYTES_OF_MAXRSS = 1 if sys.platform == "darwin" else 1024
_REQUESTS = re.compile(r"([\d,]+) requests")
_WRITTEN = re.compile(r"Loaded ([\d,]+) rows")


class IncompleteError(Exception):
    """A contender failed, or did not load what the server holds: its time means nothing."""


@dataclass(frozen=True)
class Measurement:
    """One run of one contender.

    Attributes:
        seconds: Wall-clock time of the whole process, start-up included.
        peak_memory: Its highest resident memory, in MB (10⁶ bytes).
        rows: What the database holds; of a later run, what it wrote.
        requests: How many it made; None where it does not say.
        written: The rows that it says it has written.
    """

    seconds: float
    peak_memory: float
    rows: int
    requests: int | None
    written: int | None


def measure_all(contender: Contender, server: Server, expected: Rows) -> dict[str, Measurement]:
    """Runs a contender once in a fresh folder, then again there for whatever it is run again for.

    Args:
        contender: Who.
        server: What it reads.
        expected: What it has to load at first.

    Returns:
        The runs by their letters.

    Raises:
        IncompleteError: It failed, or did not load everything.
    """
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        contender.prepare(folder)
        runs = {contender.letter: measure(contender, server, expected, folder)}
        for again in contender.again:
            if again.share:
                server.rename(again.share)
                expected = rows_of_server(server)
            run = measure(contender, server, expected, folder)
            runs[again.letter] = replace(run, rows=run.written or 0)
    return runs


def measure(contender: Contender, server: Server, expected: Rows, folder: Path) -> Measurement:
    """Runs a contender once in a folder.

    Raises:
        IncompleteError: It failed, or did not load everything.
    """
    process = timed(contender.name, contender.command(server), folder, _environment(folder, server))
    return Measurement(
        seconds=process.seconds,
        peak_memory=process.peak_memory,
        rows=_loaded(contender, folder, expected).total(),
        requests=_number(_REQUESTS, process.said),
        written=_number(_WRITTEN, process.said),
    )


class Timed(NamedTuple):
    """A process that has run: seconds of wall-clock time, MB of memory at most, and its output."""

    seconds: float
    peak_memory: float
    said: str


def timed(name: str, arguments: Sequence[str], folder: Path, environment: dict[str, str]) -> Timed:
    """Runs Python in a folder, from its start to its end.

    Raises:
        IncompleteError: It failed.
    """
    output = folder / "output.txt"
    with output.open("w") as file:
        began = time.perf_counter()
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
        seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    said = output.read_text()
    if process.returncode:
        raise IncompleteError(f"{name} ended with {process.returncode}:\n{said}")
    return Timed(seconds, usage.ru_maxrss * _BYTES_OF_MAXRSS / 1e6, said)


def seconds_to_import_dlt(times: int) -> list[float]:
    """Time `import dlt` in fresh processes: what no run can do without."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        runs = [
            timed("import dlt", ["-c", "import dlt"], folder, dlt_alone_in(folder))
            for _ in range(times + 1)
        ]
    # the first one is for the disk's cache
    return [run.seconds for run in runs[1:]]


def _number(pattern: re.Pattern[str], said: str) -> int | None:
    found = pattern.search(said)
    return int(found[1].replace(",", "")) if found else None


def dlt_alone_in(folder: Path) -> dict[str, str]:
    """An environment in which dlt keeps to a folder."""
    return {
        "PYTHONPATH": str(ROOT),
        "DLT_DATA_DIR": str(folder / "dlt"),
        # a machine without a way out would wait for it in vain, one with it would report
        "RUNTIME__DLTHUB_TELEMETRY": "false",
    }


def _environment(folder: Path, server: Server) -> dict[str, str]:
    return dlt_alone_in(folder) | {
        "SOURCES__PIVOTAL_TRACKER__BASE_URL": server.url,
        "SOURCES__PIVOTAL_TRACKER__API_TOKEN": server.token,
    }


def _loaded(contender: Contender, folder: Path, expected: Rows) -> Rows:
    (database,) = folder.glob("*.duckdb")
    rows = rows_of_database(database)
    shortfall = contender.shortfall(rows, expected)
    if shortfall:
        differences = ", ".join(
            f"{name} {loaded:,} of {due:,}" for name, (loaded, due) in shortfall.items()
        )
        raise IncompleteError(f"{contender.name} did not load what there is: {differences}")
    return rows
