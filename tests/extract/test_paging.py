"""Pages as servers really cut them: clamped, miscounted, without headers, or always the same."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from pivotal_tracker.api.client import Page
from tracker_server import Behaviour, Request
from tracker_server.faults import InflatedTotal, NoTotal, WrongTotal
from tracker_server.sample import generate_workspace
from tracker_server.workspace import Workspace

from ..support.command import new_command, serving
from ..support.forking import Forking
from ..support.truth import Tables, assert_tables_equal, of_project
from .test_load import truth

CLAMPED = {"stories": 7, "activity": 20, "releases": 1}
WELL_PAGED = {
    "clamped": Behaviour(max_limits=CLAMPED),
    "total null": Behaviour(max_limits=CLAMPED, faults=[WrongTotal(None)]),
    "total absent": Behaviour(max_limits=CLAMPED, faults=[NoTotal()]),
    "total too large": Behaviour(max_limits=CLAMPED, faults=[InflatedTotal()]),
    "no headers": Behaviour(max_limits=CLAMPED, pagination_headers=False),
}
IGNORING_THE_OFFSET = {
    "offset ignored": Behaviour(max_limits={"stories": 10}, ignores_offset=True),
    "offset ignored, no headers": Behaviour(
        max_limits={"stories": 10}, ignores_offset=True, pagination_headers=False
    ),
}
UNPAGED = ("projects", "epics", "labels", "memberships")
LAST_PAGE_AGAIN = "last page again and again"
PAGED = {
    **WELL_PAGED,
    **IGNORING_THE_OFFSET,
    LAST_PAGE_AGAIN: Behaviour(
        max_limits={"stories": 7}, pagination_headers=False, repeats_last_page=True
    ),
}


@dataclass
class PagedLoad:
    """One project, whose lists were paged in a way of their own.

    Attributes:
        held: What the server has of it, in the tables of the lists that were loaded.
        loaded: What was loaded of it.
        requests: What that took, the list of projects included.
    """

    held: Tables
    loaded: Tables
    requests: list[Request]

    @property
    def story_ids(self) -> list[int]:
        """The stories that were loaded."""
        return [row["id"] for row in self.loaded["stories"]]


@pytest.fixture(scope="module")
def paged(forking: Forking, tmp_path_factory: pytest.TempPathFactory) -> dict[str, PagedLoad]:
    """Projects loaded together, each by its way of paging."""
    workspace = generate_workspace(projects=len(PAGED), stories=40, activity=60, seed=7)
    command = new_command(forking, tmp_path_factory.mktemp("paged") / "run")
    places = {f"/projects/{project_id}/": way for way, project_id in _by_way(workspace)}

    def page_in_its_way(path: str, _: dict[str, str]) -> None:
        way = next((way for place, way in places.items() if place in path), "")
        server.behaviour.__dict__.update(vars(PAGED.get(way, Behaviour())))

    with serving(workspace, command) as server:
        held = truth(server)
        server.requests.clear()
        server.before_request = page_in_its_way
        result = command("--resource", *CLAMPED, "epics", "labels", "project_memberships")
        # a total that is too large leaves lists incomplete
        assert result.returncode == 3, result.stderr
        assert f"of project {_project(workspace, 'total too large')}" in result.stdout
    loaded = command.tables()
    return {
        way: PagedLoad(
            _lists_of(project_id, held),
            _lists_of(project_id, loaded),
            [one for one in server.requests if _is_of(project_id, one)],
        )
        for way, project_id in _by_way(workspace)
    }


def _is_of(project_id: int, request: Request) -> bool:
    """Whether a request is for a project or for the list of them."""
    return request.path.endswith("/projects") or f"/projects/{project_id}/" in request.path


def _project(workspace: Workspace, way: str) -> int:
    return dict(_by_way(workspace))[way]


def _by_way(workspace: Workspace) -> list[tuple[str, int]]:
    return list(zip(PAGED, workspace.projects, strict=True))


def _lists_of(project_id: int, tables: Tables) -> Tables:
    """What the lists that are paged hold of a project."""
    of_it = of_project(tables, project_id)
    return {name: rows for name, rows in of_it.items() if name.split("__")[0] in CLAMPED}


@pytest.mark.parametrize("way", WELL_PAGED)
def test_every_row_once(way: str, paged: dict[str, PagedLoad]) -> None:
    project = paged[way]
    for name, limit in CLAMPED.items():
        assert len(project.held[name]) > limit, name
    assert_tables_equal(project.loaded, project.held)
    # a total beyond all reason is not believed
    assert len(project.requests) < 50


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
    paged: dict[str, PagedLoad],
) -> None:
    project = paged[LAST_PAGE_AGAIN]
    assert set(project.story_ids) == {row["id"] for row in project.held["stories"]}
    assert len(project.held["stories"]) == 40
    assert len(project.requests) < 35


def test_a_limit_is_never_asked_of_an_unpaged_endpoint(paged: dict[str, PagedLoad]) -> None:
    for project in paged.values():
        for name in UNPAGED:
            (request,) = [one for one in project.requests if one.path.endswith(f"/{name}")]
            assert request.status == 200
            assert not {"limit", "offset"} & set(request.query)


@pytest.mark.parametrize("way", IGNORING_THE_OFFSET)
def test_a_server_that_ignores_the_offset_is_not_read_for_ever(
    way: str, paged: dict[str, PagedLoad]
) -> None:
    ids = paged[way].story_ids
    assert len(ids) == len(set(ids)) == 10
    assert len(paged[way].requests) < 14
