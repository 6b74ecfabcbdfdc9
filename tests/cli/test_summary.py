"""The summary file: incomplete lists, failures, and rows lost by the destination."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from tracker_server import TrackerServer
from tracker_server.faults import InflatedTotal, WrongTotal

from ..support.command import Command


def test_inflated_total_is_reported_but_not_data_loss(
    command: Command, server: TrackerServer
) -> None:
    """A project whose total is null is not reported."""
    silent, *announcing = server.workspace.projects

    server.behaviour.faults = [InflatedTotal(), WrongTotal(None, projects={silent})]
    options = ("--summary", "summary.json", "--resource", "releases", "labels")
    # a list that is shorter than its total may be incomplete, unless it stays as it is
    assert command(*options).returncode == 3
    result = command(*options)
    assert result.returncode == 0, result.stderr
    incomplete = command.summary()["incomplete"]
    assert {listed["project_id"] for listed in incomplete} == set(announcing)
    for listed in incomplete:
        project = server.workspace.projects[listed["project_id"]]
        releases = sum(s["story_type"] == "release" for s in project.stories.values())
        assert listed["total"] > listed["rows"] == releases > 0
        assert f"Incomplete: releases of project {listed['project_id']}: " in result.stdout


def test_invalid_database_file_is_reported(command: Command, server: TrackerServer) -> None:
    (command.folder / "pivotal_tracker.duckdb").write_text("no database")
    result = command("--summary", "summary.json")
    assert result.returncode == 1
    assert command.summary()["reason"] in result.stderr


def test_unwritable_summary_is_reported(command: Command, server: TrackerServer) -> None:
    (command.folder / "taken").mkdir()
    result = command("--check", "--summary", "taken")
    assert result.returncode == 0
    assert "Traceback" not in result.stderr
    assert "pivotal_tracker: The summary cannot be written" in result.stderr


def test_lost_rows_are_reported(command: Command, server: TrackerServer) -> None:
    options = ("--destination", "sqlalchemy", "--resource", "labels", "--summary", "summary.json")
    env = {"DESTINATION__SQLALCHEMY__CREDENTIALS": "sqlite:///loaded.db"}
    assert command(*options, env=env).returncode == 0
    project_id = next(iter(server.workspace.projects))
    with closing(sqlite3.connect(command.folder / "loaded__tracker.db")) as connection:
        assert connection.execute("SELECT name FROM labels").fetchone()
        connection.execute(
            "CREATE TRIGGER lose BEFORE INSERT ON labels "
            f"WHEN new.project_id = {project_id} BEGIN SELECT RAISE(IGNORE); END"
        )
    result = command(*options, "--full-refresh", env=env)
    assert result.returncode == 3
    assert f"Rows are missing: labels of project {project_id}: " in result.stdout
    (lost,) = command.summary()["differences"]
    assert (lost["held"], lost["is_loss"]) == (0, True)
