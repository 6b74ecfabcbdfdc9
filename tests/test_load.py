"""A whole load through the command: every row that the server holds, and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass

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

from .conftest import ROOT, Command, new_command, serving
from .forking import Forking, ended
from .truth import Tables, assert_tables_equal, comparable, loaded_tables, served_tables

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


def make_workspace() -> Workspace:
    """Three projects of a made-up workspace, and one with nothing in it."""
    return made_up_workspace(projects=3, stories=40, activity=150, seed=7, empty=1)


@dataclass(frozen=True)
class FirstLoad:
    """A load of everything.

    Attributes:
        command: The command, in the folder where it did it.
        stdout: What it wrote.
        requests: How often it asked for each path.
        served: What the server holds.
    """

    command: Command
    stdout: str
    requests: Counter[str]
    served: Tables


@pytest.fixture(scope="module")
def first_load(forking: Forking, tmp_path_factory: pytest.TempPathFactory) -> FirstLoad:
    """Everything loaded once, for all tests of it and of what comes after that."""
    command = new_command(forking, tmp_path_factory.mktemp("first_load") / "run")
    with serving(make_workspace(), command) as server:
        result = command()
        assert result.returncode == 0, result.stderr
        requests = Counter(request.path for request in server.requests)
        return FirstLoad(command, result.stdout, requests, truth(server))


@pytest.fixture
def small_workspace() -> Workspace:
    """What `first_load` has loaded."""
    return make_workspace()


@pytest.fixture
def loaded(command: Command, server: TrackerServer, first_load: FirstLoad) -> Command:
    """The command where it has loaded everything that `server` has."""
    command.take_over(first_load.command)
    return command


def assert_loaded_alone(names: Collection[str], loaded: Tables, served: Tables) -> None:
    """Resources' tables are whole, and there are no others but those that any adds to."""
    family = {table.name for name in names for table in PROJECT_TABLES[name].family()}
    loaded = {table: rows for table, rows in loaded.items() if table not in BY_PRODUCTS}
    assert_tables_equal(loaded, {table: served.get(table, []) for table in family})


def test_everything_is_loaded(first_load: FirstLoad) -> None:
    tables = first_load.command.tables()
    assert len(tables["projects"]) == 4
    assert_tables_equal(tables, first_load.served)
    for table, rows in tables.items():
        assert f"{table} " in first_load.stdout
        assert f"{len(rows):,} rows" in first_load.stdout
    assert str(first_load.command.database) in first_load.stdout


def test_the_project_list_is_read_once(first_load: FirstLoad) -> None:
    assert first_load.requests["/services/v5/projects"] == 1


def test_a_dataset_is_called_what_the_summary_says(
    command: Command, server: TrackerServer, first_load: FirstLoad
) -> None:
    result = command("--dataset", "My Data", "--resource", "labels")
    assert result.returncode == 0, result.stderr
    assert "table('my_data.labels')" in result.stdout
    tables = loaded_tables(command.database, "my_data")
    assert tables["labels"]
    assert_loaded_alone(["labels"], tables, first_load.served)
    nameless = command("--dataset", " ")
    assert nameless.returncode == 2
    assert "--dataset must have a name" in nameless.stderr


@pytest.mark.parametrize("has_others", [False, True], ids=["made by hand", "of other sources"])
def test_a_dataset_that_is_there_already(
    has_others: bool, command: Command, server: TrackerServer, first_load: FirstLoad
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
        result = command("--resource", "epics")
        assert result.returncode == 0, result.stderr
    assert "Loaded 0 rows" in result.stdout
    tables = command.tables()
    assert tables.pop("things", [{"id": 1}])[0]["id"] == 1
    assert_loaded_alone(["epics"], tables, first_load.served)


def test_a_second_run_changes_nothing(loaded: Command, first_load: FirstLoad) -> None:
    result = loaded()
    assert result.returncode == 0, result.stderr
    assert "Loaded 0 rows" in result.stdout
    assert_tables_equal(loaded.tables(), first_load.served)


def test_an_empty_workspace_has_every_documented_table_and_column(
    command: Command, serve: Serve
) -> None:
    serve(made_up_workspace(projects=0))
    command.views = True
    result = command()
    assert result.returncode == 0, result.stderr
    assert "Views: 13." in result.stdout
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


# beside none from which it could take anything; labels are in a test above, stories in one below
BY_THEMSELVES = [
    ("activity",),
    ("epics", "review_types"),
    ("history_days", "releases"),
    ("iterations", "project_memberships"),
]


@pytest.mark.parametrize("names", BY_THEMSELVES, ids=", ".join)
def test_each_resource_is_loaded_on_its_own(
    names: tuple[str, ...], command: Command, server: TrackerServer, first_load: FirstLoad
) -> None:
    result = command("--resource", *names)
    assert result.returncode == 0, result.stderr
    assert_loaded_alone(names, command.tables(), first_load.served)


def test_no_resource_of_a_project_is_left_out_above() -> None:
    assert {"labels", "stories"}.union(*BY_THEMSELVES) == PROJECT_ENDPOINTS.keys()


def test_stories_are_loaded_on_their_own_with_their_children_in_one_request_a_page(
    command: Command, server: TrackerServer, first_load: FirstLoad
) -> None:
    result = command("--resource", "stories")
    assert result.returncode == 0, result.stderr
    assert len(server.requests) == 1 + len(server.workspace.projects)
    assert_loaded_alone(["stories"], command.tables(), first_load.served)


def test_only_the_projects_asked_for(command: Command, server: TrackerServer) -> None:
    first, second, third, _ = server.workspace.projects
    options = ("--resource", "projects", "labels")
    result = command(*options, "--project", str(first), str(second))
    assert result.returncode == 0, result.stderr
    assert {row["id"] for row in command.tables()["projects"]} == {first, second}
    assert {row["project_id"] for row in command.tables()["labels"]} == {first, second}
    asked = {"SOURCES__PIVOTAL_TRACKER__PROJECT_IDS": f'["{third}"]'}
    assert command(*options, env=asked).returncode == 0
    assert {row["id"] for row in command.tables()["projects"]} == {first, second, third}
    assert {row["project_id"] for row in command.tables()["labels"]} == {first, second, third}


def test_a_project_that_is_not_listed_is_loaded_whole_when_asked_for(
    command: Command, server: TrackerServer, first_load: FirstLoad
) -> None:
    expected = first_load.served
    projects = server.workspace.projects
    public_id = next(iter(projects))
    public = projects[public_id]

    def list_all_but_it(path: str, _: dict[str, str]) -> None:
        if path.endswith("/projects"):
            projects.pop(public_id, None)
        else:
            projects[public_id] = public

    server.before_request = list_all_but_it
    result = command("--project", str(public_id), "--resource", "projects", "stories")
    assert result.returncode == 0, result.stderr
    loaded = command.tables()
    (row,) = (row for row in expected["projects"] if row["id"] == public_id)
    assert comparable(loaded["projects"]) == comparable([row])
    stories = [row for row in expected["stories"] if row["project_id"] == public_id]
    assert comparable(loaded["stories"]) == comparable(stories)


def test_a_database_that_an_earlier_version_made_is_brought_up_to_date(
    command: Command, serve: Serve, forking: Forking
) -> None:
    server = serve(made_up_workspace(projects=1, stories=10, activity=20, seed=2))
    script = command.folder / "earlier.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from pivotal_tracker import tables; "
        "from pivotal_tracker_pipeline import main; "
        "del tables.PEOPLE.columns['same_as_id'], tables.PROJECTS.columns['same_as_id']; "
        "sys.exit(main(['--no-views']))"
    )
    earlier = ended(forking.start([str(script)], command.folder, command.environment()), 120)
    assert earlier.returncode == 0, earlier.stderr
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
    loaded: Command, server: TrackerServer, first_load: FirstLoad
) -> None:
    before = first_load.served
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
