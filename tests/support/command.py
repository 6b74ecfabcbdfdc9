"""The command of the README, run as a process of its own in a folder of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tracker_server import TrackerServer
from tracker_server.sample import generate_workspace
from tracker_server.workspace import Workspace

from .forking import Forking, Run, ended
from .truth import Tables, loaded_tables

ROOT = Path(__file__).parents[2]


LoadOnce = Callable[[Callable[[], Workspace]], "Command"]


@dataclass
class Command:
    """The command of the README, run as a process of its own in an empty folder."""

    folder: Path
    base_url: str = ""
    api_token: str = ""
    views: bool = True
    forking: Forking | None = None

    def __call__(
        self, *options: str, env: Mapping[str, str] | None = None, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Runs it to its end."""
        return ended(self.start(*options, env=env), timeout)

    def python(
        self, script: str, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs a script in the command's place, which finds this project and has `sys`."""
        file = self.folder / "script.py"
        file.write_text(f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{script}\n")
        assert self.forking is not None
        return ended(self.forking.start([str(file)], self.folder, self.environment(env)), 60)

    def start(
        self, *options: str, env: Mapping[str, str] | None = None
    ) -> Run | subprocess.Popen[str]:
        """Starts it, for tests that do something meanwhile."""
        python, *line = self.line(*options)
        environment = self.environment(env)
        # the variable is heeded by no interpreter but a new one
        if self.forking and "PYTHONPATH" not in environment:
            return self.forking.start(line, self.folder, environment)
        return subprocess.Popen(
            [python, *line],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def take_over(self, earlier: Command) -> None:
        """Puts its folder into the state of another's, as if it had done that one's runs."""
        shutil.copytree(earlier.folder, self.folder, dirs_exist_ok=True)
        # dlt remembers in which folder it was first run
        state = self.folder / "dlt" / "pipelines" / "pivotal_tracker" / "state.json"
        if state.exists():
            state.write_text(state.read_text().replace(str(earlier.folder), str(self.folder)))

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


def new_command(forking: Forking, folder: Path) -> Command:
    """The command in a new folder; without views, which take a fifth of a small load."""
    folder.mkdir()
    shutil.copytree(ROOT / ".dlt", folder / ".dlt")
    return Command(folder, views=False, forking=forking)


@contextlib.contextmanager
def serving(workspace: Workspace, command: Command) -> Iterator[TrackerServer]:
    """Serves a workspace and points the command at it."""
    with TrackerServer(workspace) as server:
        command.base_url, command.api_token = server.url, workspace.me["api_token"]
        yield server


def load_served(workspace: Workspace, command: Command, *options: str) -> None:
    """Serves a workspace for one run of the command, which must succeed."""
    with serving(workspace, command):
        result = command(*options)
    assert result.returncode == 0, result.stderr


def make_small_workspace() -> Workspace:
    """Three projects of a sample workspace."""
    return generate_workspace(projects=3, stories=40, activity=150, seed=7)
