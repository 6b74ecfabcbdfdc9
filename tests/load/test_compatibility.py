"""A database loaded by an earlier version of the source is brought up to date."""

from __future__ import annotations

import lzma
from pathlib import Path
from typing import Any

import pytest

from tracker_server import TrackerServer
from tracker_server.sample import generate_workspace
from tracker_server.workspace import Workspace

from ..support.command import Command
from ..support.truth import assert_tables_equal, comparable, served_tables

DATABASE = Path(__file__).parents[1] / "support" / "data" / "loaded_by_c4ccc5f.duckdb.xz"
"""The workspace as loaded by commit c4ccc5f, the last one whose resources yielded Arrow."""


@pytest.fixture
def small_workspace() -> Workspace:
    return generate_workspace(projects=2, stories=8, activity=20, seed=3)


@pytest.fixture
def old(command: Command, server: TrackerServer) -> Command:
    """The command with the database, but without dlt's working folder."""
    command.database.write_bytes(lzma.decompress(DATABASE.read_bytes()))
    return command


def run(command: Command) -> dict[str, Any]:
    """Run the command, which must succeed; return its summary."""
    result = command("--summary", "summary.json")
    assert result.returncode == 0, result.stderr
    return command.summary()


def test_unchanged_workspace_writes_nothing(old: Command, server: TrackerServer) -> None:
    before = old.tables()
    summary = run(old)
    assert {name: rows["written"] for name, rows in summary["tables"].items()} == dict.fromkeys(
        summary["tables"], 0
    )
    paths = [request.path for request in server.requests]
    read = {path.rsplit("/", 1)[-1] for path in paths if "/projects/" in path}
    assert read <= {"iterations", "days"}
    assert_tables_equal(old.tables(), before)


def test_only_changes_are_read_and_written(old: Command, server: TrackerServer) -> None:
    workspace = server.workspace
    first, second = workspace.projects.values()
    story_id, deleted, *_ = first.stories
    workspace.edit_story(story_id, name="Edited")
    workspace.delete_stories(deleted)
    summary = run(old)
    stories = summary["tables"]["stories"]
    assert (stories["new"], stories["changed"], stories["deleted"]) == (0, 1, 1)
    read = {request.path for request in server.requests if "/stories" in request.path}
    assert not [path for path in read if f"/projects/{second.record['id']}/" in path]
    tables, truth = old.tables(), served_tables(server)
    for name, rows in truth.items():
        if name.split("__")[0] not in {"activity", "people", "deleted_records"}:
            assert comparable(tables[name]) == comparable(rows), name
    assert deleted in {row["id"] for row in tables["deleted_records"]}
