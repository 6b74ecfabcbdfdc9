"""Archives served as API v5: a client loads the same from the server as from the files."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import requests

from pivotal_tracker import tables
from tracker_server import TrackerServer
from tracker_server.__main__ import main
from tracker_server.archive_workspace import ArchiveWorkspace
from tracker_server.sample import generate_workspace

from ..support.archive_reading import Get, all_of, getter, read
from ..support.backup_tools import (
    DUMP_TABLES,
    STORYEXPORTER_TABLES,
    dumped_paths,
    dumped_tables,
    write_database,
    write_json,
    write_pivotaltrackerdump,
    write_pt_backup,
)
from ..support.command import ROOT, Command, new_command
from ..support.exports import Row, as_csv, table
from ..support.forking import ForkServer
from ..support.recorded import RECORDED
from ..support.truth import Record, Tables, comparable, expected_tables

NOT_SERVED = {"load_report", "load_report__left_out", "attachment_files", "people"}
"""The tables that no endpoint has; people are loaded as far as other records name them."""


@contextmanager
def serving(*paths: Path, port: int = 0) -> Iterator[str]:
    """Serve archives by the command in a process of its own, and yield the URL."""
    arguments = [sys.executable, "-m", "tracker_server", *map(str, paths), "--port", str(port)]
    process = subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        greeting = process.stdout.readline()
        assert "any token, to this machine" in greeting
        yield greeting.split()[0]
    finally:
        process.terminate()
        assert process.wait(10) == 0


def load_from_server(command: Command, url: str) -> Tables:
    """Load from a server into another database, and return its tables."""
    there = Command(command.folder / "api", url, "their_old_token", fork_server=command.fork_server)
    there.folder.mkdir()
    result = there()
    assert result.returncode == 0, result.stderr
    return there.tables()


def assert_same_tables(archived: Tables, served: Tables) -> None:
    """Compare all tables, except for what only files contain."""
    for name in archived.keys() - NOT_SERVED:
        assert plain(served[name]) == plain(archived[name]), name
    # the order of an export's rows, which is the priority
    assert positions(served) == positions(archived)
    assert any(positions(archived).values())
    people = {row["id"]: row for row in archived["people"]}
    for row in served["people"]:
        values = {n: v for n, v in row.items() if v is not None and not n.startswith("_")}
        assert values.items() <= people[row["id"]].items()


def positions(loaded: Tables) -> dict[int, int | None]:
    return {row["id"]: row.get("_position") for row in loaded["stories"]}


def plain(rows: list[Record]) -> list[str]:
    return comparable({n: v for n, v in row.items() if not n.startswith("_")} for row in rows)


def archives_of_every_format(folder: Path) -> list[Path]:
    """Write archives of every format, with one project each."""
    workspace = generate_workspace(projects=6, stories=15, activity=30, seed=5)
    first, second, third, fourth, fifth, sixth = workspace.projects
    with TrackerServer(workspace) as server:
        get = getter(server.url, workspace.me["api_token"])
        write_pt_backup(folder / "backup", get, workspace, first)
        write_pivotaltrackerdump(folder / "out", dumped_paths(get, second))
        write_json(
            folder / "tree" / "projects" / "Third" / "stories.json", all_of(get, third, "stories")
        )
        lines = [json.dumps(record) for record in project_records(get, fourth)]
        (folder / "answers.jsonl").write_text("\n".join(lines))
    for project_id, name, columns in (
        (fifth, "first.db", STORYEXPORTER_TABLES),
        (sixth, "second.db", DUMP_TABLES),
    ):
        alone = replace(workspace, projects={project_id: workspace.projects[project_id]})
        with TrackerServer(alone) as server:
            rows = dumped_tables(getter(server.url, workspace.me["api_token"]), alone)
        write_database(folder / name, columns, rows)
    return [
        folder / "first.db",
        folder / "second.db",
        folder / "backup",
        folder / "out",
        folder / "tree",
        folder / "answers.jsonl",
        export(folder / "shop_20240401_0900.zip"),
    ]


def project_records(get: Get, project_id: int) -> list[Record]:
    """Return all records of a project in the form of the API."""
    fields = ":default,comments(:default,file_attachments),tasks,blockers,reviews,transitions"
    return [
        get(f"projects/{project_id}"),
        *all_of(get, project_id, "stories", fields),
        *all_of(get, project_id, "labels"),
        *all_of(get, project_id, "releases"),
        *all_of(get, project_id, "project_memberships"),
        *get("my/workspaces"),
        get("accounts")[0],
    ]


def export(path: Path) -> Path:
    """Write Tracker's own export, with a file of a story."""
    rows = [
        Row(91, "An epic", type="epic", labels="checkout"),
        Row(
            92,
            "A story",
            labels="checkout, web",
            iteration="3",
            start="Nov 2, 2015",
            end="Nov 8, 2015",
            estimate="2",
            state="accepted",
            accepted="Nov 4, 2015",
            requested_by="Ann",
            owners=["Ann", "Bob"],
            blockers=[("#91", "resolved")],
            comments=["Looks good (Bob - Nov 3, 2015)"],
            tasks=[("Test it", "completed")],
            reviews=[("Code", "Bob", "pass")],
            pull_requests=["https://github.com/a/b/pull/7"],
            branches=["main"],
        ),
        Row(93, "Beta", type="release", deadline="Nov 30, 2015"),
    ]
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("shop_20240401_0900.csv", as_csv(table(rows)))
        file.writestr("92/plan.txt", "the plan")
    return path


@dataclass(frozen=True)
class Archived:
    """Archives, and the command with all of them loaded."""

    paths: list[Path]
    command: Command


@pytest.fixture(scope="module")
def archived(fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> Archived:
    """Archives of every format, loaded with their files."""
    folder = tmp_path_factory.mktemp("archived")
    paths = archives_of_every_format(folder / "saved")
    if RECORDED.is_dir():
        paths.append(RECORDED)
    command = new_command(fork_server, folder / "run")
    result = command("--archive", *map(str, paths), "--attachments", str(folder / "files"))
    assert result.returncode == 0, result.stderr
    return Archived(paths, command)


def test_every_record_of_every_format_is_loaded(archived: Archived) -> None:
    loaded = archived.command.tables()
    assert len(loaded["projects"]) == (10 if RECORDED.is_dir() else 7)
    for row in loaded["load_report"]:
        assert row["rows_read"] == row["rows_loaded"] + row["rows_left_out"]
    found = {path: read(path) for path in archived.paths}
    for kind in tables.PROJECT_TABLES.values():
        records = [r for one in found.values() for r in one.records.get(kind.name, [])]
        expected = expected_tables(kind.name, records)
        for member in kind.family():
            rows = [{k: v for k, v in row.items() if k != "_source"} for row in loaded[member.name]]
            assert comparable(rows) == comparable(expected.get(member.name, [])), member.name
    contents = {i: c for one in found.values() for i, c in one.contents.items()}
    sizes = {row["id"]: row["size"] for row in loaded["attachment_files"]}
    assert sizes == {number: len(content) for number, content in contents.items()}
    for path, one in found.items():
        stories = {record["id"] for record in one.records["stories"]}
        sources = {row["_source"] for row in loaded["stories"] if row["id"] in stories}
        assert {source.partition("/")[0] for source in sources} == {path.name}


def test_served_archives_give_the_same_tables_as_the_files(
    archived: Archived, command: Command
) -> None:
    loaded = archived.command.tables()
    with serving(*archived.paths) as url:
        assert_same_tables(loaded, load_from_server(command, url))
        for row in loaded["attachment_files"]:
            if row["sha256"]:
                address = (
                    f"{url.removesuffix('/services/v5')}/file_attachments/{row['id']}/download"
                )
                assert requests.get(address, timeout=10).content == Path(row["path"]).read_bytes()


def story(story_id: int, **more: Any) -> Record:
    return {"kind": "story", "id": story_id, "project_id": 9, **more}


def test_values_missing_from_an_archive_are_absent(tmp_path: Path) -> None:
    write_json(
        tmp_path / "a.json",
        [
            story(1, name="Bare"),
            story(2, transitions=[{"state": "started", "story_id": 2, "project_version": 3}]),
            story(3, story_type="release", labels=[{"id": 4, "name": "web"}]),
            {"kind": "label", "id": 5, "name": "shop", "project_id": 9},
        ],
    )
    with (
        ArchiveWorkspace([tmp_path / "a.json"]) as archived,
        TrackerServer(archived.workspace) as server,
    ):
        get = getter(server.url, "whatever")
        assert get("projects", fields="name,current_velocity") == [{"id": 9}]
        path = "projects/9/stories"
        assert get(path, fields="name,cycle_time_details") == [
            {"id": 1, "name": "Bare"},
            {"id": 2},
            {"id": 3},
        ]
        assert [s["id"] for s in get(path, with_label="web")] == [3]
        assert get(path, with_state="accepted") == []
        labels = get("projects/9/labels", fields="name,counts")
        assert labels == [{"id": 5, "name": "shop"}, {"id": 4, "name": "web"}]
        for name in ("iterations", "epics", "activity", "memberships"):
            assert get(f"projects/9/{name}") == []
        assert get("projects/9/history/days")["data"] == []
        assert get("me")["projects"][0]["project_id"] == 9
        refused = requests.post(f"{server.url}/{path}", json={}, timeout=10)
        assert refused.status_code == 404


def test_recorded_analytics_of_iterations_are_served(tmp_path: Path) -> None:
    analytics = {"kind": "analytics", "stories_accepted": 1, "cycle_time": 172_800_000}
    iterations = [
        {"kind": "iteration", "project_id": 9, "number": 1, "analytics": analytics},
        {"kind": "iteration", "project_id": 9, "number": 2},
    ]
    write_json(tmp_path / "a.json", iterations)
    with (
        ArchiveWorkspace([tmp_path / "a.json"]) as archived,
        TrackerServer(archived.workspace) as server,
    ):
        get = getter(server.url, "whatever")
        path = "projects/9/iterations"
        assert [
            iteration.get("analytics") for iteration in get(path, fields=":default,analytics")
        ] == [
            analytics,
            None,
        ]
        assert [iteration.get("analytics") for iteration in get(path)] == [None, None]


def test_unknown_files_are_reported_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("hello")
    monkeypatch.setattr(sys, "argv", ["tracker_server", str(path)])
    assert main() == 1
    output = capsys.readouterr()
    assert re.fullmatch(r".*notes\.txt is not a known archive\. .*\n", output.err)
    assert output.out == ""


def test_damaged_attachment_loses_no_story(tmp_path: Path) -> None:
    attachment = {"id": 7, "filename": "plan.txt"}
    first = story(1, name="First", comments=[{"id": 5, "file_attachments": [attachment]}])
    path = tmp_path / "backup.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("stories.json", json.dumps([first, story(2, name="Second")]))
        file.writestr("memberships.json", "[]")
        file.writestr("attachments/7/plan.txt", "the whole plan")
    path.write_bytes(path.read_bytes().replace(b"the whole plan", b"the other plan"))
    with (
        ArchiveWorkspace([path]) as archived,
        TrackerServer(archived.workspace) as server,
    ):
        stories = getter(server.url, "whatever")("projects/9/stories", fields="name")
        assert [story["name"] for story in stories] == ["First", "Second"]
        assert any("plan.txt" in line and "damaged" in line for line in archived.warnings)
        address = f"{server.url.removesuffix('/services/v5')}/file_attachments/7/download"
        assert requests.get(address, timeout=10).status_code == 404


@pytest.mark.parametrize("invalid", ["x", 5, 1.5, True, [], [1], {}, {"id": "x"}], ids=repr)
def test_invalid_values_in_files_are_served(tmp_path: Path, invalid: Any) -> None:
    here = {"project_id": 9}
    span = {"start": "2024-01-01T00:00:00Z", "finish": "2024-01-08T00:00:00Z"}
    records = [
        {"kind": "project", "id": 9, "version": invalid, "current_iteration_number": invalid},
        story(1, updated_at=invalid, label_ids=invalid, labels=invalid, owner_ids=invalid),
        story(2, updated_at="2024-01-03T00:00:00Z"),
        story(3, updated_at=1_704_153_600_000),
        {"kind": "epic", "id": 3, **here, "label": invalid},
        {"kind": "epic", "id": 4, **here, "label_id": invalid},
        {"kind": "iteration", "number": 1, **here, **span, "finish": invalid},
        {"kind": "iteration", "number": 2, **here, **span, "start": invalid},
        {"kind": "story_update_activity", "guid": "9_1", **here, "project_version": invalid},
        {
            "kind": "story_update_activity",
            "guid": "9_2",
            **here,
            "project_version": 2,
            "occurred_at": invalid,
        },
    ]
    write_json(tmp_path / "a.json", records)
    with (
        ArchiveWorkspace([tmp_path / "a.json"]) as archived,
        TrackerServer(archived.workspace) as server,
    ):
        get = getter(server.url, "whatever")
        assert [project["id"] for project in get("projects")] == [9]
        assert [story["id"] for story in get("projects/9/stories")] == [1, 2, 3]
        later = get("projects/9/stories", updated_after="2024-01-01T12:00:00Z", fields="id")
        assert {2, 3} <= {story["id"] for story in later}
        assert [epic["id"] for epic in get("projects/9/epics")] == [3, 4]
        assert [iteration["number"] for iteration in get("projects/9/iterations")] == [1, 2]
        get("projects/9/iterations", scope="current")
        assert {item["guid"] for item in get("projects/9/activity")} == {"9_1", "9_2"}


def test_records_that_are_not_served_are_counted(tmp_path: Path) -> None:
    records = [
        {"kind": "story", "id": 1, "project_id": 9, "name": "Served"},
        {"kind": "label", "id": 2, "name": "Nowhere"},
        {"kind": "iteration", "number": 1, "start": "2024-01-01T00:00:00Z"},
    ]
    write_json(tmp_path / "a.json", records)
    with ArchiveWorkspace([tmp_path / "a.json"]) as archived:
        assert list(archived.workspace.projects[9].stories) == [1]
        assert archived.warnings == [
            "a.json: 1 of iterations rejected: it has no id",
            "1 records are not served: they have no project",
        ]
