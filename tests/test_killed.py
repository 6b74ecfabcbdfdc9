"""A killed run, wherever it was, is taken up by the next: nothing is lost, nothing doubled."""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pytest

from tracker_server import TrackerServer
from tracker_server.made_up import made_up_workspace
from tracker_server.workspace import Workspace

from .conftest import Command, LoadOnce
from .exports import Row, as_csv, table
from .test_keeping_up import ADDED_TO
from .test_load import truth
from .truth import assert_tables_equal, comparable

REQUESTS = "requests"
EXTRACTING = "normalize/*/*/new_jobs/*"
EXTRACTED = "normalize/extracted/*/new_jobs/*"
NORMALIZING = "load/new/*/new_jobs/*"
NORMALIZED = "load/normalized/*/new_jobs/*"
LOADING = "load/normalized/*/started_jobs/*"
LOADED = "load/normalized/*/completed_jobs/*"
ENDED = "load/loaded/*/completed_jobs/*"

FIRST_RUN = [
    (REQUESTS, 2),
    (REQUESTS, 7),
    (REQUESTS, 13),
    (EXTRACTING, 1),
    (EXTRACTING, 30),
    (EXTRACTED, 1),
    (NORMALIZING, 1),
    (NORMALIZING, 25),
    (NORMALIZED, 1),
    (LOADING, 1),
    (LOADED, 5),
    (LOADED, 30),
    (LOADED, 38),
]
LATER_RUN = [
    (REQUESTS, 6),
    (EXTRACTING, 3),
    (NORMALIZING, 2),
    (NORMALIZED, 1),
    (LOADED, 1),
    (LOADED, 8),
    (ENDED, 1),
]


@dataclass
class Point:
    """When a run is killed: once there are so many files of a kind, or requests."""

    what: str
    number: int

    def is_reached(self, command: Command, server: TrackerServer) -> bool:
        if self.what == REQUESTS:
            return len(server.requests) >= self.number
        pipeline = command.folder / "dlt" / "pipelines" / "pivotal_tracker"
        return sum(1 for _ in pipeline.glob(self.what)) >= self.number


def make_one_project() -> Workspace:
    return made_up_workspace(projects=1, stories=8, activity=20, seed=3)


@pytest.fixture
def one_project(
    serve: Callable[[Workspace], TrackerServer],
) -> Iterator[tuple[Workspace, TrackerServer]]:
    workspace = make_one_project()
    yield workspace, serve(workspace)


@pytest.fixture
def loaded_before(
    command: Command, load_once: LoadOnce, one_project: tuple[Workspace, TrackerServer]
) -> tuple[Workspace, TrackerServer]:
    """The project where the command has loaded it."""
    command.take_over(load_once(make_one_project))
    return one_project


def kill_at(
    point: Point,
    command: Command,
    server: TrackerServer,
    *options: str,
    env: Mapping[str, str] | None = None,
) -> None:
    server.requests.clear()
    process = command.start("--no-views", *options, env=env)
    while not point.is_reached(command, server):
        assert process.poll() is None, f"it ended before {point}"
        time.sleep(0.0005)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL


def change(workspace: Workspace) -> None:
    """Something of everything: edited, new, deleted, moved up."""
    (project,) = workspace.projects.values()
    first, second, third, *_ = project.stories
    workspace.edit_story(first, name="Edited")
    workspace.delete_stories(second)
    workspace.add_comment("New", story_id=third)
    workspace.create_story(project.record["id"], name="New")
    workspace.rename_label(next(iter(project.labels)), "renamed")


def assert_completed(command: Command, server: TrackerServer) -> None:
    result = command("--no-views")
    assert result.returncode == 0, result.stderr
    loaded, expected = command.tables(), truth(server)
    assert_tables_equal(
        {name: rows for name, rows in loaded.items() if name not in ADDED_TO},
        {name: rows for name, rows in expected.items() if name not in ADDED_TO},
    )
    for name in ADDED_TO - {"people", "deleted_records"}:
        assert comparable(loaded[name]) == comparable(expected.get(name, []))
    for name in ("people", "deleted_records"):
        keys = [(row.get("kind"), row["id"], row.get("project_id")) for row in loaded[name]]
        assert len(set(keys)) == len(keys)
        assert {row["id"] for row in expected[name]} <= {row["id"] for row in loaded[name]}


def forget_loaded(command: Command) -> None:
    """As if killed between the loading of files and dlt's note of it, but for tables merged by now.

    Of a file that is noted, the job that merges its table's rows has been made before that.
    """
    packages = command.folder / "dlt" / "pipelines" / "pivotal_tracker" / "load" / "normalized"
    (completed,) = packages.glob("*/completed_jobs")
    package = completed.parent
    forgotten = 0
    for file in [file for file in package.glob("completed_jobs/*") if file.suffix != ".sql"]:
        merges = list(package.glob(f"*_jobs/{file.name.split('.')[0]}.*.sql"))
        if any(merge.parent.name != "new_jobs" for merge in merges):
            continue
        for merge in merges:
            merge.unlink()
        file.rename(package / "started_jobs" / file.name)
        forgotten += 1
    assert forgotten


@pytest.mark.parametrize(("what", "number"), FIRST_RUN)
def test_a_first_run(
    what: str, number: int, command: Command, one_project: tuple[Workspace, TrackerServer]
) -> None:
    workspace, server = one_project
    kill_at(Point(what, number), command, server)
    workspace.edit_story(next(iter(next(iter(workspace.projects.values())).stories)), name="Later")
    assert_completed(command, server)


@pytest.mark.parametrize("loaded_files", [1, 8, 20, 30])
def test_a_first_run_whose_working_folder_is_lost(
    loaded_files: int, command: Command, one_project: tuple[Workspace, TrackerServer]
) -> None:
    """As in a container: only the database remains, with some of the tables."""
    _, server = one_project
    kill_at(Point(LOADED, loaded_files), command, server)
    shutil.rmtree(command.folder / "dlt")
    assert_completed(command, server)


@pytest.mark.parametrize("table", ["stories", "stories__comments"])
def test_a_later_run_whose_working_folder_is_lost(
    table: str,
    command: Command,
    loaded_before: tuple[Workspace, TrackerServer],
) -> None:
    """Records may have been merged and those nested in them not, or the other way around."""
    workspace, server = loaded_before
    (project,) = workspace.projects.values()
    gone, *stories = project.stories
    workspace.delete_stories(gone)
    for number, story in enumerate(stories):
        workspace.edit_story(story, name=f"Edited {number}")
        workspace.add_comment(f"New {number}", story_id=story)
    kill_at(Point(f"{LOADED[:-1]}{table}.*.sql", 1), command, server)
    shutil.rmtree(command.folder / "dlt")
    assert_completed(command, server)


@pytest.mark.parametrize(("what", "number"), LATER_RUN)
def test_a_later_run(
    what: str,
    number: int,
    command: Command,
    loaded_before: tuple[Workspace, TrackerServer],
) -> None:
    workspace, server = loaded_before
    change(workspace)
    kill_at(Point(what, number), command, server)
    assert_completed(command, server)


@pytest.mark.parametrize("options", [(), ("--full-refresh",)])
def test_files_that_were_loaded_though_dlt_did_not_note_it(
    options: tuple[str, ...],
    command: Command,
    loaded_before: tuple[Workspace, TrackerServer],
) -> None:
    workspace, server = loaded_before
    change(workspace)
    kill_at(Point(LOADED, 8), command, server, *options)
    forget_loaded(command)
    assert_completed(command, server)


@pytest.mark.parametrize("is_noted", [False, True])
def test_a_first_load_of_an_archive(is_noted: bool, command: Command) -> None:
    """Also where it was killed after the database had taken rows, before or after dlt noted it."""
    stories = [
        Row(n, f"Story {n}", labels="a, b", owners=["Ann", "Bob"], comments=["Done (Ann - Nov 16)"])
        for n in range(1, 40)
    ]
    path = command.folder / "my_project_20151117_1439.csv"
    path.write_text(as_csv(table(stories)))
    process = command.start("--archive", str(path))
    packages = command.folder / "dlt" / "pipelines" / "pivotal_tracker" / "load" / "normalized"
    while sum(1 for _ in packages.glob("*/completed_jobs/*")) < 40:
        assert process.poll() is None
        time.sleep(0.0005)
    process.kill()
    process.communicate(timeout=60)
    # a record that is taken back is loaded again by itself, nested rows are not
    names = "stories__*" if is_noted else "*"
    for file in list(packages.glob(f"*/completed_jobs/{names}")):
        package = file.parents[1]
        file.rename(package / "started_jobs" / file.name)
        if is_noted:
            note = json.dumps({"state": "completed", "failed_message": None})
            (package / ".pending_transitions" / file.name).write_text(note)
    assert command("--archive", str(path)).returncode == 0
    interrupted = command.tables()
    for file in command.folder.glob("*.duckdb*"):
        file.unlink()
    shutil.rmtree(command.folder / "dlt")
    assert command("--archive", str(path)).returncode == 0
    assert_tables_equal(interrupted, command.tables())
