"""The command's smaller doors."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

import pytest

from tracker_server import TrackerServer

from .conftest import ROOT, Command


def test_the_source_needs_no_server_library() -> None:
    blocked = "import sys; sys.modules['aiohttp'] = None; import pivotal_tracker"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-c", blocked], env=environment, capture_output=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_a_destination_that_does_not_exist(command: Command, server: TrackerServer) -> None:
    result = command("--destination", "sandcastle")
    assert result.returncode == 1
    assert "sandcastle" in result.stderr
    assert "Traceback" not in result.stderr


def test_version_and_help(command: Command) -> None:
    assert "dlt" in command("--version").stdout
    assert "--full-refresh" in command("--help").stdout


@pytest.mark.parametrize(
    ("options", "seen"), [((), "current_state"), (("--resource", "labels"), "10 rows")]
)
def test_what_is_printed_to_type_next_works(
    options: tuple[str, ...], seen: str, command: Command, server: TrackerServer
) -> None:
    *_, to_type, in_the_browser = command(*options).stdout.splitlines()
    assert in_the_browser.startswith("In the browser: make dashboard")
    shown = subprocess.run(
        shlex.split(to_type), capture_output=True, text=True, check=False, cwd="/"
    )
    assert shown.returncode == 0, shown.stderr
    assert seen in shown.stdout


def test_secrets_are_committed_with_a_placeholder_only() -> None:
    text = (ROOT / ".dlt" / "secrets.toml").read_text()
    committed = subprocess.run(
        ["git", "show", "HEAD:.dlt/secrets.toml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert 'api_token = "please set me up!"' in (committed.stdout or text)


def test_what_is_set_before_dlt_starts_is_heard(command: Command, server: TrackerServer) -> None:
    shard = {"SOURCES__PIVOTAL_TRACKER__SHARD": "1/2"}
    result = command("--resource", "projects", "--verbose", env=shard)
    assert result.returncode == 0, result.stderr
    assert "|[INFO]|" in result.stderr
    assert (command.folder / "dlt" / "pipelines" / "pivotal_tracker_shard_1_of_2").is_dir()
    assert command("--check", env={"SOURCES__PIVOTAL_TRACKER__SHARD": "3/2"}).returncode == 1
