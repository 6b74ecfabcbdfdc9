"""The source, the command and its lock work on Linux, macOS and Windows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import dlt
import duckdb
import pytest
import requests

from pivotal_tracker import pivotal_tracker_source
from pivotal_tracker.cli.error_messages import reason
from tracker_server import TrackerServer
from tracker_server.sample import generate_workspace

ROOT = Path(__file__).parents[2]
STORIES = ("--resource", "stories", "--no-views")
"""Options for tests in which it does not matter how much is loaded."""

WITHOUT_UNIX = """
import os, runpy, signal, sys
import aiohttp, dlt, duckdb, filelock, requests  # these may use what only Unix has
for module, names in (
    (os, "fork getpgid getuid geteuid killpg mkfifo nice setsid"),
    (signal, "SIGHUP SIGKILL SIGUSR1 alarm pthread_kill pthread_sigmask sigpending sigwait"),
):
    for name in filter(vars(module).get, names.split()):
        delattr(module, name)
sys.modules |= dict.fromkeys(("fcntl", "grp", "pwd", "resource", "termios"))
sys.argv.pop(0)
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
"""Runs a module without what Windows lacks."""

HOLD_LOCK = """
import sys
from pivotal_tracker.cli.lock import pipeline_lock
with pipeline_lock("pivotal_tracker"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def environment(tmp_path: Path) -> Mapping[str, str]:
    """The environment of the command, with a folder for dlt of its own."""
    return {
        **os.environ,
        "DLT_DATA_DIR": str(tmp_path / "dlt"),
        "PYTHONPATH": str(ROOT),
        "PYTHONIOENCODING": "utf-8",
    }


def run(folder: Path, environment: Mapping[str, str], *options: str) -> tuple[int, str, str]:
    """Run the command; return its exit code, stdout and stderr."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_UNIX, "pivotal_tracker_pipeline", *options],
        cwd=folder,
        env=environment,
        capture_output=True,
        encoding=environment["PYTHONIOENCODING"],
        timeout=300,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_sample_is_loaded_once(tmp_path: Path, environment: Mapping[str, str]) -> None:
    code, stdout, stderr = run(tmp_path, environment, "--sample", "--json")
    assert code == 0, stderr
    first = json.loads(stdout)
    assert first["tables"]["stories"]["new"] > 100
    with duckdb.connect(str(tmp_path / "pivotal_tracker_sample.duckdb")) as connection:
        counted = connection.sql("SELECT count(*) FROM tracker.stories").fetchone()
    assert counted == (first["tables"]["stories"]["new"],)
    code, stdout, stderr = run(tmp_path, environment, "--sample", "--json")
    assert code == 0, stderr
    assert json.loads(stdout)["projects_unchanged"] == 3


@pytest.mark.parametrize(("encoding", "shown"), [("utf-8", "проект.csv"), ("cp1252", "??????.csv")])
def test_file_with_a_non_ascii_name_is_loaded(
    tmp_path: Path, environment: Mapping[str, str], encoding: str, shown: str
) -> None:
    """Also where the terminal cannot show the name."""
    (tmp_path / "проект.csv").write_text(
        "Id,Title,Type,Current State\n1,Ein Übel,bug,accepted\n", encoding="utf-8"
    )
    environment = {**environment, "PYTHONIOENCODING": encoding}
    code, stdout, stderr = run(tmp_path, environment, "проект.csv", *STORIES)
    assert code == 0, stderr
    assert f"  {shown} (" in stdout
    with duckdb.connect(str(tmp_path / "pivotal_tracker.duckdb")) as connection:
        assert connection.sql("SELECT name FROM tracker.stories").fetchall() == [("Ein Übel",)]


def test_lock_blocks_a_second_run_until_its_holder_ends(
    tmp_path: Path, environment: Mapping[str, str]
) -> None:
    text = "Id,Title,Type,Current State\n1,A story,feature,accepted\n"
    (tmp_path / "export.csv").write_text(text, encoding="utf-8")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD_LOCK],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        code, _, stderr = run(tmp_path, environment, "export.csv")
        assert code == 4
        assert "Another run of pivotal_tracker is in progress" in stderr
    finally:
        holder.kill()
        holder.communicate()
    code, _, stderr = run(tmp_path, environment, "export.csv", *STORIES)
    assert code == 0, stderr


def test_source_loads_all_stories(tmp_path: Path) -> None:
    workspace = generate_workspace(projects=2, stories=20, activity=30, seed=3)
    pipeline = dlt.pipeline(
        "platforms",
        destination=dlt.destinations.duckdb(str(tmp_path / "loaded.duckdb")),
        dataset_name="tracker",
        pipelines_dir=str(tmp_path / "pipelines"),
    )
    with TrackerServer(workspace) as server:
        pipeline.run(
            pivotal_tracker_source(api_token=workspace.me["api_token"], base_url=server.url)
        )
    with pipeline.sql_client() as client:
        loaded = client.execute_sql("SELECT id FROM stories") or []
    served = [story for project in workspace.projects.values() for story in project.stories]
    assert sorted(row[0] for row in loaded) == sorted(served)


@pytest.mark.parametrize(
    ("text", "explanation"),
    [
        (
            'IO Error: Cannot open file "C:\\tracker.duckdb": The file is in use.\n'
            "File is already open in C:\\python.exe (PID 4)",
            "in use by another program",
        ),
        ("IO Error: There is not enough space on the disk.", "The disk is full"),
        ("IO Error: Disc quota exceeded", "The disk is full"),
        ("Unknown error", "Unknown error"),
    ],
)
def test_errors_of_other_systems_are_explained(text: str, explanation: str) -> None:
    assert explanation in reason(duckdb.IOException(text))


def test_server_serves_an_export(tmp_path: Path, environment: Mapping[str, str]) -> None:
    text = "Id,Title,Type,Current State\n1,A story,feature,accepted\n"
    (tmp_path / "export.csv").write_text(text, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, "-c", WITHOUT_UNIX, "tracker_server", "export.csv"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        try:
            assert process.stdout
            url = process.stdout.readline().split()[0]
            answer = requests.get(f"{url}/projects", headers={"X-TrackerToken": "any"}, timeout=60)
            assert len(answer.json()) == 1
        finally:
            process.kill()
