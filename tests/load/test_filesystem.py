"""The command with parquet files, whose rows cannot be changed."""

from __future__ import annotations

from pathlib import Path

from tracker_server import TrackerServer

from ..support.changes import apply_mixed_changes
from ..support.command import Command
from ..support.destinations import parquet_tables
from ..support.mirror import CommandMirror


def test_first_load_is_exact_and_later_runs_are_rejected(
    command: Command, server: TrackerServer, tmp_path: Path
) -> None:
    lake = tmp_path / "lake"
    mirror = CommandMirror(
        server.workspace,
        command.folder,
        server,
        command=command,
        options=("--destination", "filesystem", "--dataset", "tracked"),
        env={"DESTINATION__FILESYSTEM__BUCKET_URL": str(lake)},
        read=lambda: parquet_tables(lake / "tracked"),
    )
    result = mirror.run()
    assert f"In filesystem, dataset tracked: file://{lake}" in result.stdout
    assert "WARNING" not in result.stderr
    mirror.assert_exact()

    apply_mixed_changes(server.workspace)
    before = {path: path.stat().st_size for path in (lake / "tracked").rglob("*.parquet")}
    for option in ((), ("--full-refresh",)):
        result = command(*mirror.options, *option, env=mirror.env)
        assert result.returncode == 1
        assert "Rows in plain files cannot be changed" in result.stderr
    assert before == {path: path.stat().st_size for path in (lake / "tracked").rglob("*.parquet")}


def test_second_load_of_archives_is_rejected(command: Command, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Id,Title,Type,Current State\n1,A,feature,started\n")
    env = {"DESTINATION__FILESYSTEM__BUCKET_URL": str(tmp_path / "lake")}
    options = ("--destination", "filesystem", "--archive", str(tmp_path / "a.csv"))
    assert command(*options, env=env).returncode == 0
    result = command(*options, env=env)
    assert result.returncode == 1
    # --full-refresh, which would help with a server, does not go with --archive
    assert "load all archives together into another dataset" in result.stderr
    assert "--full-refresh" not in result.stderr
    assert command(*options, "--dataset", "another", env=env).returncode == 0
