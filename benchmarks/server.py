"""A `tracker_server` in a process of its own, as everyone who is measured reads from it."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
_ADDRESS = re.compile(r"(?P<url>http\S+) .*token (?P<token>\w+)")


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
    """Where a running server answers, and to which token."""

    url: str
    token: str


@contextlib.contextmanager
def serving(size: Size) -> Iterator[Server]:
    """A server of a made-up workspace, which ends with the context.

    Raises:
        RuntimeError: It did not start.
    """
    options = [f"--{name}={value}" for name, value in vars(size).items()]
    process = subprocess.Popen(
        [sys.executable, "-m", "tracker_server", "--port=0", *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline() if process.stdout else ""
        address = _ADDRESS.search(line)
        if address is None:
            raise RuntimeError(f"tracker_server did not say where it is, but: {line!r}")
        yield Server(**address.groupdict())
    finally:
        process.terminate()
        process.wait()
