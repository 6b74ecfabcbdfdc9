"""What `--summary` writes that is out of the ordinary, and the count of rows after a load."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from tracker_server import TrackerServer
from tracker_server.faults import InflatedTotal, WrongTotal

from ..extract.test_load import summary_of
from ..support.command import Command


def test_a_total_that_stays_too_large_is_reported_and_no_failure(
    command: Command, server: TrackerServer
) -> None:
    """Nor is there anything to say of a project whose total is null."""
    silent, *announcing = server.workspace.projects

    server.behaviour.faults = [InflatedTotal(), WrongTotal(None, projects={silent})]
    options = ("--summary", "summary.json", "--resource", "releases", "labels")
    # a list that is shorter than its total may be incomplete, unless it stays as it is
    assert command(*options).returncode == 3
    result = command(*options)
    assert result.returncode == 0, result.stderr
    incomplete = summary_of(command)["incomplete"]
    assert {one["project_id"] for one in incomplete} == set(announcing)
    for one in incomplete:
        project = server.workspace.projects[one["project_id"]]
        releases = sum(s["story_type"] == "release" for s in project.stories.values())
        assert one["total"] > one["rows"] == releases > 0
        assert f"Incomplete: releases of project {one['project_id']}: " in result.stdout


def test_a_file_that_is_no_database_is_told_of(command: Command, server: TrackerServer) -> None:
    (command.folder / "pivotal_tracker.duckdb").write_text("no database")
    result = command("--summary", "summary.json")
    assert result.returncode == 1
    assert summary_of(command)["reason"] in result.stderr


def test_a_summary_that_cannot_be_written_is_one_line_and_the_next_tells_of_lost_rows(
    command: Command, server: TrackerServer
) -> None:
    options = ("--destination", "sqlalchemy", "--resource", "labels", "--summary")
    env = {"DESTINATION__SQLALCHEMY__CREDENTIALS": "sqlite:///loaded.db"}
    (command.folder / "taken").mkdir()
    result = command(*options, "taken", env=env)
    assert result.returncode == 0
    assert "Traceback" not in result.stderr
    assert "pivotal_tracker: The summary cannot be written" in result.stderr
    project_id = next(iter(server.workspace.projects))
    with closing(sqlite3.connect(command.folder / "loaded__tracker.db")) as connection:
        assert connection.execute("SELECT name FROM labels").fetchone()
        connection.execute(
            "CREATE TRIGGER lose BEFORE INSERT ON labels "
            f"WHEN new.project_id = {project_id} BEGIN SELECT RAISE(IGNORE); END"
        )
    result = command(*options, "summary.json", "--full-refresh", env=env)
    assert result.returncode == 3
    assert f"Rows are missing: labels of project {project_id}: " in result.stdout
    (lost,) = summary_of(command)["differences"]
    assert (lost["held"], lost["is_loss"]) == (0, True)
