"""Recorded HTTP as an archive: recordings of the original service, and all cassette formats."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pivotal_tracker.archive import FORMATS
from pivotal_tracker.archive.formats.api_responses import cassettes

from ..support.archive_reading import Read, Record, read, try_to_read, without
from ..support.cassettes import CASSETTES
from ..support.recorded import PROJECT_ID, RECORDED, recorded, recorded_records, responses

API_RESPONSES = FORMATS[-1]
needs_recordings = pytest.mark.skipif(
    not RECORDED.is_dir(), reason=f"needs the real recordings, which are not here: {RECORDED}"
)


# the recordings of the original service


@pytest.fixture(scope="module")
def recorded_archive() -> Read:
    """The recordings of the original service, read as an archive."""
    return read(RECORDED)


def comparable(records: list[Record]) -> list[str]:
    """Convert records without secrets to sorted texts."""
    return sorted(json.dumps(without(record), sort_keys=True) for record in records)


def recorded_bodies() -> Iterator[tuple[str, Any]]:
    for cassette in sorted(RECORDED.glob("*.yaml")):
        for path, _, body in responses(cassette.stem):
            yield path, body


def recorded_copies(kind: str) -> list[Record]:
    """Return all recorded records of a kind, at any depth of the responses."""
    found: list[Record] = []

    def collect(value: Any) -> None:
        if isinstance(value, dict):
            if value.get("kind") == kind:
                found.append(value)
            for inner in value.values():
                collect(inner)
        elif isinstance(value, list):
            for inner in value:
                collect(inner)

    for path, body in recorded_bodies():
        if not path.endswith("activity"):
            collect(body)
    return found


@needs_recordings
def test_recorded_project_is_read_completely(recorded_archive: Read) -> None:
    records = recorded_records()
    stories = recorded_archive.by_id("stories")
    assert len(records["stories"]) == 70
    for story in records["stories"]:
        found = stories[story["id"]]
        if found["updated_at"] == story["updated_at"]:
            # nothing newer of it was recorded
            assert without(found) == without(story)
        else:
            assert found["updated_at"] > story["updated_at"]
            children = {k: v for k, v in story.items() if isinstance(v, list) and k != "labels"}
            for name, items in children.items():
                if name != "owner_ids":
                    assert set(comparable(found[name])) >= set(comparable(items)), name
    activity = {a["guid"]: a | {"project_id": PROJECT_ID} for a in records["activity"]}
    assert len(activity) == 81
    assert recorded_archive.by_id("activity") == activity
    epics = recorded_archive.by_id("epics")
    for epic in records["epics"]:
        found = epics[epic["id"]]
        assert without(found, "updated_at") == without(epic, "updated_at")
        # one was recorded again when a comment had been deleted
        assert found["updated_at"] >= epic["updated_at"]
    assert {label["id"] for label in records["labels"]} <= recorded_archive.by_id("labels").keys()


@needs_recordings
def test_newest_copy_of_each_recorded_story_is_read(recorded_archive: Read) -> None:
    newest: dict[int, Record] = {}
    for story in recorded_copies("story"):
        known = newest.get(story["id"])
        if known is None or story["updated_at"] > known["updated_at"]:
            newest[story["id"]] = story
    found = recorded_archive.by_id("stories")
    assert found.keys() == newest.keys()
    for number, story in newest.items():
        plain = {k: v for k, v in without(story).items() if k not in ("owners", "pull_requests")}
        assert {k: found[number][k] for k in plain} == plain


@needs_recordings
def test_other_recorded_tables_are_read(recorded_archive: Read) -> None:
    releases = recorded_archive.by_id("releases")
    for release in recorded("releases", "releases"):
        assert releases[release["id"]] == release
    days = recorded("history_days", "history/iterations/283/days")
    assert [tuple(d.values()) for d in recorded_archive.records["history_days"]] == [
        (PROJECT_ID, *day) for day in days["data"]
    ]
    numbers = {(i["project_id"], i["number"]) for i in recorded_copies("iteration")}
    iterations = recorded_archive.by_id("iterations")
    assert iterations.keys() == numbers
    current = recorded(
        "iterations",
        "iterations",
        fields=":default,velocity,points,accepted_points,effective_points",
    )[0]
    found = iterations[PROJECT_ID, current["number"]]
    assert found["velocity"] == current["velocity"]
    assert found["story_ids"] == [story["id"] for story in current["stories"]]
    assert {p["id"] for p in recorded_copies("project")} <= recorded_archive.by_id(
        "projects"
    ).keys()
    (workspace,) = recorded_archive.records["workspaces"]
    assert len(workspace["project_ids"]) == 2
    owners = {p["id"]: p for p in recorded("story_children", "stories/66728004/owners")}
    assert {k: v for k, v in recorded_archive.by_id("people").items() if k in owners} == owners
    assert all(set(p) <= {"id", "kind", "name", "initials", "username", "email"}
               for p in recorded_archive.records["people"])  # fmt: skip
    assert any(r.startswith("not recognized: ") for r in recorded_archive.reasons("files"))
    assert recorded_archive.reasons("unknown") == recorded_archive.reasons("responses") == set()


@needs_recordings
def test_recorded_attachments_are_nested_in_their_comments(recorded_archive: Read) -> None:
    comments = recorded_archive.by_id("stories")[66728004]["comments"]
    (comment,) = [c for c in comments if c["id"] == 181648318]
    answer = recorded(
        "attachments", "stories/66728004/comments/181648318", fields="file_attachments"
    )
    assert {a["id"] for a in answer["file_attachments"]} <= {
        a["id"] for a in comment["file_attachments"]
    }
    assert "amazonaws" not in repr(comment)


# cassette formats

STORIES = [
    {"kind": "story", "id": n, "project_id": 9, "name": f"Straße {n} \U0001f6b2", "labels": []}
    for n in range(1, 6)
]
COMMENTS = [{"id": 7, "text": "Gut", "person_id": 3}]
ROOT = "https://www.pivotaltracker.com/services/v5"
EXPECTED = [STORIES[0] | {"comments": COMMENTS}, *STORIES[1:]]


def interaction(path: str, text: Any, /, status: int = 200, **response: Any) -> Record:
    """Return an interaction as vcrpy writes it."""
    return {
        "request": {
            "method": "GET",
            "uri": f"{ROOT}/{path}",
            "headers": {"X-TrackerToken": ["s3cr3t"]},
            "body": None,
        },
        "response": {
            "status": {"code": status, "message": ""},
            "headers": {"Content-Type": ["application/json"]},
            "body": {"string": text},
            **response,
        },
    }


def compress(text: str, encoding: str) -> bytes:
    if encoding == "gzip":
        return gzip.compress(text.encode())
    packer = zlib.compressobj(
        wbits=-zlib.MAX_WBITS if encoding == "raw deflate" else zlib.MAX_WBITS
    )
    return packer.compress(text.encode()) + packer.flush()


def traffic(**response: Any) -> list[Record]:
    stories, comments = json.dumps(STORIES), json.dumps(COMMENTS)
    return [
        interaction("projects/9/stories?limit=5", stories, **response),
        interaction("projects/9/stories/1/comments", comments, **response),
    ]


def vcr_cassette() -> Record:
    """Return a cassette as Ruby's VCR writes it."""
    stories = base64.b64encode(json.dumps(STORIES).encode()).decode()
    return {
        "http_interactions": [
            {
                "request": {"method": "get", "uri": f"{ROOT}/projects/9/stories", "body": {}},
                "response": {
                    "status": {"code": 200, "message": "OK"},
                    "headers": {},
                    "body": {"encoding": "UTF-8", "base64_string": stories},
                },
                "recorded_at": "Wed, 03 May 2017 23:29:40 GMT",
            },
            {
                "request": {"method": "get", "uri": f"{ROOT}/projects/9/stories/1/comments"},
                "response": {
                    "status": {"code": 200},
                    "headers": {},
                    "body": {"encoding": "US-ASCII", "string": json.dumps(COMMENTS)},
                },
            },
        ],
        "recorded_with": "VCR 6.0.0",
    }


def old_vcrpy_cassette() -> list[Record]:
    """Return a cassette as early vcrpy wrote it: a list, with the URL in parts."""
    found = traffic()
    for each in found:
        path = each["request"].pop("uri").removeprefix("https://www.pivotaltracker.com")
        each["request"] |= {"host": "www.pivotaltracker.com", "port": 443, "path": path}
        each["response"] |= {"status": {"code": 200, "message": "OK"}}
    return found


def compress_interactions(encoding: str) -> list[Record]:
    found = traffic()
    for each in found:
        body = compress(each["response"]["body"]["string"], encoding)
        each["response"]["body"]["string"] = body
        each["response"]["headers"]["Content-Encoding"] = [encoding.split()[-1]]
    return found


def serialize(value: Any, *, as_json: bool = False, **options: Any) -> str:
    return json.dumps(value) if as_json else yaml.dump(value, allow_unicode=True, **options)


def traffic_with_shared_headers() -> list[Record]:
    headers = {"Server": ["nginx"]}
    return [i | {"response": i["response"] | {"headers": headers}} for i in traffic()]


CASSETTE_FORMATS = {
    "vcrpy": ("x.yaml", serialize({"interactions": traffic(), "version": 1})),
    "vcrpy in JSON": ("x.json", serialize({"version": 1, "interactions": traffic()}, as_json=True)),
    "old vcrpy": ("x.yml", serialize(old_vcrpy_cassette())),
    "VCR": ("x.yml", serialize(vcr_cassette())),
    "VCR in JSON": ("x.json", serialize(vcr_cassette(), as_json=True)),
    "aliases": ("x.yaml", serialize({"interactions": traffic_with_shared_headers()})),
    "symbols": ("x.yml", "---\n" + serialize(vcr_cassette()).replace("request:", ":request:")),
    **{
        encoding: (
            "x.yaml",
            serialize({"interactions": compress_interactions(encoding), "version": 1}),
        )
        for encoding in ("gzip", "deflate", "raw deflate")
    },
    "decompressed, header kept": (
        "x.yaml",
        serialize({"interactions": traffic(headers={"Content-Encoding": ["gzip"]})}),
    ),
    "plain body": ("x.yaml", serialize({"interactions": traffic(body=json.dumps(STORIES))})),
}


@pytest.mark.parametrize("format_name", CASSETTE_FORMATS)
def test_every_cassette_format_is_read(tmp_path: Path, format_name: str) -> None:
    name, text = CASSETTE_FORMATS[format_name]
    (tmp_path / name).write_text(text, "utf-8")
    result = read(tmp_path / name)
    if format_name == "plain body":
        assert [s["id"] for s in result.records["stories"]] == [1, 2, 3, 4, 5]
        return
    assert result.records["stories"] == EXPECTED
    assert result.records["projects"] == [{"id": 9, "kind": "project"}]
    assert not result.accounting.left_out
    assert "s3cr3t" not in repr(result)


def test_own_recording_is_read_completely() -> None:
    result = read(CASSETTES / "workspace.yaml")
    assert result.reasons("unknown") == set()
    assert result.reasons("responses") == set()
    for table in ("stories", "epics", "labels", "iterations", "activity", "history_days", "people"):
        assert (table in result.records) == (table != "people")
    for story in result.records["stories"]:
        assert {"comments", "tasks", "transitions", "cycle_time_details"} <= story.keys()


def test_non_api_responses_are_left_out_and_reported(tmp_path: Path) -> None:
    error = json.dumps({"kind": "error", "code": "unfound_resource"})
    badly_compressed = interaction("projects/9", gzip.compress(b"[]")[:-9] + b"x")
    other_host = interaction("x", "[]")
    other_host["request"]["uri"] = "https://s3.amazonaws.com/x.png"
    found = [
        *traffic(),
        interaction("projects/9/stories/404", error, status=404),
        other_host,
        interaction("projects/9/epics", "<html>"),
        interaction("projects/9/labels", error),
        interaction("my/notifications", json.dumps([{"kind": "notification", "id": 1}])),
        interaction("projects/9/stories/5", None, status=204),
        interaction("projects/9/tasks", None, body={"base64_string": "*"}),
        badly_compressed,
    ]
    (tmp_path / "x.yaml").write_text(serialize({"interactions": found}))
    result = read(tmp_path / "x.yaml")
    assert result.records["stories"] == EXPECTED
    assert {
        (table, reason): n.rows for (_, table, reason), n in result.accounting.left_out.items()
    } == {
        ("responses", "the server answered 404"): 1,
        ("responses", "it is not a response of API v5"): 1,
        ("responses", "its body is not JSON"): 1,
        ("responses", "its compression is broken"): 1,
        ("responses", "its base64 is broken"): 1,
        ("unknown", "no table has a 'error'"): 1,
        ("unknown", "no table has a 'notification'"): 1,
    }


# recorded writes


def vcr_interaction(second: int, method: str, path: str, body: Any, status: int = 200) -> Record:
    """Return an interaction as Ruby's VCR writes it."""
    return {
        "request": {"method": method, "uri": f"{ROOT}/{path}", "body": {}, "headers": {}},
        "response": {
            "status": {"code": status},
            "headers": {},
            "body": {"string": "" if body is None else json.dumps(body)},
        },
        "recorded_at": f"Tue, 07 Jan 2020 12:00:{second:02} GMT",
    }


def read_vcr_cassette(tmp_path: Path, interactions: list[Record]) -> Read:
    (tmp_path / "x.yml").write_text(serialize({"http_interactions": interactions}))
    return read(tmp_path / "x.yml")


STORY = {"kind": "story", "id": 21, "project_id": 7, "name": "Paint", "updated_at": "2020-01-01"}


def test_recorded_post_and_put_responses_are_read(tmp_path: Path) -> None:
    task = {"kind": "task", "id": 41, "description": "brush"}
    label = {"kind": "label", "id": 81, "name": "tidy"}
    result = read_vcr_cassette(
        tmp_path,
        [
            vcr_interaction(1, "post", "projects/7/stories", STORY),
            vcr_interaction(2, "post", "projects/7/stories/21/tasks", task),
            vcr_interaction(3, "post", "projects/7/stories/21/labels", label),
            vcr_interaction(4, "put", "projects/7/stories/21/tasks/41", {**task, "complete": True}),
            vcr_interaction(5, "put", "projects/7/stories/21", {**STORY, "name": "Paint it"}),
            vcr_interaction(6, "post", "projects/7/stories", {"kind": "error"}, status=400),
        ],
    )
    (story,) = result.records["stories"]
    assert story["name"] == "Paint it"
    assert [t["id"] for t in story["tasks"]] == [41]
    assert [found["id"] for found in story["labels"]] == [81]


@pytest.mark.parametrize("reversed_in_file", [False, True])
def test_recorded_delete_removes_the_record(tmp_path: Path, reversed_in_file: bool) -> None:
    comments = [{"kind": "comment", "id": n, "text": str(n)} for n in (31, 32, 33)]
    interactions = [
        vcr_interaction(1, "get", "projects/7/stories/21", {**STORY, "comments": comments[:2]}),
        vcr_interaction(2, "get", "projects/7/stories/21/comments", comments),
        vcr_interaction(3, "delete", "projects/7/stories/21/comments/31", None, status=204),
        vcr_interaction(4, "get", "projects/7/stories/22", {**STORY, "id": 22}),
        vcr_interaction(5, "delete", "projects/7/stories/22", None, status=204),
        vcr_interaction(6, "delete", "projects/7/stories/21/comments/33", None, status=404),
        vcr_interaction(7, "delete", "projects/7/labels/81", None, status=204),
        vcr_interaction(8, "post", "projects/7/stories/21/labels", {"kind": "label", "id": 82}),
        vcr_interaction(9, "delete", "projects/7/stories/21/labels/82", None, status=204),
        vcr_interaction(10, "post", "projects/7/stories/21/labels", {"kind": "label", "id": 82}),
    ]
    found = read_vcr_cassette(tmp_path, interactions[::-1] if reversed_in_file else interactions)
    (story,) = found.records["stories"]
    assert sorted(comment["id"] for comment in story["comments"]) == [32, 33]
    assert [label["id"] for label in story["labels"]] == [82]


def test_upload_is_not_read_as_comment(tmp_path: Path) -> None:
    upload = {"kind": "file_attachment", "id": 61, "filename": "a.png"}
    comment = {"kind": "comment", "id": 31, "text": "t", "file_attachments": [upload]}
    result = read_vcr_cassette(
        tmp_path,
        [
            vcr_interaction(1, "get", "projects/7/stories/21", STORY),
            vcr_interaction(2, "post", "projects/7/uploads", upload),
            vcr_interaction(3, "post", "projects/7/stories/21/comments", comment),
        ],
    )
    (story,) = result.records["stories"]
    assert story["comments"] == [comment]
    assert {(table, reason) for _, table, reason in result.accounting.left_out} == {
        (
            "stories__comments__file_attachments",
            "it does not name the comment that it belongs to",
        )
    }


def test_har_file_is_read(tmp_path: Path) -> None:
    def entry(path: str, content: Record, time: str = "2020-01-07T12:00:00.000Z") -> Record:
        return {
            "startedDateTime": time,
            "request": {"method": "GET", "url": f"{ROOT}/{path}", "headers": []},
            "response": {
                "status": 200,
                "headers": [{"name": "Content-Type", "value": "application/json"}],
                "content": {"mimeType": "application/json", **content},
            },
        }

    page = {"startedDateTime": "2020-01-07T12:00:00.000Z", "id": "page_1", "title": "x"}
    body = base64.b64encode(json.dumps(COMMENTS).encode()).decode()
    har = {
        "log": {
            "version": "1.2",
            "creator": {"name": "Firefox", "version": "1"},
            "pages": [page],
            "entries": [
                entry("projects/9/stories", {"text": json.dumps(STORIES)}),
                entry("projects/9/stories/1/comments", {"text": body, "encoding": "base64"}),
            ],
        }
    }
    (tmp_path / "x.har").write_text(json.dumps(har))
    result = read(tmp_path / "x.har")
    assert result.records["stories"] == EXPECTED
    assert not result.accounting.left_out


# hostile cassettes


def test_yaml_tags_create_no_objects(tmp_path: Path) -> None:
    attack = "!!python/object/apply:os.system ['touch hacked']"
    text = serialize({"interactions": traffic()}) + f"x: {attack}\n? {attack}\n: 1\n"
    (tmp_path / "x.yaml").write_text(text)
    assert read(tmp_path / "x.yaml").records["stories"] == EXPECTED


def test_yaml_alias_bomb_is_not_expanded(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    lines += [f"m{n}: &m{n} {{<<: [*m{n - 1}, *m{n - 1}], k{n}: *a29}}" for n in range(1, 30)]
    bomb = "\n".join(lines) + "\n"
    (tmp_path / "x.yaml").write_text(bomb + serialize({"interactions": traffic()}))
    assert read(tmp_path / "x.yaml").records["stories"] == EXPECTED


def test_hostile_yaml_keeps_the_records_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cassettes, "MAX_BYTES_OF_A_RECORD", 5_000)
    whole = serialize({"interactions": traffic()})
    bomb = serialize({"interactions": [interaction("me", gzip.compress(b"[" + b" " * 9_000))]})
    many_anchors = "".join(f"- &a{n} {'x' * 500}\n" for n in range(20))
    for rest, reason in {
        "- " + "[" * 500: "levels deep",
        "- 'never closed": "breaks off",
        "- request: *nobody": "kind is not known",
        "- \x07": "not a record",
        bomb.partition("\n")[2]: "decompresses to more",
        many_anchors: "anchors",
        "not: [a list": "breaks off",
    }.items():
        (tmp_path / "x.yaml").write_text(whole + rest)
        result = read(tmp_path / "x.yaml")
        assert result.records["stories"] == EXPECTED
        reasons = result.reasons("unknown") | result.reasons("responses")
        assert any(reason in found for found in reasons), rest[:20]


@given(
    places=st.lists(st.tuples(st.integers(0, 1800), st.binary(max_size=3)), max_size=4),
    cut=st.integers(0, 2500),
    format_name=st.sampled_from(["vcrpy", "VCR", "gzip", "vcrpy in JSON"]),
)
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_bytes_are_read_or_rejected(
    tmp_path: Path, places: list[tuple[int, bytes]], cut: int, format_name: str
) -> None:
    name, whole = CASSETTE_FORMATS[format_name]
    text = bytearray(whole.encode())
    for place, noise in places:
        text[place : place + len(noise)] = noise
    (tmp_path / name).write_bytes(text[: cut or None])
    try_to_read(tmp_path / name, API_RESPONSES)


NAMES = "request response uri body string status code headers base64_string"
YAML_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(NAMES.split()),
            inner | st.sampled_from([f"{ROOT}/projects/9/stories", 200, json.dumps(STORIES)]),
            max_size=6,
        )
    ),
    max_leaves=20,
)


@given(value=st.lists(YAML_VALUES, max_size=4), as_json=st.booleans())
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_interactions_are_read_or_rejected(
    tmp_path: Path, value: list[Any], as_json: bool
) -> None:
    if as_json:
        text = json.dumps({"interactions": value}, default=repr)
    else:
        text = yaml.dump({"interactions": value})
    (tmp_path / "x.yaml").write_text(text, "utf-8", "replace")
    try_to_read(tmp_path / "x.yaml", API_RESPONSES)
