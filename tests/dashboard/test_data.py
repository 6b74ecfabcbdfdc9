"""The dashboard without a browser: queries per destination, read-only SQL, safe texts, charts."""

# ruff: noqa: F811, SIM905 - fixtures are imported by their names; lists are written as words

from __future__ import annotations

import hashlib
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import altair as alt
import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas import DataFrame, Timestamp, isna, to_datetime
from sqlglot import ErrorLevel, exp, parse_one
from streamlit.testing.v1 import AppTest

from tracker_dashboard import app, attachments, charts, data, export, text
from tracker_dashboard.components import expected_day
from tracker_dashboard.data import Dataset, last_loaded
from tracker_dashboard.errors import (
    DashboardError,
    DatabaseLockedError,
    MissingTableError,
    NothingLoadedError,
)
from tracker_dashboard.pages.board import with_forecast
from tracker_dashboard.pages.flow import burn_up_lines, sum_projects
from tracker_dashboard.pages.inspect import schema_changes
from tracker_dashboard.pages.iteration import burn_up_days
from tracker_dashboard.pages.progress import burn_up_of
from tracker_dashboard.pages.story import without_name
from tracker_dashboard.queries import board, inspect, metrics, people, projects, stories, story
from tracker_dashboard.queries.build import Scope
from tracker_dashboard.read_only import parse_select, with_row_limit
from tracker_dashboard.search_syntax import parse
from tracker_dashboard.snapshot import open_snapshot
from tracker_dashboard.story_list import first_stories
from tracker_server import TrackerServer
from tracker_server.workspace import Workspace

from ..support.browser import locked
from ..support.command import ROOT, Command, load_served, make_small_workspace, new_command
from ..support.forking import ForkServer
from ..support.postgres import postgres, postgres_server  # noqa: F401 - fixtures
from .colours import contrast

Read = Callable[..., Dataset]

TODAY = datetime.now(UTC).date()

RESOURCES = (
    "--resource",
    "projects",
    "labels",
    "stories",
    "iterations",
    "epics",
    "releases",
    "history_days",
    "activity",
)
"""The tables that pages read; more would take longer to load."""


@pytest.fixture
def command(command: Command) -> Command:
    """The command with views."""
    command.views = True
    return command


def make_workspace() -> Workspace:
    """The small workspace in time zones on both sides of UTC."""
    workspace = make_small_workspace()
    zones = ("Pacific/Auckland", "Pacific/Honolulu", "Europe/Berlin")
    for project_id, zone in zip(workspace.projects, zones, strict=True):
        workspace.edit_project(project_id, time_zone={"olson_name": zone, "kind": "time_zone"})
    return workspace


@pytest.fixture
def small_workspace() -> Workspace:
    """The workspace to load."""
    return make_workspace()


@pytest.fixture(scope="module")
def first_load(fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> Command:
    """The workspace, loaded into DuckDB once, with views."""
    command = new_command(fork_server, tmp_path_factory.mktemp("first_load") / "run")
    command.views = True
    load_served(make_workspace(), command, *RESOURCES)
    return command


@pytest.fixture
def read(command: Command, monkeypatch: pytest.MonkeyPatch) -> Read:
    """Open what the command last loaded, as the dashboard does."""

    def loaded(**env: str) -> Dataset:
        for name, value in command.environment(env).items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(command.folder)
        return Dataset(last_loaded().name)

    return loaded


@pytest.fixture
def loaded(command: Command, first_load: Command, read: Read) -> Dataset:
    """The workspace in DuckDB."""
    command.take_over(first_load)
    return read()


SEARCHES = (
    "",
    "-crash (report OR 'it''s 100%_\\\\')",
    "owner:a requester:a follower:none commenter:a reviewer:a",
    "label:a epic:a release:a project:a name:a iteration:3 estimate:2 id:4 priority:p1",
    "type:bug state:open created:2024 updated:2024-01..2024-02 accepted:>=2023 deadline:<2030",
    " ".join(f"has:{value}" for value in ("attachment", "blocker", "branch", "comment", "epic")),
    "has:label has:owner has:pr has:review has:task has:deadline has:description has:estimate",
    "has:rejection",
)


def _queries(workspace: Workspace) -> dict[str, str]:
    """Every query that a page can run."""
    project = next(iter(workspace.projects.values()))
    record = next(record for record in project.stories.values() if record["comments"])
    number, project_id = int(record["id"]), int(project.record["id"])
    scope = Scope((project_id,), date(2024, 1, 1), date(2025, 6, 30))
    word = next(comment for comment in record["comments"] if comment.get("text"))["text"].split()[0]
    of_story = "story measures followers epics iteration releases comments tasks blockers reviews "
    of_scope = "as_of iterations velocities throughput durations daily_states open_stories "
    of_scope += "story_durations time_in_states open_blockers"
    of_people = "weekly_activity reviews open_work"
    searches = {f"search {typed}": parse(typed) for typed in (*SEARCHES, f'{word} "{word}"')}
    ids = (number, 2)
    return {
        "projects": projects.projects(),
        "search_names": projects.search_names(),
        "project labels": projects.label_names(project_id),
        "project owners": projects.owner_names(project_id),
        **{name: getattr(metrics, name)(scope) for name in of_scope.split()},
        **{
            name: getattr(metrics, name)()
            for name in "next_releases forecast epics releases".split()
        },
        "epic stories": metrics.epic_stories(next(iter(project.epics), 1)),
        "release stories": metrics.release_stories(1),
        **{f"people {name}": getattr(people, name)(scope) for name in of_people.split()},
        **{
            f"story {name}": getattr(story, name)(number)
            for name in (of_story + "code history attachments").split()
        },
        "neighbours": story.neighbours(project_id, number),
        **{
            name: stories.matching_stories(query.root, (), (word,), (project_id,), sort)
            for (name, query), sort in zip(searches.items(), stories.SORTS * 2, strict=False)
        },
        "flags": stories.matching_stories(
            parse("").root, (parse("type:bug").root, parse("has:pr").root), (), (), "updated"
        ),
        **{
            name: getattr(stories, name)(ids)
            for name in "stories owner_names label_names texts export".split()
        },
        "iteration_list": board.iteration_list(project_id),
        "iteration_stories": board.iteration_stories(project_id, 3),
        "moved_on": board.moved_on(project_id, 3),
        "board open": board.open_stories(project_id),
        "board done": board.stories_of_iterations(project_id, (1, 2, 3)),
        "people_of_iteration": board.people_of_iteration(project_id, 3),
        "row_counts": inspect.row_counts(("stories", "people")),
        "first_rows": inspect.first_rows("labels", ("id", "name"), 1000),
    }


def _as_texts(frame: DataFrame) -> list[tuple[str, ...]]:
    """Rows as texts, the same on all destinations."""
    return sorted(tuple(_as_text(value) for value in row) for row in frame.itertuples(index=False))


def _as_text(value: object) -> str:
    if isinstance(value, datetime):
        return "" if isna(value) else value.replace(tzinfo=value.tzinfo or UTC).isoformat()
    if isinstance(value, bool) or isna(value):
        return str(value) if isinstance(value, bool) else ""
    try:
        number = float(str(value))
        return f"{number:.6g}" if number.is_integer() else f"{number:.3g}"
    except ValueError:
        return f"{value}T00:00:00+00:00" if isinstance(value, date) else str(value)


@pytest.mark.integration
def test_postgres_and_duckdb_give_equal_results(
    loaded: Dataset, command: Command, server: TrackerServer, read: Read, postgres: str
) -> None:
    queries = _queries(server.workspace)
    in_duckdb = dict(zip(queries, loaded.rows(list(queries.values())), strict=True))
    env = {"DESTINATION__POSTGRES__CREDENTIALS": postgres}
    result = command("--destination", "postgres", *RESOURCES, env=env)
    assert result.returncode == 0, result.stderr
    loaded = read(**env)
    assert loaded.destination_name == "postgres"
    assert "tracker:tracker" not in loaded.location
    in_postgres = dict(zip(queries, loaded.rows(list(queries.values())), strict=True))
    # ages grow from one question to the next
    ages = [
        found["open_stories"][["age_days", "days_in_state"]].astype(float)
        for found in (in_duckdb, in_postgres)
    ]
    assert ages[1].to_numpy() == pytest.approx(ages[0].to_numpy(), abs=0.01, nan_ok=True)
    for found in (in_duckdb, in_postgres):
        found["open_stories"] = found["open_stories"].drop(columns=ages[0].columns)
    for name in queries:
        assert _as_texts(in_postgres[name]) == _as_texts(in_duckdb[name]), name
    filled = ("story comments", "story history", "iterations", "durations", "board done", "stories")
    for name in filled:
        assert len(in_duckdb[name]), name
    counted = loaded.run_user_sql("SELECT count(*) AS n FROM stories")["n"][0]
    assert counted == in_duckdb["projects"]["stories"].sum()
    _assert_pages_open(loaded)
    # the session rejects what the parser would let through
    rejected = pytest.raises(DashboardError, match="read-only transaction")
    with rejected, loaded.connect() as dataset:
        dataset.sql_client.execute_sql("CREATE TABLE x (a int)")


def _assert_pages_open(loaded: Dataset) -> None:
    """Each page shows its title, and charts if it has some, without a browser."""
    latest = loaded.rows([projects.projects()])[0]["name"][0]
    named = loaded.run_user_sql("SELECT id, name FROM stories ORDER BY id LIMIT 1")
    for name, title, has_charts in (
        ("project", latest, True),
        ("iteration", "Iteration ", True),
        ("board", "Board", False),
        ("stories", "Stories", False),
        ("story", named["name"][0], False),
        ("flow", "Flow", True),
        ("progress", "Epics and releases", False),
        ("people", "People", True),
        ("inspect", "Inspect", False),
    ):
        page = _open_page(name, id=str(named["id"][0]))
        assert not page.exception, name
        assert text.plain(title) in _title(page), name
        assert bool(page.get("vega_lite_chart")) == has_charts, name


def _open_page(name: str, **params: str) -> AppTest:
    """Run the script of a page."""
    page = AppTest.from_string(
        "import sys; sys.argv = ['dashboard']\n"
        "from tracker_dashboard.header import show_header\n"
        f"from tracker_dashboard.pages import {name} as page\n"
        f"page.render(show_header('{name}'))\n"
    )
    for param, value in params.items():
        page.query_params[param] = value
    return page.run(timeout=60)


def _title(page: AppTest) -> str:
    """Return the HTML of the title of a page."""
    (title,) = re.findall("<h1.*?</h1>", "".join(html.proto.body for html in page.get("html")))
    return str(title)


def test_queries_translate_to_bigquery(small_workspace: Workspace) -> None:
    for name, query in _queries(small_workspace).items():
        parsed = parse_one(query, dialect="duckdb")
        sql = parsed.sql("bigquery", unsupported_level=ErrorLevel.RAISE)
        for part in parse_one(sql, dialect="bigquery").find_all(exp.Select):
            # sqlglot groups by aliases there, which must not be names of columns too
            grouped = part.args["group"].expressions if part.args.get("group") else ()
            aliases = {one.alias for one in part.expressions if isinstance(one, exp.Alias)}
            columns = {
                column.name for one in part.expressions for column in one.find_all(exp.Column)
            }
            ambiguous = {one.name for one in grouped if not one.table} & aliases & columns
            assert not ambiguous, f"{name}: {ambiguous}"


# read-only SQL


REJECTED = (
    "DELETE FROM stories",
    "SELECT 1; SELECT 2",
    "SELECT 1; DROP TABLE stories",
    "DROP TABLE stories",
    "COPY stories TO 'x.csv'",
    "ATTACH 'x.db'",
    "INSTALL httpfs",
    "PRAGMA version",
    "SET enable_external_access = true",
    "EXPLAIN SELECT 1",
    "WITH deleted AS (DELETE FROM stories RETURNING *) SELECT * FROM deleted",
    "SELECT * INTO copied FROM stories",
    "SELECT * FROM stories FOR UPDATE",
    "SELEC 1",
    "",
    "-- nothing",
)
REJECTED_OUTSIDE_DUCKDB = (
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT setval('a', 1)",
    "SELECT nextval('a')",
    "SELECT set_config('a', 'b', false)",
    "SELECT query_to_xml('DROP TABLE stories', true, true, '')",
    "SELECT * FROM dblink('host=example', 'SELECT 1')",
    "SELECT * FROM pg_ls_dir('/')",
    "SELECT * FROM EXTERNAL_QUERY('a', 'SELECT 1')",
)
REJECTED_BY_DUCKDB = (
    "SELECT * FROM read_text('/etc/hostname')",
    "SELECT * FROM '/etc/hostname'",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM read_csv('/etc/hostname')",
    "SELECT * FROM read_parquet('http://example.org/a.parquet')",
    "SELECT * FROM sniff_csv('/etc/hostname')",
    "SELECT * FROM sqlite_scan('a.db', 'b')",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM frame",
)


@pytest.mark.parametrize("dialect", ["duckdb", "postgres", "bigquery"])
@pytest.mark.parametrize("statement", REJECTED)
def test_statements_other_than_one_select_are_rejected(statement: str, dialect: str) -> None:
    with pytest.raises(DashboardError):
        parse_select(statement, dialect)


@pytest.mark.parametrize("dialect", ["postgres", "bigquery"])
@pytest.mark.parametrize("statement", REJECTED_OUTSIDE_DUCKDB)
def test_unknown_functions_are_rejected_outside_duckdb(statement: str, dialect: str) -> None:
    with pytest.raises(DashboardError, match="is not allowed"):
        parse_select(statement, dialect)


@pytest.mark.parametrize("statement", REJECTED_BY_DUCKDB[:-1])
def test_files_are_rejected_where_duckdb_may_open_them(statement: str) -> None:
    """A DuckLake or MotherDuck needs that; a file of DuckDB is opened without."""
    with pytest.raises(DashboardError):
        parse_select(statement, "duckdb")
    assert parse_select("SELECT a.id FROM tracker.stories AS a", "duckdb")


def test_duckdb_opens_no_files_or_connections(loaded: Dataset) -> None:
    for statement in REJECTED_BY_DUCKDB:
        with pytest.raises(DashboardError):
            loaded.run_user_sql(statement)
    assert len(
        loaded.run_user_sql("WITH a AS (SELECT id FROM stories) SELECT * FROM a UNION SELECT 1")
    )


def _peak_memory() -> int:
    """The peak memory of this process in bytes."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


@pytest.mark.parametrize("expression", ["range(1000000000)", "repeat('x', 4000000000)"])
def test_memory_of_a_query_is_limited(expression: str, loaded: Dataset) -> None:
    before = _peak_memory()
    with pytest.raises(DashboardError, match=r"[Mm]emory"):
        loaded.run_user_sql(f"SELECT {expression}")
    # an error alone proves nothing: DuckDB may have used up the memory before
    assert _peak_memory() - before < 2**30


@pytest.mark.parametrize(
    ("statement", "limited"),
    [
        ("SELECT a FROM b ORDER BY a", "SELECT a FROM b ORDER BY a LIMIT 9"),
        ("SELECT a FROM b LIMIT 4", "SELECT a FROM b LIMIT 4"),
        ("SELECT a FROM b LIMIT 40 OFFSET 2", "SELECT a FROM b LIMIT 9 OFFSET 2"),
        ("SELECT 1 UNION SELECT 2", "SELECT 1 UNION SELECT 2 LIMIT 9"),
        (
            "SELECT a FROM b LIMIT 2 + 2",
            "SELECT * FROM (SELECT a FROM b LIMIT 2 + 2) AS query LIMIT 9",
        ),
    ],
)
def test_row_limit_is_added(statement: str, limited: str) -> None:
    assert with_row_limit(parse_select(statement, "duckdb"), 9).sql("duckdb") == limited


@pytest.mark.parametrize(
    ("statement", "rows"),
    [
        ("DESCRIBE SELECT 1 AS a, 2 AS b", 2),
        ("SUMMARIZE SELECT 1 AS a, 2 AS b", 2),
        ("VALUES (1), (2), (3)", 3),
        ("PIVOT (SELECT 'x' AS a, 1 AS b) ON a USING sum(b)", 1),
    ],
)
def test_reading_statements_of_duckdb_are_allowed(
    statement: str, rows: int, loaded: Dataset
) -> None:
    assert len(loaded.run_user_sql(statement)) == rows


def test_long_queries_of_a_person_are_stopped(
    loaded: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "USER_QUERY_SECONDS", 1)
    with pytest.raises(DashboardError, match="longer than 1 seconds"):
        loaded.run_user_sql(
            "SELECT count(*) FROM range(10000000) a, range(10000000) b "
            "WHERE hash(a.range + b.range) = 1"
        )


# missing data


def test_missing_tables_and_locked_databases_raise(loaded: Dataset) -> None:
    with duckdb.connect(loaded.location) as connection:
        connection.execute("DROP VIEW tracker.epic_progress")
    snapshot = open_snapshot(loaded, loaded.load_id(), TODAY)
    assert snapshot is not None
    for query in (metrics.epics(), inspect.load_report()):
        with pytest.raises(MissingTableError):
            loaded.rows([query])
        with pytest.raises(MissingTableError):
            snapshot.rows([query])
    load_id = loaded.load_id()
    with locked(loaded.location), pytest.raises(DatabaseLockedError):
        loaded.load_id()
    with locked(loaded.location), pytest.raises(DatabaseLockedError):
        open_snapshot(loaded, load_id, TODAY + timedelta(days=1))
    assert loaded.load_id()


# copies of the database


def test_every_query_gives_the_same_rows_from_the_copy_of_the_database(
    loaded: Dataset, small_workspace: Workspace
) -> None:
    queries = _queries(small_workspace)
    snapshot = open_snapshot(loaded, loaded.load_id(), TODAY)
    assert snapshot is not None
    views = "SELECT count(*) AS n FROM duckdb_views() WHERE NOT internal AND view_name IN "
    assert (
        snapshot.rows([f"{views} ('forecast', 'daily_states', 'story_measures')"])[0]["n"][0] == 0
    )
    copied = dict(zip(queries, snapshot.rows(list(queries.values())), strict=True))
    direct = dict(zip(queries, loaded.rows(list(queries.values())), strict=True))
    for name in queries:
        assert list(copied[name].dtypes) == list(direct[name].dtypes), name
        if name == "open_stories":
            # ages grow from one question to the next
            ages = ["age_days", "days_in_state"]
            copied[name], direct[name] = (
                frame.assign(**{age: frame[age].round(1) for age in ages})
                for frame in (copied[name], direct[name])
            )
        assert _as_texts(copied[name]) == _as_texts(direct[name]), name


def test_copy_is_replaced_after_a_load_a_view_change_or_a_day(
    loaded: Dataset,
) -> None:
    folder = Path(loaded.pipeline.working_dir) / "snapshot"
    load_id = loaded.load_id()
    paths = [_snapshot_path(loaded, load_id, TODAY) for _ in range(2)]
    written_at = paths[0].stat().st_mtime_ns
    assert paths[0] == paths[1]
    notes = folder / "notes.txt"
    notes.write_text("not one of the dashboard's files")
    paths.append(_snapshot_path(loaded, f"{load_id}1", TODAY))
    paths.append(_snapshot_path(loaded, load_id, TODAY + timedelta(days=1)))
    with duckdb.connect(loaded.location) as connection:
        connection.execute("DROP VIEW tracker.forecast")
    paths.append(_snapshot_path(loaded, load_id, TODAY))
    assert len(set(paths)) == 4
    assert set(folder.iterdir()) == {paths[-1], notes}
    assert paths[-1].stat().st_mtime_ns > written_at


def _snapshot_path(dataset: Dataset, load_id: str, day: date) -> Path:
    snapshot = open_snapshot(dataset, load_id, day)
    assert snapshot is not None
    return snapshot.path


def test_database_is_read_if_no_copy_can_be_written(
    loaded: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    (Path(loaded.pipeline.working_dir) / "snapshot").write_text("a file where a folder should be")
    assert open_snapshot(loaded, loaded.load_id(), TODAY) is None
    _assert_pages_open(loaded)


def test_schema_of_a_dataset_stays_while_dlt_reloads_it(loaded: Dataset) -> None:
    """Dlt's own schema has no tables for a moment."""
    tables = loaded.schema.tables
    schemas = loaded.pipeline.schemas
    schemas.set_live_schema(schemas.load_schema(loaded.schema.name))
    assert loaded.schema.tables is tables


def test_nothing_loaded_shows_first_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path))
    with pytest.raises(NothingLoadedError):
        last_loaded()
    monkeypatch.setattr(sys, "argv", ["dashboard"])
    page = AppTest.from_file(str(ROOT / "pivotal_tracker_dashboard.py")).run(timeout=30)
    assert not page.exception
    assert _title(page) == "<h1><bdi>Nothing to show yet</bdi></h1>"
    assert "pivotal_tracker_pipeline.py --sample" in page.markdown[-1].value


def test_app_opens_the_latest_project(loaded: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    # what is read for later pages would still be read after the test
    monkeypatch.setattr("tracker_dashboard.app.prepare_in_background", lambda _: None)
    monkeypatch.setattr(sys, "argv", ["dashboard"])
    page = AppTest.from_file(str(ROOT / "pivotal_tracker_dashboard.py")).run(timeout=30)
    assert not page.exception
    assert not page.error
    latest = loaded.rows([projects.projects()])[0]["name"][0]
    assert text.plain(latest) in _title(page)
    assert page.get("vega_lite_chart")


def test_pages_show_what_was_prepared_for_them(
    loaded: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["dashboard"])
    project = str(loaded.rows([projects.projects()])[0]["id"].iloc[-1])
    pages = {"project": "", "iteration": "iteration", "board": "board", "flow": "flow"}
    for path in (*pages.values(), "people"):
        app.prepare_page(path, {"project": [project]})

    def fail(*_: object) -> None:
        raise AssertionError("read or computed again")

    for function in ("components.rows", "pages.board.story_list", "charts.by_person"):
        monkeypatch.setattr(f"tracker_dashboard.{function}", fail)
    for name in (*pages, "people"):
        page = _open_page(name, project=project)
        assert not page.exception, name
        assert _title(page)


def test_pages_are_prepared_for_as_many_projects_as_fit_into_memory() -> None:
    for counts, expected in (
        ([], 0),
        ([None], 1),
        ([5_000, None, 10, None], 4),
        ([1] * 30, 20),
        ([60_000, 40_000, 1, 0], 2),
        ([300_000, 1], 1),
    ):
        frame = DataFrame({"id": range(len(counts)), "stories": counts}, dtype="Float64")
        assert list(app.projects_to_prepare(frame)) == list(range(expected)), counts


def test_views_of_another_version_are_explained(
    loaded: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    with duckdb.connect(loaded.location) as connection:
        connection.execute("DROP VIEW tracker.iteration_metrics CASCADE")
        connection.execute("CREATE VIEW tracker.iteration_metrics AS SELECT 1 AS project_id")
    monkeypatch.setattr(sys, "argv", ["dashboard"])
    page = AppTest.from_file(str(ROOT / "pivotal_tracker_dashboard.py")).run(timeout=30)
    assert not page.exception
    (error,) = page.error
    assert "run the command again to rebuild them" in error.value


def test_dlt_pipeline_show_needs_dlt_hub(loaded: Dataset, command: Command) -> None:
    shown = subprocess.run(
        [Path(sys.executable).parent / "dlt", "pipeline", "pivotal_tracker", "show"],
        cwd=command.folder,
        env=command.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    assert "dlt[hub]" in shown.stdout + shown.stderr


# texts


class _Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


_HARMLESS = set(
    "p br a em strong code pre ul ol li blockquote h1 h2 h3 h4 h5 h6 hr s table thead tbody tr th "
    "td".split()
)
_PIECES = st.sampled_from(
    "<script> </script> <img onerror=alert(1) ![a]( [a]( javascript:alert(1) data:text/html, "
    "http://example.org ) ` ``` <svg/onload=x> &lt; &#106;avascript: # * _ | - : > \\ \n \t "
    "vbscript: mailto:a@example.org <a href= ' \" [x]: //example.org".split(" ")
)


@given(st.lists(_PIECES | st.text(max_size=4), max_size=12).map("".join))
def test_html_in_markdown_is_escaped(written: str) -> None:
    for tag, attributes in _Tags(text.markdown(written)).seen:
        if attributes == {"dir": "auto"}:
            continue
        assert tag in _HARMLESS
        assert set(attributes) <= {"href", "rel", "target", "title", "class", "start", "style"}
        assert (attributes.get("href") or "http:").startswith(("http:", "https:", "mailto:"))
    assert not _Tags(text.plain(written)).seen
    for tag, _ in _Tags(text.excerpt(written, text.substring_pattern(("script", "a"))) or "").seen:
        assert tag == "mark"


@given(st.text(), st.text())
def test_html_in_table_cells_is_escaped(column: str, value: str) -> None:
    tags = _Tags(text.table([column], [[value]])).seen
    assert [tag for tag, _ in tags] == "table thead tr th tbody tr td bdi".split()


def test_numbers_in_tables_are_formatted() -> None:
    rows = [(7, 1234.5, None, Decimal("3.00"), text.Html("<b>x</b>"), "<i>")]
    shown = re.findall(r"<td[^>]*>(.*?)</td>", text.table(["a"] * 6, rows))
    assert shown == ["7", "1,234.5", "", "3", "<b>x</b>", "<bdi>&lt;i&gt;</bdi>"]


def test_external_links_are_http_only() -> None:
    assert text.external_link("javascript:alert(1)", "<b>") == "<bdi>&lt;b&gt;</bdi>"
    assert text.external_link(None, "a") == "<bdi>a</bdi>"
    assert 'href="https://example.org/?a=&quot;"' in text.external_link(
        'https://example.org/?a="', "a"
    )


def test_csv_cells_are_not_formulas() -> None:
    table = DataFrame({"name": ["=1+1", "+1", "-1", "@x", "a=b", None], "n": [-1, 2, 3, 4, 5, 6]})
    lines = export.as_csv(table).decode().splitlines()
    assert lines == ["name,n", "'=1+1,-1", "'+1,2", "'-1,3", "'@x,4", "a=b,5", ",6"]


def test_history_does_not_repeat_names() -> None:
    assert without_name("Ada Lovelace started this", "Ada Lovelace") == "started this"
    assert without_name("started", "Ada Lovelace") == "started"
    assert without_name("Adam left", "Ada") == "Adam left"


# attachments


def test_only_unchanged_attachments_are_read(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(b"read me")
    sha256 = hashlib.sha256(b"read me").hexdigest()
    (tmp_path / "link").symlink_to(file)
    assert attachments.read_file(tmp_path, "a.txt", 7, sha256) == b"read me"
    assert attachments.read_file(Path("/"), str(file), 7, sha256) == b"read me"
    for path, size, digest in (
        ("a.txt", 8, sha256),
        ("a.txt", 7, "0" * 64),
        ("a.txt", 7, None),
        ("link", 7, sha256),
        ("gone", 7, sha256),
        (".", 7, sha256),
        ("", 7, sha256),
        ("a\0", 7, sha256),
        (None, None, None),
    ):
        with pytest.raises(attachments.AttachmentUnavailableError):
            attachments.read_file(tmp_path, path, size, digest)
    assert attachments.open_image(b"<svg onload='alert(1)'/>") is None


# charts

_COLUMNS = DataFrame(
    columns="start project_name iteration_number points_accepted stories_accepted velocity status "
    "story_type points stories median_days p85_days rejection_rate rejected_stories date state "
    "line age order name part period first_day last_day accepted created scope date_text id "
    "accepted_on days current_state age_days days_in_state person".split()
)
_CHARTS = {
    "velocity": charts.velocity(_COLUMNS),
    "throughput by week": charts.throughput(_COLUMNS, "week"),
    "throughput by month": charts.throughput(_COLUMNS, "month"),
    "durations": charts.durations(_COLUMNS, "cycle time"),
    "rejection rate": charts.rejection_rate(_COLUMNS),
    "iteration burn-up": charts.iteration_burn_up(_COLUMNS),
    "points by type": charts.points_by_type(_COLUMNS),
    "story durations": charts.story_durations(_COLUMNS, "lead time"),
    "cumulative flow of stories": charts.cumulative_flow(_COLUMNS, "stories"),
    "cumulative flow of points": charts.cumulative_flow(_COLUMNS, "points"),
    "burn-up": charts.burn_up(_COLUMNS),
    "duration scatter": charts.duration_scatter(_COLUMNS, {"50%": 2.0}, "cycle time"),
    "time in states": charts.time_in_states(_COLUMNS),
    "ages": charts.ages(_COLUMNS),
    "by person": charts.by_person(_COLUMNS),
}


@pytest.mark.parametrize("name", _CHARTS)
def test_chart_is_valid_vega_lite_and_uses_existing_columns(name: str) -> None:
    chart = _CHARTS[name]
    # Altair, which Streamlit depends on, has the schema
    alt.Chart.from_dict({**chart.spec, "data": {"values": []}}, validate=True)
    layers = [layer for layer in chart.spec.get("layer", [chart.spec]) if "data" not in layer]
    fields = set(re.findall(r"'field': '(\w+)'", str(layers)))
    fields -= set(re.findall(r"'as': '(\w+)'", str(layers)))
    assert fields
    assert fields <= set(chart.rows.columns)


def test_charts_are_exported_as_images() -> None:
    rows = DataFrame(
        {"iteration_number": [1], "start": ["2025-01-01"], "rejection_rate": [0.5]}
    ).assign(rejected_stories=1)
    spec = charts.rejection_rate(rows).standalone()
    assert export.as_svg(spec).startswith(b"<svg")
    assert export.as_png(spec).startswith(b"\x89PNG")


@pytest.mark.parametrize("colour", [*charts.STATE_COLOURS.values(), *charts.TYPE_COLOURS.values()])
def test_chart_colours_contrast_with_light_and_dark_backgrounds(colour: str) -> None:
    for background in ("#ffffff", "#0e1117"):
        assert contrast(colour, background) >= 3


# what pages compute


def test_iteration_burn_up_counts_days_of_the_time_zone() -> None:
    stories = DataFrame(
        {
            "points": [2.0, 3.0, None],
            "current_state": ["accepted", "started", "accepted"],
            "accepted_on": [date(2025, 3, 4), None, date(2025, 3, 5)],
            # the second was scheduled on 5 March in Berlin, 4 March in UTC
            "first_scheduled_at": to_datetime(
                ["2025-03-01T00:00:00Z", "2025-03-04T23:30:00Z", "2025-03-01T00:00:00Z"]
            ),
        }
    )
    start, finish = Timestamp("2025-03-02T23:00:00Z"), Timestamp("2025-03-06T23:00:00Z")
    days = burn_up_days(start, finish, stories, "Europe/Berlin")
    assert days.to_dict("list") == {
        "date": ["2025-03-03", "2025-03-04", "2025-03-05", "2025-03-06"],
        "accepted": [0, 2, 2, 2],
        "scope": [2, 2, 5, 5],
    }


def test_board_puts_stories_where_the_forecast_expects_them() -> None:
    stories = DataFrame({"id": [1, 2, 3, 4], "iteration_number": [9, 9, 9, None]})
    forecast = DataFrame(
        {
            "story_id": [3, 1],
            "position": [1, 2],
            "iteration_number": [5, 6],
            "expected_by": [date(2025, 1, 5), date(2025, 1, 12)],
        }
    )
    planned = with_forecast(stories, forecast)
    assert list(planned["id"]) == [3, 1, 2, 4]
    assert list(planned["planned_iteration"].fillna(0)) == [5, 6, 9, 0]
    without = forecast.head(0).astype({"expected_by": "datetime64[us]"})
    planned = with_forecast(stories, without)
    assert list(planned["id"]) == list(stories["id"])
    assert planned["expected_by"].isna().all()


def test_sum_of_projects_keeps_the_last_day_of_each_project() -> None:
    daily = DataFrame(
        [
            (1, "2025-01-01", "accepted", 2.0, 3.0),
            (1, "2025-01-01", "started", 1.0, 1.0),
            (2, "2025-01-02", "accepted", 10.0, None),
            (2, "2025-01-02", "started", 0.0, None),
            (2, "2025-01-03", "accepted", 11.0, None),
            (2, "2025-01-03", "started", 4.0, None),
        ],
        columns=["project_id", "date", "state", "stories", "points"],
    )
    summed = sum_projects(daily).set_index(["date", "state"])
    assert summed["stories"].to_dict() == {
        ("2025-01-01", "accepted"): 2,
        ("2025-01-01", "started"): 1,
        ("2025-01-02", "accepted"): 12,
        ("2025-01-02", "started"): 1,
        ("2025-01-03", "accepted"): 13,
        ("2025-01-03", "started"): 5,
    }
    assert summed["points"].to_dict() == {
        (day, state): points
        for day in ("2025-01-01", "2025-01-02", "2025-01-03")
        for state, points in (("accepted", 3), ("started", 1))
    }
    for without in (daily[daily["project_id"] == 2], daily.assign(points=float("nan"))):
        assert sum_projects(without)["points"].isna().all()


def test_forecast_continues_from_accepted_points() -> None:
    daily = DataFrame(
        [
            ("2025-01-01", "accepted", 1.0),
            ("2025-01-01", "unstarted", 5.0),
            ("2025-01-01", "unscheduled", 9.0),
            ("2025-01-02", "accepted", 3.0),
            ("2025-01-02", "unstarted", 4.0),
        ],
        columns=["date", "state", "points"],
    )
    days = {"earliest_by": date(2025, 1, 9), "latest_by": None}
    forecast = DataFrame(
        [
            {"points": 3.0, "expected_by": date(2025, 1, 12), **days},
            {"points": 0.0, "expected_by": date(2025, 1, 12), **days},
            {"points": 1.0, "expected_by": date(2025, 1, 19), **days},
        ]
    )
    lines = burn_up_lines(daily, forecast)
    points = {name: list(rows["points"]) for name, rows in lines.groupby("line")}
    # 3 accepted; 3 more until the 12th, 1 more until the 19th
    assert points == {
        "accepted": [1, 3],
        "scope": [6, 7],
        "expected": [3, 6, 7],
        "earliest": [3, 7],
    }


def test_forecast_line_never_goes_back_in_time() -> None:
    daily = DataFrame({"date": ["2024-01-09"], "state": ["accepted"], "points": [3.0]})
    days = to_datetime(["2024-01-07", "2024-01-14"])
    forecast = DataFrame(
        {"points": [1.0, 2.0], "earliest_by": days, "expected_by": days, "latest_by": days}
    )
    lines = burn_up_lines(daily, forecast)
    expected = lines[lines["line"] == "expected"]
    assert list(expected["date"]) == ["2024-01-09", "2024-01-09", "2024-01-14"]
    assert list(expected["points"]) == [3, 4, 6]


@pytest.mark.parametrize(
    ("moment", "shown"),
    [
        # of the server: midnight in New York
        ("2025-05-05T04:00:00Z", "5 May 2025"),
        # of the forecast: a day
        ("2025-05-05T00:00:00Z", "5 May 2025"),
        (None, ""),
    ],
)
def test_day_of_the_forecast_is_the_same_in_all_time_zones(moment: str | None, shown: str) -> None:
    assert expected_day(Timestamp(moment), "America/New_York") == shown


def test_burn_up_of_an_epic_reaches_its_last_day() -> None:
    stories = DataFrame(
        {
            "points": [2.0, 3.0, 1.0],
            "created_on": [date(2025, 1, 1), date(2025, 1, 3), date(2025, 1, 3)],
            "accepted_on": [date(2025, 1, 2), date(2025, 1, 5), None],
        }
    )
    assert burn_up_of(stories).to_dict("list") == {
        "date": ["2025-01-01", "2025-01-02", "2025-01-03", "2025-01-05"],
        "scope": [2, 2, 6, 6],
        "accepted": [0, 2, 2, 5],
    }


def test_long_list_shows_its_first_stories_and_a_link_to_all() -> None:
    every = DataFrame({"id": range(60)})
    params = {"project": ["1"], "number": ["3"], "all": ["Icebox"]}
    shown, more = first_stories("iteration", "stories", every, params)
    assert list(shown["id"]) == list(range(50))
    assert "Show all 60 stories" in more
    (address,) = re.findall('href="(.*?)"', more)
    linked = parse_qs(urlsplit(unescape(address)).query)
    assert linked == {**params, "all": ["Icebox", "stories"]}
    shown, more = first_stories("iteration", "stories", every, linked)
    assert list(shown["id"]) == list(every["id"])
    assert not more


def test_percentiles_at_the_same_height_are_told_apart_by_their_lines() -> None:
    levels = {"50%": 2.0, "85%": 13.0, "95%": 13.0}
    chart = charts.duration_scatter(_COLUMNS, levels, "lead time")
    dashes = chart.spec["layer"][1]["encoding"]["strokeDash"]["scale"]
    assert dashes["domain"] == list(levels)
    assert len({str(dash) for dash in dashes["range"]}) == len(levels)


def test_schema_changes_are_listed_by_version() -> None:
    first = '{"tables": {"a": {"columns": {"x": {}}}, "b": {"columns": {}}}}'
    second = '{"tables": {"a": {"columns": {"x": {}, "y": {}}}, "c": {"columns": {"z": {}}}}}'
    versions = DataFrame(
        [(2, "s", 20, second), (1, "s", 10, first)],
        columns=["version", "schema_name", "inserted_at", "schema_json"],
    )
    changes = schema_changes(versions)
    changed = [tuple(row) for row in changes[["version", "change", "table"]].to_numpy()]
    assert sorted(changed) == [
        (1, "new table", "a"),
        (1, "new table", "b"),
        (2, "new column", "a"),
        (2, "new table", "c"),
        (2, "table removed", "b"),
    ]
    assert set(changes["column"].dropna()) == {"y"}
