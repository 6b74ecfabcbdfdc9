"""A full load by the command has all rows of the server, and no others."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pytest

from pivotal_tracker.settings import PROJECT_ENDPOINTS
from pivotal_tracker.tables import (
    PEOPLE,
    PROJECT_TABLES,
    PROJECTS,
    SERVER_TABLES,
    Table,
)
from tracker_server import TrackerServer
from tracker_server.sample import generate_workspace
from tracker_server.workspace import Workspace

from ..support.command import Command, new_command, serving
from ..support.forking import ForkServer
from ..support.truth import (
    DERIVED_TABLES,
    Record,
    Tables,
    assert_only_loaded,
    assert_tables_equal,
    comparable,
    loaded_tables,
    served_tables,
)
from ..support.view_database import VIEWS

Serve = Callable[[Workspace], TrackerServer]


def make_workspace() -> Workspace:
    """Generate three projects, and an empty one."""
    return generate_workspace(projects=3, stories=40, activity=150, seed=7, empty=1)


@dataclass(frozen=True)
class FirstLoad:
    """A load of everything.

    Attributes:
        command: The command, in the folder of the load.
        stdout: Its output.
        summary: Its summary file.
        requests: The number of requests of each path.
        served: The tables of the server.
    """

    command: Command
    stdout: str
    summary: dict[str, Any]
    requests: Counter[str]
    served: Tables


@pytest.fixture(scope="module")
def first_load(fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> FirstLoad:
    """Load everything once, for all tests of it and of later runs."""
    command = new_command(fork_server, tmp_path_factory.mktemp("first_load") / "run")
    with serving(make_workspace(), command) as server:
        result = command("--summary", "summary.json")
        assert result.returncode == 0, result.stderr
        requests = Counter(request.path for request in server.requests)
        return FirstLoad(command, result.stdout, command.summary(), requests, served_tables(server))


@pytest.fixture
def small_workspace() -> Workspace:
    """The workspace that `first_load` has loaded."""
    return make_workspace()


@pytest.fixture
def loaded(command: Command, server: TrackerServer, first_load: FirstLoad) -> Command:
    """The command after it has loaded everything from `server`."""
    command.take_over(first_load.command)
    return command


def test_everything_is_loaded(first_load: FirstLoad) -> None:
    tables = first_load.command.tables()
    assert len(tables["projects"]) == 4
    assert_tables_equal(tables, first_load.served)
    # nested tables are indented, under the last part of their names
    cells = re.findall(r"\b([a-z_]+) +([\d,]+)(?=   |$)", first_load.stdout, re.MULTILINE)
    counts = [(name.split("__")[-1], f"{len(rows):,}") for name, rows in tables.items() if rows]
    assert sorted(cells) == sorted(counts)
    assert max(map(len, first_load.stdout.partition("\n\n")[0].splitlines())) <= 80
    assert str(first_load.command.database) in first_load.stdout


def test_project_list_and_stories_of_each_project_are_requested_once(
    first_load: FirstLoad,
) -> None:
    requests = first_load.requests
    assert requests["/services/v5/projects"] == 1
    projects = [row["id"] for row in first_load.served["projects"]]
    assert {path: times for path, times in requests.items() if "/stories" in path} == {
        f"/services/v5/projects/{project_id}/stories": 1 for project_id in projects
    }


def test_printed_next_steps_work(first_load: FirstLoad) -> None:
    *_, query_command, dashboard_hint = first_load.stdout.splitlines()
    if find_spec("streamlit"):  # `make lowest` does without
        # there is no Makefile in that folder
        assert re.fullmatch(r"In the browser: \S+ -m streamlit run \S+", dashboard_hint)
        assert Path(dashboard_hint.split()[-1]).is_file()
    shown = subprocess.run(
        shlex.split(query_command), capture_output=True, text=True, check=False, cwd="/"
    )
    assert shown.returncode == 0, shown.stderr
    assert "current_state" in shown.stdout


def test_summary_of_first_load_counts_rows_and_requests(first_load: FirstLoad) -> None:
    report, tables = first_load.summary, first_load.command.tables()
    assert {name: counts["written"] for name, counts in report["tables"].items()} == {
        name: len(rows) for name, rows in tables.items()
    }
    assert report["tables"]["stories"]["new"] == len(tables["stories"])
    assert report["requests"] == first_load.requests.total()
    assert report["place"] == {
        "pipeline": "pivotal_tracker",
        "destination": "duckdb",
        "dataset": "tracker",
        "shard": "1/1",
    }
    assert (report["exit_code"], report["reason"], report["retries"]) == (0, None, 0)
    assert report["seconds"] > 0
    assert report["differences"] == report["skipped"] == []


def test_summary_counts_new_changed_and_deleted_records(
    loaded: Command, server: TrackerServer
) -> None:
    before, workspace = loaded.tables(), server.workspace
    first, second, third, _ = workspace.projects.values()
    stories = [story for project in (first, second) for story in list(project.stories.values())]
    commented = [story for story in stories if story["comments"]]
    tasked = [story for story in stories if story["tasks"] and story not in commented[:3]]
    workspace.delete_stories(commented[0]["id"])
    workspace.edit_comment(commented[1]["comments"][0]["id"], "Edited")
    workspace.delete_comment(commented[2]["comments"][0]["id"])
    workspace.add_comment("New", story_id=commented[2]["id"])
    workspace.edit_task(tasked[0]["tasks"][0]["id"], complete=True, description="Edited")
    workspace.edit_story(tasked[1]["id"], owner_ids=[])
    # no attribute of a server deletes a row
    kept = tasked[2]["id"]
    workspace.edit_story(kept, _deleted=True)
    workspace.create_story(second.record["id"], name="New")
    workspace.create_label(third.record["id"], "new")
    server.behaviour.forbidden_projects = {third.record["id"]}
    assert loaded("--summary", "summary.json").returncode == 3
    report, after = loaded.summary(), loaded.tables()
    assert report["exit_code"] == 3
    assert report["tables"]["stories"]["deleted"] == 1
    assert {entry["project_id"] for entry in report["skipped"]} == {third.record["id"]}
    assert_records_counted(report, before, after)
    comments = report["tables"]["stories__comments"]
    assert comments.keys() == {"written"}
    assert kept in {row["id"] for row in after["stories"]}


def rows_by_key(table: Table, rows: list[Record]) -> dict[Any, Record]:
    # a column that a run adds is null in the rows that it does not write
    return {
        tuple(row[name] for name in table.key): {
            k: v for k, v in row.items() if "_dlt" not in k and v is not None
        }
        for row in rows
    }


def assert_records_counted(report: dict[str, Any], before: Tables, after: Tables) -> None:
    """Assert that the report counts the new, changed and deleted records of each table."""
    for table in [*PROJECT_TABLES.values(), PROJECTS, PEOPLE]:
        counts = report["tables"][table.name]
        was, now = (rows_by_key(table, tables[table.name]) for tables in (before, after))
        assert counts["new"] == len(now.keys() - was.keys()), table.name
        assert counts["deleted"] == len(was.keys() - now.keys()), table.name
        # a story whose comments differ counts, too
        changed = sum(was[key] != now[key] for key in was.keys() & now.keys())
        assert counts["changed"] >= changed, table.name


def test_load_into_an_existing_schema_prints_its_normalized_name(
    command: Command, server: TrackerServer, first_load: FirstLoad
) -> None:
    with duckdb.connect(str(command.database)) as connection:
        connection.execute("CREATE SCHEMA my_data")
    result = command("--dataset", "My Data", "--resource", "labels")
    assert result.returncode == 0, result.stderr
    assert "table('my_data.labels')" in result.stdout
    _, _, script = shlex.split(result.stdout.splitlines()[-2])
    assert "10 rows" in command.python(script).stdout
    tables = loaded_tables(command.database, "my_data")
    assert tables["labels"]
    assert_only_loaded(["labels"], tables, first_load.served)


def test_tables_of_other_sources_in_the_dataset_are_kept(
    command: Command, server: TrackerServer, first_load: FirstLoad
) -> None:
    other = dlt.pipeline(
        "other_sources",
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
    assert [row["id"] for row in tables.pop("things")] == [1]
    assert_only_loaded(["epics"], tables, first_load.served)


def test_empty_workspace_creates_every_declared_table_and_column(
    command: Command, serve: Serve
) -> None:
    serve(generate_workspace(projects=0))
    command.views = True
    result = command()
    assert result.returncode == 0, result.stderr
    assert f"Views: {len(VIEWS)}." in result.stdout
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
    declared = {
        (t.name, c, types[kind])
        for root in SERVER_TABLES.values()
        for t in root.family()
        for c, kind in t.columns.items()
    }
    created = {row for row in found if not row[1].startswith("_dlt") and row[1] != "_deleted"}
    assert created == declared


def test_resources_are_loaded_without_related_ones(
    command: Command, server: TrackerServer, first_load: FirstLoad
) -> None:
    """None of the resources shares data with another one.

    Other tests load labels, epics and stories alone.
    """
    names = PROJECT_ENDPOINTS.keys() - {"labels", "epics", "stories"}
    result = command("--resource", *names)
    assert result.returncode == 0, result.stderr
    assert_only_loaded(names, command.tables(), first_load.served)


def test_only_selected_projects_are_loaded_even_if_not_listed(
    command: Command, server: TrackerServer, first_load: FirstLoad
) -> None:
    projects = server.workspace.projects
    first, second, public_id, _ = projects
    public = projects[public_id]

    def hide_public_project(path: str, _: dict[str, str]) -> None:
        if path.endswith("/projects"):
            projects.pop(public_id, None)
        else:
            projects[public_id] = public

    server.before_request = hide_public_project
    options = ("--resource", "projects", "labels")
    result = command(*options, "--project", str(first), str(second))
    assert result.returncode == 0, result.stderr
    assert_projects_loaded({first, second}, command.tables(), first_load.served)
    env = {"SOURCES__PIVOTAL_TRACKER__PROJECT_IDS": f'["{public_id}"]'}
    result = command(*options, env=env)
    assert result.returncode == 0, result.stderr
    assert_projects_loaded({first, second, public_id}, command.tables(), first_load.served)


def assert_projects_loaded(projects: Collection[int], loaded: Tables, served: Tables) -> None:
    """Assert that exactly these projects and their labels are loaded."""
    for table, column in (("projects", "id"), ("labels", "project_id")):
        expected = [row for row in served[table] if row[column] in projects]
        assert comparable(loaded[table]) == comparable(expected)


def test_database_of_an_earlier_version_is_migrated(command: Command, serve: Serve) -> None:
    server = serve(generate_workspace(projects=1, stories=10, activity=20, seed=2))
    names = ["projects", "stories", "epics", "iterations", "people"]
    earlier = command.python(
        "from pivotal_tracker import tables; from pivotal_tracker.cli.main import main; "
        "del tables.PEOPLE.columns['same_as_id'], tables.PROJECTS.columns['same_as_id']; "
        f"sys.exit(main(['--no-views', '--resource', *{names}]))"
    )
    assert earlier.returncode == 0, earlier.stderr
    before = command.tables()
    for table in ("projects", "people"):
        assert "same_as_id" not in before[table][0]
    for project_id in server.workspace.projects:
        server.workspace.create_story(project_id, name="New")
    command.views = True
    result = command("--resource", *names)
    assert result.returncode == 0, result.stderr
    tables, expected = command.tables(), served_tables(server)
    assert {row["same_as_id"] for row in (*tables["projects"], *tables["people"])} == {None}
    for table in ("projects", "stories", "stories__labels", "epics"):
        assert comparable(tables[table]) == comparable(expected[table])
    assert comparable(tables["people"]) == comparable(before["people"])
    # views that read the new columns
    with duckdb.connect(str(command.database), read_only=True) as connection:
        for view in ("story_overview", "project_velocity"):
            assert connection.execute(f"SELECT * FROM tracker.{view}").fetchone()  # noqa: S608


def test_full_refresh_of_one_project_keeps_the_others(
    loaded: Command, server: TrackerServer
) -> None:
    before = loaded.tables()
    project_id = next(iter(server.workspace.projects))
    result = loaded(
        "--full-refresh", "--project", str(project_id), "--resource", "stories", "activity"
    )
    assert result.returncode == 0, result.stderr
    assert "not returned" not in result.stdout
    assert_tables_equal(loaded.tables(), before)


def test_full_refresh_updates_everything_and_keeps_forgotten_activity(
    loaded: Command, server: TrackerServer, first_load: FirstLoad
) -> None:
    before = first_load.served
    project_id = next(iter(server.workspace.projects))
    project = server.workspace.projects[project_id]
    story, epic = next(iter(project.stories)), next(iter(project.epics))
    server.workspace.delete_stories(story)
    server.workspace.delete_epic(epic)
    server.workspace.forget_activity(project_id, keep=0)
    result = loaded("--full-refresh")
    assert result.returncode == 0, result.stderr

    tables, now = loaded.tables(), served_tables(server)
    activity = [t.name for t in PROJECT_TABLES["activity"].family()]
    append_only = {*activity, *DERIVED_TABLES}
    expected = {name: rows for name, rows in now.items() if name not in append_only}
    assert_tables_equal({n: r for n, r in tables.items() if n not in append_only}, expected)
    deleted = [(row["kind"], row["id"], row["change"]) for row in tables["deleted_records"]]
    assert len(deleted) == len(set(deleted))
    assert {("story", story, "deleted"), ("epic", epic, "deleted")} <= set(deleted)
    guids = {row["guid"] for row in tables["activity"]}
    assert guids == {row["guid"] for row in (*before["activity"], *now["activity"])}
    assert len(tables["activity"]) == len(guids)
