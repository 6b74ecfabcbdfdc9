"""The command's smaller doors."""

from __future__ import annotations

import subprocess

import pytest

from pivotal_tracker.cli.main import main
from tracker_server import TrackerServer

from ..support.command import ROOT, Command


def test_the_source_needs_no_server_library(command: Command) -> None:
    result = command.python("sys.modules['aiohttp'] = None; import pivotal_tracker")
    assert result.returncode == 0, result.stderr


def test_a_destination_that_does_not_exist(command: Command, server: TrackerServer) -> None:
    result = command("--destination", "sandcastle")
    assert result.returncode == 1
    assert "sandcastle" in result.stderr
    assert "Traceback" not in result.stderr


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    for option, seen in (("--version", "dlt"), ("--help", "--full-refresh")):
        with pytest.raises(SystemExit) as exits:
            main([option])
        assert not exits.value.code
        assert seen in capsys.readouterr().out


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs the git repository")
def test_secrets_are_committed_with_a_placeholder_only() -> None:
    committed = subprocess.run(
        ["git", "show", "HEAD:.dlt/secrets.toml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert 'api_token = "please set me up!"' in committed.stdout


def test_what_is_set_before_dlt_starts_is_heard(command: Command, server: TrackerServer) -> None:
    shard = {"SOURCES__PIVOTAL_TRACKER__SHARD": "1/2"}
    result = command("--resource", "projects", "--verbose", env=shard)
    assert result.returncode == 0, result.stderr
    assert "|[INFO]|" in result.stderr
    assert (command.folder / "dlt" / "pipelines" / "pivotal_tracker_shard_1_of_2").is_dir()
    assert command("--check", env={"SOURCES__PIVOTAL_TRACKER__SHARD": "3/2"}).returncode == 1
