"""The workspace of real recordings: responses of the original service from 2014 to 2021."""

from __future__ import annotations

import functools
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from tracker_server.workspace import Project, Workspace

Record = dict[str, Any]

RECORDED = Path(__file__).parents[3] / "shared" / "recorded"
PROJECT_ID = 1027488
RECORDED_IN = datetime(2019, 7, 10, 4, 15, tzinfo=UTC)


def responses(cassette: str) -> list[tuple[str, dict[str, list[str]], Any]]:
    """Return the recorded responses of a cassette: path below the API's root, query, body."""
    found = []
    for interaction in _interactions(cassette):
        url = urlsplit(interaction["request"]["uri"])
        body = interaction["response"]["body"]["string"]
        found.append((url.path.split("/v5/")[1], parse_qs(url.query), json.loads(body)))
    return found


@functools.cache
def _interactions(cassette: str) -> list[Any]:
    """Parse a cassette, once. Bodies are texts, so callers cannot change each other's."""
    text = (RECORDED / f"{cassette}.yaml").read_text()
    interactions: list[Any] = yaml.load(text, yaml.CSafeLoader)["interactions"]
    return interactions


def recorded(cassette: str, path: str = "", **query: str) -> Any:
    """Return the first recorded body of a path below the project with these parameters."""
    full_path = f"projects/{PROJECT_ID}/{path}".rstrip("/") if path is not None else ""
    for found, params, body in responses(cassette):
        if found == full_path and all(params.get(k) == [v] for k, v in query.items()):
            return body
    raise LookupError(f"{cassette}: {full_path} {query}")


def recorded_records() -> dict[str, list[Record]]:
    """Return the records of project 1027488, as expected in the tables, by table."""
    stories = {s["id"]: dict(s) for s in recorded("stories_in_pages_of_7", "stories", limit="300")}
    shopper = stories[66728004]
    shopper["tasks"] = recorded("story_children", "stories/66728004/tasks")
    shopper["comments"] = recorded("story_children", "stories/66728004/comments")
    shopper["reviews"] = recorded(
        "story_children", "stories/66728004/reviews", fields=":default,review_type"
    )
    shopper["pull_requests"] = recorded(
        "story_children", "stories/66728004", fields=":default,pull_requests"
    )["pull_requests"]
    stories[66728000]["transitions"] = recorded("story_children", "stories/66728000/transitions")
    for details in recorded("cycle_time_details", "iterations/283/analytics/cycle_time_details"):
        if details["story_id"] in stories:
            stories[details["story_id"]]["cycle_time_details"] = details
    epics = {e["id"]: dict(e) for e in recorded("epics", "epics")}
    commented = recorded("epic_comments", "epics/4737194")
    epics[4737194] = commented | {"comments": recorded("epic_comments", "epics/4737194/comments")}
    labels = {label["id"]: label for label in recorded("labels", "labels")}
    for holder in (*stories.values(), *epics.values()):
        for label in (*holder.get("labels", ()), *([holder["label"]] if "label" in holder else ())):
            labels.setdefault(label["id"], label)
    return {
        "projects": [recorded("releases")],
        "stories": list(stories.values()),
        "epics": list(epics.values()),
        "labels": list(labels.values()),
        "activity": recorded("activity", "activity"),
    }


def recorded_workspace() -> Workspace:
    """Make a workspace with project 1027488 as it was recorded."""
    records = recorded_records()
    people = {
        person["id"]: person
        for person in recorded("story_children", "stories/66728004/owners")
        + [activity["performed_by"] for activity in records["activity"]]
    }
    project = Project(
        record=records["projects"][0],
        stories={s["id"]: _with_ids(s, "labels", "label_ids") for s in records["stories"]},
        epics={e["id"]: _with_ids(e, "label", "label_id") for e in records["epics"]},
        labels={label["id"]: label for label in records["labels"]},
        review_types={
            review["review_type"]["id"]: review["review_type"]
            for story in records["stories"]
            for review in story.get("reviews", ())
        },
        activity=sorted(records["activity"], key=lambda a: a["project_version"]),
        iterations=[],
    )
    me = next(body for path, _, body in responses("me") if path == "me")
    return Workspace(me=me, now=RECORDED_IN, people=people, projects={PROJECT_ID: project})


def _with_ids(record: Record, objects: str, ids: str) -> Record:
    """Replace embedded objects of a record by their ids, as in the workspace's records."""
    value = record.get(objects)
    kept = {name: v for name, v in record.items() if name != objects}
    if isinstance(value, list):
        return kept | {ids: [v["id"] for v in value]}
    return kept | ({ids: value["id"]} if value else {})
