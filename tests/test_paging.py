"""Pages as servers really cut them: clamped, miscounted, without headers, or always the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pivotal_tracker.client import Page
from tracker_server import Behaviour, TrackerServer
from tracker_server.made_up import made_up_workspace
from tracker_server.query import Query
from tracker_server.workspace import Workspace

from .conftest import Command
from .test_load import truth
from .truth import assert_tables_equal

CLAMPED = {"stories": 7, "activity": 20, "releases": 2}


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(limits=CLAMPED),
        Behaviour(limits=CLAMPED, total="null"),
        Behaviour(limits=CLAMPED, total="absent"),
        Behaviour(limits=CLAMPED, total="too_large"),
        Behaviour(limits=CLAMPED, pagination_headers=False),
    ],
    ids=["clamped", "total null", "total absent", "total too large", "no headers"],
)
def test_every_row_once(behaviour: Behaviour, command: Command, server: TrackerServer) -> None:
    expected = truth(server)
    server.behaviour = behaviour
    result = command("--resource", *CLAMPED)
    assert result.returncode == 0, result.stderr
    loaded = command.tables()
    paged = {name: rows for name, rows in expected.items() if name.split("__")[0] in CLAMPED}
    assert paged.keys() >= CLAMPED.keys()
    assert_tables_equal({name: loaded[name] for name in paged}, paged)


@pytest.mark.parametrize(
    ("offset", "returned", "limit", "total", "following"),
    [
        (0, 5, 5, 23, [5, 10, 15, 20]),
        # the limit that was asked for, said again
        (0, 5, 500, 23, [5, 10, 15, 20]),
        (0, 5, 500, None, [5]),
        (20, 3, 500, None, [23]),
        (0, 23, 500, 23, []),
        (20, 0, 5, None, []),
    ],
)
def test_pages_follow_one_another_without_a_gap(
    offset: int, returned: int, limit: int, total: int | None, following: list[int]
) -> None:
    page = Page("", {}, b"", offset, limit, total, version=None, is_paged=True)
    assert list(page.following_offsets(returned)) == following


def test_a_list_whose_last_page_comes_again_and_again_has_ended(
    command: Command, server: TrackerServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As from a server that takes an offset beyond the end for the last one."""
    server.behaviour = Behaviour(limits={"stories": 7}, pagination_headers=False)
    within = Query.integer

    def clamped(query: Query, name: str) -> int | None:
        number = within(query, name)
        return min(number, 35) if name == "offset" and number is not None else number

    monkeypatch.setattr(Query, "integer", clamped)
    result = command("--resource", "stories")
    assert result.returncode == 0, result.stderr
    stories = {s for project in server.workspace.projects.values() for s in project.stories}
    assert {row["id"] for row in command.tables()["stories"]} == stories
    assert len(server.requests) < 100


def test_a_limit_is_never_asked_of_an_unpaged_endpoint(
    command: Command, server: TrackerServer
) -> None:
    assert command().returncode == 0
    assert all(request.status == 200 for request in server.requests)
    for request in server.requests:
        if request.path.rsplit("/", 1)[1] in ("projects", "epics", "labels", "memberships"):
            assert "limit" not in request.query
            assert "offset" not in request.query


@pytest.mark.parametrize("pagination_headers", [True, False])
def test_a_server_that_ignores_the_offset_is_not_read_for_ever(
    pagination_headers: bool, command: Command, serve: Callable[[Workspace], TrackerServer]
) -> None:
    server = serve(made_up_workspace(projects=1, stories=30, activity=30, seed=2))
    server.behaviour = Behaviour(
        limits={"stories": 10}, ignores_offset=True, pagination_headers=pagination_headers
    )
    result = command("--resource", "stories")
    assert result.returncode == 0, result.stderr
    ids = [row["id"] for row in command.tables()["stories"]]
    assert len(ids) == len(set(ids)) == 10
    assert len(server.requests) < 10


def test_a_total_beyond_all_reason_is_not_believed(
    command: Command, serve: Callable[[Workspace], TrackerServer]
) -> None:
    server = serve(made_up_workspace(projects=1, stories=30, activity=30, seed=2))
    server.behaviour = Behaviour(limits={"stories": 10}, total="too_large")
    assert command("--resource", "stories").returncode == 0
    assert len(command.tables()["stories"]) == 30
    assert len(server.requests) < 50
