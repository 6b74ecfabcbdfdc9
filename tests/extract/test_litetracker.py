"""Loads from LiteTracker: exact tables, at the cost of what changed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from tracker_server import TrackerServer, litetracker
from tracker_server.sample import generate_workspace
from tracker_server.workspace import MOVES_UPDATED_AT, Workspace

from ..support.truth import (
    Record,
    Tables,
    assert_tables_equal,
    comparable,
    deleted_in,
    expected_tables,
)
from .test_incremental_loading import Changes, Mirror

LOADED = ("projects", "stories", "project_memberships", "activity")


def lists_of(server: TrackerServer) -> dict[str, list[Record]]:
    """What a server in LiteTracker's dialect has, read without the source, in Tracker's terms."""
    session = requests.Session()
    session.headers["X-TrackerToken"] = server.workspace.me["api_token"]

    def get(path: str, **params: Any) -> list[Record]:
        response = session.get(f"{server.url}/{path}", params=params, timeout=30)
        assert response.status_code in (200, 404)
        return list(response.json()) if response.status_code == 200 else []

    def everything(path: str) -> Iterator[Record]:
        offset = 0
        while page := get(path, limit=1000, offset=offset):
            yield from page
            offset += len(page)

    lists: dict[str, list[Record]] = {name: [] for name in LOADED}
    lists["projects"] = [with_name(project) for project in get("projects")]
    for project in lists["projects"]:
        path = f"projects/{project['id']}"
        for story in everything(f"{path}/stories"):
            record = with_name(story)
            record["owner_ids"] = [owner["user_id"] for owner in record.pop("owners")]
            record["comments"] = get(f"{path}/stories/{story['id']}/comments")
            lists["stories"].append({"project_id": project["id"], **record})
        own = {
            "project_memberships": get(f"{path}/memberships"),
            "activity": everything(f"{path}/activity"),
        }
        for name, records in own.items():
            lists[name] += [{"project_id": project["id"], **record} for record in records]
    return lists


def with_name(record: Record) -> Record:
    return {("name" if name == "title" else name): value for name, value in record.items()}


@dataclass
class LiteMirror(Mirror):
    """A workspace that is served in LiteTracker's dialect, and the database it is loaded into."""

    def truth(self) -> Tables:
        behaviour = self.server.behaviour
        self.server.behaviour = litetracker()
        tables: Tables = {}
        for name, records in lists_of(self.server).items():
            tables |= expected_tables(name, records)
        self.server.behaviour = behaviour
        self.server.requests.clear()
        return tables

    def assert_exact(self, *resources: str) -> None:
        loaded, truth = self.tables(), self.truth()
        assert_tables_equal(
            {n: rows for n, rows in self._in_sight(loaded, resources).items() if is_loaded(n)},
            {n: rows for n, rows in self._in_sight(truth, resources).items() if is_loaded(n)},
        )
        if not resources:
            for name in ("activity", "activity__changes"):
                assert set(comparable(truth.get(name, []))) <= set(comparable(loaded[name])), name
            guids = [row["guid"] for row in loaded["activity"]]
            assert len(guids) == len(set(guids))
            self._assert_deletions(loaded, truth)

    def _assert_deletions(self, loaded: Tables, truth: Tables) -> None:
        logged = [(r["kind"], r["id"], r["project_id"]) for r in loaded["deleted_records"]]
        assert len(logged) == len(set(logged))
        assert {(r["kind"], r["id"], r["project_id"]) for r in deleted_in(truth)} <= set(logged)
        before = self.seen.get("stories", set())
        now = {(row["id"], row["project_id"]) for row in truth["stories"]}
        deleted = {one for one in before - now if one[1] in self.workspace.projects}
        assert {("story", *one) for one in deleted} <= set(logged)
        self.seen["stories"] = now

    def comment_requests(self) -> list[int]:
        """The stories whose comments the last run has requested."""
        paths = [request.path for request in self.server.requests]
        return [int(path.split("/")[-2]) for path in paths if path.endswith("/comments")]


def is_loaded(table: str) -> bool:
    return table.split("__")[0] in LOADED and not table.startswith("activity")


def make_workspace() -> Workspace:
    return generate_workspace(projects=3, stories=20, activity=60, seed=7)


@pytest.fixture(scope="module")
def first_load(tmp_path_factory: pytest.TempPathFactory) -> LiteMirror:
    """A small workspace loaded once, for all tests of what comes after that."""
    with TrackerServer(make_workspace(), behaviour=litetracker()) as server:
        mirror = LiteMirror(server.workspace, tmp_path_factory.mktemp("first"), server)
        mirror.load()
        mirror.assert_exact()
        mirror.close()
    return mirror


def after(first: Mirror, server: TrackerServer, folder: Path) -> LiteMirror:
    """A server as if it had been loaded into this folder once."""
    shutil.copytree(first.folder, folder, dirs_exist_ok=True)
    server.workspace.moves_updated_at = MOVES_UPDATED_AT - {"owner_ids", "comment"}
    return LiteMirror(server.workspace, folder, server, dict(first.seen))


@pytest.fixture
def mirror(tmp_path: Path, first_load: LiteMirror) -> Iterator[LiteMirror]:
    """A small workspace that has been loaded once."""
    with TrackerServer(make_workspace(), behaviour=litetracker()) as server:
        yield after(first_load, server, tmp_path)


class LiteTrackerChanges(Changes):
    """Anything may happen between two runs from LiteTracker."""

    @initialize(seed=st.integers(0, 1_000))
    def begin(self, seed: int) -> None:
        super().begin(seed)
        os.environ["RUNTIME__REQUEST_BACKOFF_FACTOR"] = "0"
        self.server.behaviour = litetracker()
        self.mirror = after(self.first_load, self.server, self.folder)
        if seed % 2:
            self.workspace.moves_updated_at = MOVES_UPDATED_AT - {"owner_ids"}
        self.loaded_projects = set(self.workspace.projects)

    def teardown(self) -> None:
        super().teardown()
        os.environ.pop("RUNTIME__REQUEST_BACKOFF_FACTOR", None)

    @rule(unnoticed=st.booleans())
    def edit_owners(self, unnoticed: bool) -> None:
        if story := self.any_story():
            owners = [
                person for person in self.workspace.people if person not in story["owner_ids"]
            ]
            changed = [self.rng.choice(owners)] if owners else []
            self.workspace.edit_story(story["id"], owner_ids=changed, unnoticed=unnoticed)

    @rule(keep=st.integers(1, 3))
    def forget_activity(self, keep: int) -> None:
        project = self.any_project().record["id"]
        if project in self.loaded_projects:
            self.workspace.forget_activity(project, keep)

    @rule(
        change=st.sampled_from(
            [
                {},
                {"max_limit": 7},
                {"activity_order": "asc"},
                {"activity_order": "asc", "max_limit": 4, "error_rate": 0.05},
                {"error_rate": 0.1},
            ]
        ),
        has_activity=st.sampled_from([True, True, True, False]),
    )
    def tell_less_or_more(self, change: dict[str, Any], has_activity: bool) -> None:
        behaviour = litetracker(**change)
        self.server.behaviour = replace(
            behaviour,
            max_limits={**behaviour.max_limits, "activity": 9},
            unsupported_endpoints=set() if has_activity else {"activity"},
        )

    @rule(part=st.sampled_from(["stories", "activity", "project_memberships", "people"]))
    def load_a_part(self, part: str) -> None:
        self.mirror.load(part)

    @rule(number=st.integers(1, 30))
    def load_in_parts(self, number: int) -> None:
        """Load the comments of so many stories, and the others later."""
        self.mirror.load(max_commented_stories=number)

    @rule()
    def edit_comment_of_deferred_story(self) -> None:
        if (story := self.any_story()) and story["comments"]:
            self.workspace.edit_comment(story["comments"][0]["id"], "Edited twice")


@pytest.fixture(scope="module")
def changes_come_after(first_load: LiteMirror) -> None:
    """Gives the first load to a class that can ask for no fixture."""
    LiteTrackerChanges.first_load = first_load


TestLiteTrackerChanges = pytest.mark.usefixtures("changes_come_after")(LiteTrackerChanges.TestCase)
TestLiteTrackerChanges.settings = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "3")),
    stateful_step_count=12,
    deadline=None,
    derandomize="FUZZ_EXAMPLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
)
