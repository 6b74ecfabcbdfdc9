"""Paging: lowered limits, wrong totals, missing headers, ignored offsets, repeated pages."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from pivotal_tracker.api.pages import Page
from pivotal_tracker.settings import Endpoint
from tracker_server import Behaviour, Request
from tracker_server.faults import InflatedTotal, NoTotal, WrongTotal
from tracker_server.sample import generate_workspace
from tracker_server.workspace import Workspace

from ..support.command import new_command, serving
from ..support.forking import ForkServer
from ..support.truth import Tables, assert_tables_equal, of_project, served_tables

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
LAST_PAGE_AGAIN = "last page repeated"
PAGED = {
    **WELL_PAGED,
    **IGNORING_THE_OFFSET,
    LAST_PAGE_AGAIN: Behaviour(
        max_limits={"stories": 7}, pagination_headers=False, repeats_last_page=True
    ),
}


@dataclass
class PagedLoad:
    """The load of one project, whose lists were paged in one style.

    Attributes:
        served: Its rows on the server, in the tables of the paged lists.
        loaded: Its loaded rows.
        requests: The requests for it and for the list of projects.
    """

    served: Tables
    loaded: Tables
    requests: list[Request]

    @property
    def story_ids(self) -> list[int]:
        """The ids of the loaded stories."""
        return [row["id"] for row in self.loaded["stories"]]


@pytest.fixture(scope="module")
def paged(
    fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, PagedLoad]:
    """Load projects together, each with its own style of paging."""
    workspace = generate_workspace(projects=len(PAGED), stories=40, activity=60, seed=7)
    command = new_command(fork_server, tmp_path_factory.mktemp("paged") / "run")
    places = {
        f"/projects/{project_id}/": style for style, project_id in _projects_by_style(workspace)
    }

    def set_paging_style(path: str, _: dict[str, str]) -> None:
        style = next((style for place, style in places.items() if place in path), "")
        server.behaviour.__dict__.update(vars(PAGED.get(style, Behaviour())))

    with serving(workspace, command) as server:
        served = served_tables(server)
        server.requests.clear()
        server.before_request = set_paging_style
        result = command("--resource", *CLAMPED, "epics", "labels", "project_memberships")
        # a total that is too large makes lists incomplete
        assert result.returncode == 3, result.stderr
        assert f"of project {_project(workspace, 'total too large')}" in result.stdout
    loaded = command.tables()
    return {
        style: PagedLoad(
            _paged_tables(project_id, served),
            _paged_tables(project_id, loaded),
            [request for request in server.requests if _is_of(project_id, request)],
        )
        for style, project_id in _projects_by_style(workspace)
    }


def _is_of(project_id: int, request: Request) -> bool:
    """Check whether a request is for a project or for the list of them."""
    return request.path.endswith("/projects") or f"/projects/{project_id}/" in request.path


def _project(workspace: Workspace, style: str) -> int:
    return dict(_projects_by_style(workspace))[style]


def _projects_by_style(workspace: Workspace) -> list[tuple[str, int]]:
    return list(zip(PAGED, workspace.projects, strict=True))


def _paged_tables(project_id: int, tables: Tables) -> Tables:
    """Return the rows of a project in the tables of the paged lists."""
    rows_of_project = of_project(tables, project_id)
    return {name: rows for name, rows in rows_of_project.items() if name.split("__")[0] in CLAMPED}


@pytest.mark.parametrize("style", WELL_PAGED)
def test_each_row_is_loaded_once(style: str, paged: dict[str, PagedLoad]) -> None:
    project = paged[style]
    for name, limit in CLAMPED.items():
        assert len(project.served[name]) > limit, name
    assert_tables_equal(project.loaded, project.served)
    # a total that is too large does not cause endless requests
    assert len(project.requests) < 50


@pytest.mark.parametrize(
    ("offset", "returned", "limit", "total", "expected"),
    [
        (0, 5, 5, 23, [5, 10, 15, 20]),
        # the server returns fewer rows than requested
        (0, 5, 500, 23, [5, 10, 15, 20]),
        (0, 5, 500, None, [5]),
        (20, 3, 500, None, [23]),
        (0, 23, 500, 23, []),
        (20, 0, 5, None, []),
    ],
)
def test_pages_have_no_gaps(
    offset: int, returned: int, limit: int, total: int | None, expected: list[int]
) -> None:
    endpoint = Endpoint("stories", limit=limit)
    page = Page(endpoint, "stories", {}, b"", offset, total, version=None)
    assert list(page.next_offsets(returned)) == expected


def test_repeated_last_page_ends_the_list(
    paged: dict[str, PagedLoad],
) -> None:
    project = paged[LAST_PAGE_AGAIN]
    assert set(project.story_ids) == {row["id"] for row in project.served["stories"]}
    assert len(project.served["stories"]) == 40
    assert len(project.requests) < 35


def test_unpaged_endpoints_get_no_limit_parameter(paged: dict[str, PagedLoad]) -> None:
    for project in paged.values():
        for name in UNPAGED:
            (request,) = [
                request for request in project.requests if request.path.endswith(f"/{name}")
            ]
            assert request.status == 200
            assert not {"limit", "offset"} & set(request.query)


@pytest.mark.parametrize("style", IGNORING_THE_OFFSET)
def test_ignored_offset_does_not_cause_endless_requests(
    style: str, paged: dict[str, PagedLoad]
) -> None:
    ids = paged[style].story_ids
    assert len(ids) == len(set(ids)) == 10
    assert len(paged[style].requests) < 14
