"""The server that all contenders load from, in a process of its own."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Size:
    """The size of the workspace, and the latency of the server.

    Attributes:
        projects: The number of projects.
        stories: Stories in each project.
        activity: Activities of each project.
        latency: Milliseconds before each response.
    """

    projects: int
    stories: int
    activity: int
    latency: float

    def __str__(self) -> str:
        return (
            f"{self.projects:,} projects of {self.stories:,} stories and {self.activity:,} "
            f"activities each, {self.latency:g} ms latency"
        )


@dataclass(frozen=True)
class Server:
    """A running server."""

    url: str
    token: str
    _process: subprocess.Popen[str]

    def rename(self, share: float) -> None:
        """Rename a share of the stories.

        Raises:
            RuntimeError: The server did not confirm it.
        """
        self._process.stdin.write(f"{share}\n")
        self._process.stdin.flush()
        if self._process.stdout.readline() != "done\n":
            raise RuntimeError("the server did not rename the stories")


@contextlib.contextmanager
def serving(size: Size) -> Iterator[Server]:
    """Start a server with a sample workspace, and stop it at the end.

    Raises:
        RuntimeError: It did not start.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.server_process", *map(str, vars(size).values())],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        address = process.stdout.readline().split()
        if len(address) != 2:
            raise RuntimeError(f"the server did not print its URL and token, but: {address}")
        yield Server(*address, process)
    finally:
        process.terminate()
        process.wait()
