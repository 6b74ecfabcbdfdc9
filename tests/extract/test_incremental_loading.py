"""A later run: whatever happened in the workspace, the tables are what a fresh load would give."""

from __future__ import annotations

import contextlib
import itertools
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pytest
from dlt.common.typing import TRefreshMode
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from pivotal_tracker import DERIVED_RESOURCES, pivotal_tracker_source
from pivotal_tracker.load.destination_rows import DestinationReader
from tracker_server import Behaviour, TrackerServer, litetracker
from tracker_server.errors import ApiError
from tracker_server.faults import InflatedTotal, NoTotal
from tracker_server.sample import generate_workspace
from tracker_server.workspace import Workspace

from ..support.truth import (
    Tables,
    assert_tables_equal,
    comparable,
    of_project,
    served_tables,
    tables_in,
)

ADDED_TO = {
    "activity",
    "activity__changes",
    "activity__primary_resources",
    "activity__secondary_resources",
    "deleted_records",
    "people",
}


@dataclass
class Mirror:
    """A served workspace and the database that it is loaded into, run after run."""

    workspace: Workspace
    folder: Path
    server: TrackerServer
    seen: dict[str, set[int]] = field(default_factory=dict)
    dataset: str = "tracker"
    _held: duckdb.DuckDBPyConnection | None = None

    def load(
        self, *resources: str, refresh: TRefreshMode | None = None, **options: Any
    ) -> dict[str, dict[str, Any]]:
        """One run; gives what each resource noted."""
        pipeline = dlt.pipeline(
            "pivotal_tracker",
            destination=dlt.destinations.duckdb(str(self.database)),
            dataset_name=self.dataset,
            pipelines_dir=str(self.folder / "pipelines"),
        )
        source = pivotal_tracker_source(
            api_token=self.workspace.me["api_token"], base_url=self.server.url, **options
        )
        if resources and not refresh:
            # as the command selects them
            resources = (*resources, *DERIVED_RESOURCES)
        self.server.requests.clear()
        self._hold()
        pipeline.run(
            source.with_resources(*resources) if resources else source,
            loader_file_format="parquet",
            refresh=refresh,
        )
        info = pipeline.last_trace.last_extract_info
        return {
            name: metrics.custom_metrics
            for steps in info.metrics.values()
            for step in steps
            for name, metrics in step["resource_metrics"].items()
        }

    def _hold(self) -> duckdb.DuckDBPyConnection:
        """The file held open, as the command does: dlt opens it for each job otherwise.

        Over all runs, as DuckDB writes its log into it each time that it is closed.
        """
        if self._held is None:
            self._held = duckdb.connect(str(self.database))
            self._held.execute("PRAGMA disable_checkpoint_on_shutdown")
        return self._held

    def close(self) -> None:
        """Let go of the file, with everything written into it."""
        if self._held is not None:
            self._held.execute("CHECKPOINT")
            self._held.close()
            self._held = None

    @property
    def database(self) -> Path:
        return self.folder / "loaded.duckdb"

    def tables(self) -> Tables:
        return tables_in(self._hold(), self.dataset)

    def truth(self) -> Tables:
        return served_tables(self.server.url, self.workspace.me["api_token"])

    def assert_exact(self, *resources: str) -> None:
        """Every table is as a fresh load would give it; what is only added to may hold more.

        Of what is not only added to, the tables of some resources, where no others are loaded.
        """
        loaded, truth = self.tables(), self.truth()
        assert_tables_equal(self._in_sight(loaded, resources), self._in_sight(truth, resources))
        for name in ADDED_TO - {"people", "deleted_records"}:
            assert set(comparable(truth.get(name, []))) <= set(comparable(loaded[name])), name
        guids = [row["guid"] for row in loaded["activity"]]
        assert len(guids) == len(set(guids))
        self._assert_people(loaded, truth)
        self._assert_deletions(loaded, truth)

    def _in_sight(self, tables: Tables, resources: tuple[str, ...]) -> Tables:
        """The rows of projects that are still there: those of others are left as they were."""
        projects = {*self.workspace.projects, None}
        return {
            name: [
                row
                for row in rows
                if row.get("id" if name == "projects" else "project_id") in projects
            ]
            for name, rows in tables.items()
            if name not in ADDED_TO and (not resources or name.split("__")[0] in resources)
        }

    def _assert_people(self, loaded: Tables, truth: Tables) -> None:
        people = {row["id"]: row for row in loaded["people"]}
        assert len(people) == len(loaded["people"])
        for person in truth["people"]:
            told = {name: value for name, value in person.items() if value is not None}
            assert told.items() <= people[person["id"]].items()

    def _assert_deletions(self, loaded: Tables, truth: Tables) -> None:
        told = {(r["kind"], r["id"], r["project_id"]) for r in loaded["deleted_records"]}
        assert len(told) == len(loaded["deleted_records"])
        assert {(r["kind"], r["id"], r["project_id"]) for r in truth["deleted_records"]} <= told
        for name, kind in (("stories", "story"), ("epics", "epic"), ("labels", "label")):
            before = self.seen.get(name, set())
            now = {(row["id"], row["project_id"]) for row in truth[name]}
            gone = {one for one in before - now if one[1] in self.workspace.projects}
            assert {(kind, *one) for one in gone} <= told
            self.seen[name] = now


def make_workspace() -> Workspace:
    """Three projects, small ones: what happens to them is what counts here."""
    return generate_workspace(projects=3, stories=20, activity=60, seed=7)


@pytest.fixture
def small_workspace() -> Workspace:
    """Three projects of a sample workspace."""
    return make_workspace()


@pytest.fixture
def small_project() -> Workspace:
    """One project, for what goes the same way in each."""
    return generate_workspace(projects=1, stories=20, activity=60, seed=7)


@pytest.fixture(scope="module")
def first_load(tmp_path_factory: pytest.TempPathFactory) -> Mirror:
    """The small workspace loaded once, for all tests of what comes after that."""
    workspace = make_workspace()
    with TrackerServer(workspace) as server:
        mirror = Mirror(workspace, tmp_path_factory.mktemp("first_load"), server)
        mirror.load()
        assert {request.status for request in server.requests} == {200}
        mirror.assert_exact()
        mirror.close()
    return mirror


@contextlib.contextmanager
def after_first_load(first_load: Mirror, workspace: Workspace, folder: Path) -> Iterator[Mirror]:
    """A workspace that has been loaded once, as if it had been loaded into this folder."""
    shutil.copytree(first_load.folder, folder, dirs_exist_ok=True)
    with TrackerServer(workspace) as server:
        yield Mirror(workspace, folder, server, dict(first_load.seen))


@pytest.fixture
def mirror(tmp_path: Path, small_workspace: Workspace, first_load: Mirror) -> Iterator[Mirror]:
    """A small workspace that has been loaded once."""
    with after_first_load(first_load, small_workspace, tmp_path) as mirror:
        yield mirror


def some_story(mirror: Mirror, place: int = 0) -> dict[str, Any]:
    project = next(iter(mirror.workspace.projects.values()))
    return list(project.stories.values())[place]


def test_nothing_changed_costs_nothing(mirror: Mirror) -> None:
    before = mirror.tables()
    metrics = mirror.load()
    paths = sorted(request.path.removeprefix("/services/v5") for request in mirror.server.requests)
    accounts = [f"/accounts/{one}/memberships" for one in mirror.workspace.accounts]
    assert paths == sorted(["/projects", "/accounts", *accounts, "/my/workspaces"])
    assert not sum(sum(noted.get("written", {}).values()) for noted in metrics.values())
    assert {name: comparable(rows) for name, rows in mirror.tables().items()} == {
        name: comparable(rows) for name, rows in before.items()
    }


@dataclass
class Edit:
    """A run after one story was edited, one whose iteration is not done."""

    mirror: Mirror
    story_id: int
    metrics: dict[str, dict[str, Any]]
    written: set[str]


@pytest.fixture(scope="module")
def edit(first_load: Mirror, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edit]:
    """One edit loaded once, for all tests of what that takes; they change nothing more."""
    with after_first_load(first_load, make_workspace(), tmp_path_factory.mktemp("edit")) as mirror:
        project = next(iter(mirror.workspace.projects.values()))
        story = [s for s in project.stories.values() if s["current_state"] == "unstarted"][-1]
        mirror.workspace.edit_story(story["id"], name="Another name")
        metrics = mirror.load()
        written = dlt.pipeline().last_trace.last_normalize_info.row_counts
        yield Edit(mirror, story["id"], metrics, set(written))


def test_one_edit_is_one_row(edit: Edit) -> None:
    rows = edit.metrics["stories"]["rows"]
    assert (rows["new"], rows["changed"], rows["deleted"]) == (0, 1, 0)
    assert edit.metrics["stories"]["unchanged"] == 2
    (request,) = [r for r in edit.mirror.server.requests if r.path.endswith("/iterations")]
    project = next(iter(edit.mirror.workspace.projects.values()))
    done = project.record["current_iteration_number"] - 1
    assert int(request.query["offset"]) == done, "iterations that are done are read again"
    edit.mirror.assert_exact()


def test_an_edit_writes_to_no_table_in_which_the_story_has_and_had_no_rows(edit: Edit) -> None:
    tables = edit.mirror.tables()
    nested = {name: rows for name, rows in tables.items() if name.startswith("stories__")}
    filled = {n for n, rows in nested.items() if any(r["story_id"] == edit.story_id for r in rows)}
    assert nested.keys() & edit.written == filled
    assert nested.keys() - filled


def test_no_row_is_compared_with_all_others(edit: Edit) -> None:
    """A condition with OR is one that databases have no better way for."""
    merges = [path.read_text() for path in edit.mirror.folder.rglob("stories*.sql")]
    assert len(merges) > 3
    assert not [one for one in merges if " OR " in one.partition("INSERT INTO")[0]]


@pytest.fixture
def queries(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many queries were made of each table: BigQuery takes a second for one."""
    counted: Counter[str] = Counter()
    ask = DestinationReader._rows

    def counting(self: DestinationReader, table: str, *rest: Any) -> list[tuple[Any, ...]]:
        counted[table] += 1
        return ask(self, table, *rest)

    monkeypatch.setattr(DestinationReader, "_rows", counting)
    return counted


def assert_looked_up_together(queries: Counter[str], *tables: str) -> None:
    """Not by one query for each of the three projects."""
    asked = {name: queries[name] for name in tables}
    assert all(1 <= number <= 2 for number in asked.values()), asked


def test_what_happens_in_each_project_shows(mirror: Mirror, queries: Counter[str]) -> None:
    """In each something else in either run, so that nothing is noticed for another's sake.

    Some of it has been loaded before, by runs of a selection; a fourth project comes, vanishes and
    comes back.
    """
    workspace = mirror.workspace
    with_children, with_labels, with_many_deletions = workspace.projects.values()
    first, second, third = workspace.projects
    deleted = list(with_many_deletions.stories)[3:]
    story_id, unselected, *_, returns, stays = with_children.stories
    workspace.move_story_to_project(returns, third)
    workspace.edit_story(unselected, name="Edited")
    # it is not lost when only its new project is read
    mirror.load("stories", "activity", project_ids=[third])
    # which leaves no hole in others, or in other tables
    mirror.load("activity", project_ids=[first])
    mirror.load("labels", full_refresh=True, project_ids=[third])

    edited, gone = (workspace.add_comment(text, story_id=story_id) for text in ("Once", "Gone"))
    task = workspace.add_task(story_id, "Do it")
    resolved, gone_blocker = (workspace.add_blocker(story_id, text) for text in ("No", "Gone"))
    label_id = next(s["label_ids"][0] for s in with_labels.stories.values() if s["label_ids"])
    workspace.rename_label(label_id, "under another name")
    workspace.create_label(second, "fresh")
    workspace.delete_stories(*deleted)
    fourth = workspace.create_project(name="New").record["id"]
    workspace.create_story(fourth, name="First")
    queries.clear()
    metrics = mirror.load()
    assert_looked_up_together(queries, "labels", "epics", "activity")
    assert metrics["stories"]["rows"]["deleted"] == len(deleted) == 17
    told = {r["id"]: r for r in mirror.tables()["deleted_records"] if r["kind"] == "story"}
    assert all(told[one]["deleted_by_id"] and told[one]["deleted_at"] for one in deleted)
    mirror.assert_exact()

    workspace.edit_comment(edited["id"], "Twice")
    workspace.delete_comment(gone["id"])
    workspace.delete_task(task["id"])
    workspace.edit_blocker(resolved["id"], resolved=True)
    workspace.delete_blocker(gone_blocker["id"])
    # a feed that reaches back no more
    gone_story, _, _, edited_story, *_ = with_labels.stories
    workspace.delete_stories(gone_story)
    workspace.edit_story(edited_story, name="Edited")
    workspace.forget_activity(second, keep=1)
    # what was accepted is in an iteration that is done
    accepted = next(iter(with_many_deletions.stories.values()))
    assert accepted["current_state"] == "accepted"
    workspace.delete_stories(accepted["id"])
    workspace.move_story_to_project(returns, first)
    workspace.move_story_to_project(stays, third)
    vanished = workspace.projects.pop(fourth)
    metrics = mirror.load()
    mirror.assert_exact()
    tables = mirror.tables()
    changes = {(r["id"], r["project_id"]): r["change"] for r in tables["deleted_records"]}
    for move in ((returns, first), (returns, third), (stays, first)):
        assert changes[move] == "moved"
    assert metrics["projects"]["vanished"] == [fourth]
    (row,) = [row for row in tables["projects"] if row["id"] == fourth]
    since = row["_not_seen_since"]
    assert since is not None
    assert row["name"] == "New"
    assert [r["name"] for r in tables["stories"] if r["project_id"] == fourth] == ["First"]

    mirror.load("projects")
    (row,) = [row for row in mirror.tables()["projects"] if row["id"] == fourth]
    assert row["_not_seen_since"] == since
    workspace.projects[fourth] = vanished
    mirror.load()
    mirror.assert_exact()


def test_a_day_that_passes_moves_iterations(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror.workspace.now += timedelta(days=15)
    monkeypatch.setattr("pivotal_tracker.extract.daily_lists.local_date", lambda _: "a later day")
    # beside a list that others may make a resource of
    one = next(iter(mirror.workspace.projects))
    mirror.load("project_list", "stories", "iterations", "history_days", project_ids=[one])
    asked = {r.path.rsplit("/", 1)[-1] for r in mirror.server.requests}
    assert {"iterations", "days"} <= asked
    assert "stories" not in asked
    loaded, truth = of_project(mirror.tables(), one), of_project(mirror.truth(), one)
    for name in ("iterations", "iterations__story_ids", "history_days"):
        assert comparable(loaded[name]) == comparable(truth[name])


def test_a_selection_into_a_database_that_was_thrown_away_leaves_no_hole(mirror: Mirror) -> None:
    """The first selection of all, as far as the database goes, and none as far as dlt knows."""
    mirror.database.unlink()
    mirror.load("labels", project_ids=[next(iter(mirror.workspace.projects))])
    mirror.load("people")
    mirror.load("labels", "epics", "project_memberships")
    tables, truth = mirror.tables(), mirror.truth()
    for name in ("labels", "epics", "epics__comments", "project_memberships"):
        assert comparable(tables[name]) == comparable(truth[name])
    members = {row["person__id"] for row in truth["project_memberships"]}
    assert members <= {row["id"] for row in tables["people"]}


def test_what_dlts_refresh_takes_away_is_loaded_again(mirror: Mirror) -> None:
    """And nothing else goes with it, though several resources bring rows to some tables."""
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
    state = pipeline.state["sources"]["pivotal_tracker"]["resources"]
    for project_id in first_load.workspace.projects:
        kept = [noted["projects"].get(str(project_id)) for noted in state.values()]
        assert 0 < len(str(kept)) < 1_000


def test_two_datasets_are_kept_up_side_by_side(mirror: Mirror) -> None:
    """By one pipeline, which remembers of only one of them what it has loaded.

    What changed before each run is in a project that does not change again.
    """
    other = replace(mirror, dataset="other")
    projects = mirror.workspace.projects.values()
    for one, project in zip((other, mirror, other), projects, strict=True):
        mirror.workspace.rename_label(next(iter(project.labels)), f"before {one.dataset}")
        one.load("labels")
        names = sorted(label["name"] for each in projects for label in each.labels.values())
        assert sorted(row["name"] for row in one.tables()["labels"]) == names


CHANGED = ("stories", "activity", "iterations", "labels")
"""What changes with stories, and is read in one way or another."""


def change_each_project(workspace: Workspace, *, unnoticed: bool = False) -> None:
    """A story edited, one deleted, and one moved to the next project, in each."""
    projects = list(workspace.projects.values())
    for project, following in zip(projects, [*projects[1:], projects[0]], strict=True):
        stories = list(project.stories)
        workspace.edit_story(stories[0], name="Edited", unnoticed=unnoticed)
        workspace.delete_stories(stories[4])
        workspace.move_story_to_project(stories[8], following.record["id"])


def test_a_server_that_tells_no_versions(mirror: Mirror, queries: Counter[str]) -> None:
    mirror.server.behaviour.has_project_versions = False
    change_each_project(mirror.workspace, unnoticed=True)
    mirror.load(*CHANGED)
    assert_looked_up_together(queries, "labels", "activity")
    mirror.assert_exact(*CHANGED)


def test_a_server_that_tells_less(mirror: Mirror) -> None:
    """Of each project something else."""
    behaviour = mirror.server.behaviour
    places = {f"/projects/{project_id}/": project_id for project_id in mirror.workspace.projects}
    lacks = dict(zip(places, ({"since_version"}, {"updated_after"}, set[str]()), strict=True))
    missing = dict(zip(places, (set[str](), set[str](), {"bulk"}), strict=True))

    def tell_less(path: str, _: dict[str, str]) -> None:
        place = next((one for one in places if one in path), "")
        behaviour.unsupported_params, behaviour.unsupported_endpoints = (
            lacks.get(place, set()),
            missing.get(place, set()),
        )

    mirror.server.before_request = tell_less
    for _ in range(2):
        change_each_project(mirror.workspace)
        mirror.load("stories", "activity")
        mirror.assert_exact("stories", "activity")
    refused = {r.path.split("/")[4] for r in mirror.server.requests if r.status in (400, 404)}
    assert refused == set(map(str, mirror.workspace.projects))


def test_what_cannot_be_read_again_is_not_gone(mirror: Mirror) -> None:
    """Of one project single stories are forbidden, another knows no such thing, a third closes."""
    workspace, behaviour = mirror.workspace, mirror.server.behaviour
    forbidding, unknowing, closing = workspace.projects
    before = mirror.tables()["stories"]
    for project_id in (forbidding, unknowing):
        workspace.add_blocker(next(iter(workspace.projects[project_id].stories)), "In the way")
    deleted, edited, *_ = workspace.projects[closing].stories
    workspace.delete_stories(deleted)
    workspace.forget_activity(closing, keep=0)
    behaviour.max_limits = {"stories": 5}
    pages = itertools.count()

    def close(path: str, query: dict[str, str]) -> None:
        is_single = "/stories/" in path
        is_forbidding = f"/projects/{forbidding}/" in path
        closed = {"bulk", "stories"} if is_single else set()
        behaviour.forbidden_endpoints = closed - open_again if is_forbidding else set()
        behaviour.unsupported_endpoints = set() if is_forbidding else closed
        if path.endswith(f"/{closing}/stories") and not open_again:
            if query.get("fields") == "id":
                behaviour.forbidden_projects = {closing}
            elif next(pages) == 2:
                workspace.edit_story(edited, name="Meanwhile")

    open_again: set[str] = set()
    mirror.server.before_request = close
    metrics = mirror.load("stories", "activity")
    assert sorted(metrics["stories"]["skipped"]) == sorted(map(str, workspace.projects))
    assert comparable(mirror.tables()["stories"]) == comparable(before)

    # stories are asked for singly where only many at once are refused
    open_again = {"stories"}
    behaviour.forbidden_projects = set()
    for project_id in (forbidding, unknowing):
        workspace.delete_stories(list(workspace.projects[project_id].stories)[4])
    metrics = mirror.load("stories", "activity")
    assert "skipped" not in metrics["stories"]
    mirror.assert_exact("stories", "activity")


def test_times_that_are_none_do_not_stop_the_next_run(mirror: Mirror) -> None:
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
    """The small workspace loaded again from a server that has become LiteTracker."""
    folder = tmp_path_factory.mktemp("litetracker")
    with after_first_load(first_load, make_workspace(), folder) as mirror:
        mirror.server.behaviour = litetracker()
        mirror.load("stories", "labels")
        yield mirror


def test_litetracker_is_compared(as_litetracker: Mirror, queries: Counter[str]) -> None:
    mirror, workspace = as_litetracker, as_litetracker.workspace
    comments = mirror.tables()["stories__comments"]
    before = {row["id"]: row["text"] for row in comments}
    (edited, edited_in), (gone, gone_in), *_ = {
        row["story_id"]: (row["id"], row["story_id"]) for row in comments
    }.values()
    others = (s for p in workspace.projects.values() for s in p.stories)
    given, deleted, commented, *_ = (s for s in others if s not in (edited_in, gone_in))
    person = workspace.me["id"]
    workspace.edit_story(given, owner_ids=[person], unnoticed=True)
    workspace.delete_stories(deleted)
    workspace.edit_comment(edited, text="Another")
    workspace.delete_comment(gone)
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
        **{one: text for one, text in before.items() if one not in {gone} | of_deleted},
        edited: "Another",
        new["id"]: "New",
    }
    queries.clear()
    metrics = mirror.load("stories", "labels")
    assert_looked_up_together(queries, "stories")
    assert not sum(sum(noted.get("written", {}).values()) for noted in metrics.values())


def comments_asked_for(mirror: Mirror) -> int:
    """How many requests of the last run were for comments of one story."""
    return sum(request.path.endswith("/comments") for request in mirror.server.requests)


def assert_stories_exact(mirror: Mirror, *, but_for: Collection[int] = ()) -> None:
    """All that is nested in stories included; what the server says without its oddities."""
    odd, mirror.server.behaviour = mirror.server.behaviour, Behaviour()
    tables, expected = mirror.tables(), mirror.truth()
    mirror.server.behaviour = odd
    loaded, truth = (
        {
            name: [row for row in rows if row.get("story_id", row.get("id")) not in but_for]
            for name, rows in all_tables.items()
            if name.startswith("stories")
        }
        for all_tables in (tables, expected)
    )
    assert_tables_equal(loaded, truth)


def test_comments_are_asked_for_where_they_do_not_come_with_their_stories(
    tmp_path: Path, small_project: Workspace
) -> None:
    """Also where a story vanishes before its comments are read."""
    vanished: list[int] = []

    def delete_one(path: str, _: dict[str, str]) -> None:
        if path.endswith("/comments") and not vanished:
            vanished.append(int(path.split("/")[-2]))
            small_project.delete_stories(*vanished)

    with TrackerServer(small_project) as server:
        server.behaviour = Behaviour(unsupported_fields={"comments"})
        server.before_request = delete_one
        mirror = Mirror(small_project, tmp_path, server)
        (project,) = small_project.projects.values()
        stories = len(project.stories)
        metrics = mirror.load("stories")
        assert comments_asked_for(mirror) == stories
        assert "comments" not in metrics["stories"].get("not_given", ())
        assert vanished
        assert_stories_exact(mirror, but_for=vanished)

        commented, edited, gone, *_ = project.stories
        small_project.add_comment("Another", story_id=commented)
        small_project.edit_story(edited, name="Edited")
        small_project.delete_stories(gone)
        small_project.create_story(project.record["id"], name="New")
        mirror.load("stories")
        assert comments_asked_for(mirror) < 10
        assert_stories_exact(mirror)


def test_comments_that_cannot_be_had_are_not_asked_for_in_vain(
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
        assert 0 < comments_asked_for(mirror) < len(mirror.tables()["stories"]) / 2, oddity
        assert "comments" in metrics["stories"]["not_given"], oddity
    mirror.server.behaviour = litetracker()
    mirror.load("stories", comments_one_by_one=False, full_refresh=True)
    assert not comments_asked_for(mirror)


@pytest.fixture(scope="module")
def moved_about(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirror]:
    """A large project whose stories were moved about while they were read, beside small ones.

    Of 120 stories 40 were edited and reordered; the pages shifted under the reader.
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
        mirror = Mirror(workspace, tmp_path_factory.mktemp("moved_about"), server)
        mirror.load("stories")
        assert next(moved, None) is None
        server.before_request = None
        yield mirror


def test_stories_that_are_moved_about_while_they_are_read(moved_about: Mirror) -> None:
    served = {
        story_id: story["name"]
        for project in moved_about.workspace.projects.values()
        for story_id, story in project.stories.items()
    }
    ids = [row["id"] for row in moved_about.tables()["stories"]]
    assert len(ids) == len(served)
    assert set(ids) == set(served)
    moved_about.load("stories")
    assert {row["id"]: row["name"] for row in moved_about.tables()["stories"]} == served


def test_one_edit_costs_the_same_however_many_stories_there_are(
    moved_about: Mirror, queries: Counter[str]
) -> None:
    workspace = moved_about.workspace
    # what was updated about when the last story was is read again
    workspace.now += timedelta(days=1)
    for project in workspace.projects.values():
        workspace.edit_story(next(iter(project.stories)), name="Edited")
    moved_about.load("stories")
    assert_looked_up_together(queries, "stories")
    costs = []
    large, small, _ = workspace.projects.values()
    for project in (large, small):
        assert (len(project.stories) > 100) == (project is large)
        story = next(s for s in project.stories.values() if s["current_state"] == "unstarted")
        workspace.edit_story(story["id"], description="Edited")
        metrics = moved_about.load("stories")
        requests = len(moved_about.server.requests)
        costs.append((requests, metrics["stories"]["written"]["stories"]))
    assert costs[0] == costs[1]
    assert costs[0][1] == 1


def test_the_accounts_that_may_be_read_are_read_beside_one_that_may_not(mirror: Mirror) -> None:
    workspace, behaviour = mirror.workspace, mirror.server.behaviour
    (account,) = workspace.accounts.values()
    member = next(iter(workspace.account_memberships.values()))
    workspace.account_memberships[78] = member | {"id": 78}
    workspace.create_project(name="Yet another")
    told = mirror.truth()["account_memberships"]
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
        assert comparable(loaded["account_memberships"]) == comparable(told)
    workspace.accounts.clear()
    workspace.create_project(name="One more")
    mirror.load("accounts", "account_memberships")
    assert mirror.tables()["accounts"]
    accepted = ["accounts", "account_memberships"]
    mirror.load(*accepted, accept_deletions=accepted)
    tables = mirror.tables()
    assert not tables["accounts"]
    assert not tables["account_memberships"]


class Changes(RuleBasedStateMachine):
    """Anything may happen between two runs."""

    first_load: Mirror

    @initialize(seed=st.integers(0, 1_000))
    def begin(self, seed: int) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.workspace = make_workspace()
        self.held = contextlib.ExitStack()
        self.mirror = self.held.enter_context(
            after_first_load(self.first_load, self.workspace, self.folder)
        )
        self.server = self.mirror.server
        self.rng = random.Random(seed)

    def teardown(self) -> None:
        """What happened last shows too."""
        if hasattr(self, "held"):
            with self.held:
                self.load(full_refresh=False)
            shutil.rmtree(self.folder)

    def any_project(self) -> Any:
        return self.rng.choice(list(self.workspace.projects.values()))

    def any_story(self) -> dict[str, Any] | None:
        stories = list(self.any_project().stories.values())
        return self.rng.choice(stories) if stories else None

    @rule(state=st.sampled_from(["unscheduled", "unstarted", "started", "accepted", "rejected"]))
    def create_story(self, state: str) -> None:
        self.workspace.create_story(self.any_project().record["id"], name="New")
        story = self.any_story()
        if story and story["story_type"] == "feature":
            self.workspace.edit_story(story["id"], current_state=state, estimate=1)

    @rule(name=st.text("ab\n\"'<", min_size=1, max_size=3))
    def edit_story(self, name: str) -> None:
        if story := self.any_story():
            self.workspace.edit_story(story["id"], name=name)

    @rule(
        changes=st.sampled_from(
            [
                {"mood": 1},
                {"mood": 2},
                {"weather": {"sky": "blue", "wind": {"force": 3}}},
                {"description": None},
                {"description": "x" * 5000},
                {"story_type": "bug"},
                {"label_ids": []},
                {"owner_ids": []},
            ]
        )
    )
    def edit_attributes(self, changes: dict[str, Any]) -> None:
        if story := self.any_story():
            self.workspace.edit_story(story["id"], **changes)

    @rule(number=st.integers(1, 4))
    def delete_stories(self, number: int) -> None:
        stories = list(self.any_project().stories)
        if stories:
            self.workspace.delete_stories(*self.rng.sample(stories, min(number, len(stories))))

    @rule()
    def move_story(self) -> None:
        story, project = self.any_story(), self.any_project()
        if story and story["id"] not in project.stories:
            self.workspace.move_story_to_project(story["id"], project.record["id"])

    @rule()
    def reorder(self) -> None:
        stories = list(self.any_project().stories)
        if len(stories) > 1:
            one, other = self.rng.sample(stories, 2)
            self.workspace.reorder_stories(one, before_id=other)

    @rule(kind=st.sampled_from(["comment", "task", "blocker", "review"]))
    def add_child(self, kind: str) -> None:
        story = self.any_story()
        if story is None:
            return
        if kind == "comment":
            self.workspace.add_comment("Hello", story_id=story["id"])
        elif kind == "task":
            self.workspace.add_task(story["id"], "Do")
        elif kind == "blocker":
            self.workspace.add_blocker(story["id"], "No")
        elif kind == "review":
            types = self.workspace.projects[story["project_id"]].review_types
            if types:
                self.workspace.add_review(story["id"], next(iter(types)))

    @rule(kind=st.sampled_from(["comments", "tasks", "blockers", "reviews"]))
    def delete_child(self, kind: str) -> None:
        story = self.any_story()
        if story and story.get(kind):
            child = self.rng.choice(story[kind])["id"]
            getattr(self.workspace, f"delete_{kind[:-1]}")(child)

    @rule(kind=st.sampled_from(["comment", "task", "blocker"]))
    def edit_child(self, kind: str) -> None:
        story = self.any_story()
        if story is None or not story.get(f"{kind}s"):
            return
        child = self.rng.choice(story[f"{kind}s"])["id"]
        if kind == "comment":
            self.workspace.edit_comment(child, "Edited")
        elif kind == "task":
            self.workspace.edit_task(child, complete=True)
        else:
            self.workspace.edit_blocker(child, resolved=True)

    @rule(what=st.sampled_from(["create", "rename", "delete"]))
    def change_label(self, what: str) -> None:
        project = self.any_project()
        name = f"label {self.rng.randrange(1_000_000)}"
        if what == "create" or not project.labels:
            self.workspace.create_label(project.record["id"], name)
        elif what == "rename":
            self.workspace.rename_label(self.rng.choice(list(project.labels)), name)
        else:
            of_epics = {epic["label_id"] for epic in project.epics.values()}
            if deletable := sorted(project.labels.keys() - of_epics):
                self.workspace.delete_label(self.rng.choice(deletable))

    @rule(what=st.sampled_from(["create", "edit", "comment"]))
    def change_epic(self, what: str) -> None:
        project = self.any_project()
        if what == "create" or not project.epics:
            name = f"Epic {self.rng.randrange(1_000_000)}"
            self.workspace.create_epic(project.record["id"], name)
        elif what == "edit":
            self.workspace.edit_epic(self.rng.choice(list(project.epics)), description="Edited")
        else:
            self.workspace.add_comment("On it", epic_id=self.rng.choice(list(project.epics)))

    @rule(comes=st.booleans())
    def change_members(self, comes: bool) -> None:
        project = self.any_project()
        if comes:
            person = self.workspace.add_person(f"Person{self.rng.randrange(1_000_000)} New")
            self.workspace.add_membership(project.record["id"], person["id"])
            return
        others = [
            membership
            for membership, record in project.memberships.items()
            if record["person_id"] != self.workspace.me["id"]
        ]
        if others:
            self.workspace.remove_membership(self.rng.choice(others))

    @rule()
    def delete_epic(self) -> None:
        project = self.any_project()
        if project.epics:
            self.workspace.delete_epic(self.rng.choice(list(project.epics)))

    @rule(strength=st.sampled_from([0, 0.5, 1]))
    def override_iteration(self, strength: float) -> None:
        project = self.any_project()
        number = self.rng.randint(1, project.record["current_iteration_number"])
        self.workspace.override_iteration(project.record["id"], number, team_strength=strength)

    @rule(keep=st.integers(0, 3))
    def forget_activity(self, keep: int) -> None:
        self.workspace.forget_activity(self.any_project().record["id"], keep)

    @rule()
    def delete_project(self) -> None:
        if len(self.workspace.projects) > 1:
            self.workspace.delete_project(self.any_project().record["id"])

    @rule()
    def create_project(self) -> None:
        if len(self.workspace.projects) < 4:
            self.workspace.create_project(name="Another")

    @rule(
        behaviour=st.sampled_from(
            [
                Behaviour(),
                Behaviour(max_limits={"stories": 5, "activity": 7, "releases": 2}),
                Behaviour(max_limits={"stories": 4, "activity": 9}, faults=[NoTotal()]),
                Behaviour(
                    max_limits={"stories": 4, "activity": 9},
                    faults=[InflatedTotal(params={"updated_after"})],
                ),
                Behaviour(max_limits={"stories": 6}, pagination_headers=False),
                Behaviour(unsupported_params={"since_version"}),
                Behaviour(unsupported_params={"updated_after"}),
                Behaviour(has_project_versions=False),
                Behaviour(unsupported_endpoints={"bulk"}),
            ]
        )
    )
    def tell_less_or_more(self, behaviour: Behaviour) -> None:
        self.server.behaviour = replace(behaviour)

    @rule()
    def lose_the_working_folder(self) -> None:
        shutil.rmtree(self.folder / "pipelines", ignore_errors=True)

    @rule()
    def load_one_project(self) -> None:
        self.mirror.load(project_ids=[self.any_project().record["id"]])

    @rule(part=st.sampled_from(["stories", "labels", "activity", "iterations", "people"]))
    def load_a_part(self, part: str) -> None:
        self.mirror.load(part)

    @rule(full_refresh=st.sampled_from([False, False, False, True]))
    def load(self, full_refresh: bool) -> None:
        self.load_and_accept(full_refresh=full_refresh)
        self.mirror.assert_exact()

    def load_and_accept(self, *, full_refresh: bool) -> None:
        """Load, and load again where rows were kept that were really deleted."""
        noted = self.mirror.load(full_refresh=full_refresh)
        kept = [
            f"{project}/{name}" if project else name
            for name, each in noted.items()
            for project in each.get("kept", {})
        ]
        if kept:
            self.mirror.load(accept_deletions=kept)


@pytest.fixture(scope="module")
def changes_come_after(first_load: Mirror) -> None:
    """Give the first load to a class that can ask for no fixture."""
    Changes.first_load = first_load


TestChanges = pytest.mark.usefixtures("changes_come_after")(Changes.TestCase)
TestChanges.settings = settings(
    max_examples=3,
    stateful_step_count=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
