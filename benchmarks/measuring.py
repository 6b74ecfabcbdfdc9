"""Measures one contender: a fresh process in a fresh folder, from its start to its end."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from .contenders import Contender
from .rows import Rows, rows_of_database
from .server import ROOT, Server

_BYTES_OF_MAXRSS = 1 if sys.platform == "darwin" else 1024
_REQUESTS = re.compile(r"([\d,]+) requests")


class IncompleteError(Exception):
    """A contender failed, or did not load what the server holds: its time means nothing."""


@dataclass(frozen=True)
class Measurement:
    """One run of one contender.

    Attributes:
        seconds: Wall-clock time of the whole process, start-up included.
        peak_memory: Its highest resident memory, in MB (10⁶ bytes).
        rows: What it loaded.
        requests: How many it made; None where it does not say.
    """

    seconds: float
    peak_memory: float
    rows: int
    requests: int | None


def measure(contender: Contender, server: Server, expected: Rows) -> Measurement:
    """Runs a contender once.

    Args:
        contender: Who.
        server: What it reads.
        expected: What it has to load.

    Raises:
        IncompleteError: It failed, or did not load everything.
    """
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        contender.prepare(folder)
        output = folder / "output.txt"
        with output.open("w") as file:
            began = time.perf_counter()
            process = subprocess.Popen(
                [sys.executable, *contender.command(server)],
                cwd=folder,
                env=os.environ | _environment(folder, server),
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
            raise IncompleteError(f"{contender.name} ended with {process.returncode}:\n{said}")
        rows = _loaded(contender, folder, expected)
    requests = _REQUESTS.search(said)
    return Measurement(
        seconds=seconds,
        peak_memory=usage.ru_maxrss * _BYTES_OF_MAXRSS / 1e6,
        rows=rows.total(),
        requests=int(requests[1].replace(",", "")) if requests else None,
    )


def _environment(folder: Path, server: Server) -> dict[str, str]:
    return {
        "PYTHONPATH": str(ROOT),
        "DLT_DATA_DIR": str(folder / "dlt"),
        # a machine without a way out would wait for it in vain, one with it would report
        "RUNTIME__DLTHUB_TELEMETRY": "false",
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
