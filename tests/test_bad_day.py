"""What goes wrong at night: each ends in everything loaded, or in one line that says what to do."""

from __future__ import annotations

import json
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pivotal_tracker import RESOURCES, pivotal_tracker_source
from pivotal_tracker.tables import PROJECT_TABLES
from tracker_server import Behaviour, Faults, TrackerServer, litetracker
from tracker_server.errors import ApiError
from tracker_server.made_up import made_up_workspace
from tracker_server.model import Project
from tracker_server.workspace import Workspace

from .conftest import Command
from .forking import ended
from .test_load import truth
from .truth import assert_tables_equal, comparable

Serve = Callable[[Workspace], TrackerServer]


def assert_one_clear_line(result: subprocess.CompletedProcess[str], *words: str) -> None:
    """The run failed, and its last words are one line without a traceback."""
    assert result.returncode == 1, (result.stdout, result.stderr)
    assert "Traceback" not in result.stderr
    said = [line for line in result.stderr.splitlines() if line.startswith("pivotal_tracker: ")]
    assert len(said) == 1, result.stderr
    assert result.stderr.rstrip().endswith(said[0])
    for word in words:
        assert word in said[0]


def test_faults_at_every_fifth_request_lose_and_double_nothing(
    command: Command, server: TrackerServer
) -> None:
    expected = truth(server)
    server.behaviour.limits = {"stories": 10, "activity": 25, "releases": 3}
    server.behaviour.faults = Faults(rate=0.2, seed=3, stall_seconds=2)
    result = command(env={"RUNTIME__REQUEST_TIMEOUT": "1"})
    assert result.returncode == 0, result.stderr
    assert_tables_equal(command.tables(), expected)
    assert "(0 repeated)" not in result.stdout


@pytest.mark.parametrize(
    "kind",
    [
        "429",
        "429_retry_after",
        "500",
        "502",
        "503",
        "504",
        "html",
        "cut_short",
        "reset",
        "bad_json",
    ],
)
def test_each_fault_is_survived(kind: str, command: Command, serve: Serve) -> None:
    server = serve(made_up_workspace(projects=1, stories=10, activity=20, seed=2))
    expected = truth(server)
    server.behaviour.faults = Faults(rate=0.5, kinds=(kind,), seed=1)
    result = command("--resource", "labels", "epics", "iterations")
    assert result.returncode == 0, result.stderr
    assert "(0 repeated)" not in result.stdout
    loaded = command.tables()
    for name in ("labels", "epics", "iterations"):
        assert comparable(loaded[name]) == comparable(expected[name])


def test_retry_after_is_obeyed(command: Command, serve: Serve) -> None:
    server = serve(made_up_workspace(projects=1, stories=5, activity=5, seed=2))
    server.behaviour.faults = Faults(
        rate=1, kinds=("429_retry_after",), retry_after=3, most_in_a_row=1
    )
    begin = time.monotonic()
    result = command("--resource", "projects", "--no-views")
    assert result.returncode == 0, result.stderr
    assert "1 requests (1 repeated)" in result.stdout
    assert time.monotonic() - begin > 3


def test_a_server_that_stays_broken_ends_in_one_line(
    command: Command, server: TrackerServer
) -> None:
    server.behaviour.faults = Faults(rate=1, kinds=("503",), most_in_a_row=1000)
    assert_one_clear_line(command(), "503")


def test_a_wrong_token_ends_at_once(command: Command, server: TrackerServer) -> None:
    command.api_token = "0" * 32
    begin = time.monotonic()
    command("--version")
    started = time.monotonic()
    result = command()
    # what the start alone takes is the machine's affair
    assert time.monotonic() - started < 3 + started - begin
    assert_one_clear_line(result, "token", "SOURCES__PIVOTAL_TRACKER__API_TOKEN")
    assert len(server.requests) == 1


@pytest.mark.parametrize("token", ["", "please set me up!"])
def test_without_a_token_it_says_where_to_put_one(
    token: str, command: Command, server: TrackerServer
) -> None:
    command.api_token = token
    assert_one_clear_line(command(), "token", "SOURCES__PIVOTAL_TRACKER__API_TOKEN")
    assert not server.requests


def test_the_original_host_is_said_to_have_shut_down(command: Command) -> None:
    command.api_token = "a" * 32
    with closed_port() as port:
        # whatever this machine's network: the way to that host leads nowhere
        result = command(env={"HTTPS_PROXY": f"http://127.0.0.1:{port}"})
    assert_one_clear_line(
        result, "www.pivotaltracker.com", "shut down on 2025-04-30", "litetracker"
    )


def test_whatever_answers_at_the_original_host_it_is_said_to_have_shut_down(
    command: Command, server: TrackerServer
) -> None:
    proxy = {"HTTP_PROXY": server.url.removesuffix("/services/v5")}
    for url, token in (
        ("http://www.pivotaltracker.com/services/v5", "a" * 32),
        ("http://www.pivotaltracker.com/gone", command.api_token),
    ):
        command.base_url, command.api_token = url, token
        assert_one_clear_line(command(env=proxy), "shut down on 2025-04-30", "litetracker")
    assert server.requests


def test_an_address_without_the_path_of_the_api_is_told(
    command: Command, server: TrackerServer
) -> None:
    command.base_url = server.url.removesuffix("/services/v5")
    for options in ((), ("--check",)):
        assert_one_clear_line(command(*options), "404", "including /services/v5", command.base_url)


def test_a_password_in_the_address_is_not_repeated(command: Command) -> None:
    command.api_token = "a" * 32
    command.base_url = "http://me:wordpass@127.0.0.1:1/services/v5"
    result = command()
    assert_one_clear_line(result, "base_url", "password")
    assert "wordpass" not in result.stdout + result.stderr


def test_a_host_that_is_not_there_is_not_waited_for(command: Command) -> None:
    command.api_token = "a" * 32
    with closed_port() as port:
        command.base_url = f"http://127.0.0.1:{port}/services/v5"
        begin = time.monotonic()
        result = command(env={"RUNTIME__REQUEST_BACKOFF_FACTOR": "1"})
    assert time.monotonic() - begin < 10, "five attempts wait for 15 s"
    assert_one_clear_line(result, f"127.0.0.1:{port} cannot be reached")


def test_https_where_there_is_none_is_not_tried_for_long(
    command: Command, server: TrackerServer
) -> None:
    command.base_url = server.url.replace("http:", "https:")
    begin = time.monotonic()
    result = command(env={"RUNTIME__REQUEST_BACKOFF_FACTOR": "1"})
    assert time.monotonic() - begin < 10, "five attempts wait for 15 s"
    assert_one_clear_line(result, "cannot be reached by https: it speaks http", "base_url")


def closed_port() -> socket.socket:
    """A port of this machine that nothing listens at while the socket lives."""

    class Closed(socket.socket):
        def __enter__(self) -> int:  # type: ignore[override]
            self.bind(("127.0.0.1", 0))
            return int(self.getsockname()[1])

    return Closed()


@pytest.mark.parametrize(
    ("base_url", "said"),
    [
        ("tracker.example.org", "tracker.example.org"),
        ("http://127.0.0.1:99999/services/v5", "99999"),
        ("http://[::1/services/v5", "web address"),
        ("http://127.0.0.1/services/v5?token=hidden", "nothing behind it"),
        ("http://me:hidden@127.0.0.1/services/v5", "without a user name"),
        ("http://me:hidden@[::1/services/v5", "web address"),
    ],
)
def test_a_base_url_that_is_none(base_url: str, said: str, command: Command) -> None:
    command.api_token = "a" * 32
    command.base_url = base_url
    result = command()
    assert_one_clear_line(result, "base_url", said)
    assert "hidden" not in result.stderr
    kept = [file.read_bytes() for file in command.folder.rglob("*") if file.is_file()]
    assert not [one for one in kept if b"hidden" in one]


def test_a_forbidden_project_is_skipped_and_named(command: Command, server: TrackerServer) -> None:
    expected = truth(server)
    forbidden = list(server.workspace.projects)[1]
    server.behaviour.forbidden_projects = {forbidden}
    result = command()
    assert result.returncode == 3, result.stderr
    assert f"Skipped: project {forbidden}, stories" in result.stdout
    of_projects = {t.name for table in PROJECT_TABLES.values() for t in table.family()}
    assert_tables_equal(
        {name: rows for name, rows in command.tables().items() if name in of_projects},
        {
            name: [row for row in rows if row["project_id"] != forbidden]
            for name, rows in expected.items()
            if name in of_projects
        },
    )


def test_a_project_that_is_not_there_is_skipped_and_named(
    command: Command, server: TrackerServer
) -> None:
    known = next(iter(server.workspace.projects))
    result = command("--project", str(known), "99")
    assert result.returncode == 3, result.stderr
    assert "Skipped: project 99, projects" in result.stdout
    assert {row["id"] for row in command.tables()["projects"]} == {known}


@pytest.mark.parametrize("how_many", [1, 3])
def test_a_404_that_says_nothing_is_of_all_projects_or_of_one(
    how_many: int, command: Command, server: TrackerServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = truth(server)
    plain = ApiError(404, "", "Not Found")
    monkeypatch.setattr("tracker_server.answers.route_not_found", lambda: plain)
    closed = list(server.workspace.projects)[:how_many]

    def close(path: str, _: dict[str, str]) -> None:
        is_closed = any(path.endswith(f"/{one}/epics") for one in closed)
        server.behaviour.missing = {"epics"} if is_closed else set()

    server.before_request = close
    result = command("--resource", "epics", "labels")
    is_of_one = how_many == 1
    assert result.returncode == (3 if is_of_one else 0), result.stderr
    assert (f"Skipped: project {closed[0]}, epics" in result.stdout) == is_of_one
    assert ("Not offered by this server: epics" in result.stdout) != is_of_one
    others = [row for row in expected["epics"] if row["project_id"] not in closed]
    assert comparable(command.tables()["epics"]) == comparable(others)


def test_what_nobody_is_offered_leaves_the_exit_code_alone(
    command: Command, server: TrackerServer
) -> None:
    server.behaviour.missing = {"epics", "releases"}
    result = command("--resource", "epics", "releases", "labels")
    assert result.returncode == 0, result.stderr
    assert "Not offered by this server: epics, releases" in result.stdout
    assert command.tables()["epics"] == []
    asked = [r.path for r in server.requests if r.path.endswith("/epics")]
    assert len(asked) <= len(server.workspace.projects)


def test_a_refused_field_is_left_out(command: Command, server: TrackerServer) -> None:
    server.behaviour.refused_fields = {"branches", "cycle_time_details"}
    result = command("--resource", "stories")
    assert result.returncode == 0, result.stderr
    assert "Fields that this server refuses: branches, cycle_time_details" in result.stdout
    loaded = command.tables()
    assert loaded["stories__transitions"]
    assert not loaded["stories__branches"]


def test_a_field_refused_within_another_takes_nothing_else_with_it(
    command: Command, server: TrackerServer
) -> None:
    project_id, project = next(iter(server.workspace.projects.items()))
    link = {"title": "Plan", "google_id": "g", "alternate_link": "https://docs.google.com/g"}
    server.workspace.add_comment(
        "See this", story_id=next(iter(project.stories)), google_attachments=[link]
    )
    type_id = server.workspace.add_review_type(project_id, "Design")["id"]
    server.workspace.add_review(next(iter(project.stories)), type_id)
    expected = truth(server)
    server.behaviour.refused_fields = {"google_attachments", "review_type"}
    result = command()
    assert result.returncode == 0, result.stderr
    assert "Fields that this server refuses: google_attachments, review_type\n" in result.stdout
    assert expected.pop("stories__comments__google_attachments")
    expected.pop("epics__comments__google_attachments", None)
    for row in expected["stories__reviews"]:
        for name in [one for one in row if one.startswith("review_type__")]:
            del row[name]
    assert_tables_equal(command.tables(), expected)


@pytest.mark.parametrize("lacks", [{"fields"}, {"fields", "limit"}])
def test_a_server_that_takes_no_fields_is_asked_without(
    lacks: set[str], command: Command, server: TrackerServer
) -> None:
    server.behaviour.lacks = lacks
    result = command("--resource", "stories", "iterations")
    assert result.returncode == (3 if "limit" in lacks else 0), result.stderr
    assert len(server.requests) < 400
    # what cannot be asked for at all is skipped by name, and the rest is there
    expected = 0 if "limit" in lacks else sum(len(p.stories) for p in _projects(server))
    assert len(command.tables()["stories"]) == expected
    assert ("Skipped" in result.stdout) == ("limit" in lacks)
    check = command("--check")
    assert check.returncode == 0, check.stderr


def _projects(server: TrackerServer) -> list[Project]:
    return list(server.workspace.projects.values())


@pytest.mark.parametrize("key", [2**63, True, None])
def test_a_key_that_no_column_takes_is_left_out(
    key: Any, command: Command, server: TrackerServer
) -> None:
    project = _projects(server)[0]
    comments = next(s["comments"] for s in project.stories.values() if s["comments"])
    odd = comments[0]
    next(iter(project.memberships.values()))["id"] = key
    odd["id"] = key
    result = command("--resource", "project_memberships", "stories")
    assert result.returncode == 0, result.stderr
    assert "1 records of project_memberships" in result.stdout
    without_id = [row for row in command.tables()["stories__comments"] if row["id"] < 0]
    assert [row["text"] for row in without_id] == [odd["text"]]
    members = sum(len(project.memberships) for project in _projects(server))
    assert len(command.tables()["project_memberships"]) == members - 1


def test_no_attribute_of_a_server_deletes_a_row(command: Command, server: TrackerServer) -> None:
    story = next(iter(_projects(server)[0].stories.values()))
    assert command("--resource", "stories").returncode == 0
    before = len(command.tables()["stories"])
    server.workspace.edit_story(story["id"], _deleted=True)
    assert command("--resource", "stories").returncode == 0
    assert len(command.tables()["stories"]) == before


def test_what_one_endpoint_refuses_is_asked_of_the_others(
    command: Command, server: TrackerServer
) -> None:
    expected = truth(server)

    def refuse_of_epics(path: str, _: dict[str, str]) -> None:
        server.behaviour.lacks = {"fields"} if path.endswith("/epics") else set()

    server.before_request = refuse_of_epics
    result = command()
    assert result.returncode == 0, result.stderr
    loaded = command.tables()
    assert not loaded["epics__comments"]
    assert {row["name"] for row in loaded["epics"]} == {row["name"] for row in expected["epics"]}
    for name in ("stories", "stories__comments", "stories__labels", "labels", "releases"):
        assert comparable(loaded[name]) == comparable(expected[name]), name


def test_a_database_in_use_is_one_line_and_the_next_run_completes(
    command: Command, server: TrackerServer
) -> None:
    holder = (
        "import duckdb, sys, time; c = duckdb.connect(sys.argv[1]); print('held', flush=True); "
        "time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(command.database)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        result = command()
        process.kill()
    assert_one_clear_line(result, "in use by another program")
    assert command().returncode == 0
    assert_tables_equal(command.tables(), truth(server))


def test_an_unwritable_destination_is_one_line(command: Command, server: TrackerServer) -> None:
    result = command(env={"DESTINATION__DUCKDB__CREDENTIALS": "/proc/none/here.duckdb"})
    assert_one_clear_line(result, "/proc/none/here.duckdb", "Is there such a folder")


@pytest.mark.parametrize("pace", ["0", "-3", "nan"])
def test_a_pace_that_is_none(pace: str, command: Command, server: TrackerServer) -> None:
    result = command(env={"SOURCES__PIVOTAL_TRACKER__REQUESTS_PER_SECOND": pace})
    assert_one_clear_line(result, "requests_per_second must be a number above 0")
    assert not server.requests


@pytest.mark.parametrize("most", [64 * 1024, 512 * 1024], ids=["while read", "while loaded"])
def test_a_full_disk_is_one_line_and_the_next_run_completes(
    most: int, command: Command, server: TrackerServer
) -> None:
    with subprocess.Popen(
        command.line(),
        cwd=command.folder,
        env=command.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: _no_file_beyond(most),
    ) as process:
        result = ended(process, 60)
    assert_one_clear_line(result, "disk is full")
    assert command().returncode == 0
    assert_tables_equal(command.tables(), truth(server))


def _no_file_beyond(most: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


def test_what_needs_more_memory_than_duckdb_is_given_gets_it(
    command: Command, server: TrackerServer
) -> None:
    with_little = (
        "import sys; from pivotal_tracker.command import duckdb_file; "
        "from pivotal_tracker_pipeline import main; "
        "duckdb_file.MEMORY = '4MB'; sys.exit(main())"
    )
    result = command.python(with_little, {"LOAD__RAISE_ON_MAX_RETRIES": "1"})
    assert result.returncode == 0, result.stderr
    assert "DuckDB needed more memory than 4MB" in result.stderr
    assert_tables_equal(command.tables(), truth(server))


def test_a_load_that_was_interrupted_is_completed_by_the_next(
    command: Command, server: TrackerServer
) -> None:
    """Ctrl-C when the first rows are written: what was read is loaded first the next time."""
    process = command.start()
    packages = command.folder / "dlt" / "pipelines" / "pivotal_tracker" / "load" / "normalized"
    while not any(packages.glob("*/completed_jobs/*")) and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert "Traceback" not in stderr
    assert process.returncode == 0 or "pivotal_tracker: Interrupted." in stderr
    result = command()
    assert result.returncode == 0, result.stderr
    assert_tables_equal(command.tables(), truth(server))


@pytest.mark.parametrize("after", [3, 12, 18])
def test_an_interrupted_run_is_completed_by_the_next(
    after: int, command: Command, server: TrackerServer
) -> None:
    """Ctrl-C while the n-th request is being answered."""
    interrupted = threading.Event()
    process = command.start()

    def interrupt(path: str, query: dict[str, str]) -> None:
        if len(server.requests) >= after and not interrupted.is_set():
            interrupted.set()
            process.send_signal(signal.SIGINT)

    server.before_request = interrupt
    _, stderr = process.communicate(timeout=60)
    server.before_request = None
    assert process.returncode == 1, stderr
    assert "Traceback" not in stderr
    assert stderr.splitlines()[-1].startswith("pivotal_tracker: Interrupted.")
    assert command().returncode == 0
    assert_tables_equal(command.tables(), truth(server))


def test_the_token_is_nowhere_but_in_its_header(command: Command, server: TrackerServer) -> None:
    token = server.workspace.me["api_token"]
    command.api_token = f"{token}\n"
    server.behaviour.faults = Faults(rate=0.2, kinds=("500", "reset", "html"), seed=5)
    results = [command("--debug", "--progress", "log"), command("--check", "--debug")]
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


def test_the_token_does_not_follow_a_redirect(
    command: Command, serve: Serve, small_workspace: Workspace
) -> None:
    elsewhere = serve(made_up_workspace(projects=1, stories=3, activity=3))
    server = serve(small_workspace)
    server.behaviour = Behaviour(redirect_to=elsewhere.url)
    assert_one_clear_line(command(), "another address", str(elsewhere.url))
    assert not elsewhere.requests


def test_bad_options_end_with_2(command: Command) -> None:
    for options in (
        ["--projekt"],
        ["--project", "x"],
        ["--dataset", "pivotal_tracker"],
        ["--dataset", "Pivotal-Tracker"],
        ["--archive", "no.zip", "--resource", "storys"],
    ):
        result = command(*options)
        assert result.returncode == 2, result.stderr
        assert "Traceback" not in result.stderr


@pytest.mark.parametrize("name", ["storys", "project_list", "stories__labels"])
def test_an_unknown_resource_is_named(name: str, command: Command) -> None:
    result = command("--resource", "labels", name)
    assert result.returncode == 2
    said = result.stderr.splitlines()[-1]
    assert f"no table {name};" in said
    assert "stories, epics" in said


def test_what_is_gathered_is_asked_for_beside_what_it_is_gathered_from(command: Command) -> None:
    result = command("--resource", "people", "deleted_records")
    assert result.returncode == 2
    assert "people and deleted_records are gathered from" in result.stderr.splitlines()[-1]


def test_every_resource_can_be_selected_and_no_other() -> None:
    offered = pivotal_tracker_source(api_token="a" * 32).resources
    assert set(RESOURCES) == set(offered) - {"project_list", "account_list"}


def test_a_setting_of_the_wrong_kind_is_named(command: Command, server: TrackerServer) -> None:
    for name, value in (("PROJECT_IDS", "7"), ("REQUESTS_PER_SECOND", "often")):
        result = command(env={f"SOURCES__PIVOTAL_TRACKER__{name}": value})
        assert_one_clear_line(result, f"The setting {name.lower()} cannot be understood")
    result = command(env={"SOURCES__PIVOTAL_TRACKER__PROJECT_IDS": '["all"]'})
    assert_one_clear_line(result, "project_ids must be ids of projects")


def test_strange_values_are_loaded(command: Command, serve: Serve) -> None:
    workspace = made_up_workspace(projects=1, stories=12, activity=10, seed=4)
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

    assert "2 characters that no database can hold" in result.stdout
    rows = {row["id"]: row for row in command.tables()["stories"]}
    assert rows[stories[0]["id"]]["name"] == "before\N{REPLACEMENT CHARACTER}after"
    assert rows[stories[1]["id"]]["name"] == "half a pair: \N{REPLACEMENT CHARACTER}"
    assert rows[stories[2]["id"]]["description"] == "x" * 1_000_000
    assert rows[stories[3]["id"]]["estimate"] == 0.5
    assert rows[stories[4]["id"]]["description"] is None
    assert rows[stories[5]["id"]]["mood"] == "never seen"
    assert rows[stories[6]["id"]]["weather__sky"] == "blue"
    assert command.tables()["stories__weather__clouds"][0]["kind"] == "cirrus"
    assert rows[stories[7]["id"]]["name"] == "2020-01-01T00:00:00Z"
    assert rows[2**40]["name"] == big["name"]
    assert len(rows) == 12


def test_nested_records_without_a_key_are_loaded(command: Command, server: TrackerServer) -> None:
    stories = [one for each in server.workspace.projects.values() for one in each.stories.values()]
    for story in stories:
        for transition in story["transitions"]:
            del transition["project_version"]
        for task in story["tasks"]:
            del task["id"]
    result = command("--resource", "stories")
    assert result.returncode == 0, result.stderr
    loaded = command.tables()
    for name in ("transitions", "tasks"):
        assert len(loaded[f"stories__{name}"]) == sum(len(story[name]) for story in stories) > 0
    assert {row["project_version"] < 0 for row in loaded["stories__transitions"]} == {True}


def test_litetracker_fills_the_same_columns(
    command: Command, serve: Serve, small_workspace: Workspace
) -> None:
    server = serve(small_workspace)
    command_of_tracker = truth(server)
    server.behaviour = litetracker()
    result = command()
    assert result.returncode == 0, result.stderr
    assert "Not offered by this server" in result.stdout
    (not_given,) = re.findall("Asked for, and not given by this server: (.*)", result.stdout)
    assert {"stories.blockers", "stories.tasks"} <= set(not_given.split(", "))
    given = {"stories.labels", "stories.owner_ids", "stories.comments"}
    assert not given & set(not_given.split(", "))
    loaded = command.tables()
    names = {row["id"]: row.get("name") for row in command_of_tracker["stories"]}
    assert {row["id"]: row["name"] for row in loaded["stories"]} == names
    assert sorted((r["story_id"], r["value"]) for r in loaded["stories__owner_ids"]) == sorted(
        (r["story_id"], r["value"]) for r in command_of_tracker["stories__owner_ids"]
    )
    comments = [
        [(r["story_id"], r["id"], r["text"], r["person_id"]) for r in rows]
        for rows in (loaded["stories__comments"], command_of_tracker["stories__comments"])
    ]
    assert sorted(comments[0]) == sorted(comments[1])
    assert comments[0]
    assert {r["name"] for r in loaded["projects"]} == {
        r["name"] for r in command_of_tracker["projects"]
    }
    assert all(row["person__name"] for row in loaded["project_memberships"])


def test_check_looks_at_the_projects_that_are_asked_for(
    command: Command, server: TrackerServer
) -> None:
    first, second, _ = server.workspace.projects
    server.behaviour.forbidden_projects = {first}
    good = command("--check", "--project", str(second))
    assert good.returncode == 0, good.stderr
    assert "refused" not in good.stdout
    unknown = command("--check", "--project", "999")
    assert unknown.returncode == 1
    assert "Project 999 cannot be read" in unknown.stdout


def test_check_says_what_there_is(command: Command, server: TrackerServer) -> None:
    server.behaviour.missing = {"releases"}
    server.behaviour.forbidden = {"account_memberships"}
    server.behaviour.refused_fields = {"branches"}
    result = command("--check")
    assert result.returncode == 0, result.stderr
    assert server.workspace.me["name"] in result.stdout
    for project in server.workspace.projects.values():
        assert project.record["name"] in result.stdout
    lines = {line.split()[0]: line for line in result.stdout.splitlines()}
    assert "offered" in lines["stories"]
    assert "not offered" in lines["releases"]
    assert lines["accounts"].endswith("offered")
    assert "refused" in lines["account_memberships"]
    assert "branches" in lines["Fields"]
    assert not command.database.exists()
    assert not (command.folder / "dlt" / "pipelines").exists()


def test_the_sample_needs_no_token_and_heeds_no_other_server(
    command: Command, server: TrackerServer
) -> None:
    """The environment tells of a server and its token, the configuration of some projects."""
    assert command.base_url
    (command.folder / ".dlt" / "config.toml").write_text(
        '[sources.pivotal_tracker]\nproject_ids = [3]\nshard = "2/2"\n'
    )
    check = command("--sample", "--check")
    assert check.returncode == 0, check.stderr
    assert server.url not in check.stdout
    result = command("--sample")
    assert not server.requests
    assert result.returncode == 0, result.stderr
    with duckdb.connect(str(command.folder / "pivotal_tracker_sample.duckdb")) as connection:
        (count,) = connection.execute("SELECT count(*) FROM tracker.stories").fetchone() or (0,)
    assert count > 100
