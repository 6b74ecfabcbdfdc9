"""The dashboard in a real browser: what it shows is what queries give, and nothing else happens."""

# ruff: noqa: F811, S608 - a fixture is imported by its name; the queries are ours

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import BrowserContext, expect

from tracker_server.made_up import made_up_workspace
from tracker_server.workspace import Workspace

from .browser import PATIENCE, Dashboard, Visitor, browser, serve, visit  # noqa: F401
from .conftest import ROOT, Command, load_served
from .exports import Row, as_csv, table
from .forking import Forking

PAGES = ("Overview", "Flow", "Epics and releases", "Stories", "Inspect")
PARTS = {
    "SQL": ":text('Ctrl + Enter')",
    "Load report": ":text('There is none: it is written when'), [data-testid=stDataFrame]",
    "Schema": ":text('What each version of the schema brought')",
    "Runs": ":text('The last run on this machine')",
    "Pipeline": ":text-is('State')",
}
"""Those of Inspect beside its first, each with what the one before it does not show."""

SCRIPT = "<script>alert('script')</script>"
PICTURE = "<img src=x onerror=\"alert('picture')\">"
HOSTILE_NAME = f"{SCRIPT}{PICTURE} [a](javascript:alert(1)) ![b](http://spy.example/b.png) :smile:"
HOSTILE_TEXT = f"""{SCRIPT}
{PICTURE}
<a href="javascript:alert('link')">html link</a> <iframe src="http://spy.example/frame"></iframe>

[markdown link](javascript:alert('markdown')) [data](data:text/html,<script>alert(2)</script>)

![remote](http://spy.example/pixel.png) <svg onload="alert('svg')"></svg> $\\frac{{1}}{{2}}$ :smile:

**bold** `code` https://example.org/seen
"""


def _sample(command: Command) -> Path:
    """The workspace of `make demo`."""
    result = command("--sample")
    assert result.returncode == 0, result.stderr
    assert result.stdout.rstrip().splitlines()[-1].startswith("In the browser: make dashboard")
    return command.folder / "pivotal_tracker_sample.duckdb"


def _empty(command: Command) -> Path:
    """A workspace in which there is no project."""
    return _load(command, made_up_workspace(projects=0))


def _load(command: Command, workspace: Workspace, *options: str) -> Path:
    load_served(workspace, command, *options)
    return command.database


def _archive(command: Command) -> Path:
    """Tracker's own export of a project, as its CSV."""
    rows = [
        Row(
            id=200 + number,
            title=f"Story {number} of the export",
            labels="search, shop",
            iteration=str(1 + number // 4),
            start=f"Nov {1 + 7 * (number // 4)}, 2015",
            end=f"Nov {7 + 7 * (number // 4)}, 2015",
            estimate=str(number % 4),
            state="accepted" if number < 12 else "unstarted",
            accepted=f"Nov {2 + 7 * (number // 4)}, 2015" if number < 12 else "",
            owners=["Ada Lovelace"],
            comments=[f"Remark {number} (Ada Lovelace - Nov 3, 2015)"],
            tasks=[("Think", "completed")],
        )
        for number in range(16)
    ]
    epic = Row(id=7, title="The shop", type="epic", labels="shop", state="")
    export = command.folder / "shop_20151201_1200.csv"
    export.write_text(as_csv(table([epic, *rows])), encoding="utf-8")
    result = command("--archive", str(export))
    assert result.returncode == 0, result.stderr
    return command.database


DATA: dict[str, Callable[[Command], Path]] = {
    "sample": _sample,
    "empty": _empty,
    "archive": _archive,
}
"""What the pages are opened on: loads it with the command and gives the database."""


@pytest.fixture(scope="module")
def new_command(
    forking: Forking, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], Command]:
    """Makes commands, each with a folder of its own."""

    def make() -> Command:
        folder = tmp_path_factory.mktemp("dashboard")
        shutil.copytree(ROOT / ".dlt", folder / ".dlt")
        return Command(folder, forking=forking)

    return make


@pytest.fixture(scope="module")
def dashboards(new_command: Callable[[], Command]) -> Iterator[Callable[[str], Dashboard]]:
    """Serves each set of data once."""
    with ExitStack() as stack:
        served: dict[str, Dashboard] = {}

        def of(name: str) -> Dashboard:
            if name not in served:
                command = new_command()
                served[name] = stack.enter_context(serve(command, DATA[name](command)))
            return served[name]

        yield of


@pytest.fixture(scope="module")
def sample(dashboards: Callable[[str], Dashboard]) -> Dashboard:
    return dashboards("sample")


@pytest.mark.parametrize("data", DATA)
def test_each_page_opens_without_an_error(
    data: str, dashboards: Callable[[str], Dashboard], browser: BrowserContext
) -> None:
    with visit(browser) as visitor:
        visitor.open(dashboards(data).url)
        for title in PAGES:
            visitor.page.get_by_role("link", name=title, exact=True).click()
            expect(visitor.page.locator("h1").first).to_have_text(title)
            _assert_no_error(visitor)
            if data == "empty" and title != "Inspect":
                expect(visitor.page.get_by_text("This workspace has no projects")).to_be_visible()
        for part, landmark in PARTS.items():
            visitor.page.get_by_role("radio", name=part, exact=True).click()
            expect(visitor.page.locator(landmark).first).to_be_visible()
            _assert_no_error(visitor)


def test_pages_say_what_was_not_loaded(
    new_command: Callable[[], Command], browser: BrowserContext
) -> None:
    command = new_command()
    workspace = made_up_workspace(projects=1, stories=5, activity=5, seed=3)
    database = _load(command, workspace, "--resource", "labels")
    with serve(command, database) as dashboard, visit(browser) as visitor:
        visitor.open(dashboard.url)
        for title in PAGES[:-1]:
            visitor.page.get_by_role("link", name=title, exact=True).click()
            expect(visitor.page.locator("h1").first).to_have_text(title)
            said = visitor.page.get_by_text("it was loaded with --resource")
            expect(said).to_be_visible()
            _assert_no_error(visitor)
        visitor.page.get_by_role("link", name="Inspect", exact=True).click()
        counted = _table(visitor.download("CSV"))
        assert {"labels"} == {r["table_name"] for r in counted if r["table_name"][0] != "_"}


def _assert_no_error(visitor: Visitor) -> None:
    visitor.settle()
    assert visitor.page.get_by_test_id("stException").count() == 0
    assert visitor.page.get_by_role("alert").filter(has_text="Error").count() == 0


def _table(downloaded: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(downloaded.decode())))


def test_overview_shows_what_was_accepted(sample: Dashboard, browser: BrowserContext) -> None:
    accepted = "FROM stories WHERE current_state = 'accepted' AND story_type <> 'release'"
    with visit(browser) as visitor:
        visitor.open(sample.url)
        shown = visitor.page.get_by_test_id("stMetric").all_inner_texts()
        figures = [" ".join(each.split()) for each in shown]
        stories = sample.number(f"SELECT count(*) {accepted}")
        points = sample.number(f"SELECT sum(estimate) {accepted}")
        assert figures[:2] == [f"Stories accepted {stories:,}", f"Points accepted {points:,}"]
        velocity = _table(visitor.download("CSV"))
        assert sum(float(row["points_accepted"]) for row in velocity) == points
        beside = visitor.page.get_by_role("region", name="Velocity: table").locator("tbody tr")
        shown_first = beside.first.locator("td").all_inner_texts()
        now = _table(visitor.download("CSV", 4))
    assert shown_first[:1] == [velocity[0]["start"]]
    assert float(shown_first[1]) == float(velocity[0]["points_accepted"])
    told = sample.query("SELECT current_velocity FROM projects ORDER BY name")
    assert [float(row["velocity"]) for row in now] == [float(str(row[0])) for row in told]


def test_an_archive_shows_what_it_knows(
    dashboards: Callable[[str], Dashboard], browser: BrowserContext
) -> None:
    dashboard = dashboards("archive")
    with visit(browser) as visitor:
        visitor.open(dashboard.url)
        shown = visitor.page.get_by_test_id("stMetric").all_inner_texts()
        points = dashboard.number(
            "SELECT sum(estimate) FROM stories WHERE current_state = 'accepted'"
        )
        figures = [" ".join(each.split()) for each in shown]
        assert figures[:2] == ["Stories accepted 12", f"Points accepted {points}"]
        visitor.open(f"{dashboard.url}/stories?search=remark+7")
        expect(visitor.page.get_by_text("Story 7 of the export")).to_be_visible()
        expect(visitor.page.get_by_text("1 story", exact=True)).to_be_visible()


def test_overview_of_one_project_and_some_days(sample: Dashboard, browser: BrowserContext) -> None:
    ((number, name),) = sample.query("SELECT id, name FROM projects ORDER BY name LIMIT 1")
    chosen = f"project={name} ({number})&from=2024-01-01&until=2024-12-31".replace(" ", "+")
    with visit(browser) as visitor:
        visitor.open(f"{sample.url}/?{chosen}")
        iterations = _table(visitor.download("CSV"))
        visitor.page.get_by_role("link", name="Flow", exact=True).click()
        expect(visitor.page.locator("h1").first).to_have_text("Flow")
        visitor.settle()
        sidebar = visitor.page.get_by_test_id("stSidebar")
        expect(sidebar.get_by_text(f"{name} ({number})")).to_be_visible()
        days = _table(visitor.download("CSV"))
    assert {row["project_name"] for row in iterations} == {name}
    assert {row["date"][:4] for row in days} == {"2024"}
    expected = sample.query(
        f"SELECT number FROM iterations WHERE project_id = {number} AND start < '2025-01-01' "
        "AND finish > '2024-01-02' ORDER BY number DESC"
    )
    assert [int(row["iteration_number"]) for row in iterations] == [row[0] for row in expected]


def test_flow_shows_the_states_of_the_last_day(sample: Dashboard, browser: BrowserContext) -> None:
    with visit(browser) as visitor:
        visitor.open(f"{sample.url}/flow")
        last = _table(visitor.download("CSV"))[0]
        burn_up = _table(visitor.download("CSV", 1))
    days = "FROM history_days WHERE date = (SELECT max(date) FROM history_days)"
    for state in ("accepted", "started", "unscheduled"):
        assert float(last[state]) == sample.number(f"SELECT sum(counts_{state}) {days}")
    accepted = sample.number(f"SELECT sum(points_accepted) {days}")
    assert max(float(row["accepted"]) for row in burn_up if row["accepted"]) == accepted
    expected = max(float(row["expected"]) for row in burn_up if row["expected"])
    assert expected == accepted + sample.number("SELECT sum(points) FROM forecast")


def test_epics_and_releases_show_their_points(sample: Dashboard, browser: BrowserContext) -> None:
    with visit(browser) as visitor:
        visitor.open(f"{sample.url}/progress")
        epics, releases = (_table(visitor.download("CSV", number)) for number in (0, 1))
    assert len(releases) == sample.number("SELECT count(*) FROM releases")
    told = sample.query(
        "SELECT e.name, count(DISTINCT l.story_id) FROM epics e LEFT JOIN stories__labels l "
        "ON l.id = e.label__id GROUP BY e.id, e.name ORDER BY e.name, 2"
    )
    assert sorted((row["name"], int(row["stories"])) for row in epics) == sorted(told)


def test_a_chart_downloads_as_a_picture(sample: Dashboard, browser: BrowserContext) -> None:
    with visit(browser) as visitor:
        visitor.open(sample.url)
        visitor.page.get_by_test_id("stVegaLiteChart").first.hover()
        with visitor.page.expect_download() as download:
            visitor.page.get_by_role("button", name="Download as PNG: Velocity").click()
        assert Path(download.value.path()).read_bytes().startswith(b"\x89PNG")


def test_search_finds_a_comment_by_keyboard_alone(
    sample: Dashboard, browser: BrowserContext
) -> None:
    ((story_id, name, text),) = sample.query(
        "SELECT any_value(s.id), any_value(s.name), c.text FROM stories__comments c "
        "JOIN stories s ON s.id = c.story_id WHERE c.text NOT LIKE '%\n%' GROUP BY c.text "
        "HAVING count(*) = 1 ORDER BY length(c.text) DESC LIMIT 1"
    )
    words = re.findall(r"\w{4,}", str(text))
    with visit(browser) as visitor:
        visitor.open(f"{sample.url}/stories")
        visitor.page.get_by_role("textbox", name="Search").focus()
        visitor.page.keyboard.type(" ".join(words).upper())
        visitor.page.keyboard.press("Enter")
        link = visitor.page.locator(f"a[href$='story={story_id}']")
        every = sample.number("SELECT count(*) FROM stories")
        expect(visitor.page.get_by_text(f"{every:,} stories", exact=True)).to_have_count(0)
        visitor.settle()
        for _ in range(40):
            visitor.page.keyboard.press("Tab")
            if link.evaluate("node => node === document.activeElement"):
                break
        visitor.page.keyboard.press("Enter")
        visitor.page.wait_for_url(f"**/story?story={story_id}")
        expect(visitor.page.get_by_role("heading", name=str(name))).to_be_visible()
        expect(visitor.page.get_by_text(str(text)).first).to_be_visible()


def open_once_indexed(visitor: Visitor, address: str) -> None:
    """Opens a search, anew until its words are looked for in the index, which takes a moment."""
    until = time.monotonic() + PATIENCE / 1000
    visitor.open(address)
    while "Full-text search" not in (said := visitor.text()) and time.monotonic() < until:
        assert "Plain search" not in said or "index is being made" in said
        visitor.open(address)


def test_search_finds_words_in_other_forms(sample: Dashboard, browser: BrowserContext) -> None:
    every = (
        "SELECT s.id, lower(concat_ws(' ', any_value(s.name), any_value(s.description), "
        "string_agg(c.text, ' '), string_agg(t.description, ' '))) AS texts FROM stories s "
        "LEFT JOIN stories__comments c ON c.story_id = s.id "
        "LEFT JOIN stories__tasks t ON t.story_id = s.id GROUP BY s.id"
    )
    has = " AND ".join(f"regexp_matches(texts, '\\b{each}\\b')" for each in ("reports?", "tyres?"))
    number = sample.number(f"SELECT count(*) FROM ({every}) WHERE {has}")
    assert number > 1
    with visit(browser) as visitor:
        open_once_indexed(visitor, f"{sample.url}/stories?search=reporting+tyres")
        which = visitor.page.get_by_text(re.compile(r"^(Full-text|Plain) search"))
        expect(which).to_contain_text("Full-text search")
        expect(visitor.page.get_by_text(f"{number} stories", exact=True)).to_be_visible()
        visitor.open(f"{sample.url}/stories?search=repor")
        expect(which).to_contain_text("Plain search, letter by letter: no story has all of these")


def test_filters_stand_in_the_address_and_find_what_a_query_finds(
    sample: Dashboard,
    browser: BrowserContext,
) -> None:
    ((owner, person_id, label),) = sample.query(
        "SELECT p.name, p.id, l.name FROM stories__owner_ids o JOIN people p ON p.id = o.value "
        "JOIN stories__labels l USING (story_id) GROUP BY ALL ORDER BY count(*) DESC, 1, 3 LIMIT 1"
    )
    found = sample.number(
        "SELECT count(DISTINCT s.id) FROM stories s JOIN stories__owner_ids o ON o.story_id = s.id "
        f"JOIN stories__labels l ON l.story_id = s.id WHERE o.value = {person_id} "
        f"AND l.name = '{label}' AND s.story_type IN ('feature', 'bug') "
        "AND s.current_state = 'accepted' AND s.accepted_at >= '2024-01-01'"
    )
    asked = f"owner={owner}&label={label}&type=feature&type=bug&state=accepted&date=accepted"
    with visit(browser) as visitor:
        visitor.open(f"{sample.url}/stories?{asked}&from=2024-01-01".replace(" ", "+"))
        told = visitor.page.get_by_text(re.compile(r"^[\d,]+ stor(y|ies)$"))
        expect(told).to_have_text(f"{found} {'story' if found == 1 else 'stories'}")


def test_a_shared_link_opens_the_whole_story(sample: Dashboard, browser: BrowserContext) -> None:
    ((story_id, name),) = sample.query(
        "SELECT s.id, s.name FROM stories s JOIN stories__tasks t ON t.story_id = s.id "
        "JOIN stories__comments c ON c.story_id = s.id JOIN stories__reviews r "
        "ON r.story_id = s.id GROUP BY ALL ORDER BY count(*) DESC, s.id LIMIT 1"
    )
    with visit(browser) as visitor:
        visitor.open(f"{sample.url}/?story={story_id}")
        expect(visitor.page.get_by_role("heading", name=str(name))).to_be_visible()
        shown = visitor.text()
    texts = sample.query(
        f"SELECT description FROM stories__tasks WHERE story_id = {story_id} UNION ALL "
        f"SELECT review_type__name FROM stories__reviews WHERE story_id = {story_id}"
    )
    assert all(str(text) in shown for (text,) in texts)
    comments = sample.query(
        f"SELECT id FROM stories__comments WHERE story_id = {story_id} ORDER BY created_at"
    )
    assert f"Comments ({len(comments)})" in shown
    history = sample.number(f"SELECT count(*) FROM stories__transitions WHERE story_id={story_id}")
    assert int(re.findall(r"History \((\d+)\)", shown)[0]) >= history


def test_back_from_a_story_leads_to_what_was_searched_for(
    sample: Dashboard, browser: BrowserContext
) -> None:
    with visit(browser) as visitor:
        for path in ("stories?type=bug&state=accepted", "flow?from=2024-01-01"):
            visitor.open(f"{sample.url}/{path}")
            before = visitor.page.get_by_role("link").all_inner_texts()
            visitor.page.locator("a[href*='story?story=']").first.click()
            visitor.page.wait_for_url("**/story?story=*")
            visitor.page.get_by_role("link", name="All stories").wait_for()
            visitor.page.go_back()
            visitor.page.wait_for_url(f"**/{path}")
            visitor.page.locator("a[href*='story?story=']").first.wait_for()
            visitor.settle()
            assert visitor.page.get_by_role("link").all_inner_texts() == before


def test_another_search_begins_with_its_first_page(
    sample: Dashboard, browser: BrowserContext
) -> None:
    with visit(browser) as visitor:
        visitor.open(f"{sample.url}/stories?page=2")
        expect(visitor.page).to_have_url(re.compile("page=2"))
        visitor.page.get_by_role("textbox", name="Search").fill("customer")
        visitor.page.keyboard.press("Enter")
        visitor.page.wait_for_url("**search=customer**")
        visitor.settle()
        expect(visitor.page).not_to_have_url(re.compile("page=2"))


def test_a_span_that_has_ended_has_no_forecast(sample: Dashboard, browser: BrowserContext) -> None:
    with visit(browser) as visitor:
        visitor.open(f"{sample.url}/flow?from=2023-01-01&until=2024-04-20")
        burn_up = _table(visitor.download("CSV", 1))
    assert burn_up
    assert not {"earliest", "expected", "latest"} & burn_up[0].keys()


@pytest.mark.parametrize("typed", ["999999999999", "-1; DROP TABLE stories", "9" * 40])
def test_a_link_to_no_story_says_so(typed: str, sample: Dashboard, browser: BrowserContext) -> None:
    with visit(browser) as visitor:
        visitor.open(f"{sample.url}/?story={typed}")
        expect(visitor.page.get_by_role("heading", name="No such story")).to_be_visible()


def test_inspect_counts_rows_and_asks_in_sql(sample: Dashboard, browser: BrowserContext) -> None:
    with visit(browser) as visitor:
        visitor.open(f"{sample.url}/inspect")
        counts = {row["table_name"]: int(row["rows"]) for row in _table(visitor.download("CSV"))}
        for table in ("stories", "stories__comments", "_dlt_loads"):
            assert counts[table] == sample.number(f"SELECT count(*) FROM {table}")
        visitor.open(f"{sample.url}/inspect?part=SQL")
        _ask(visitor, "SELECT id FROM stories ORDER BY id LIMIT 7")
        found = [int(row["id"]) for row in _table(visitor.download("CSV"))]
        assert found == [
            row[0] for row in sample.query("SELECT id FROM stories ORDER BY 1 LIMIT 7")
        ]
        _ask(visitor, "DROP TABLE stories")
        expect(visitor.page.get_by_role("alert")).to_contain_text("One SELECT, please")


def _ask(visitor: Visitor, statement: str) -> None:
    visitor.page.get_by_role("textbox", name="SQL").fill(statement)
    visitor.page.keyboard.press("Control+Enter")
    visitor.page.get_by_test_id("stFullScreenFrame").or_(
        visitor.page.get_by_role("alert")
    ).first.wait_for()
    visitor.settle()


def test_dark_where_the_system_is_dark(sample: Dashboard, browser: BrowserContext) -> None:
    background = "() => getComputedStyle(document.querySelector('.stApp')).backgroundColor"
    shades = []
    for dark in (False, True):
        with visit(browser, dark=dark) as visitor:
            visitor.open(f"{sample.url}/flow")
            levels = re.findall(r"\d+", visitor.page.evaluate(background))[:3]
            shades.append(sum(map(int, levels)))
    assert shades[1] < 150 < 600 < shades[0]


# what came from outside


def _hostile_workspace() -> Workspace:
    """Texts that try to run, to fetch and to pretend, wherever there can be a text."""
    workspace = made_up_workspace(projects=1, stories=15, activity=50, seed=3)
    project = next(iter(workspace.projects))
    workspace.edit_project(project, name=HOSTILE_NAME)
    label = workspace.create_label(project, HOSTILE_NAME)
    workspace.create_epic(project, HOSTILE_NAME, label_id=label["id"])
    story = workspace.create_story(
        project,
        name=HOSTILE_NAME,
        description=HOSTILE_TEXT,
        label_ids=[label["id"]],
        current_state="started",
        estimate=2,
        owner_ids=[workspace.me["id"]],
        url="javascript:alert('url')",
    )["id"]
    workspace.add_comment(
        HOSTILE_TEXT,
        story_id=story,
        file_attachments=[
            {"filename": f"{PICTURE}.svg", "content": b"<svg onload='alert(3)'/>"},
            {"filename": "dot.png", "content": _dot(), "content_type": "image/png"},
        ],
        google_attachments=[{"title": SCRIPT, "alternate_link": "javascript:alert('google')"}],
    )
    workspace.add_task(story, HOSTILE_NAME)
    workspace.add_blocker(story, HOSTILE_TEXT)
    workspace.add_branch(story, owner=PICTURE, repo=SCRIPT, name=HOSTILE_NAME)
    return workspace


def _dot() -> bytes:
    picture = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(picture, "PNG")
    return picture.getvalue()


def test_a_hostile_story_does_nothing_and_is_shown_as_it_is(
    new_command: Callable[[], Command],
    browser: BrowserContext,
) -> None:
    command, workspace = new_command(), _hostile_workspace()
    database = _load(command, workspace, "--no-views", "--attachments", "files")
    with serve(command, database) as dashboard:
        with visit(browser) as visitor:
            visitor.open(dashboard.url)
            expect(visitor.page.get_by_text("loaded with --no-views")).to_be_visible()
        # views appear beside the tables while the dashboard is open
        _load(command, workspace)
        with visit(browser) as visitor:
            for path in ("", "flow", "progress", "inspect?part=Tables&table=stories"):
                visitor.open(f"{dashboard.url}/{path}")
                _assert_nothing_ran(visitor)
            visitor.open(f"{dashboard.url}/stories?search=alert")
            link = visitor.page.get_by_role("link", name=HOSTILE_NAME)
            expect(link.first).to_be_visible()
            link.first.click()
            expect(visitor.page.get_by_role("heading", name=HOSTILE_NAME)).to_be_visible()
            visitor.settle()
            _assert_nothing_ran(visitor)
            shown = visitor.text()
            assert shown.count(SCRIPT) >= 5
            assert "$\\frac{1}{2}$ :smile:" in shown
            expect(visitor.page.locator("strong", has_text="bold").first).to_be_visible()
            seen = visitor.page.get_by_role("link", name="https://example.org/seen").first
            assert "noreferrer" in str(seen.get_attribute("rel"))
            _assert_files_are_offered(visitor)


def _assert_nothing_ran(visitor: Visitor) -> None:
    """Neither elements of the texts' making, nor addresses in them that a browser would run."""
    main = visitor.page.locator("[data-testid=stApp]")
    assert main.locator("script, iframe, svg[onload], [onerror], [onload]").count() == 0
    for attribute in ("href", "src"):
        given = f"nodes => nodes.map(node => node.getAttribute('{attribute}'))"
        for address in main.locator(f"[{attribute}]").evaluate_all(given):
            assert not address.lower().startswith(("javascript:", "data:text", "vbscript:"))
            assert attribute == "href" or "spy.example" not in address


def _assert_files_are_offered(visitor: Visitor) -> None:
    """A picture in sight; what could run only as a file."""
    assert visitor.page.get_by_test_id("stImage").count() == 1
    assert visitor.download("dot.png") == _dot()
    assert visitor.download(".svg") == b"<svg onload='alert(3)'/>"


# what the README shows


@pytest.mark.skipif("SCREENSHOTS" not in os.environ, reason="only on request: make screenshots")
def test_screenshots(sample: Dashboard, browser: BrowserContext) -> None:
    folder = ROOT / os.environ["SCREENSHOTS"]
    folder.mkdir(parents=True, exist_ok=True)
    with visit(browser) as visitor:
        for name, path, opened in (
            ("overview", "", Visitor.open),
            ("stories", "stories?search=flat+tyre", open_once_indexed),
        ):
            opened(visitor, f"{sample.url}/{path}")
            visitor.page.wait_for_timeout(1500)  # charts are drawn after the page
            with Image.open(io.BytesIO(visitor.page.screenshot())) as taken:
                taken.convert("RGB").quantize(128).save(folder / f"dashboard-{name}.png")
