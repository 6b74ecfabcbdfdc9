"""Recorded HTTP as an archive: what the original service answered, and every form of cassette."""

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
from ..support.recorded import PROJECT_ID, RECORDED, answers, recorded, recorded_records

API_ANSWERS = FORMATS[-1]
needs_recordings = pytest.mark.skipif(
    not RECORDED.is_dir(), reason=f"needs the real recordings, which are not here: {RECORDED}"
)


# the recordings of the original service


@pytest.fixture(scope="module")
def originals() -> Read:
    return read(RECORDED)


def comparable(records: list[Record]) -> list[str]:
    """Records without secrets, in an order in which equal ones are equal."""
    return sorted(json.dumps(without(record), sort_keys=True) for record in records)


def recorded_bodies() -> Iterator[tuple[str, Any]]:
    for cassette in sorted(RECORDED.glob("*.yaml")):
        for path, _, body in answers(cassette.stem):
            yield path, body


def copies(kind: str) -> list[Record]:
    """Every record of a kind that was recorded anywhere in the answers, however deep."""
    found: list[Record] = []

    def look(value: Any) -> None:
        if isinstance(value, dict):
            if value.get("kind") == kind:
                found.append(value)
            for inner in value.values():
                look(inner)
        elif isinstance(value, list):
            for inner in value:
                look(inner)

    for path, body in recorded_bodies():
        if not path.endswith("activity"):
            look(body)
    return found


@needs_recordings
def test_the_recorded_project_is_whole(originals: Read) -> None:
    records = recorded_records()
    stories = originals.by_id("stories")
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
    assert originals.by_id("activity") == activity
    epics = originals.by_id("epics")
    for epic in records["epics"]:
        found = epics[epic["id"]]
        assert without(found, "updated_at") == without(epic, "updated_at")
        # one was recorded again when a comment had been deleted
        assert found["updated_at"] >= epic["updated_at"]
    assert {label["id"] for label in records["labels"]} <= originals.by_id("labels").keys()


@needs_recordings
def test_of_every_recorded_story_the_newest_copy_is_given(originals: Read) -> None:
    newest: dict[int, Record] = {}
    for story in copies("story"):
        held = newest.get(story["id"])
        if held is None or story["updated_at"] > held["updated_at"]:
            newest[story["id"]] = story
    found = originals.by_id("stories")
    assert found.keys() == newest.keys()
    for number, story in newest.items():
        plain = {k: v for k, v in without(story).items() if k not in ("owners", "pull_requests")}
        assert {k: found[number][k] for k in plain} == plain


@needs_recordings
def test_what_else_was_recorded(originals: Read) -> None:
    releases = originals.by_id("releases")
    for release in recorded("releases", "releases"):
        assert releases[release["id"]] == release
    days = recorded("history_days", "history/iterations/283/days")
    assert [tuple(d.values()) for d in originals.records["history_days"]] == [
        (PROJECT_ID, *day) for day in days["data"]
    ]
    numbers = {(i["project_id"], i["number"]) for i in copies("iteration")}
    iterations = originals.by_id("iterations")
    assert iterations.keys() == numbers
    current = recorded(
        "iterations",
        "iterations",
        fields=":default,velocity,points,accepted_points,effective_points",
    )[0]
    found = iterations[PROJECT_ID, current["number"]]
    assert found["velocity"] == current["velocity"]
    assert found["story_ids"] == [story["id"] for story in current["stories"]]
    assert {p["id"] for p in copies("project")} <= originals.by_id("projects").keys()
    (workspace,) = originals.records["workspaces"]
    assert len(workspace["project_ids"]) == 2
    owners = {p["id"]: p for p in recorded("story_children", "stories/66728004/owners")}
    assert {k: v for k, v in originals.by_id("people").items() if k in owners} == owners
    assert all(set(p) <= {"id", "kind", "name", "initials", "username", "email"}
               for p in originals.records["people"])  # fmt: skip
    assert any(r.startswith("not recognized: ") for r in originals.reasons("files"))
    assert originals.reasons("unknown") == originals.reasons("responses") == set()


@needs_recordings
def test_attachments_are_put_into_their_comments(originals: Read) -> None:
    comments = originals.by_id("stories")[66728004]["comments"]
    (comment,) = [c for c in comments if c["id"] == 181648318]
    answer = recorded(
        "attachments", "stories/66728004/comments/181648318", fields="file_attachments"
    )
    assert {a["id"] for a in answer["file_attachments"]} <= {
        a["id"] for a in comment["file_attachments"]
    }
    assert "amazonaws" not in repr(comment)


# every form of cassette

STORIES = [
    {"kind": "story", "id": n, "project_id": 9, "name": f"Straße {n} \U0001f6b2", "labels": []}
    for n in range(1, 6)
]
COMMENTS = [{"id": 7, "text": "Gut", "person_id": 3}]
ROOT = "https://www.pivotaltracker.com/services/v5"
EXPECTED = [STORIES[0] | {"comments": COMMENTS}, *STORIES[1:]]


def interaction(path: str, text: Any, /, status: int = 200, **response: Any) -> Record:
    """As vcrpy writes it."""
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


def packed(text: str, how: str) -> bytes:
    if how == "gzip":
        return gzip.compress(text.encode())
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS if how == "raw deflate" else zlib.MAX_WBITS)
    return packer.compress(text.encode()) + packer.flush()


def traffic(**response: Any) -> list[Record]:
    stories, comments = json.dumps(STORIES), json.dumps(COMMENTS)
    return [
        interaction("projects/9/stories?limit=5", stories, **response),
        interaction("projects/9/stories/1/comments", comments, **response),
    ]


def of_vcr() -> Record:
    """As Ruby's VCR writes it."""
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


def of_first_vcrpy() -> list[Record]:
    """As vcrpy wrote it before it had a version: a list, the address in pieces."""
    found = traffic()
    for each in found:
        path = each["request"].pop("uri").removeprefix("https://www.pivotaltracker.com")
        each["request"] |= {"host": "www.pivotaltracker.com", "port": 443, "path": path}
        each["response"] |= {"status": {"code": 200, "message": "OK"}}
    return found


def compressed(how: str) -> list[Record]:
    found = traffic()
    for each in found:
        body = packed(each["response"]["body"]["string"], how)
        each["response"]["body"]["string"] = body
        each["response"]["headers"]["Content-Encoding"] = [how.split()[-1]]
    return found


def written(value: Any, *, as_json: bool = False, **options: Any) -> str:
    return json.dumps(value) if as_json else yaml.dump(value, allow_unicode=True, **options)


def with_header_in_common() -> list[Record]:
    headers = {"Server": ["nginx"]}
    return [i | {"response": i["response"] | {"headers": headers}} for i in traffic()]


FORMS = {
    "vcrpy": ("x.yaml", written({"interactions": traffic(), "version": 1})),
    "vcrpy in JSON": ("x.json", written({"version": 1, "interactions": traffic()}, as_json=True)),
    "vcrpy of old": ("x.yml", written(of_first_vcrpy())),
    "VCR": ("x.yml", written(of_vcr())),
    "VCR in JSON": ("x.json", written(of_vcr(), as_json=True)),
    "aliases": ("x.yaml", written({"interactions": with_header_in_common()})),
    "symbols": ("x.yml", "---\n" + written(of_vcr()).replace("request:", ":request:")),
    **{
        how: ("x.yaml", written({"interactions": compressed(how), "version": 1}))
        for how in ("gzip", "deflate", "raw deflate")
    },
    "unpacked, header kept": (
        "x.yaml",
        written({"interactions": traffic(headers={"Content-Encoding": ["gzip"]})}),
    ),
    "a body of its own": ("x.yaml", written({"interactions": traffic(body=json.dumps(STORIES))})),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_cassette(tmp_path: Path, form: str) -> None:
    name, text = FORMS[form]
    (tmp_path / name).write_text(text, "utf-8")
    result = read(tmp_path / name)
    if form == "a body of its own":
        assert [s["id"] for s in result.records["stories"]] == [1, 2, 3, 4, 5]
        return
    assert result.records["stories"] == EXPECTED
    assert result.records["projects"] == [{"id": 9, "kind": "project"}]
    assert not result.accounting.left_out
    assert "s3cr3t" not in repr(result)


def test_our_own_recording_is_read_whole() -> None:
    result = read(CASSETTES / "workspace.yaml")
    assert result.reasons("unknown") == set()
    assert result.reasons("responses") == set()
    for table in ("stories", "epics", "labels", "iterations", "activity", "history_days", "people"):
        assert (table in result.records) == (table != "people")
    for story in result.records["stories"]:
        assert {"comments", "tasks", "transitions", "cycle_time_details"} <= story.keys()


def test_what_is_no_answer_is_left_out_and_named(tmp_path: Path) -> None:
    error = json.dumps({"kind": "error", "code": "unfound_resource"})
    packed_badly = interaction("projects/9", gzip.compress(b"[]")[:-9] + b"x")
    elsewhere = interaction("x", "[]")
    elsewhere["request"]["uri"] = "https://s3.amazonaws.com/x.png"
    found = [
        *traffic(),
        interaction("projects/9/stories/404", error, status=404),
        elsewhere,
        interaction("projects/9/epics", "<html>"),
        interaction("projects/9/labels", error),
        interaction("my/notifications", json.dumps([{"kind": "notification", "id": 1}])),
        interaction("projects/9/stories/5", None, status=204),
        interaction("projects/9/tasks", None, body={"base64_string": "*"}),
        packed_badly,
    ]
    (tmp_path / "x.yaml").write_text(written({"interactions": found}))
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


def recorded_at(second: int, method: str, path: str, body: Any, status: int = 200) -> Record:
    """An interaction as Ruby's VCR writes it."""
    return {
        "request": {"method": method, "uri": f"{ROOT}/{path}", "body": {}, "headers": {}},
        "response": {
            "status": {"code": status},
            "headers": {},
            "body": {"string": "" if body is None else json.dumps(body)},
        },
        "recorded_at": f"Tue, 07 Jan 2020 12:00:{second:02} GMT",
    }


def of_recording(tmp_path: Path, interactions: list[Record]) -> Read:
    (tmp_path / "x.yml").write_text(written({"http_interactions": interactions}))
    return read(tmp_path / "x.yml")


STORY = {"kind": "story", "id": 21, "project_id": 7, "name": "Paint", "updated_at": "2020-01-01"}


def test_a_recorded_post_and_put_are_records(tmp_path: Path) -> None:
    task = {"kind": "task", "id": 41, "description": "brush"}
    label = {"kind": "label", "id": 81, "name": "tidy"}
    result = of_recording(
        tmp_path,
        [
            recorded_at(1, "post", "projects/7/stories", STORY),
            recorded_at(2, "post", "projects/7/stories/21/tasks", task),
            recorded_at(3, "post", "projects/7/stories/21/labels", label),
            recorded_at(4, "put", "projects/7/stories/21/tasks/41", {**task, "complete": True}),
            recorded_at(5, "put", "projects/7/stories/21", {**STORY, "name": "Paint it"}),
            recorded_at(6, "post", "projects/7/stories", {"kind": "error"}, status=400),
        ],
    )
    (story,) = result.records["stories"]
    assert story["name"] == "Paint it"
    assert [t["id"] for t in story["tasks"]] == [41]
    assert [found["id"] for found in story["labels"]] == [81]


@pytest.mark.parametrize("reversed_in_file", [False, True])
def test_a_recorded_delete_removes_what_was_read_before(
    tmp_path: Path, reversed_in_file: bool
) -> None:
    comments = [{"kind": "comment", "id": n, "text": str(n)} for n in (31, 32, 33)]
    interactions = [
        recorded_at(1, "get", "projects/7/stories/21", {**STORY, "comments": comments[:2]}),
        recorded_at(2, "get", "projects/7/stories/21/comments", comments),
        recorded_at(3, "delete", "projects/7/stories/21/comments/31", None, status=204),
        recorded_at(4, "get", "projects/7/stories/22", {**STORY, "id": 22}),
        recorded_at(5, "delete", "projects/7/stories/22", None, status=204),
        recorded_at(6, "delete", "projects/7/stories/21/comments/33", None, status=404),
        recorded_at(7, "delete", "projects/7/labels/81", None, status=204),
        recorded_at(8, "post", "projects/7/stories/21/labels", {"kind": "label", "id": 82}),
        recorded_at(9, "delete", "projects/7/stories/21/labels/82", None, status=204),
        recorded_at(10, "post", "projects/7/stories/21/labels", {"kind": "label", "id": 82}),
    ]
    found = of_recording(tmp_path, interactions[::-1] if reversed_in_file else interactions)
    (story,) = found.records["stories"]
    assert sorted(comment["id"] for comment in story["comments"]) == [32, 33]
    assert [label["id"] for label in story["labels"]] == [82]


def test_an_upload_is_no_comment(tmp_path: Path) -> None:
    upload = {"kind": "file_attachment", "id": 61, "filename": "a.png"}
    comment = {"kind": "comment", "id": 31, "text": "t", "file_attachments": [upload]}
    result = of_recording(
        tmp_path,
        [
            recorded_at(1, "get", "projects/7/stories/21", STORY),
            recorded_at(2, "post", "projects/7/uploads", upload),
            recorded_at(3, "post", "projects/7/stories/21/comments", comment),
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


def test_what_a_browser_recorded(tmp_path: Path) -> None:
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


# what nobody should have recorded


def test_tags_make_no_objects(tmp_path: Path) -> None:
    attack = "!!python/object/apply:os.system ['touch hacked']"
    text = written({"interactions": traffic()}) + f"x: {attack}\n? {attack}\n: 1\n"
    (tmp_path / "x.yaml").write_text(text)
    assert read(tmp_path / "x.yaml").records["stories"] == EXPECTED


def test_aliases_that_multiply_cost_nothing(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    lines += [f"m{n}: &m{n} {{<<: [*m{n - 1}, *m{n - 1}], k{n}: *a29}}" for n in range(1, 30)]
    bomb = "\n".join(lines) + "\n"
    (tmp_path / "x.yaml").write_text(bomb + written({"interactions": traffic()}))
    assert read(tmp_path / "x.yaml").records["stories"] == EXPECTED


def test_hostile_yaml_costs_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cassettes, "MAX_BYTES_OF_A_RECORD", 5_000)
    whole = written({"interactions": traffic()})
    bomb = written({"interactions": [interaction("me", gzip.compress(b"[" + b" " * 9_000))]})
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
    form=st.sampled_from(["vcrpy", "VCR", "gzip", "vcrpy in JSON"]),
)
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_bytes_are_read_or_refused(
    tmp_path: Path, places: list[tuple[int, bytes]], cut: int, form: str
) -> None:
    name, whole = FORMS[form]
    text = bytearray(whole.encode())
    for place, noise in places:
        text[place : place + len(noise)] = noise
    (tmp_path / name).write_bytes(text[: cut or None])
    try_to_read(tmp_path / name, API_ANSWERS)


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
def test_any_interactions_are_read_or_refused(
    tmp_path: Path, value: list[Any], as_json: bool
) -> None:
    if as_json:
        text = json.dumps({"interactions": value}, default=repr)
    else:
        text = yaml.dump({"interactions": value})
    (tmp_path / "x.yaml").write_text(text, "utf-8", "replace")
    try_to_read(tmp_path / "x.yaml", API_ANSWERS)
