"""The command of the README, run as a process in its own folder."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tracker_server import TrackerServer
from tracker_server.sample import generate_workspace
from tracker_server.workspace import Workspace

from .forking import ForkServer, Run, wait_for
from .truth import Tables, loaded_tables

ROOT = Path(__file__).parents[2]


LoadOnce = Callable[[Callable[[], Workspace]], "Command"]


@dataclass
class Command:
    """The command of the README, run as a process in an empty folder."""

    folder: Path
    base_url: str = ""
    api_token: str = ""
    views: bool = True
    fork_server: ForkServer | None = None

    def __call__(
        self, *options: str, env: Mapping[str, str] | None = None, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run it, and wait for its end."""
        return wait_for(self.start(*options, env=env), timeout)

    def python(
        self, script: str, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a script instead of the command; it can import this project, and has `sys`."""
        return wait_for(self.start_python(script, env), 60)

    def start_python(self, script: str, env: Mapping[str, str] | None = None) -> Run:
        """Start such a script."""
        file = self.folder / "script.py"
        file.write_text(f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{script}\n")
        assert self.fork_server is not None
        return self.fork_server.start([str(file)], self.folder, self.environment(env))

    def start(
        self, *options: str, env: Mapping[str, str] | None = None
    ) -> Run | subprocess.Popen[str]:
        """Start it, for tests that do something while it runs."""
        python, *line = self.line(*options)
        environment = self.environment(env)
        # PYTHONPATH has an effect only in a new interpreter
        if self.fork_server and "PYTHONPATH" not in environment:
            return self.fork_server.start(line, self.folder, environment)
        return subprocess.Popen(
            [python, *line],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def take_over(self, earlier: Command) -> None:
        """Copy the state of another command, as if this one had done its runs."""
        shutil.copytree(earlier.folder, self.folder, dirs_exist_ok=True)
        # dlt remembers the folder of the first run
        state = self.folder / "dlt" / "pipelines" / "pivotal_tracker" / "state.json"
        if state.exists():
            state.write_text(state.read_text().replace(str(earlier.folder), str(self.folder)))

    def line(self, *options: str) -> list[str]:
        """Return the command line."""
        without = () if self.views else ("--no-views",)
        return [sys.executable, str(ROOT / "pivotal_tracker_pipeline.py"), *options, *without]

    def environment(self, env: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return an environment without dlt's settings of the caller, and with short waits."""
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
        """The database that the command loads into."""
        return self.folder / "pivotal_tracker.duckdb"

    def tables(self) -> Tables:
        """Return what it has loaded."""
        return loaded_tables(self.database)

    def summary(self) -> dict[str, Any]:
        """Return what the last run with `--summary summary.json` wrote."""
        summary = json.loads((self.folder / "summary.json").read_text())
        assert isinstance(summary, dict)
        return summary


def new_command(fork_server: ForkServer, folder: Path) -> Command:
    """Make a command in a new folder; without views, which take a fifth of a small load."""
    folder.mkdir()
    shutil.copytree(ROOT / ".dlt", folder / ".dlt")
    return Command(folder, views=False, fork_server=fork_server)


@contextlib.contextmanager
def serving(workspace: Workspace, command: Command) -> Iterator[TrackerServer]:
    """Serve a workspace, and point the command at it."""
    with TrackerServer(workspace) as server:
        command.base_url, command.api_token = server.url, workspace.me["api_token"]
        yield server


def load_served(workspace: Workspace, command: Command, *options: str) -> None:
    """Serve a workspace for one run of the command, which must succeed."""
    with serving(workspace, command):
        result = command(*options)
    assert result.returncode == 0, result.stderr


def make_small_workspace() -> Workspace:
    """Generate a sample workspace with three projects."""
    return generate_workspace(projects=3, stories=40, activity=150, seed=7)
