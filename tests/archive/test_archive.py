"""All archive formats: merging, the load report, people, and projects that the API also loads."""

from __future__ import annotations

import functools
import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pytest
from dlt.common.typing import TRefreshMode

from pivotal_tracker import archive, pivotal_tracker_archive, pivotal_tracker_source
from pivotal_tracker.cli.main import main
from pivotal_tracker.tables import ARCHIVE_TABLES
from tracker_server import TrackerServer
from tracker_server.sample import generate_workspace

from ..support.command import Command
from ..support.exports import Row, as_csv, table
from ..support.sample_format import SampleFormat, write
from ..support.truth import Record, Tables, comparable, loaded_tables, served_tables

ALL_RESOURCES = tuple(ARCHIVE_TABLES)
STORY_RESOURCES = ("stories", "load_report")
PROJECT_RESOURCES = ("projects", "stories", "iterations", "accounts", "people")
NOT_LOADED = "only rows that are not loaded refer to it"
JANUARY, MARCH = "2024-01-31T12:00:00Z", "2024-03-31T12:00:00Z"


@dataclass
class ArchiveSandbox:
    """A folder of archives, and the database that they are loaded into."""

    folder: Path
    metrics: dict[str, dict[str, Any]] = field(default_factory=dict)

    def write(self, name: str, *records: tuple[str, Record], **more: Any) -> Path:
        return write(self.folder / name, *records, **more)

    def load(
        self,
        *paths: Path,
        resources: Sequence[str] = STORY_RESOURCES,
        refresh: TRefreshMode | None = None,
        **options: Any,
    ) -> Tables:
        """Load archives; only the resources that a test needs, because all tables take long."""
        source = pivotal_tracker_archive([str(path) for path in paths], **options)
        return self.run(source.with_resources(*resources), refresh)

    def run(self, source: Any, refresh: TRefreshMode | None = None) -> Tables:
        pipeline = dlt.pipeline(
            "pivotal_tracker",
            destination=dlt.destinations.duckdb(str(self.folder / "loaded.duckdb")),
            dataset_name="tracker",
            pipelines_dir=str(self.folder / "pipelines"),
        )
        # kept open, as the command does: dlt opens the file for each job otherwise
        with duckdb.connect(str(self.folder / "loaded.duckdb")):
            pipeline.run(source, loader_file_format="parquet", refresh=refresh)
        steps = pipeline.last_trace.last_extract_info.metrics.values()
        self.metrics = {
            name: metrics.custom_metrics
            for step in steps
            for one in step
            for name, metrics in one["resource_metrics"].items()
        }
        return self.tables()

    def tables(self) -> Tables:
        return loaded_tables(self.folder / "loaded.duckdb")

    def rows_written(self) -> int:
        """Count the rows that the last run wrote."""
        return sum(sum(m.get("written", {}).values()) for m in self.metrics.values())

    def report(self) -> dict[tuple[str, str], tuple[int, int, int]]:
        return {
            (row["source"], row["kind"]): (
                row["rows_read"],
                row["rows_loaded"],
                row["rows_left_out"],
            )
            for row in self.tables()["load_report"]
        }

    def reasons(self) -> set[tuple[str, str, str, int]]:
        return {
            (row["source"], row["kind"], row["reason"], row["rows"])
            for row in self.tables()["load_report__left_out"]
        }


@pytest.fixture(scope="module")
def empty_sandbox(tmp_path_factory: pytest.TempPathFactory) -> ArchiveSandbox:
    """A sandbox with empty tables, whose creation takes longer than filling them."""
    sandbox = ArchiveSandbox(tmp_path_factory.mktemp("empty") / "sandbox")
    sandbox.folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(archive, "FORMATS", (SampleFormat(),))
        tables = sandbox.load(
            sandbox.write("nothing.sample"), resources=("load_report", *PROJECT_RESOURCES)
        )
    assert not any(tables.values())
    return sandbox


@pytest.fixture(scope="module")
def served() -> Iterator[TrackerServer]:
    """A server of one project, which tests do not change."""
    with TrackerServer(generate_workspace(projects=1, stories=8, activity=30, seed=7)) as server:
        yield server


@pytest.fixture(scope="module")
def api_sandbox(
    empty_sandbox: ArchiveSandbox, served: TrackerServer, tmp_path_factory: pytest.TempPathFactory
) -> ArchiveSandbox:
    """A sandbox into which the served project was loaded from the API."""
    sandbox = copy_of(empty_sandbox, tmp_path_factory.mktemp("served") / "sandbox")
    sandbox.run(project_resources(served))
    return sandbox


def project_resources(server: TrackerServer) -> Any:
    """Select the resources of a server that archives also load."""
    source = pivotal_tracker_source(server.workspace.me["api_token"], server.url)
    return source.with_resources(*PROJECT_RESOURCES)


def copy_of(sandbox: ArchiveSandbox, folder: Path) -> ArchiveSandbox:
    """Copy a sandbox into a new folder."""
    shutil.copytree(sandbox.folder, folder, dirs_exist_ok=True)
    return ArchiveSandbox(folder)


@pytest.fixture
def sample_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace all formats by the sample format."""
    monkeypatch.setattr(archive, "FORMATS", (SampleFormat(),))


@pytest.fixture
def sandbox(empty_sandbox: ArchiveSandbox, tmp_path: Path, sample_formats: None) -> ArchiveSandbox:
    """A sandbox for archives of the sample format."""
    return copy_of(empty_sandbox, tmp_path)


def story(story_id: int, **attributes: Any) -> tuple[str, Record]:
    return "stories", {"id": story_id, "project_id": 9, "kind": "story", **attributes}


def test_first_load_creates_all_tables_and_second_load_writes_nothing(
    tmp_path: Path, sample_formats: None
) -> None:
    sandbox = ArchiveSandbox(tmp_path)
    first = sandbox.write(
        "deep/inside/a.sample",
        story(1, updated_at=MARCH, comments=[{"id": 5, "text": "Hm"}], owner_ids=[3]),
        story(2, name="Two", _date_precision="day"),
        ("people", {"id": -4, "name": "Ann"}),
        ("activity", {"guid": "9_1", "project": {"id": 9}, "occurred_at": MARCH}),
        ("iterations", {"project_id": 9, "number": 1, "story_ids": [1]}),
        ("history_days", {"project_id": 9, "date": "2024-03-31", "counts_accepted": 1}),
        ("attachment_files", {"id": 8, "project_id": 9, "story_id": 1, "filename": "a.txt"}),
    )
    before = sandbox.load(first, resources=ALL_RESOURCES)
    assert {t.name for table in ARCHIVE_TABLES.values() for t in table.family()} <= set(before)
    # each row has its source
    (two,) = (row for row in before["stories"] if row["id"] == 2)
    assert comparable([two]) == comparable(
        [
            {
                "id": 2,
                "project_id": 9,
                "kind": "story",
                "name": "Two",
                "_source": "a.sample",
                "_date_precision": "day",
            }
        ]
    )
    assert len(before["stories"]) == 2
    assert comparable(before["projects"]) == comparable([{"id": 9, "_source": "a.sample"}])
    assert sandbox.report()["a.sample", "stories"] == (2, 2, 0)
    assert sandbox.rows_written() > 0
    # in another folder
    again = sandbox.folder / "moved" / "a.sample"
    again.parent.mkdir()
    first.rename(again)
    after = sandbox.load(again, resources=ALL_RESOURCES)
    assert sandbox.rows_written() == 0
    assert_same_tables(after, before)


def assert_same_tables(one: Tables, other: Tables) -> None:
    assert {n: comparable(r) for n, r in one.items()} == {
        n: comparable(r) for n, r in other.items()
    }


def test_unaccounted_rows_fail_the_load(sandbox: ArchiveSandbox) -> None:
    path = sandbox.write("a.sample", story(1), count={"stories": 1, "stories__comments": 2})
    with pytest.raises(Exception, match=r"a\.sample: of stories__comments 2 rows were read, but 0"):
        sandbox.load(path)


def test_latest_copy_wins_in_any_order(
    sandbox: ArchiveSandbox, empty_sandbox: ArchiveSandbox
) -> None:
    old = sandbox.write(
        "old.sample",
        story(1, name="Old", updated_at=JANUARY, comments=[{"id": 5}]),
        story(2, name="Newer", updated_at=MARCH),
        story(3, name="Nobody knows when"),
        story(4, name="Equal", updated_at=MARCH, estimate=3),
        story(5, name="Same", updated_at=MARCH),
    )
    new = sandbox.write(
        "new.sample",
        story(1, name="New", updated_at=MARCH),
        story(2, name="Older", updated_at="2024-03-31T11:59:59.5+00:00"),
        story(3, name="Now it is known", updated_at=JANUARY),
        story(4, name="Equal", updated_at=MARCH),
        story(5, name="Same", updated_at=MARCH),
    )
    expected = {1: "New", 2: "Newer", 3: "Now it is known", 4: "Equal", 5: "Same"}
    together = sandbox.load(new, old)
    assert {r["id"]: r["name"] for r in together["stories"]} == expected
    assert [r["estimate"] for r in together["stories"] if r["id"] == 4] == [3]
    assert together["stories__comments"] == []
    assert sandbox.report() == {
        ("new.sample", "stories"): (5, 3, 2),
        ("old.sample", "stories"): (5, 2, 3),
        ("old.sample", "stories__comments"): (1, 0, 1),
    }
    assert ("old.sample", "stories", "another copy is newer: new.sample", 2) in sandbox.reasons()

    one_by_one = copy_of(empty_sandbox, sandbox.folder / "one by one")
    one_by_one.load(old)
    one_by_one.load(new)
    loaded = one_by_one.tables()
    assert {r["id"]: r["name"] for r in loaded["stories"]} == expected
    assert [r["estimate"] for r in loaded["stories"] if r["id"] == 4] == [3]
    assert loaded["stories__comments"] == []
    # of equal rows those that were there stay, and count as loaded
    assert one_by_one.report()["new.sample", "stories"] == (5, 3, 2)


def test_later_export_wins_without_updated_at(sandbox: ArchiveSandbox) -> None:
    later = sandbox.write("shop_20240401_0900.sample", story(1, name="Later"))
    sooner = sandbox.write("shop_20231231_2359.sample", story(1, name="Sooner", estimate=1))
    assert [r["name"] for r in sandbox.load(later)["stories"]] == ["Later"]
    assert [r["name"] for r in sandbox.load(sooner)["stories"]] == ["Later"]
    reason = "another copy is newer: shop_20240401_0900.sample"
    assert (sooner.name, "stories", reason, 1) in sandbox.reasons()
    assert sandbox.rows_written() == len(sandbox.reasons()) + 1


def test_outdated_csv_row_adds_no_people_labels_or_iterations(
    empty_sandbox: ArchiveSandbox, tmp_path: Path
) -> None:
    sandbox = copy_of(empty_sandbox, tmp_path)
    new, old = sandbox.folder / "shop_20240401_0900.csv", sandbox.folder / "shop_20231231_2359.csv"
    story = {"id": 11, "title": "Pay", "iteration": "2", "start": "Mar 4, 2024"}
    new.write_text(as_csv(table([Row(**story, requested_by="Ann Ray", labels="web")])))
    older = Row(**{**story, "iteration": "1"}, requested_by="Bob Lee", labels="old")
    added = Row(id=12, title="Ship", requested_by="Cy Ray", labels="new")
    old.write_text(as_csv(table([older, added])))
    names = ("projects", "stories", "labels", "people", "iterations", "load_report")
    sandbox.load(new, resources=names)
    tables = sandbox.load(old, resources=names)
    assert {row["id"] for row in tables["stories"]} == {11, 12}
    assert {row["name"] for row in tables["people"]} == {"Ann Ray", "Cy Ray"}
    assert {row["name"] for row in tables["labels"]} == {"web", "new"}
    assert [(row["number"], row["_source"]) for row in tables["iterations"]] == [(2, new.name)]
    assert {(row["iteration_number"], row["value"]) for row in tables["iterations__story_ids"]} == {
        (2, 11)
    }
    assert sandbox.reasons() == {
        (old.name, "stories", f"another copy is newer: {new.name}", 1),
        (old.name, "stories__labels", f"another copy is newer: {new.name}", 1),
        *((old.name, of, NOT_LOADED, 1) for of in ("people", "labels", "iterations")),
    }


def test_outdated_json_record_adds_no_people_labels_or_projects(
    empty_sandbox: ArchiveSandbox, tmp_path: Path
) -> None:
    sandbox = copy_of(empty_sandbox, tmp_path)
    new, old = sandbox.folder / "new.json", sandbox.folder / "old.json"
    ann, bob, cy = ({"id": n, "name": name} for n, name in ((5, "Ann"), (6, "Bob"), (7, "Cy")))

    def story_in_project(number: int, story_id: int, person: Record, updated_at: str) -> Record:
        """Return a story with a label and a requester."""
        label = {"kind": "label", "id": person["id"] + 80, "name": f"of {person['name']}"}
        return story(story_id, updated_at=updated_at)[1] | {
            "project_id": number,
            "requested_by": person,
            "labels": [label],
        }

    new.write_text(json.dumps([story_in_project(9, 11, ann, MARCH)]))
    old.write_text(
        json.dumps([story_in_project(8, 11, bob, JANUARY), story_in_project(7, 12, cy, JANUARY)])
    )
    names = ("projects", "stories", "labels", "people", "load_report")
    sandbox.load(new, resources=names)
    tables = sandbox.load(old, resources=names)
    assert {row["id"] for row in tables["stories"]} == {11, 12}
    assert {row["id"] for row in tables["people"]} == {5, 7}
    assert {row["id"] for row in tables["labels"]} == {85, 87}
    assert {row["id"] for row in tables["projects"]} == {9, 7}
    assert {(row[1], row[2]) for row in sandbox.reasons()} == {
        *((of, "another copy is newer: new.json") for of in ("stories", "stories__labels")),
        *((of, NOT_LOADED) for of in ("people", "labels", "projects")),
    }


def test_unwritable_record_is_left_out_and_reported(
    empty_sandbox: ArchiveSandbox, tmp_path: Path
) -> None:
    sandbox = copy_of(empty_sandbox, tmp_path)
    folder = tmp_path / "saved"
    folder.mkdir()
    good = story(1)[1] | {"story_type": "bug"}
    stories = [good, good | {"id": 2, "tasks": [{"id": 3, "description": "Knead"}]}]
    (folder / "stories.json").write_text(json.dumps(stories))
    comments = [{"kind": "comment", "id": 4, "story_id": number, "text": "Hm"} for number in (1, 2)]
    (folder / "comments.json").write_text(json.dumps(comments))

    def unwritable(record: Record) -> Record:
        return record | {"extra": object()} if record["id"] == 2 else record

    source = pivotal_tracker_archive([str(folder)]).with_resources("stories", "load_report")
    source.stories.add_map(unwritable)
    tables = sandbox.run(source)
    assert [row["id"] for row in tables["stories"]] == [1]
    report = sandbox.report()
    assert report["saved/stories.json", "stories"] == (2, 1, 1)
    assert report["saved/stories.json", "stories__tasks"] == (1, 0, 1)
    assert report["saved/comments.json", "stories__comments"] == (2, 1, 1)
    unread = {"saved/stories.json": "1 row could not be read"}
    assert sandbox.metrics["load_report"]["unread"] == unread


def test_duplicates_within_one_archive_are_resolved(sandbox: ArchiveSandbox) -> None:
    copies = (
        story(1, name="Old", updated_at=JANUARY),
        story(1, name="New", updated_at=MARCH),
        story(1, name="New, and more", updated_at=MARCH, comments=[{"id": 4}]),
        story(1, name="Less", updated_at=MARCH),
    )
    several = sandbox.write("a.sample", *copies), sandbox.write("other.sample", story(2))
    tables = sandbox.load(*several)
    assert [r["name"] for r in tables["stories"] if r["id"] == 1] == ["New, and more"]
    assert sandbox.report()["a.sample", "stories"] == (4, 1, 3)

    single = sandbox.write(
        "b.sample", *(("epics", {**r, "id": 2}) for _, r in copies), ("epics", {})
    )
    tables = sandbox.load(single, resources=("epics", "load_report"))
    assert [r["name"] for r in tables["epics"]] == ["Old"]
    assert sandbox.reasons() >= {
        ("b.sample", "epics", "it came before: b.sample", 3),
        ("b.sample", "epics", "it has no key", 1),
    }


def test_truncated_file_is_loaded_partially_and_reported(sandbox: ArchiveSandbox) -> None:
    failures = sandbox.write("broken.sample", story(1), story(2))
    failures.write_text(failures.read_text() + '{"table": "stories", "rec')
    whole = sandbox.write("whole.sample", story(3))
    tables = sandbox.load(failures, whole)
    assert {r["id"] for r in tables["stories"]} == {1, 2, 3}
    assert sandbox.metrics["load_report"]["unread"] == {
        "broken.sample": "broken.sample breaks off."
    }


def test_person_known_by_name_is_linked_to_the_only_one_with_an_id(sandbox: ArchiveSandbox) -> None:
    named = [("people", {"id": -n, "kind": "person", "name": f"Name {n}"}) for n in (1, 2, 3)]
    members = [
        ("project_memberships", {"id": n, "project_id": 9, "person": {"id": n, "name": name}})
        for n, name in ((11, "Name 1"), (12, "Name 2"), (13, "Name 2"))
    ]
    tables = ("people", "project_memberships", "stories", "load_report")
    load = functools.partial(sandbox.load, resources=tables)
    load(sandbox.write("names.sample", *named, story(1, owner_ids=[-1, -3])))
    assert same_as_ids(sandbox) == {}
    load(sandbox.write("members.sample", *members[:2]))
    assert same_as_ids(sandbox) == {-1: 11, -2: 12}
    load(sandbox.write("another.sample", members[2]))
    assert same_as_ids(sandbox) == {-1: 11}
    people = {r["id"]: r for r in sandbox.tables()["people"]}
    assert people[-3]["name"] == "Name 3"
    assert people[-3]["_source"] == "names.sample"


def same_as_ids(sandbox: ArchiveSandbox) -> dict[int, int]:
    return {r["id"]: r["same_as_id"] for r in sandbox.tables()["people"] if r["same_as_id"]}


def test_only_selected_resources_and_projects_are_loaded(sandbox: ArchiveSandbox) -> None:
    path = sandbox.write(
        "a.sample",
        story(1),
        ("stories", {"id": 2, "project_id": 8, "tasks": [{"id": 1}]}),
        ("epics", {"id": 1, "project_id": 9}),
    )
    tables = sandbox.load(path, resources=("stories", "load_report"), project_ids=[9])
    assert "epics" not in tables
    assert [r["id"] for r in tables["stories"]] == [1]
    assert sandbox.report() == {
        ("a.sample", "stories"): (2, 1, 1),
        ("a.sample", "stories__tasks"): (1, 0, 1),
    }


def test_refresh_of_stories_keeps_people(sandbox: ArchiveSandbox) -> None:
    first = sandbox.write("a.sample", story(1, requested_by_id=5))
    second = sandbox.write("b.sample", story(2, requested_by_id=6))
    sandbox.load(first, resources=(*STORY_RESOURCES, "people"))
    tables = sandbox.load(second, refresh="drop_resources")
    assert [row["id"] for row in tables["stories"]] == [2]
    assert {row["id"] for row in tables["people"]} == {5}


def test_attachments_are_written_inside_their_directory(sandbox: ArchiveSandbox) -> None:
    attachment = (
        "attachment_files",
        {"id": 7, "project_id": 9, "story_id": 1, "filename": "../../x"},
    )
    path = sandbox.write("a.sample", attachment, content="bytes")
    load = functools.partial(sandbox.load, resources=("attachment_files", "load_report"))
    (row,) = load(path)["attachment_files"]
    assert (row["size"], row["path"]) == (5, None)
    assert row["sha256"] == hashlib.sha256(b"bytes").hexdigest()
    files = sandbox.folder / "files"
    (row,) = load(path, attachments_directory=str(files))["attachment_files"]
    assert Path(row["path"]).read_bytes() == b"bytes"
    assert Path(row["path"]).is_relative_to(files / "9" / "1")
    load(path, attachments_directory=str(files))
    assert sandbox.rows_written() == 0


def test_server_and_archive_load_into_the_same_tables(
    empty_sandbox: ArchiveSandbox,
    api_sandbox: ArchiveSandbox,
    served: TrackerServer,
    tmp_path: Path,
    sample_formats: None,
) -> None:
    workspace = served.workspace
    project = next(iter(workspace.projects.values()))
    theirs = next(iter(project.stories.values()))
    here = {"project_id": project.record["id"]}
    path = write(
        tmp_path / "a.sample",
        ("projects", {"id": 9, "name": "Only in the file"}),
        story(1, name="Only in the file", updated_at=JANUARY),
        (
            "stories",
            {**here, "id": theirs["id"], "name": "Older", "updated_at": "2001-01-01T00:00:00Z"},
        ),
        ("stories", {**here, "id": 2, "name": "The server has it no more"}),
        ("accounts", {"id": 3, "name": "Of no server"}),
    )
    load = functools.partial(ArchiveSandbox.load, resources=(*PROJECT_RESOURCES, "load_report"))
    truth = served_tables(served)
    sandbox = copy_of(api_sandbox, tmp_path / "api first")
    first = sandbox.tables()
    assert comparable(first["stories"]) == comparable(truth["stories"])
    both = load(sandbox, path)
    assert {r["id"] for r in both["stories"]} == {r["id"] for r in truth["stories"]} | {1, 2}
    assert comparable(r for r in both["stories"] if r["id"] not in (1, 2)) == comparable(
        first["stories"]
    )
    reason = "another copy is newer: the one from the API"
    assert ("a.sample", "stories", reason, 1) in sandbox.reasons()
    sandbox.run(project_resources(served))
    assert sandbox.rows_written() == 0

    other = copy_of(empty_sandbox, tmp_path / "archive first")
    load(other, path)
    after = other.run(project_resources(served))
    # of a project that the server has, it knows what is in it
    assert {r["id"] for r in after["stories"]} == {r["id"] for r in truth["stories"]} | {1}
    for tables in (both, after):
        projects = {r["id"]: r for r in tables["projects"]}
        assert projects.keys() == {r["id"] for r in truth["projects"]} | {9}
        assert projects[9]["_not_seen_since"] is None
        assert {r["id"] for r in tables["accounts"]} == {r["id"] for r in truth["accounts"]} | {3}
        (from_file,) = (r for r in tables["stories"] if r["id"] == 1)
        assert from_file["_source"] == "a.sample"
    assert comparable(r for r in after["stories"] if r["id"] != 1) == comparable(truth["stories"])


def test_project_without_id_is_linked_to_the_one_with_its_stories(
    empty_sandbox: ArchiveSandbox,
    api_sandbox: ArchiveSandbox,
    tmp_path: Path,
    served: TrackerServer,
) -> None:
    (project_id, project), *_ = served.workspace.projects.items()
    stories = list(project.stories.values())[:3]
    rows = [Row(story["id"], "As exported", iteration="1") for story in stories]
    export = tmp_path / "my_shop_20240401_0900.csv"
    export.write_text(as_csv(table([*rows, Row(7, "The server has it no more")])))
    saved = tmp_path / "stories.json"
    known = ("id", "project_id", "name", "updated_at")
    saved.write_text(json.dumps([{n: s[n] for n in known} | {"kind": "story"} for s in stories]))

    runs: dict[str, Callable[[ArchiveSandbox], Any]] = {
        "api": lambda sandbox: sandbox.run(project_resources(served)),
        "export": lambda sandbox: sandbox.load(
            export, resources=(*PROJECT_RESOURCES, "load_report")
        ),
        "both": lambda sandbox: sandbox.load(
            export, saved, resources=(*PROJECT_RESOURCES, "load_report")
        ),
    }
    # what is done a second time writes nothing
    orders = [
        (api_sandbox, "export export"),
        (empty_sandbox, "export api api"),
        (empty_sandbox, "both both"),
    ]
    for beginning, order in orders:
        other = copy_of(beginning, tmp_path / order)
        done = ""
        for run in order.split():
            runs[run](other)
            assert other.rows_written() == 0 or run != done, order
            done = run
        same = {r["id"]: r["same_as_id"] for r in other.tables()["projects"]}
        (nameless,) = (key for key in same if key < 0)
        assert same.pop(nameless) == project_id, order
        assert set(same.values()) == {None}, order
        theirs = {r["id"]: r["project_id"] for r in other.tables()["stories"]}
        assert {theirs[story["id"]] for story in stories} == {project_id}, order
        assert theirs[7] == nameless, order


# through the command


def test_folder_of_archives_is_loaded_and_unreadable_files_are_reported(
    command: Command, tmp_path: Path
) -> None:
    folder = tmp_path / "saved"
    folder.mkdir()
    (folder / "a.json").write_text('[{"kind": "story", "id": 1, "project_id": 9, "name": "One"}]')
    with zipfile.ZipFile(folder / "b.zip", "w") as file:
        file.writestr("b.csv", "Id,Title,Type,Current State\n2,Two,feature,accepted\n")
    (folder / "c.zip").write_bytes(b"PK\x03\x04 cut short")
    (folder / "notes.txt").write_text("hello")
    (folder / ".hidden").write_text("hello")
    checked = command("--check", "--archive", str(folder))
    assert "a.json: API responses" in checked.stdout
    assert not command.database.exists()
    result = command("--archive", str(folder), "--resource", "stories")
    assert result.returncode == 3, result.stderr
    assert {r["id"] for r in command.tables()["stories"]} == {1, 2}
    assert "saved/c.zip" in result.stdout
    assert "Ignored, not an archive: saved/notes.txt" in result.stdout
    assert "hidden" not in result.stdout
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "stories epics comments other rows left out found in" in lines
    assert "1 0 0 0 0 a.json (API responses)" in lines
    assert "1 0 0 0 0 b.zip (Tracker's project export)" in lines


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.zip", None, "does not exist"),
        (
            "notes.txt",
            b"hello",
            "not a known archive. Found: a text of another kind. ",
        ),
        ("a.zip", b"PK\x03\x04 cut short", "a.zip"),
        ("empty.json", b"", "empty.json"),
    ],
)
def test_unknown_file_fails_with_one_line(
    name: str, content: bytes | None, message: str, command: Command, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    result = command("--archive", str(tmp_path / name))
    assert result.returncode == 1
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not command.database.exists()


def test_out_of_range_values_do_not_reject_rows(command: Command, tmp_path: Path) -> None:
    story: Record = {"kind": "story", "id": 1, "project_id": 9}
    invalid = [
        {**story, "estimate": "many", "created_at": "soon", "labels": "none"},
        {**story, "id": 2, "name": {"deep": [[1], {"a": "b"}]}, "tasks": [7, None, [1]]},
        {**story, "id": 3, "estimate": 10**30, "comments": [{"id": "x", "text": ["y"]}]},
        {**story, "id": 4, "name": "nul \u0000 and half \ud800", "owner_ids": [None, "me", 5]},
        {**story, "id": "five"},
        {**story, "id": 10**40},
        {**story, "id": 2**63},
        {**story, "id": 6, "requested_by_id": 2**63, "owned_by_id": "9" * 30, "rank": 10**25},
        {**story, "id": 7, "created_at": 10**17, "accepted_at": str(-(2**63) - 5), "name": "old"},
        {**story, "id": 8, "estimate": "9999-12-31T23:59:59-12:00", "external_id": 10**25},
        {**story, "id": 9, "owner_ids": [10**25, 5], "tasks": [{"id": True}, {"id": 2**64}]},
        {"kind": "story"},
        {"kind": "person", "id": 5, "name": ["Ann"]},
        {**story, "id": 10, "name": "the last"},
    ]
    whole, lines = tmp_path / "invalid.json", tmp_path / "invalid.jsonl"
    whole.write_text(json.dumps(invalid))
    # the same once more, of stories with other ids
    others = [
        {**one, "id": one["id"] + 100} if one.get("id") in range(1, 11) else one for one in invalid
    ]
    lines.write_text("\n".join(map(json.dumps, others)))
    options = ("--resource", "stories", "people", "load_report")
    result = command("--archive", str(whole), str(lines), *options)
    assert result.returncode == 0, result.stderr
    tables = command.tables()
    stories = {row["id"]: row for row in tables["stories"]}
    assert len(stories) == 18
    for more in (0, 100):
        rows = {one - more: row for one, row in stories.items() if one - more in range(1, 100)}
        assert sorted(rows) == [1, 2, 3, 4, 6, 7, 8, 9, 10]
        assert rows[10]["name"] == "the last"
        assert rows[3]["estimate"] == 1e30
        assert rows[6]["requested_by_id__v_text"] == str(2**63)
        assert rows[6]["owned_by_id__v_text"] == "9" * 30
        assert rows[6]["rank"] == str(10**25)
        assert rows[7]["created_at__v_text"] == str(10**17)
        assert rows[8]["external_id"] == str(10**25)
    assert len(tables["stories__tasks"]) == 2 * 2
    assert [r["value"] for r in tables["stories__owner_ids"]] == [5, 5] * 2
    for row in tables["load_report"]:
        assert row["rows_read"] == row["rows_loaded"] + row["rows_left_out"]


def test_transitions_without_a_version_get_one_that_stays(
    empty_sandbox: ArchiveSandbox, tmp_path: Path
) -> None:
    transitions = [
        {"state": "started", "occurred_at": MARCH},
        {"state": "started", "occurred_at": JANUARY},
        {"state": "finished", "occurred_at": MARCH, "project_version": "7"},
        {"occurred_at": MARCH, "project_version": 8},
    ]
    story = {"kind": "story", "id": 10, "project_id": 9, "transitions": transitions}
    path = tmp_path / "stories.json"
    path.write_text(json.dumps([story]))
    sandbox = copy_of(empty_sandbox, tmp_path / "sandbox")
    first = sandbox.load(path)["stories__transitions"]
    versions = {(r["state"], r["occurred_at"].month): r["project_version"] for r in first}
    assert versions.pop(("finished", 3)) == 7
    assert len(set(versions.values())) == len(versions) == 2
    assert max(versions.values()) < 0
    assert comparable(sandbox.load(path)["stories__transitions"]) == comparable(first)


@pytest.mark.parametrize("option", ["--sample", "--full-refresh"])
def test_server_options_are_rejected_with_archives(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--archive", "a.zip", option])
    assert ended.value.code == 2
    assert option in capsys.readouterr().err.splitlines()[-1]
