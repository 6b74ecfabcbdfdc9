"""Unattended runs: locking, and alerts through Slack, Sentry and OpenTelemetry."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from typing import Any

import duckdb
import pytest

from tracker_server import TrackerServer

from ..support.command import ROOT, Command
from ..support.forking import ForkServer, Run, wait_for
from ..support.listener import Listener, listener
from ..support.truth import comparable, served_tables

__all__ = ["listener"]


def test_concurrent_run_exits_4(
    command: Command, server: TrackerServer, listener: Listener
) -> None:
    first = start_run(command, server)
    first.send_signal(signal.SIGSTOP)
    env = {"RUNTIME__SLACK_INCOMING_HOOK": f"http://{listener.address}/"}
    second, check = command(env=env), command("--check")
    first.send_signal(signal.SIGCONT)
    _, stderr = first.communicate()
    assert second.returncode == 4
    assert second.stderr.startswith(
        "pivotal_tracker: Another run of pivotal_tracker is in progress"
    )
    assert second.stderr.count("\n") == 1
    assert listener.slack_texts == []
    assert check.returncode == 0, check.stderr
    assert first.returncode == 0, stderr
    labels = served_tables(server)["labels"]
    assert comparable(command.tables()["labels"]) == comparable(labels)


def start_run(command: Command, server: TrackerServer) -> Run | subprocess.Popen[str]:
    """Start a run, and wait for its first request."""
    process = command.start("--resource", "labels")
    while not server.requests:
        assert process.poll() is None
        time.sleep(0.01)
    return process


def test_slack_is_notified_only_of_loads_and_failures(
    command: Command, server: TrackerServer, listener: Listener
) -> None:
    env = {"RUNTIME__SLACK_INCOMING_HOOK": f"http://{listener.address}/services/T0/B0/hook-secret"}
    assert command("--check", env=env).returncode == 0
    assert listener.slack_texts == []

    labels = ("--resource", "labels")
    assert command(*labels, env=env).returncode == 0
    assert len(listener.slack_texts) == 1
    assert listener.slack_texts[-1].startswith("pivotal_tracker, dataset tracker. Loaded ")

    assert command(*labels, env=env).returncode == 0
    assert len(listener.slack_texts) == 1

    forbidden = next(iter(server.workspace.projects))
    server.behaviour.forbidden_projects = {forbidden}
    listener.status = 404
    result = command(*labels, "--full-refresh", env=env)
    assert result.returncode == 3
    assert f"Skipped: project {forbidden}, labels" in listener.slack_texts[-1]
    # a failed notification is only logged
    assert "Slack could not be notified: HTTPError 404" in result.stderr
    assert "hook-secret" not in result.stderr + result.stdout

    listener.status = 200
    command.api_token = "0" * 32
    assert command(env=env).returncode == 1
    assert listener.slack_texts[-1].startswith("pivotal_tracker failed. ")
    assert command.api_token not in listener.slack_texts[-1]


@pytest.mark.parametrize("options", [(), ("--debug",)])
def test_sentry_gets_the_error_without_the_token(
    options: tuple[str, ...], command: Command, listener: Listener
) -> None:
    # raised in a function with the token in a local variable
    command.base_url = "tracker.example.org"
    command.api_token = "5ec7e7" * 5 + "ab"
    result = command(*options, env={"RUNTIME__SENTRY_DSN": f"http://public@{listener.address}/1"})
    assert result.returncode == 1
    (event,) = (body for body in listener.bodies if b'"exception"' in body)
    assert b"tracker.example.org" in event
    assert not [body for body in listener.bodies if command.api_token.encode() in body]


def test_sentry_without_its_package_fails_without_traceback(
    command: Command, server: TrackerServer, fork_server: ForkServer
) -> None:
    script = command.folder / "without_sentry.py"
    _, program = command.line()[:2]
    script.write_text(
        f"import runpy, sys; sys.modules['sentry_sdk'] = None; sys.path[0] = {str(ROOT)!r}\n"
        f"runpy.run_path({program!r}, run_name='__main__')\n"
    )
    env = command.environment({"RUNTIME__SENTRY_DSN": "http://public@127.0.0.1:9/1"})
    result = wait_for(fork_server.start([str(script)], command.folder, env), 60)
    assert result.returncode == 1
    assert "sentry-sdk" in result.stderr
    assert "Traceback" not in result.stderr


TRACED = """
from pivotal_tracker.cli.main import main
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
provider = TracerProvider()
exporter = ConsoleSpanExporter(formatter=lambda span: span.to_json(indent=None) + chr(10))
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
sys.exit(main(["--resource", "labels", "--no-views", "--json", "--summary", sys.argv[0] + ".json"]))
"""


def test_opentelemetry_gets_a_span_per_step_and_the_failure(
    command: Command, server: TrackerServer
) -> None:
    def spans() -> dict[str, Any]:
        lines = command.python(TRACED).stdout.splitlines()
        found = [json.loads(line) for line in lines if line.startswith('{"name"')]
        return {span["name"]: span for span in found}

    traced = spans()
    assert list(traced) == ["extract", "normalize", "load", "pivotal_tracker"]
    run = traced.pop("pivotal_tracker")
    assert run["attributes"] == {"exit_code": 0}
    assert {step["parent_id"] for step in traced.values()} == {run["context"]["span_id"]}
    assert all(run["start_time"] <= step["start_time"] for step in traced.values())
    assert all(step["end_time"] <= run["end_time"] for step in traced.values())

    command.api_token = "0" * 32
    failed = spans()
    assert failed["extract"]["status"]["status_code"] == "ERROR"
    assert "token" in failed["pivotal_tracker"]["status"]["description"]


def documented_block(language: str, containing: str) -> str:
    """Return the code block in docs/operations.md that contains some text."""
    text = (ROOT / "docs" / "operations.md").read_text()
    blocks = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    return next(block for block in blocks if containing in block)


def test_documented_queries_of_summaries_and_traces_work(
    command: Command, server: TrackerServer
) -> None:
    labels = ("--resource", "labels", "--summary")
    (command.folder / "runs").mkdir()
    assert command(*labels, "runs/1.json").returncode == 0
    script = documented_block("python", "last_trace")
    loaded = command.python(script + "\nprint(trace.pipeline_name)")
    assert loaded.stdout == "pivotal_tracker\n", loaded.stderr
    with duckdb.connect(str(command.folder / "run_traces.duckdb")) as connection:
        steps = connection.sql("SELECT step FROM traces.runs__steps").fetchall()
    assert {("extract",), ("normalize",), ("load",)} <= set(steps)

    command.api_token = "0" * 32
    assert command(*labels, "runs/2.json").returncode == 1
    query = documented_block("sql", "read_json").replace(
        "/srv/tracker/runs", str(command.folder / "runs")
    )
    ((pipeline, dataset, _, exit_code, why, _),) = duckdb.sql(query).fetchall()
    assert (pipeline, dataset, exit_code) == ("pivotal_tracker", "tracker", 1)
    assert "token" in why
