"""A whole load through the command: every row that the server holds, and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import dlt
import duckdb
import pytest

from pivotal_tracker.settings import PROJECT_ENDPOINTS
from pivotal_tracker.tables import (
    ACCOUNT_MEMBERSHIPS,
    ACCOUNTS,
    DELETED_RECORDS,
    PEOPLE,
    PROJECT_TABLES,
    PROJECTS,
    WORKSPACES,
)
from tracker_server import TrackerServer
from tracker_server.made_up import made_up_workspace
from tracker_server.workspace import Workspace

from .conftest import Command
from .truth import assert_tables_equal, comparable, served_tables

Serve = Callable[[Workspace], TrackerServer]

ALL_TABLES = [
    member
    for table in (
        PROJECTS,
        *PROJECT_TABLES.values(),
        WORKSPACES,
        ACCOUNTS,
        ACCOUNT_MEMBERSHIPS,
        PEOPLE,
        DELETED_RECORDS,
    )
    for member in table.family()
]
BY_PRODUCTS = {"people", "deleted_records"}
"""What whichever resource finds it adds to."""


def truth(server: TrackerServer) -> dict[str, list[dict[str, object]]]:
    return served_tables(server.url, server.workspace.me["api_token"])


def test_everything_is_loaded(command: Command, server: TrackerServer) -> None:
    result = command()
    assert result.returncode == 0, result.stderr
    assert_tables_equal(command.tables(), truth(server))
    for table, rows in command.tables().items():
        assert f"{table} " in result.stdout
        assert f"{len(rows):,} rows" in result.stdout
    assert str(command.database) in result.stdout


def test_a_dataset_is_called_what_the_summary_says(command: Command, server: TrackerServer) -> None:
    result = command("--dataset", "My Data", "--resource", "labels")
    assert result.returncode == 0, result.stderr
    assert "table('my_data.stories')" in result.stdout
    with duckdb.connect(str(command.database), read_only=True) as connection:
        assert connection.table("my_data.labels").fetchall()
    nameless = command("--dataset", " ")
    assert nameless.returncode == 2
    assert "--dataset must have a name" in nameless.stderr


@pytest.mark.parametrize("has_others", [False, True], ids=["made by hand", "of other sources"])
def test_a_dataset_that_is_there_already(
    has_others: bool, command: Command, server: TrackerServer
) -> None:
    with duckdb.connect(str(command.database)) as connection:
        connection.execute("CREATE SCHEMA tracker")
    if has_others:
        other = dlt.pipeline(
            "of_other_sources",
            destination=dlt.destinations.duckdb(str(command.database)),
            dataset_name="tracker",
            pipelines_dir=str(command.folder / "others"),
        )
        other.run([{"id": 1}], table_name="things")
        other.deactivate()
    for _ in range(2):
        result = command()
        assert result.returncode == 0, result.stderr
    assert "Loaded 0 rows" in result.stdout
    tables = command.tables()
    assert tables.pop("things", [{"id": 1}])[0]["id"] == 1
    assert_tables_equal(tables, truth(server))


def test_a_second_run_changes_nothing(loaded: Command, server: TrackerServer) -> None:
    result = loaded()
    assert result.returncode == 0, result.stderr
    assert "Loaded 0 rows" in result.stdout
    assert_tables_equal(loaded.tables(), truth(server))


def test_an_empty_workspace_has_every_documented_table_and_column(
    command: Command, serve: Serve
) -> None:
    serve(made_up_workspace(projects=0))
    result = command()
    assert result.returncode == 0, result.stderr
    assert "There was no project to load" in result.stdout
    with duckdb.connect(str(command.database), read_only=True) as connection:
        found = connection.execute(
            "SELECT table_name, column_name, data_type FROM duckdb_columns() "
            "SEMI JOIN duckdb_tables() USING (schema_name, table_name) "
            "WHERE schema_name = 'tracker' AND table_name NOT LIKE '\\_dlt%' ESCAPE '\\'"
        ).fetchall()
    types = {
        "bigint": "BIGINT",
        "text": "VARCHAR",
        "double": "DOUBLE",
        "bool": "BOOLEAN",
        "timestamp": "TIMESTAMP WITH TIME ZONE",
        "date": "DATE",
        "json": "JSON",
    }
    declared = {(t.name, c, types[kind]) for t in ALL_TABLES for c, kind in t.columns.items()}
    told = {row for row in found if not row[1].startswith("_dlt") and row[1] != "_deleted"}
    assert told == declared


def test_a_project_with_nothing_in_it(command: Command, serve: Serve) -> None:
    server = serve(made_up_workspace(projects=1, stories=10, activity=20, seed=2, empty=1))
    result = command()
    assert result.returncode == 0, result.stderr
    assert len(command.tables()["projects"]) == 2
    assert_tables_equal(command.tables(), truth(server))


@pytest.mark.parametrize("name", sorted(PROJECT_ENDPOINTS))
def test_each_resource_is_loaded_on_its_own(
    name: str, command: Command, server: TrackerServer
) -> None:
    result = command("--resource", name)
    assert result.returncode == 0, result.stderr
    family = {table.name for table in PROJECT_TABLES[name].family()}
    expected = truth(server)
    loaded = {n: rows for n, rows in command.tables().items() if n not in BY_PRODUCTS}
    assert_tables_equal(loaded, {table: expected.get(table, []) for table in family})


def test_the_project_list_is_read_once(command: Command, server: TrackerServer) -> None:
    assert command().returncode == 0
    paths = Counter(request.path for request in server.requests)
    assert paths["/services/v5/projects"] == 1


def test_only_the_projects_asked_for(command: Command, server: TrackerServer) -> None:
    first, second, third = server.workspace.projects
    result = command("--project", str(first), str(second))
    assert result.returncode == 0, result.stderr
    assert {row["id"] for row in command.tables()["projects"]} == {first, second}
    assert {row["project_id"] for row in command.tables()["stories"]} == {first, second}
    asked = {"SOURCES__PIVOTAL_TRACKER__PROJECT_IDS": f'["{third}"]'}
    assert command(env=asked).returncode == 0
    assert {row["id"] for row in command.tables()["projects"]} == {first, second, third}


def test_a_project_that_is_not_listed_is_loaded_whole_when_asked_for(
    command: Command, server: TrackerServer
) -> None:
    expected = truth(server)
    projects = server.workspace.projects
    public_id = next(iter(projects))
    public = projects[public_id]

    def list_all_but_it(path: str, _: dict[str, str]) -> None:
        if path.endswith("/projects"):
            projects.pop(public_id, None)
        else:
            projects[public_id] = public

    server.before_request = list_all_but_it
    result = command("--project", str(public_id))
    assert result.returncode == 0, result.stderr
    loaded = command.tables()
    (row,) = (row for row in expected["projects"] if row["id"] == public_id)
    assert comparable(loaded["projects"]) == comparable([row])
    stories = [row for row in expected["stories"] if row["project_id"] == public_id]
    assert comparable(loaded["stories"]) == comparable(stories)


def test_stories_come_with_their_children_in_one_request_a_page(
    command: Command, server: TrackerServer
) -> None:
    assert command("--resource", "stories").returncode == 0
    assert len(server.requests) == 1 + len(server.workspace.projects)


def test_a_database_that_an_earlier_version_made_is_brought_up_to_date(
    command: Command, server: TrackerServer
) -> None:
    earlier = (
        "import sys; from pivotal_tracker import tables; "
        "from pivotal_tracker_pipeline import main; "
        "del tables.PEOPLE.columns['same_as_id'], tables.PROJECTS.columns['same_as_id']; "
        "sys.exit(main(['--no-views']))"
    )
    result = command.python(earlier)
    assert result.returncode == 0, result.stderr
    assert "same_as_id" not in command.tables()["people"][0]
    for project_id in server.workspace.projects:
        server.workspace.create_story(project_id, name="New")
    command.views = True
    result = command()
    assert result.returncode == 0, result.stderr
    assert "Left out" not in result.stdout
    assert_tables_equal(command.tables(), truth(server))


def test_full_refresh_of_one_project_leaves_the_others(
    loaded: Command, server: TrackerServer
) -> None:
    before = loaded.tables()
    one = next(iter(server.workspace.projects))
    result = loaded("--full-refresh", "--project", str(one))
    assert result.returncode == 0, result.stderr
    assert "not given" not in result.stdout
    assert_tables_equal(loaded.tables(), before)


def test_full_refresh_rebuilds_all_but_what_the_server_forgets(
    loaded: Command, server: TrackerServer
) -> None:
    before = truth(server)
    project_id = next(iter(server.workspace.projects))
    project = server.workspace.projects[project_id]
    gone, epic = next(iter(project.stories)), next(iter(project.epics))
    server.workspace.delete_stories(gone)
    server.workspace.delete_epic(epic)
    server.workspace.forget_activity(project_id, keep=0)
    result = loaded("--full-refresh")
    assert result.returncode == 0, result.stderr

    tables, now = loaded.tables(), truth(server)
    activity = [t.name for t in PROJECT_TABLES["activity"].family()]
    added_to = {*activity, *BY_PRODUCTS}
    expected = {name: rows for name, rows in now.items() if name not in added_to}
    assert_tables_equal({n: r for n, r in tables.items() if n not in added_to}, expected)
    told = [(row["kind"], row["id"], row["change"]) for row in tables["deleted_records"]]
    assert len(told) == len(set(told))
    assert {("story", gone, "deleted"), ("epic", epic, "deleted")} <= set(told)
    guids = {row["guid"] for row in tables["activity"]}
    assert guids == {row["guid"] for row in (*before["activity"], *now["activity"])}
    assert len(tables["activity"]) == len(guids)
