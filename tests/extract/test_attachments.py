"""Attachments: each file is downloaded once and completely, and has a row."""

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
from ..support.forking import ForkServer

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
"""Options that download the files of loaded comments, and load little else."""


def make_workspace_with_files() -> Workspace:
    """Generate projects whose stories and epic have files, some with hostile names."""
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
def workspace() -> Workspace:
    """A workspace with files."""
    return make_workspace_with_files()


@pytest.fixture(scope="module")
def comments_loaded(fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> Command:
    """The command after it has loaded all comments, but no files."""
    command = new_command(fork_server, tmp_path_factory.mktemp("comments") / "run")
    with serving(make_workspace_with_files(), command) as server:
        result = command("--resource", "stories", "epics")
        assert result.returncode == 0, result.stderr
        assert not download_paths(server), "downloads are off by default"
    return command


@pytest.fixture
def server(
    command: Command,
    serve: Callable[[Workspace], TrackerServer],
    workspace: Workspace,
    comments_loaded: Command,
) -> TrackerServer:
    """Serve the workspace, of which the command has loaded everything except the files."""
    command.take_over(comments_loaded)
    return serve(workspace)


def assert_all_files_downloaded(command: Command, workspace: Workspace, folder: Path) -> None:
    """Assert that each file of the workspace is at the path in its row, with the same content."""
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


def download_paths(server: TrackerServer) -> list[str]:
    return [request.path for request in server.requests if "/file_attachments/" in request.path]


def test_files_are_downloaded_once_and_again_if_they_are_lost(
    command: Command, workspace: Workspace, server: TrackerServer
) -> None:
    """The first run downloads the files of one project, the second one those of all."""
    folder = command.folder / "files"
    project_id, other_id = workspace.projects
    project = workspace.projects[project_id]
    (of_other,) = (
        file["id"]
        for story in workspace.projects[other_id].stories.values()
        for comment in story["comments"]
        for file in comment["file_attachments"]
    )
    before = {i: c for i, c in workspace.attachments.items() if i != of_other}
    result = command("--project", str(project_id), *FILES)
    assert result.returncode == 0, result.stderr
    assert f"{len(before)} downloaded" in result.stdout
    assert len(download_paths(server)) == len(before)
    paths = {row["id"]: Path(row["path"]) for row in command.tables()["attachment_files"]}
    assert {file_id: path.read_bytes() for file_id, path in paths.items()} == before

    comments = [c for s in project.stories.values() for c in s["comments"]]
    deleted = next(comment for comment in comments if comment["file_attachments"])
    deleted_ids = {file["id"] for file in deleted["file_attachments"]}
    lost, cut, *_ = paths.keys() - deleted_ids
    workspace.delete_comment(deleted["id"])
    paths[lost].unlink()
    paths[cut].write_bytes(paths[cut].read_bytes()[:7])
    new = {"filename": "new.txt", "content": b"new"}
    workspace.add_comment("More", story_id=deleted["story_id"], file_attachments=[new])
    added = workspace.attachments.keys() - before.keys()
    server.requests.clear()
    result = command("--attachments", "files", "--resource", "stories")
    assert result.returncode == 0, result.stderr
    # other files are kept, also those of the deleted comment
    assert sorted(re.findall(r"\d{5,}", " ".join(download_paths(server)))) == sorted(
        map(str, (lost, cut, *added))
    )
    for file_id in deleted_ids:
        paths[file_id].unlink()
    assert_all_files_downloaded(command, workspace, folder)


def test_interrupted_download_is_resumed(
    command: Command,
    workspace: Workspace,
    server: TrackerServer,
) -> None:
    faults = (TruncatedBody(), ResetConnection())
    server.behaviour.faults = [RandomFaults(0.5, faults, seed=5)]
    result = command(*FILES)
    assert result.returncode == 0, result.stderr
    assert_all_files_downloaded(command, workspace, command.folder / "files")
    assert any("Range" in r.headers for r in server.requests if "/file_attachments/" in r.path)


@pytest.fixture
def file_host(workspace: Workspace) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Run another host that has the files; yield its URL and the headers of its requests."""
    seen: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(dict(self.headers))
            number = re.search(r"\d{5,}", self.path)
            assert number is not None
            content = workspace.attachments[int(number[0])]
            if self.path.startswith("/login"):
                content = b"<html>Who are you?</html>"
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", seen
    server.shutdown()
    server.server_close()


def test_token_is_not_sent_to_other_hosts_and_failed_downloads_are_reported(
    command: Command,
    workspace: Workspace,
    server: TrackerServer,
    file_host: tuple[str, list[dict[str, str]]],
) -> None:
    address, seen = file_host
    missing, wrong, *_ = workspace.attachments
    kept = {i: c for i, c in workspace.attachments.items() if i not in (missing, wrong)}
    del workspace.attachments[missing]
    workspace.attachments[wrong] += b" and more than the size"

    def redirect_to_file_host(path: str, _: Any) -> None:
        number = re.search(r"/file_attachments/(\d+)", path)
        server.behaviour.downloads_redirect_to = (
            address if number and int(number[1]) in kept else None
        )

    server.before_request = redirect_to_file_host
    result = command(*FILES)
    assert result.returncode == 0, result.stderr
    assert len(seen) == len(kept)
    assert not any(workspace.me["api_token"] in str(headers) for headers in seen)
    assert "2 could not be downloaded" in result.stdout
    rows = {row["id"]: row for row in command.tables()["attachment_files"]}
    assert "404" in rows[missing]["problem"]
    assert "more than the" in rows[wrong]["problem"]
    there = {i: Path(row["path"]).read_bytes() for i, row in rows.items() if row["path"]}
    assert there == kept
    assert not list((command.folder / "files").rglob("*.part"))


def test_refused_image_is_downloaded_by_its_signed_url(
    command: Command,
    workspace: Workspace,
    server: TrackerServer,
    file_host: tuple[str, list[dict[str, str]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The server forbids the file, does not accept the token, or redirects to a login."""
    address, seen = file_host
    monkeypatch.setattr("tracker_server.record_types.SIGNED_URL_SITE", address)
    refusals: dict[str, dict[str, Any]] = {
        "forbidden": {"forbidden_endpoints": {"file_attachments"}},
        "not accepted": {"token": "0", "wrong_token_status": 401},
        "redirected to a login": {"downloads_redirect_to": f"{address}/login"},
    }
    refusal_of = dict(zip(workspace.attachments, itertools.cycle(refusals), strict=False))

    def refuse(path: str, _: Any) -> None:
        number = re.search(r"/file_attachments/(\d+)", path)
        refusal = refusals[refusal_of[int(number[1])]] if number else {}
        vars(server.behaviour).update(vars(Behaviour(**refusal)))

    server.before_request = refuse
    result = command(*FILES)
    assert result.returncode == 0, result.stderr
    rows = command.tables()["attachment_files"]
    of_stories = {row["id"] for row in rows if row["story_id"]}
    assert {refusal_of[one] for one in of_stories} == refusals.keys()
    assert {row["id"] for row in rows if row["path"]} == of_stories
    for row in rows:
        if row["path"]:
            assert Path(row["path"]).read_bytes() == workspace.attachments[row["id"]]
    assert not any(workspace.me["api_token"] in str(headers) for headers in seen)


@given(st.text(), st.integers())
def test_file_names_cannot_leave_the_folder(name: str, number: int) -> None:
    folder = Path("/files")
    path = file_path(folder, {"id": number, "project_id": 1, "story_id": 2, "filename": name})
    assert path.parent == folder / "1" / "2"
    assert len(path.name.encode()) < 255
    assert path.name.isprintable()
