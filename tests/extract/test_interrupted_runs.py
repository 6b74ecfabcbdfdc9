"""A killed run is resumed by the next one: no row is lost or duplicated."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass, field, replace

import psutil
import pytest

from tracker_server import TrackerServer
from tracker_server.sample import generate_workspace
from tracker_server.workspace import Workspace

from ..support.command import Command, load_served, new_command, serving
from ..support.exports import Row, as_csv, table
from ..support.forking import ForkServer
from ..support.kill import (
    ENDED,
    EXTRACTED,
    LOADED,
    NORMALIZED,
    NORMALIZING,
    REQUESTS,
    KillPoint,
    kill_at,
    mark_jobs_as_started,
    wait_for_points,
)
from ..support.truth import (
    APPEND_ONLY_TABLES,
    DERIVED_TABLES,
    Tables,
    assert_tables_equal,
    comparable,
    deleted_in,
    people_in,
    served_tables,
)

ARCHIVE = "my_project_20151117_1439.csv"


RESOURCES = ("stories", "labels", "activity", "history_days")
"""Resources with and without nested tables, an append-only one, and one without an id."""
OPTIONS = ("--no-views", "--resource", *RESOURCES)

FIRST_RUN = [
    KillPoint(EXTRACTED, 1),
    KillPoint(NORMALIZING, 10),
    KillPoint(LOADED, 14),
]
FIRST_RUN_LOST = [KillPoint(LOADED, 8)]
LATER_RUN = [
    KillPoint(REQUESTS, 4),
    KillPoint(NORMALIZED, 1),
    KillPoint(ENDED, 1),
]
LATER_RUN_UNRECORDED = KillPoint(LOADED, 8)
LATER_RUN_LOST = [
    KillPoint(f"{LOADED[:-1]}{table}.*.sql", 1) for table in ("stories", "stories__comments")
]


@dataclass
class KilledRun:
    """Copies of a run's folder, as if it was killed at several points.

    At each point the run is stopped, its folder is copied, and it continues to the next point.
    """

    command: Command
    server: TrackerServer
    copies: dict[KillPoint, Command] = field(default_factory=dict)

    def run_to(self, points: Set[KillPoint]) -> None:
        """Run the command until all points are reached."""
        self.server.requests.clear()
        run = self.command.start(*OPTIONS)
        process = psutil.Process(run.pid)
        while missing := points - self.copies.keys():
            reached = wait_for_points(missing, self.command, self.server, run)
            process.suspend()
            while process.status() != psutil.STATUS_STOPPED:
                time.sleep(0.0005)
            for point in reached:
                folder = self.command.folder.with_name(f"killed_{len(self.copies)}")
                self.copies[point] = replace(self.command, folder=folder)
                self.copies[point].take_over(self.command)
            process.resume()
        run.kill()
        run.communicate(timeout=60)

    def restore(self, command: Command, point: KillPoint) -> None:
        """Make a command continue from the copy at a point."""
        command.take_over(self.copies[point])
        self.connect(command)

    def connect(self, command: Command) -> None:
        """Point a command at the server."""
        command.base_url, command.api_token = self.command.base_url, self.command.api_token


def make_one_project() -> Workspace:
    return generate_workspace(projects=1, stories=8, activity=20, seed=3)


@pytest.fixture(scope="module")
def new_run(
    fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], KilledRun]]:
    """Return a function that serves the project for a new command."""
    with contextlib.ExitStack() as servers:

        def start() -> KilledRun:
            command = new_command(fork_server, tmp_path_factory.mktemp("killed") / "run")
            return KilledRun(command, servers.enter_context(serving(make_one_project(), command)))

        yield start


@pytest.fixture(scope="module")
def loaded_project(fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> Command:
    """The command after its first load of the project."""
    command = new_command(fork_server, tmp_path_factory.mktemp("loaded_project") / "run")
    load_served(make_one_project(), command, *OPTIONS)
    return command


@pytest.fixture(scope="module")
def first_run(new_run: Callable[[], KilledRun]) -> KilledRun:
    killed = new_run()
    killed.run_to({*FIRST_RUN, *FIRST_RUN_LOST})
    return killed


@pytest.fixture(scope="module")
def later_run(new_run: Callable[[], KilledRun], loaded_project: Command) -> KilledRun:
    killed = new_run()
    killed.command.take_over(loaded_project)
    change_project(killed.server.workspace)
    killed.run_to({*LATER_RUN, LATER_RUN_UNRECORDED})
    return killed


def change_project(workspace: Workspace) -> None:
    """Edit, delete, create and rename records."""
    (project,) = workspace.projects.values()
    first, second, third, *_ = project.stories
    workspace.edit_story(first, name="Edited")
    workspace.delete_stories(second)
    workspace.add_comment("New", story_id=third)
    workspace.create_story(project.record["id"], name="New")
    workspace.rename_label(next(iter(project.labels)), "renamed")


def assert_completed(command: Command, server: TrackerServer) -> None:
    result = command(*OPTIONS)
    assert result.returncode == 0, result.stderr
    loaded, everything = command.tables(), served_tables(server)
    expected = {n: rows for n, rows in everything.items() if n.split("__")[0] in RESOURCES}
    expected |= {"people": people_in(expected), "deleted_records": deleted_in(expected)}
    assert_tables_equal(
        {name: rows for name, rows in loaded.items() if name not in APPEND_ONLY_TABLES},
        {name: rows for name, rows in expected.items() if name not in APPEND_ONLY_TABLES},
    )
    for name in APPEND_ONLY_TABLES - DERIVED_TABLES:
        assert comparable(loaded[name]) == comparable(expected.get(name, []))
    for name in DERIVED_TABLES:
        # the table of deletions does not exist before the first one
        rows = loaded.get(name, [])
        keys = [(row.get("kind"), row["id"], row.get("project_id")) for row in rows]
        assert len(set(keys)) == len(keys)
        assert {row["id"] for row in expected[name]} <= {row["id"] for row in rows}


@pytest.mark.parametrize("point", FIRST_RUN, ids=str)
def test_killed_first_run_is_resumed(
    point: KillPoint, command: Command, first_run: KilledRun
) -> None:
    first_run.restore(command, point)
    workspace = first_run.server.workspace
    (project,) = workspace.projects.values()
    workspace.edit_story(next(iter(project.stories)), name=f"Edited after {point}")
    assert_completed(command, first_run.server)


@pytest.mark.parametrize("point", FIRST_RUN_LOST, ids=str)
def test_killed_first_run_without_working_folder_is_completed(
    point: KillPoint, command: Command, first_run: KilledRun
) -> None:
    """Only the database remains, with some of the tables, as in a container."""
    first_run.restore(command, point)
    shutil.rmtree(command.folder / "dlt")
    assert_completed(command, first_run.server)


def test_unrecorded_files_of_a_first_run_are_not_duplicated(
    command: Command, first_run: KilledRun
) -> None:
    """Their rows were appended; the run that resumes them merges."""
    first_run.restore(command, FIRST_RUN[-1])
    mark_jobs_as_started(command)
    assert_completed(command, first_run.server)


@pytest.mark.parametrize("point", LATER_RUN, ids=str)
def test_killed_later_run_is_resumed(
    point: KillPoint, command: Command, later_run: KilledRun
) -> None:
    later_run.restore(command, point)
    assert_completed(command, later_run.server)


@pytest.fixture(scope="module")
def run_that_changes_every_story(
    new_run: Callable[[], KilledRun], loaded_project: Command
) -> KilledRun:
    killed = new_run()
    killed.command.take_over(loaded_project)
    workspace = killed.server.workspace
    (project,) = workspace.projects.values()
    deleted, *stories = project.stories
    workspace.delete_stories(deleted)
    for number, story in enumerate(stories):
        workspace.edit_story(story, name=f"Edited {number}")
        workspace.add_comment(f"New {number}", story_id=story)
    killed.run_to({*LATER_RUN_LOST})
    return killed


@pytest.mark.parametrize("point", LATER_RUN_LOST, ids=str)
def test_killed_later_run_without_working_folder_is_completed(
    point: KillPoint, command: Command, run_that_changes_every_story: KilledRun
) -> None:
    """Either the records or only their nested rows have been merged."""
    run_that_changes_every_story.restore(command, point)
    shutil.rmtree(command.folder / "dlt")
    assert_completed(command, run_that_changes_every_story.server)


def test_unrecorded_files_of_a_later_run_are_not_duplicated(
    command: Command, later_run: KilledRun
) -> None:
    later_run.restore(command, LATER_RUN_UNRECORDED)
    mark_jobs_as_started(command)
    assert_completed(command, later_run.server)


def test_unrecorded_files_of_a_full_refresh_are_not_duplicated(
    command: Command, later_run: KilledRun, loaded_project: Command
) -> None:
    command.take_over(loaded_project)
    later_run.connect(command)
    kill_at(KillPoint(LOADED, 8), command, later_run.server, "--full-refresh", *OPTIONS)
    mark_jobs_as_started(command)
    assert_completed(command, later_run.server)


@pytest.fixture(scope="module")
def killed_archive_run(
    fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Command, Tables]:
    """A command killed while it loaded an archive, and the tables of a complete load."""
    command = new_command(fork_server, tmp_path_factory.mktemp("archive") / "run")
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


def test_unrecorded_files_of_an_archive_are_not_duplicated(
    command: Command, killed_archive_run: tuple[Command, Tables]
) -> None:
    """The run was killed after the database had committed rows, before dlt recorded it."""
    killed, whole = killed_archive_run
    command.take_over(killed)
    mark_jobs_as_started(command)
    assert command("--archive", ARCHIVE).returncode == 0
    assert_tables_equal(command.tables(), whole)
