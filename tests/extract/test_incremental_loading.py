"""Incremental loading: after any change, the tables equal those of a fresh load."""

from __future__ import annotations

import itertools
import os
import random
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import dlt
import pytest
from hypothesis import HealthCheck, Phase, settings

from pivotal_tracker.load.destination_rows import DestinationReader
from tracker_server import Behaviour, TrackerServer, litetracker
from tracker_server.errors import ApiError
from tracker_server.sample import generate_workspace
from tracker_server.workspace import Workspace

from ..support.changes import RandomChanges
from ..support.mirror import Mirror, copied_mirror, make_workspace
from ..support.truth import (
    assert_tables_equal,
    comparable,
    of_project,
)


@pytest.fixture
def small_workspace() -> Workspace:
    """The workspace that `first_load` has loaded."""
    return make_workspace()


@pytest.fixture
def small_project() -> Workspace:
    """A workspace with one project."""
    return generate_workspace(projects=1, stories=20, activity=60, seed=7)


@pytest.fixture(scope="module")
def first_load(tmp_path_factory: pytest.TempPathFactory) -> Mirror:
    """Load the small workspace once, for all tests of later runs."""
    workspace = make_workspace()
    with TrackerServer(workspace) as server:
        mirror = Mirror(workspace, tmp_path_factory.mktemp("first_load"), server)
        mirror.load()
        assert {request.status for request in server.requests} == {200}
        mirror.assert_exact()
        mirror.close()
    return mirror


@pytest.fixture
def mirror(tmp_path: Path, small_workspace: Workspace, first_load: Mirror) -> Iterator[Mirror]:
    """The small workspace after its first load."""
    with copied_mirror(first_load, small_workspace, tmp_path) as mirror:
        yield mirror


def some_story(mirror: Mirror, index: int = 0) -> dict[str, Any]:
    project = next(iter(mirror.workspace.projects.values()))
    return list(project.stories.values())[index]


def test_unchanged_workspace_requests_only_account_lists_and_writes_nothing(mirror: Mirror) -> None:
    before = mirror.tables()
    metrics = mirror.load()
    paths = sorted(request.path.removeprefix("/services/v5") for request in mirror.server.requests)
    accounts = [f"/accounts/{account_id}/memberships" for account_id in mirror.workspace.accounts]
    assert paths == sorted(["/projects", "/accounts", *accounts, "/my/workspaces"])
    assert not sum(sum(values.get("written", {}).values()) for values in metrics.values())
    assert {name: comparable(rows) for name, rows in mirror.tables().items()} == {
        name: comparable(rows) for name, rows in before.items()
    }


@dataclass
class Edit:
    """A run after a story of an iteration that is not done was edited."""

    mirror: Mirror
    story_id: int
    metrics: dict[str, dict[str, Any]]
    written: set[str]


@pytest.fixture(scope="module")
def edit(first_load: Mirror, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edit]:
    """Load one edit, for all tests of it, which change nothing."""
    with copied_mirror(first_load, make_workspace(), tmp_path_factory.mktemp("edit")) as mirror:
        project = next(iter(mirror.workspace.projects.values()))
        story = [s for s in project.stories.values() if s["current_state"] == "unstarted"][-1]
        mirror.workspace.edit_story(story["id"], name="Another name")
        metrics = mirror.load()
        written = dlt.pipeline().last_trace.last_normalize_info.row_counts
        yield Edit(mirror, story["id"], metrics, set(written))


def test_edited_story_writes_one_row(edit: Edit) -> None:
    rows = edit.metrics["stories"]["rows"]
    assert (rows["new"], rows["changed"], rows["deleted"]) == (0, 1, 0)
    assert edit.metrics["stories"]["unchanged"] == 2
    (request,) = [r for r in edit.mirror.server.requests if r.path.endswith("/iterations")]
    project = next(iter(edit.mirror.workspace.projects.values()))
    done = project.record["current_iteration_number"] - 1
    assert int(request.query["offset"]) == done, "done iterations are read again"
    edit.mirror.assert_exact()


def test_edit_writes_only_tables_with_rows_of_the_story(edit: Edit) -> None:
    tables = edit.mirror.tables()
    nested = {name: rows for name, rows in tables.items() if name.startswith("stories__")}
    filled = {n for n, rows in nested.items() if any(r["story_id"] == edit.story_id for r in rows)}
    assert nested.keys() & edit.written == filled
    assert nested.keys() - filled


def test_merge_conditions_have_no_or(edit: Edit) -> None:
    """Databases would compare each row with all others."""
    merges = [path.read_text() for path in edit.mirror.folder.rglob("stories*.sql")]
    assert len(merges) > 3
    assert not [
        statement for statement in merges if " OR " in statement.partition("INSERT INTO")[0]
    ]


@pytest.fixture
def queries(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count the queries of each table, of which BigQuery takes a second for each."""
    counts: Counter[str] = Counter()
    original = DestinationReader._rows

    def count(self: DestinationReader, table: str, *rest: Any) -> list[tuple[Any, ...]]:
        counts[table] += 1
        return original(self, table, *rest)

    monkeypatch.setattr(DestinationReader, "_rows", count)
    return counts


def assert_queried_at_most_twice(queries: Counter[str], *tables: str) -> None:
    """Assert that there was not one query for each of the three projects."""
    numbers = {name: queries[name] for name in tables}
    assert all(1 <= number <= 2 for number in numbers.values()), numbers


def test_different_changes_in_each_project_are_loaded(
    mirror: Mirror, queries: Counter[str]
) -> None:
    """Each project has its own changes in each run, so that none is found because of another one.

    Some changes are loaded before, by runs of selected resources.
    """
    workspace = mirror.workspace
    with_children, with_labels, with_many_deletions = workspace.projects.values()
    first, second, third = workspace.projects
    deleted = list(with_many_deletions.stories)[3:]
    story_id, unselected, *_, returns, stays = with_children.stories
    workspace.move_story_to_project(returns, third)
    workspace.edit_story(unselected, name="Edited")
    # a moved story is kept if only its new project is read
    mirror.load("stories", "activity", project_ids=[third])
    # selections of resources leave no gaps in others
    mirror.load("activity", project_ids=[first])
    mirror.load("labels", full_refresh=True, project_ids=[third])

    edited, deleted_comment = (
        workspace.add_comment(text, story_id=story_id) for text in ("Once", "Deleted")
    )
    task = workspace.add_task(story_id, "Do it")
    resolved, deleted_blocker = (
        workspace.add_blocker(story_id, text) for text in ("No", "Deleted")
    )
    label_id = next(s["label_ids"][0] for s in with_labels.stories.values() if s["label_ids"])
    workspace.rename_label(label_id, "under another name")
    workspace.create_label(second, "fresh")
    workspace.delete_stories(*deleted)
    queries.clear()
    metrics = mirror.load()
    assert_queried_at_most_twice(queries, "labels", "epics", "activity")
    assert metrics["stories"]["rows"]["deleted"] == len(deleted) == 17
    logged = {r["id"]: r for r in mirror.tables()["deleted_records"] if r["kind"] == "story"}
    assert all(logged[key]["deleted_by_id"] and logged[key]["deleted_at"] for key in deleted)
    mirror.assert_exact()

    workspace.edit_comment(edited["id"], "Twice")
    workspace.delete_comment(deleted_comment["id"])
    workspace.delete_task(task["id"])
    workspace.edit_blocker(resolved["id"], resolved=True)
    workspace.delete_blocker(deleted_blocker["id"])
    # activity no longer goes back to the last run
    deleted_story, _, _, edited_story, *_ = with_labels.stories
    workspace.delete_stories(deleted_story)
    workspace.edit_story(edited_story, name="Edited")
    workspace.forget_activity(second, keep=1)
    # accepted stories are in a done iteration
    accepted = next(iter(with_many_deletions.stories.values()))
    assert accepted["current_state"] == "accepted"
    workspace.delete_stories(accepted["id"])
    workspace.move_story_to_project(returns, first)
    workspace.move_story_to_project(stays, third)
    mirror.load()
    mirror.assert_exact()
    logged = {(r["id"], r["project_id"]): r for r in mirror.tables()["deleted_records"]}
    for move in ((returns, first), (returns, third), (stays, first)):
        assert logged[move]["change"] == "moved"


def test_project_is_added_vanishes_and_returns(mirror: Mirror) -> None:
    workspace = mirror.workspace
    added = workspace.create_project(name="New").record["id"]
    workspace.create_story(added, name="First")
    selected = ("projects", "stories", "activity")
    mirror.load(*selected)
    mirror.assert_exact(*selected)

    vanished = workspace.projects.pop(added)
    assert mirror.load(*selected)["projects"]["vanished"] == [added]
    mirror.assert_exact(*selected)
    tables = mirror.tables()
    (row,) = [row for row in tables["projects"] if row["id"] == added]
    since = row["_not_seen_since"]
    assert since is not None
    assert row["name"] == "New"
    assert [r["name"] for r in tables["stories"] if r["project_id"] == added] == ["First"]

    mirror.load("projects")
    (row,) = [row for row in mirror.tables()["projects"] if row["id"] == added]
    assert row["_not_seen_since"] == since

    workspace.projects[added] = vanished
    mirror.load(*selected)
    mirror.assert_exact(*selected)


def test_iterations_and_history_are_read_again_on_a_new_day(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror.workspace.now += timedelta(days=15)
    monkeypatch.setattr("pivotal_tracker.extract.daily_lists.local_date", lambda _: "a later day")
    # with the resource of projects, which users may select
    project_id = next(iter(mirror.workspace.projects))
    mirror.load("project_list", "stories", "iterations", "history_days", project_ids=[project_id])
    requested = {r.path.rsplit("/", 1)[-1] for r in mirror.server.requests}
    assert {"iterations", "days"} <= requested
    assert "stories" not in requested
    loaded, truth = of_project(mirror.tables(), project_id), of_project(mirror.truth(), project_id)
    for name in ("iterations", "iterations__story_ids", "history_days"):
        assert comparable(loaded[name]) == comparable(truth[name])


def test_selections_loaded_into_a_deleted_database_are_complete(mirror: Mirror) -> None:
    """The database is empty, but dlt's state remembers earlier loads."""
    mirror.database.unlink()
    mirror.load("labels", project_ids=[next(iter(mirror.workspace.projects))])
    mirror.load("people")
    mirror.load("labels", "epics", "project_memberships")
    tables, truth = mirror.tables(), mirror.truth()
    for name in ("labels", "epics", "epics__comments", "project_memberships"):
        assert comparable(tables[name]) == comparable(truth[name])
    members = {row["person__id"] for row in truth["project_memberships"]}
    assert members <= {row["id"] for row in tables["people"]}


def test_tables_dropped_by_refresh_are_loaded_again(mirror: Mirror) -> None:
    """Tables that several resources fill keep the rows of the others."""
    mirror.workspace.delete_stories(some_story(mirror)["id"])
    mirror.load()
    mirror.load("stories", "labels", refresh="drop_resources")
    mirror.assert_exact()
    mirror.load("epics", "stories", refresh="drop_data")
    mirror.assert_exact()
    mirror.load(refresh="drop_sources")
    mirror.assert_exact()


def test_state_stays_small(first_load: Mirror) -> None:
    pipeline = dlt.attach("pivotal_tracker", pipelines_dir=str(first_load.folder / "pipelines"))
    states = pipeline.state["sources"]["pivotal_tracker"]["resources"]
    for project_id in first_load.workspace.projects:
        kept = [state["projects"].get(str(project_id)) for state in states.values()]
        assert 0 < len(str(kept)) < 1_000


def test_two_datasets_of_one_pipeline_are_both_up_to_date(mirror: Mirror) -> None:
    """The pipeline has the state of only one of them.

    Each change is in a project that does not change again.
    """
    other = replace(mirror, dataset="other")
    projects = mirror.workspace.projects.values()
    for target, project in zip((other, mirror, other), projects, strict=True):
        mirror.workspace.rename_label(next(iter(project.labels)), f"before {target.dataset}")
        target.load("labels")
        names = sorted(label["name"] for p in projects for label in p.labels.values())
        assert sorted(row["name"] for row in target.tables()["labels"]) == names


CHANGED = ("stories", "activity", "iterations", "labels")
"""Resources that change with stories, and are read in different ways."""


def change_each_project(workspace: Workspace, *, unnoticed: bool = False) -> None:
    """Edit a story of each project, delete one, and move one to the next project."""
    projects = list(workspace.projects.values())
    for project, following in zip(projects, [*projects[1:], projects[0]], strict=True):
        stories = list(project.stories)
        workspace.edit_story(stories[0], name="Edited", unnoticed=unnoticed)
        workspace.delete_stories(stories[4])
        workspace.move_story_to_project(stories[8], following.record["id"])


def test_changes_are_loaded_without_project_versions(mirror: Mirror, queries: Counter[str]) -> None:
    mirror.server.behaviour.has_project_versions = False
    change_each_project(mirror.workspace, unnoticed=True)
    mirror.load(*CHANGED)
    assert_queried_at_most_twice(queries, "labels", "activity")
    mirror.assert_exact(*CHANGED)


def test_changes_are_loaded_without_since_version_updated_after_or_bulk(mirror: Mirror) -> None:
    """The server lacks one of them for each project."""
    behaviour = mirror.server.behaviour
    places = {f"/projects/{project_id}/": project_id for project_id in mirror.workspace.projects}
    lacks = dict(zip(places, ({"since_version"}, {"updated_after"}, set[str]()), strict=True))
    missing = dict(zip(places, (set[str](), set[str](), {"bulk"}), strict=True))

    def lack_by_project(path: str, _: dict[str, str]) -> None:
        place = next((one for one in places if one in path), "")
        behaviour.unsupported_params, behaviour.unsupported_endpoints = (
            lacks.get(place, set()),
            missing.get(place, set()),
        )

    mirror.server.before_request = lack_by_project
    for _ in range(2):
        change_each_project(mirror.workspace)
        mirror.load("stories", "activity")
        mirror.assert_exact("stories", "activity")
    refused = {r.path.split("/")[4] for r in mirror.server.requests if r.status in (400, 404)}
    assert refused == set(map(str, mirror.workspace.projects))


def test_unreadable_stories_are_not_deleted(mirror: Mirror) -> None:
    """Single stories are forbidden, not supported, or in a project that becomes forbidden."""
    workspace, behaviour = mirror.workspace, mirror.server.behaviour
    with_forbidden, with_unsupported, becoming_forbidden = workspace.projects
    before = mirror.tables()["stories"]
    for project_id in (with_forbidden, with_unsupported):
        workspace.add_blocker(next(iter(workspace.projects[project_id].stories)), "In the way")
    deleted, edited, *_ = workspace.projects[becoming_forbidden].stories
    workspace.delete_stories(deleted)
    workspace.forget_activity(becoming_forbidden, keep=0)
    behaviour.max_limits = {"stories": 5}
    pages = itertools.count()

    def restrict(path: str, query: dict[str, str]) -> None:
        is_single = "/stories/" in path
        is_forbidding = f"/projects/{with_forbidden}/" in path
        closed = {"bulk", "stories"} if is_single else set()
        behaviour.forbidden_endpoints = closed - open_again if is_forbidding else set()
        behaviour.unsupported_endpoints = set() if is_forbidding else closed
        if path.endswith(f"/{becoming_forbidden}/stories") and not open_again:
            if query.get("fields") == "id":
                behaviour.forbidden_projects = {becoming_forbidden}
            elif next(pages) == 2:
                workspace.edit_story(edited, name="Meanwhile")

    open_again: set[str] = set()
    mirror.server.before_request = restrict
    metrics = mirror.load("stories", "activity")
    assert sorted(metrics["stories"]["skipped"]) == sorted(map(str, workspace.projects))
    assert comparable(mirror.tables()["stories"]) == comparable(before)

    # stories are requested singly if batches are refused
    open_again = {"stories"}
    behaviour.forbidden_projects = set()
    for project_id in (with_forbidden, with_unsupported):
        workspace.delete_stories(list(workspace.projects[project_id].stories)[4])
    metrics = mirror.load("stories", "activity")
    assert "skipped" not in metrics["stories"]
    mirror.assert_exact("stories", "activity")


def test_invalid_updated_at_does_not_block_later_runs(mirror: Mirror) -> None:
    mirror.server.behaviour.unsupported_params = {"updated_after"}
    projects = list(mirror.workspace.projects.values())
    for project, written in zip(projects, ("yesterday", "2999-13-45T00:00:00Z"), strict=False):
        odd, edited, _, *_ = project.stories.values()
        odd["updated_at"] = written
        mirror.workspace.edit_story(edited["id"], name=f"Edited beside {written}")
    names = {"Edited beside yesterday", "Edited beside 2999-13-45T00:00:00Z"}
    for name in ("Once", "Twice"):
        again = [list(project.stories)[2] for project in projects[:2]]
        for story_id in again:
            mirror.workspace.edit_story(story_id, name=name)
        mirror.load("stories")
        loaded = {row["id"]: row["name"] for row in mirror.tables()["stories"]}
        assert names <= set(loaded.values())
        assert [loaded[story_id] for story_id in again] == [name, name]


@pytest.fixture(scope="module")
def as_litetracker(
    first_load: Mirror, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mirror]:
    """Load the small workspace again, from a server that now behaves like LiteTracker."""
    folder = tmp_path_factory.mktemp("litetracker")
    with copied_mirror(first_load, make_workspace(), folder) as mirror:
        mirror.server.behaviour = litetracker()
        mirror.load("stories", "labels")
        yield mirror


def test_changes_in_litetracker_are_loaded(as_litetracker: Mirror, queries: Counter[str]) -> None:
    mirror, workspace = as_litetracker, as_litetracker.workspace
    comments = mirror.tables()["stories__comments"]
    before = {row["id"]: row["text"] for row in comments}
    (edited, edited_in), (removed, removed_from), *_ = {
        row["story_id"]: (row["id"], row["story_id"]) for row in comments
    }.values()
    others = (s for p in workspace.projects.values() for s in p.stories)
    given, deleted, commented, *_ = (s for s in others if s not in (edited_in, removed_from))
    person = workspace.me["id"]
    workspace.edit_story(given, owner_ids=[person], unnoticed=True)
    workspace.delete_stories(deleted)
    workspace.edit_comment(edited, text="Another")
    workspace.delete_comment(removed)
    new = workspace.add_comment("New", story_id=commented)
    metrics = mirror.load("stories", "labels")
    assert metrics["stories"]["rows"]["changed"] == 4
    assert metrics["stories"]["rows"]["deleted"] == 1
    tables = mirror.tables()
    stories = {row["id"] for row in tables["stories"]}
    assert stories == {s for p in workspace.projects.values() for s in p.stories}
    owners = [r["value"] for r in tables["stories__owner_ids"] if r["story_id"] == given]
    assert owners == [person]
    assert deleted not in {row["story_id"] for row in tables["stories__labels"]}
    of_deleted = {row["id"] for row in comments if row["story_id"] == deleted}
    assert {row["id"]: row["text"] for row in tables["stories__comments"]} == {
        **{one: text for one, text in before.items() if one not in {removed} | of_deleted},
        edited: "Another",
        new["id"]: "New",
    }
    queries.clear()
    metrics = mirror.load("stories", "labels")
    assert_queried_at_most_twice(queries, "stories")
    assert not sum(sum(values.get("written", {}).values()) for values in metrics.values())


def count_comment_requests(mirror: Mirror) -> int:
    """Count the requests of the last run for comments of one story."""
    return sum(request.path.endswith("/comments") for request in mirror.server.requests)


def assert_stories_exact(mirror: Mirror, *, except_ids: Collection[int] = ()) -> None:
    """Compare stories and their nested tables with the server in its default behaviour."""
    behaviour, mirror.server.behaviour = mirror.server.behaviour, Behaviour()
    tables, expected = mirror.tables(), mirror.truth()
    mirror.server.behaviour = behaviour
    loaded, truth = (
        {
            name: [row for row in rows if row.get("story_id", row.get("id")) not in except_ids]
            for name, rows in all_tables.items()
            if name.startswith("stories")
        }
        for all_tables in (tables, expected)
    )
    assert_tables_equal(loaded, truth)


def test_comments_are_requested_per_story_if_they_are_not_nested(
    tmp_path: Path, small_project: Workspace
) -> None:
    """One story is deleted before its comments are read."""
    deleted_meanwhile: list[int] = []

    def delete_one(path: str, _: dict[str, str]) -> None:
        if path.endswith("/comments") and not deleted_meanwhile:
            deleted_meanwhile.append(int(path.split("/")[-2]))
            small_project.delete_stories(*deleted_meanwhile)

    with TrackerServer(small_project) as server:
        server.behaviour = Behaviour(unsupported_fields={"comments"})
        server.before_request = delete_one
        mirror = Mirror(small_project, tmp_path, server)
        (project,) = small_project.projects.values()
        stories = len(project.stories)
        metrics = mirror.load("stories")
        assert count_comment_requests(mirror) == stories
        assert "comments" not in metrics["stories"].get("not_given", ())
        assert deleted_meanwhile
        assert_stories_exact(mirror, except_ids=deleted_meanwhile)

        commented, edited, deleted, *_ = project.stories
        small_project.add_comment("Another", story_id=commented)
        small_project.edit_story(edited, name="Edited")
        small_project.delete_stories(deleted)
        small_project.create_story(project.record["id"], name="New")
        mirror.load("stories")
        assert count_comment_requests(mirror) < 10
        assert_stories_exact(mirror)


def test_unavailable_comments_are_soon_no_longer_requested(
    as_litetracker: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = as_litetracker
    for oddity in ("unsupported", "forbidden", "unsupported, as a story might be"):
        if oddity.endswith("might be"):
            answer = "tracker_server.handlers.route_not_found"
            monkeypatch.setattr(answer, lambda: ApiError(404, "", "Not Found"))
        mirror.server.behaviour = replace(
            litetracker(), **{f"{oddity.split(',')[0]}_endpoints": {"comments"}}
        )
        metrics = mirror.load("stories", full_refresh=True)
        assert 0 < count_comment_requests(mirror) < len(mirror.tables()["stories"]) / 2, oddity
        assert "comments" in metrics["stories"]["not_given"], oddity
    mirror.server.behaviour = litetracker()
    mirror.load("stories", comments_one_by_one=False, full_refresh=True)
    assert not count_comment_requests(mirror)


@pytest.fixture(scope="module")
def reordered_stories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirror]:
    """Load a large project and two small ones while stories of the large one are reordered.

    Of its 120 stories 40 are edited and moved, which shifts the following pages.
    """
    workspace = generate_workspace(projects=3, stories=120, activity=10, seed=5)
    large, *small = workspace.projects.values()
    for project in small:
        workspace.delete_stories(*list(project.stories)[:-20])
    rng = random.Random(5)
    moved = iter(range(40))

    def move_some(path: str, query: dict[str, str]) -> None:
        if not path.endswith(f"/{large.record['id']}/stories") or query.get("fields") == "id":
            return
        for number in itertools.islice(moved, 2):
            story, other = rng.sample(list(large.stories), 2)
            workspace.edit_story(story, name=f"Moved {number}")
            workspace.reorder_stories(story, before_id=other)

    with TrackerServer(workspace) as server:
        server.behaviour.max_limits = {"stories": 6}
        server.before_request = move_some
        mirror = Mirror(workspace, tmp_path_factory.mktemp("reordered_stories"), server)
        mirror.load("stories")
        assert next(moved, None) is None
        server.before_request = None
        yield mirror


def test_stories_reordered_while_being_read_are_all_loaded(reordered_stories: Mirror) -> None:
    served = {
        story_id: story["name"]
        for project in reordered_stories.workspace.projects.values()
        for story_id, story in project.stories.items()
    }
    ids = [row["id"] for row in reordered_stories.tables()["stories"]]
    assert len(ids) == len(served)
    assert set(ids) == set(served)
    reordered_stories.load("stories")
    assert {row["id"]: row["name"] for row in reordered_stories.tables()["stories"]} == served


def test_cost_of_an_edit_does_not_depend_on_the_number_of_stories(
    reordered_stories: Mirror, queries: Counter[str]
) -> None:
    workspace = reordered_stories.workspace
    # stories updated shortly before the last run are read again
    workspace.now += timedelta(days=1)
    for project in workspace.projects.values():
        workspace.edit_story(next(iter(project.stories)), name="Edited")
    reordered_stories.load("stories")
    assert_queried_at_most_twice(queries, "stories")
    costs = []
    large, small, _ = workspace.projects.values()
    for project in (large, small):
        assert (len(project.stories) > 100) == (project is large)
        story = next(s for s in project.stories.values() if s["current_state"] == "unstarted")
        workspace.edit_story(story["id"], description="Edited")
        metrics = reordered_stories.load("stories")
        requests = len(reordered_stories.server.requests)
        costs.append((requests, metrics["stories"]["written"]["stories"]))
    assert costs[0] == costs[1]
    assert costs[0][1] == 1


def test_forbidden_account_does_not_block_other_accounts(mirror: Mirror) -> None:
    workspace, behaviour = mirror.workspace, mirror.server.behaviour
    (account,) = workspace.accounts.values()
    member = next(iter(workspace.account_memberships.values()))
    workspace.account_memberships[78] = member | {"id": 78}
    workspace.create_project(name="Yet another")
    expected = mirror.truth()["account_memberships"]
    other = account | {"id": 77, "name": "Somebody else's"}

    def forbid_one(path: str, _: dict[str, str]) -> None:
        behaviour.forbidden_endpoints = {"account_memberships"} if path.endswith(closed) else set()

    mirror.server.before_request = forbid_one
    for closed in ("/accounts/77/memberships", f"/accounts/{account['id']}/memberships"):
        workspace.accounts[77] = other
        workspace.create_project(name="Another")
        metrics = mirror.load("accounts", "account_memberships")
        assert closed in metrics["account_memberships"]["not_permitted"]
        loaded = mirror.tables()
        assert {row["name"] for row in loaded["accounts"]} == {account["name"], other["name"]}
        assert comparable(loaded["account_memberships"]) == comparable(expected)
    workspace.accounts.clear()
    workspace.create_project(name="One more")
    mirror.load("accounts", "account_memberships")
    assert mirror.tables()["accounts"]
    accepted = ["accounts", "account_memberships"]
    mirror.load(*accepted, accept_deletions=accepted)
    tables = mirror.tables()
    assert not tables["accounts"]
    assert not tables["account_memberships"]


@pytest.fixture(scope="module")
def random_changes_first_load(first_load: Mirror) -> None:
    """Give the first load to the state machine, which cannot request fixtures."""
    RandomChanges.first_load = first_load


TestRandomChanges = pytest.mark.usefixtures("random_changes_first_load")(RandomChanges.TestCase)
TestRandomChanges.settings = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "2")),
    stateful_step_count=12,
    deadline=None,
    derandomize="FUZZ_EXAMPLES" not in os.environ,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
