"""Fixtures: a server to load from, and the command to load with, each in a folder of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tracker_server import TrackerServer
from tracker_server.made_up import made_up_workspace
from tracker_server.workspace import Workspace

from .truth import Tables, loaded_tables

ROOT = Path(__file__).parent.parent


@dataclass
class Command:
    """The command of the README, run as a process of its own in an empty folder."""

    folder: Path
    base_url: str = ""
    api_token: str = ""
    views: bool = True

    def __call__(
        self, *options: str, env: Mapping[str, str] | None = None, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Runs it to its end."""
        return subprocess.run(
            self.line(*options),
            cwd=self.folder,
            env=self.environment(env),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def python(
        self, script: str, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs a script in the command's place."""
        return subprocess.run(
            [sys.executable, "-c", script],
            cwd=self.folder,
            env=self.environment({"PYTHONPATH": str(ROOT), **(env or {})}),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def start(self, *options: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Starts it, for tests that do something meanwhile."""
        return subprocess.Popen(
            self.line(*options),
            cwd=self.folder,
            env=self.environment(env),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def line(self, *options: str) -> list[str]:
        """What is typed."""
        without = () if self.views else ("--no-views",)
        return [sys.executable, str(ROOT / "pivotal_tracker_pipeline.py"), *options, *without]

    def environment(self, env: Mapping[str, str] | None = None) -> dict[str, str]:
        """Nothing of the caller's that dlt would read, and waits that a test can bear."""
        ours = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "DLT_DATA_DIR": str(self.folder / "dlt"),
            "RUNTIME__REQUEST_BACKOFF_FACTOR": "0.01",
            "RUNTIME__REQUEST_TIMEOUT": "5",
            "COVERAGE_PROCESS_START": os.environ.get("COVERAGE_PROCESS_START", ""),
        }
        if self.base_url:
            ours["SOURCES__PIVOTAL_TRACKER__BASE_URL"] = self.base_url
        if self.api_token:
            ours["SOURCES__PIVOTAL_TRACKER__API_TOKEN"] = self.api_token
        return ours | dict(env or {})

    @property
    def database(self) -> Path:
        """Where the command puts what it loads."""
        return self.folder / "pivotal_tracker.duckdb"

    def tables(self) -> Tables:
        """What it has loaded."""
        return loaded_tables(self.database)


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """The command, pointed at no server; without views, which take a fifth of a small load."""
    folder = tmp_path / "run"
    folder.mkdir()
    shutil.copytree(ROOT / ".dlt", folder / ".dlt")
    return Command(folder, views=False)


@pytest.fixture
def small_workspace() -> Workspace:
    """Three projects of a made-up workspace."""
    return made_up_workspace(projects=3, stories=40, activity=150, seed=7)


@pytest.fixture
def serve(command: Command) -> Iterator[Callable[[Workspace], TrackerServer]]:
    """Serves a workspace and points the command at it."""
    servers: list[TrackerServer] = []

    def start(workspace: Workspace) -> TrackerServer:
        server = TrackerServer(workspace).__enter__()
        servers.append(server)
        command.base_url = server.url
        command.api_token = workspace.me["api_token"]
        return server

    yield start
    for server in servers:
        server.__exit__(None, None, None)


@pytest.fixture
def server(
    serve: Callable[[Workspace], TrackerServer], small_workspace: Workspace
) -> TrackerServer:
    """A server of the small workspace, which the command is pointed at."""
    return serve(small_workspace)
