"""Failures: a run loads everything nevertheless, or fails with one line that says what to do."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pytest

from pivotal_tracker import RESOURCES, TrackerError, pivotal_tracker_source
from pivotal_tracker.api.client import TrackerClient
from pivotal_tracker.cli.check import check_server
from pivotal_tracker.cli.error_messages import reason
from pivotal_tracker.cli.main import main
from pivotal_tracker.settings import ME
from pivotal_tracker.tables import PROJECT_TABLES
from tracker_server import Request, TrackerServer, litetracker
from tracker_server.errors import ApiError, route_not_found
from tracker_server.faults import (
    TRANSIENT_FAULTS,
    Fault,
    HtmlPage,
    RandomFaults,
    Redirect,
    ResetConnection,
    Stall,
    Status,
    TooManyRequests,
)
from tracker_server.sample import generate_workspace
from tracker_server.workspace import Workspace

from ..support.command import Command
from ..support.truth import assert_only_loaded, assert_tables_equal, comparable, served_tables

Serve = Callable[[Workspace], TrackerServer]


def assert_fails_with_one_line(result: subprocess.CompletedProcess[str], *words: str) -> None:
    """Assert that a run failed with one line, which has some words, and without a traceback."""
    assert result.returncode == 1, (result.stdout, result.stderr)
    assert "Traceback" not in result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("pivotal_tracker: ")]
    assert len(lines) == 1, result.stderr
    assert result.stderr.rstrip().endswith(lines[0])
    for word in words:
        assert word in lines[0]


@dataclass
class RecordedFaults(RandomFaults):
    """Random faults that record which there were.

    Attributes:
        counts: How often each fault affected a request.
        waits: For each `Retry-After`, the seconds until its URL was requested again.
    """

    counts: Counter[str] = field(default_factory=Counter)
    waits: list[float] = field(default_factory=list)
    _limited_at: dict[str, float] = field(default_factory=dict)

    def select(self, request: Request) -> Sequence[Fault]:
        now, url = time.monotonic(), f"{request.path} {request.query}"
        if url in self._limited_at:
            self.waits.append(now - self._limited_at.pop(url))
        faults = super().select(request)
        for fault in faults:
            self.counts[repr(fault)] += 1
            if isinstance(fault, TooManyRequests) and fault.retry_after is not None:
                self._limited_at[url] = now
        return faults


def test_transient_faults_lose_no_rows_and_retry_after_is_respected(
    command: Command, server: TrackerServer
) -> None:
    expected = served_tables(server)
    server.behaviour.max_limits = {"stories": 10, "activity": 25, "releases": 3}
    faults = [
        TooManyRequests(retry_after=1) if fault == TooManyRequests(retry_after=0) else fault
        for fault in TRANSIENT_FAULTS
        if not isinstance(fault, Stall)
    ]
    recorded = RecordedFaults(0.35, [*faults, Stall(2)], seed=159)
    server.behaviour.faults = [recorded]
    result = command(env={"RUNTIME__REQUEST_TIMEOUT": "1"})
    assert result.returncode == 0, result.stderr
    assert_tables_equal(command.tables(), expected)
    (repeated,) = re.findall(r"\((\d+) repeated\)", result.stdout)
    assert int(repeated) >= recorded.counts.total()
    assert all(recorded.counts[repr(fault)] > 1 for fault in recorded.faults), recorded.counts
    assert len(recorded.waits) == recorded.counts[repr(TooManyRequests(retry_after=1))]
    assert min(recorded.waits) >= 1


LONG_RETRY = {"RUNTIME__REQUEST_BACKOFF_FACTOR": "300"}
"""Make the first retry wait longer than a test does."""


def test_permanent_server_error_fails_with_one_line(
    command: Command, server: TrackerServer
) -> None:
    server.behaviour.faults = [Status(503)]
    assert_fails_with_one_line(command(), "503")


def test_wrong_token_fails_immediately(command: Command, server: TrackerServer) -> None:
    command.api_token = "0" * 32
    result = command("--summary", "summary.json", env=LONG_RETRY)
    assert_fails_with_one_line(result, "token", "SOURCES__PIVOTAL_TRACKER__API_TOKEN")
    assert len(server.requests) == 1
    report = json.loads((command.folder / "summary.json").read_text())
    assert report["exit_code"] == 1
    assert "does not accept the API token" in report["reason"]
    assert report["reason"] in result.stderr


def test_missing_token_error_names_the_setting(command: Command, server: TrackerServer) -> None:
    """A placeholder in `.dlt/secrets.toml` counts as missing."""
    command.api_token = ""
    assert_fails_with_one_line(command(), "token", "SOURCES__PIVOTAL_TRACKER__API_TOKEN")
    assert not server.requests
    for token in ("", " "):
        with pytest.raises(TrackerError, match="SOURCES__PIVOTAL_TRACKER__API_TOKEN"):
            TrackerClient(server.url, token)


def test_unreachable_original_host_is_reported_as_shut_down(command: Command) -> None:
    command.api_token = "a" * 32
    assert_fails_with_one_line(command(), "base_url", "shut down on 2025-04-30", "litetracker")
    command.base_url = "https://www.pivotaltracker.com/services/v5"
    with closed_port() as port:
        # makes the host unreachable on any network
        result = command(env={"HTTPS_PROXY": f"http://127.0.0.1:{port}"})
    assert_fails_with_one_line(
        result, "www.pivotaltracker.com", "shut down on 2025-04-30", "litetracker"
    )


def test_response_of_original_host_is_reported_as_shut_down(
    command: Command, server: TrackerServer
) -> None:
    proxy = {"HTTP_PROXY": server.url.removesuffix("/services/v5")}
    for url, token in (
        ("http://www.pivotaltracker.com/services/v5", "a" * 32),
        ("http://www.pivotaltracker.com/gone", command.api_token),
    ):
        command.base_url, command.api_token = url, token
        assert_fails_with_one_line(command(env=proxy), "shut down on 2025-04-30", "litetracker")
    assert server.requests


def test_base_url_without_api_path_is_reported(command: Command, server: TrackerServer) -> None:
    command.base_url = server.url.removesuffix("/services/v5")
    for options in ((), ("--check",)):
        assert_fails_with_one_line(
            command(*options), "404", "including /services/v5", command.base_url
        )


def test_unreachable_host_fails_without_retries(command: Command) -> None:
    command.api_token = "a" * 32
    with closed_port() as port:
        command.base_url = f"http://127.0.0.1:{port}/services/v5"
        result = command(env=LONG_RETRY)
        client = TrackerClient(command.base_url, "a" * 32)
        with pytest.raises(TrackerError, match="cannot be reached"):
            client.page(ME)
    assert client.counts["attempts"] == 1
    assert_fails_with_one_line(result, f"127.0.0.1:{port} cannot be reached")


def test_https_to_an_http_server_fails_without_retries(
    command: Command, server: TrackerServer
) -> None:
    command.base_url = server.url.replace("http:", "https:")
    result = command(env=LONG_RETRY)
    assert_fails_with_one_line(result, "cannot be reached by https: it speaks http", "base_url")
    client = TrackerClient(command.base_url, "a" * 32)
    with pytest.raises(TrackerError, match="cannot be reached by https"):
        client.page(ME)
    assert client.counts["attempts"] == 1


def closed_port() -> socket.socket:
    """Return a socket that reserves a port without listening on it."""

    class Closed(socket.socket):
        def __enter__(self) -> int:  # type: ignore[override]
            self.bind(("127.0.0.1", 0))
            return int(self.getsockname()[1])

    return Closed()


@pytest.mark.parametrize(
    ("base_url", "message"),
    [
        ("tracker.example.org", "tracker.example.org"),
        ("http://127.0.0.1:99999/services/v5", "99999"),
        ("http://[::1/services/v5", "web address"),
        ("http://127.0.0.1/services/v5?token=hidden", "nothing behind it"),
        ("http://me:hidden@127.0.0.1/services/v5", "without a user name"),
        ("http://me:hidden@[::1/services/v5", "web address"),
    ],
)
def test_invalid_base_url_is_reported_without_secrets(
    base_url: str, message: str, command: Command
) -> None:
    command.api_token = "a" * 32
    command.base_url = base_url
    result = command()
    assert_fails_with_one_line(result, "base_url", message)
    assert "hidden" not in result.stderr
    kept = [file.read_bytes() for file in command.folder.rglob("*") if file.is_file()]
    assert not [content for content in kept if b"hidden" in content]


def test_password_in_base_url_is_not_printed(command: Command) -> None:
    command.api_token = "a" * 32
    command.base_url = "http://me:wordpass@127.0.0.1:1/services/v5"
    result = command()
    assert_fails_with_one_line(result, "base_url", "password")
    assert "wordpass" not in result.stdout + result.stderr


def test_unreadable_lists_of_a_project_are_skipped_and_reported(
    command: Command, server: TrackerServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One project is forbidden, one is missing, and epics of one answer a 404 without a reason."""
    expected = served_tables(server)
    known, forbidden, closed = server.workspace.projects
    server.behaviour.forbidden_projects = {forbidden}
    respond_404_to_epics(server, monkeypatch, f"/{closed}/epics")
    result = command("--project", str(known), str(forbidden), str(closed), "99")
    assert result.returncode == 3, result.stderr
    assert "Not offered" not in result.stdout
    skipped = set(re.findall(r"Skipped: project (\d+), (\w+)", result.stdout))
    assert skipped == {
        ("99", "projects"),
        (str(closed), "epics"),
        *((str(forbidden), name) for name in PROJECT_TABLES),
    }
    of_projects = {t.name for table in PROJECT_TABLES.values() for t in table.family()}
    of_epics = {table.name for table in PROJECT_TABLES["epics"].family()}
    tables = command.tables()
    assert {row["id"] for row in tables["projects"]} == {known, forbidden, closed}
    assert_tables_equal(
        {name: rows for name, rows in tables.items() if name in of_projects},
        {
            name: [
                row
                for row in rows
                if row["project_id"] != forbidden
                and (name not in of_epics or row["project_id"] != closed)
            ]
            for name, rows in expected.items()
            if name in of_projects
        },
    )


def respond_404_to_epics(
    server: TrackerServer, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    """Respond to paths with this ending, of epics, with a 404 that does not say what is missing."""
    is_closed = False

    def close(path: str, _: dict[str, str]) -> None:
        nonlocal is_closed
        is_closed = path.endswith(ending)
        server.behaviour.unsupported_endpoints = missing | ({"epics"} if is_closed else set())

    missing = server.behaviour.unsupported_endpoints
    monkeypatch.setattr(
        "tracker_server.handlers.route_not_found",
        lambda: ApiError(404, "", "Not Found") if is_closed else route_not_found(),
    )
    server.before_request = close


def test_unsupported_endpoint_exits_0(
    command: Command, server: TrackerServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server says that it has no releases, and responds to all epics with 404."""
    server.behaviour.unsupported_endpoints = {"releases"}
    respond_404_to_epics(server, monkeypatch, "/epics")
    result = command("--resource", "epics", "releases", "labels")
    assert result.returncode == 0, result.stderr
    assert "Not offered by this server: epics, releases" in result.stdout
    assert "Skipped" not in result.stdout
    tables = command.tables()
    assert tables["labels"]
    assert tables["epics"] == tables["releases"] == []
    for name in ("epics", "releases"):
        requested = [r.path for r in server.requests if r.path.endswith(f"/{name}")]
        assert len(requested) <= len(server.workspace.projects)


def test_parameters_refused_by_one_endpoint_are_sent_to_others(
    command: Command, server: TrackerServer
) -> None:
    """One endpoint refuses some fields, one all fields, and one `fields` and `limit`.

    A refused nested field does not remove the other fields beside it.
    """
    project_id, project = next(iter(server.workspace.projects.items()))
    story_id, workspace = next(iter(project.stories)), server.workspace
    link = {"title": "Plan", "google_id": "g", "alternate_link": "https://docs.google.com/g"}
    workspace.add_comment("See this", story_id=story_id, google_attachments=[link])
    type_id = workspace.add_review_type(project_id, "Design")["id"]
    workspace.add_review(story_id, type_id)
    expected = served_tables(server)
    behaviour = server.behaviour
    behaviour.unsupported_fields = {"branches", "google_attachments", "review_type"}
    lacks = {"epics": {"fields"}, "iterations": {"fields", "limit"}}

    def refuse(path: str, _: dict[str, str]) -> None:
        behaviour.unsupported_params = lacks.get(path.rpartition("/")[2], set())

    server.before_request = refuse
    result = command("--resource", "stories", "epics", "iterations", "labels")
    assert result.returncode == 3, result.stderr
    (fields,) = re.findall("Fields that this server refuses: (.*)", result.stdout)
    assert behaviour.unsupported_fields <= set(fields.split(", "))
    # a list that cannot be requested is skipped
    skipped = set(re.findall(r"Skipped: project (\d+), (\w+)", result.stdout))
    assert skipped == {(str(project_id), "iterations") for project_id in workspace.projects}
    assert len(server.requests) < 100

    tables = command.tables()
    names = [t.name for name in ("stories", "labels") for t in PROJECT_TABLES[name].family()]
    assert expected.pop("stories__comments__google_attachments")
    assert expected.pop("stories__branches")
    for row in expected["stories__reviews"]:
        for name in [column for column in row if column.startswith("review_type__")]:
            del row[name]
    assert_tables_equal(
        {name: tables[name] for name in names},
        {name: expected[name] for name in names if name in expected},
    )
    assert {row["name"] for row in tables["epics"]} == {row["name"] for row in expected["epics"]}
    assert tables["epics__comments"] == tables["iterations"] == []


def test_check_works_without_fields_and_limit_parameters(server: TrackerServer) -> None:
    server.behaviour.unsupported_params = {"fields", "limit"}
    findings = check_server(server.workspace.me["api_token"], server.url)
    assert findings.usable
    lines = {line.split()[0]: line for line in findings.lines if line}
    assert lines["labels"].split()[1] == "supported"
    assert "not understood by this server" in lines["stories"]


def test_locked_database_and_full_disk_fail_with_one_line_and_are_resumed(
    command: Command, server: TrackerServer
) -> None:
    """The database is in use; then the disk is full, during extraction and during the load."""
    with duckdb.connect(str(command.database)):
        assert_fails_with_one_line(command(), "in use by another program")
    packages = command.folder / "dlt" / "pipelines" / "pivotal_tracker" / "load" / "normalized"
    for most, is_loading in ((64 * 1024, False), (512 * 1024, True)):
        result = command.python(
            "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
            f"resource.setrlimit(resource.RLIMIT_FSIZE, ({most}, {most})); "
            "from pivotal_tracker.cli.main import main; sys.exit(main(['--no-views']))"
        )
        assert_fails_with_one_line(result, "disk is full")
        assert any(packages.glob("*/started_jobs")) == is_loading
    assert command().returncode == 0
    assert_tables_equal(command.tables(), served_tables(server))


def test_unwritable_destination_fails_with_one_line(
    command: Command, server: TrackerServer
) -> None:
    result = command(env={"DESTINATION__DUCKDB__CREDENTIALS": "/proc/none/here.duckdb"})
    assert_fails_with_one_line(result, "/proc/none/here.duckdb", "Check that the folder exists")


@pytest.mark.parametrize("rate", [0, -3, float("nan")])
def test_invalid_requests_per_second_is_rejected(rate: float) -> None:
    with pytest.raises(TrackerError, match="requests_per_second must be a number above 0"):
        TrackerClient("http://127.0.0.1/services/v5", "a" * 32, rate)


def test_duckdb_memory_limit_is_raised_when_needed(command: Command, server: TrackerServer) -> None:
    with_little = (
        "from pivotal_tracker.cli import duckdb_file; "
        "from pivotal_tracker.cli.main import main; duckdb_file.MEMORY_LIMIT = '4MB'; "
        "sys.exit(main(['--no-views', '--resource', 'stories']))"
    )
    result = command.python(with_little, {"LOAD__RAISE_ON_MAX_RETRIES": "1"})
    assert result.returncode == 0, result.stderr
    assert "DuckDB needed more memory than 4MB" in result.stderr
    assert_only_loaded(["stories"], command.tables(), served_tables(server))


def test_interrupted_run_is_resumed(command: Command, server: TrackerServer) -> None:
    """Ctrl-C while the n-th request is being answered, then when the first rows are written."""
    for after in (3, 18):
        server.requests.clear()
        stderr = interrupt_at_request(after, command, server)
        assert stderr.splitlines()[-1].startswith("pivotal_tracker: Interrupted.")
    process = command.start()
    packages = command.folder / "dlt" / "pipelines" / "pivotal_tracker" / "load" / "normalized"
    while not any(packages.glob("*/completed_jobs/*")) and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert "Traceback" not in stderr
    assert process.returncode == 0 or "pivotal_tracker: Interrupted." in stderr
    # the next run loads the extracted data first, and then reads what changed
    server.workspace.create_story(next(iter(server.workspace.projects)), name="New")
    result = command()
    assert result.returncode == 0, result.stderr
    assert_tables_equal(command.tables(), served_tables(server))


def interrupt_at_request(requests: int, command: Command, server: TrackerServer) -> str:
    """Interrupt a run at a request; return what it wrote to stderr."""
    interrupted = threading.Event()
    process = command.start()

    def interrupt(path: str, query: dict[str, str]) -> None:
        if len(server.requests) >= requests and not interrupted.is_set():
            interrupted.set()
            process.send_signal(signal.SIGINT)

    server.before_request = interrupt
    _, stderr = process.communicate(timeout=60)
    server.before_request = None
    assert process.returncode == 1, stderr
    assert "Traceback" not in stderr
    return stderr


def test_token_appears_only_in_its_header(command: Command, server: TrackerServer) -> None:
    some = ("--resource", "projects", "stories", "account_memberships")
    token = server.workspace.me["api_token"]
    command.api_token = f"{token}\n"
    server.behaviour.faults = [
        RandomFaults(0.2, (Status(500), ResetConnection(), HtmlPage()), seed=5)
    ]
    results = [command("--debug", "--progress", "log", *some), command("--check", "--debug")]
    server.behaviour.token = "another"
    results.append(command("--debug"))
    assert [result.returncode for result in results[:2]] == [0, 0]
    assert results[2].returncode != 0
    for result in results:
        assert token not in result.stdout + result.stderr
    assert "DEBUG" in results[0].stderr
    for path in _files(command.folder):
        assert token.encode() not in path.read_bytes(), path
    for request in server.requests:
        assert token not in request.path + json.dumps(request.query)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def test_token_is_not_sent_to_a_redirect_target(
    command: Command, serve: Serve, small_workspace: Workspace
) -> None:
    target = serve(generate_workspace(projects=1, stories=3, activity=3))
    server = serve(small_workspace)
    server.behaviour.faults = [Redirect(target.url)]
    assert_fails_with_one_line(command(), "another address", str(target.url))
    assert server.requests
    assert not target.requests


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--projekt"], "--projekt"),
        (["--project", "x"], "x is not the id of a project"),
        (["--dataset", "pivotal_tracker"], "must not be called pivotal_tracker"),
        (["--dataset", "Pivotal-Tracker"], "must not be called pivotal_tracker"),
        (["--dataset", " "], "--dataset must have a name"),
        (["--summary", "nowhere/summary.json"], "there is no folder nowhere"),
        (["--archive", "no.zip", "--resource", "storys"], "no table storys. Did you mean"),
        (["--resource", "labels", "storys"], "no table storys. Did you mean stories?"),
        (["--resource", "labels", "project_list"], "no table project_list. Did you mean projects?"),
        (["--resource", "stories__labels"], "no table stories__labels. Did you mean stories?"),
        (["--resource", "people", "projects"], "people are collected"),
        (["--resource", "deleted_records"], "deleted_records are collected"),
    ],
)
def test_invalid_options_exit_2(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exits:
        main(options)
    assert exits.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_selectable_resources_are_those_of_the_source() -> None:
    offered = pivotal_tracker_source("a" * 32, "http://localhost/services/v5").resources
    assert set(RESOURCES) == set(offered) - {"project_list", "account_list"}


def test_setting_of_the_wrong_type_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCES__PIVOTAL_TRACKER__API_TOKEN", "a" * 32)
    monkeypatch.setenv("SOURCES__PIVOTAL_TRACKER__BASE_URL", "http://localhost/services/v5")
    for name, value, message in (
        ("project_ids", "7", "The setting project_ids is not valid"),
        ("requests_per_second", "often", "The setting requests_per_second is not valid"),
        ("project_ids", '["all"]', "project_ids must be ids of projects"),
    ):
        with monkeypatch.context() as setting:
            setting.setenv(f"SOURCES__PIVOTAL_TRACKER__{name.upper()}", value)
            with pytest.raises(Exception) as caught:
                pivotal_tracker_source()
        assert reason(caught.value).startswith(message)


def test_unusual_values_are_loaded(command: Command, serve: Serve) -> None:
    workspace = generate_workspace(projects=1, stories=12, activity=10, seed=4)
    (project,) = workspace.projects.values()
    stories = list(project.stories.values())
    stories[0]["name"] = "before\x00after"
    stories[1]["name"] = "half a pair: \ud83d"
    stories[2]["description"] = "x" * 1_000_000
    stories[3]["estimate"] = 0.5
    stories[4].pop("description", None)
    stories[5]["mood"] = "never seen"
    stories[6]["weather"] = {"sky": "blue", "clouds": [{"kind": "cirrus"}]}
    stories[7]["name"] = "2020-01-01T00:00:00Z"
    big = stories[8]
    del project.stories[big["id"]]
    big["id"] = 2**40
    project.stories[2**40] = big
    serve(workspace)
    result = command("--resource", "stories")
    assert result.returncode == 0, result.stderr

    assert "2 characters that no database can store" in result.stdout
    tables = command.tables()
    rows = {row["id"]: row for row in tables["stories"]}
    assert rows[stories[0]["id"]]["name"] == "before\N{REPLACEMENT CHARACTER}after"
    assert rows[stories[1]["id"]]["name"] == "half a pair: \N{REPLACEMENT CHARACTER}"
    assert rows[stories[2]["id"]]["description"] == "x" * 1_000_000
    assert rows[stories[3]["id"]]["estimate"] == 0.5
    assert rows[stories[4]["id"]]["description"] is None
    assert rows[stories[5]["id"]]["mood"] == "never seen"
    assert rows[stories[6]["id"]]["weather__sky"] == "blue"
    assert tables["stories__weather__clouds"][0]["kind"] == "cirrus"
    assert rows[stories[7]["id"]]["name"] == "2020-01-01T00:00:00Z"
    assert rows[2**40]["name"] == big["name"]
    assert rows.keys() == {story["id"] for story in stories}
    assert len(tables["stories"]) == len(rows)


def test_records_with_invalid_keys_are_rejected_and_nested_ones_without_get_one(
    command: Command, serve: Serve
) -> None:
    workspace = generate_workspace(projects=3, stories=12, activity=10, seed=4)
    projects = workspace.projects.values()
    # one invalid key per project; the last one is only missing
    commented = []
    for project, key in zip(projects, (2**63, True, None), strict=True):
        story = [s for s in project.stories.values() if s["comments"]][-1]
        story["comments"][0]["id"] = next(iter(project.memberships.values()))["id"] = key
        commented.append(story)
    *rejected, without_id = commented
    stories = [story for project in projects for story in project.stories.values()]
    for story in stories:
        for transition in story["transitions"]:
            del transition["project_version"]
        for task in story["tasks"]:
            del task["id"]
    serve(workspace)
    result = command("--resource", "project_memberships", "stories")
    assert result.returncode == 3, result.stderr
    assert "Rejected: 2 records of stories" in result.stdout
    assert "3 records of project_memberships" in result.stdout
    tables = command.tables()
    loaded = [story for story in stories if story not in rejected]
    assert sorted(row["id"] for row in tables["stories"]) == sorted(s["id"] for s in loaded)
    members = sum(len(project.memberships) for project in projects)
    assert len(tables["project_memberships"]) == members - 3
    given = [row["text"] for row in tables["stories__comments"] if row["id"] < 0]
    assert given == [without_id["comments"][0]["text"]]
    for name in ("transitions", "tasks"):
        assert len(tables[f"stories__{name}"]) == sum(len(s[name]) for s in loaded) > 0
    assert {row["project_version"] < 0 for row in tables["stories__transitions"]} == {True}


def test_litetracker_fills_the_same_columns(
    command: Command, serve: Serve, small_workspace: Workspace
) -> None:
    server = serve(small_workspace)
    of_tracker = served_tables(server)
    server.behaviour = litetracker()
    result = command("--resource", "projects", "stories", "project_memberships", "releases")
    assert result.returncode == 0, result.stderr
    assert "Not offered by this server: releases\n" in result.stdout
    (not_given,) = re.findall("Requested, and not returned by this server: (.*)", result.stdout)
    assert {"stories.blockers", "stories.tasks"} <= set(not_given.split(", "))
    given = {"stories.labels", "stories.owner_ids", "stories.comments"}
    assert not given & set(not_given.split(", "))
    loaded = command.tables()
    names = {row["id"]: row.get("name") for row in of_tracker["stories"]}
    assert {row["id"]: row["name"] for row in loaded["stories"]} == names
    assert sorted((r["story_id"], r["value"]) for r in loaded["stories__owner_ids"]) == sorted(
        (r["story_id"], r["value"]) for r in of_tracker["stories__owner_ids"]
    )
    comments = [
        [(r["story_id"], r["id"], r["text"], r["person_id"]) for r in rows]
        for rows in (loaded["stories__comments"], of_tracker["stories__comments"])
    ]
    assert sorted(comments[0]) == sorted(comments[1])
    assert comments[0]
    assert {r["name"] for r in loaded["projects"]} == {r["name"] for r in of_tracker["projects"]}
    assert all(row["person__name"] for row in loaded["project_memberships"])


def test_check_reads_only_selected_projects(server: TrackerServer) -> None:
    token, (first, second, _) = server.workspace.me["api_token"], server.workspace.projects
    server.behaviour.forbidden_projects = {first}
    good = check_server(token, server.url, [second])
    assert good.usable
    assert "refused" not in "".join(good.lines)
    unknown = check_server(token, server.url, [999])
    assert not unknown.usable
    assert any(line.startswith("Project 999 cannot be read") for line in unknown.lines)


def test_check_reports_projects_endpoints_and_fields(
    command: Command, server: TrackerServer
) -> None:
    server.behaviour.unsupported_endpoints = {"releases"}
    server.behaviour.forbidden_endpoints = {"account_memberships"}
    server.behaviour.unsupported_fields = {"branches"}
    result = command("--check")
    assert result.returncode == 0, result.stderr
    assert server.workspace.me["name"] in result.stdout
    for project in server.workspace.projects.values():
        assert project.record["name"] in result.stdout
    lines = {line.split()[0]: line for line in result.stdout.splitlines() if line}
    stories = sum(len(project.stories) for project in server.workspace.projects.values())
    assert lines["Stories"].split()[1] == f"{stories:,}"
    assert lines["stories"].split()[1].startswith("supported")
    assert "not supported" in lines["releases"]
    assert lines["accounts"].endswith(" supported")
    assert "refused" in lines["account_memberships"]
    assert "branches" in lines["Fields"]
    assert not command.database.exists()
    assert not (command.folder / "dlt" / "pipelines").exists()


def test_sample_ignores_configured_server(command: Command, server: TrackerServer) -> None:
    """The environment has a server and its token, the configuration selects projects."""
    assert command.base_url
    (command.folder / ".dlt" / "config.toml").write_text(
        '[sources.pivotal_tracker]\nproject_ids = [3]\nshard = "2/2"\n'
    )
    check = command("--sample", "--check")
    assert check.returncode == 0, check.stderr
    assert server.url not in check.stdout
    result = command("--sample", "--resource", "stories")
    assert not server.requests
    assert result.returncode == 0, result.stderr
    with duckdb.connect(str(command.folder / "pivotal_tracker_sample.duckdb")) as connection:
        (count,) = connection.execute("SELECT count(*) FROM tracker.stories").fetchone() or (0,)
    assert count > 100


def test_missing_credentials_and_unknown_destination_are_named(
    command: Command, server: TrackerServer
) -> None:
    user = {"DESTINATION__POSTGRES__CREDENTIALS": "postgresql://loader@127.0.0.1:1/db"}
    for name, env, words in (
        ("postgres", user, ("credentials.password", "postgresql://loader:@host/database")),
        ("postgres", {}, ("credentials.database", "credentials.host")),
        ("bigquery", {}, ("credentials.project_id",)),
        ("nonsense", {}, ("There is no destination nonsense",)),
    ):
        result = command("--destination", name, "--resource", "labels", env=env)
        assert_fails_with_one_line(result, *words)


def test_bigquery_without_its_package_names_the_extra(
    command: Command, server: TrackerServer
) -> None:
    result = command.python(
        "sys.modules['google.cloud.bigquery'] = sys.modules['google.cloud'] = None; "
        "from pivotal_tracker.cli.main import main; "
        "sys.exit(main(['--destination', 'bigquery', '--resource', 'labels']))"
    )
    assert_fails_with_one_line(result, "extra [bigquery]")


def test_failed_destination_does_not_break_another(command: Command, server: TrackerServer) -> None:
    refused = {"DESTINATION__POSTGRES__CREDENTIALS": "postgresql://loader:no@127.0.0.1:1/db"}
    assert command("--destination", "bigquery", "--resource", "labels").returncode == 1
    failed = ("--destination", "postgres", "--resource", "labels")
    assert command(*failed, env={**refused, "LOAD__RAISE_ON_MAX_RETRIES": "1"}).returncode == 1
    for options in ((), ("--full-refresh",)):
        result = command("--resource", "labels", *options)
        assert result.returncode == 0, result.stderr
        assert comparable(command.tables()["labels"]) == comparable(served_tables(server)["labels"])


def test_unreadable_paths_fail_with_one_line(command: Command) -> None:
    """A folder of 1,500 levels, the files of a process, and a name that is not UTF-8."""
    folder = os.open(command.folder, os.O_RDONLY)
    for _ in range(1_500):
        os.mkdir("d", dir_fd=folder)
        inner = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(os.open("stories.json", os.O_CREAT, dir_fd=folder))
    os.close(folder)
    for path, words in (
        ("d", "more than 100 folders deep"),
        ("/proc/self", "not a known archive"),
        ("caf\udce9.zip", ".zip does not exist"),
    ):
        assert_fails_with_one_line(command("--archive", path), words)
    # pytest could not remove it
    subprocess.run(["rm", "-r", str(command.folder / "d")], check=True)


def test_invalid_secrets_file_is_reported_without_its_content(
    command: Command, server: TrackerServer
) -> None:
    (command.folder / ".dlt" / "secrets.toml").write_text('api_token = "5ec7e75ec7e7')
    result = command("--resource", "labels")
    assert_fails_with_one_line(result, "line 1 col", ".dlt/secrets.toml")
    assert "5ec7e7" not in result.stderr


def test_invalid_redirect_fails_with_one_line(command: Command, server: TrackerServer) -> None:
    server.behaviour.faults = [Redirect()]
    assert_fails_with_one_line(command(), "302", "does not say where to")
    server.behaviour.faults = [Redirect("http://[::1")]
    assert_fails_with_one_line(command(), "not a web address")


def test_interrupt_during_imports_prints_one_line(
    command: Command, interruption_in_dlt: Path
) -> None:
    result = command("--sample", env={"PYTHONPATH": str(interruption_in_dlt)})
    assert_fails_with_one_line(result, "Interrupted before anything was read")
    assert result.stderr.count("\n") == 1
