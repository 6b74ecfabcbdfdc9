"""Dumps of one project by several tools, through the command: every record is loaded once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tracker_server import TrackerServer
from tracker_server.sample import generate_workspace

from ..support.archive_reading import getter, read
from ..support.backup_tools import (
    DUMP_TABLES,
    dumped_paths,
    dumped_tables,
    write_database,
    write_pivotaltrackerdump,
    write_pt_backup,
)
from ..support.command import Command


@pytest.fixture
def archives(tmp_path: Path) -> Path:
    """A folder with an archive of each tool."""
    folder = tmp_path / "archives"
    workspace = generate_workspace(projects=1, stories=20, activity=60, seed=3)
    with TrackerServer(workspace) as server:
        get = getter(server.url, workspace.me["api_token"])
        project_id = get("projects")[0]["id"]
        write_pt_backup(folder / "backup", get, workspace, project_id)
        write_pivotaltrackerdump(folder / "out", dumped_paths(get, project_id))
        write_database(folder / "tracker.db", DUMP_TABLES, dumped_tables(get, workspace))
    return folder


def test_same_project_from_several_tools_is_loaded_once(command: Command, archives: Path) -> None:
    result = command("--archive", str(archives), "--resource", "stories")
    assert result.returncode == 0, result.stderr
    found = read(archives / "out").by_id("stories")
    loaded = command.tables()
    assert {row["id"] for row in loaded["stories"]} == found.keys()
    assert len(loaded["stories"]) == len(found)
    transitions = [t for story in found.values() for t in story["transitions"]]
    assert len(loaded["stories__transitions"]) == len(transitions)
