"""Fixtures: a server to load from, and the command to load with, each in a folder of its own."""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tracker_server import TrackerServer
from tracker_server.workspace import Workspace

from .support.command import (
    Command,
    LoadOnce,
    load_served,
    make_small_workspace,
    new_command,
    serving,
)
from .support.forking import ForkServer, cache_dlt_lookups, run_fork_server

LONGEST = (
    "workspaces",
    "pages",
    "browsing",
    "bigquery",
    "dbt",
    "data_safety",
    "incremental_loading",
    "sources",
    "failures",
    "litetracker",
    "archive",
    "data",
    "load",
    "interrupted_runs",
    "limits",
    "platforms",
    "shards",
    "views",
    "csv",
    "delta",
    "packaging",
    "schedules",
    "search",
)
"""The longest test files, which run first, so that none of them runs alone at the end."""

FORK_SERVER = "TEST_FORK_SERVER"
"""The environment variable with the address of the workers' fork server."""

MEMORY = Path("/dev/shm")  # noqa: S108 - of Linux
MEMORY_NEEDED = 4_000_000_000
"""Bytes, several times what all tests take at once."""

_INTERRUPT = "os.kill(os.getpid(), signal.SIGINT)"
INTERRUPTIONS = {
    "in a module": _INTERRUPT,
    "in a callback": f"weakref.ref(set(), lambda _: {_INTERRUPT})",
}
"""What interrupts an import; Python ignores exceptions in callbacks, such as those of its locks."""


def pytest_xdist_auto_num_workers() -> int:
    """Run more workers than there are processors, because tests wait for servers and disks."""
    return 5 * (os.cpu_count() or 1) // 2


def pytest_configure(config: pytest.Config) -> None:
    """Accept Ctrl-C, keep the folders of tests in memory, and share a process that forks.

    A shell that starts the tests in the background has Ctrl-C ignored. On a disk, each commit of a
    database waits until it is written. All workers fork from a process of the one that starts them.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > MEMORY_NEEDED:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))
    if config.getoption("numprocesses", None):
        until_the_end = contextlib.ExitStack()
        config.add_cleanup(until_the_end.close)
        os.environ[FORK_SERVER] = until_the_end.enter_context(run_fork_server()).address


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the longest files first."""
    places = {f"test_{name}.py": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


def pytest_collection_finish() -> None:
    """Exclude imported modules from garbage collection, and cache lookups in dlt."""
    gc.freeze()
    gc.set_threshold(200_000)
    cache_dlt_lookups()


@pytest.fixture(scope="session")
def fork_server() -> Iterator[ForkServer]:
    """The process from which commands are forked."""
    if FORK_SERVER in os.environ:
        yield ForkServer(os.environ[FORK_SERVER])
        return
    with run_fork_server() as fork_server:
        yield fork_server


@pytest.fixture
def command(fork_server: ForkServer, tmp_path: Path) -> Command:
    """The command, without a server."""
    return new_command(fork_server, tmp_path / "run")


@pytest.fixture
def small_workspace() -> Workspace:
    """Three projects of a sample workspace."""
    return make_small_workspace()


@pytest.fixture(scope="session")
def load_once(fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> LoadOnce:
    """Load a workspace into a new folder, once for all tests of later runs."""

    @functools.cache
    def load(make_workspace: Callable[[], Workspace]) -> Command:
        command = new_command(fork_server, tmp_path_factory.mktemp("loaded") / "run")
        load_served(make_workspace(), command)
        return command

    return load


@pytest.fixture
def loaded(command: Command, server: TrackerServer, load_once: LoadOnce) -> Command:
    """The command after it has loaded the small workspace, which `server` has."""
    command.take_over(load_once(make_small_workspace))
    return command


@pytest.fixture(params=INTERRUPTIONS)
def interruption_in_dlt(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder for PYTHONPATH, with a dlt that interrupts the process while it is imported."""
    folder = tmp_path / "interrupting"
    folder.mkdir()
    (folder / "dlt.py").write_text("import os, signal, weakref\n" + INTERRUPTIONS[request.param])
    return folder


@pytest.fixture
def serve(command: Command) -> Iterator[Callable[[Workspace], TrackerServer]]:
    """Serve a workspace, and point the command at it."""
    with contextlib.ExitStack() as servers:
        yield lambda workspace: servers.enter_context(serving(workspace, command))


@pytest.fixture
def server(
    serve: Callable[[Workspace], TrackerServer], small_workspace: Workspace
) -> TrackerServer:
    """Serve the small workspace, and point the command at it."""
    return serve(small_workspace)
