"""What `--summary` writes, and the count of rows after a load."""

from __future__ import annotations

import json
from typing import Any

import psycopg2
import pytest

from pivotal_tracker import tables
from pivotal_tracker.tables import Table
from tracker_server import TrackerServer
from tracker_server.made_up import made_up_workspace
from tracker_server.workspace import Workspace

from .conftest import Command
from .postgres import postgres, postgres_server  # noqa: F401 - fixtures
from .truth import Record, Tables


@pytest.fixture
def small_workspace() -> Workspace:
    """Three projects of a made-up workspace, with all that a table is made of."""
    return made_up_workspace(projects=3, stories=20, activity=60, seed=7)


def written(command: Command) -> dict[str, Any]:
    report = json.loads((command.folder / "summary.json").read_text())
    assert isinstance(report, dict)
    return report


def by_key(table: Table, parent: Table, rows: list[Record]) -> dict[Any, Record]:
    names = (*(parent.handed_key if table is not parent else ()), *table.key)
    return {
        tuple(row[name] for name in names): {k: v for k, v in row.items() if "_dlt" not in k}
        for row in rows
    }


def test_it_says_what_was_done(command: Command, server: TrackerServer) -> None:
    assert command("--summary", "summary.json").returncode == 0
    report, before, workspace = written(command), command.tables(), server.workspace
    assert {name: told["written"] for name, told in report["tables"].items()} == {
        name: len(rows) for name, rows in before.items()
    }
    assert report["tables"]["stories"]["new"] == len(before["stories"])
    assert report["requests"] == len(server.requests)
    assert report["place"] == {"destination": "duckdb", "dataset": "tracker", "shard": "1/1"}
    assert (report["exit_code"], report["reason"], report["retries"]) == (0, None, 0)
    assert report["seconds"] > 0
    assert report["differences"] == report["skipped"] == []

    # nested rows are compared one by one, though all of a story's are written anew
    first, second, third = workspace.projects.values()
    stories = [one for project in (first, second) for one in list(project.stories.values())]
    commented = [one for one in stories if one["comments"]]
    tasked = [one for one in stories if one["tasks"] and one not in commented[:3]]
    workspace.delete_stories(commented[0]["id"])
    workspace.edit_comment(commented[1]["comments"][0]["id"], "Said otherwise")
    workspace.delete_comment(commented[2]["comments"][0]["id"])
    workspace.add_comment("New", story_id=commented[2]["id"])
    workspace.edit_task(tasked[0]["tasks"][0]["id"], complete=True, description="Otherwise")
    workspace.edit_story(tasked[1]["id"], owner_ids=[])
    workspace.create_story(second.record["id"], name="New")
    workspace.create_label(third.record["id"], "new")
    server.behaviour.forbidden_projects = {third.record["id"]}
    assert command("--summary", "summary.json").returncode == 3
    report, after = written(command), command.tables()
    assert report["exit_code"] == 3
    assert report["tables"]["stories"]["deleted"] == 1
    assert {one["project_id"] for one in report["skipped"]} == {third.record["id"]}
    assert_told_of_each_table(report, before, after)
    comments = report["tables"]["stories__comments"]
    assert (comments["new"], comments["changed"]) == (1, 1)


def assert_told_of_each_table(report: dict[str, Any], before: Tables, after: Tables) -> None:
    """What became of each table's rows is what the report says."""
    for parent in [*tables.PROJECT_TABLES.values(), tables.PROJECTS, tables.PEOPLE]:
        for table in parent.family():
            told = report["tables"].get(table.name, {})
            was, now = (by_key(table, parent, each[table.name]) for each in (before, after))
            assert told.get("new", 0) == len(now.keys() - was.keys()), table.name
            assert told.get("deleted", 0) == len(was.keys() - now.keys()), table.name
            changed = sum(was[key] != now[key] for key in was.keys() & now.keys())
            if table is parent:
                # a story whose comments differ counts, too
                assert told.get("changed", 0) >= changed, table.name
            else:
                assert told.get("changed", 0) == changed, table.name


def test_a_total_that_is_too_large_is_said_and_no_alarm(
    command: Command, server: TrackerServer
) -> None:
    """Nor is there anything to say of a project whose total is null."""
    silent, *saying = server.workspace.projects

    def say_too_much(path: str, _: dict[str, str]) -> None:
        server.behaviour.total = "null" if f"/projects/{silent}/" in path else "too_large"

    server.before_request = say_too_much
    result = command("--summary", "summary.json", "--resource", "stories", "labels")
    assert result.returncode == 0, result.stderr
    differences = written(command)["differences"]
    assert {one["project_id"] for one in differences} == set(saying)
    for one in differences:
        assert one["table"] == "stories"
        stories = len(server.workspace.projects[one["project_id"]].stories)
        assert one["said"] > one["read"] == one["held"] == stories
        assert not one["is_loss"]
        assert f"Counted: stories of project {one['project_id']}: the server said" in result.stdout


def test_rows_that_a_database_loses_are_missed(
    command: Command,
    server: TrackerServer,
    postgres: str,  # noqa: F811
) -> None:
    options = ("--destination", "postgres", "--resource", "labels", "--summary", "summary.json")
    env = {"DESTINATION__POSTGRES__CREDENTIALS": postgres}
    assert command(*options, env=env).returncode == 0
    project_id = next(iter(server.workspace.projects))
    with psycopg2.connect(postgres) as connection:
        connection.cursor().execute(
            "CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
            "CREATE TRIGGER lose BEFORE INSERT ON tracker.labels FOR EACH ROW"
            f" WHEN (new.project_id = {project_id}) EXECUTE FUNCTION lose()"
        )
    result = command(*options, "--full-refresh", env=env)
    assert result.returncode == 3
    assert f"Rows are missing: labels of project {project_id}: " in result.stdout
    (lost,) = written(command)["differences"]
    assert (lost["held"], lost["is_loss"]) == (0, True)


def test_a_failed_run_says_why(command: Command, server: TrackerServer) -> None:
    command.api_token = "wrong"
    result = command("--summary", "summary.json")
    assert result.returncode == 1
    report = written(command)
    assert report["exit_code"] == 1
    assert "does not accept the API token" in report["reason"]
    assert report["reason"] in result.stderr


def test_a_file_that_is_no_database_is_told_of(command: Command, server: TrackerServer) -> None:
    (command.folder / "pivotal_tracker.duckdb").write_text("no database")
    result = command("--summary", "summary.json")
    assert result.returncode == 1
    assert written(command)["reason"] in result.stderr


def test_a_folder_that_is_not_there(command: Command) -> None:
    result = command("--summary", "nowhere/summary.json")
    assert result.returncode == 2
    assert "there is no folder nowhere" in result.stderr


def test_a_summary_that_cannot_be_written_is_one_line(
    command: Command, server: TrackerServer
) -> None:
    (command.folder / "taken").mkdir()
    result = command("--resource", "projects", "--summary", "taken")
    assert result.returncode == 0
    assert "Traceback" not in result.stderr
    assert "pivotal_tracker: The summary cannot be written" in result.stderr
    assert command.tables()["projects"]
