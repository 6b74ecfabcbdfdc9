"""Loads from LiteTracker are complete, and request only what changed."""

from __future__ import annotations

import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
import requests
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from pivotal_tracker.api.client import TrackerClient
from pivotal_tracker.extract import server_memory, unversioned
from pivotal_tracker.extract.fingerprints import pack, unpack
from pivotal_tracker.settings import LITETRACKER_URL
from tracker_server import Behaviour, TrackerServer, litetracker
from tracker_server.faults import DeepValue, LimitTooHigh, MissingRows, Status
from tracker_server.sample import generate_workspace
from tracker_server.workspace import MOVES_UPDATED_AT, Workspace

from ..support.changes import RandomChanges
from ..support.command import Command
from ..support.mirror import Mirror, make_workspace
from ..support.truth import (
    Record,
    Tables,
    assert_tables_equal,
    comparable,
    deleted_in,
    expected_tables,
)

Serve = Callable[[Workspace], TrackerServer]

UNSUPPORTED_PATHS = ("/projects/{id}/history/days", "/projects/{id}", "/accounts", "/my/workspaces")
LOADED = ("projects", "stories", "project_memberships", "activity")


def served_records(server: TrackerServer) -> dict[str, list[Record]]:
    """Return the records of a server in LiteTracker's dialect, with Tracker's names."""
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


def served_litetracker_tables(server: TrackerServer) -> Tables:
    """Return the expected tables, read from the server without its faults."""
    behaviour, server.behaviour = server.behaviour, litetracker()
    tables: Tables = {}
    for name, records in served_records(server).items():
        tables |= expected_tables(name, records)
    server.behaviour = behaviour
    server.requests.clear()
    return tables


@dataclass
class LiteTrackerMirror(Mirror):
    """A workspace served in LiteTracker's dialect, and the database that it is loaded into.

    Attributes:
        has_had_activity: Whether the server has had a feed all the time; some of it is not loaded
            otherwise, and it is not requested again for a week.
    """

    has_had_activity: bool = True

    def truth(self) -> Tables:
        return served_litetracker_tables(self.server)

    def assert_exact(self, *resources: str) -> None:
        loaded, truth = self.tables(), self.truth()
        assert_tables_equal(
            {
                n: rows
                for n, rows in self._comparable_tables(loaded, resources).items()
                if is_loaded(n)
            },
            {
                n: rows
                for n, rows in self._comparable_tables(truth, resources).items()
                if is_loaded(n)
            },
        )
        if not resources:
            for name in ("activity", "activity__changes") if self.has_had_activity else ():
                assert set(comparable(truth.get(name, []))) <= set(comparable(loaded[name])), name
            guids = [row["guid"] for row in loaded["activity"]]
            assert len(guids) == len(set(guids))
            self._assert_deletions(loaded, truth)

    def _assert_deletions(self, loaded: Tables, truth: Tables) -> None:
        logged = [(r["kind"], r["id"], r["project_id"]) for r in loaded["deleted_records"]]
        assert len(logged) == len(set(logged))
        if self.has_had_activity:
            in_feed = {(r["kind"], r["id"], r["project_id"]) for r in deleted_in(truth)}
            assert in_feed <= set(logged)
        before = self.seen.get("stories", set())
        now = {(row["id"], row["project_id"]) for row in truth["stories"]}
        deleted = {one for one in before - now if one[1] in self.workspace.projects}
        assert {("story", *one) for one in deleted} <= set(logged)
        self.seen["stories"] = now

    def comment_requests(self) -> list[int]:
        """Return the stories whose comments the last run requested."""
        paths = [request.path for request in self.server.requests]
        return [int(path.split("/")[-2]) for path in paths if path.endswith("/comments")]


def is_loaded(table: str) -> bool:
    return table.split("__")[0] in LOADED and not table.startswith("activity")


@pytest.fixture(scope="module")
def first_load(tmp_path_factory: pytest.TempPathFactory) -> LiteTrackerMirror:
    """Load the workspace once, for all tests of later runs."""
    with TrackerServer(make_workspace(), behaviour=litetracker()) as server:
        mirror = LiteTrackerMirror(server.workspace, tmp_path_factory.mktemp("first"), server)
        mirror.load()
        mirror.assert_exact()
        mirror.close()
    return mirror


def copied_mirror(first: Mirror, server: TrackerServer, folder: Path) -> LiteTrackerMirror:
    """Copy the first load into a new folder."""
    shutil.copytree(first.folder, folder, dirs_exist_ok=True)
    server.workspace.moves_updated_at = MOVES_UPDATED_AT - {"owner_ids", "comment"}
    return LiteTrackerMirror(server.workspace, folder, server, dict(first.seen))


@pytest.fixture
def mirror(tmp_path: Path, first_load: LiteTrackerMirror) -> Iterator[LiteTrackerMirror]:
    """The workspace after its first load."""
    with TrackerServer(make_workspace(), behaviour=litetracker()) as server:
        yield copied_mirror(first_load, server, tmp_path)


def requested_paths(server: TrackerServer) -> list[str]:
    """Return the paths of the last run's requests, with `{id}` for ids."""
    return [request.template for request in server.requests]


def some_stories(mirror: Mirror, number: int) -> list[int]:
    """Return stories with comments, from all projects in turn."""
    lists = [
        [story["id"] for story in project.stories.values() if story["comments"]]
        for project in mirror.workspace.projects.values()
    ]
    return [story for stories in zip(*lists, strict=False) for story in stories][:number]


class Clock(datetime):
    """A clock that can be put forward."""

    days = 0.0

    @classmethod
    def now(cls, tz: Any = None) -> datetime:
        return datetime.now(tz) + timedelta(days=cls.days)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Clock]]:
    """Replace the source's clock."""
    monkeypatch.setattr(unversioned, "datetime", Clock)
    monkeypatch.setattr(server_memory, "datetime", Clock)
    yield Clock
    Clock.days = 0.0


def test_unchanged_run_requests_only_projects_stories_and_activity(
    mirror: LiteTrackerMirror,
) -> None:
    before = mirror.tables()
    # the URL differs from that of the first run, so the server's features are unknown
    mirror.load()
    metrics = mirror.load()
    requested = Counter(requested_paths(mirror.server))
    assert requested.keys() == {"/projects", "/projects/{id}/stories", "/projects/{id}/activity"}
    assert requested["/projects"] == 1
    assert requested["/projects/{id}/activity"] <= 2 * len(mirror.workspace.projects)
    assert not sum(sum(values.get("written", {}).values()) for values in metrics.values())
    assert "epics" in {name for name, values in metrics.items() if "not_offered" in values}
    assert_tables_equal(mirror.tables(), before)


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_comments_are_requested_only_for_changed_stories(
    mirror: LiteTrackerMirror, order: Literal["asc", "desc"]
) -> None:
    mirror.server.behaviour = litetracker(activity_order=order)
    mirror.server.behaviour.max_limits["activity"] = 3
    workspace = mirror.workspace
    commented, edited, reassigned, shrunk, *others = some_stories(mirror, 12)
    workspace.now += timedelta(days=1)
    workspace.add_comment("New", story_id=commented)
    workspace.edit_story(edited, name="Edited")
    owners = workspace.find_story(reassigned)[1]["owner_ids"]
    other_people = [person for person in workspace.people if person not in owners]
    workspace.edit_story(reassigned, owner_ids=other_people[:1], unnoticed=True)
    story = workspace.find_story(shrunk)[1]
    workspace.delete_comment(story["comments"][0]["id"])
    for other in others:
        workspace.edit_comment(workspace.find_story(other)[1]["comments"][0]["id"], "Edited")
    new = workspace.create_story(next(iter(workspace.projects)), name="New")
    mirror.load()
    requested = mirror.comment_requests()
    assert sorted(requested) == sorted([commented, edited, reassigned, shrunk, new["id"], *others])
    mirror.assert_exact()
    mirror.load()
    assert not mirror.comment_requests()


def test_all_comments_are_requested_without_complete_activity(
    mirror: LiteTrackerMirror,
) -> None:
    everything = sorted(s for p in mirror.workspace.projects.values() for s in p.stories)
    first = next(iter(mirror.workspace.projects))
    mirror.workspace.add_comment("Forgotten", story_id=some_stories(mirror, 1)[0])
    mirror.workspace.edit_project(first, description="Later")
    mirror.workspace.forget_activity(first, 1)
    mirror.load()
    assert sorted(mirror.comment_requests()) == sorted(mirror.workspace.projects[first].stories)
    mirror.assert_exact()
    mirror.server.behaviour = replace(litetracker(), unsupported_endpoints={"activity"})
    for _ in range(2):
        mirror.load("stories")
        assert sorted(mirror.comment_requests()) == everything


def test_comment_edits_missing_from_activity_are_found_within_a_month(
    mirror: LiteTrackerMirror, clock: type[Clock]
) -> None:
    workspace = mirror.workspace
    for story_id in some_stories(mirror, 9):
        _, story = workspace.find_story(story_id)
        story["comments"][0]["text"] = "Edited without activity"
    numbers = []
    for _ in range(5):
        clock.days += 6
        mirror.load("stories")
        numbers.append(len(mirror.comment_requests()))
    stories = sum(len(project.stories) for project in workspace.projects.values())
    assert sum(numbers) == pytest.approx(stories, abs=len(workspace.projects))
    assert max(numbers) - min(numbers) <= len(workspace.projects)
    clock.days += 0.3
    mirror.load("stories")
    mirror.assert_exact("stories")
    clock.days += 300
    mirror.load("stories", comments_full_sync_days=0)
    assert not mirror.comment_requests()


def test_unsupported_endpoints_are_requested_again_after_a_week_or_by_full_refresh(
    mirror: LiteTrackerMirror, clock: type[Clock]
) -> None:
    mirror.load()
    for days, options in ((6, {}), (8, {}), (8, {"full_refresh": True})):
        clock.days = days
        mirror.load(**options)
        unsupported = {"/projects/{id}/epics", "/projects/{id}/history/days", "/accounts"}
        is_requested = days > 7 or bool(options)
        assert (unsupported & {*requested_paths(mirror.server)}) == (
            unsupported if is_requested else set()
        )
    mirror.assert_exact()


def test_unsupported_lists_and_fields_are_not_requested_again(
    tmp_path: Path,
) -> None:
    with TrackerServer(generate_workspace(projects=2, stories=10, activity=20)) as server:
        unsupported = Status(404, endpoints=UNSUPPORTED_PATHS)
        server.behaviour = Behaviour(faults=[unsupported], unsupported_fields={"branches"})
        mirror = Mirror(server.workspace, tmp_path, server)
        mirror.load()
        assert {400, 404} <= {request.status for request in server.requests}
        mirror.load()
        assert requested_paths(server) == ["/projects"]
        server.workspace.edit_story(some_stories(mirror, 1)[0], name="Edited")
        metrics = mirror.load()
        assert {request.status for request in server.requests} == {200}
        assert "branches" in metrics["stories"]["refused_fields"]


@pytest.mark.usefixtures("no_backoff")
def test_page_size_is_reduced_until_the_server_can_respond(tmp_path: Path) -> None:
    workspace = generate_workspace(projects=1, stories=150, activity=20)
    too_high = LimitTooHigh(max_limit=70, endpoints={"/projects/{id}/stories"})
    behaviour = replace(litetracker(), faults=[too_high])
    with TrackerServer(workspace, behaviour=behaviour) as server:
        mirror = LiteTrackerMirror(workspace, tmp_path, server)
        for expected in ([1000, 500, 250, 125, 62], [62]):
            mirror.load("stories")
            requests = [r for r in server.requests if r.template == "/projects/{id}/stories"]
            limits = [int(request.query["limit"]) for request in requests]
            assert list(dict.fromkeys(limits)) == expected
        assert len(mirror.tables()["stories"]) == len(
            next(iter(workspace.projects.values())).stories
        )


@pytest.fixture
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait between attempts."""
    monkeypatch.setenv("RUNTIME__REQUEST_BACKOFF_FACTOR", "0")


def test_story_missing_from_the_list_is_deleted_only_if_not_found_by_id(
    mirror: LiteTrackerMirror,
) -> None:
    unsupported, deleted = some_stories(mirror, 2)
    mirror.workspace.delete_stories(deleted)
    fault = MissingRows(ids={unsupported}, endpoints={"/projects/{id}/stories"})
    mirror.server.behaviour = replace(litetracker(), faults=[fault])
    mirror.load()
    by_id = [r.path for r in mirror.server.requests if r.template == "/projects/{id}/stories/{id}"]
    assert {int(path.split("/")[-1]) for path in by_id} == {unsupported, deleted}
    mirror.assert_exact()
    assert deleted not in {row["story_id"] for row in mirror.tables()["stories__comments"]}


def test_rejected_story_is_read_again_by_the_next_run(mirror: LiteTrackerMirror) -> None:
    (story,) = some_stories(mirror, 1)
    mirror.workspace.edit_story(story, name="Edited")
    bad = DeepValue(attribute="title", record_ids={story}, depth=900)
    mirror.server.behaviour = replace(litetracker(), faults=[bad])
    for _ in range(2):
        metrics = mirror.load()
        assert metrics["stories"]["rows"]["rejected"] == 1
        assert mirror.comment_requests() == [story]
    mirror.server.behaviour = litetracker()
    mirror.load()
    assert mirror.comment_requests() == [story]
    mirror.assert_exact()


def test_full_refresh_in_parts_rewrites_every_story(mirror: LiteTrackerMirror) -> None:
    stories = sum(len(project.stories) for project in mirror.workspace.projects.values())
    written, requested = 0, 0
    options: dict[str, Any] = {"full_refresh": True}
    for _ in range(4):
        metrics = mirror.load("stories", max_commented_stories=25, **options)
        written += metrics["stories"]["written"].get("stories", 0)
        requested += len(mirror.comment_requests())
        options = {}
    assert written == requested == stories
    mirror.assert_exact("stories")


PART_SIZE = 100
LOAD_IN_SMALL_PARTS = f"""
from pivotal_tracker.cli import main, parts
main.COMMENT_PART_SIZE = parts.COMMENT_PART_SIZE = {PART_SIZE}
sys.exit(main.main(["--no-views", "--resource", *{LOADED}]))
"""


def test_killed_run_repeats_at_most_one_part(command: Command, serve: Serve) -> None:
    workspace = generate_workspace(projects=1, stories=150, activity=20, seed=5)
    server = serve(workspace)
    server.behaviour = litetracker()
    comments = 0

    def count(path: str, _: dict[str, str]) -> None:
        nonlocal comments
        comments += path.endswith("/comments")

    server.before_request = count
    run = command.start_python(LOAD_IN_SMALL_PARTS)
    while comments < PART_SIZE + 10:
        assert run.poll() is None, run.communicate()
        time.sleep(0.005)
    run.kill()
    run.communicate(timeout=60)
    stories = sum(len(project.stories) for project in workspace.projects.values())
    result = command.python(LOAD_IN_SMALL_PARTS)
    assert result.returncode == 0, result.stderr
    assert stories < comments <= stories + PART_SIZE
    loaded, truth = command.tables(), served_litetracker_tables(server)
    assert_tables_equal(
        {name: rows for name, rows in loaded.items() if is_loaded(name)},
        {name: rows for name, rows in truth.items() if is_loaded(name)},
    )
    comments = 0
    result = command.python(LOAD_IN_SMALL_PARTS)
    assert comments == 0
    assert "Unchanged since the last run: 1 project." in result.stdout
    assert "Loaded 0 rows" in result.stdout


def test_litetracker_is_accepted_as_base_url() -> None:
    assert TrackerClient(" LiteTracker ", "token").server.url == LITETRACKER_URL


@given(
    st.dictionaries(st.integers(0, 2**63 - 1), st.binary(min_size=4, max_size=4), max_size=50),
    st.integers(0, 10),
)
def test_packed_fingerprints_are_restored(fingerprints: dict[int, bytes], cut: int) -> None:
    packed = pack(fingerprints)
    assert unpack(packed) == fingerprints
    assert len(packed) < 12 + 20 * len(fingerprints)
    # a damaged text raises no error
    unpack(packed[:-cut] if cut else "\N{SNOWMAN}")


class LiteTrackerChanges(RandomChanges):
    """Random changes of a workspace in LiteTracker, and loads."""

    @initialize(seed=st.integers(0, 1_000))
    def begin(self, seed: int) -> None:
        super().begin(seed)
        os.environ["RUNTIME__REQUEST_BACKOFF_FACTOR"] = "0"
        self.server.behaviour = litetracker()
        self.mirror = copied_mirror(self.first_load, self.server, self.folder)
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
    def change_behaviour(self, change: dict[str, Any], has_activity: bool) -> None:
        self.mirror.has_had_activity &= has_activity
        behaviour = litetracker(**change)
        self.server.behaviour = replace(
            behaviour,
            max_limits={**behaviour.max_limits, "activity": 9},
            unsupported_endpoints=set() if has_activity else {"activity"},
        )

    @rule(resource=st.sampled_from(["stories", "activity", "project_memberships", "people"]))
    def load_resource(self, resource: str) -> None:
        self.mirror.load(resource)

    @rule(number=st.integers(1, 30))
    def load_in_parts(self, number: int) -> None:
        """Load the comments of some stories, and leave the others for later runs."""
        self.mirror.load(max_commented_stories=number)

    @rule()
    def edit_comment_of_deferred_story(self) -> None:
        if (story := self.any_story()) and story["comments"]:
            self.workspace.edit_comment(story["comments"][0]["id"], "Edited twice")


@pytest.fixture(scope="module")
def random_changes_first_load(first_load: LiteTrackerMirror) -> None:
    """Give the first load to the state machine, which cannot request fixtures."""
    LiteTrackerChanges.first_load = first_load


TestLiteTrackerChanges = pytest.mark.usefixtures("random_changes_first_load")(
    LiteTrackerChanges.TestCase
)
TestLiteTrackerChanges.settings = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "2")),
    stateful_step_count=12,
    deadline=None,
    derandomize="FUZZ_EXAMPLES" not in os.environ,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
