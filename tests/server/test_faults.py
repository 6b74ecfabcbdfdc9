"""Each fault of `tracker_server` changes responses as its name says, and nothing else."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tracker_server import Behaviour, TrackerServer
from tracker_server.faults import (
    TRANSIENT_FAULTS,
    Body,
    ByteOrderMark,
    DeepValue,
    EchoToken,
    EmptyList,
    EmptyPage,
    ExtraAttributes,
    Fault,
    GzipBomb,
    HalfJson,
    HtmlPage,
    InflatedTotal,
    InvalidUtf8,
    LargeBody,
    LimitTooHigh,
    LongNumber,
    MissingRows,
    NoTotal,
    RandomFaults,
    Redirect,
    ResetConnection,
    SetAttribute,
    ShortLaterPages,
    SlowBody,
    Stall,
    Status,
    TooManyRequests,
    TruncatedBody,
    WrongTotal,
)
from tracker_server.faults.parsing import FAULTS, parse_fault
from tracker_server.messages import Request
from tracker_server.sample import generate_workspace

from ..support.api_client import Api, paging, small_api

FEEDS = pytest.mark.parametrize("missing", [set(), {"activity"}], ids=["feed", "no feed"])


@pytest.fixture
def api() -> Iterator[Api]:
    """A client of a server of a small workspace."""
    with small_api() as api:
        yield api


def set_faults(api: Api, *faults: Fault) -> None:
    """Replace the faults of the server."""
    api.server.behaviour.faults = faults


def ids(records: list[dict[str, Any]]) -> list[int]:
    return [record["id"] for record in records]


@FEEDS
@pytest.mark.parametrize("status", [204, 400, 402, 403, 404, 405, 410, 418, 429, 500, 503, 599])
def test_status_for_one_endpoint_one_project_or_everything(
    status: int, missing: set[str], api: Api
) -> None:
    first, second = api.workspace.projects
    lists = [f"/projects/{project}/{name}" for project in (first, second) for name in ("labels",)]
    api.server.behaviour.unsupported_endpoints = missing
    set_faults(api, Status(status, endpoints={"labels"}))
    assert {api.fetch(path).status_code for path in lists} == {status}
    assert api.get(f"/projects/{first}/epics")
    set_faults(api, Status(status, projects={second}))
    story = next(iter(api.workspace.projects[second].stories))
    assert [api.fetch(path).status_code for path in lists] == [200, status]
    assert api.fetch(f"/stories/{story}").status_code == status
    assert api.get("/projects")
    set_faults(api, Status(status))
    assert api.fetch("/me").status_code == status
    assert api.server.requests[-1].status == status


def test_status_of_a_list_spares_its_single_records(api: Api) -> None:
    set_faults(api, Status(404, endpoints={"/projects/{id}/stories"}))
    assert api.fetch(f"{api.path}/stories").status_code == 404
    assert api.get(f"{api.path}/stories/{next(iter(api.project.stories))}")


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Status(403), "unauthorized_operation"),
        (Status(404), "route_not_found"),
        (Status(404, code="unfound_resource"), "unfound_resource"),
        (Status(404, code=""), ""),
        (Status(500), "unhandled_condition"),
        (Status(418), "i'm_a_teapot"),
    ],
    ids=repr,
)
def test_status_has_an_error_body(fault: Status, code: str, api: Api) -> None:
    set_faults(api, fault)
    assert api.error("/me")[:2] == (fault.status, code)


def test_after_and_times_count_requests_to_each_path(api: Api) -> None:
    set_faults(api, Status(500, after=1, times=2))
    for path in ("/me", "/projects"):
        assert [api.fetch(path).status_code for _ in range(5)] == [200, 500, 500, 200, 200]


def test_params_and_where_choose_requests(api: Api) -> None:
    set_faults(
        api,
        Status(504, params={"updated_after"}),
        Status(500, where=lambda request: int(request.query.get("limit", 0)) > 50),
    )
    path = f"{api.path}/stories"
    assert api.fetch(path, updated_after="2024-01-01T00:00:00Z").status_code == 504
    assert api.fetch(path, limit=51).status_code == 500
    assert api.get(path, limit=50)


def test_limit_too_high_gets_504(api: Api) -> None:
    set_faults(api, LimitTooHigh(max_limit=50, endpoints={"stories"}))
    path = f"{api.path}/stories"
    assert api.fetch(path, limit=51).status_code == 504
    assert len(api.get(path, limit=50)) == 50
    assert api.get(path)


@FEEDS
def test_empty_list_once_and_permanently(missing: set[str], api: Api) -> None:
    api.server.behaviour.unsupported_endpoints = missing
    path = f"{api.path}/labels"
    labels = api.get(path)
    set_faults(api, EmptyList(endpoints={"labels"}, times=1))
    assert [api.get(path) for _ in range(2)] == [[], labels]
    set_faults(api, EmptyList(projects={api.project.record["id"]}))
    for name in ("labels", "stories", "epics", "memberships", "releases", "iterations"):
        assert [api.get(f"{api.path}/{name}") for _ in range(2)] == [[], []]
    assert paging(api.fetch(f"{api.path}/stories"))["Total"] == "0"
    assert api.get(f"{api.path}/history/days")["data"] == []
    assert api.get(api.path)["id"] == api.project.record["id"]
    set_faults(api, EmptyList(endpoints={"accounts", "workspaces"}))
    assert api.get("/accounts") == api.get("/my/workspaces") == []


def test_missing_rows_and_projects(api: Api) -> None:
    first, second = api.workspace.projects
    set_faults(api, MissingRows(ids={first}, endpoints={"projects"}))
    assert ids(api.get("/projects")) == [second]
    assert api.get(f"/projects/{first}")["id"] == first
    set_faults(api, MissingRows(share=0.75, endpoints={"stories"}))
    response = api.fetch(f"{api.path}/stories")
    assert ids(response.json()) == list(api.project.stories)[:15]
    assert paging(response)["Total"] == "15"


def test_later_pages_shorter_than_the_first(api: Api) -> None:
    api.server.behaviour.max_limits["stories"] = 5
    set_faults(api, ShortLaterPages(limit=2))
    path, order = f"{api.path}/stories", list(api.project.stories)
    first, second = api.fetch(path), api.fetch(path, offset=5)
    assert (ids(first.json()), ids(second.json())) == (order[:5], order[5:7])
    assert paging(first) == {"Total": "60", "Limit": "5", "Offset": "0", "Returned": "5"}
    assert paging(second) == {"Total": "60", "Limit": "2", "Offset": "5", "Returned": "2"}


def test_one_empty_page_in_the_middle(api: Api) -> None:
    set_faults(api, EmptyPage(after=1))
    path, order = f"{api.path}/stories", list(api.project.stories)
    pages = [api.fetch(path, limit=20, offset=offset) for offset in (0, 20, 40, 40)]
    assert [ids(page.json()) for page in pages] == [order[:20], order[20:40], [], order[40:]]
    assert paging(pages[2]) == {"Total": "60", "Limit": "20", "Offset": "40", "Returned": "0"}


@pytest.mark.parametrize(
    ("fault", "header", "total"),
    [
        (WrongTotal(None), "", None),
        (WrongTotal(10**19), str(10**19), 10**19),
        (WrongTotal(3), "3", 3),
        (InflatedTotal(), "165", 165),
    ],
    ids=repr,
)
def test_wrong_totals(fault: Fault, header: str, total: int | None, api: Api) -> None:
    set_faults(api, fault)
    path = f"{api.path}/stories"
    assert paging(api.fetch(path))["Total"] == header
    assert api.get(path, envelope="true")["pagination"]["total"] == total
    set_faults(api, NoTotal())
    assert "Total" not in paging(api.fetch(path))


def test_values_of_the_wrong_type(api: Api) -> None:
    commented = next(s for s in api.project.stories.values() if s["comments"] and s["transitions"])
    good, bad = next(iter(api.project.stories)), commented["id"]
    path, fields = f"{api.path}/stories", ":default,comments,transitions"
    before = {story["id"]: story for story in api.get(path, fields=fields)}
    set_faults(
        api,
        SetAttribute("comments.0.id", "abc", record_ids={bad}),
        SetAttribute("transitions.*.project_version", [1], record_ids={bad}),
        SetAttribute("estimate", "abc", record_ids={bad}),
        SetAttribute("reviews.0.id", "not set", record_ids={bad}),
        SetAttribute("projectId", 77, record_ids={good}),
        SetAttribute("ID", 5, record_ids={good}),
        SetAttribute("id", "first", record_ids={good}),
    )
    (first, *others) = api.get(path, fields=fields)
    assert first == before.pop(good) | {"projectId": 77, "ID": 5, "id": "first"}
    wrong = next(story for story in others if story["id"] == bad)
    assert wrong.pop("estimate") == "abc"
    assert wrong["comments"][0]["id"] == "abc"
    assert {tuple(transition["project_version"]) for transition in wrong["transitions"]} == {(1,)}
    assert "reviews" not in wrong
    assert [story for story in others if story["id"] != bad] == [
        story for story_id, story in before.items() if story_id != bad
    ]
    set_faults(api)
    assert next(s for s in api.get(path, fields=fields) if s["id"] == bad) == before[bad]


def test_values_of_activity_and_history_can_be_changed(api: Api) -> None:
    guid = api.project.activity[-1]["guid"]
    set_faults(api, SetAttribute("project_version", "x", record_ids={guid}))
    assert api.get(f"{api.path}/activity", limit=2)[0]["project_version"] == "x"
    set_faults(api, SetAttribute("data.0.1", "x", endpoints={"history_days"}))
    assert api.get(f"{api.path}/history/days")["data"][0][1] == "x"


@pytest.mark.parametrize("depth", [900, 10_000])
def test_records_nested_too_deep(depth: int, api: Api) -> None:
    set_faults(api, DeepValue(depth=depth))
    body = api.fetch("/me").content
    assert b'"extra":' + b"[" * depth + b"]" * depth in body


def test_long_numbers_and_invalid_utf8(api: Api) -> None:
    story = next(iter(api.project.stories))
    set_faults(api, LongNumber(digits=400), InvalidUtf8())
    body = api.fetch(f"/stories/{story}").content
    assert b'"estimate":' + b"9" * 400 in body
    assert b'"name":"caf\xe9"' in body


def test_thousands_of_new_attributes(api: Api) -> None:
    set_faults(api, ExtraAttributes(count=3000, endpoints={"labels"}))
    label = api.get(f"{api.path}/labels")[0]
    assert sum(name.startswith("extra_") for name in label) == 3000


def test_several_faults_change_the_same_response(api: Api) -> None:
    set_faults(
        api, ByteOrderMark(), MissingRows(share=0.5), SetAttribute("mood", "good"), NoTotal()
    )
    response = api.fetch(f"{api.path}/stories", fields="id")
    assert "Total" not in paging(response)
    assert response.content[:3] == b"\xef\xbb\xbf"
    stories = json.loads(response.content.decode("utf-8-sig"))
    assert len(stories) == 30
    assert {story["mood"] for story in stories} == {"good"}


def test_bodies_that_are_not_json(api: Api) -> None:
    set_faults(api, Body(b'{"a": tru'))
    assert api.fetch("/me").content == b'{"a": tru'
    set_faults(api, HtmlPage())
    page = api.fetch("/me")
    assert (page.status_code, page.headers["Content-Type"][:9]) == (200, "text/html")
    set_faults(api, HalfJson())
    with pytest.raises(requests.exceptions.JSONDecodeError):
        api.fetch("/me").json()


def test_gzip_bomb(api: Api) -> None:
    set_faults(api, GzipBomb(size=64 << 20))
    with api.session.get(f"{api.server.url}/me", stream=True, timeout=5) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        packed = response.raw.read(decode_content=False)
    assert len(packed) < 100_000
    unpacked = gzip.decompress(packed)
    assert len(unpacked) == (64 << 20) + 2
    assert json.loads(unpacked) == []


def test_large_body(api: Api) -> None:
    set_faults(api, LargeBody(size=5_000_000))
    response = api.fetch("/me")
    assert len(response.content) > 5_000_000
    assert response.json()["kind"] == "me"


def test_slow_body(api: Api) -> None:
    set_faults(api, Body(b"12345"), SlowBody(interval=0.05))
    begin = time.monotonic()
    assert api.get("/me") == 12345
    assert time.monotonic() - begin > 0.2


def test_redirects(api: Api) -> None:
    set_faults(api, Redirect("http://127.0.0.1:9/elsewhere"))
    response = api.session.get(f"{api.server.url}/me", allow_redirects=False, timeout=5)
    assert response.status_code == 302
    assert response.headers["Location"] == "http://127.0.0.1:9/elsewhere"
    set_faults(api, Redirect())
    response = api.fetch("/me")
    assert response.status_code == 302
    assert "Location" not in response.headers


def test_retry_after(api: Api) -> None:
    set_faults(api, TooManyRequests(retry_after=86400))
    response = api.fetch("/me")
    assert (response.status_code, response.headers["Retry-After"]) == (429, "86400")
    set_faults(api, TooManyRequests())
    assert "Retry-After" not in api.fetch("/me").headers
    set_faults(api, Status(503, headers={"Retry-After": "7"}))
    assert api.fetch("/me").headers["Retry-After"] == "7"


def test_token_in_an_error(api: Api) -> None:
    set_faults(api, EchoToken())
    status, _, problem = api.error("/me")
    assert status == 500
    assert api.workspace.me["api_token"] in problem


def test_connections_that_break(api: Api) -> None:
    for fault, error in (
        (TruncatedBody(), requests.exceptions.ChunkedEncodingError),
        (ResetConnection(), requests.ConnectionError),
        (Stall(seconds=0.1), requests.ConnectionError),
    ):
        set_faults(api, fault)
        with pytest.raises(error):
            api.fetch("/me")
    assert [request.status for request in api.server.requests] == [200, None, None]
    set_faults(api, Stall(seconds=30))
    with pytest.raises(requests.ReadTimeout):
        api.session.get(f"{api.server.url}/me", timeout=0.3)


def test_file_downloads_can_fail(api: Api) -> None:
    set_faults(api, Status(410, endpoints={"file_attachments"}))
    site = api.server.url.removesuffix("/services/v5")
    url = f"{site}/file_attachments/1/download"
    assert api.session.get(url, timeout=5).status_code == 410


def test_random_faults_are_the_same_for_the_same_seed() -> None:
    def drawn(seed: int) -> list[Fault | None]:
        faults = RandomFaults(0.5, seed=seed)
        requested = (Request("GET", f"/{number % 5}", {}, {}) for number in range(200))
        return [next(iter(faults.select(request)), None) for request in requested]

    assert drawn(1) == drawn(1) != drawn(2)
    failed = [fault for fault in drawn(1) if fault]
    assert 60 < len(failed) < 120
    assert all(fault in failed for fault in TRANSIENT_FAULTS)
    always = RandomFaults(1, (Status(500),), max_in_a_row=2)
    request = Request("GET", "/me", {}, {})
    assert [len(always.select(request)) for _ in range(6)] == [1, 1, 0] * 2


def test_random_faults_over_http(api: Api) -> None:
    set_faults(api, RandomFaults(1, (Status(503),), endpoints={"me"}, max_in_a_row=1))
    assert [api.fetch("/me").status_code for _ in range(3)] == [503, 200, 503]
    assert api.get("/projects")


def test_ending_the_server_does_not_wait_for_a_stalled_request() -> None:
    workspace = generate_workspace(projects=1, stories=5, activity=5)
    with TrackerServer(workspace, behaviour=Behaviour(faults=[Stall(seconds=60)])) as server:
        errors: list[str] = []

        def ask() -> None:
            try:
                Api(server).fetch("/me")
            except requests.RequestException as error:
                errors.append(type(error).__name__)

        thread = threading.Thread(target=ask)
        thread.start()
        while not server.requests:
            time.sleep(0.01)
        begin = time.monotonic()
    thread.join()
    assert time.monotonic() - begin < 3
    assert errors == ["ConnectionError"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("html_page", HtmlPage()),
        ("invalid_utf8", InvalidUtf8()),
        (
            "status:status=403,endpoints=labels+epics,projects=1+2,times=1",
            Status(403, endpoints=["labels", "epics"], projects=[1, 2], times=1),
        ),
        ("slow_body:interval=2,chunk_size=10", SlowBody(chunk_size=10, interval=2)),
        ("wrong_total:total=null", WrongTotal(None)),
        (
            "set_attribute:attribute=comments.0.id,value=abc,record_ids=5",
            SetAttribute("comments.0.id", "abc", record_ids=[5]),
        ),
    ],
)
def test_faults_on_the_command_line(text: str, fault: Fault) -> None:
    assert parse_fault(text) == fault


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("earthquake", "there is no fault 'earthquake'"),
        ("status:colour=red", "status has no 'colour'"),
        ("status:status=high", "status must be of type int, not 'high'"),
        ("status:where=x", "status has no 'where'"),
    ],
)
def test_invalid_faults_on_the_command_line(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_fault(text)


def test_every_fault_is_documented_and_has_a_name_on_the_command_line() -> None:
    from tracker_server import faults

    public = {name for name in faults.__all__ if name[0].isupper() and not name.isupper()}
    assert {kind.__name__ for kind in FAULTS.values()} == public - {"Fault"}
    for name in public - {"Fault"}:
        assert f"`{name}(" in (faults.__doc__ or ""), name
