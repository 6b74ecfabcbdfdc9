"""Runs scripts as processes of their own that need not import the libraries first.

Half of a short run is dlt's imports. Here they are done once, in a process that does nothing but
fork: each run has its own memory, folder, environment and end as any process has, and imports this
project's code itself.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import duckdb

_LIBRARIES = (
    "dlt",
    "dlt.destinations.impl.duckdb.sql_client",
    "dlt.sources.helpers.rest_client",
    "ijson",
    "orjson",
    "pandas",
    "pathvalidate",
    "pyarrow.compute",
    "pyarrow.parquet",
    "sqlglot.dialects.duckdb",
    "yaml",
)


class Forking:
    """A process with the libraries loaded, for as many runs as are wanted, one after another."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                # they start threads when imported, and a fork has but one
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            )
        self._socket = ours

    def close(self) -> None:
        """Ends it."""
        self._socket.close()
        self._process.wait(10)

    def run(
        self, line: Sequence[str], cwd: Path, env: Mapping[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Runs a script with its arguments to its end, as `subprocess.run` would.

        Raises:
            subprocess.TimeoutExpired: It took longer than `timeout` seconds, and was killed.
        """
        with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
            task = json.dumps({"line": list(line), "cwd": str(cwd), "env": dict(env)}).encode()
            socket.send_fds(
                self._socket, [len(task).to_bytes(4)], [stdout.fileno(), stderr.fileno()]
            )
            self._socket.sendall(task)
            process_id = int.from_bytes(_exactly(self._socket, 4))
            self._socket.settimeout(timeout)
            try:
                code = int.from_bytes(_exactly(self._socket, 4), signed=True)
            except TimeoutError:
                os.kill(process_id, signal.SIGKILL)
                self._socket.settimeout(None)
                _exactly(self._socket, 4)
                raise subprocess.TimeoutExpired(list(line), timeout) from None
            self._socket.settimeout(None)
            said = [_all_of(stdout), _all_of(stderr)]
        return subprocess.CompletedProcess(list(line), code, *said)


def _all_of(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


def _exactly(connection: socket.socket, size: int) -> bytes:
    received = connection.recv(size, socket.MSG_WAITALL)
    if len(received) < size:
        raise ConnectionError("the process that forks has ended")
    return received


def _serve(connection: socket.socket) -> None:
    """Forks a process for each task that comes, and tells its id and how it ended."""
    for library in _LIBRARIES:
        importlib.import_module(library)
    duckdb.close()  # it opens a database when imported, whose thread no fork would have
    while True:
        size, files, _, _ = socket.recv_fds(connection, 4, 2)
        if not size:
            return
        task = json.loads(_exactly(connection, int.from_bytes(size)))
        process_id = os.fork()
        if not process_id:
            connection.close()
            _become(task, files)
            return
        for file in files:
            os.close(file)
        connection.sendall(process_id.to_bytes(4))
        code = os.waitstatus_to_exitcode(os.waitpid(process_id, 0)[1])
        connection.sendall(code.to_bytes(4, signed=True))


def _become(task: dict[str, Any], files: list[int]) -> None:
    """Makes this process what it would be if it had just been started for the task."""
    for file, place in zip(files, (1, 2), strict=True):
        os.dup2(file, place)
        os.close(file)
    os.environ.clear()
    os.environ.update(task["env"])
    os.chdir(task["cwd"])
    sys.argv = task["line"]
    sys.path[0] = str(Path(sys.argv[0]).parent)
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as tasks:
        _serve(tasks)
