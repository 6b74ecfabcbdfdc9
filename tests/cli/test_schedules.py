"""The workflow, the systemd units and the crontab work as they are written."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pivotal_tracker.extract.shards import Shard
from tracker_server import TrackerServer

from ..support.command import ROOT, Command
from ..support.destinations import postgres_tables
from ..support.postgres import postgres, postgres_server  # noqa: F401 - fixtures
from ..support.truth import Tables, comparable, loaded_tables, served_tables
from ..support.workflow_runner import Runner

DEPLOY = ROOT / "deploy"
OPERATIONS = ROOT / "docs" / "operations.md"
LOAD = ROOT / ".github" / "workflows" / "load.yml"


def expression_values(server: TrackerServer) -> dict[str, Any]:
    """Return the values of the workflow's expressions."""
    return {
        "vars.TRACKER_BASE_URL != ''": True,
        "vars.TRACKER_BASE_URL": server.url,
        "vars.TRACKER_DESTINATION || 'duckdb'": "duckdb",
        "env.TRACKER_DESTINATION == 'duckdb'": True,
        "env.TRACKER_DESTINATION == 'duckdb' && vars.TRACKER_ARTIFACT_DAYS != ''": False,
        "secrets.TRACKER_API_TOKEN": server.workspace.me["api_token"],
        "secrets.BIGQUERY_CREDENTIALS": "",
        "secrets.POSTGRES_CREDENTIALS": "",
        "secrets.SLACK_INCOMING_HOOK": "",
        "inputs.options": "",
        "matrix.shard": "1/1",
        "github.run_id": "1",
        "github.run_attempt": "1",
        "github.token": "github's token",
        "github.repository": "somebody/tracker",
    }


GH = """#!{python}
import pathlib, re, shutil, sys
cache = pathlib.Path({cache!r})
if sys.argv[1:3] == ["cache", "list"]:
    options = dict(zip(sys.argv[3::2], sys.argv[4::2]))
    assert options["--key"] == "pivotal_tracker-", options
    assert (options["--sort"], options["--order"]) == ("created_at", "desc"), options
    latest_first = sorted((int(entry.name) for entry in cache.iterdir()), reverse=True)
    kept = re.fullmatch(r"\\.\\[(\\d+):\\]\\[\\]\\.id", options["--jq"])
    print(*latest_first[int(kept[1]):], sep="\\n", end="")
else:
    assert sys.argv[1:3] == ["cache", "delete"], sys.argv
    shutil.rmtree(cache / sys.argv[3])
"""
"""GitHub's `gh`, as far as the workflow uses it, working on the folder of the cache."""


def fake_gh(folder: Path) -> Path:
    """Make a folder with a `gh` that works on the cache of a `Runner` in `folder`."""
    program = folder / "programs" / "gh"
    program.parent.mkdir()
    program.write_text(GH.format(python=sys.executable, cache=str(folder / "cache")))
    program.chmod(0o755)
    return program.parent


def requested_projects(server: TrackerServer) -> set[int]:
    """Return the projects whose lists were requested."""
    paths = [request.path for request in server.requests]
    return {
        project_id
        for project_id in server.workspace.projects
        if any(f"/projects/{project_id}/" in x for x in paths)
    }


def test_workflow_loads_incrementally_on_new_machines_and_reports_failures(
    server: TrackerServer, tmp_path: Path
) -> None:
    changed, forbidden, unchanged = server.workspace.projects
    wrong_token = {"secrets.TRACKER_API_TOKEN": "0" * 32}
    runner = Runner(
        LOAD, tmp_path, expression_values(server) | wrong_token, programs=fake_gh(tmp_path)
    )
    # without options, as the schedule runs it
    assert runner.run("load") == 1
    assert "pivotal_tracker: " in runner.summary
    assert not (tmp_path / "cache" / "1").exists(), "what a failed run leaves is not kept"
    assert "0" * 32 not in runner.output + runner.summary

    runner.expressions = expression_values(server) | {
        "inputs.options": "--no-views --resource labels"
    }
    server.behaviour.forbidden_projects = {forbidden}
    server.requests.clear()
    assert runner.run("load") == 0, runner.output
    assert re.search(r"\blabels\b", runner.summary)
    assert "::warning title=Partly loaded::" in runner.output
    assert f"Skipped: project {forbidden}, labels" in runner.summary
    assert requested_projects(server) == {changed, forbidden, unchanged}
    assert server.workspace.me["api_token"] not in runner.output + runner.summary

    server.behaviour.forbidden_projects = set()
    label = next(iter(server.workspace.projects[changed].labels))
    server.workspace.rename_label(label, "under another name")
    server.requests.clear()
    runner.expressions["inputs.options"] += " --summary own.json"
    assert runner.run("load") == 0, runner.output
    assert "::warning" not in runner.output
    assert "Unchanged since the last run: 1 project." in runner.summary
    assert requested_projects(server) == {changed, forbidden}
    assert (tmp_path / "machine_3" / "checkout" / "own.json").exists(), "as the options say"
    database = tmp_path / "cache" / "3" / "pivotal_tracker.duckdb"
    assert label_rows(loaded_tables(database)) == label_rows(served_tables(server))

    assert runner.run("load") == 0, runner.output
    assert {entry.name for entry in (tmp_path / "cache").iterdir()} == {"3", "4"}, "the latest two"


def label_rows(tables: Tables) -> list[str]:
    """Return the rows of `labels`, comparable."""
    return comparable(tables["labels"])


@pytest.mark.integration
def test_workflow_loads_its_shard_into_postgres(
    server: TrackerServer,
    postgres: str,  # noqa: F811
    tmp_path: Path,
) -> None:
    """Test only the workflow: test_shards and test_postgres test loading."""
    job = yaml.safe_load(LOAD.read_text())["jobs"]["load"]
    parts = job["strategy"]["matrix"]["shard"]
    default = re.fullmatch(r"\$\{\{ fromJSON\(vars\.TRACKER_SHARDS \|\| '(.*)'\) \}\}", parts)
    assert default
    assert json.loads(default[1]) == ["1/1"]
    example = re.search(r"variable \| `TRACKER_SHARDS` \|.*`(\[.*\])`", OPERATIONS.read_text())
    assert example
    documented = json.loads(example[1])
    assert documented == [f"{n}/{len(documented)}" for n in range(1, len(documented) + 1)]
    expressions = expression_values(server) | {
        "vars.TRACKER_DESTINATION || 'duckdb'": "postgres",
        "env.TRACKER_DESTINATION == 'duckdb'": False,
        "secrets.POSTGRES_CREDENTIALS": postgres,
        "matrix.shard": "2/2",
        "inputs.options": "--resource labels",
    }
    runner = Runner(LOAD, tmp_path, expressions)
    assert runner.run("load") == 0, runner.output[-2000:]
    expected = {project_id for project_id in server.workspace.projects if project_id in Shard(2, 2)}
    assert requested_projects(server) == expected != set(server.workspace.projects)
    labels = [row for row in served_tables(server)["labels"] if row["project_id"] in expected]
    assert comparable(postgres_tables(postgres)["labels"]) == comparable(labels)


def test_workflow_may_only_delete_caches_and_runs_once_at_a_time() -> None:
    workflow = yaml.safe_load(LOAD.read_text())
    assert workflow["permissions"] == {"contents": "read", "actions": "write"}
    assert workflow["concurrency"]["group"]
    assert workflow["concurrency"]["cancel-in-progress"] is False


@pytest.fixture
def installed(command: Command) -> Command:
    """Make `.venv/bin/pivotal-tracker` a command that loads one table and no views."""
    program = command.folder / ".venv" / "bin" / "pivotal-tracker"
    program.parent.mkdir(parents=True)
    program.write_text(
        f"#!/bin/sh\nexec {sys.executable} {ROOT}/pivotal_tracker_pipeline.py "
        '--resource labels --no-views "$@"\n'
    )
    program.chmod(0o755)
    return command


def test_systemd_service_loads_into_its_state_folder(
    installed: Command, server: TrackerServer, tmp_path: Path
) -> None:
    settings = [
        line.partition("=")[::2]
        for line in (DEPLOY / "pivotal-tracker.service").read_text().splitlines()
        if "=" in line and not line.startswith("#")
    ]
    service = dict(settings)
    line = shlex.split(service["ExecStart"])
    line[0] = line[0].replace("/opt/pivotal-tracker", str(installed.folder))
    name, _, folder = service["Environment"].partition("=")
    assert Path(folder).parent == Path(service["WorkingDirectory"])
    state = tmp_path / "state"
    state.mkdir()
    done = subprocess.run(
        line,
        cwd=state,
        env=installed.environment({name: str(state / Path(folder).name)}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert label_rows(loaded_tables(state / "pivotal_tracker.duckdb")) == label_rows(
        served_tables(server)
    )
    assert (state / "dlt" / "pipelines" / "pivotal_tracker").is_dir()
    assert service["SuccessExitStatus"].split() == ["3", "4"]


def test_crontab_loads_and_prints_only_failures(
    installed: Command, loaded: Command, server: TrackerServer
) -> None:
    """It continues what `loaded` began, which is in the same folder as `installed`."""
    lines = [x for x in (DEPLOY / "crontab").read_text().splitlines() if x and x[0] != "#"]
    assert lines[0].startswith("FOLDER=")
    schedule, order = re.match(r"((?:\S+\s+){5})(.*)", lines[1]).groups()  # type: ignore[union-attr]
    assert schedule.split()[1:] == ["*"] * 4
    assert "%" not in order, "which cron takes for the end of the line"

    def run_by_cron() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/sh", "-c", order],
            cwd="/",
            env=installed.environment({"FOLDER": str(installed.folder)}),
            capture_output=True,
            text=True,
            check=False,
        )

    changed, project = next(iter(server.workspace.projects.items()))
    server.workspace.rename_label(next(iter(project.labels)), "under another name")
    server.requests.clear()
    good = run_by_cron()
    assert (good.returncode, good.stdout, good.stderr) == (0, "", "")
    assert requested_projects(server) == {changed}
    assert label_rows(installed.tables()) == label_rows(served_tables(server))
    installed.api_token = "0" * 32
    bad = run_by_cron()
    assert bad.returncode == 1
    assert "pivotal_tracker: " in bad.stdout


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_units_are_valid(installed: Command, tmp_path: Path) -> None:
    for unit in DEPLOY.glob("pivotal-tracker.*"):
        text = unit.read_text().replace("/opt/pivotal-tracker/", f"{installed.folder}/")
        (tmp_path / unit.name).write_text(text)
    units = [str(unit) for unit in tmp_path.glob("pivotal-tracker.*")]
    assert len(units) == 2
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
