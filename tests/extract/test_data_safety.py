"""A wrong response loses no rows, and affects no other data and no later run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tracker_server import Behaviour, TrackerServer
from tracker_server.faults import (
    ByteOrderMark,
    DeepValue,
    EmptyList,
    EmptyPage,
    Fault,
    HtmlPage,
    InvalidUtf8,
    LongNumber,
    MissingRows,
    SetAttribute,
    ShortLaterPages,
    Status,
    WrongTotal,
)
from tracker_server.workspace import Project, Workspace

from ..support.command import Command
from ..support.kill import NORMALIZED, KillPoint, kill_at
from ..support.truth import (
    APPEND_ONLY_TABLES,
    Tables,
    assert_tables_equal,
    comparable,
    served_tables,
)

Serve = Callable[[Workspace], TrackerServer]


def run(command: Command, exit_code: int, *options: str) -> dict[str, Any]:
    """Run the command, check its exit code, and return its summary."""
    result = command("--summary", "summary.json", *options)
    assert result.returncode == exit_code, result.stdout + result.stderr
    return command.summary() | {"stdout": result.stdout, "stderr": result.stderr}


def tables_without_faults(server: TrackerServer) -> Tables:
    """Return the tables of the server, read without its faults."""
    behaviour, server.behaviour = server.behaviour, Behaviour()
    try:
        return served_tables(server)
    finally:
        server.behaviour = behaviour


def without_tables(tables: Tables, *names: str) -> Tables:
    """Remove tables, and those nested in them."""
    return {name: rows for name, rows in tables.items() if name.split("__")[0] not in names}


def assert_loaded(command: Command, expected: Tables, *but: str) -> None:
    """Compare all tables, except for append-only and some other ones."""
    names = (*APPEND_ONLY_TABLES, *but)
    assert_tables_equal(without_tables(command.tables(), *names), without_tables(expected, *names))


def deletions(tables: Tables) -> set[tuple[str, int]]:
    return {(row["kind"], row["id"]) for row in tables["deleted_records"]}


def touch_every_project(workspace: Workspace) -> None:
    for project in workspace.projects:
        workspace.create_story(project, name="Something new")


def kept_lists(summary: dict[str, Any]) -> set[tuple[str, str]]:
    return {(entry["table"], entry["project"]) for entry in summary["kept"]}


@pytest.fixture(params=["feed", "no feed"])
def has_feed(request: pytest.FixtureRequest, server: TrackerServer) -> bool:
    """Whether the server has an activity feed."""
    is_supported: bool = request.param == "feed"
    if not is_supported:
        server.behaviour.unsupported_endpoints = {"activity"}
    return is_supported


@pytest.mark.parametrize("options", [(), ("--full-refresh",)])
def test_refused_and_missing_lists_keep_their_rows(
    loaded: Command, server: TrackerServer, options: tuple[str, ...], has_feed: bool
) -> None:
    workspace = server.workspace
    before = loaded.tables()
    refused, missing, other = workspace.projects
    touch_every_project(workspace)
    server.behaviour.faults = [
        Status(403, endpoints={"labels"}, projects={refused}),
        Status(404, endpoints={"epics"}),
        MissingRows(ids={missing}, endpoints={"projects"}),
    ]
    summary = run(loaded, 3, *options)
    assert [(entry["table"], entry["project_id"]) for entry in summary["skipped"]] == [
        ("labels", refused)
    ]
    assert "epics" in summary["not_offered"]
    tables = loaded.tables()
    for name in ("labels", "epics"):
        assert comparable(tables[name]) == comparable(before[name])
    (project,) = [row for row in tables["projects"] if row["_not_seen_since"]]
    assert project["id"] == missing
    of_missing = [row for row in before["stories"] if row["project_id"] == missing]
    assert [row for row in tables["stories"] if row["project_id"] == missing] == of_missing
    names = [row["name"] for row in tables["stories"] if row["project_id"] == other]
    assert "Something new" in names

    server.behaviour.faults = []
    run(loaded, 0)
    assert_loaded(loaded, tables_without_faults(server))


ACCOUNT_LISTS = {"accounts", "account_memberships", "workspaces"}


def empty_lists_of(project_id: int) -> list[Fault]:
    """Make all lists of a project empty, and all lists of the account."""
    names = ("stories", "epics", "labels", "memberships", "releases", "iterations")
    return [
        EmptyList(endpoints={f"/projects/{{id}}/{name}" for name in names}, projects={project_id}),
        EmptyList(endpoints=ACCOUNT_LISTS),
    ]


def test_empty_lists_keep_their_rows_until_their_deletion_is_accepted(
    loaded: Command, server: TrackerServer, has_feed: bool
) -> None:
    workspace = server.workspace
    emptied, *_ = workspace.projects
    before = loaded.tables()
    touch_every_project(workspace)
    server.behaviour.faults = empty_lists_of(emptied)
    summary = run(loaded, 3)
    filled = {
        name
        for name in ("epics", "labels", "project_memberships", "releases", "iterations")
        if any(row["project_id"] == emptied for row in before[name])
    }
    with_stories = set() if has_feed else {("stories", str(emptied))}
    expected = {(name, str(emptied)) for name in filled} | with_stories
    expected |= {(name, "") for name in ACCOUNT_LISTS}
    assert kept_lists(summary) == expected
    assert all(entry["is_new"] for entry in summary["kept"])
    tables = loaded.tables()
    for name in {"stories", *filled, *ACCOUNT_LISTS}:
        rows = [row for row in before[name] if row.get("project_id") in (None, emptied)]
        kept = {row[next(iter(row))] for row in tables[name]}
        assert {row[next(iter(row))] for row in rows} <= kept, name
    assert deletions(tables) == deletions(before)

    summary = run(loaded, 0)
    assert kept_lists(summary) == expected
    assert not any(entry["is_new"] for entry in summary["kept"])
    since = summary["kept"][0]["since"]
    assert f"Kept since {since}: " in summary["stdout"]

    summary = run(loaded, 0, "--accept-deletions", f"{emptied}/labels", "workspaces")
    assert kept_lists(summary) == expected - {
        ("labels", str(emptied)),
        ("workspaces", ""),
    }
    labels = [row for row in before["labels"] if row["project_id"] == emptied]
    assert summary["accepted_deletions"] == {
        f"{emptied}/labels": len(labels),
        "workspaces": len(before["workspaces"]),
    }
    tables = loaded.tables()
    assert not [row for row in tables["labels"] if row["project_id"] == emptied]
    assert deletions(tables) - deletions(before) == {
        *(("label", row["id"]) for row in labels),
        *(("workspace", row["id"]) for row in before["workspaces"]),
    }

    server.behaviour.faults = []
    touch_every_project(workspace)
    run(loaded, 0)
    assert_loaded(loaded, tables_without_faults(server))


def test_list_that_is_empty_once_is_read_again(
    loaded: Command, server: TrackerServer, has_feed: bool
) -> None:
    touch_every_project(server.workspace)
    lists = ("projects", "accounts", "account_memberships")
    server.behaviour.faults = [EmptyList(times=1, where=lambda r: r.endpoint not in lists)]
    summary = run(loaded, 0)
    assert not summary["kept"]
    assert_loaded(loaded, tables_without_faults(server))


def test_mostly_missing_list_deletes_only_rows_that_activity_deleted(
    loaded: Command, server: TrackerServer
) -> None:
    workspace = server.workspace
    project_id, project = next(iter(workspace.projects.items()))
    for number in range(30):
        workspace.create_label(project_id, f"label {number}")
    run(loaded, 0)
    of_epics = {epic["label_id"] for epic in project.epics.values()}
    deletable = sorted(project.labels.keys() - of_epics)
    for label_id in deletable[:5]:
        workspace.delete_label(label_id)
    server.behaviour.faults = [MissingRows(share=0.8, endpoints={"labels"}, projects={project_id})]
    summary = run(loaded, 3)
    assert kept_lists(summary) == {("labels", str(project_id))}
    filled = {row["id"] for row in loaded.tables()["labels"]}
    assert filled.isdisjoint(deletable[:5])
    assert project.labels.keys() <= filled
    server.behaviour.faults = []
    for label_id in deletable[5:]:
        workspace.delete_label(label_id)
    run(loaded, 0)
    assert_loaded(loaded, tables_without_faults(server))


def test_stories_missing_from_a_batch_are_requested_by_id(
    loaded: Command, server: TrackerServer
) -> None:
    workspace = server.workspace
    edited, deleted, *_ = next(iter(workspace.projects.values())).stories
    workspace.edit_story(edited, name="Edited")
    workspace.delete_stories(deleted)
    server.behaviour.faults = [
        EmptyList(endpoints={"bulk", "/projects/{id}/stories", "/projects/{id}/stories/bulk"})
    ]
    run(loaded, 0, "--resource", "stories")
    server.behaviour.faults = []
    expected = tables_without_faults(server)
    assert comparable(loaded.tables()["stories"]) == comparable(expected["stories"])


@pytest.mark.parametrize("text", ["99", "labels", "99/nothing", "x/labels", "99/accounts"])
def test_invalid_accept_deletions_exits_2(command: Command, text: str) -> None:
    command.api_token = "a" * 32
    command.base_url = "http://127.0.0.1:1/services/v5"
    result = command("--accept-deletions", text)
    assert result.returncode == 2, result.stderr
    assert repr(text) in result.stderr


def assert_rejected(summary: dict[str, Any], project: Project) -> None:
    """Assert that the summary names the invalid records, and only those."""
    stories, labels = list(project.stories), list(project.labels)
    assert summary["tables"]["project_memberships"]["unusable"] == 1
    assert summary["tables"]["stories"]["unusable"] >= 1
    assert summary["rejected"].keys() == {"stories", "labels"}
    assert {str(stories[2]), str(stories[8])} <= summary["rejected"]["stories"].keys()
    assert "is 'abc', which is no key" in summary["rejected"]["stories"][str(stories[8])]
    assert {str(labels[3]), str(labels[4])} <= summary["rejected"]["labels"].keys()
    list_path = f"/{project.record['id']}/labels"
    (path,) = [path for path in summary["unparsable"] if path.endswith(list_path)]
    assert f"record {labels[2]} is not UTF-8" in summary["unparsable"][path]


def invalid_records(project: Project) -> list[Fault]:
    """Make some records of a project invalid, of its first nine stories and its first labels."""
    stories, labels = list(project.stories), list(project.labels)
    values = [
        ("estimate", "2021-03-01T10:00:00+05:45", stories[0]),
        ("estimate", "abc", stories[1]),
        ("transitions.*.project_version", "abc", stories[2]),
        ("id", "abc", stories[3]),
        ("ID", 5, stories[4]),
        ("projectId", 77, stories[5]),
        ("_dlt_load_id", "abc", stories[6]),
        ("id", "abc", next(iter(project.memberships))),
        ("comments.0.id", "abc", stories[8]),
        # of another type than the first value of their list, which makes the column
        ("numbers", [1, 1.1e37], labels[3]),
        ("numbers", [1, "9" * 30], labels[4]),
    ]
    return [
        *(SetAttribute(attribute=a, value=v, record_ids={key}) for a, v, key in values),
        LongNumber(record_ids={stories[7]}),
        DeepValue(attribute="name", depth=900, record_ids={labels[0]}),
        DeepValue(attribute="name", depth=10_000, record_ids={labels[1]}),
        InvalidUtf8(record_ids={labels[2]}),
        ByteOrderMark(endpoints={"epics"}),
        WrongTotal(10**19, endpoints={"iterations"}),
    ]


def test_invalid_records_are_rejected_individually(
    loaded: Command, server: TrackerServer, has_feed: bool
) -> None:
    workspace = server.workspace
    project_id, project = next(iter(workspace.projects.items()))
    stories = list(project.stories)
    commented = stories[8]
    assert project.stories[commented]["comments"]
    for story_id in stories[:9]:
        workspace.edit_story(story_id, name="Edited")
    workspace.create_label(project_id, "fresh")
    workspace.create_story(list(workspace.projects)[1], name="In another project")
    before = loaded.tables()
    server.behaviour.faults = invalid_records(project)
    summary = run(loaded, 3)
    assert_rejected(summary, project)
    tables = loaded.tables()
    for name in ("stories", "labels", "project_memberships"):
        assert {row["id"] for row in before[name]} <= {row["id"] for row in tables[name]}
        assert len({row["id"] for row in tables[name]}) == len(tables[name])
    # a story with a comment that is rejected stays as it was, with its comments
    for name in ("stories__comments", "stories__transitions"):
        kept = [[r for r in t[name] if r["story_id"] == commented] for t in (before, tables)]
        assert comparable(kept[0]) == comparable(kept[1]), name
    names = {row["id"]: row["name"] for row in tables["stories"]}
    assert all(names[stories[place]] == "Edited" for place in (0, 4, 5, 6))
    assert "In another project" in names.values()
    of_project = {row["id"] for row in tables["stories"] if row["project_id"] == project_id}
    assert of_project == set(stories)
    assert deletions(tables) == deletions(before)

    server.behaviour.faults = []
    run(loaded, 0)
    rows = {row["id"]: row for row in loaded.tables()["stories"]}
    assert all(rows[story_id]["name"] == "Edited" for story_id in stories[:9])
    for story in project.stories.values():
        assert rows[story["id"]]["estimate"] == story.get("estimate")


class InvalidDates(Fault):
    """The first day of a daily history has a date that does not exist."""

    changes_data = True

    def change_rows(self, rows: list[Any]) -> list[Any]:
        return [["2021-02-30", *rows[0][1:]], *rows[1:]]


def test_days_with_invalid_dates_are_left_out_and_counted(
    loaded: Command, server: TrackerServer
) -> None:
    touch_every_project(server.workspace)
    before = loaded.tables()["history_days"]
    server.behaviour.faults = [InvalidDates(endpoints={"history_days"})]
    summary = run(loaded, 3)
    assert summary["tables"]["history_days"]["unusable"] == len(server.workspace.projects)
    days = {(row["project_id"], row["date"]) for row in loaded.tables()["history_days"]}
    assert days >= {(row["project_id"], row["date"]) for row in before}

    server.behaviour.faults = []
    run(loaded, 0)
    assert_loaded(loaded, tables_without_faults(server))


@pytest.mark.parametrize("fault", [ShortLaterPages(limit=2), EmptyPage(), EmptyPage(times=None)])
def test_short_and_empty_pages_lose_no_rows(
    loaded: Command, server: TrackerServer, fault: Fault
) -> None:
    workspace = server.workspace
    touch_every_project(workspace)
    before = loaded.tables()
    limits = {"stories": 5, "iterations": 5}
    server.behaviour = Behaviour(max_limits=limits, faults=[replace(fault)])
    if not isinstance(fault, EmptyPage) or fault.times:
        run(loaded, 0, "--full-refresh")
        assert_loaded(loaded, tables_without_faults(server))
        return
    summary = run(loaded, 3, "--full-refresh")
    assert {entry["table"] for entry in summary["incomplete"]} >= {
        "stories",
        "iterations",
    }
    tables = loaded.tables()
    assert {row["id"] for row in before["stories"]} <= {row["id"] for row in tables["stories"]}
    assert len(before["iterations"]) <= len(tables["iterations"])
    summary = run(loaded, 0)
    assert not any(entry["is_new"] for entry in summary["incomplete"])
    server.behaviour = Behaviour()
    touch_every_project(workspace)
    run(loaded, 0, "--full-refresh")
    assert_loaded(loaded, tables_without_faults(server))


def test_failing_endpoint_affects_only_its_own_list(loaded: Command, server: TrackerServer) -> None:
    workspace = server.workspace
    touch_every_project(workspace)
    first, second, third = workspace.projects
    server.behaviour.faults = [
        Status(500, endpoints={"labels"}),
        Status(204, endpoints={"epics"}, projects={first}),
        Status(405, endpoints={"releases"}),
        Status(410, endpoints={"memberships"}, projects={second}),
        HtmlPage(endpoints={"/projects/{id}/stories"}, projects={third}, params={"updated_after"}),
        Status(502, endpoints={"activity"}, projects={third}),
    ]
    summary = run(loaded, 3)
    skipped = {(entry["table"], entry["project_id"]) for entry in summary["skipped"]}
    assert {("labels", project_id) for project_id in workspace.projects} <= skipped
    assert ("epics", first) in skipped
    assert ("project_memberships", second) in skipped
    assert "releases" in summary["not_offered"]
    names = [row["name"] for row in loaded.tables()["stories"]]
    assert names.count("Something new") == 3
    server.behaviour.faults = []
    run(loaded, 0)
    assert_loaded(loaded, tables_without_faults(server))


LOAD_WITHOUT_TRIAL = """
from pivotal_tracker.cli.main import main
from pivotal_tracker.load.trial import Trial
Trial.check = lambda self, rows: None
sys.exit(main(["--no-views", "--resource", "stories"]))
"""


def test_unloadable_package_is_set_aside_and_its_data_read_again(
    loaded: Command, server: TrackerServer
) -> None:
    """Earlier versions of the source could leave such a package."""
    first, second, *_ = next(iter(server.workspace.projects.values())).stories
    values = {first: "2021-03-01T10:00:00+05:45", second: "abc"}
    for story_id in values:
        server.workspace.edit_story(story_id, name="Edited")
    server.behaviour.faults = [
        SetAttribute(attribute="estimate", value=value, record_ids={story_id})
        for story_id, value in values.items()
    ]
    assert loaded.python(LOAD_WITHOUT_TRIAL).returncode == 1
    server.behaviour.faults = []
    summary = run(loaded, 0, "--resource", "stories")
    assert "copied aside" in summary["stdout"]
    folder = summary["set_aside"].split(": ")[0]
    assert list(Path(folder).rglob("stories.*"))
    expected = tables_without_faults(server)
    assert comparable(loaded.tables()["stories"]) == comparable(expected["stories"])
    assert run(loaded, 0, "--resource", "stories")["set_aside"] is None


def test_package_rejected_by_the_database_is_set_aside_and_its_data_read_again(
    loaded: Command, server: TrackerServer
) -> None:
    """A normalized file of the package has texts instead of ids."""
    story_id, *_ = next(iter(server.workspace.projects.values())).stories
    server.workspace.edit_story(story_id, name="Edited")
    kill_at(KillPoint(NORMALIZED, 1), loaded, server, "--no-views", "--resource", "stories")
    packages = loaded.folder / "dlt" / "pipelines" / "pivotal_tracker" / "load" / "normalized"
    (file,) = packages.glob("*/new_jobs/stories.*")
    table = pq.read_table(file)
    place = table.column_names.index("id")
    pq.write_table(table.set_column(place, "id", pa.array(["abc"] * len(table))), file)

    summary = run(loaded, 0, "--resource", "stories")
    assert "copied aside" in summary["stdout"]
    assert "abc" in summary["set_aside"]
    expected = tables_without_faults(server)
    assert comparable(loaded.tables()["stories"]) == comparable(expected["stories"])


def test_labels_of_a_moved_release_are_updated(loaded: Command, server: TrackerServer) -> None:
    workspace = server.workspace
    here, there, _ = workspace.projects
    label = workspace.create_label(here, "of a release")
    release = workspace.create_story(here, name="Release", story_type="release")
    workspace.edit_story(release["id"], label_ids=[label["id"]])
    run(loaded, 0)
    rows = loaded.tables()["releases__labels"]
    assert [row["release_id"] for row in rows] == [release["id"]]
    workspace.move_story_to_project(release["id"], there)
    workspace.edit_story(release["id"], label_ids=[])
    run(loaded, 0)
    assert_loaded(loaded, tables_without_faults(server))
