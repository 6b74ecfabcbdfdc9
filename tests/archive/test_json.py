"""JSON of the API and of backup tools: every record is read completely in every kind of wrapper."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pivotal_tracker.archive import FORMATS, ArchiveError, LoadAccounting, open_archives
from pivotal_tracker.archive.formats.api_responses import json_text
from pivotal_tracker.archive.merging import record_merger
from tracker_server import TrackerServer
from tracker_server.sample import generate_workspace
from tracker_server.workspace import Workspace

from ..support.archive_reading import Get, Read, Record, all_of, getter, read, try_to_read, without
from ..support.backup_tools import (
    ATTACHMENTS,
    dumped_paths,
    write_json,
    write_pivotaltrackerdump,
    write_pt_backup,
)
from ..support.command import Command

LOADED = f":default,{ATTACHMENTS},reviews,tasks,transitions,blockers"

API_RESPONSES = FORMATS[-1]


@pytest.fixture(scope="module")
def workspace() -> Workspace:
    return generate_workspace(projects=2, stories=25, activity=80, seed=7)


@pytest.fixture(scope="module")
def get(workspace: Workspace) -> Iterator[Get]:
    with TrackerServer(workspace) as server:
        yield getter(server.url, workspace.me["api_token"])


@pytest.fixture(scope="module")
def project(get: Get) -> Record:
    first: Record = get("projects")[0]
    return first


def by_id(records: list[Record], *without_names: str) -> dict[int, Record]:
    return {r["id"]: without(r, *without_names) for r in records}


def loaded(result: Read, table: str) -> dict[Any, Record]:
    return {key: without(record) for key, record in result.by_id(table).items()}


def releases_of_stories(stories: list[Record]) -> dict[int, Record]:
    """Return the releases that release stories describe."""
    left = ("story_type", "requested_by_id", "owner_ids", "owned_by_id", "follower_ids", "kind")
    nested = ("comments", "tasks", "reviews", "transitions", "blockers", "estimate")
    return {
        s["id"]: {**without(s, *left, *nested), "kind": "release"}
        for s in stories
        if s["story_type"] == "release"
    }


def labels_in(*records: Record) -> dict[int, Record]:
    labels = [label for r in records for label in r.get("labels", [r.get("label")])]
    return {label["id"]: without(label) for label in labels}


def activity_of(get: Get, project_id: int) -> dict[str, Record]:
    activity = all_of(get, project_id, "activity")
    return {a["guid"]: without(a) | {"project_id": project_id} for a in activity}


# the folders of backup tools


@pytest.mark.parametrize("zipped", [False, True])
def test_pt_backup_py_folder_is_read(
    tmp_path: Path, get: Get, workspace: Workspace, project: Record, zipped: bool
) -> None:
    project_id, folder = project["id"], tmp_path / "backup"
    write_pt_backup(folder, get, workspace, project_id)
    if zipped:
        path = tmp_path / "backup.zip"
        with ZipFile(path, "w") as archive:
            for file in folder.rglob("*"):
                archive.write(file, f"backup/{file.relative_to(folder)}")
        folder = path
    result = read(folder)
    assert result.format == "pt_backup.py"
    stories = all_of(get, project_id, "stories", f":default,tasks,{ATTACHMENTS}")
    epics = all_of(get, project_id, "epics")
    expected = by_id(stories)
    for story in expected.values():
        # what a story has none of is in none of the files
        for name in ("tasks", "comments"):
            if not story[name]:
                del story[name]
        for comment in story.get("comments", ()):
            for name in ("file_attachments", "google_attachments"):
                if not comment[name]:
                    del comment[name]
    assert loaded(result, "stories") == expected
    assert loaded(result, "epics") == by_id(epics)
    assert loaded(result, "labels") == labels_in(*stories, *epics)
    assert loaded(result, "releases") == releases_of_stories(all_of(get, project_id, "stories"))
    members = all_of(get, project_id, "project_memberships")
    assert loaded(result, "project_memberships") == by_id(members)
    assert loaded(result, "activity") == activity_of(get, project_id)
    named = {"id": project_id, "kind": "project", "name": project["name"]}
    assert loaded(result, "projects") == {project_id: named}
    expected_files = {
        a["id"]: {
            "id": a["id"],
            "project_id": project_id,
            "story_id": story["id"],
            "comment_id": comment["id"],
            "filename": a["filename"],
            "content_type": a["content_type"],
            "size": a["size"],
        }
        for story in stories
        for comment in story["comments"]
        for a in comment["file_attachments"]
    }
    assert loaded(result, "attachment_files") == expected_files
    assert result.contents == {number: workspace.attachments[number] for number in expected_files}
    assert not result.accounting.left_out


def test_tasks_and_comments_without_their_story_are_reported(tmp_path: Path) -> None:
    write_json(tmp_path / "b" / "stories.json", [{"kind": "story", "id": 1, "name": "one"}])
    tasks = [{"kind": "task", "id": 5, "story_id": 1}, {"kind": "task", "id": 6, "story_id": 2}]
    comment = {"kind": "comment", "id": 7, "story_id": 2, "attachments": [{"id": 8}]}
    write_json(tmp_path / "b" / "tasks.json", tasks)
    write_json(tmp_path / "b" / "comments.json", [comment])
    (tmp_path / "b" / "notes.txt").write_text("mine")
    result = read(tmp_path / "b")
    assert [task["id"] for task in result.records["stories"][0]["tasks"]] == [5]
    reason = "the archive does not contain the story that it belongs to"
    assert {key: counted.rows for key, counted in result.accounting.left_out.items()} == {
        ("b", "files", "not recognized: a text of another kind"): 1,
        ("b/tasks.json", "stories__tasks", reason): 1,
        ("b/comments.json", "stories__comments", reason): 1,
        ("b/comments.json", "stories__comments__file_attachments", reason): 1,
    }


@pytest.mark.parametrize("kept", ["all", "files", "cache"])
def test_pivotaltrackerdump_folder_is_read(
    tmp_path: Path, get: Get, project: Record, kept: str
) -> None:
    project_id, folder = project["id"], tmp_path / "out"
    write_pivotaltrackerdump(folder, dumped_paths(get, project_id))
    for file in folder.iterdir():
        if kept != "all" and (file.name == "cache.json") != (kept == "cache"):
            file.unlink()
    result = read(folder)
    assert result.format == "pivotaltrackerdump"
    assert loaded(result, "stories") == by_id(all_of(get, project_id, "stories", LOADED))
    epics = by_id(all_of(get, project_id, "epics", f":default,{ATTACHMENTS}"))
    assert loaded(result, "epics") == epics
    assert loaded(result, "labels") == by_id(all_of(get, project_id, "labels"))
    releases = all_of(get, project_id, "releases", ":default,story_ids")
    assert loaded(result, "releases") == by_id(releases)
    members = all_of(get, project_id, "project_memberships")
    assert loaded(result, "project_memberships") == by_id(members)
    assert loaded(result, "activity") == activity_of(get, project_id)
    assert loaded(result, "projects")[project_id] == without(get(f"projects/{project_id}"))
    iterations = all_of(get, project_id, "iterations")
    assert loaded(result, "iterations") == {
        (project_id, i["number"]): {
            **without(i, "stories"),
            "story_ids": [story["id"] for story in i["stories"]],
        }
        for i in iterations
    }


def test_pt_backup_project_tree_is_read(tmp_path: Path, get: Get) -> None:
    projects = get("projects")
    for project in projects:
        folder = tmp_path / "mine" / "projects" / project["name"].replace("/", "-")
        write_json(folder / "stories.json", all_of(get, project["id"], "stories"))
    older = tmp_path / "mine" / "projects" / "Older" / "stories.xml"
    older.parent.mkdir()
    older.write_text("<stories/>")
    for path in (tmp_path / "mine", tmp_path / "mine" / "projects"):
        result = read(path)
        assert result.format == "pt-backup"
        stories = [s for project in projects for s in all_of(get, project["id"], "stories")]
        assert loaded(result, "stories") == by_id(stories)
        assert loaded(result, "projects") == {
            p["id"]: {"id": p["id"], "kind": "project", "name": p["name"]} for p in projects
        }
        older_xml = "XML of Tracker's API v3 or v4, which is not supported"
        assert result.reasons("files") == {f"not recognized: {older_xml}"}


def test_archives_in_one_folder_are_detected_separately(
    tmp_path: Path, get: Get, workspace: Workspace, project: Record
) -> None:
    write_pt_backup(tmp_path / "all" / "backup", get, workspace, project["id"])
    write_pivotaltrackerdump(tmp_path / "all" / "out", dumped_paths(get, project["id"]))
    write_json(tmp_path / "all" / "more.json", [story(1)])
    write_json(tmp_path / "all" / "tree" / "projects" / "P" / "stories.json", [story(2)])
    opened = open_archives([tmp_path / "all"])
    assert [(archive.files.path.name, archive.format.name) for archive in opened.archives] == [
        ("backup", "pt_backup.py"),
        ("more.json", "API responses"),
        ("out", "pivotaltrackerdump"),
        ("tree", "pt-backup"),
    ]
    assert not opened.ignored


def test_folder_tree_of_api_paths_is_read_as_one_archive(tmp_path: Path) -> None:
    for number in (1, 2):
        folder = tmp_path / "dump" / "projects" / str(number)
        write_json(folder / "stories.json", [story(number), story(3)])
        write_json(folder / "epics.json", [{"kind": "epic", "id": number}])
    result = read(tmp_path / "dump")
    assert result.format == "API responses"
    assert list(result.by_id("stories")) == [1, 3, 2]
    assert list(result.by_id("epics")) == [1, 2]


# responses of the API


def saved_as_json(stories: list[Record]) -> dict[str, tuple[str, str]]:
    """Return file name and text of a list of stories, in every layout in which it may be saved."""
    dumps = json.dumps
    half = len(stories) // 2
    envelope = {"http_status": "200", "project_version": 3, "pagination": {"total": None}}
    path = f"/services/v5/projects/{stories[0]['project_id']}/stories"
    kindless = [{k: v for k, v in s.items() if k != "kind"} for s in stories]
    return {
        "a list": ("stories.json", dumps(stories)),
        "a pretty list": ("a.json", dumps(stories, indent=1, ensure_ascii=False)),
        "lines": ("stories.jsonl", "\n\n".join(map(dumps, stories)) + "\n"),
        "lines of lists": ("x.ndjson", f"{dumps(stories[:half])}\n{dumps(stories[half:])}\n"),
        "values after each other": ("x.json", "".join(dumps(s, indent=2) for s in stories)),
        "pages": ("pages.json", dumps([stories[:half], stories[half:]])),
        "an envelope": ("x.json", dumps({**envelope, "data": stories})),
        "an envelope with data first": ("x.json", dumps({"data": stories, **envelope})),
        "an object of lists": ("x.json", dumps({"stories": stories, "epics": []})),
        "a search": ("x.json", dumps({"stories": {"stories": stories}, "query": "x"})),
        "without kinds": ("x.json", dumps(kindless)),
        "without kinds, named after the list": ("my_stories.json", dumps(kindless)),
        "nested in a project": (
            "x.json",
            dumps({"kind": "project", "id": stories[0]["project_id"], "stories": stories}),
        ),
        "requests to replay": (
            "replay.json",
            dumps([{"path": path, "parameters": {"limit": 2}, "response": kindless}]),
        ),
        "responses by path": ("x.json", dumps({path: stories})),
        "with a byte order mark": ("x.json", "\ufeff" + dumps(stories)),
    }


def test_stories_are_read_from_every_json_layout(tmp_path: Path, get: Get, project: Record) -> None:
    stories = all_of(get, project["id"], "stories", LOADED)
    for number, (layout, (name, text)) in enumerate(saved_as_json(stories).items()):
        path = tmp_path / str(number) / name
        path.parent.mkdir()
        path.write_text(text, "utf-8")
        result = read(path)
        found = {k: {**r, "kind": "story"} for k, r in loaded(result, "stories").items()}
        assert found == by_id(stories), layout
        assert not result.accounting.left_out, layout


def test_utf_16_and_windows_1252_are_decoded(tmp_path: Path) -> None:
    story = {"kind": "story", "id": 1, "name": "Müller \U0001f6b2"}
    text = json.dumps([story], ensure_ascii=False)
    for encoding in ("utf-16", "utf-16-be"):
        mark = "\ufeff" if encoding == "utf-16-be" else ""
        (tmp_path / "x.json").write_bytes((mark + text).encode(encoding))
        assert read(tmp_path / "x.json").records["stories"] == [story]
    (tmp_path / "x.json").write_bytes('[{"kind":"story","id":1,"name":"Müller"}]'.encode("cp1252"))
    result = read(tmp_path / "x.json")
    assert result.records["stories"][0]["name"] == "M\ufffdller"
    assert [counted.rows for counted in result.accounting.lost_values.values()] == [1]


@pytest.mark.parametrize("as_lines", [False, True])
def test_unstorable_characters_are_replaced_and_counted(tmp_path: Path, as_lines: bool) -> None:
    name = r"a\u0000b\ud83dc\udea2 \ud83d\udea2 \\ud83d \\\ud83d"
    text = f'{{"kind":"story","id":1,"name":"{name}"}}'
    text = f"{text}\n{{}}\n" if as_lines else f"[{text}]"
    (tmp_path / "x.json").write_bytes(text.encode().replace(b"a\\", b"\0\\"))
    result = read(tmp_path / "x.json")
    expected = "\ufffd\ufffdb\ufffdc\ufffd \U0001f6a2 \\ud83d \\\ufffd"
    assert result.records["stories"][0]["name"] == expected
    assert sum(counted.rows for counted in result.accounting.lost_values.values()) == 5


@given(chunk=st.integers(1, 40), text=st.text(st.sampled_from('\\ud83Eé0c"€'), max_size=60))
@settings(max_examples=200, deadline=None)
def test_escapes_are_repaired_alike_for_any_chunk_size(chunk: int, text: str) -> None:
    class ChunkedReader:
        def __init__(self) -> None:
            self.left = text.encode()

        def read(self, size: int = -1) -> bytes:
            piece, self.left = self.left[:chunk], self.left[chunk:]
            return piece

    stream = json_text.JsonText(ChunkedReader())  # type: ignore[arg-type]
    clean = b"".join(iter(lambda: stream.read(chunk), b""))
    assert (clean, stream.replaced) == json_text.repair_escapes(text.encode())


def test_nested_records_go_to_their_own_tables(tmp_path: Path) -> None:
    """`fields` can nest records, whose ids stay in the outer record."""
    project = {
        "kind": "project",
        "id": 9,
        "name": "Nine",
        "labels": [{"id": 1, "name": "l"}],
        "epics": [{"id": 2, "name": "e", "label": {"id": 1, "name": "l"}}],
        "memberships": [{"id": 3, "role": "owner", "person": {"id": 4, "name": "Ann"}}],
        "account": {"kind": "account_summary", "id": 5, "plan": "Free"},
    }
    iteration = {
        "kind": "iteration",
        "project_id": 9,
        "number": 1,
        "stories": [
            {
                "kind": "story",
                "id": 6,
                "project_id": 9,
                "requested_by": {"kind": "person", "id": 4, "name": "Ann"},
                "owners": [{"kind": "person", "id": 7, "name": "Bob", "api_token": "secret"}],
                "label_ids": [1],
                "labels": [{"id": 1, "name": "l"}],
            }
        ],
    }
    workspace = {"kind": "workspace", "id": 8, "projects": [{"id": 9, "name": "Nine"}]}
    write_json(tmp_path / "x.json", [project, iteration, workspace])
    result = read(tmp_path / "x.json")
    assert result.records == {
        "projects": [{"kind": "project", "id": 9, "name": "Nine", "account_id": 5}],
        "accounts": [{"kind": "account_summary", "id": 5, "plan": "Free"}],
        "labels": [{"id": 1, "name": "l", "project_id": 9}],
        "epics": [{"id": 2, "project_id": 9, "name": "e", "label": {"id": 1, "name": "l"}}],
        "project_memberships": [
            {"id": 3, "project_id": 9, "role": "owner", "person": {"id": 4, "name": "Ann"}}
        ],
        "people": [
            {"id": 4, "kind": "person", "name": "Ann"},
            {"id": 7, "kind": "person", "name": "Bob"},
        ],
        "stories": [
            {
                "kind": "story",
                "id": 6,
                "project_id": 9,
                "requested_by_id": 4,
                "owner_ids": [7],
                "labels": [{"id": 1, "name": "l"}],
            }
        ],
        "iterations": [{"kind": "iteration", "project_id": 9, "number": 1, "story_ids": [6]}],
        "workspaces": [{"kind": "workspace", "id": 8, "project_ids": [9]}],
    }


def test_litetracker_field_names_are_mapped(tmp_path: Path) -> None:
    story = {"kind": "story", "id": 1, "title": "T", "owner_ids": [9], "owners": [{"user_id": 2}]}
    write_json(tmp_path / "x.json", [story])
    (found,) = read(tmp_path / "x.json").records["stories"]
    assert found == {"kind": "story", "id": 1, "name": "T", "owner_ids": [2]}


def test_newest_copy_is_completed_by_equally_new_copies(tmp_path: Path) -> None:
    old = {"kind": "story", "id": 1, "updated_at": "2020-01-01T00:00:00Z", "accepted_at": "x"}
    new = {"kind": "story", "id": 1, "updated_at": "2021-01-01T00:00:00Z", "name": "new"}
    with_tasks = {**new, "tasks": [{"kind": "task", "id": 5, "complete": True}]}
    with_comments = {**old, "comments": [{"kind": "comment", "id": 6, "text": "old"}]}
    undated = {"kind": "story", "id": 1, "name": "out of date", "estimate": 3}
    write_json(tmp_path / "a" / "1.json", [with_comments, new])
    write_json(tmp_path / "a" / "2.json", [undated, old, with_tasks])
    result = read(tmp_path / "a")
    assert result.records["stories"] == [
        {
            **new,
            "estimate": 3,
            "tasks": with_tasks["tasks"],
            "comments": with_comments["comments"],
        }
    ]
    accounting = result.accounting
    assert accounting.loaded_rows["a/1.json", "stories__comments"] == 1
    assert sum(counted.rows for counted in accounting.left_out.values()) == 4


def test_secrets_are_not_read(tmp_path: Path) -> None:
    me = {
        "kind": "me",
        "id": 1,
        "name": "Ann",
        "email": "a@x",
        "api_token": "s3cr3t",
        "projects": [],
    }
    hook = {
        "kind": "story",
        "id": 2,
        "comments": [{"id": 3, "big_url": "s3cr3t"}],
        "password": "s3cr3t",
    }
    write_json(tmp_path / "x.json", [me, hook])
    result = read(tmp_path / "x.json")
    assert result.records["people"] == [{"id": 1, "kind": "person", "name": "Ann", "email": "a@x"}]
    assert "s3cr3t" not in repr(result)


# damaged and hostile files


def story(number: int, **more: Any) -> Record:
    return {"kind": "story", "id": number, "name": f"story {number}", **more}


def test_invalid_line_loses_only_itself(tmp_path: Path) -> None:
    lines = [json.dumps(story(n)) for n in range(5)]
    lines[2] = lines[2][:-3]
    (tmp_path / "x.jsonl").write_text("\n".join(lines))
    result = read(tmp_path / "x.jsonl")
    assert [s["id"] for s in result.records["stories"]] == [0, 1, 3, 4]
    ((key, counted),) = result.accounting.left_out.items()
    assert (key, counted.where) == (("x.jsonl", "unknown", "the line is not JSON"), "line 3")
    assert result.accounting.incomplete == {"x.jsonl": "1 row could not be read"}


def test_truncated_file_is_read_up_to_its_end(tmp_path: Path) -> None:
    text = json.dumps([story(n) for n in range(50)])
    for cut in (60, len(text) // 2, len(text) - 1):
        (tmp_path / "stories.json").write_text(text[:cut])
        result = read(tmp_path / "stories.json")
        stories = result.records["stories"]
        assert stories == [story(n) for n in range(len(stories))]
        assert len(stories) >= cut * 50 // len(text) - 1
        (counted,) = result.accounting.left_out.values()
        assert counted.where == f"after record {len(stories)}"


HOSTILE: dict[str, Callable[[], str]] = {
    "deep lists": lambda: "[" * 100_000,
    "deep objects": lambda: '[{"kind":"story","id":1,"a":' + '{"a":' * 100_000,
    "deep lines": lambda: '{"kind":"story","id":2}\n{"a":' + "[" * 100_000 + "\n{}",
    "a huge number": lambda: f'[{{"kind":"story","id":1,"estimate":{"9" * 400}}}]',
    "thousands of digits": lambda: f'[{{"kind":"story","id":1,"estimate":{"9" * 5000}}}]',
    "a huge id": lambda: f'[{{"kind":"story","id":{2**80}}}]',
    "a huge exponent": lambda: '[{"kind":"story","id":1,"estimate":1e999}]',
    "other types": lambda: json.dumps(
        [
            {"kind": ["story"], "id": {}},
            {"kind": "story", "id": 1, "labels": {"a": 1}, "tasks": [1, "x", [], None, {}]},
            {"kind": "iteration", "project_id": True, "number": "1", "stories": "none"},
            {"kind": "daily_history_container", "header": 5, "data": {}},
            {"kind": "task", "story_id": []},
            {"kind": "activity_activity", "project": [], "changes": "x"},
            {"PathTemplate": 5, "Data": {"kind": "story"}},
            {"request": 1, "response": 2},
            {"owners": {"id": 0}},
        ]
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_json_fails_with_one_line_or_is_left_out(tmp_path: Path, name: str) -> None:
    path = tmp_path / "stories.json"
    path.write_text(HOSTILE[name]())
    try:
        result = read(path)
    except ArchiveError as error:
        assert "\n" not in str(error)
    else:
        is_read = name in ("a huge number", "a huge exponent")
        assert result.accounting.left_out or is_read


def test_damaged_file_in_zip_is_read_partially(tmp_path: Path) -> None:
    lines = "".join(json.dumps(story(n)) + "\n" for n in range(20_000))
    for name, text in (("x.jsonl", lines), ("x.json", f"[{','.join(lines.splitlines())}]")):
        path = tmp_path / f"{name}.zip"
        with ZipFile(path, "w", ZIP_DEFLATED) as archive:
            archive.writestr(name, text)
        content = bytearray(path.read_bytes())
        content[len(content) // 2 : len(content) // 2 + 8] = b"damaged!"
        path.write_bytes(content)
        result = read(path)
        found = result.records["stories"]
        assert found == [story(n) for n in range(len(found))]
        assert 0 < len(found) < 20_000
        assert result.accounting.left_out


def test_full_disk_fails_with_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_json(tmp_path / "x.json", [story(n, description="x" * 1_000) for n in range(500)])
    initialize = record_merger.RecordMerger.__init__

    def with_small_disk(self: record_merger.RecordMerger, accounting: LoadAccounting) -> None:
        initialize(self, accounting)
        self._database.execute("PRAGMA max_page_count = 50")

    monkeypatch.setattr(record_merger.RecordMerger, "__init__", with_small_disk)
    with pytest.raises(ArchiveError, match=r"^x.json: its records cannot be merged on disk"):
        read(tmp_path / "x.json")


def test_endless_record_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_text, "MAX_BYTES_OF_A_RECORD", 200_000)
    stories = [story(n) for n in range(3)]
    text = json.dumps(stories)[:-1] + ', {"kind":"story","id":9,"name":"' + "x" * 1_000_000
    (tmp_path / "x.json").write_text(text)
    result = read(tmp_path / "x.json")
    assert result.records["stories"] == stories
    assert "200,000 bytes" in next(iter(result.reasons("unknown")))


NAMES = """
    kind id project_id story_id labels comments owner_ids owners tasks name updated_at data stories
    epics label guid changes project header number start finish transitions request response path
    uri body string status file_attachments attachments
"""
KINDS = "story comment epic iteration project me label task review release file_attachment"
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(NAMES.split()),
            inner | st.sampled_from([*KINDS.split(), 1, 2]),
            max_size=8,
        )
    ),
    max_leaves=30,
)


@given(value=st.lists(JSON_VALUES, max_size=6))
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_structure_is_read_or_rejected(tmp_path: Path, value: list[Any]) -> None:
    (tmp_path / "stories.json").write_text(json.dumps(value))
    try_to_read(tmp_path / "stories.json", API_RESPONSES)


@given(
    places=st.lists(st.tuples(st.integers(0, 600), st.binary(max_size=4)), max_size=5),
    cut=st.integers(0, 900),
)
@settings(
    max_examples=70, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_bytes_are_read_or_rejected(
    tmp_path: Path, places: list[tuple[int, bytes]], cut: int
) -> None:
    text = bytearray(
        json.dumps([story(n, tasks=[{"id": n}], labels=[]) for n in range(8)]).encode()
    )
    for place, noise in places:
        text[place : place + len(noise)] = noise
    (tmp_path / "x.json").write_bytes(text[:cut])
    try_to_read(tmp_path / "x.json", API_RESPONSES)


# wrapped and nested records

PLAIN = {
    "kind": "story",
    "id": 21,
    "project_id": 7,
    "name": "Paint",
    "story_type": "feature",
    "labels": [],
}
ACTIVITY = {
    "kind": "story_update_activity",
    "guid": "7_3",
    "project_version": 3,
    "message": "Ada started this feature",
    "project": {"kind": "project", "id": 7, "name": "Garden"},
    "performed_by": {"kind": "person", "id": 501, "name": "Ada"},
    "occurred_at": 1578477600000,
}
WRAPPED = {
    "a result": {"result": PLAIN},
    "results with a count": {"results": [PLAIN], "count": 1, "next": None},
    "a webhook": {"headers": {"x-id": "1"}, "body": PLAIN},
    "a webhook whose body is a text": [{"body": json.dumps(PLAIN), "received": "2020"}],
    "by id": {"stories": {"21": PLAIN}},
    "by id, records without ids": {
        "stories": {"21": {k: v for k, v in PLAIN.items() if k != "id"}}
    },
    "by id, without a name": {"21": PLAIN},
    "by project": {"7": {"stories": [PLAIN]}},
    "a project by id": {"projects": {"7": {"kind": "project", "id": 7, "stories": {"21": PLAIN}}}},
    "a search": {"stories": {"stories": [PLAIN], "total_hits": 1}, "epics": {"epics": []}},
    "a search of a kind": {
        "kind": "search_result_container",
        "query": "x",
        "stories": {"kind": "stories_search_result", "stories": [PLAIN], "total_hits": 1},
    },
    "by kind": {"story": PLAIN},
    "with other lists": {"story": PLAIN, "epics": [], "reviews": []},
    "deeply nested": {"state": {"entities": {"stories": {"byId": {"21": PLAIN}}}}},
    "beside a list that is streamed": {"data": [], "included": [PLAIN]},
    "beside records that are streamed": {"data": [{**PLAIN, "id": 22}], "included": [PLAIN]},
}


@pytest.mark.parametrize("wrapper", WRAPPED)
def test_wrapped_record_is_found(tmp_path: Path, wrapper: str) -> None:
    write_json(tmp_path / "x.json", WRAPPED[wrapper])
    result = read(tmp_path / "x.json")
    assert result.by_id("stories")[21] == PLAIN
    assert not result.accounting.left_out


def test_activity_webhook_is_read(tmp_path: Path) -> None:
    (tmp_path / "hooks.jsonl").write_text(f"{json.dumps({'body': ACTIVITY})}\n" * 2)
    result = read(tmp_path / "hooks.jsonl")
    assert result.records["activity"] == [{**ACTIVITY, "project_id": 7}]
    assert result.records["projects"] == [{"kind": "project", "id": 7, "name": "Garden"}]


@pytest.mark.parametrize(
    ("record", "table"),
    [
        ({"id": 7, "name": "Garden", "velocity_averaged_over": 3, "labels": []}, "projects"),
        (
            {"id": 7, "name": "G", "labels": [{"kind": "label", "id": 8, "project_id": 7}]},
            "projects",
        ),
        ({"id": 7, "name": "G", "week_start_day": "Monday"}, "projects"),
        ({"id": 7, "name": "G", "estimate": 3, "owner_ids": []}, "stories"),
        ({"id": 7, "name": "G", "tasks": [{"id": 1, "story_id": 7}]}, "stories"),
        ({"id": 7, "name": "G", "comments": [{"id": 1, "epic_id": 7}]}, "epics"),
        ({"number": 3, "project_id": 7, "team_strength": 1, "length": 1}, "iterations"),
        ({"id": 7, "project_id": 1, "role": "owner", "person": {"id": 3}}, "project_memberships"),
        ({"id": 7, "name": "A", "initials": "A", "email": "a@example.org"}, "people"),
    ],
)
def test_records_without_kind_are_recognized_by_their_attributes(
    tmp_path: Path, record: Record, table: str
) -> None:
    write_json(tmp_path / "x.json", record)
    result = read(tmp_path / "x.json")
    assert len(result.records[table]) == 1
    assert not result.reasons("unknown")


def test_unrecognized_records_are_counted(tmp_path: Path) -> None:
    saved = {"stories": [PLAIN], "widgets": [{"id": 1}, {"id": 2}], "theme": {"name": "dark"}}
    notification = {"kind": "notification", "id": 5, "story": {"kind": "story", "id": 99}}
    write_json(tmp_path / "x.json", [saved, notification])
    result = read(tmp_path / "x.json")
    assert [story["id"] for story in result.records["stories"]] == [21]
    assert {reason: n.rows for (_, _, reason), n in result.accounting.left_out.items()} == {
        "its kind is not known": 3,
        "no table has a 'notification'": 1,
    }


def person(number: int) -> Record:
    return {"kind": "person", "id": number, "name": f"P{number}", "initials": "P"}


def story_with_people(refer: Callable[[str, int], Record]) -> Record:
    """Make a story whose records refer to people, by a function of the role and the id."""
    comment = {
        "kind": "comment",
        "id": 31,
        "text": "t",
        **refer("person", 3),
        "file_attachments": [{"kind": "file_attachment", "id": 61} | refer("uploader", 1)],
        "google_attachments": [{"kind": "google_attachment", "id": 62} | refer("person", 2)],
    }
    transition = {"kind": "story_transition", "state": "x", "project_version": 1}
    return {
        **PLAIN,
        **refer("requested_by", 4),
        **refer("owned_by", 5),
        "comments": [comment],
        "blockers": [{"kind": "blocker", "id": 41} | refer("person", 8)],
        "reviews": [{"kind": "review", "id": 51} | refer("reviewer", 9)],
        "transitions": [transition | refer("performed_by", 10)],
    }


def test_nested_people_become_ids_and_rows_at_any_depth(tmp_path: Path) -> None:
    story = story_with_people(lambda role, number: {role: person(number)}) | {
        "owners": [{"id": 900, "user_id": 6, "name": "P6", "initials": "P"}],
        "followers": [person(7)],
    }
    epic = {
        "kind": "epic",
        "id": 71,
        "project_id": 7,
        "comments": [{"kind": "comment", "id": 32, "text": "e", "person": person(11)}],
    }
    alone = {"kind": "comment", "id": 33, "story_id": 21, "text": "a", "person": person(12)}
    release = {"kind": "release", "id": 81, "project_id": 7, "stories": [story]}
    write_json(tmp_path / "x.json", [release, epic, alone])
    result = read(tmp_path / "x.json")
    assert result.by_id("people") == {
        n: {"kind": "person", "id": n, "name": f"P{n}", "initials": "P"} for n in range(1, 13)
    }
    expected = story_with_people(lambda role, number: {f"{role}_id": number})
    expected |= {"owner_ids": [6], "follower_ids": [7]}
    expected["comments"].append(
        {"kind": "comment", "id": 33, "story_id": 21, "text": "a", "person_id": 12}
    )
    assert result.records["stories"] == [expected]
    assert result.records["epics"][0]["comments"][0]["person_id"] == 11


def test_outdated_copy_adds_no_people_labels_or_projects(tmp_path: Path) -> None:
    old = {
        **PLAIN,
        "project_id": 6,
        "updated_at": "2020-01-01T00:00:00Z",
        "requested_by": person(1),
        "labels": [{"kind": "label", "id": 80, "name": "old"}],
        "story_type": "release",
    }
    new = {**PLAIN, "updated_at": "2021-01-01T00:00:00Z", "requested_by": person(2)}
    write_json(tmp_path / "x.json", [old, new])
    result = read(tmp_path / "x.json")
    assert [p["id"] for p in result.records["projects"]] == [7]
    assert [p["id"] for p in result.records["people"]] == [2]
    assert not {"labels", "releases"} & result.records.keys()


def test_copy_outdated_by_another_archive_adds_no_people_or_labels(
    command: Command, tmp_path: Path
) -> None:
    old = {**PLAIN, "updated_at": "2020-01-01T00:00:00Z", "requested_by": person(1)}
    old["labels"] = [{"kind": "label", "id": 80, "name": "old"}]
    new = {**PLAIN, "updated_at": "2021-01-01T00:00:00Z", "requested_by": person(2)}
    write_json(tmp_path / "old.json", [old])
    write_json(tmp_path / "new.json", [new])
    result = command("--archive", str(tmp_path / "old.json"), str(tmp_path / "new.json"))
    assert result.returncode == 0, result.stderr
    tables = command.tables()
    assert [p["id"] for p in tables["people"]] == [2]
    assert tables["labels"] == []
    reasons = {(r["kind"], r["reason"]) for r in tables["load_report__left_out"]}
    assert ("people", "only rows that are not loaded refer to it") in reasons


def test_nested_records_inherit_the_project(tmp_path: Path) -> None:
    story = {"kind": "story", "id": 21, "name": "Paint", "labels": [{"id": 80, "name": "l"}]}
    release = {"kind": "release", "id": 81, "project_id": 7, "stories": [{**story, "id": 22}]}
    iteration = {"kind": "iteration", "number": 1, "project_id": 7, "stories": [story]}
    inside = {"kind": "iteration", "number": 2, "stories": [{**story, "id": 23}]}
    project = {"kind": "project", "id": 8, "name": "P", "iterations": [inside]}
    write_json(tmp_path / "x.json", [release, iteration, project])
    result = read(tmp_path / "x.json")
    assert {s["id"]: s["project_id"] for s in result.records["stories"]} == {21: 7, 22: 7, 23: 8}
    assert result.records["labels"][0]["project_id"] == 7
    assert set(result.by_id("iterations")) == {(7, 1), (8, 2)}


@pytest.mark.parametrize(
    ("iteration", "length"),
    [
        ({"start": "2020-01-06T00:00:00Z", "finish": "2020-01-20T00:00:00Z"}, 2),
        # clocks were put forward in between
        ({"start": "2020-03-02T00:00:00-08:00", "finish": "2020-03-09T00:00:00-07:00"}, 1),
        ({"start": "2020-01-06T00:00:00Z"}, 3),
        ({"start": "2020-01-06T00:00:00Z", "finish": "2020-01-08T00:00:00Z"}, 3),
        ({"start": "2020-01-06T00:00:00Z", "finish": "2020-01-13T00:00:00Z", "length": 4}, 4),
    ],
)
def test_missing_iteration_length_comes_from_dates_or_project(
    tmp_path: Path, iteration: Record, length: int
) -> None:
    project = {"kind": "project", "id": 7, "iteration_length": 3}
    whole = {"kind": "iteration", "number": 1, "project_id": 7, **iteration}
    write_json(tmp_path / "x.json", [whole, project])
    assert read(tmp_path / "x.json").records["iterations"][0]["length"] == length


@pytest.mark.parametrize(
    "value",
    [
        {"story": PLAIN, "comments": [{"id": 31, "text": "t", "person": {"id": 3, "name": "P"}}]},
        [PLAIN, {"story_id": 21, "comments": [{"kind": "comment", "id": 31, "text": "t"}]}],
        [PLAIN, {"comments": {"21": [{"kind": "comment", "id": 31, "text": "t"}]}}],
        [PLAIN, {"kind": "comment", "id": 31, "text": "t", "story": {"kind": "story", "id": 21}}],
    ],
)
def test_comments_are_assigned_to_the_story_beside_them(tmp_path: Path, value: Any) -> None:
    write_json(tmp_path / "x.json", value)
    result = read(tmp_path / "x.json")
    (story,) = result.records["stories"]
    assert [comment["id"] for comment in story["comments"]] == [31]
    assert not result.accounting.left_out


@pytest.mark.parametrize(
    "value",
    [
        {"project_id": 7, "stories": [{"kind": "story", "id": 21}]},
        {"project": {"kind": "project", "id": 7}, "stories": [{"kind": "story", "id": 21}]},
        {"kind": "story", "id": 21, "project": {"kind": "project", "id": 7, "name": "Garden"}},
    ],
)
def test_stories_are_assigned_to_the_project_beside_them(tmp_path: Path, value: Any) -> None:
    write_json(tmp_path / "x.json", value)
    result = read(tmp_path / "x.json")
    assert result.records["stories"] == [{"kind": "story", "id": 21, "project_id": 7}]
    assert [project["id"] for project in result.records["projects"]] == [7]


# other files in the folder of a tool


def test_other_files_in_a_backup_folder_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    write_json(folder / "stories.json", [PLAIN])
    write_json(folder / "activities.json", [ACTIVITY])
    write_json(folder / "project.json", {"kind": "project", "id": 7, "iteration_length": 2})
    write_json(
        folder / "project_memberships.json",
        [{"kind": "project_membership", "id": 108, "project_id": 7, "person": person(1)}],
    )
    (folder / "garden.csv").write_text("Id,Title,Type,Current State\n22,Two,feature,accepted\n")
    (folder / "notes.txt").write_text("mine")
    opened = open_archives([folder])
    assert [archive.format.name for archive in opened.archives] == [
        "pt_backup.py",
        "Tracker's project export",
    ]
    result = read(folder)
    assert result.records["projects"][0]["iteration_length"] == 2
    assert len(result.records["project_memberships"]) == 1
    assert opened.archives[0].files.unclaimed == {
        "notes.txt": "not recognized: a text of another kind"
    }
