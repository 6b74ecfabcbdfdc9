"""Shards of the projects, loaded by concurrent runs into one dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pivotal_tracker import TrackerError
from pivotal_tracker.extract.shards import Shard
from tracker_server import TrackerServer
from tracker_server.sample import generate_workspace
from tracker_server.workspace import Workspace

from ..support.command import Command, new_command, serving
from ..support.destinations import postgres_tables
from ..support.forking import ForkServer
from ..support.mirror import CommandMirror, make_workspace
from ..support.postgres import postgres, postgres_server  # noqa: F401 - fixtures
from ..support.truth import Tables, assert_tables_equal, of_project, served_tables


@pytest.fixture
def small_workspace() -> Workspace:
    """The workspace that `after_shards` has loaded."""
    return make_workspace()


@given(st.integers(1, 10**12), st.integers(1, 40))
def test_each_project_is_in_exactly_one_shard(project_id: int, count: int) -> None:
    assert sum(project_id in Shard(number, count) for number in range(1, count + 1)) == 1


def test_projects_are_spread_evenly(count: int = 5) -> None:
    for step in (1, 5, 10, 64):
        ids = range(99_000_001, 99_000_001 + 1000 * step, step)
        sizes = [
            sum(project_id in Shard(number, count) for project_id in ids)
            for number in range(1, count + 1)
        ]
        assert max(sizes) < 2 * min(sizes)


@pytest.mark.parametrize("text", ["0/5", "6/5", "2", "a/b", "2/0", "-1/5", "2/5/7"])
def test_invalid_shard_is_rejected(text: str) -> None:
    with pytest.raises(TrackerError, match="A shard is written as 2/5"):
        Shard.parse(text)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--shard", "6/5"], "A shard is written as 2/5"),
        (["--shard", "1/5", "--archive", "somewhere"], "--shard does not go with files"),
    ],
)
def test_invalid_shard_option_exits_2(options: list[str], problem: str, command: Command) -> None:
    result = command(*options)
    assert result.returncode == 2
    assert problem in result.stderr


def same_database(command: Command) -> dict[str, str]:
    """Return the setting that makes all shards load into the database of a command."""
    return {"DESTINATION__DUCKDB__CREDENTIALS": str(command.database)}


@pytest.fixture(scope="module")
def after_shards(fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> Command:
    """The command after it has loaded the small workspace, one shard after another."""
    command = new_command(fork_server, tmp_path_factory.mktemp("shards") / "run")
    with serving(make_workspace(), command):
        for number in (1, 2):
            result = command("--shard", f"{number}/2", env=same_database(command))
            assert result.returncode == 0, result.stderr
    return command


def test_load_without_shards_after_all_shards_writes_nothing(
    command: Command, server: TrackerServer, after_shards: Command
) -> None:
    command.take_over(after_shards)
    # the pipeline without shards has no state yet, but the dataset is complete
    whole = command(env=same_database(command))
    assert "Loaded 0 rows" in whole.stdout, whole.stderr
    assert_tables_equal(command.tables(), served_tables(server))


STORIES = ("--resource", "stories")
"""A resource with many tables, some of which are created only when they get rows."""


def story_tables(tables: Tables) -> Tables:
    return {name: rows for name, rows in tables.items() if name.startswith("stories")}


def test_tables_are_exact_after_resharding(
    command: Command, server: TrackerServer, after_shards: Command
) -> None:
    command.take_over(after_shards)
    env = same_database(command)
    workspace = server.workspace
    for project in workspace.projects.values():
        workspace.edit_story(next(iter(project.stories)), moods=[{"mood": "fine"}])
        workspace.delete_stories(*list(project.stories)[10:19])
    result = command(*STORIES, env=env)
    assert result.returncode == 0, result.stderr
    tables = story_tables(command.tables())
    moods = tables.pop("stories__moods")
    assert [row["mood"] for row in moods] == ["fine"] * len(workspace.projects)
    expected = story_tables(served_tables(server))
    del expected["stories__moods"]
    assert_tables_equal(tables, expected)
    for project in workspace.projects.values():
        workspace.delete_stories(*list(project.stories)[:9])
    # the schemas of these pipelines lack the table of moods
    for number in {
        n for n in (1, 2, 3) for project_id in workspace.projects if project_id in Shard(n, 3)
    }:
        result = command("--shard", f"{number}/3", *STORIES, env=env)
        assert result.returncode == 0, result.stderr
    tables = story_tables(command.tables())
    assert not tables.pop("stories__moods")
    assert_tables_equal(tables, story_tables(served_tables(server)))


def test_full_refresh_without_shards_deletes_rows_of_all_shards(
    command: Command, server: TrackerServer, after_shards: Command
) -> None:
    command.take_over(after_shards)
    for project in server.workspace.projects.values():
        server.workspace.delete_stories(*list(project.stories)[:9])
    result = command("--full-refresh", *STORIES, env=same_database(command))
    assert result.returncode == 0, result.stderr
    assert_tables_equal(story_tables(command.tables()), story_tables(served_tables(server)))


CONCURRENT_RESOURCES = (
    "projects",
    "stories",
    "activity",
    "project_memberships",
    "people",
    "deleted_records",
)


@dataclass
class ShardedMirror(CommandMirror):
    """A workspace loaded by concurrent runs."""

    count: int = field(kw_only=True)

    def load_all(self, *options: str) -> list[str]:
        """Run all shards concurrently; return their outputs."""
        self.server.requests.clear()
        runs = [
            self.command.start(
                *self.options, *options, "--shard", f"{n}/{self.count}", env=self.env
            )
            for n in range(1, self.count + 1)
        ]
        outputs = [run.communicate(timeout=200) for run in runs]
        assert [run.returncode for run in runs] == [0] * self.count, [o[1][-2000:] for o in outputs]
        return [out for out, _ in outputs]


@pytest.fixture
def shards(
    command: Command,
    serve: Callable[[Workspace], TrackerServer],
    postgres: str,  # noqa: F811
) -> ShardedMirror:
    workspace = generate_workspace(projects=5, stories=12, activity=40, seed=7)
    return ShardedMirror(
        workspace,
        command.folder,
        serve(workspace),
        command=command,
        options=("--destination", "postgres", "--resource", *CONCURRENT_RESOURCES),
        env={"DESTINATION__POSTGRES__CREDENTIALS": postgres},
        read=lambda: postgres_tables(postgres),
        count=3,
    )


@pytest.mark.integration
def test_concurrent_shards_load_all_projects(shards: ShardedMirror) -> None:
    workspace = shards.workspace
    shards.load_all()
    paths = Counter(request.path for request in shards.server.requests)
    assert all(
        paths[f"/services/v5/projects/{project_id}/stories"] == 1
        for project_id in workspace.projects
    )
    shards.assert_exact(*CONCURRENT_RESOURCES)

    homes = {key: next(n for n in (1, 2, 3) if key in Shard(n, 3)) for key in workspace.projects}
    assert set(homes.values()) == {1, 2}, "a shard without projects, beside others"
    missing = next(project_id for project_id in reversed(homes) if homes[project_id] != 1)
    before = of_project(shards.tables(), missing)
    workspace.projects.pop(missing)
    for project_id, project in list(workspace.projects.items()):
        there = next(other for other in workspace.projects if homes[other] != homes[project_id])
        stories = list(project.stories)
        workspace.move_story_to_project(stories[0], there)
        workspace.edit_story(stories[1], name="Edited", mood=f"mood of {project_id}")
        workspace.delete_stories(stories[2], stories[3])
    added = workspace.create_project(name="Another")
    workspace.create_story(added.record["id"], name="First")
    outputs = shards.load_all()
    shards.assert_exact(*CONCURRENT_RESOURCES)
    for number, text in enumerate(outputs, start=1):
        assert ("Not in the list of projects any more" in text) == (number == homes[missing])
    tables = shards.tables()
    assert {row["id"] for row in tables["projects"] if row["_not_seen_since"]} == {missing}
    assert tables.keys() == before.keys()
    assert_tables_equal(of_project(tables, missing), before)
    assert "Loaded 0 rows" in outputs[2], outputs[2]
