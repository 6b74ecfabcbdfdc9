"""Run scripts in processes that do not need to import the libraries first.

Half of a short run is imports. Here they are done once, in a process that only forks. Each run has
its own memory, folder, environment and exit code, as any process. A script beside a copy of this
project imports that copy.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn

import duckdb

if TYPE_CHECKING:
    from dlt import Schema

_ROOT = Path(__file__).parents[2]
_PACKAGE = "pivotal_tracker"

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
_MODULES = (f"{_PACKAGE}.cli.main", f"{_PACKAGE}.load.arrow_tables")

_NUMBER = 4
"""The size in bytes of a number in a message."""


class Run:
    """A running script, with some methods of `subprocess.Popen`."""

    def __init__(self, line: Sequence[str], keeper: socket.socket, *output: IO[str]) -> None:
        self.args = list(line)
        self.returncode: int | None = None
        self._keeper = keeper
        self._output = output
        self.pid = _receive(keeper)

    def poll(self) -> int | None:
        """Return the exit code; None while it runs."""
        return self._wait(0)

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the script has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the script."""
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float = 120) -> tuple[str, str]:
        """Wait for the end; return what was written to stdout and stderr.

        Raises:
            subprocess.TimeoutExpired: It took longer than `timeout` seconds, and was killed.
        """
        if self._wait(timeout) is None:
            self.kill()
            raise subprocess.TimeoutExpired(self.args, timeout)
        stdout, stderr = map(_read_all, self._output)
        return stdout, stderr

    def _wait(self, timeout: float) -> int | None:
        if self.returncode is None:
            self._keeper.settimeout(timeout)
            try:
                self.returncode = _receive(self._keeper)
            except (TimeoutError, BlockingIOError):
                return None
            self._keeper.close()
        return self.returncode


def wait_for(run: Run | subprocess.Popen[str], timeout: float) -> subprocess.CompletedProcess[str]:
    """Wait for the end of a run; return its result.

    Raises:
        subprocess.TimeoutExpired: It took longer than `timeout` seconds.
    """
    stdout, stderr = run.communicate(timeout=timeout)
    assert run.returncode is not None
    return subprocess.CompletedProcess(run.args, run.returncode, stdout, stderr)


@dataclass
class ForkServer:
    """A process with the libraries loaded, from which runs are forked.

    Calling `main([...])` in the process of the tests takes a little less time, but a run affects
    later ones: dlt reads its settings for logging, Slack and Sentry once per process, may use the
    `secrets.toml` of an earlier run, and leaves connections to the database open. 11 of 126 tests
    of the command failed for these reasons, and none of them when forked. CPU seconds of a run
    that loads `labels`, and of one that loads all tables:

        called               0.4    1.4
        forked               0.5    1.5
        in a new interpreter 1.5    2.7

    Tests of the source alone run it in their own process, as `Mirror` does.

    Attributes:
        address: The path of the socket where it accepts tasks, from any process.
    """

    address: str

    def start(self, line: Sequence[str], cwd: Path, env: Mapping[str, str]) -> Run:
        """Start a script: the line has its path and its arguments."""
        stdout = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed when read
        stderr = tempfile.TemporaryFile("w+")  # noqa: SIM115
        ours, theirs = socket.socketpair()
        task = json.dumps({"line": list(line), "cwd": str(cwd), "env": dict(env)}).encode()
        with theirs, socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self.address)
            files = [stdout.fileno(), stderr.fileno(), theirs.fileno()]
            socket.send_fds(connection, [len(task).to_bytes(_NUMBER)], files)
            connection.sendall(task)
        return Run(line, ours, stdout, stderr)


@contextlib.contextmanager
def run_fork_server() -> Iterator[ForkServer]:
    """Start a fork server, and end it."""
    ours, theirs = socket.socketpair()
    with (
        tempfile.TemporaryDirectory(prefix="fork-server-") as folder,
        socket.socket(socket.AF_UNIX) as tasks,
    ):
        tasks.bind(f"{folder}/tasks")
        tasks.listen()
        files = [tasks.fileno(), theirs.fileno()]
        with subprocess.Popen(
            [sys.executable, __file__, *map(str, files)],
            pass_fds=files,
            # its threads would start on import, and a fork has only one thread
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        ):
            theirs.close()
            with ours:
                yield ForkServer(f"{folder}/tasks")


def cache_dlt_lookups() -> None:
    """Cache results in dlt that do not change, which saves a quarter of a small load.

    dlt checks for each setting whether its type is secret, evaluates the annotations of each
    dictionary that it validates, and reads the current schema from its file each time. With
    UNPATCHED_DLT set, nothing is cached: one job in CI runs all tests so.
    """
    if os.environ.get("UNPATCHED_DLT"):
        return
    from dlt.common import validation
    from dlt.common.configuration.specs import base_configuration
    from dlt.common.storages.live_schema_storage import LiveSchemaStorage

    original = base_configuration.is_secret_hint
    cached = functools.cache(original)
    for module in list(sys.modules.values()):
        if vars(module).get("is_secret_hint") is original:
            vars(module)["is_secret_hint"] = cached

    evaluate = validation.get_type_hints

    @functools.cache
    def hints_of(spec: type) -> dict[str, Any]:
        return evaluate(spec, vars(sys.modules[spec.__module__]))

    vars(validation)["get_type_hints"] = lambda spec, globalns: hints_of(spec)

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


def _read_all(file: IO[str]) -> str:
    with file:
        file.seek(0)
        return file.read()


def _receive(connection: socket.socket) -> int:
    message = connection.recv(_NUMBER, socket.MSG_WAITALL)
    if len(message) < _NUMBER:
        raise ConnectionError("the process that forks has ended")
    return int.from_bytes(message, signed=True)


def _send(connection: socket.socket, number: int) -> None:
    connection.sendall(number.to_bytes(_NUMBER, signed=True))


def _serve(tasks: socket.socket, owner: socket.socket) -> None:
    """Fork two processes for each task: one runs it, the other reports its exit code.

    Args:
        tasks: Listens for tasks.
        owner: Is closed when the tests have ended.
    """
    sys.path.insert(0, str(_ROOT))
    for module in (*_LIBRARIES, *_MODULES):
        importlib.import_module(module)
    cache_dlt_lookups()
    # the garbage collector of runs skips what is loaded here
    gc.freeze()
    gc.set_threshold(200_000)
    duckdb.close()  # the import opens a database, whose thread a fork would not have
    keepers = 0
    while owner not in select.select([tasks, owner], [], [])[0]:
        connection, _ = tasks.accept()
        with connection:
            size, files, _, _ = socket.recv_fds(connection, _NUMBER, 3)
            task = json.loads(connection.recv(int.from_bytes(size), socket.MSG_WAITALL))
        if not os.fork():
            tasks.close()
            owner.close()
            _keep(task, files)
            return
        keepers += 1
        for file in files:
            os.close(file)
        while keepers and os.waitpid(-1, os.WNOHANG)[0]:
            keepers -= 1


def _keep(task: dict[str, Any], files: list[int]) -> None:
    """Fork the process of a task, and report its id and its exit code."""
    *output, channel = files
    with socket.socket(fileno=channel) as connection:
        process_id = os.fork()
        if process_id:
            _send(connection, process_id)
            _send(connection, os.waitstatus_to_exitcode(os.waitpid(process_id, 0)[1]))
            os._exit(0)
    _run_script(task, output)


def _run_script(task: dict[str, Any], output: list[int]) -> None:
    """Set up this process as if it had just been started, and run the script."""
    for file, place in zip(output, (1, 2), strict=True):
        os.dup2(file, place)
        os.close(file)
    # a shell ignores SIGINT in background processes
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(task["env"])
    os.chdir(task["cwd"])
    sys.argv = task["line"]
    folder = Path(sys.argv[0]).parent
    sys.path[:2] = [str(folder)]
    if folder != _ROOT and (folder / _PACKAGE).exists():
        for name in [name for name in sys.modules if name.partition(".")[0] == _PACKAGE]:
            del sys.modules[name]
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as ended:
        if not isinstance(ended.code, int):
            raise
        exit_code = ended.code
    else:
        exit_code = 0
    _end(exit_code)


def _end(exit_code: int) -> NoReturn:
    """End this process as the interpreter does, except that loaded modules are not cleared.

    Clearing them copies the memory that is shared with the fork server: 0.1 s of CPU.
    """
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)


if __name__ == "__main__":
    with (
        socket.socket(fileno=int(sys.argv[1])) as tasks,
        socket.socket(fileno=int(sys.argv[2])) as owner,
    ):
        _serve(tasks, owner)
