"""The files of comments: each downloaded once, whole, and told of in a table."""

from __future__ import annotations

import hashlib
import itertools
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pivotal_tracker.extract.attachments import file_path
from tracker_server import Behaviour, TrackerServer
from tracker_server.faults import RandomFaults, ResetConnection, TruncatedBody
from tracker_server.sample import generate_workspace
from tracker_server.workspace import Workspace

from ..support.command import Command, new_command, serving
from ..support.forking import Forking

HOSTILE_NAMES = [
    "../../../etc/passwd",
    "..",
    "/root/x",
    "a\\..\\b",
    "nul\x00l",
    "CON",
    "x" * 400,
    "",
]

FILES = ("--attachments", "files", "--resource", "labels")
"""Options that bring the files of comments that are loaded, and hardly anything else."""


def make_with_files() -> Workspace:
    """Projects whose stories and epic have files, some of them with names that are no names."""
    workspace = generate_workspace(projects=1, stories=6, activity=20, seed=3)
    (project,) = workspace.projects.values()
    story, other = list(project.stories)[:2]
    for place, name in enumerate(["plan.pdf", *HOSTILE_NAMES]):
        file = {"filename": name, "content": f"{place} of {name!r}".encode() * 10_000}
        workspace.add_comment(
            "See this", story_id=story if place % 2 else other, file_attachments=[file]
        )
    epic = next(iter(project.epics))
    picture = {"filename": "epic.png", "content": bytes(range(256)) * 9000}
    workspace.add_comment("And this", epic_id=epic, file_attachments=[picture])
    another = workspace.create_project(name="Another").record["id"]
    its_story = workspace.create_story(another, name="With a file")["id"]
    file = {"filename": "other.txt", "content": b"of another project"}
    workspace.add_comment("See", story_id=its_story, file_attachments=[file])
    return workspace


@pytest.fixture
def with_files() -> Workspace:
    """Projects with files."""
    return make_with_files()


@pytest.fixture(scope="module")
def comments_loaded(forking: Forking, tmp_path_factory: pytest.TempPathFactory) -> Command:
    """The command where it has loaded all comments of projects with files, but no file."""
    command = new_command(forking, tmp_path_factory.mktemp("comments") / "run")
    with serving(make_with_files(), command) as server:
        result = command("--resource", "stories", "epics")
        assert result.returncode == 0, result.stderr
        assert not downloads(server), "which are off by default"
    return command


@pytest.fixture
def server(
    command: Command,
    serve: Callable[[Workspace], TrackerServer],
    with_files: Workspace,
    comments_loaded: Command,
) -> TrackerServer:
    """A server of projects with files, from which the command has loaded all but these."""
    command.take_over(comments_loaded)
    return serve(with_files)


def assert_all_there(command: Command, workspace: Workspace, folder: Path) -> None:
    """Every file of the workspace lies where its row says, as it is in the workspace."""
    rows = {row["id"]: row for row in command.tables()["attachment_files"]}
    assert rows.keys() == workspace.attachments.keys()
    for attachment_id, content in workspace.attachments.items():
        row = rows[attachment_id]
        path = Path(row["path"])
        assert row["problem"] is None
        assert path.is_relative_to(folder)
        assert path.name.startswith(f"{attachment_id}-")
        assert path.read_bytes() == content
        assert row["size"] == len(content)
        assert row["sha256"] == hashlib.sha256(content).hexdigest()
    files = {path for path in folder.rglob("*") if path.is_file()}
    assert files == {Path(row["path"]) for row in rows.values()}


def downloads(server: TrackerServer) -> list[str]:
    return [request.path for request in server.requests if "/file_attachments/" in request.path]


def test_each_file_is_downloaded_once_and_again_if_it_is_lost(
    command: Command, with_files: Workspace, server: TrackerServer
) -> None:
    """Of one project first, and of all later."""
    folder = command.folder / "files"
    project_id, other_id = with_files.projects
    project = with_files.projects[project_id]
    (of_other,) = (
        file["id"]
        for story in with_files.projects[other_id].stories.values()
        for comment in story["comments"]
        for file in comment["file_attachments"]
    )
    before = {i: c for i, c in with_files.attachments.items() if i != of_other}
    result = command("--project", str(project_id), *FILES)
    assert result.returncode == 0, result.stderr
    assert f"{len(before)} downloaded" in result.stdout
    assert len(downloads(server)) == len(before)
    paths = {row["id"]: Path(row["path"]) for row in command.tables()["attachment_files"]}
    assert {one: path.read_bytes() for one, path in paths.items()} == before

    comments = [c for s in project.stories.values() for c in s["comments"]]
    deleted = next(comment for comment in comments if comment["file_attachments"])
    gone = {file["id"] for file in deleted["file_attachments"]}
    lost, cut, *_ = paths.keys() - gone
    with_files.delete_comment(deleted["id"])
    paths[lost].unlink()
    paths[cut].write_bytes(paths[cut].read_bytes()[:7])
    new = {"filename": "new.txt", "content": b"new"}
    with_files.add_comment("More", story_id=deleted["story_id"], file_attachments=[new])
    added = with_files.attachments.keys() - before.keys()
    server.requests.clear()
    result = command("--attachments", "files", "--resource", "stories")
    assert result.returncode == 0, result.stderr
    # those of the others are kept, as is what the deleted comment had
    assert sorted(re.findall(r"\d{5,}", " ".join(downloads(server)))) == sorted(
        map(str, (lost, cut, *added))
    )
    for one in gone:
        paths[one].unlink()
    assert_all_there(command, with_files, folder)


def test_a_download_that_breaks_off_is_gone_on_with(
    command: Command,
    with_files: Workspace,
    server: TrackerServer,
) -> None:
    faults = (TruncatedBody(), ResetConnection())
    server.behaviour.faults = [RandomFaults(0.5, faults, seed=5)]
    result = command(*FILES)
    assert result.returncode == 0, result.stderr
    assert_all_there(command, with_files, command.folder / "files")
    assert any("Range" in r.headers for r in server.requests if "/file_attachments/" in r.path)


@pytest.fixture
def store(with_files: Workspace) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Another host, which files are kept at, and the headers of what was asked of it."""
    seen: list[dict[str, str]] = []

    class Store(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(dict(self.headers))
            number = re.search(r"\d{5,}", self.path)
            assert number is not None
            content = with_files.attachments[int(number[0])]
            if self.path.startswith("/login"):
                content = b"<html>Who are you?</html>"
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Store)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", seen
    server.shutdown()
    server.server_close()


def test_the_token_goes_to_no_other_host_and_what_cannot_be_had_is_told(
    command: Command,
    with_files: Workspace,
    server: TrackerServer,
    store: tuple[str, list[dict[str, str]]],
) -> None:
    address, seen = store
    missing, wrong, *_ = with_files.attachments
    kept = {i: c for i, c in with_files.attachments.items() if i not in (missing, wrong)}
    del with_files.attachments[missing]
    with_files.attachments[wrong] += b" and more than was said"

    def keep_elsewhere(path: str, _: Any) -> None:
        number = re.search(r"/file_attachments/(\d+)", path)
        server.behaviour.downloads_redirect_to = (
            address if number and int(number[1]) in kept else None
        )

    server.before_request = keep_elsewhere
    result = command(*FILES)
    assert result.returncode == 0, result.stderr
    assert len(seen) == len(kept)
    assert not any(with_files.me["api_token"] in str(headers) for headers in seen)
    assert "2 could not be downloaded" in result.stdout
    rows = {row["id"]: row for row in command.tables()["attachment_files"]}
    assert "404" in rows[missing]["problem"]
    assert "more than the" in rows[wrong]["problem"]
    there = {i: Path(row["path"]).read_bytes() for i, row in rows.items() if row["path"]}
    assert there == kept
    assert not list((command.folder / "files").rglob("*.part"))


def test_an_image_that_is_refused_is_had_by_its_signed_address(
    command: Command,
    with_files: Workspace,
    server: TrackerServer,
    store: tuple[str, list[dict[str, str]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However it is refused: as forbidden, as not for this token, by sending on to a login."""
    address, seen = store
    monkeypatch.setattr("tracker_server.record_types.SIGNED_URL_SITE", address)
    ways: dict[str, dict[str, Any]] = {
        "forbidden": {"forbidden_endpoints": {"file_attachments"}},
        "not accepted": {"token": "0", "wrong_token_status": 401},
        "sent to a login": {"downloads_redirect_to": f"{address}/login"},
    }
    how = dict(zip(with_files.attachments, itertools.cycle(ways), strict=False))

    def refuse(path: str, _: Any) -> None:
        number = re.search(r"/file_attachments/(\d+)", path)
        way = ways[how[int(number[1])]] if number else {}
        vars(server.behaviour).update(vars(Behaviour(**way)))

    server.before_request = refuse
    result = command(*FILES)
    assert result.returncode == 0, result.stderr
    rows = command.tables()["attachment_files"]
    of_stories = {row["id"] for row in rows if row["story_id"]}
    assert {how[one] for one in of_stories} == ways.keys()
    assert {row["id"] for row in rows if row["path"]} == of_stories
    for row in rows:
        if row["path"]:
            assert Path(row["path"]).read_bytes() == with_files.attachments[row["id"]]
    assert not any(with_files.me["api_token"] in str(headers) for headers in seen)


@given(st.text(), st.integers())
def test_no_name_leads_out_of_the_folder(name: str, number: int) -> None:
    folder = Path("/files")
    path = file_path(folder, {"id": number, "project_id": 1, "story_id": 2, "filename": name})
    assert path.parent == folder / "1" / "2"
    assert len(path.name.encode()) < 255
    assert path.name.isprintable()
