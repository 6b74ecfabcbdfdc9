"""`tracker_server` in LiteTracker's dialect: what is known of that service, and nothing more."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tracker_server import litetracker
from tracker_server.workspace.model import Record

from ..support.api_client import Api, small_api
from ..support.command import ROOT


@pytest.fixture
def api() -> Iterator[Api]:
    """A client of a server in LiteTracker's dialect."""
    with small_api() as api:
        api.server.behaviour = litetracker()
        yield api


def found_by(api: Api, text: str) -> list[int]:
    return [story["id"] for story in api.get(f"{api.path}/stories", filter=text)]


def ids(api: Api, **values: Any) -> list[int]:
    """The ids of the stories that have these values."""
    stories = api.project.stories.values()
    return [s["id"] for s in stories if all(s.get(n) == v for n, v in values.items())]


def test_stories_have_titles_owners_and_short_labels(api: Api) -> None:
    stories = api.get(f"{api.path}/stories", fields="id", limit=10_000)
    assert [story["id"] for story in stories] == list(api.project.stories)
    for story in stories:
        stored = api.project.stories[story["id"]]
        assert story["title"] == stored["name"]
        assert [owner["user_id"] for owner in story["owners"]] == stored["owner_ids"]
        assert all(set(owner) >= {"id", "name", "initials"} for owner in story["owners"])
        assert all(set(label) == {"id", "name", "kind"} for label in story["labels"])
        assert not {"name", "owner_ids", "owned_by_id", "project_id", "comments"} & set(story)


def test_projects_have_titles_and_no_version(api: Api) -> None:
    project, _ = api.get("/projects")
    assert project["title"] == api.project.record["name"]
    assert not {"name", "version"} & set(project)
    response = api.fetch(f"{api.path}/memberships")
    assert response.json()[0]["person"]["name"]
    assert "X-Tracker-Project-Version" not in response.headers


def test_comments_name_their_author(api: Api) -> None:
    story = next(s for s in api.project.stories.values() if s["comments"])
    comments = api.get(f"{api.path}/stories/{story['id']}/comments")
    assert [comment["id"] for comment in comments] == [c["id"] for c in story["comments"]]
    for comment in comments:
        person = api.workspace.people[comment["person_id"]]
        assert comment["person"] == {
            name: person[name] for name in ("id", "name", "initials", "kind")
        }


def test_pages_are_not_announced_and_limits_are_obeyed(api: Api) -> None:
    response = api.fetch(f"{api.path}/stories", limit=7, offset=3)
    assert not [name for name in response.headers if name.startswith("X-Tracker-Pag")]
    assert [s["id"] for s in response.json()] == list(api.project.stories)[3:10]
    api.server.behaviour = litetracker(max_limit=50)
    assert len(api.get(f"{api.path}/stories", limit=1000)) == 50


def test_unknown_parameters_are_ignored(api: Api) -> None:
    everything = api.get(f"{api.path}/stories")
    for query in ({"state": "started"}, {"updated_after": "2090-01-01T00:00:00Z"}, {"x": "y"}):
        assert api.get(f"{api.path}/stories", **query) == everything


def test_only_known_endpoints_are_offered(api: Api) -> None:
    for name in ("epics", "labels", "releases", "iterations", "review_types", "history/days"):
        assert api.error(f"{api.path}/{name}")[:2] == (404, "route_not_found")
    assert api.error("/accounts")[:2] == (404, "route_not_found")


def test_activity_since_a_time_in_either_order(api: Api) -> None:
    stored = api.project.activity
    moment = stored[-20]["occurred_at"]
    newer = [item["guid"] for item in stored if item["occurred_at"] > moment]

    def guids(**query: Any) -> list[str]:
        return [item["guid"] for item in api.get(f"{api.path}/activity", **query)]

    assert guids(occurred_after=moment) == newer[::-1]
    api.server.behaviour = litetracker(activity_order="asc")
    assert guids(occurred_after=moment, limit=3) == newer[:3]
    assert guids(occurred_after=moment, limit=3, offset=3, since_version=10**9) == newer[3:6]
    assert "project_version" not in api.get(f"{api.path}/activity")[0]


def test_filters_of_one_clause(api: Api) -> None:
    assert found_by(api, "state:accepted") == ids(api, current_state="accepted")
    assert found_by(api, "type:bug") == ids(api, story_type="bug")
    story: Record = next(s for s in api.project.stories.values() if s["label_ids"])
    assert found_by(api, f"id:{story['id']}") == [story["id"]]
    assert story["id"] in found_by(api, f'"{story["name"]}"')
    label = api.project.labels[story["label_ids"][0]]
    labelled = [s["id"] for s in api.project.stories.values() if label["id"] in s["label_ids"]]
    assert found_by(api, f'label:"{label["name"]}"') == labelled
    owned: Record = next(s for s in api.project.stories.values() if s["owner_ids"])
    owner = api.workspace.people[owned["owner_ids"][0]]
    assert owned["id"] in found_by(api, f"owner:{owner['initials']}")
    assert found_by(api, "state:accepted type:bug") == []
    assert found_by(api, "colour:red") == []


def test_filters_of_large_projects_time_out(api: Api) -> None:
    api.server.behaviour = litetracker(max_filtered_stories=59)
    assert api.fetch(f"{api.path}/stories", filter="type:bug").status_code == 504
    assert len(api.get(f"{api.path}/stories")) == 60
    api.server.behaviour = litetracker(max_filtered_stories=60)
    assert found_by(api, "type:bug")


def test_some_requests_end_with_500(api: Api) -> None:
    api.server.behaviour = litetracker(error_rate=0.3)
    statuses = [api.fetch("/me", number=number).status_code for number in range(100)]
    assert set(statuses) == {200, 500}
    assert 15 < statuses.count(500) < 45


@pytest.mark.parametrize("option", [(), ("--comments-keep-updated-at",)], ids=["move", "keep"])
def test_the_command_serves_the_dialect(option: tuple[str, ...]) -> None:
    small = ("--projects", "1", "--stories", "30", "--activity", "5")
    with subprocess.Popen(
        [sys.executable, "-m", "tracker_server", "--dialect", "litetracker", *small, *option],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        words = process.stdout.readline().split()

        def get(path: str) -> Any:
            while (
                response := requests.get(
                    f"{words[0]}/{path}", headers={"X-TrackerToken": words[-1]}, timeout=5
                )
            ).status_code == 500:
                pass
            return response.json()

        project = get("projects")[0]
        path = f"projects/{project['id']}/stories"
        # the newest comment of a story is newer than anything else that happened to some
        newest = [
            max(comment["created_at"] for comment in comments) <= story["updated_at"]
            for story in get(path)
            if (comments := get(f"{path}/{story['id']}/comments"))
        ]
        process.terminate()
    assert "title" in project
    assert newest
    assert all(newest) is not bool(option)
