"""Fixtures: a server to load from, and the command to load with, each in a folder of its own."""

from __future__ import annotations

import contextlib
import functools
import gc
import os
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
from .support.forking import Forking, cache_dlt_lookups

LONGEST = (
    "bigquery",
    "pages",
    "incremental_loading",
    "failures",
    "archive",
    "killed",
    "shards",
    "views",
)
"""The files of tests to begin with, so that no processor is left alone with one of them."""

_INTERRUPT = "os.kill(os.getpid(), signal.SIGINT)"
INTERRUPTIONS = {
    "in a module": _INTERRUPT,
    "in a callback": f"weakref.ref(set(), lambda _: {_INTERRUPT})",
}
"""What interrupts an import; Python ignores exceptions in callbacks, such as those of its locks."""


def pytest_xdist_auto_num_workers() -> int:
    """Two more than there are processors: now and then tests wait for servers."""
    return (os.cpu_count() or 1) + 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Bring the longest files to the front."""
    places = {f"test_{name}.py": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


def pytest_collection_finish() -> None:
    """Save time that would go into what is imported by now: looked through, asked again."""
    gc.freeze()
    gc.set_threshold(200_000)
    cache_dlt_lookups()


@pytest.fixture(scope="session")
def forking() -> Iterator[Forking]:
    """What the command's processes are forked from."""
    with contextlib.closing(Forking()) as forking:
        yield forking


@pytest.fixture
def command(forking: Forking, tmp_path: Path) -> Command:
    """The command, pointed at no server."""
    return new_command(forking, tmp_path / "run")


@pytest.fixture
def small_workspace() -> Workspace:
    """Three projects of a sample workspace."""
    return make_small_workspace()


@pytest.fixture(scope="session")
def load_once(forking: Forking, tmp_path_factory: pytest.TempPathFactory) -> LoadOnce:
    """Load a workspace into a new folder, for all tests of what comes after that."""

    @functools.cache
    def load(make_workspace: Callable[[], Workspace]) -> Command:
        command = new_command(forking, tmp_path_factory.mktemp("loaded") / "run")
        load_served(make_workspace(), command)
        return command

    return load


@pytest.fixture
def loaded(command: Command, server: TrackerServer, load_once: LoadOnce) -> Command:
    """The command where it has loaded the small workspace, which `server` has."""
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
    """Serve a workspace and points the command at it."""
    with contextlib.ExitStack() as servers:
        yield lambda workspace: servers.enter_context(serving(workspace, command))


@pytest.fixture
def server(
    serve: Callable[[Workspace], TrackerServer], small_workspace: Workspace
) -> TrackerServer:
    """A server of the small workspace, which the command is pointed at."""
    return serve(small_workspace)
