"""`tracker_server` follows the rules of API v5; `test_faults` tests how it misbehaves."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from pivotal_tracker import settings
from tracker_server import Behaviour, TrackerServer
from tracker_server.__main__ import main
from tracker_server.endpoints import ENDPOINTS
from tracker_server.faults import InflatedTotal, NoTotal, WrongTotal
from tracker_server.fields import make_serializer, parse_fields
from tracker_server.workspace import Record, Workspace

from ..support.api_client import Api, paging, small_api
from ..support.forking import ForkServer, wait_for
from ..support.recorded import PROJECT_ID, RECORDED, recorded, recorded_workspace

EVERY_ADDRESS = "0.0.0.0"  # noqa: S104 - for a moment
ROOT = Path(__file__).parents[2]
NESTED = (
    ":default,comments(:default,file_attachments(id,filename),google_attachments),tasks,blockers,"
    "reviews(:default,review_type),transitions,follower_ids,pull_requests,branches,"
    "cycle_time_details"
)


@pytest.fixture
def api() -> Iterator[Api]:
    """A client of a server of a small workspace."""
    with small_api() as api:
        yield api


def ids(records: list[Record]) -> list[int]:
    return [record["id"] for record in records]


def requested_endpoints() -> list[settings.Endpoint]:
    """All endpoints that the source can request."""
    found = [*settings.PROJECT_ENDPOINTS.values(), *vars(settings).values()]
    return [value for value in found if isinstance(value, settings.Endpoint)]


@pytest.mark.parametrize("endpoint", requested_endpoints(), ids=lambda each: each.path)
def test_the_server_has_every_endpoint_of_the_source(endpoint: settings.Endpoint) -> None:
    template = "/" + re.sub(r"\{\w+\}", "{id}", endpoint.path)
    assert template in ENDPOINTS, f"add {template} to tracker_server/endpoints.py"
    served = ENDPOINTS[template]
    # raises an error that names the field that is missing in tracker_server/record_types.py
    make_serializer(served.record_type, parse_fields(",".join(endpoint.fields)))
    missing = endpoint.params.keys() - served.all_params
    assert not missing, f"add the parameters {missing} to tracker_server/endpoints.py"


def test_every_endpoint_responds(api: Api) -> None:
    project = api.project
    story = next(s for s in project.stories.values() if s["comments"])["id"]
    comment = project.stories[story]["comments"][0]["id"]
    epic, label, release = (
        next(iter(project.epics)),
        next(iter(project.labels)),
        next(s["id"] for s in project.stories.values() if s["story_type"] == "release"),
    )
    account, workspace = next(iter(api.workspace.accounts)), next(iter(api.workspace.workspaces))
    below_project = [
        *("stories", "epics", "labels", "memberships", "releases", "iterations", "activity"),
        *("story_transitions", "history/days", "review_types", f"epics/{epic}", f"labels/{label}"),
        *(f"epics/{epic}/comments", f"epics/{epic}/activity", f"releases/{release}"),
        *(f"releases/{release}/stories", "iterations/1", "history/iterations/1/days"),
        *("iterations/1/analytics/cycle_time_details", f"stories/{story}"),
        *(f"stories/{story}/{name}" for name in ("comments", "tasks", "labels", "owners")),
        *(f"stories/{story}/{name}" for name in ("blockers", "reviews", "transitions", "activity")),
        f"stories/{story}/comments/{comment}",
    ]
    for path in (
        *("/me", "/projects", api.path, f"/stories/{story}", f"/epics/{epic}", "/my/activity"),
        *("/my/workspaces", f"/my/workspaces/{workspace}", "/accounts", f"/accounts/{account}"),
        *(f"/accounts/{account}/memberships", "/account_summaries"),
        *(f"{api.path}/{name}" for name in below_project),
    ):
        response = api.fetch(path)
        assert response.status_code == 200, path
        assert isinstance(response.json(), list | dict), path
        in_project = path.startswith(("/projects/", "/stories/", "/epics/"))
        version = str(project.record["version"]) if in_project else None
        assert response.headers.get("X-Tracker-Project-Version") == version, path
    people = api.get("/my/people", project_id=project.record["id"])
    assert {membership["person"]["id"] for membership in people} == {
        membership["person_id"] for membership in project.memberships.values()
    }


@pytest.mark.skipif(not RECORDED.is_dir(), reason="needs the real recordings, which are not here")
def test_responses_equal_the_recorded_ones() -> None:
    def same(cassette: str, path: str, **query: str) -> None:
        assert api.get(f"/projects/{PROJECT_ID}/{path}", **query) == recorded(
            cassette, path, **query
        )

    with TrackerServer(recorded_workspace()) as server:
        api = Api(server)
        same("stories_in_pages_of_7", "stories", limit="300")
        same("stories_in_pages_of_7", "stories", limit="7")
        same("stories_in_pages_of_7", "stories", limit="7", offset="63")
        same("activity", "activity")
        same("releases", "releases")
        shopper = "stories/66728004"
        for children in ("tasks", "reviews", "comments"):
            same("story_children", f"{shopper}/{children}")
        same("story_children", f"{shopper}/reviews", fields=":default,review_type")
        same("story_children", "stories/66728000/transitions")
        assert api.get(f"/projects/{PROJECT_ID}") == recorded("releases")
        assert api.get("/me") == server.workspace.me


def test_fields_select_attributes(api: Api) -> None:
    stories = f"{api.path}/stories"
    assert set(api.get(stories, fields="name,story_type")[0]) == {"id", "name", "story_type"}
    assert "kind" in api.get(stories, fields="kind")[0]
    default = api.get(stories)
    assert not {"tasks", "label_ids", "transitions", "before_id"} & set().union(*default)
    stored = api.project.stories
    for story in api.get(stories, fields=NESTED, limit=500):
        expected = stored[story["id"]]
        for name in ("tasks", "blockers", "transitions", "follower_ids", "pull_requests"):
            assert story[name] == expected[name]
        assert ids(story["labels"]) == expected["label_ids"]
        assert ids(story["comments"]) == ids(expected["comments"])
        for comment in story["comments"]:
            for attachment in comment["file_attachments"]:
                assert set(attachment) == {"id", "filename"}
        for review in story["reviews"]:
            assert review["review_type"]["id"] == review["review_type_id"]
        assert story["cycle_time_details"]["story_id"] == story["id"]
    assert set(api.get(f"{api.path}/epics", fields=":default,label(name)")[0]["label"]) == {
        "id",
        "name",
    }


def test_expansions_replace_ids_as_recorded(api: Api) -> None:
    owned = next(s["id"] for s in api.project.stories.values() if s["owner_ids"])
    story = api.get(f"/stories/{owned}", fields=":default,owned_by,owners")
    assert "owned_by_id" not in story
    assert story["owned_by"]["id"] == story["owner_ids"][0]
    assert ids(story["owners"]) == story["owner_ids"]
    workspace_id = next(iter(api.workspace.workspaces))
    (listed,) = api.get("/my/workspaces", fields=":default,projects(id,name)")
    alone = api.get(f"/my/workspaces/{workspace_id}", fields=":default,projects(id,name)")
    assert listed["project_ids"] == ids(listed["projects"]) == ids(alone["projects"])
    assert "project_ids" not in alone
    project = api.get(api.path, fields=":default,account,epics(label(name)),memberships,labels")
    assert project["account"]["kind"] == "account_summary"
    assert project["account_id"] == project["account"]["id"]
    assert set(project["epics"][0]) == {"id", "label"}
    iteration = api.get(f"{api.path}/iterations/1", fields=":default,story_ids,velocity")
    assert ids(iteration["stories"]) == iteration["story_ids"]


def test_before_id_and_after_id_are_null_at_the_ends(api: Api) -> None:
    stories = api.get(f"{api.path}/stories", fields="before_id,after_id", limit=500)
    order = ids(stories)
    assert [story["after_id"] for story in stories] == [None, *order[:-1]]
    assert [story["before_id"] for story in stories] == [*order[1:], None]


def test_attributes_without_a_value_are_left_out(api: Api) -> None:
    for path in ("stories", "epics", "releases", "memberships", "labels"):
        assert all(None not in record.values() for record in api.get(f"{api.path}/{path}"))
    completed = [
        epic
        for epic in api.get(f"{api.path}/epics", fields=":default,completed_at,label_id")
        if "completed_at" in epic
    ]
    for epic in completed:
        carried = [s for s in api.project.stories.values() if epic["label_id"] in s["label_ids"]]
        assert epic["completed_at"] == max(story["accepted_at"] for story in carried)


@pytest.mark.parametrize(
    ("path", "query", "problem"),
    [
        ("/stories", {"fields": "name,nonsense"}, "nonsense"),
        ("/stories", {"fields": "name("}, "fields"),
        ("/stories", {"fields": "a(" * 1000}, "'fields' must not be nested more than 20 deep"),
        ("/stories", {"fields": "comments(" * 300 + "id" + ")" * 300}, "20 deep"),
        ("/stories", {"fields": "name(id)"}, "name"),
        ("/stories", {"colour": "red"}, "this endpoint cannot accept the parameter: colour"),
        ("/stories", {"limit": "many"}, "'limit' must be an integer value"),
        ("/stories", {"limit": "0"}, "limit"),
        ("/stories", {"offset": "9" * 5000}, "'offset' must be an integer value"),
        ("/stories", {"offset": "-1"}, "offset"),
        ("/stories", {"limit": "9" * 5000}, "'limit' must be an integer value"),
        ("/stories", {"updated_after": "9" * 5000}, "'updated_after' must be a time value"),
        ("/stories/bulk", {"ids": "9" * 5000}, "'ids' must be an integer value"),
        ("/activity", {"since_version": "9" * 5000}, "'since_version' must be an integer value"),
        ("/stories", {"updated_after": "yesterday"}, "'updated_after' must be a time value"),
        ("/stories", {"with_state": "lost"}, "'with_state' must be one of"),
        ("/stories/bulk", {}, "this endpoint requires the parameter: ids"),
        ("/stories/bulk", {"ids": ",".join(["7"] * 501)}, "500"),
        ("/epics", {"limit": "10"}, "this endpoint cannot accept the parameter: limit"),
        ("/labels", {"offset": "10"}, "this endpoint cannot accept the parameter: offset"),
        ("/activity", {"sort_order": "up"}, "sort_order"),
        ("/iterations", {"scope": "past"}, "scope"),
    ],
)
def test_invalid_parameters_get_400(
    path: str, query: dict[str, str], problem: str, api: Api
) -> None:
    status, code, message = api.error(f"{api.path}{path}", **query)
    assert (status, code) == (400, "invalid_parameter")
    assert problem in message


def test_unknown_records_and_paths_get_404(api: Api) -> None:
    for path in (f"{api.path}/stories/1", "/projects/1", "/stories/1", f"{api.path}/epics/1"):
        assert api.error(path)[:2] == (404, "unfound_resource")
    other_story = next(iter(list(api.workspace.projects.values())[1].stories))
    assert api.error(f"{api.path}/stories/{other_story}")[:2] == (404, "unfound_resource")
    for path in ("/nothing", f"{api.path}/nothing", "/projects//stories", "/projects/x/stories"):
        assert api.error(path)[:2] == (404, "route_not_found")
    assert api.error(f"/stories/{'9' * 5000}")[:2] == (404, "route_not_found")
    response = api.session.post(f"{api.server.url}/projects", json={}, timeout=5)
    assert (response.status_code, response.json()["code"]) == (404, "route_not_found")


def test_stories_are_paged(api: Api) -> None:
    stories = f"{api.path}/stories"
    order = list(api.project.stories)
    first = api.fetch(stories, limit=25)
    assert paging(first) == {"Total": "60", "Limit": "25", "Offset": "0", "Returned": "25"}
    assert ids(first.json()) == order[:25]
    last = api.fetch(stories, limit=25, offset=50)
    assert paging(last) == {"Total": "60", "Limit": "25", "Offset": "50", "Returned": "10"}
    beyond = api.fetch(stories, limit=1, offset=9999)
    assert beyond.json() == []
    assert paging(beyond) == {"Total": "60", "Limit": "1", "Offset": "9999", "Returned": "0"}
    assert paging(api.fetch(stories))["Limit"] == "100"
    assert paging(api.fetch(stories, limit=10_000))["Limit"] == "500"
    assert paging(api.fetch(f"{api.path}/iterations"))["Limit"] == "10"
    assert paging(api.fetch(f"{api.path}/iterations", limit=100))["Limit"] == "50"
    assert not paging(api.fetch(f"{api.path}/epics"))


def test_envelope(api: Api) -> None:
    version = api.project.record["version"]
    assert api.get(f"{api.path}/stories", envelope="true", limit=2, fields="id") == {
        "http_status": "200",
        "project_version": version,
        "pagination": {"total": 60, "limit": 2, "offset": 0, "returned": 2},
        "data": [{"id": story_id} for story_id in list(api.project.stories)[:2]],
    }
    labels = api.get(f"{api.path}/labels", envelope="true")
    assert set(labels) == {"http_status", "project_version", "data"}


def test_times_in_milliseconds(api: Api) -> None:
    story = next(s for s in api.project.stories.values() if s.get("accepted_at"))
    given = api.get(f"/stories/{story['id']}", date_format="millis", fields=":default,transitions")
    moment = datetime.fromisoformat(story["accepted_at"])
    assert given["accepted_at"] == moment.timestamp() * 1000
    assert all(isinstance(transition["occurred_at"], int) for transition in given["transitions"])
    assert api.get(api.path, date_format="millis")["start_date"] == api.project.record["start_date"]


def test_iterations(api: Api) -> None:
    path = f"{api.path}/iterations"

    def numbers(**query: Any) -> list[int]:
        return [
            iteration["number"] for iteration in api.get(path, fields="number", limit=50, **query)
        ]

    current = api.project.record["current_iteration_number"]
    (now,) = api.get(path, scope="current")
    assert now["number"] == current
    assert not paging(api.fetch(path, scope="current"))
    assert numbers(scope="done", offset=0)[0] == 1
    assert numbers(scope="backlog") == numbers(scope="current_backlog")[1:]
    assert numbers(scope="current_backlog")[0] == current
    assert paging(api.fetch(path, scope="done_current"))["Total"] == str(current)
    back = api.fetch(path, scope="done", offset=-7, limit=5)
    assert [iteration["number"] for iteration in back.json()] == list(
        range(current - 7, current - 2)
    )
    assert paging(back)["Offset"] == "-7"
    assert numbers(scope="done", offset=-2) == [current - 2, current - 1]
    assert numbers(scope="done", offset=-9999)[0] == 1


def test_stories_can_be_filtered(api: Api) -> None:
    stored = list(api.project.stories.values())
    path = f"{api.path}/stories"
    for query, chosen in (
        ({"with_state": "accepted"}, [s for s in stored if s["current_state"] == "accepted"]),
        ({"with_story_type": "bug"}, [s for s in stored if s["story_type"] == "bug"]),
    ):
        assert chosen
        assert ids(api.get(path, **query)) == ids(chosen)
    label = next(iter(api.project.labels.values()))
    labelled = [s for s in stored if label["id"] in s["label_ids"]]
    assert ids(api.get(path, with_label=label["name"])) == ids(labelled)
    middle = sorted(s["updated_at"] for s in stored)[30]
    later = [s for s in stored if s["updated_at"] > middle]
    assert ids(api.get(path, updated_after=middle)) == ids(later)
    milliseconds = int(datetime.fromisoformat(middle).timestamp() * 1000)
    assert ids(api.get(path, updated_after=milliseconds)) == ids(later)
    earlier = [s for s in stored if s.get("accepted_at", "9") < middle]
    assert ids(api.get(path, accepted_before=middle)) == ids(earlier)


def test_bulk_leaves_out_unknown_stories(api: Api) -> None:
    first, second, third, *_ = api.project.stories
    api.workspace.delete_stories(second)
    requested = f"{third},{second},7,{first}"
    assert ids(api.get(f"{api.path}/stories/bulk", ids=requested)) == [third, first]


def test_activity(api: Api) -> None:
    stored = api.project.activity
    path = f"{api.path}/activity"
    assert api.get(path, limit=500) == stored[::-1]
    assert api.get(path, limit=500, sort_order="asc") == stored
    version = stored[120]["project_version"]
    assert api.get(path, sort_order="asc", since_version=version) == stored[121:]
    moment = stored[100]["occurred_at"]
    between = [item for item in stored if item["occurred_at"] > moment]
    assert api.get(path, sort_order="asc", occurred_after=moment, limit=500) == between
    api.server.behaviour.activity_order = "asc"
    assert api.get(path, limit=500) == stored
    assert api.get(path, limit=500, sort_order="desc") == stored[::-1]
    story = stored[-1]["primary_resources"][0]["id"]
    assert stored[-1] in api.get(f"{api.path}/stories/{story}/activity")
    mine = api.get("/my/activity", limit=500)
    assert {item["performed_by"]["id"] for item in mine} == {api.workspace.me["id"]}


def test_attachments(api: Api) -> None:
    story_id = next(iter(api.project.stories))
    comment = api.workspace.add_comment(
        "see", story_id=story_id, file_attachments=[{"filename": "a b.txt", "content": b"abc"}]
    )
    path = f"{api.path}/stories/{story_id}/comments/{comment['id']}"
    (attachment,) = api.get(path, fields="file_attachments")["file_attachments"]
    (again,) = api.get(path, fields="file_attachments")["file_attachments"]
    assert "X-Amz-Signature" in attachment["big_url"]
    assert attachment["big_url"] != again["big_url"]
    site = api.server.url.removesuffix("/services/v5")
    download = f"{site}{attachment['download_url']}"
    assert api.session.get(download, timeout=5).content == b"abc"
    assert requests.get(download, timeout=5).status_code == 403
    assert api.session.get(f"{site}/file_attachments/1/download", timeout=5).status_code == 404


def test_a_missing_or_wrong_token_is_refused(api: Api) -> None:
    for headers in ({}, {"X-TrackerToken": "0" * 32}):
        response = requests.get(f"{api.server.url}/me", headers=headers, timeout=5)
        assert response.status_code == 403
        assert response.json()["code"] == "invalid_authentication"
    api.server.behaviour = Behaviour(token="another", wrong_token_status=401)
    assert api.error("/me")[:2] == (401, "invalid_authentication")


def test_only_own_projects_are_listed(api: Api) -> None:
    mine, other = api.workspace.projects.values()
    me = api.workspace.me["id"]
    for membership in list(other.memberships.values()):
        if membership["person_id"] == me:
            api.workspace.remove_membership(membership["id"])
    assert ids(api.get("/projects")) == [mine.record["id"]]
    other_path = f"/projects/{other.record['id']}"
    assert api.error(other_path)[:2] == (403, "unauthorized_operation")
    api.workspace.edit_project(other.record["id"], public=True)
    assert api.get(other_path)["public"] is True


def test_changes_are_visible_at_once(api: Api) -> None:
    story_id = next(iter(api.project.stories))
    for name, unnoticed in (("one", False), ("two", True)):
        api.workspace.edit_story(story_id, name=name, unnoticed=unnoticed)
        assert api.get(f"/stories/{story_id}")["name"] == name
    api.server.behaviour.max_limits["stories"] = 3
    assert len(api.get(f"{api.path}/stories")) == 3
    before = api.get(f"{api.path}/iterations", scope="current")[0]["number"]
    api.workspace.now += timedelta(weeks=4)
    assert api.get(f"{api.path}/iterations", scope="current")[0]["number"] > before


def test_the_workspace_can_change_while_it_is_read(api: Api) -> None:
    order = list(api.project.stories)

    def reorder(path: str, query: dict[str, str]) -> None:
        if query.get("offset") == "30":
            api.workspace.reorder_stories(order[-1], before_id=order[0])

    api.server.before_request = reorder
    first = api.fetch(f"{api.path}/stories", limit=30)
    second = api.fetch(f"{api.path}/stories", limit=30, offset=30)
    assert ids(first.json()) == order[:30]
    assert ids(second.json()) == order[29:-1]
    version = "X-Tracker-Project-Version"
    assert int(second.headers[version]) == int(first.headers[version]) + 1


@pytest.mark.parametrize(
    "bytes_range", [f"bytes={'9' * 5000}-", "bytes=x", "bytes=5-2", "bytes=0-0,2-3"]
)
def test_invalid_ranges_get_400(bytes_range: str, api: Api) -> None:
    (attachment_id, content), *_ = api.workspace.attachments.items()
    site = api.server.url.removesuffix("/services/v5")
    url = f"{site}/file_attachments/{attachment_id}/download"
    refused = api.session.get(url, headers={"Range": bytes_range}, timeout=5)
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_parameter")
    rest = api.session.get(url, headers={"Range": "bytes=3-"}, timeout=5)
    assert (rest.status_code, rest.content) == (206, content[3:])


def status_of_host(server: TrackerServer, host: str) -> int:
    token = server.workspace.me["api_token"]
    headers = {"X-TrackerToken": token, "Host": host}
    return requests.get(f"{server.url}/me", headers=headers, timeout=5).status_code


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("localhost:8765", 200),
        ("LOCALHOST", 200),
        ("[::1]:80", 200),
        ("127.9.9.9", 200),
        ("evil.example.com", 403),
        ("localhost.evil.example.com", 403),
        ("127.0.0.1.evil.example.com", 403),
        ("192.0.2.1", 403),
        (EVERY_ADDRESS, 403),
        ("", 403),
        ("[::1", 403),
    ],
)
def test_only_loopback_host_names_are_accepted(host: str, status: int, api: Api) -> None:
    assert status_of_host(api.server, host) == status


def test_the_name_of_the_listening_host_is_accepted() -> None:
    workspace = Workspace(me={"id": 1, "api_token": "x"}, now=datetime.now(UTC))
    for listening_on, host, status in (
        ("localhost", "localhost", 200),
        (EVERY_ADDRESS, "192.0.2.1", 200),
        (EVERY_ADDRESS, "evil.example.com", 403),
    ):
        with TrackerServer(workspace, host=listening_on) as server:
            assert Api(server).get("/projects") == []
            assert status_of_host(server, host) == status


def test_requests_are_recorded(api: Api) -> None:
    api.get(f"{api.path}/stories", limit=1)
    api.error("/projects/1")
    first, other = api.server.requests
    assert (first.method, first.path, first.status) == (
        "GET",
        f"/services/v5{api.path}/stories",
        200,
    )
    assert first.query == {"limit": "1"}
    assert first.headers["X-TrackerToken"] == api.workspace.me["api_token"]
    assert other.status == 404


def test_requests_are_not_kept_if_the_server_runs_for_long() -> None:
    workspace = Workspace(me={"id": 1, "api_token": "x"}, now=datetime.now(UTC))
    with TrackerServer(workspace, keeps_requests=False) as server:
        assert Api(server).get("/projects") == []
        assert server.requests == []


def test_latency_does_not_serialize_requests(api: Api) -> None:
    api.server.behaviour.latency = 0.3
    begin = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda _: Api(api.server).get("/me"), range(8)))
    assert 0.3 <= time.monotonic() - begin < 1.5


def test_forbidden_and_unsupported_endpoints_and_fields(api: Api) -> None:
    project_id = api.project.record["id"]
    api.server.behaviour = Behaviour(
        forbidden_endpoints={"accounts"},
        unsupported_endpoints={"releases", "bulk"},
        forbidden_projects={project_id},
    )
    assert api.error("/accounts")[:2] == (403, "unauthorized_operation")
    assert api.error(f"{api.path}/releases")[:2] == (404, "route_not_found")
    assert api.error(f"{api.path}/epics")[:2] == (403, "unauthorized_operation")
    assert project_id in ids(api.get("/projects"))
    api.server.behaviour = Behaviour(unsupported_fields={"branches"})
    status, code, problem = api.error(f"{api.path}/stories", fields=NESTED)
    assert (status, code) == (400, "invalid_parameter")
    assert "branches" in problem
    api.server.behaviour = Behaviour(ignores_fields=True)
    assert "description" in set().union(*api.get(f"{api.path}/stories", fields="id"))


def test_pages_with_wrong_totals_and_ignored_offsets(api: Api) -> None:
    path = f"{api.path}/stories"
    api.server.behaviour = Behaviour(faults=[WrongTotal(None)])
    assert paging(api.fetch(path))["Total"] == ""
    assert api.get(path, envelope="true")["pagination"]["total"] is None
    api.server.behaviour = Behaviour(faults=[NoTotal()])
    assert "Total" not in paging(api.fetch(path))
    api.server.behaviour = Behaviour(faults=[InflatedTotal()], max_limits={"stories": 7})
    response = api.fetch(path)
    assert int(paging(response)["Total"]) > 60 + 7
    assert paging(response)["Limit"] == "7"
    api.server.behaviour = Behaviour(pagination_headers=False)
    assert not paging(api.fetch(path))
    api.server.behaviour = Behaviour(ignores_offset=True)
    assert api.get(path, offset=30) == api.get(path)
    api.server.behaviour = Behaviour(repeats_last_page=True)
    assert api.get(path, limit=25, offset=1000) == api.get(path, limit=25, offset=50)
    assert len(api.get(path, limit=25, offset=60)) == 10


def test_invalid_http_gets_400_and_is_not_logged(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    assert api.fetch("/me", fields="a(" * 10_000).status_code == 400
    assert api.get("/me")
    assert not caplog.records


def test_failures_of_the_server_are_logged(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    api.project.record["kind"] = object()
    assert api.fetch("/projects").status_code == 500
    assert [record.exc_info is not None for record in caplog.records] == [True]


def test_unusual_values_are_served(api: Api) -> None:
    story_id = next(iter(api.project.stories))
    strange = {"name": "a\x00b \ud83d", "estimate": 0.5, "mood": 2**70}
    api.workspace.edit_story(story_id, **strange)
    assert strange.items() <= api.get(f"/stories/{story_id}").items()


SMALL = ("--projects", "1", "--stories", "5", "--activity", "5")
"""Options of the command for a workspace that is made at once."""


def test_the_command_serves_until_ctrl_c() -> None:
    """By Ctrl-C; `test_archive_workspace` ends it by SIGTERM."""
    with subprocess.Popen(
        [sys.executable, "-m", "tracker_server", *SMALL, "--latency", "1", "--faults", "0.01"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        words = process.stdout.readline().split()
        url, token = words[0], words[-1]
        headers = {"X-TrackerToken": token}
        assert len(requests.get(f"{url}/projects", headers=headers, timeout=5).json()) == 1
        process.send_signal(signal.SIGINT)
        try:
            out, err = process.communicate(timeout=5)
        finally:
            process.kill()
    assert (process.returncode, out, err) == (0, "", "")


def test_a_port_in_use_is_reported_in_one_line(fork_server: ForkServer, tmp_path: Path) -> None:
    # not called here, where its handler of SIGTERM would stay
    script = tmp_path / "serve.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from tracker_server.__main__ import main; sys.exit(main())\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = [str(script), *SMALL, "--port", str(port)]
        result = wait_for(fork_server.start(line, tmp_path, {}), 10)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.count("\n") == 1
    assert str(port) in result.stderr


@pytest.mark.parametrize(
    "option", [("--projects", "-1"), ("--faults", "2"), ("--port", "70000"), ("--latency", "-1")]
)
def test_invalid_options_exit_2(
    option: tuple[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["tracker_server", *option])
    with pytest.raises(SystemExit) as exited:
        main()
    assert exited.value.code == 2
    assert option[0] in capsys.readouterr().err.splitlines()[-1]


def test_an_empty_workspace_is_served() -> None:
    workspace = Workspace(me={"id": 1, "api_token": "x"}, now=datetime.now(UTC))
    with TrackerServer(workspace) as server:
        assert Api(server).get("/projects") == []
