"""SQLite files of backup tools, with attachments, and hostile SQLite files."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pivotal_tracker.archive import ArchiveError
from pivotal_tracker.archive.formats.databases import database_dumps, sqlite
from pivotal_tracker.archive.formats.databases.database_dumps import STORYEXPORTER
from tracker_server import TrackerServer
from tracker_server.sample import generate_workspace
from tracker_server.workspace import Workspace

from ..support.archive_reading import Get, Read, Record, getter, read, try_to_read, without
from ..support.backup_tools import DUMP_TABLES, STORYEXPORTER_TABLES, dumped_tables, write_database

ATTACHMENT = "id kind filename content_type size download_url uploader_id created_at"


@pytest.fixture(scope="module")
def workspace() -> Workspace:
    return generate_workspace(projects=1, stories=25, activity=80, seed=7)


@pytest.fixture(scope="module")
def get(workspace: Workspace) -> Iterator[Get]:
    with TrackerServer(workspace) as server:
        yield getter(server.url, workspace.me["api_token"])


def loaded(result: Read, table: str) -> dict[Any, Record]:
    return {key: without(record) for key, record in result.by_id(table).items()}


def with_columns(record: Record, columns: str, **more: Any) -> Record:
    """Return the attributes of a record that a table has columns for."""
    return {n: record[n] for n in columns.split() if record.get(n) is not None} | more


def expected_stories(rows: dict[str, list[Record]], *, is_storyexporter: bool) -> dict[int, Record]:
    times = "created_at updated_at"
    stories = {}
    for s in rows["story"]:
        story = with_columns(
            s,
            "id kind project_id name description story_type current_state estimate accepted_at "
            f"owned_by_id requested_by_id {times}",
            labels=sorted(s["labels"], key=lambda label: label["id"]),
            comments=[
                with_columns(
                    c,
                    f"id kind text person_id {times}",
                    file_attachments=[with_columns(a, ATTACHMENT) for a in c["file_attachments"]],
                )
                for c in sorted(s["comments"], key=lambda c: c["id"])
            ],
        )
        if is_storyexporter:
            blockers = sorted(s["blockers"], key=lambda b: b["id"])
            columns = f"id kind description resolved person_id {times}"
            story["blockers"] = [with_columns(b, columns) for b in blockers]
        else:
            story["owner_ids"] = s["owner_ids"]
        stories[s["id"]] = story
    return stories


def assert_common_tables(result: Read, rows: dict[str, list[Record]], workspace: Workspace) -> None:
    assert loaded(result, "people") == {p["id"]: without(p) for p in rows["person"]}
    assert loaded(result, "labels") == {r["id"]: without(r) for r in rows["label"]}
    releases = {s["id"] for s in rows["story"] if s["story_type"] == "release"}
    assert loaded(result, "releases").keys() == releases
    project_id = rows["project"][0]["id"]
    story_of = {c["id"]: c["story_id"] for c in rows["comment"]}
    assert loaded(result, "attachment_files") == {
        a["id"]: with_columns(
            a,
            "id filename content_type comment_id",
            size=len(workspace.attachments[a["id"]]),
            story_id=story_of[a["comment_id"]],
            project_id=project_id,
        )
        for a in rows["file_attachment"]
    }
    assert result.contents == {
        a["id"]: workspace.attachments[a["id"]] for a in rows["file_attachment"]
    }


@pytest.mark.parametrize("zipped", [False, True])
def test_storyexporter_database_is_read(
    tmp_path: Path, get: Get, workspace: Workspace, zipped: bool
) -> None:
    rows = dumped_tables(get, workspace)
    unknown = {"id": 5, "name": "unknown", "email": "unknown-5@example.com", "initials": "??"}
    people = [*rows["person"], unknown | {"username": "unknown-5"}]
    path = write_database(tmp_path / "my.db", STORYEXPORTER_TABLES, rows | {"person": people})
    if zipped:
        with ZipFile(tmp_path / "my.zip", "w") as archive:
            archive.write(path, "backup/my.db")
        path = tmp_path / "my.zip"
    result = read(path)
    assert result.format == "storyexporter"
    assert loaded(result, "stories") == expected_stories(rows, is_storyexporter=True)
    assert loaded(result, "epics") == {
        e["id"]: with_columns(
            e, "id kind project_id name description created_at updated_at", label=e["label"]
        )
        for e in rows["epic"]
    }
    columns = "id kind name description status iteration_length created_at updated_at"
    assert list(loaded(result, "projects").values()) == [with_columns(rows["project"][0], columns)]
    (placeholder,) = [p for p in result.records["people"] if p["id"] == 5]
    assert placeholder == {"id": 5, "kind": "person"}
    result.records["people"].remove(placeholder)
    assert_common_tables(result, rows, workspace)
    assert not result.accounting.left_out


@pytest.mark.parametrize("bytes_in", ["database", "folder", "both"])
def test_pivotal_tracker_dump_database_is_read(
    tmp_path: Path, get: Get, workspace: Workspace, bytes_in: str
) -> None:
    rows = dumped_tables(get, workspace)
    kept = rows | ({"file_attachment_file": []} if bytes_in == "folder" else {})
    folder = tmp_path / "dump"
    folder.mkdir()
    write_database(folder / "tracker_dump.db", DUMP_TABLES, kept)
    if bytes_in != "database":
        (folder / "files").mkdir()
        for a in rows["file_attachment"]:
            path = folder / "files" / f"{a['id']}_{a['filename']}"
            path.write_bytes(workspace.attachments[a["id"]])
        (folder / "files" / "77_unreferenced.txt").write_text("mine")
    result = read(folder)
    assert result.format == "pivotal-tracker-dump"
    if bytes_in != "database":
        assert result.contents.pop(77) == b"mine"
        (unreferenced,) = [a for a in result.records["attachment_files"] if a["id"] == 77]
        assert unreferenced == {"id": 77, "filename": "77_unreferenced.txt", "size": 4}
        result.records["attachment_files"].remove(unreferenced)
    assert loaded(result, "stories") == expected_stories(rows, is_storyexporter=False)
    project = rows["project"][0]
    assert result.records["projects"] == [with_columns(project, "id kind name")]
    assert_common_tables(result, rows, workspace)
    duplicated = {"the database contains the same"} if bytes_in == "both" else set()
    assert result.reasons("attachment_files") == duplicated


def test_rows_without_their_parent_are_reported(tmp_path: Path) -> None:
    story = {"project_id": 9, "name": "s", "story_type": "bug", "current_state": "started"}
    story |= {"requested_by_id": 1, "created_at": "2020-01-01T00:00:00Z"}
    comment = {"text": "t", "person_id": 1, "created_at": "2020-01-01T00:00:00Z"}
    rows: dict[str, list[Record]] = {
        "story": [{"id": 2, **story}, {"id": 4, **story}],
        "comment": [{"id": n, "story_id": n, **comment} for n in (1, 2, 3, 5)],
        "story_label": [{"story_id": n, "label_id": 7} for n in (1, 2, 9)],
        "file_attachment": [{"id": n, "comment_id": n, "filename": f"{n}.txt"} for n in (1, 2, 8)],
        "file_attachment_file": [{"file_attachment_id": n, "blob": b"x" * n} for n in (1, 2, 6, 8)]
        + [{"file_attachment_id": 2, "blob": b"again"}, {"file_attachment_id": 3, "blob": "text"}],
    }
    path = write_database(tmp_path / "x.db", STORYEXPORTER_TABLES | {"mine": "id"}, rows)
    result = read(path)
    stories = result.by_id("stories")
    assert [c["id"] for c in stories[2]["comments"]] == [2]
    assert stories[2]["labels"] == [{"id": 7}]
    assert stories[4]["comments"] == stories[4]["labels"] == []
    assert result.contents == {1: b"x", 2: b"xx", 6: b"x" * 6, 8: b"x" * 8}
    no_story = "the database does not contain the story that it belongs to"
    no_comment = "the database does not contain the comment that it belongs to"
    assert {k[1:]: counted.rows for k, counted in result.accounting.left_out.items()} == {
        ("stories__comments", no_story): 3,
        ("stories__labels", no_story): 2,
        ("stories__comments__file_attachments", no_comment): 2,
        ("attachment_files", "it is not a file, or another one has the same id"): 2,
        ("files", "an unknown table"): 1,
    }


# hostile databases


def execute(path: Path, *statements: str) -> Path:
    with closing(sqlite3.connect(path)) as database:
        for statement in statements:
            database.execute(statement)
        database.commit()
    return path


@pytest.fixture
def database(tmp_path: Path, get: Get, workspace: Workspace) -> Path:
    return write_database(tmp_path / "x.db", STORYEXPORTER_TABLES, dumped_tables(get, workspace))


FOREVER = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS id FROM n"


@pytest.mark.parametrize("table", ["story", "comment", "label", "person", "file_attachment_file"])
def test_view_instead_of_table_is_rejected(database: Path, table: str) -> None:
    execute(database, f"DROP TABLE {table}", f"CREATE VIEW {table} AS {FOREVER}")
    with pytest.raises(ArchiveError, match=f"its {table} is not an ordinary table"):
        read(database)


def test_virtual_table_is_rejected(database: Path) -> None:
    execute(database, "DROP TABLE story", "CREATE VIRTUAL TABLE story USING fts5(id, name)")
    with pytest.raises(ArchiveError, match="its story is not an ordinary table"):
        read(database)


def test_triggers_and_generated_columns_are_not_executed(database: Path) -> None:
    before = read(database)
    execute(
        database,
        "CREATE TRIGGER t AFTER INSERT ON story BEGIN DELETE FROM comment; END",
        "ALTER TABLE story ADD COLUMN estimate2 AS (hex(zeroblob(400000000)))",
        "ALTER TABLE story ADD COLUMN more text DEFAULT 'x'",
    )
    after = read(database)
    assert after.records == before.records
    assert [key[2] for key in after.accounting.lost_values] == [
        "the column 'more' of story is not known"
    ]


def test_values_of_undeclared_types_are_read_or_left_out(database: Path) -> None:
    execute(
        database,
        "CREATE TABLE s AS SELECT * FROM story",
        "DROP TABLE story",
        "ALTER TABLE s RENAME TO story",
        "INSERT INTO story (id, name) VALUES ('x', 'y'), (NULL, 'z'), (x'00', 'w'), (1.5, 'v')",
        "INSERT INTO story (id, name, estimate) VALUES (-1, x'ff00', 'many')",
        "INSERT INTO story (id, name) VALUES (-2, CAST(x'4100ff' AS TEXT))",
    )
    result = read(database)
    stories = result.by_id("stories")
    assert {k: v for k, v in stories[-1].items() if not isinstance(v, list)} == {
        "id": -1,
        "kind": "story",
        "estimate": "many",
    }
    assert stories[-2]["name"] == "A\ufffd\ufffd"
    assert result.accounting.left_out["x.db", "stories", "it has no id"].rows == 4
    assert {key[2] for key in result.accounting.lost_values} == {
        "bytes instead of a text",
        "invalid characters, loaded as U+FFFD",
    }


def test_oversized_values_are_left_out(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "MAX_BYTES_OF_A_RECORD", 100_000)
    monkeypatch.setattr(database_dumps, "MAX_BYTES_OF_AN_ATTACHMENT", 500_000)
    blobs = "INSERT INTO file_attachment_file VALUES (1, zeroblob(400000)), (2, zeroblob(600000))"
    execute(database, blobs, "INSERT INTO person (id, name) VALUES (9999999999, zeroblob(200000))")
    result = read(database)
    assert result.contents[1] == bytes(400_000)
    assert 2 not in result.contents
    assert result.reasons("attachment_files") == {"it is larger than 500,000 bytes"}
    assert "too big" in next(iter(result.reasons("people")))
    assert result.records["stories"]


@pytest.mark.parametrize("table", ["person", "comment"])
def test_pages_that_repeat_rows_are_reported_as_damaged(tmp_path: Path, table: str) -> None:
    """A small file can have a table with more rows than can be read."""
    path = execute(tmp_path / "x.db", "PRAGMA page_size = 512", "CREATE TABLE mine (x)")
    write_database(path, STORYEXPORTER_TABLES)
    columns = ", ".join(part.split()[0] for part in STORYEXPORTER_TABLES[table].split(", "))
    row = ", ".join("i" for _ in columns.split(", "))
    numbers = FOREVER.replace("SELECT i AS id FROM n", f"SELECT {row} FROM n LIMIT 12000")
    execute(path, f"INSERT INTO {table} ({columns}) {numbers}")
    repeat_pages(path, table)
    result = read(path)
    named = {"person": "people", "comment": "stories__comments"}[table]
    assert any("damaged" in reason for reason in result.reasons(named))


def repeat_pages(path: Path, table: str) -> None:
    """Point the entries of each page below the root to the next such page, not to leaves."""
    with closing(sqlite3.connect(path)) as database:
        query = "SELECT rootpage FROM sqlite_master WHERE name = ?"
        ((root,),) = database.execute(query, [table])
        ((size,),) = database.execute("PRAGMA page_size")
    content = bytearray(path.read_bytes())

    def pointers(page: int) -> list[int]:
        """Return the positions of the numbers of the pages below."""
        start = (page - 1) * size
        assert content[start] == 5, "an interior page of a table"
        count = int.from_bytes(content[start + 3 : start + 5], "big")
        cells = [start + 12 + 2 * n for n in range(count)]
        return [start + int.from_bytes(content[cell : cell + 2], "big") for cell in cells]

    below = [int.from_bytes(content[p : p + 4], "big") for p in pointers(root)]
    assert len(below) >= 3
    for page, lower in pairwise(below):
        for place in pointers(page):
            content[place : place + 4] = lower.to_bytes(4, "big")
    path.write_bytes(content)


def test_truncated_or_invalid_database_is_read_or_rejected(database: Path) -> None:
    whole = database.read_bytes()
    for cut in (16, 100, 5_000, len(whole) // 2, len(whole) - 1_000):
        database.write_bytes(whole[:cut])
        try_to_read(database, STORYEXPORTER)
    database.write_bytes(b"SQLite format 3\0" + b"\xff" * 5_000)
    with pytest.raises(ArchiveError, match="not a known archive"):
        read(database)


def test_changes_in_a_write_ahead_log_are_reported(database: Path) -> None:
    folder = database.parent / "folder"
    folder.mkdir()
    shutil.copy(database, folder / "x.db")
    (folder / "x.db-wal").write_bytes(b"changes")
    (folder / "x.db-shm").write_bytes(b"")
    result = read(folder)
    assert any("not yet in the database" in reason for reason in result.reasons("files"))
    assert sorted(path.name for path in folder.iterdir()) == ["x.db", "x.db-shm", "x.db-wal"]


@given(
    places=st.lists(
        st.tuples(st.integers(0, 60_000), st.binary(min_size=1, max_size=8)), max_size=6
    )
)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_damaged_database_is_read_or_rejected(
    database: Path, places: list[tuple[int, bytes]]
) -> None:
    whole = bytearray(database.read_bytes())
    path = database.with_name("damaged.db")
    for place, noise in places:
        place %= len(whole)
        whole[place : place + len(noise)] = noise
    path.write_bytes(whole)
    try_to_read(path, STORYEXPORTER)


VALUES = st.none() | st.integers(-5, 5) | st.floats() | st.text(max_size=3) | st.binary(max_size=3)


COLUMNS = (
    "id story_id label_id comment_id person_id file_attachment_id blob name story_type resolved"
)
ROWS = st.lists(st.dictionaries(st.sampled_from(COLUMNS.split()), VALUES, min_size=2), max_size=5)


@given(rows=st.dictionaries(st.sampled_from(list(STORYEXPORTER_TABLES)), ROWS))
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_rows_are_read_or_left_out(tmp_path: Path, rows: dict[str, list[Record]]) -> None:
    """The tables have the expected names and columns, but no types and no keys."""
    path = tmp_path / "any.db"
    path.unlink(missing_ok=True)
    untyped = {
        name: ", ".join(column.split()[0] for column in columns.split(", "))
        for name, columns in STORYEXPORTER_TABLES.items()
    }
    write_database(path, untyped, rows)
    try_to_read(path, STORYEXPORTER)
