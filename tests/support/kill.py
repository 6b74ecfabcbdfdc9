"""Kill a run of the command at a given point."""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping, Set
from dataclasses import dataclass

from tracker_server import TrackerServer

from .command import Command
from .forking import Run

REQUESTS = "requests"
EXTRACTED = "normalize/extracted/*/new_jobs/*"
NORMALIZING = "load/new/*/new_jobs/*"
NORMALIZED = "load/normalized/*/new_jobs/*"
LOADED = "load/normalized/*/completed_jobs/*"
ENDED = "load/loaded/*/completed_jobs/*"


@dataclass(frozen=True)
class KillPoint:
    """When to kill a run: after so many requests, or files that match a pattern."""

    what: str
    count: int

    def is_reached(self, command: Command, server: TrackerServer) -> bool:
        if self.what == REQUESTS:
            return len(server.requests) >= self.count
        pipeline = command.folder / "dlt" / "pipelines" / "pivotal_tracker"
        return sum(1 for _ in pipeline.glob(self.what)) >= self.count


def wait_for_points(
    points: Set[KillPoint], command: Command, server: TrackerServer, run: Run
) -> Set[KillPoint]:
    """Wait until a point is reached; return all that are."""
    while not (reached := {point for point in points if point.is_reached(command, server)}):
        assert run.poll() is None, f"it ended before {points}"
        time.sleep(0.002)
    return reached


def kill_at(
    point: KillPoint,
    command: Command,
    server: TrackerServer,
    *options: str,
    env: Mapping[str, str] | None = None,
) -> None:
    """Run the command, and kill it at a point."""
    server.requests.clear()
    run = command.start(*options, env=env)
    wait_for_points({point}, command, server, run)
    run.kill()
    run.communicate(timeout=60)
    assert run.returncode == -signal.SIGKILL


def mark_jobs_as_started(command: Command) -> None:
    """Make loaded files look as if the run was killed before dlt recorded them as completed.

    Files of tables whose merge job has started are left as they are: dlt starts that job only after
    it has recorded them.
    """
    packages = command.folder / "dlt" / "pipelines" / "pivotal_tracker" / "load" / "normalized"
    (completed,) = packages.glob("*/completed_jobs")
    package = completed.parent
    moved = 0
    for file in [file for file in package.glob("completed_jobs/*") if file.suffix != ".sql"]:
        merges = list(package.glob(f"*_jobs/{file.name.split('.')[0]}.*.sql"))
        if any(merge.parent.name != "new_jobs" for merge in merges):
            continue
        for merge in merges:
            merge.unlink()
        file.rename(package / "started_jobs" / file.name)
        moved += 1
    assert moved
