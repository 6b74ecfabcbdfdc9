"""Runs scripts as processes of their own that need not import the libraries first.

Half of a short run is imports. Here they are done once, in a process that does nothing but fork:
each run has its own memory, folder, environment and end as any process has, and imports this
project's code itself.
"""

from __future__ import annotations

import functools
import gc
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
from typing import IO, TYPE_CHECKING, Any

import duckdb

if TYPE_CHECKING:
    from dlt import Schema

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
    "sqlalchemy",
    "sqlglot.dialects.duckdb",
    "yaml",
)

_NUMBER = 4
"""The bytes of a number that is told."""


class Run:
    """A script that runs, with what `subprocess.Popen` offers of such."""

    def __init__(self, line: Sequence[str], keeper: socket.socket, *output: IO[str]) -> None:
        self.args = list(line)
        self.returncode: int | None = None
        self._keeper = keeper
        self._output = output
        self.pid = _received(keeper)

    def poll(self) -> int | None:
        """How it ended, None while it runs."""
        return self._wait(0)

    def send_signal(self, number: int) -> None:
        """Sends it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Ends it at once."""
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float = 120) -> tuple[str, str]:
        """Waits for its end; what it wrote to stdout and to stderr.

        Raises:
            subprocess.TimeoutExpired: It took longer than `timeout` seconds, and was killed.
        """
        if self._wait(timeout) is None:
            self.kill()
            raise subprocess.TimeoutExpired(self.args, timeout)
        stdout, stderr = map(_whole, self._output)
        return stdout, stderr

    def _wait(self, timeout: float) -> int | None:
        if self.returncode is None:
            self._keeper.settimeout(timeout)
            try:
                self.returncode = _received(self._keeper)
            except (TimeoutError, BlockingIOError):
                return None
            self._keeper.close()
        return self.returncode


def ended(run: Run | subprocess.Popen[str], timeout: float) -> subprocess.CompletedProcess[str]:
    """Waits for a run's end; what it came to.

    Raises:
        subprocess.TimeoutExpired: It took longer than `timeout` seconds.
    """
    stdout, stderr = run.communicate(timeout=timeout)
    assert run.returncode is not None
    return subprocess.CompletedProcess(run.args, run.returncode, stdout, stderr)


class Forking:
    """A process with the libraries loaded, from which as many runs are forked as are wanted."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                # whose threads start when it is imported, and a fork has but one
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            )
        self._socket = ours

    def close(self) -> None:
        """Ends it."""
        self._socket.close()
        self._process.wait(10)

    def start(self, line: Sequence[str], cwd: Path, env: Mapping[str, str]) -> Run:
        """Starts a script, the first of the line, with its arguments."""
        stdout = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed when read
        stderr = tempfile.TemporaryFile("w+")  # noqa: SIM115
        ours, theirs = socket.socketpair()
        task = json.dumps({"line": list(line), "cwd": str(cwd), "env": dict(env)}).encode()
        with theirs:
            files = [stdout.fileno(), stderr.fileno(), theirs.fileno()]
            socket.send_fds(self._socket, [len(task).to_bytes(_NUMBER)], files)
        self._socket.sendall(task)
        return Run(line, ours, stdout, stderr)


def cache_dlt_lookups() -> None:
    """Have dlt compute once what does not change, which saves a fifth of a small load.

    This is whether a type is a secret's, which it asks for each setting, and the current schema,
    which it reads from its file each time. With UNPATCHED_DLT set, dlt is left as it is: one job in
    CI runs all tests so.
    """
    if os.environ.get("UNPATCHED_DLT"):
        return
    from dlt.common.configuration.specs import base_configuration
    from dlt.common.storages.live_schema_storage import LiveSchemaStorage

    ask = base_configuration.is_secret_hint
    kept = functools.cache(ask)
    for module in list(sys.modules.values()):
        if vars(module).get("is_secret_hint") is ask:
            vars(module)["is_secret_hint"] = kept

    read = LiveSchemaStorage.__getitem__

    def schema_in_use(self: LiveSchemaStorage, name: str) -> Schema:
        file = Path(self.config.schema_volume_path, f"{name}.schema.json")
        written = file.stat().st_mtime_ns if file.exists() else None
        schema, when = vars(self).setdefault("read", {}).get(name, (None, None))
        if when is None or when != written or schema is not self.live_schemas.get(name):
            schema = read(self, name)
            vars(self)["read"][name] = schema, written
        return schema

    LiveSchemaStorage.__getitem__ = schema_in_use  # type: ignore[method-assign]


def _whole(file: IO[str]) -> str:
    with file:
        file.seek(0)
        return file.read()


def _received(connection: socket.socket) -> int:
    told = connection.recv(_NUMBER, socket.MSG_WAITALL)
    if len(told) < _NUMBER:
        raise ConnectionError("the process that forks has ended")
    return int.from_bytes(told, signed=True)


def _tell(connection: socket.socket, number: int) -> None:
    connection.sendall(number.to_bytes(_NUMBER, signed=True))


def _serve(tasks: socket.socket) -> None:
    """Forks a process for each task that comes, and one beside it that tells how it ends."""
    for library in _LIBRARIES:
        importlib.import_module(library)
    cache_dlt_lookups()
    # what is loaded here stays for as long as a run does: no run looks for garbage in it
    gc.freeze()
    gc.set_threshold(200_000)
    duckdb.close()  # it opens a database when imported, whose thread no fork would have
    keepers = 0
    while True:
        size, files, _, _ = socket.recv_fds(tasks, _NUMBER, 3)
        if not size:
            return
        task = json.loads(tasks.recv(int.from_bytes(size), socket.MSG_WAITALL))
        if not os.fork():
            tasks.close()
            _keep(task, files)
            return
        keepers += 1
        for file in files:
            os.close(file)
        while keepers and os.waitpid(-1, os.WNOHANG)[0]:
            keepers -= 1


def _keep(task: dict[str, Any], files: list[int]) -> None:
    """Forks the process of a task, and tells its id and its end."""
    *output, told = files
    with socket.socket(fileno=told) as connection:
        process_id = os.fork()
        if process_id:
            _tell(connection, process_id)
            _tell(connection, os.waitstatus_to_exitcode(os.waitpid(process_id, 0)[1]))
            os._exit(0)
    _become(task, output)


def _become(task: dict[str, Any], output: list[int]) -> None:
    """Makes this process what it would be if it had just been started for the task."""
    for file, place in zip(output, (1, 2), strict=True):
        os.dup2(file, place)
        os.close(file)
    # ignored in what a shell has started in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(task["env"])
    os.chdir(task["cwd"])
    sys.argv = task["line"]
    sys.path[0] = str(Path(sys.argv[0]).parent)
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as tasks:
        _serve(tasks)
