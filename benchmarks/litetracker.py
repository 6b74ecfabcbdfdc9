"""`python -m benchmarks.litetracker` measures loads from a server in LiteTracker's dialect."""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import duckdb

from .measurement import isolated_environment, run_python
from .server import ROOT

EDITS = 20
"""The number of stories that are edited between two runs, and of others that get a comment."""

_COMMAND = str(ROOT / "pivotal_tracker_pipeline.py")
_PREFIX = "SOURCES__PIVOTAL_TRACKER__"


def main() -> int:
    """Run the measurements and print a table.

    Returns:
        0; 1 if a database is not exact.
    """
    options = _options()
    with _serving(options) as server, tempfile.TemporaryDirectory(prefix="litetracker-") as name:
        folder, killed = Path(name) / "run", Path(name) / "killed"
        print(f"{'':36}{'requests':>9}{'comments':>9}{'seconds':>9}{'MB':>6}  exact", flush=True)
        results = [
            _measure("first run", server, folder),
            _measure("run without changes", server, folder),
        ]
        _send(server, "edit")
        started = time.time()
        results.append(_measure(f"run after {EDITS} comments, {EDITS} edits", server, folder))
        # as if a thirtieth of the period had passed since the last run
        days = 30 * (time.time() - started) / 86_400
        results.append(_measure("run with a 30th re-checked", server, folder, days=days))
        _kill_halfway(server, killed, options.projects * options.stories // 2)
        results.append(_measure("the same, resumed", server, killed))
        _send(server, "stop")
    return 0 if all(results) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.litetracker",
        description="Measure loads from a server in LiteTracker's dialect.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--projects", type=int, default=20, help="projects of the workspace")
    parser.add_argument(
        "--stories", type=int, default=950, help="stories of each project, 274 or more"
    )
    parser.add_argument("--activity", type=int, default=300, help="activities of each project")
    parser.add_argument(
        "--latency", type=float, default=30, help="milliseconds before each response"
    )
    return parser.parse_args()


@contextmanager
def _serving(options: argparse.Namespace) -> Iterator[Connection]:
    """Start the server in its own process; yield the connection for commands."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, vars(options)), daemon=True)
    process.start()
    try:
        yield ours
    finally:
        process.terminate()
        process.join()


def _serve(commands: Connection, options: dict[str, Any]) -> None:
    """Serve a sample workspace, and execute commands until `stop`."""
    from tracker_server import TrackerServer, litetracker
    from tracker_server.sample import generate_workspace
    from tracker_server.workspace import MOVES_UPDATED_AT

    latency = options.pop("latency") / 1000
    workspace = generate_workspace(
        **options, moves_updated_at=MOVES_UPDATED_AT - {"owner_ids", "comment"}
    )
    gc.freeze()
    behaviour = litetracker()
    behaviour.latency = latency
    with TrackerServer(workspace, behaviour=behaviour) as server:
        while (command := commands.recv()) != "stop":
            if command == "address":
                commands.send((server.url, workspace.me["api_token"]))
            elif command == "requests":
                commands.send(Counter(request.template for request in server.requests))
                server.requests.clear()
            elif command == "edit":
                _edit(workspace)
                commands.send(None)
            else:
                commands.send(_served_rows(workspace) == _loaded_rows(command))


def _edit(workspace: Any) -> None:
    """Add comments to some stories and edit others, in all projects."""
    stories = [
        list(project.stories)[place * 7]
        for place in range(2 * EDITS)
        for project in workspace.projects.values()
    ][:: len(workspace.projects)]
    for number, story_id in enumerate(stories):
        if number < EDITS:
            workspace.add_comment(f"Comment {number}", story_id=story_id)
        else:
            workspace.edit_story(story_id, name=f"Edited {number}")


def _served_rows(workspace: Any) -> set[tuple[Any, ...]]:
    stories = [s for p in workspace.projects.values() for s in p.stories.values()]
    rows: set[tuple[Any, ...]] = {("story", s["id"], s["project_id"], s["name"]) for s in stories}
    rows |= {("owner", s["id"], owner) for s in stories for owner in s["owner_ids"]}
    comments = [(s["id"], comment) for s in stories for comment in s["comments"]]
    return rows | {("comment", c["id"], story_id, c.get("text")) for story_id, c in comments}


def _loaded_rows(database: str) -> set[tuple[Any, ...]]:
    with duckdb.connect(database, read_only=True) as connection:
        stories = connection.execute("SELECT id, project_id, name FROM tracker.stories")
        rows: set[tuple[Any, ...]] = {("story", *row) for row in stories.fetchall()}
        owners = connection.execute("SELECT story_id, value FROM tracker.stories__owner_ids")
        rows |= {("owner", *row) for row in owners.fetchall()}
        comments = connection.execute("SELECT id, story_id, text FROM tracker.stories__comments")
        return rows | {("comment", *row) for row in comments.fetchall()}


def _measure(name: str, server: Connection, folder: Path, *, days: float = 0) -> bool:
    """Run the command and print the measurements; return whether the database is exact."""
    folder.mkdir(exist_ok=True)
    arguments = [_COMMAND, "--progress", "log"]
    run = run_python(name, arguments, folder, _environment(server, folder, days))
    is_exact: bool = _send(server, str(folder / "pivotal_tracker.duckdb"))
    _print(name, _send(server, "requests"), run.seconds, f"{run.peak_memory:.0f}", is_exact)
    return is_exact


def _kill_halfway(server: Connection, folder: Path, comments: int) -> None:
    """Kill a first run after it has requested this number of comments."""
    folder.mkdir()
    started = time.perf_counter()
    with (folder / "output.txt").open("w") as output:
        process = subprocess.Popen(
            [sys.executable, _COMMAND, "--progress", "log"],
            cwd=folder,
            env=os.environ | _environment(server, folder, 0),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        requests: Counter[str] = Counter()
        while _comments(requests) < comments and process.poll() is None:
            time.sleep(0.2)
            requests += _send(server, "requests")
        process.kill()
        process.wait()
    requests += _send(server, "requests")
    _print("first run, killed halfway", requests, time.perf_counter() - started, "", None)


def _environment(server: Connection, folder: Path, days: float) -> dict[str, str]:
    url, token = _send(server, "address")
    return isolated_environment(folder) | {
        f"{_PREFIX}BASE_URL": url,
        f"{_PREFIX}API_TOKEN": token,
        f"{_PREFIX}COMMENTS_FULL_SYNC_DAYS": str(days),
    }


def _send(server: Connection, command: str) -> Any:
    server.send(command)
    return None if command == "stop" else server.recv()


def _comments(requests: Counter[str]) -> int:
    return sum(number for path, number in requests.items() if path.endswith("/comments"))


def _print(
    name: str, requests: Counter[str], seconds: float, memory: str, is_exact: bool | None
) -> None:
    exact = {True: "yes", False: "NO", None: ""}[is_exact]
    print(
        f"{name:36}{requests.total():>9,}{_comments(requests):>9,}{seconds:>9.1f}{memory:>6}  "
        f"{exact}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
