"""Tracker's project export: no value is lost, in any layout, container or damaged file."""

# ruff: noqa: RUF001 - texts of many languages

from __future__ import annotations

import os
import re
import stat
import struct
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pivotal_tracker.archive import ArchiveError, open_archives, zips
from pivotal_tracker.archive.formats.project_export import csv_rows
from pivotal_tracker.archive.formats.project_export.csv_export import ProjectExport
from pivotal_tracker.archive.keys import stable_key

from ..support.archive_reading import Read, read, try_to_read
from ..support.command import Command
from ..support.exports import LAST, LAYOUTS, Row, as_csv, ragged, table, write_workbook
from ..support.truth import Tables, assert_tables_equal, expected_tables, loaded_tables

Record = dict[str, Any]

NAME = "my_project_20151117_1439.csv"
PROJECT = stable_key("project", "my_project")
ANN, BOB = stable_key("person", "Ann Lee"), stable_key("person", "Bob (the Builder)")
DAY = {"_date_precision": "day"}

STORY = Row(
    201,
    ' Let, people "in"',
    labels="doc, setup",
    iteration="7",
    start="Nov 16, 2015",
    end="Nov 22, 2015",
    estimate="0",
    priority="p1 - High",
    state="accepted",
    created="Nov 9, 2015",
    accepted="Nov 17, 2015",
    requested_by="Ann Lee",
    description="First line\n\n* second, with comma\n",
    url="https://www.pivotaltracker.com/story/show/201",
    owners=["Bob (the Builder)", "Ann Lee"],
    blockers=[("#202", "resolved"), ("waiting for the bank", "blocked")],
    comments=[
        "Done (mostly) (Ann Lee - Nov 16, 2015)",
        "Two\nlines (Bob (the Builder) - Nov 17, 2015)",
    ],
    tasks=[("draw it", "completed"), ("build it", "not completed")],
    reviews=[("Code", "Ann Lee", "pass"), ("Security", "", "unstarted")],
    pull_requests=["https://github.com/acme/app/pull/148"],
    branches=["feature/201-doors", "https://github.com/acme/app/tree/fix/door"],
)
EPIC = Row(
    201,  # epics are numbered by themselves
    "Doors",
    type="epic",
    labels="doc",
    priority="",
    state="",
    created="Nov 2, 2015",
    description="All of them",
    url="https://www.pivotaltracker.com/epic/show/201",
    comments=["Go (Ann Lee - Nov 3, 2015)"],
)
RELEASE = Row(
    202,
    "1.0",
    type="release",
    labels="doc",
    iteration="7",
    start="Nov 16, 2015",
    end="Nov 22, 2015",
    state="unstarted",
    deadline="Feb 22, 2019",
    requested_by="Ann Lee",
    url="https://www.pivotaltracker.com/story/show/202",
)
ICEBOX = Row(203, "Some day", type="chore", estimate="-1", requested_by="Gone Away")
ROWS = [EPIC, STORY, RELEASE, ICEBOX]


def key(*parts: object) -> int:
    return stable_key(*parts)


def label(name: str) -> Record:
    return {
        "kind": "label",
        "id": key("label", PROJECT, name),
        "project_id": PROJECT,
        "name": name,
    }


def review_type(name: str) -> Record:
    return {
        "kind": "review_type",
        "id": key("review_type", PROJECT, name),
        "project_id": PROJECT,
        "name": name,
    }


def comment(parent: str, parent_id: int, text: str, who: int, author: str, day: str) -> Record:
    return {
        "kind": "comment",
        "id": key("comment", parent_id, text, author, day),
        parent: parent_id,
        "text": text,
        "person_id": who,
        "created_at": day,
    }


def story_child(kind: str, *parts: object, **values: object) -> Record:
    return {"kind": kind, "id": key(kind, 201, *parts), "story_id": 201, **values}


def expected_records(
    has: tuple[str, ...] = LAST.groups, *, priority: bool = True
) -> dict[str, list[Record]]:
    """Return the records of `ROWS` in a layout that has some groups of columns."""
    of_release = {
        "id": 202,
        "project_id": PROJECT,
        "name": "1.0",
        "current_state": "unstarted",
        "created_at": "2015-11-03T00:00:00Z",
        "deadline": "2019-02-22T00:00:00Z",
        "labels": [label("doc")],
        "url": "https://www.pivotaltracker.com/story/show/202",
        **DAY,
    }
    nested: Record = {
        "comments": [
            comment("story_id", 201, "Done (mostly)", ANN, "Ann Lee", "2015-11-16T00:00:00Z"),
            comment(
                "story_id", 201, "Two\nlines", BOB, "Bob (the Builder)", "2015-11-17T00:00:00Z"
            ),
        ],
        "tasks": [
            story_child("task", "draw it", position=1, description="draw it", complete=True),
            story_child("task", "build it", position=2, description="build it", complete=False),
        ],
        "blockers": [
            story_child("blocker", "#202", description="#202", resolved=True),
            story_child(
                "blocker",
                "waiting for the bank",
                description="waiting for the bank",
                resolved=False,
            ),
        ],
        "reviews": [
            story_child(
                "review",
                "Code",
                "Ann Lee",
                review_type=review_type("Code"),
                review_type_id=key("review_type", PROJECT, "Code"),
                reviewer_id=ANN,
                status="pass",
            ),
            story_child(
                "review",
                "Security",
                "",
                review_type=review_type("Security"),
                review_type_id=key("review_type", PROJECT, "Security"),
                status="unstarted",
            ),
        ],
        "pull_requests": [
            story_child(
                "pull_request",
                "https://github.com/acme/app/pull/148",
                host_url="https://github.com/",
                owner="acme",
                repo="app",
                number=148,
                original_url="https://github.com/acme/app/pull/148",
            )
        ],
        "branches": [
            story_child("branch", "feature/201-doors", name="feature/201-doors"),
            story_child(
                "branch",
                "https://github.com/acme/app/tree/fix/door",
                host_url="https://github.com/",
                owner="acme",
                repo="app",
                name="fix/door",
                original_url="https://github.com/acme/app/tree/fix/door",
            ),
        ],
    }
    stories: list[Record] = [
        {
            "kind": "story",
            "id": 201,
            "project_id": PROJECT,
            "_position": 1,
            "name": ' Let, people "in"',
            "description": "First line\n\n* second, with comma\n",
            "url": "https://www.pivotaltracker.com/story/show/201",
            "story_type": "feature",
            "current_state": "accepted",
            "story_priority": "p1",
            "estimate": 0,
            "created_at": "2015-11-09T00:00:00Z",
            "accepted_at": "2015-11-17T00:00:00Z",
            "requested_by_id": ANN,
            "labels": [label("doc"), label("setup")],
            "owner_ids": [BOB, ANN] if "owners" in has else [BOB],
            "owned_by_id": BOB,
            **DAY,
            **{name: children for name, children in nested.items() if name in has},
        },
        {
            "kind": "story",
            "_position": 2,
            "story_type": "release",
            "story_priority": "none",
            "requested_by_id": ANN,
            "owner_ids": [],
            **of_release,
        },
        {
            "kind": "story",
            "id": 203,
            "project_id": PROJECT,
            "_position": 3,
            "name": "Some day",
            "story_type": "chore",
            "current_state": "unscheduled",
            "story_priority": "none",
            "created_at": "2015-11-03T00:00:00Z",
            "requested_by_id": key("person", "Gone Away"),
            "labels": [],
            "owner_ids": [],
            **DAY,
        },
    ]
    if not priority:
        for story in stories:
            del story["story_priority"]
    records = {
        "projects": [{"kind": "project", "id": PROJECT, "name": "my_project"}],
        "people": [
            {"id": key("person", name), "kind": "person", "name": name}
            for name in ("Ann Lee", "Bob (the Builder)", "Gone Away")
        ],
        "labels": [label("doc"), label("setup")],
        "epics": [
            {
                "kind": "epic",
                "id": 201,
                "project_id": PROJECT,
                "name": "Doors",
                "description": "All of them",
                "url": "https://www.pivotaltracker.com/epic/show/201",
                "created_at": "2015-11-02T00:00:00Z",
                "label": label("doc"),
                "comments": [comment("epic_id", 201, "Go", ANN, "Ann Lee", "2015-11-03T00:00:00Z")],
                **DAY,
            }
        ],
        "stories": stories,
        "releases": [{"kind": "release", **of_release}],
        "iterations": [
            {
                "kind": "iteration",
                "number": 7,
                "project_id": PROJECT,
                "start": "2015-11-16T00:00:00Z",
                "finish": "2015-11-23T00:00:00Z",
                "length": 1,
                "story_ids": [201, 202],
                **DAY,
            }
        ],
    }
    if "reviews" in has:
        records["review_types"] = [review_type("Code"), review_type("Security")]
    return records


def read_csv(
    folder: Path, content: str | bytes | list[list[str]], name: str = NAME, encoding: str = "utf-8"
) -> Read:
    """Write a CSV file, and read it."""
    if isinstance(content, list):
        content = as_csv(content)
    path = folder / name
    path.write_bytes(content.encode(encoding) if isinstance(content, str) else content)
    return read(path)


def lost_values(found: Read) -> dict[str, int]:
    """Count the lost values by reason."""
    return {
        reason: counted.rows for (_, _, reason), counted in found.accounting.lost_values.items()
    }


def story_of(found: Read, story_id: int = 201) -> Record:
    return found.by_id("stories")[story_id]


def assert_all_read(found: Read, expected: dict[str, list[Record]] | None = None) -> None:
    expected = expected_records() if expected is None else expected
    assert {name: sorted(rows, key=repr) for name, rows in _sorted_keys(found.records).items()} == {
        name: sorted(rows, key=repr) for name, rows in _sorted_keys(expected).items()
    }
    assert not found.accounting.left_out
    assert not found.accounting.lost_values


def _sorted_keys(records: dict[str, list[Record]]) -> dict[str, list[Record]]:
    return {table: [dict(sorted(r.items())) for r in rows] for table, rows in records.items()}


# layouts


@pytest.mark.parametrize("shuffled_by", [None, 1, 2, 3])
@pytest.mark.parametrize("year", LAYOUTS)
def test_every_layout_gives_the_same_records(
    tmp_path: Path, year: str, shuffled_by: int | None
) -> None:
    layout = LAYOUTS[year]
    found = read_csv(tmp_path, ragged(table(ROWS, layout, shuffled_by)))
    assert_all_read(found, expected_records(layout.groups, priority="Priority" in layout.head))


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_spreadsheet_delimiters_and_line_endings_are_read(
    tmp_path: Path, delimiter: str, ending: str
) -> None:
    assert_all_read(read_csv(tmp_path, as_csv(table(ROWS), delimiter, ending)))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_unicode_is_read_with_and_without_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    content = as_csv(table([Row(1, "Tür, 東京 🚪")]))
    found = read_csv(tmp_path, content, encoding=encoding)
    assert story_of(found, 1)["name"] == "Tür, 東京 🚪"
    assert not found.accounting.lost_values


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", "Tür “zu” €"),
        ("cp1252", "L’été: où ça coûte 5 €"),
        ("cp1252", "Añadir la página"),
        ("cp1252", "Não há informações"),
        ("mac_roman", "Tür “zu” €"),
        ("mac_roman", "L’été: où ça coûte 5 €"),
        ("mac_roman", "Añadir la página"),
        ("mac_roman", "Größere Übersicht"),
        ("cp850", "Größere Übersicht"),
        ("cp1250", "Dodać stronę użytkowników źródło"),
        ("cp932", "ログイン画面を作る"),
        ("cp932", "検索画面の不具合を直す (Login)"),
        ("euc_jp", "検索画面の不具合を直す"),
        ("cp1251", "Добавить страницу поиска"),
    ],
)
def test_other_encodings_are_read_without_loss(tmp_path: Path, encoding: str, text: str) -> None:
    rows = [Row(1, "Plain", owners=["Ann Lee"]), Row(2, text, description=f"{text}, ok")]
    found = read_csv(tmp_path, as_csv(table(rows)), encoding=encoding)
    assert story_of(found, 2)["name"] == text
    assert story_of(found, 2)["description"] == f"{text}, ok"
    assert not found.accounting.lost_values
    assert not found.accounting.left_out


def test_invalid_byte_affects_only_its_cell(tmp_path: Path) -> None:
    content = as_csv(table([Row(1, "Tür"), Row(2, "T?r")])).encode().replace(b"?", b"\x81")
    found = read_csv(tmp_path, content)
    assert [s["name"] for s in found.records["stories"]] == ["Tür", "T\ufffdr"]
    assert lost_values(found) == {"bytes that are not UTF-8, read as Windows-1252": 1}


def test_nul_characters_are_replaced_and_counted(tmp_path: Path) -> None:
    found = read_csv(tmp_path, as_csv(table([Row(1, "a?b??")])).replace("?", "\0"))
    assert story_of(found, 1)["name"] == "a\ufffdb\ufffd\ufffd"
    assert lost_values(found) == {"NUL characters, now U+FFFD": 3}


# containers


def write_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def write_folder(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


HISTORY = as_csv(
    [
        ["ID", "Type", "Message", "Performed By", "Occurred At"],
        ["201", "story_update_activity", "Ann Lee finished this", "Ann Lee", "Nov 17, 2015"],
        ["201", "story_update_activity", "Ann Lee finished this", "Ann Lee", "Nov 17, 2015"],
        ["9", "Epic", "Eve edited", "Eve", "2015-11-17 10:20:30 UTC"],
        ["77_12", "story_move_activity", "moved", "", "11/17/2015"],
    ]
)


def expected_activity() -> list[Record]:
    project = {"kind": "project", "id": PROJECT, "name": "my_project"}
    eve = key("person", "Eve")
    edited = (
        *("activity", PROJECT, "201", "story_update_activity"),
        *("Ann Lee finished this", "Ann Lee", "Nov 17, 2015"),
    )
    of_epic = ("activity", PROJECT, "9", "Epic", "Eve edited", "Eve", "2015-11-17 10:20:30 UTC")
    finished = {
        "project_id": PROJECT,
        "project": project,
        "kind": "story_update_activity",
        "message": "Ann Lee finished this",
        "performed_by": {"kind": "person", "id": ANN, "name": "Ann Lee"},
        "occurred_at": "2015-11-17T00:00:00Z",
        "primary_resources": [{"id": 201, "kind": "story"}],
        **DAY,
    }
    return [
        {"guid": str(key(*edited)), **finished},
        {"guid": str(key(*edited, 1)), **finished},
        {
            "guid": str(key(*of_epic)),
            "project_id": PROJECT,
            "project": project,
            "kind": "Epic",
            "message": "Eve edited",
            "performed_by": {"kind": "person", "id": eve, "name": "Eve"},
            "occurred_at": "2015-11-17T10:20:30Z",
            "primary_resources": [{"id": 9, "kind": "epic"}],
        },
        {
            "guid": "77_12",
            "project_version": 12,
            "project_id": PROJECT,
            "project": project,
            "kind": "story_move_activity",
            "message": "moved",
            "occurred_at": "2015-11-17T00:00:00Z",
            **DAY,
        },
    ]


@pytest.mark.parametrize("prefix", ["", "my_project_20151117_1439-export/"])
@pytest.mark.parametrize("container", [write_zip, write_folder])
def test_attachments_and_history_are_read_from_zip_and_folder(
    tmp_path: Path, container: Callable[[Path, dict[str, bytes]], Path], prefix: str
) -> None:
    files = {
        NAME: as_csv(table(ROWS)).encode(),
        "history.csv": HISTORY.encode(),
        "202/Plan.pdf": b"plan",
        "203/notes/a.csv": as_csv(
            table([STORY])
        ).encode(),  # an attachment, although it is a CSV export
        "203/.DS_Store": b"",
        "__MACOSX/203/._Plan.pdf": b"",
    }
    found = read(container(tmp_path / "export", {prefix + name: files[name] for name in files}))
    expected = expected_records()
    expected["people"].append({"id": key("person", "Eve"), "kind": "person", "name": "Eve"})
    expected["activity"] = expected_activity()
    sizes = {(202, "Plan.pdf"): 4, (203, "notes/a.csv"): len(files["203/notes/a.csv"])}
    expected["attachment_files"] = [
        {
            "id": key("attachment", story_id, name),
            "project_id": PROJECT,
            "story_id": story_id,
            "filename": name.rpartition("/")[2],
            "size": size,
        }
        for (story_id, name), size in sizes.items()
    ]
    assert_all_read(found, expected)
    assert found.contents == {
        key("attachment", 202, "Plan.pdf"): b"plan",
        key("attachment", 203, "notes/a.csv"): files["203/notes/a.csv"],
    }


def test_epic_attachments_refer_to_the_epic(tmp_path: Path) -> None:
    files = {NAME: as_csv(table([Row(9, "E", type="epic")])).encode(), "9/a.txt": b"a"}
    (attachment,) = read(write_folder(tmp_path / "x", files)).records["attachment_files"]
    assert (attachment["epic_id"], "story_id" in attachment) == (9, False)


def test_exports_of_two_projects_in_one_folder_are_kept_apart(tmp_path: Path) -> None:
    files = {
        NAME: as_csv(table([Row(1, "One", labels="a")])).encode(),
        "other_20160101_0000.csv": as_csv(table([Row(2, "Two", labels="a")])).encode(),
        "2/a.txt": b"a",
    }
    found = read(write_folder(tmp_path / "x", files))
    other = key("project", "other")
    assert {s["id"]: s["project_id"] for s in found.records["stories"]} == {1: PROJECT, 2: other}
    assert len({label["id"] for label in found.records["labels"]}) == 2
    assert found.records["attachment_files"][0]["project_id"] == other


@pytest.mark.parametrize(
    ("name", "project"),
    [
        ("my_project_20151117_1439.csv", "my_project"),
        ("my_project_20151117_1439 (1).csv", "my_project"),
        ("my_project_20151117_1439-export.csv", "my_project"),
        ("stories.csv", "stories"),
        ("plan_2015.csv", "plan_2015"),
        ("_20151117_1439.csv", "_20151117_1439"),
        ("20151117_1439.csv", "20151117_1439"),
    ],
)
def test_project_is_named_after_its_file(tmp_path: Path, name: str, project: str) -> None:
    found = read_csv(tmp_path, table(ROWS), name)
    assert found.records["projects"] == [
        {"kind": "project", "id": key("project", project), "name": project}
    ]


@pytest.mark.parametrize("name", ["my_project_20151117_1439_history.csv", "my_project-history.csv"])
def test_history_without_export_is_read(tmp_path: Path, name: str) -> None:
    found = read_csv(tmp_path, HISTORY, name)
    kinds = [["story"], ["story"], ["epic"], []]
    assert [
        [of["kind"] for of in item.get("primary_resources", [])]
        for item in found.records["activity"]
    ] == kinds
    assert found.records["projects"][0]["name"] == "my_project"


def test_unknown_files_are_reported(tmp_path: Path) -> None:
    files = {NAME: as_csv(table(ROWS)).encode(), "readme.txt": b"hello", "old.zip": b"PK"}
    found = read(write_folder(tmp_path / "x", files))
    assert {
        key: (counted.rows, counted.where) for key, counted in found.accounting.left_out.items()
    } == {
        ("x", "files", "not recognized: a text of another kind"): (2, "old.zip"),
    }


def test_command_loads_all_tables_and_second_run_writes_nothing(
    command: Command, tmp_path: Path
) -> None:
    files = {NAME: as_csv(ragged(table(ROWS))).encode(), "history.csv": HISTORY.encode()}
    path = write_zip(tmp_path / "my_project.zip", files)
    done = command("--archive", str(path))
    assert done.returncode == 0, done.stderr
    loaded = loaded_tables(command.folder / "pivotal_tracker.duckdb")
    report = loaded.pop("load_report")
    expected = expected_tables_of_zip()
    assert_tables_equal(loaded, expected)
    assert sum(row["rows_loaded"] for row in report) == sum(map(len, expected.values()))
    assert not any(row["rows_left_out"] for row in report)

    again = command("--archive", str(path))
    assert "Loaded 0 rows" in again.stdout, again.stdout


def expected_tables_of_zip() -> Tables:
    stories, history = (f"my_project.zip/{name}" for name in (NAME, "history.csv"))
    eve = {"id": key("person", "Eve"), "kind": "person", "name": "Eve", "_source": history}
    records = expected_records()
    records["people"].append(eve)
    records["activity"] = [{**item, "_source": history} for item in expected_activity()]
    expected: Tables = {}
    for name, found in records.items():
        expected |= expected_tables(name, [{"_source": stories, **one} for one in found])
    return expected


# rows and cells that are easily misread


def test_repeated_columns_are_all_read(tmp_path: Path) -> None:
    many = Row(
        1,
        "Busy",
        owners=[f"P{n}" for n in range(3)],
        comments=[f"c{n} (P{n % 3} - Nov 16, 2015)" for n in range(29)],
        tasks=[(f"t{n}", "completed") for n in range(13)],
        blockers=[(f"b{n}", "blocked") for n in range(16)],
    )
    story = story_of(read_csv(tmp_path, ragged(table([Row(2, "Idle"), many, STORY]))), 1)
    assert [c["text"] for c in story["comments"]] == [f"c{n}" for n in range(29)]
    assert [t["description"] for t in story["tasks"]] == [f"t{n}" for n in range(13)]
    assert [b["description"] for b in story["blockers"]] == [f"b{n}" for n in range(16)]
    assert story["owner_ids"] == [key("person", f"P{n}") for n in range(3)]


TOO_MANY_CELLS = "more cells than the header has, so that they may be shifted"


def test_possibly_shifted_cells_are_rejected(tmp_path: Path) -> None:
    row = Row(1, "One", iteration="7", state="started", requested_by="Ann", owners=["Ann"])
    lines = table([row, Row(2, "Two")])
    lines[1] += ["", "more", "and more"]
    lines[2] += ["", ""]
    found = read_csv(tmp_path, lines)
    assert [s["name"] for s in found.records["stories"]] == ["One", "Two"]
    assert "requested_by_id" not in story_of(found, 1)
    assert "people" not in found.records
    assert lost_values(found) == {TOO_MANY_CELLS: 4}
    assert not found.accounting.incomplete


UP_TO_CREATED = {
    *("kind", "id", "project_id", "_position", "name", "story_type", "current_state"),
    *("story_priority", "created_at", "_date_precision", "labels", "owner_ids"),
}


@pytest.mark.parametrize(
    ("column", "attributes"),
    [
        ("Title", None),
        ("Labels", None),
        ("Description", UP_TO_CREATED),
        ("Blocker", UP_TO_CREATED | {"url"}),
    ],
)
def test_unquoted_comma_shifts_no_cells(
    tmp_path: Path, column: str, attributes: set[str] | None
) -> None:
    url = "https://www.pivotaltracker.com/story/show/203" if column == "Blocker" else ""
    lines = table([Row(**{**vars(ICEBOX), "url": url, "estimate": ""}), STORY])
    at = lines[0].index(column)
    lines[1][at : at + 1] = ["one part", " and another", "and a third"]
    found = read_csv(tmp_path, lines)
    assert story_of(found)["name"] == STORY.title
    if attributes is None:
        assert len(found.records["stories"]) == 1
        assert found.reasons("stories") == {TOO_MANY_CELLS}
        assert found.accounting.incomplete == {NAME: "1 row could not be read"}
    else:
        more = {"requested_by_id"} if column == "Blocker" else set()
        assert story_of(found, 203).keys() == attributes | more
        assert lost_values(found).keys() == {TOO_MANY_CELLS}
        assert not found.accounting.incomplete


@pytest.mark.parametrize(
    ("cell", "text", "author"),
    [
        ("Fine (Ann - Nov 16, 2015)", "Fine", "Ann"),
        ("Fine (Jo (ACME) Doe - Nov 16, 2015)", "Fine", "Jo (ACME) Doe"),
        ("Fine (Jo (A) (B) - Nov 16, 2015)", "Fine", "Jo (A) (B)"),
        ("See (this) (Jo (ACME) - Nov 16, 2015)", "See (this)", "Jo (ACME)"),
        ("Fine (Anne - Marie - Nov 16, 2015)", "Fine", "Anne - Marie"),
        ("Fine (Bo :) - Nov 16, 2015)", "Fine", "Bo :)"),
        ("Fine (Bo :( - Nov 16, 2015)", "Fine", "Bo :("),
        ("(Ann - Nov 16, 2015)", None, "Ann"),
        ("A\n\nB\n(Ann - Nov 16, 2015)", "A\n\nB", "Ann"),
        ("No (Al -October 18, 2018) (Unknown - Nov 16, 2015)", "No (Al -October 18, 2018)", None),
        ("He said (Al - Nov 1, 2015) (Ann - Nov 16, 2015)", "He said (Al - Nov 1, 2015)", "Ann"),
    ],
)
def test_comment_author_and_date_are_parsed(
    tmp_path: Path, cell: str, text: str | None, author: str | None
) -> None:
    (found_comment,) = story_of(read_csv(tmp_path, table([Row(201, "S", comments=[cell])])))[
        "comments"
    ]
    assert found_comment.get("text") == text
    assert found_comment.get("person_id") == (key("person", author) if author else None)
    assert found_comment["created_at"] == "2015-11-16T00:00:00Z"


@pytest.mark.parametrize(
    "cell", ["Just a note", "Ends (so)", "- (x - y)", "(Ann - Foo 99, 2015)", "a - Nov 1, 2015)"]
)
def test_note_without_author_keeps_its_text(tmp_path: Path, cell: str) -> None:
    rows = table([Row(201, "S", comments=[cell])], LAYOUTS["2009"])
    (found_comment,) = story_of(read_csv(tmp_path, rows))["comments"]
    assert {k: v for k, v in found_comment.items() if k not in ("id", "kind")} == {
        "story_id": 201,
        "text": cell,
    }


def test_commit_comment_has_commit_identifier_and_type(tmp_path: Path) -> None:
    text = "Commit by Ann\nhttps://github.com/acme/app/commit/0f1e2d3c\n\n[#201] Open doors"
    row = Row(201, "S", comments=[f"{text} (Ann Lee - Nov 16, 2015)"])
    (found_comment,) = story_of(read_csv(tmp_path, table([row])))["comments"]
    assert found_comment == {
        **comment("story_id", 201, text, ANN, "Ann Lee", "2015-11-16T00:00:00Z"),
        "commit_identifier": "0f1e2d3c",
        "commit_type": "github",
    }


def test_blank_task_cells_keep_tasks_and_statuses_paired(tmp_path: Path) -> None:
    pairs = [("one", "completed"), ("two", ""), ("", ""), ("", "completed"), ("three", "completed")]
    found = read_csv(
        tmp_path, table([Row(201, "S", tasks=pairs, blockers=[("x", ""), ("y", "blocked")])])
    )
    story = story_of(found)
    assert [(t.get("description"), t.get("complete"), t["position"]) for t in story["tasks"]] == [
        ("one", True, 1),
        ("two", None, 2),
        (None, True, 3),
        ("three", True, 4),
    ]
    assert [(b["description"], b.get("resolved")) for b in story["blockers"]] == [
        ("x", None),
        ("y", False),
    ]
    assert not found.accounting.lost_values


def test_unequal_numbers_of_task_and_status_columns_are_read(tmp_path: Path) -> None:
    header = [
        "Id",
        "Title",
        "Type",
        "Current State",
        "Task",
        "Task Status",
        "Task Status",
        "Blocker",
    ]
    found = read_csv(
        tmp_path, [header, ["1", "S", "bug", "started", "t", "completed", "completed", "b"]]
    )
    story = story_of(found, 1)
    assert [(t.get("description"), t["complete"]) for t in story["tasks"]] == [
        ("t", True),
        (None, True),
    ]
    assert [b["description"] for b in story["blockers"]] == ["b"]


def test_formula_escape_apostrophe_is_removed(tmp_path: Path) -> None:
    row = Row(201, "'=1+1", description="'=x", tasks=[("'=y", "")], comments=["'=z"])
    story = story_of(read_csv(tmp_path, table([row])))
    assert (story["name"], story["description"]) == ("=1+1", "=x")
    assert (story["tasks"][0]["description"], story["comments"][0]["text"]) == ("=y", "=z")


def test_unknown_columns_are_kept_as_text(tmp_path: Path) -> None:
    lines = table([Row(1, "One"), Row(9, "E", type="epic", state="", priority="")])
    lines[0] += [
        "Id",
        "Customer Größe",
        "labels ",
        "",
        "_dlt_id",
        "customer  groesse",
        "Customer große",
    ]
    lines[1] += ["x", "ACME", "y", "z", "evil", "", "q"]
    lines[2] += ["", "Globex"]
    found = read_csv(tmp_path, lines)
    first = len(lines[0]) - 7
    story = story_of(found, 1)
    assert {k: v for k, v in story.items() if k.startswith("column_")} == {
        "column_id": "x",
        "column_customer_groe": "ACME",
        "column_labels": "y",
        f"column_{first + 4}": "z",
        "column_dlt_id": "evil",
        f"column_customer_groe_{first + 7}": "q",
    }
    assert found.records["epics"][0]["column_customer_groe"] == "Globex"


def test_only_the_first_hundred_unknown_columns_are_kept(tmp_path: Path) -> None:
    lines = table([Row(1, "One")])
    lines[0] += [f"x{n}" for n in range(150)]
    lines[1] += ["v"] * 150
    found = read_csv(tmp_path, lines)
    assert sum(name.startswith("column_") for name in story_of(found, 1)) == 100
    assert lost_values(found) == {"columns that are not Tracker's, beyond the first hundred": 50}


def test_invalid_values_are_reported_and_the_rest_is_read(tmp_path: Path) -> None:
    row = Row(
        1,
        "S",
        type="saga",
        state="dormant",
        priority="p9 - Whatever",
        estimate="a lot",
        created="Feb 30, 2015",
        deadline="soon",
        iteration="x",
        tasks=[("t", "half")],
        blockers=[("b", "maybe")],
        reviews=[("Code", "", "hm")],
    )
    other = Row(2, "T", estimate="inf", iteration="8", start="x", end="Dec 31, 9999")
    found = read_csv(tmp_path, table([row, other]))
    story = story_of(found, 1)
    assert (story["name"], story["tasks"][0]["description"]) == ("S", "t")
    assert found.records["iterations"][0]["story_ids"] == [2]
    assert lost_values(found) == {
        "a story_type that Tracker does not know": 1,
        "a current_state that Tracker does not know": 1,
        "a story_priority that Tracker does not know": 1,
        "an estimate that is not a number": 2,
        "a created_at that is not a date": 1,
        "a deadline that is not a date": 1,
        "an iteration that is not a number": 1,
        "a start or an end that is not a date": 1,
        "a status of a task that Tracker does not know": 1,
        "a status of a blocker that Tracker does not know": 1,
        "a status of a review that Tracker does not know": 1,
    }
    assert all(
        counted.where.startswith("line ") for counted in found.accounting.lost_values.values()
    )


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("Nov 9, 2015", "2015-11-09T00:00:00Z"),
        ("November 9, 2015", "2015-11-09T00:00:00Z"),
        ("11/09/2015", "2015-11-09T00:00:00Z"),
        ("2015-11-09", "2015-11-09T00:00:00Z"),
        ("42317", "2015-11-09T00:00:00Z"),
        ("42317.0", "2015-11-09T00:00:00Z"),
        ("2015-11-09T10:11:12Z", "2015-11-09T10:11:12Z"),
        ("2015-11-09 10:11:12 +0200", "2015-11-09T08:11:12Z"),
        ("Nov 9, 2015 3:04 PM", "2015-11-09T15:04:00Z"),
    ],
)
def test_date_formats_are_parsed(tmp_path: Path, text: str, time: str) -> None:
    story = story_of(read_csv(tmp_path, table([Row(1, "S", created=text)])), 1)
    assert story["created_at"] == time
    assert story.get("_date_precision") == ("day" if time.endswith("T00:00:00Z") else None)


def test_story_cells_of_an_epic_are_counted_as_lost(tmp_path: Path) -> None:
    epic = Row(
        9, "E", type="epic", labels="a, b, c", owners=["Ann Lee"], tasks=[("t", "completed")]
    )
    found = read_csv(tmp_path, table([epic]))
    assert found.records["epics"][0]["label"] == label("a")
    assert lost_values(found) == {
        "labels beyond the one that an epic has": 2,
        "cells that epics do not have": 5,
    }


def test_merge_conflict_markers_and_rows_without_id_are_left_out(tmp_path: Path) -> None:
    lines = as_csv(table([Row(1, "One"), Row(2, "Two")])).splitlines()
    content = "\n".join(
        [lines[0], "<<<<<<< HEAD", lines[1], "=======", "", lines[2], ">>>>>>> b", "x,No id", ",,,"]
    )
    found = read_csv(tmp_path, content)
    assert [s["id"] for s in found.records["stories"]] == [1, 2]
    assert {
        reason: counted.rows for (*_, reason), counted in found.accounting.left_out.items()
    } == {
        "a mark of a merge conflict": 3,
        "no id of a story or an epic": 1,
    }


def test_concatenated_exports_are_read(tmp_path: Path) -> None:
    content = as_csv(table([STORY], LAYOUTS["2009"])) + as_csv(table([ICEBOX]))
    found = read_csv(tmp_path, content)
    assert [s["name"] for s in found.records["stories"]] == [STORY.title, ICEBOX.title]
    assert not found.accounting.left_out


def test_repeated_owners_and_labels_are_read_once(tmp_path: Path) -> None:
    found = read_csv(
        tmp_path, table([Row(1, "S", owners=["Ann Lee", "Ann Lee", "Unknown"], labels="a,a ,b")])
    )
    assert story_of(found, 1)["owner_ids"] == [ANN]
    assert story_of(found, 1)["labels"] == [label("a"), label("b")]
    assert found.reasons("stories__owner_ids") == {"named twice"}


def test_iteration_story_ids_follow_file_order(tmp_path: Path) -> None:
    rows = [Row(n, "S", iteration=str(i)) for n, i in ((5, 2), (3, 1), (4, 2), (1, 2))]
    found = read_csv(tmp_path, table(rows))
    assert {i["number"]: i["story_ids"] for i in found.records["iterations"]} == {
        2: [5, 4, 1],
        1: [3],
    }
    assert [s["_position"] for s in found.records["stories"]] == [1, 2, 3, 4]


# keys


def test_stable_keys_do_not_change() -> None:
    assert stable_key("person", "Ann Lee") == -2682258804431334989
    assert stable_key("label", -1, "ä") == -84638034652759775
    assert -(2**63) <= stable_key() < 0


def test_later_export_has_the_same_keys(tmp_path: Path) -> None:
    later = Row(**{**vars(STORY), "tasks": [("new", ""), *STORY.tasks[::-1]], "state": "started"})
    later.comments = ["Another (Ann Lee - Nov 20, 2015)", *STORY.comments]
    before = read_csv(tmp_path, table(ROWS))
    after = read_csv(tmp_path, table([ICEBOX, later]), "my_project_20201231_2359.csv")
    for attribute in ("tasks", "comments", "blockers", "reviews", "pull_requests", "branches"):
        keys = {child["id"] for child in story_of(after)[attribute]}
        assert keys >= {child["id"] for child in story_of(before)[attribute]}
    assert story_of(after)["labels"] == story_of(before)["labels"]
    assert story_of(after)["project_id"] == PROJECT


def test_equal_children_have_distinct_keys(tmp_path: Path) -> None:
    row = Row(1, "S", comments=["+1 (Ann - Nov 1, 2015)"] * 3, tasks=[("t", "completed")] * 2)
    story = story_of(read_csv(tmp_path, table([row])), 1)
    assert len({c["id"] for c in story["comments"]}) == 3
    assert len({t["id"] for t in story["tasks"]}) == 2


# workbooks


def test_workbook_has_the_same_records_as_csv(tmp_path: Path) -> None:
    lines: list[list[Any]] = [list(line) for line in ragged(table(ROWS))]
    for line in lines[1:]:
        line[0] = int(line[0])
        for place, cell in enumerate(line):
            if isinstance(cell, str) and cell.endswith(", 2015"):
                line[place] = datetime.strptime(cell, "%b %d, %Y")
    assert_all_read(read(write_workbook(tmp_path / "my_project_20151117_1439.xlsx", lines)))


def test_workbook_in_zip_is_read(tmp_path: Path) -> None:
    book = write_workbook(tmp_path / "x.xlsx", table(ROWS)).read_bytes()
    found = read(
        write_zip(tmp_path / "x.zip", {"my_project_20151117_1439.xlsx": book, "202/a": b"a"})
    )
    assert found.records["stories"] and len(found.records["attachment_files"]) == 1


def test_stories_sheet_is_found_and_error_values_are_counted(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["my notes"])
    for line in table([Row(1, "#NAME?", estimate="3.0", created="42317")]):
        book.create_sheet("Export") if len(book.worksheets) == 1 else None
        book["Export"].append(line)
    book.save(tmp_path / "x.xlsx")
    found = read(tmp_path / "x.xlsx")
    assert found.records["stories"][0]["estimate"] == 3
    assert lost_values(found) == {
        "sheets that are not read": 1,
        "error values such as #REF! instead of texts": 1,
    }


def test_workbook_without_openpyxl_names_the_package_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_workbook(tmp_path / "x.xlsx", table(ROWS))
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(ArchiveError, match="pip install openpyxl"):
        open_archives([path])
    files = {"x.xlsx": path.read_bytes(), NAME: as_csv(table(ROWS)).encode()}
    found = read(write_folder(tmp_path / "both", files))
    assert [counted.rows for counted in found.accounting.left_out.values()] == [1]


def replace_workbook_part(path: Path, source: Path, part: str, content: bytes) -> Path:
    """Copy a workbook with one part replaced."""
    with zipfile.ZipFile(source) as good, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bad:
        for name in good.namelist():
            bad.writestr(name, content if name == part else good.read(name))
    return path


@pytest.mark.parametrize(
    ("part", "content"),
    [
        ("xl/workbook.xml", b"<workbook"),
        ("xl/workbook.xml", b'<!DOCTYPE x [<!ENTITY a "b">]><workbook>&a;</workbook>'),
        ("xl/worksheets/sheet1.xml", b"\x00\x01"),
        (
            "xl/worksheets/sheet1.xml",
            b"<worksheet><sheetData><row r='x'><c r='A1'/></row></sheetData></worksheet>",
        ),
        ("[Content_Types].xml", b""),
    ],
)
def test_damaged_workbook_fails_with_one_line(tmp_path: Path, part: str, content: bytes) -> None:
    good = write_workbook(tmp_path / "good.xlsx", table(ROWS))
    bad = replace_workbook_part(tmp_path / "bad.xlsx", good, part, content)
    with pytest.raises(ArchiveError) as error:
        read(bad)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ('<row r="99999999999"><c r="A99999999999"><v>1</v></c></row>', "which no spreadsheet"),
        ('<row r="2"><c r="ZZZ2"><v>1</v></c></row>', "which no spreadsheet"),
        ('<row r="2"><c r="A2" t="s"><v>999999</v></c></row>', "a damaged workbook"),
        (f'<row r="2"><c r="A2"><v>{"9" * 5000}</v></c></row>', "a damaged workbook"),
    ],
)
def test_invalid_workbook_rows_fail_with_one_line(tmp_path: Path, row: str, why: str) -> None:
    cells = "".join(
        f'<c r="{column}1" t="inlineStr"><is><t>{name}</t></is></c>'
        for column, name in zip("ABCD", ("Id", "Title", "Type", "Current State"), strict=True)
    )
    sheet = (
        '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
        f'<row r="1">{cells}</row>{row}</sheetData></worksheet>'
    )
    good = write_workbook(tmp_path / "good.xlsx", table(ROWS))
    part = "xl/worksheets/sheet1.xml"
    with pytest.raises(ArchiveError, match=why) as error:
        read(replace_workbook_part(tmp_path / "bad.xlsx", good, part, sheet.encode()))
    assert "\n" not in str(error.value)


def test_workbook_with_a_far_away_cell_is_read(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for line in table([Row(1, "One")]):
        book.active.append(line)
    book.active["XFD1048576"] = "far"
    book.save(tmp_path / "x.xlsx")
    found = read(tmp_path / "x.xlsx")
    assert [s["name"] for s in found.records["stories"]] == ["One"]


# hostile files


def write_zip_with_members(path: Path, *members: tuple[zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(NAME, as_csv(table(ROWS)))
        for info, content in members:
            archive.writestr(info, content)
    return path


def zip_member(name: str, mode: int = 0) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("placeholder")
    info.filename = name
    info.external_attr = mode << 16
    return info


@pytest.mark.parametrize(
    ("info", "why"),
    [
        (zip_member("../evil.txt"), "its name leads out of the ZIP"),
        (zip_member("202/../../evil.txt"), "its name leads out of the ZIP"),
        (zip_member("..\\evil.txt"), "its name leads out of the ZIP"),
        (zip_member("/etc/passwd"), "its name leads out of the ZIP"),
        (zip_member("C:\\evil.txt"), "its name leads out of the ZIP"),
        (zip_member("."), "it has no name"),
        (zip_member("202/link", stat.S_IFLNK | 0o777), "a link, which is not followed"),
        (zip_member("202/pipe", stat.S_IFIFO | 0o777), "neither a file nor a folder"),
    ],
)
def test_untrusted_zip_members_are_left_out(
    tmp_path: Path, info: zipfile.ZipInfo, why: str
) -> None:
    found = read(write_zip_with_members(tmp_path / "x.zip", (info, b"/etc/passwd")))
    assert found.reasons("files") == {why}
    assert "attachment_files" not in found.records
    assert len(found.records["stories"]) == 3


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_attachments_with_the_same_name_are_both_read(tmp_path: Path) -> None:
    path = write_zip_with_members(
        tmp_path / "x.zip", (zip_member("202/a.b.png"), b"1"), (zip_member("202/a.b.png"), b"2")
    )
    found = read(path)
    names = [attachment["filename"] for attachment in found.records["attachment_files"]]
    assert (names, sorted(found.contents.values())) == (["a.b.png", "a.b (2).png"], [b"1", b"2"])


def test_utf8_file_name_without_flag_is_decoded(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.zip", {NAME: as_csv(table(ROWS)).encode(), "202/Tür.png": b"1"})
    content = bytearray(path.read_bytes())
    for entry, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        struct.pack_into("<H", content, content.rfind(entry) + flags, 0)
    path.write_bytes(content)
    assert read(path).records["attachment_files"][0]["filename"] == "Tür.png"


@pytest.mark.parametrize(
    ("offset", "value", "why"), [(8, 1, "encrypted"), (10, 9, "compressed in a way")]
)
def test_unreadable_zip_members_are_reported(
    tmp_path: Path, offset: int, value: int, why: str
) -> None:
    path = write_zip_with_members(tmp_path / "x.zip", (zip_member("202/secret"), b"s"))
    content = bytearray(path.read_bytes())
    at = content.rfind(b"PK\1\2")  # the last entry of the list: its flags, its method
    struct.pack_into("<H", content, at + offset, value)
    path.write_bytes(content)
    (reason,) = read(path).reasons("files")
    assert reason.startswith(why)


def test_encrypted_export_is_reported(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.zip", {NAME: as_csv(table(ROWS)).encode()})
    content = bytearray(path.read_bytes())
    struct.pack_into("<H", content, content.rfind(b"PK\1\2") + 8, 1)
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match="unpack the ZIP with its password"):
        open_archives([path])


def test_zip_bombs_are_rejected_by_ratio_and_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_zip(tmp_path / "x.zip", {NAME: as_csv(table(ROWS)).encode(), "1/a": bytes(2**20)})
    assert read(path).contents
    monkeypatch.setattr(zips, "RATIO_EXEMPT_BYTES", 2**19)
    with pytest.raises(ArchiveError, match="times its size; at most 200 times"):
        open_archives([path])
    monkeypatch.setattr(zips, "MAX_BYTES", 2**20)
    with pytest.raises(ArchiveError, match=r"would unpack to .* at most .* GB"):
        open_archives([path])
    monkeypatch.setattr(zips, "MAX_BYTES_OF_A_DIRECTORY", 50)
    with pytest.raises(ArchiveError, match="list of files has"):
        open_archives([path])


def test_zip_bomb_with_false_size_is_rejected(tmp_path: Path) -> None:
    path = write_zip(
        tmp_path / "x.zip", {NAME: as_csv(table(ROWS)).encode(), "202/a": bytes(10**6)}
    )
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, content.rfind(b"PK\1\2") + 24, 10)  # its size when unpacked
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match=r"202/a in x\.zip is damaged"):
        read(path)


def test_truncated_zip_fails_with_one_line(tmp_path: Path) -> None:
    whole = write_zip(tmp_path / "x.zip", {NAME: as_csv(table(ROWS)).encode()}).read_bytes()
    for length in range(4, len(whole), 23):
        (tmp_path / "cut.zip").write_bytes(whole[:length])
        with pytest.raises(ArchiveError, match=r"damaged or incomplete: [^\n]*$"):
            open_archives([tmp_path / "cut.zip"])


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_zip_with_changed_bytes_is_read_or_rejected(tmp_path: Path, data: st.DataObject) -> None:
    whole = bytearray(
        write_zip(
            tmp_path / "x.zip", {NAME: as_csv(table(ROWS)).encode(), "202/a": b"abc"}
        ).read_bytes()
    )
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "changed.zip").write_bytes(whole)
    try_to_read(tmp_path / "changed.zip", ProjectExport())


def test_symlinks_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_text("key")
    folder = write_folder(tmp_path / "x", {NAME: as_csv(table(ROWS)).encode(), "202/a": b"a"})
    (folder / "202" / "key").symlink_to(tmp_path / "secret" / "key")
    (folder / "203").symlink_to(tmp_path / "secret")
    (folder / "202" / "loop").symlink_to(folder)
    os.mkfifo(folder / "202" / "pipe")
    found = read(folder)
    assert list(found.contents.values()) == [b"a"]
    assert {
        reason: counted.rows for (*_, reason), counted in found.accounting.left_out.items()
    } == {
        "a link, which is not followed": 3,
        "neither a file nor a folder": 1,
    }


def test_too_many_columns_are_rejected(tmp_path: Path) -> None:
    lines = table([Row(1, "One")])
    lines[0] += [f"c{n}" for n in range(100_000)]
    with pytest.raises(ArchiveError, match="cells; at most 16,384 are read"):
        read_csv(tmp_path, lines)


def test_huge_cell_is_rejected_and_large_cell_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = "x" * 1_000_000
    found = read_csv(tmp_path, table([Row(1, "One", description=large)]))
    assert story_of(found, 1)["description"] == large
    monkeypatch.setattr(csv_rows, "MAX_CHARACTERS_IN_A_ROW", 500_000)
    for cell in (large, "x\n" * 500_000):
        with pytest.raises(
            ArchiveError, match=r"line [\d,]+: a row of more than 500,000 characters"
        ):
            read_csv(tmp_path, table([Row(1, "One", description=cell)]))


def test_csv_that_ends_inside_a_cell_is_read_and_reported(tmp_path: Path) -> None:
    content = as_csv(table([Row(1, "One"), Row(2, "Two", description="a, b, c")]))
    found = read_csv(tmp_path, content[: content.rindex(", c")])
    assert [s.get("description") for s in found.records["stories"]] == [None, "a, b"]
    assert lost_values(found) == {"the file ends within a cell: it is incomplete": 1}


CSV = "a CSV without the columns Id, Title, Type and Current State"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "an empty file"),
        (b"id,name\n1,x\n", CSV),
        (b"\xff\xfe\x00", "a file of an unknown kind"),
        (b"Id,Title\n1,a\n", CSV),
        (
            b"<?xml version='1.0'?>\n<stories type='array'><story><id>1</id></story></stories>",
            "XML of Tracker's API v3 or v4, which is not supported",
        ),
        (b"<html><body>Log in</body></html>", "XML or HTML"),
        (b'{"a": 1}', "JSON without records of API v5"),
        (b'{"a": [1,', "JSON, but the file breaks off: parse error: premature EOF"),
        (
            b'[{"kind":"story","id":%s}]' % (b"9" * 5000),
            "JSON, but the file breaks off: it has more than 4,000 digits in a row",
        ),
        (b"%PDF-1.4", "a PDF"),
    ],
)
def test_unknown_file_error_names_its_type(tmp_path: Path, content: bytes, found: str) -> None:
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(ArchiveError) as refused:
        open_archives([tmp_path / "x.csv"])
    assert str(refused.value) == (
        f"{tmp_path / 'x.csv'} is not a known archive. Found: {found}. Supported are "
        "Tracker's exports (CSV, XLSX, ZIP), JSON of API v5, recordings (VCR, vcrpy, HAR) and the "
        "backups that docs/archives.md lists."
    )


CELLS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        [
            *("1", "2", "-1", "nan", "1e999", "9" * 30, "٣"),
            *("epic", "release", "feature", "<<<<<<<", "Id"),
            *("Nov 9, 2015", "x (A - Nov 9, 2015)", "((( - )", "a,b,,c", "'=", "\0", "\ud800"),
        ]
    ),
)
NAMES = st.sampled_from(
    [
        *("Id", "Title", "Type", "Current State", "Labels", "Iteration", "Iteration End"),
        *("Estimate", "Priority", "Created at", "Requested By", "Owned By", "Comment", "Note"),
        *("Task", "Task Status", "Blocker Status", "Reviewer", "Pull Request", "Git Branch"),
        *("?", ""),
    ]
)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    header=st.lists(NAMES, max_size=20),
    rows=st.lists(st.lists(CELLS, max_size=26), max_size=6),
)
def test_any_cells_under_any_header_are_read(
    tmp_path: Path, header: list[str], rows: list[list[str]]
) -> None:
    lines = [["Id", "Title", "Type", "Current State", *header], *rows]
    path = tmp_path / NAME
    path.write_bytes(as_csv(lines).encode("utf-8", "surrogatepass"))
    found = read(path)
    trusted = [r for r in rows if r and len(r) <= len(lines[0]) and _is_id(r[0].strip())]
    kinds = {(("epics" if r[2:3] == ["epic"] else "stories"), int(r[0])) for r in trusted}
    known = [(t, r["id"]) for t in ("stories", "epics") for r in found.records.get(t, [])]
    assert kinds <= set(known)
    assert len(known) == len(set(known))


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18


@settings(
    max_examples=70, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    content=st.binary(max_size=200),
    encoding=st.sampled_from(["", "utf-8", "utf-16", "utf-16-le", "utf-16-be"]),
    suffix=st.sampled_from([".csv", ".xlsx", ".zip"]),
)
def test_any_bytes_are_read_or_rejected(
    tmp_path: Path, content: bytes, encoding: str, suffix: str
) -> None:
    header = "Id,Title,Type,Current State,Comment,Task,Task Status\n"
    path = tmp_path / f"any{suffix}"
    path.write_bytes((header.encode(encoding) if encoding else b"") + content)
    try_to_read(path, ProjectExport())


# exports of many projects


def unzipped_export(project: int, *, named: str = "") -> dict[str, bytes]:
    """Return the files of a project's unzipped export, with a history and an attachment."""
    number = 1000 * project
    rows = [Row(number + n, f"S{n}", owners=["Ann Lee"]) for n in (1, 2)]
    name = named or f"p{project}_20240401_0900"
    history = [
        ["ID", "Type", "Message", "Performed By", "Occurred At"],
        [str(number + 1), "story_update_activity", "m", "Ann Lee", "Nov 17, 2015"],
    ]
    return {
        f"p{project}-export/{name}.csv": as_csv(table(rows)).encode(),
        f"p{project}-export/history.csv": as_csv(history).encode(),
        f"p{project}-export/{number + 1}/a.txt": str(project).encode(),
    }


@pytest.mark.parametrize("named", ["", "stories"])
def test_exports_of_several_projects_in_one_zip_are_read(tmp_path: Path, named: str) -> None:
    files = (
        unzipped_export(1, named=named)
        | unzipped_export(2, named=named)
        | unzipped_export(3, named=named)
    )
    found = read(write_zip(tmp_path / "all.zip", files))
    names = {p["id"]: p["name"] for p in found.records["projects"]}
    assert sorted(names.values()) == ["p1", "p2", "p3"]
    assert {s["id"]: names[s["project_id"]] for s in found.records["stories"]} == {
        1000 * n + k: f"p{n}" for n in (1, 2, 3) for k in (1, 2)
    }
    assert [names[a["project_id"]] for a in found.records["activity"]] == ["p1", "p2", "p3"]
    files_of = found.by_id("attachment_files").values()
    assert sorted((names[f["project_id"]], f["story_id"]) for f in files_of) == [
        (f"p{n}", 1000 * n + 1) for n in (1, 2, 3)
    ]
    assert [p["name"] for p in found.records["people"]] == ["Ann Lee"]
    assert not found.accounting.left_out


def test_folders_named_after_years_are_read_as_exports(tmp_path: Path) -> None:
    folder = write_folder(
        tmp_path / "x",
        {
            f"{year}/p{year}.csv": as_csv(table([Row(year, "S"), Row(year + 100, "T")])).encode()
            for year in (2019, 2020)
        },
    )
    found = read(folder)
    assert [p["name"] for p in found.records["projects"]] == ["p2019", "p2020"]
    assert len(found.records["stories"]) == 4


def test_folder_of_many_exports_is_loaded_as_one_account(command: Command, tmp_path: Path) -> None:
    files = {
        f"project {n}.csv": as_csv(table([Row(n, "S", owners=["Ann Lee", f"P{n % 3}"])])).encode()
        for n in range(1, 41)
    }
    folder = write_folder(tmp_path / "account", files)
    write_zip(folder / "zipped.zip", unzipped_export(50))
    inner = write_zip(tmp_path / "inner.zip", unzipped_export(60)).read_bytes()
    (folder / "older").mkdir()
    write_zip(folder / "older" / "two.zip", {"inner.zip": inner})
    result = command("--archive", str(folder))
    assert result.returncode == 0, result.stderr
    tables = command.tables()
    assert len(tables["projects"]) == 42
    assert len(tables["stories"]) == 44
    assert sorted(p["name"] for p in tables["people"]) == ["Ann Lee", "P0", "P1", "P2"]
    assert len(tables["attachment_files"]) == 2
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "1 0 0 3 0 account/project 7.csv (Tracker's project export)" in lines
    assert any(re.fullmatch(r"44 0 0 [\d,]+ 0 46 files", line) for line in lines), result.stdout


def test_ambiguous_dates_are_null_or_a_reported_assumption(
    command: Command, tmp_path: Path
) -> None:
    row = Row(1, "S", created="03/08/2021")
    (tmp_path / "us.csv").write_text(as_csv(table([row])))
    (tmp_path / "other.csv").write_text(as_csv(table([replace(row, id=2)]), ";"))
    result = command(
        *("--archive", str(tmp_path / "us.csv"), str(tmp_path / "other.csv")),
        *("--resource", "stories", "load_report"),
    )
    assert result.returncode == 0, result.stderr
    tables = command.tables()
    created = {s["id"]: s["created_at"] and f"{s['created_at']:%m-%d}" for s in tables["stories"]}
    assert created == {1: "03-08", 2: None}
    reasons = {
        (r["source"], r["reason"], r["lost_values"]) for r in tables["load_report__left_out"]
    }
    assert reasons == {
        ("us.csv", "assumed: dates such as '03/08/2021' are month/day/year", 0),
        (
            "other.csv",
            "a created_at that may be two dates: nothing in the file shows the order of day and "
            "month",
            1,
        ),
    }
    assert "assumed: dates such as '03/08/2021' are month/day/year" in result.stdout


def test_unreadable_rows_exit_3(command: Command, tmp_path: Path) -> None:
    lines = as_csv(table([Row(1, "One"), Row(2, "Two")])) + "x,no id\n"
    (tmp_path / "a.csv").write_text(lines)
    result = command("--archive", str(tmp_path / "a.csv"), "--resource", "stories")
    assert result.returncode == 3
    assert "Not read completely: a.csv: 1 row could not be read" in result.stdout
    assert len(command.tables()["stories"]) == 2


# dates and numbers


@pytest.mark.parametrize(
    ("texts", "days"),
    [
        (["08/03/2021", "14/03/2021"], ["2021-03-08", "2021-03-14"]),
        (["08/03/2021", "03/14/2021"], ["2021-08-03", "2021-03-14"]),
        (["3/8/21", "3/14/21"], ["2021-03-08", "2021-03-14"]),
        (["3/8/21"], ["2021-03-08"]),
        (["14/03/2021", "03/14/2021", "03/08/2021"], ["2021-03-14", "2021-03-14", None]),
        (["08.03.2021"], ["2021-03-08"]),
        (["08.03.21", "03/08/2021"], ["2021-03-08", None]),
        (["8 mars 2021", "03/08/2021"], ["2021-03-08", None]),
        (["8-3-2021"], [None]),
        (["8-3-2021", "14-3-2021"], ["2021-03-08", "2021-03-14"]),
        (["21/03/08", "21/03/15", "21/03/20"], ["2021-03-08", "2021-03-15", "2021-03-20"]),
        (["21/03/08"], [None]),
        (["03/03/2021 10:00", "99/99/2021"], ["2021-03-03", None]),
        (["8-Mar-21", "8 Mar 2021", "2021/03/08", "2021-3-8"], ["2021-03-08"] * 4),
        (["8. März 2021", "8-mrz-21", "8 févr. 2021", "8-ene-21"], None),
        (["2021年3月8日", "8 de março de 2021", "8-ago-21", "44263"], None),
    ],
)
def test_date_order_is_decided_once_per_file(
    tmp_path: Path, texts: list[str], days: list[str | None] | None
) -> None:
    rows = [Row(n, "S", created=text) for n, text in enumerate(texts, start=1)]
    found = read_csv(tmp_path, table(rows))
    dates = [story.get("created_at", "")[:10] or None for story in found.records["stories"]]
    if days is not None:
        assert dates == days
    else:
        assert all(dates)
        assert not found.accounting.lost_values


@pytest.mark.parametrize(
    ("texts", "delimiter", "estimates"),
    [
        (["0,5", "2"], ",", [0.5, 2]),
        (["0,5", "1,000"], ";", [0.5, 1]),
        (["1,000"], ";", [1]),
        (["1,000"], ",", [None]),
        (["1,000", "0.5"], ",", [1000, 0.5]),
        (["1.000", "0,5"], ";", [1000, 0.5]),
        (["1.500"], ",", [1.5]),
    ],
)
def test_decimal_separator_is_decided_once_per_file(
    tmp_path: Path, texts: list[str], delimiter: str, estimates: list[float | None]
) -> None:
    rows = [Row(n, "S", estimate=text) for n, text in enumerate(texts, start=1)]
    found = read_csv(tmp_path, as_csv(table(rows), delimiter))
    assert [story.get("estimate") for story in found.records["stories"]] == estimates


def test_repeated_row_adds_no_people_labels_or_iterations(tmp_path: Path) -> None:
    first = Row(1, "S", iteration="1", owners=["Ann"], labels="a")
    again = Row(
        1, "T", iteration="2", owners=["Bob"], labels="b", comments=["x (Eve - Nov 1, 2015)"]
    )
    found = read_csv(tmp_path, table([first, again, Row(2, "U", iteration="1")]))
    assert [i["story_ids"] for i in found.records["iterations"]] == [[1, 2]]
    assert [p["name"] for p in found.records["people"]] == ["Ann"]
    assert [label["name"] for label in found.records["labels"]] == ["a"]
    assert found.reasons("stories") == {"it came before"}


@pytest.mark.parametrize("newest_first", [False, True])
def test_outdated_copies_add_no_people_labels_or_iterations(
    command: Command, tmp_path: Path, newest_first: bool
) -> None:
    old = Row(1, "S", iteration="5", owners=["Bob"], labels="old", state="started")
    new = Row(1, "T", iteration="6", owners=["Ann"], labels="new", state="started")
    both = Row(2, "U", iteration="6", owners=["Eve", "Bob"], labels="both", state="started")
    paths = []
    for name, rows in (("p_20200101_0900.csv", [old, both]), ("p_20210101_0900.csv", [new, both])):
        paths.append(tmp_path / name)
        paths[-1].write_text(as_csv(table(rows)))
    order = paths[::-1] if newest_first else paths
    result = command("--archive", *map(str, order))
    assert result.returncode == 0, result.stderr
    tables = command.tables()
    placed = {(r["iteration_number"], r["value"]) for r in tables["iterations__story_ids"]}
    assert placed == {(6, 1), (6, 2)}
    assert [i["number"] for i in tables["iterations"]] == [6]
    assert sorted(p["name"] for p in tables["people"]) == ["Ann", "Bob", "Eve"]
    assert sorted(label["name"] for label in tables["labels"]) == ["both", "new"]
    assert sorted(s["name"] for s in tables["stories"]) == ["T", "U"]
