"""DuckLake, and names of destinations that do not exist."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pytest

from tracker_server import TrackerServer

from ..support.command import Command


def install_extensions(home: Path, *names: str) -> None:
    """Copy extensions of DuckDB from their packages to where DuckDB looks for them."""
    folder = home / ".duckdb" / "extensions" / f"v{duckdb.__version__}"
    platform = duckdb.execute("PRAGMA platform").fetchall()[0][0]
    (folder / platform).mkdir(parents=True)
    for name in names:
        package = pytest.importorskip(f"duckdb_extension_{name}")
        (file,) = Path(package.__path__[0]).rglob(f"{folder.name}/{name}.duckdb_extension")
        shutil.copy(file, folder / platform)


def test_ducklake_is_loaded_and_read_by_the_dashboard(
    command: Command, server: TrackerServer
) -> None:
    install_extensions(command.folder, "ducklake", "sqlite_scanner")
    options = ("--destination", "ducklake", "--resource", "labels")
    assert command(*options).returncode == 0
    project = next(iter(server.workspace.projects.values()))
    server.workspace.rename_label(next(iter(project.labels)), "under another name")
    result = command(*options)
    assert result.returncode == 0, result.stderr
    assert f"In ducklake, dataset tracker: ducklake@sqlite:///{command.folder}" in result.stdout
    script = (
        "from tracker_dashboard.data import Dataset\n"
        "dataset = Dataset('pivotal_tracker')\n"
        "print(dataset.location)\n"
        "print(dataset.rows(['SELECT name FROM labels'])[0].to_string())"
    )
    shown = command.python(script)
    assert shown.returncode == 0, shown.stderr
    assert str(command.folder) in shown.stdout
    assert "under another name" in shown.stdout


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("postgress", 'Use postgres: pip install "dlt[postgres]"'),
        ("BigQuerry", 'Use bigquery: pip install "dlt[bigquery]"'),
        ("mysql", 'Use sqlalchemy: pip install "dlt[sqlalchemy]"'),
        ("nowhere-near", "there are athena, bigquery, clickhouse, "),
    ],
)
def test_unknown_destination_fails_with_one_line_and_a_suggestion(
    command: Command, typed: str, message: str
) -> None:
    result = command("--destination", typed, "--archive", str(command.folder))
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"pivotal_tracker: There is no destination {typed}")
    assert message in line
