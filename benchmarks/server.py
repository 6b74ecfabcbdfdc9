"""The server in a process of its own, as everyone who is measured reads from it."""

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
    """How much the server holds, and how far away it seems.

    Attributes:
        projects: How many projects.
        stories: Stories in each project.
        activity: Activities of each project.
        latency: Milliseconds before each answer.
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
    """A running server: where it answers, and to which token."""

    url: str
    token: str
    _process: subprocess.Popen[str]

    def rename(self, share: float) -> None:
        """Renames so many of the stories.

        Raises:
            RuntimeError: The server did not say that it has done so.
        """
        self._process.stdin.write(f"{share}\n")
        self._process.stdin.flush()
        if self._process.stdout.readline() != "done\n":
            raise RuntimeError("the server did not change what it serves")


@contextlib.contextmanager
def serving(size: Size) -> Iterator[Server]:
    """A server of a sample workspace, which ends with the context.

    Raises:
        RuntimeError: It did not start.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.served", *map(str, vars(size).values())],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        address = process.stdout.readline().split()
        if len(address) != 2:
            raise RuntimeError(f"the server did not say where it is, but: {address}")
        yield Server(*address, process)
    finally:
        process.terminate()
        process.wait()
