"""A killed run, wherever it was, is taken up by the next: nothing is lost, nothing doubled."""

from __future__ import annotations

import contextlib
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace

import psutil
import pytest

from tracker_server import TrackerServer
from tracker_server.sample import generate_workspace
from tracker_server.workspace import Workspace

from ..support.command import Command, load_served, new_command, serving
from ..support.exports import Row, as_csv, table
from ..support.forking import Forking, Run
from ..support.truth import Tables, assert_tables_equal, comparable, deleted_in, people_in
from .test_incremental_loading import ADDED_TO
from .test_load import BY_PRODUCTS, truth

ARCHIVE = "my_project_20151117_1439.csv"

REQUESTS = "requests"
EXTRACTED = "normalize/extracted/*/new_jobs/*"
NORMALIZING = "load/new/*/new_jobs/*"
NORMALIZED = "load/normalized/*/new_jobs/*"
LOADED = "load/normalized/*/completed_jobs/*"
ENDED = "load/loaded/*/completed_jobs/*"


@dataclass(frozen=True)
class Point:
    """When a run is killed: once there are so many files of a kind, or requests."""

    what: str
    number: int

    def is_reached(self, command: Command, server: TrackerServer) -> bool:
        if self.what == REQUESTS:
            return len(server.requests) >= self.number
        pipeline = command.folder / "dlt" / "pipelines" / "pivotal_tracker"
        return sum(1 for _ in pipeline.glob(self.what)) >= self.number


RESOURCES = ("stories", "labels", "activity", "history_days")
"""Some of each kind: with nested tables and without, only added to, without an id of its own."""
ONLY = ("--no-views", "--resource", *RESOURCES)

FIRST_RUN = [
    Point(EXTRACTED, 1),
    Point(NORMALIZING, 10),
    Point(LOADED, 14),
]
FIRST_RUN_LOST = [Point(LOADED, 8)]
LATER_RUN = [
    Point(REQUESTS, 4),
    Point(NORMALIZED, 1),
    Point(ENDED, 1),
]
LATER_RUN_UNNOTED = Point(LOADED, 8)
LATER_RUN_LOST = [
    Point(f"{LOADED[:-1]}{table}.*.sql", 1) for table in ("stories", "stories__comments")
]


def wait_for(points: Set[Point], command: Command, server: TrackerServer, run: Run) -> Set[Point]:
    """Those of the points that are reached, as soon as one is."""
    while not (reached := {point for point in points if point.is_reached(command, server)}):
        assert run.poll() is None, f"it ended before {points}"
        time.sleep(0.002)
    return reached


def kill_at(
    point: Point,
    command: Command,
    server: TrackerServer,
    *options: str,
    env: Mapping[str, str] | None = None,
) -> None:
    server.requests.clear()
    run = command.start(*options, env=env)
    wait_for({point}, command, server, run)
    run.kill()
    run.communicate(timeout=60)
    assert run.returncode == -signal.SIGKILL


@dataclass
class Killed:
    """What is left of a run that is killed, at each of several points.

    A run that is stopped leaves its folder as one that is killed at that moment does: it is copied
    then, and the run goes on to the next point.
    """

    command: Command
    server: TrackerServer
    left: dict[Point, Command] = field(default_factory=dict)

    def do(self, points: Set[Point]) -> None:
        """Does the run, until all points are reached."""
        self.server.requests.clear()
        run = self.command.start(*ONLY)
        process = psutil.Process(run.pid)
        while missing := points - self.left.keys():
            reached = wait_for(missing, self.command, self.server, run)
            process.suspend()
            while process.status() != psutil.STATUS_STOPPED:
                time.sleep(0.0005)
            for point in reached:
                folder = self.command.folder.with_name(f"killed_{len(self.left)}")
                self.left[point] = replace(self.command, folder=folder)
                self.left[point].take_over(self.command)
            process.resume()
        run.kill()
        run.communicate(timeout=60)

    def give(self, command: Command, point: Point) -> None:
        """Puts a command in the place of one that was killed at a point."""
        command.take_over(self.left[point])
        self.serve(command)

    def serve(self, command: Command) -> None:
        """Points a command at the server."""
        command.base_url, command.api_token = self.command.base_url, self.command.api_token


def make_one_project() -> Workspace:
    return generate_workspace(projects=1, stories=8, activity=20, seed=3)


@pytest.fixture(scope="module")
def new_killed(
    forking: Forking, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], Killed]]:
    """Serves the project, to a command that was never run."""
    with contextlib.ExitStack() as servers:

        def start() -> Killed:
            command = new_command(forking, tmp_path_factory.mktemp("killed") / "run")
            return Killed(command, servers.enter_context(serving(make_one_project(), command)))

        yield start


@pytest.fixture(scope="module")
def loaded_once(forking: Forking, tmp_path_factory: pytest.TempPathFactory) -> Command:
    """The project loaded once, for all that comes after that."""
    command = new_command(forking, tmp_path_factory.mktemp("loaded_once") / "run")
    load_served(make_one_project(), command, *ONLY)
    return command


@pytest.fixture(scope="module")
def first_run(new_killed: Callable[[], Killed]) -> Killed:
    killed = new_killed()
    killed.do({*FIRST_RUN, *FIRST_RUN_LOST})
    return killed


@pytest.fixture(scope="module")
def later_run(new_killed: Callable[[], Killed], loaded_once: Command) -> Killed:
    killed = new_killed()
    killed.command.take_over(loaded_once)
    change(killed.server.workspace)
    killed.do({*LATER_RUN, LATER_RUN_UNNOTED})
    return killed


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
    result = command(*ONLY)
    assert result.returncode == 0, result.stderr
    loaded, everything = command.tables(), truth(server)
    expected = {n: rows for n, rows in everything.items() if n.split("__")[0] in RESOURCES}
    expected |= {"people": people_in(expected), "deleted_records": deleted_in(expected)}
    assert_tables_equal(
        {name: rows for name, rows in loaded.items() if name not in ADDED_TO},
        {name: rows for name, rows in expected.items() if name not in ADDED_TO},
    )
    for name in ADDED_TO - BY_PRODUCTS:
        assert comparable(loaded[name]) == comparable(expected.get(name, []))
    for name in BY_PRODUCTS:
        # of deletions there is no table before there is one
        rows = loaded.get(name, [])
        keys = [(row.get("kind"), row["id"], row.get("project_id")) for row in rows]
        assert len(set(keys)) == len(keys)
        assert {row["id"] for row in expected[name]} <= {row["id"] for row in rows}


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


@pytest.mark.parametrize("point", FIRST_RUN, ids=str)
def test_a_first_run(point: Point, command: Command, first_run: Killed) -> None:
    first_run.give(command, point)
    workspace = first_run.server.workspace
    (project,) = workspace.projects.values()
    workspace.edit_story(next(iter(project.stories)), name=f"Edited after {point}")
    assert_completed(command, first_run.server)


@pytest.mark.parametrize("point", FIRST_RUN_LOST, ids=str)
def test_a_first_run_whose_working_folder_is_lost(
    point: Point, command: Command, first_run: Killed
) -> None:
    """As in a container: only the database remains, with some of the tables."""
    first_run.give(command, point)
    shutil.rmtree(command.folder / "dlt")
    assert_completed(command, first_run.server)


def test_files_of_a_first_run_that_dlt_did_not_note(command: Command, first_run: Killed) -> None:
    """Their rows were appended: the run that takes them up again merges."""
    first_run.give(command, FIRST_RUN[-1])
    forget_loaded(command)
    assert_completed(command, first_run.server)


@pytest.mark.parametrize("point", LATER_RUN, ids=str)
def test_a_later_run(point: Point, command: Command, later_run: Killed) -> None:
    later_run.give(command, point)
    assert_completed(command, later_run.server)


@pytest.fixture(scope="module")
def run_that_changes_every_story(new_killed: Callable[[], Killed], loaded_once: Command) -> Killed:
    killed = new_killed()
    killed.command.take_over(loaded_once)
    workspace = killed.server.workspace
    (project,) = workspace.projects.values()
    gone, *stories = project.stories
    workspace.delete_stories(gone)
    for number, story in enumerate(stories):
        workspace.edit_story(story, name=f"Edited {number}")
        workspace.add_comment(f"New {number}", story_id=story)
    killed.do({*LATER_RUN_LOST})
    return killed


@pytest.mark.parametrize("point", LATER_RUN_LOST, ids=str)
def test_a_later_run_whose_working_folder_is_lost(
    point: Point, command: Command, run_that_changes_every_story: Killed
) -> None:
    """Records may have been merged and those nested in them not, or the other way around."""
    run_that_changes_every_story.give(command, point)
    shutil.rmtree(command.folder / "dlt")
    assert_completed(command, run_that_changes_every_story.server)


def test_files_that_were_loaded_though_dlt_did_not_note_it(
    command: Command, later_run: Killed
) -> None:
    later_run.give(command, LATER_RUN_UNNOTED)
    forget_loaded(command)
    assert_completed(command, later_run.server)


def test_files_of_a_full_refresh_that_dlt_did_not_note(
    command: Command, later_run: Killed, loaded_once: Command
) -> None:
    command.take_over(loaded_once)
    later_run.serve(command)
    kill_at(Point(LOADED, 8), command, later_run.server, "--full-refresh", *ONLY)
    forget_loaded(command)
    assert_completed(command, later_run.server)


@pytest.fixture(scope="module")
def archive_runs(
    forking: Forking, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Command, Tables]:
    """A command that was killed while it loaded an archive, and what it would have loaded."""
    command = new_command(forking, tmp_path_factory.mktemp("archive") / "run")
    stories = [
        Row(n, f"Story {n}", labels="a, b", owners=["Ann", "Bob"], comments=["Done (Ann - Nov 16)"])
        for n in range(1, 40)
    ]
    (command.folder / ARCHIVE).write_text(as_csv(table(stories)))
    whole = replace(command, folder=command.folder.with_name("whole"))
    whole.take_over(command)
    assert whole("--archive", ARCHIVE).returncode == 0
    run = command.start("--archive", ARCHIVE)
    completed = "dlt/pipelines/pivotal_tracker/load/normalized/*/completed_jobs/*"
    while sum(1 for _ in command.folder.glob(completed)) < 40:
        assert run.poll() is None
        time.sleep(0.002)
    run.kill()
    run.communicate(timeout=60)
    return command, whole.tables()


def test_a_first_load_of_an_archive(command: Command, archive_runs: tuple[Command, Tables]) -> None:
    """Killed when the database had taken rows, before dlt noted it."""
    killed, whole = archive_runs
    command.take_over(killed)
    forget_loaded(command)
    assert command("--archive", ARCHIVE).returncode == 0
    assert_tables_equal(command.tables(), whole)
