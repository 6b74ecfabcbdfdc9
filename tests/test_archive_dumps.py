"""Dumps through the command: every record that a reader gives is in the tables, and once."""

from __future__ import annotations

from pathlib import Path

import pytest

from pivotal_tracker import tables
from tracker_server import TrackerServer
from tracker_server.made_up import made_up_workspace

from .archive_reading import getter, read
from .conftest import Command
from .recorded import RECORDED
from .test_archive_json import dumped_paths, write_pivotaltrackerdump, write_pt_backup
from .test_archive_sqlite import DUMP_TABLES, dumped, made
from .truth import comparable, expected_tables

BY_PRODUCTS = ("people", "deleted_records", "load_report", "attachment_files")


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of archives, one of each tool."""
    folder = tmp_path_factory.mktemp("archives")
    workspace = made_up_workspace(projects=1, stories=20, activity=60, seed=3)
    with TrackerServer(workspace) as server:
        get = getter(server.url, workspace.me["api_token"])
        project_id = get("projects")[0]["id"]
        write_pt_backup(folder / "backup", get, workspace, project_id)
        write_pivotaltrackerdump(folder / "out", dumped_paths(get, project_id))
        made(folder / "tracker.db", DUMP_TABLES, dumped(get, workspace))
    return folder


@pytest.mark.parametrize("name", ["backup", "out", "tracker.db", "recorded"])
def test_a_dump_is_loaded_whole(command: Command, archives: Path, name: str) -> None:
    path = archives / name
    if name == "recorded":
        path = RECORDED
        if not RECORDED.is_dir():
            pytest.skip(f"needs the real recordings, which are not here: {RECORDED}")
    result = command("--archive", str(path))
    assert result.returncode == 0, result.stderr
    loaded = command.tables()
    found = read(path)
    for table in tables.PROJECT_TABLES.values():
        expected = expected_tables(table.name, found.records.get(table.name, []))
        for member in table.family():
            rows = [{k: v for k, v in row.items() if k != "_source"} for row in loaded[member.name]]
            assert comparable(rows) == comparable(expected.get(member.name, [])), member.name
    assert {row["id"]: row["size"] for row in loaded["attachment_files"]} == {
        number: len(content) for number, content in found.contents.items()
    }
    sources = {row["_source"] for row in loaded["stories"]}
    assert all(source.partition("/")[0] == path.name for source in sources)


def test_the_same_project_from_every_tool_is_one(command: Command, archives: Path) -> None:
    result = command("--archive", str(archives))
    assert result.returncode == 0, result.stderr
    found = read(archives / "out").by_id("stories")
    loaded = command.tables()
    assert {row["id"] for row in loaded["stories"]} == found.keys()
    assert len(loaded["stories"]) == len(found)
    transitions = [t for story in found.values() for t in story["transitions"]]
    assert len(loaded["stories__transitions"]) == len(transitions)
