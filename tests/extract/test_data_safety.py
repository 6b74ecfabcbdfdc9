"""Responses that are wrong cost no rows, no other data, and no later run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

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
from tracker_server.workspace import Workspace

from ..support.command import Command
from ..support.truth import Tables, assert_tables_equal, comparable
from .test_load import truth as served

Serve = Callable[[Workspace], TrackerServer]

ONLY_ADDED_TO = ("activity", "people", "deleted_records")


def run(command: Command, exit_code: int, *options: str) -> dict[str, Any]:
    """Run the command, check its exit code, and return its summary."""
    result = command("--summary", "summary.json", *options)
    assert result.returncode == exit_code, result.stdout + result.stderr
    told: dict[str, Any] = json.loads((command.folder / "summary.json").read_text())
    return told | {"stdout": result.stdout, "stderr": result.stderr}


def truth(server: TrackerServer) -> Tables:
    """What the server has, whatever it may be saying now."""
    behaviour, server.behaviour = server.behaviour, Behaviour()
    try:
        return served(server)
    finally:
        server.behaviour = behaviour


def without(tables: Tables, *names: str) -> Tables:
    """The tables without some, and those nested in them."""
    return {name: rows for name, rows in tables.items() if name.split("__")[0] not in names}


def assert_loaded(command: Command, expected: Tables, *but: str) -> None:
    """Compare whole tables, except for those that never shrink and some others."""
    names = (*ONLY_ADDED_TO, *but)
    assert_tables_equal(without(command.tables(), *names), without(expected, *names))


def deletions(tables: Tables) -> set[tuple[str, int]]:
    return {(row["kind"], row["id"]) for row in tables["deleted_records"]}


def touch_every_project(workspace: Workspace) -> None:
    for project in workspace.projects:
        workspace.create_story(project, name="Something new")


def kept_lists(told: dict[str, Any]) -> set[tuple[str, str]]:
    return {(one["table"], one["project"]) for one in told["kept"]}


@pytest.fixture(params=["feed", "no feed"])
def with_or_without_feed(request: pytest.FixtureRequest, server: TrackerServer) -> bool:
    """A server with an activity feed, and one without."""
    has_feed: bool = request.param == "feed"
    if not has_feed:
        server.behaviour.unsupported_endpoints = {"activity"}
    return has_feed


@pytest.mark.parametrize("options", [(), ("--full-refresh",)])
def test_refused_and_missing_lists_keep_their_rows(
    loaded: Command, server: TrackerServer, options: tuple[str, ...], with_or_without_feed: bool
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
    told = run(loaded, 3, *options)
    assert [(one["table"], one["project_id"]) for one in told["skipped"]] == [("labels", refused)]
    assert "epics" in told["not_offered"]
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
    assert_loaded(loaded, truth(server))


ACCOUNT_LISTS = {"accounts", "account_memberships", "workspaces"}


def test_empty_lists_keep_their_rows_until_their_deletion_is_accepted(
    loaded: Command, server: TrackerServer, with_or_without_feed: bool
) -> None:
    """Of one project every list is empty, of all the lists of the account."""
    workspace = server.workspace
    emptied, *_ = workspace.projects
    lists = {"stories", "epics", "labels", "memberships", "releases", "iterations"}
    before = loaded.tables()
    touch_every_project(workspace)
    faults: list[Fault] = [
        *(EmptyList(endpoints={f"/projects/{{id}}/{name}"}, projects={emptied}) for name in lists),
        EmptyList(endpoints=ACCOUNT_LISTS),
    ]
    server.behaviour.faults = faults
    told = run(loaded, 3)
    held = {
        name
        for name in ("epics", "labels", "project_memberships", "releases", "iterations")
        if any(row["project_id"] == emptied for row in before[name])
    }
    with_stories = set() if with_or_without_feed else {("stories", str(emptied))}
    expected = {(name, str(emptied)) for name in held} | with_stories
    expected |= {(name, "") for name in ACCOUNT_LISTS}
    assert kept_lists(told) == expected
    assert all(one["is_new"] for one in told["kept"])
    tables = loaded.tables()
    for name in {"stories", *held, *ACCOUNT_LISTS}:
        rows = [row for row in before[name] if row.get("project_id") in (None, emptied)]
        kept = {row[next(iter(row))] for row in tables[name]}
        assert {row[next(iter(row))] for row in rows} <= kept, name
    assert deletions(tables) == deletions(before)

    told = run(loaded, 0)
    assert kept_lists(told) == expected
    assert not any(one["is_new"] for one in told["kept"])
    since = told["kept"][0]["since"]
    assert f"Kept since {since}: " in told["stdout"]

    told = run(loaded, 0, "--accept-deletions", f"{emptied}/labels", "workspaces")
    assert kept_lists(told) == expected - {
        ("labels", str(emptied)),
        ("workspaces", ""),
    }
    labels = [row for row in before["labels"] if row["project_id"] == emptied]
    assert told["accepted_deletions"] == {
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
    assert_loaded(loaded, truth(server))


def test_a_list_that_is_empty_once_is_read_again(
    loaded: Command, server: TrackerServer, with_or_without_feed: bool
) -> None:
    touch_every_project(server.workspace)
    lists = ("projects", "accounts", "account_memberships")
    server.behaviour.faults = [EmptyList(times=1, where=lambda r: r.endpoint not in lists)]
    told = run(loaded, 0)
    assert not told["kept"]
    assert_loaded(loaded, truth(server))


def test_most_rows_missing_are_kept_but_what_activity_explains_is_deleted(
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
    told = run(loaded, 3)
    assert kept_lists(told) == {("labels", str(project_id))}
    held = {row["id"] for row in loaded.tables()["labels"]}
    assert held.isdisjoint(deletable[:5])
    assert project.labels.keys() <= held
    server.behaviour.faults = []
    for label_id in deletable[5:]:
        workspace.delete_label(label_id)
    run(loaded, 0)
    assert_loaded(loaded, truth(server))


def test_stories_missing_from_a_batch_are_asked_for_one_by_one(
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
    expected = truth(server)
    assert comparable(loaded.tables()["stories"]) == comparable(expected["stories"])


@pytest.mark.parametrize("text", ["99", "labels", "99/nothing", "x/labels", "99/accounts"])
def test_a_list_that_cannot_be_accepted_is_named(command: Command, text: str) -> None:
    command.api_token = "a" * 32
    command.base_url = "http://127.0.0.1:1/services/v5"
    result = command("--accept-deletions", text)
    assert result.returncode == 2, result.stderr
    assert repr(text) in result.stderr


def test_records_that_no_column_takes_are_rejected_one_by_one(
    loaded: Command, server: TrackerServer, with_or_without_feed: bool
) -> None:
    workspace = server.workspace
    project_id, project = next(iter(workspace.projects.items()))
    stories, labels = list(project.stories), list(project.labels)
    (member, *_), other = project.memberships, list(workspace.projects)[1]
    for story_id in stories[:8]:
        workspace.edit_story(story_id, name="Edited")
    workspace.create_label(project_id, "fresh")
    workspace.create_story(other, name="Elsewhere")
    before = loaded.tables()
    faults = [
        ("estimate", "2021-03-01T10:00:00+05:45", stories[0]),
        ("estimate", "abc", stories[1]),
        ("transitions.*.project_version", "abc", stories[2]),
        ("id", "abc", stories[3]),
        ("ID", 5, stories[4]),
        ("projectId", 77, stories[5]),
        ("_dlt_load_id", "abc", stories[6]),
        ("id", "abc", member),
    ]
    server.behaviour.faults = [
        *(SetAttribute(attribute=a, value=v, record_ids={one}) for a, v, one in faults),
        LongNumber(record_ids={stories[7]}),
        DeepValue(attribute="name", depth=900, record_ids={labels[0]}),
        DeepValue(attribute="name", depth=10_000, record_ids={labels[1]}),
        InvalidUtf8(record_ids={labels[2]}),
        ByteOrderMark(endpoints={"epics"}),
        WrongTotal(10**19, endpoints={"iterations"}),
    ]
    told = run(loaded, 3)
    assert told["tables"]["project_memberships"]["unusable"] == 1
    assert told["tables"]["stories"]["unusable"] >= 1
    assert told["rejected"].keys() == {"stories", "labels"}
    tables = loaded.tables()
    for name in ("stories", "labels", "project_memberships"):
        assert {row["id"] for row in before[name]} <= {row["id"] for row in tables[name]}
        assert len({row["id"] for row in tables[name]}) == len(tables[name])
    names = {row["id"]: row["name"] for row in tables["stories"]}
    assert all(names[stories[place]] == "Edited" for place in (0, 2, 4, 5, 6))
    assert "Elsewhere" in names.values()
    of_project = {row["id"] for row in tables["stories"] if row["project_id"] == project_id}
    assert of_project == set(stories)
    assert deletions(tables) == deletions(before)

    server.behaviour.faults = []
    run(loaded, 0)
    rows = {row["id"]: row for row in loaded.tables()["stories"]}
    assert all(rows[one]["name"] == "Edited" for one in stories[:8])
    assert all(
        rows[one["id"]]["estimate"] == one.get("estimate") for one in project.stories.values()
    )


@pytest.mark.parametrize("fault", [ShortLaterPages(limit=2), EmptyPage(), EmptyPage(times=None)])
def test_pages_that_are_shorter_than_the_first_lose_nothing(
    loaded: Command, server: TrackerServer, fault: Fault
) -> None:
    workspace = server.workspace
    touch_every_project(workspace)
    before = loaded.tables()
    limits = {"stories": 5, "iterations": 5}
    server.behaviour = Behaviour(max_limits=limits, faults=[replace(fault)])
    if not isinstance(fault, EmptyPage) or fault.times:
        run(loaded, 0, "--full-refresh")
        assert_loaded(loaded, truth(server))
        return
    told = run(loaded, 3, "--full-refresh")
    assert {one["table"] for one in told["incomplete"]} >= {"stories", "iterations"}
    tables = loaded.tables()
    assert {row["id"] for row in before["stories"]} <= {row["id"] for row in tables["stories"]}
    assert len(before["iterations"]) <= len(tables["iterations"])
    told = run(loaded, 0)
    assert not any(one["is_new"] for one in told["incomplete"])
    server.behaviour = Behaviour()
    touch_every_project(workspace)
    run(loaded, 0, "--full-refresh")
    assert_loaded(loaded, truth(server))


def test_an_endpoint_that_fails_costs_only_itself(loaded: Command, server: TrackerServer) -> None:
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
    told = run(loaded, 3)
    skipped = {(one["table"], one["project_id"]) for one in told["skipped"]}
    assert {("labels", one) for one in workspace.projects} <= skipped
    assert ("epics", first) in skipped
    assert ("project_memberships", second) in skipped
    assert "releases" in told["not_offered"]
    names = [row["name"] for row in loaded.tables()["stories"]]
    assert names.count("Something new") == 3
    server.behaviour.faults = []
    run(loaded, 0)
    assert_loaded(loaded, truth(server))


PACKAGE_THAT_CANNOT_BE_LOADED = """
from pivotal_tracker.cli.main import main
from pivotal_tracker.trial import Trial
Trial.check = lambda self, rows: None
sys.exit(main(["--no-views", "--resource", "stories"]))
"""


def test_a_package_that_can_never_be_loaded_is_set_aside_and_read_again(
    loaded: Command, server: TrackerServer
) -> None:
    """Such a package is what an earlier version of the source has left."""
    first, second, *_ = next(iter(server.workspace.projects.values())).stories
    values = {first: "2021-03-01T10:00:00+05:45", second: "abc"}
    for story_id in values:
        server.workspace.edit_story(story_id, name="Edited")
    server.behaviour.faults = [
        SetAttribute(attribute="estimate", value=value, record_ids={story_id})
        for story_id, value in values.items()
    ]
    assert loaded.python(PACKAGE_THAT_CANNOT_BE_LOADED).returncode == 1
    server.behaviour.faults = []
    told = run(loaded, 0, "--resource", "stories")
    assert "copied aside" in told["stdout"]
    folder = told["set_aside"].split(": ")[0]
    assert list(Path(folder).rglob("stories.*"))
    expected = truth(server)
    assert comparable(loaded.tables()["stories"]) == comparable(expected["stories"])
    assert run(loaded, 0, "--resource", "stories")["set_aside"] is None


def test_labels_of_a_release_go_with_it_to_another_project(
    loaded: Command, server: TrackerServer
) -> None:
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
    assert_loaded(loaded, truth(server))
