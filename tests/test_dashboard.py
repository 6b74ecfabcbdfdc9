"""The dashboard in a real browser: what it shows is what queries give, and nothing else happens."""

# ruff: noqa: F811, S608 - a fixture is imported by its name; the queries are ours

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import expect

from tracker_server.sample import generate_workspace
from tracker_server.workspace import Workspace

from .browser import PATIENCE, Dashboard, Visitor, browser, serve, visit  # noqa: F401
from .conftest import ROOT, Command, load_served
from .exports import Row, as_csv, table
from .forking import Forking

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


@pytest.fixture(scope="module")
def dashboard(forking: Forking, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """One for all tests: it shows what its command loaded last."""
    folder = tmp_path_factory.mktemp("dashboard")
    shutil.copytree(ROOT / ".dlt", folder / ".dlt")
    with serve(Command(folder, forking=forking)) as dashboard:
        yield dashboard


@pytest.fixture
def sample(dashboard: Dashboard) -> Dashboard:
    """With the workspace of `make demo`."""
    command = dashboard.command
    database = command.folder / "pivotal_tracker_sample.duckdb"
    if not database.exists():
        result = command("--sample")
        assert result.returncode == 0, result.stderr
        assert result.stdout.rstrip().splitlines()[-1].startswith("In the browser: make dashboard")
    elif dashboard.database != database:
        (command.folder / "dlt" / "pipelines" / "pivotal_tracker_sample" / "state.json").touch()
    dashboard.database = database
    return dashboard


@pytest.fixture
def started_over(dashboard: Dashboard) -> Dashboard:
    """Where nothing was loaded yet but, perhaps, the sample."""
    dashboard.database = dashboard.command.database
    dashboard.database.unlink(missing_ok=True)
    shutil.rmtree(dashboard.command.folder / "dlt/pipelines/pivotal_tracker", ignore_errors=True)
    return dashboard


def _assert_no_error(visitor: Visitor) -> None:
    visitor.settle()
    assert visitor.page.get_by_test_id("stException").count() == 0
    assert visitor.page.get_by_role("alert").filter(has_text="Error").count() == 0


def _table(downloaded: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(downloaded.decode())))


def _figures(visitor: Visitor) -> list[str]:
    """The first two of those at the top of Overview."""
    shown = visitor.page.get_by_test_id("stMetric").all_inner_texts()
    return [" ".join(each.split()) for each in shown[:2]]


def test_charts_and_tables_show_what_queries_give(sample: Dashboard, browser: Visitor) -> None:
    with visit(browser) as visitor:
        visitor.open(sample.url)
        _assert_no_error(visitor)
        _assert_overview_shows_what_was_accepted(visitor, sample)
        visitor.turn_to("Flow")
        _assert_no_error(visitor)
        _assert_flow_shows_the_states_of_the_last_day(visitor, sample)
        visitor.turn_to("Epics and releases")
        _assert_no_error(visitor)
        _assert_epics_and_releases_show_their_points(visitor, sample)


def _assert_overview_shows_what_was_accepted(visitor: Visitor, sample: Dashboard) -> None:
    accepted = "FROM stories WHERE current_state = 'accepted' AND story_type <> 'release'"
    stories = sample.number(f"SELECT count(*) {accepted}")
    points = sample.number(f"SELECT sum(estimate) {accepted}")
    assert _figures(visitor) == [f"Stories accepted {stories:,}", f"Points accepted {points:,}"]
    velocity = _table(visitor.download("CSV"))
    assert sum(float(row["points_accepted"]) for row in velocity) == points
    beside = visitor.page.get_by_role("region", name="Velocity: table").locator("tbody tr")
    shown_first = beside.first.locator("td").all_inner_texts()
    assert shown_first[:1] == [velocity[0]["start"]]
    assert float(shown_first[1]) == float(velocity[0]["points_accepted"])
    now = _table(visitor.download("CSV", 4))
    told = sample.query("SELECT current_velocity FROM projects ORDER BY name")
    assert [float(row["velocity"]) for row in now] == [float(str(row[0])) for row in told]
    visitor.page.get_by_test_id("stVegaLiteChart").first.hover()
    with visitor.page.expect_download() as download:
        visitor.page.get_by_role("button", name="Download as PNG: Velocity").click()
    assert Path(download.value.path()).read_bytes().startswith(b"\x89PNG")


def _assert_flow_shows_the_states_of_the_last_day(visitor: Visitor, sample: Dashboard) -> None:
    last = _table(visitor.download("CSV"))[0]
    burn_up = _table(visitor.download("CSV", 1))
    days = "FROM history_days WHERE date = (SELECT max(date) FROM history_days)"
    for state in ("accepted", "started", "unscheduled"):
        assert float(last[state]) == sample.number(f"SELECT sum(counts_{state}) {days}")
    accepted = sample.number(f"SELECT sum(points_accepted) {days}")
    assert max(float(row["accepted"]) for row in burn_up if row["accepted"]) == accepted
    expected = max(float(row["expected"]) for row in burn_up if row["expected"])
    assert expected == accepted + sample.number("SELECT sum(points) FROM forecast")


def _assert_epics_and_releases_show_their_points(visitor: Visitor, sample: Dashboard) -> None:
    epics, releases = (_table(visitor.download("CSV", number)) for number in (0, 1))
    assert len(releases) == sample.number("SELECT count(*) FROM releases")
    told = sample.query(
        "SELECT e.name, count(DISTINCT l.story_id) FROM epics e LEFT JOIN stories__labels l "
        "ON l.id = e.label__id GROUP BY e.id, e.name ORDER BY e.name, 2"
    )
    assert sorted((row["name"], int(row["stories"])) for row in epics) == sorted(told)


def test_one_project_and_some_days_stay_chosen_and_have_no_forecast(
    sample: Dashboard, browser: Visitor
) -> None:
    ((number, name),) = sample.query("SELECT id, name FROM projects ORDER BY name LIMIT 1")
    chosen = f"project={name} ({number})&from=2024-01-01&until=2024-12-31".replace(" ", "+")
    with visit(browser) as visitor:
        visitor.open(f"{sample.url}/?{chosen}")
        iterations = _table(visitor.download("CSV"))
        visitor.turn_to("Flow")
        sidebar = visitor.page.get_by_test_id("stSidebar")
        expect(sidebar.get_by_text(f"{name} ({number})")).to_be_visible()
        days, burn_up = (_table(visitor.download("CSV", number)) for number in (0, 1))
        expect(visitor.page.locator("a[href*='story?story=']").first).to_be_visible()
    assert {row["project_name"] for row in iterations} == {name}
    assert {row["date"][:4] for row in days} == {"2024"}
    assert burn_up
    assert not {"earliest", "expected", "latest"} & burn_up[0].keys()
    expected = sample.query(
        f"SELECT number FROM iterations WHERE project_id = {number} AND start < '2025-01-01' "
        "AND finish > '2024-01-02' ORDER BY number DESC"
    )
    assert [int(row["iteration_number"]) for row in iterations] == [row[0] for row in expected]


def _open_first_story_and_go_back(visitor: Visitor) -> None:
    """The list is what it was before."""
    first = visitor.page.locator("a[href*='story?story=']").first
    before = visitor.page.get_by_role("link").all_inner_texts()
    first.click()
    visitor.page.wait_for_url("**/story?story=*")
    visitor.page.get_by_role("link", name="All stories").wait_for()
    visitor.page.go_back()
    first.wait_for()
    visitor.settle()
    assert visitor.page.get_by_role("link").all_inner_texts() == before


def test_search_by_keyboard_alone_begins_with_its_first_page_and_opens_a_story(
    sample: Dashboard, browser: Visitor
) -> None:
    ((story_id, name, text),) = sample.query(
        "SELECT any_value(s.id), any_value(s.name), c.text FROM stories__comments c "
        "JOIN stories s ON s.id = c.story_id WHERE c.text NOT LIKE '%\n%' GROUP BY c.text "
        "HAVING count(*) = 1 ORDER BY length(c.text) DESC LIMIT 1"
    )
    words = re.findall(r"\w{4,}", str(text))
    with visit(browser) as visitor:
        visitor.open(f"{sample.url}/stories?page=2")
        expect(visitor.page).to_have_url(re.compile("page=2"))
        search = visitor.page.get_by_role("textbox", name="Search")
        search.focus()
        visitor.page.keyboard.type("customer")
        visitor.page.keyboard.press("Enter")
        visitor.page.wait_for_url("**search=customer**")
        visitor.settle()
        expect(visitor.page).not_to_have_url(re.compile("page=2"))
        search.clear()
        visitor.page.keyboard.type(" ".join(words).upper())
        visitor.page.keyboard.press("Enter")
        link = visitor.page.locator(f"a[href$='story={story_id}']")
        expect(visitor.page).to_have_url(re.compile(f"search={words[0].upper()}"))
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


def test_search_finds_words_in_other_forms(sample: Dashboard, browser: Visitor) -> None:
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
        visitor.search("repor")
        expect(which).to_contain_text("Plain search, letter by letter: no story has all of these")


def test_filters_stand_in_the_address_and_find_what_a_query_finds_also_back_from_a_story(
    sample: Dashboard, browser: Visitor
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
        address = visitor.page.url
        _open_first_story_and_go_back(visitor)
        expect(visitor.page).to_have_url(address)


def test_a_shared_link_opens_the_whole_story(sample: Dashboard, browser: Visitor) -> None:
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


def test_a_link_to_no_story_says_so_in_the_dark_too(sample: Dashboard, browser: Visitor) -> None:
    """Dark as the system is."""
    background = "() => getComputedStyle(document.querySelector('.stApp')).backgroundColor"
    shades = []
    with visit(browser) as visitor:
        for typed, dark in (("999999999999", False), ("-1; DROP TABLE stories", True)):
            visitor.dark(dark)
            visitor.open(f"{sample.url}/?story={typed}")
            expect(visitor.page.get_by_role("heading", name="No such story")).to_be_visible()
            levels = re.findall(r"\d+", visitor.page.evaluate(background))[:3]
            shades.append(sum(map(int, levels)))
    assert shades[1] < 150 < 600 < shades[0]


def test_inspect_counts_rows_asks_in_sql_and_tells_of_the_pipeline(
    sample: Dashboard, browser: Visitor
) -> None:
    with visit(browser) as visitor:
        visitor.open(f"{sample.url}/inspect")
        _assert_no_error(visitor)
        counts = {row["table_name"]: int(row["rows"]) for row in _table(visitor.download("CSV"))}
        for table in ("stories", "stories__comments", "_dlt_loads"):
            assert counts[table] == sample.number(f"SELECT count(*) FROM {table}")
        _turn_to_part(visitor, "SQL", ":text('Ctrl + Enter')")
        _ask(visitor, "SELECT id FROM stories ORDER BY id LIMIT 7")
        found = [int(row["id"]) for row in _table(visitor.download("CSV"))]
        assert found == [
            row[0] for row in sample.query("SELECT id FROM stories ORDER BY 1 LIMIT 7")
        ]
        _ask(visitor, "DROP TABLE stories")
        expect(visitor.page.get_by_role("alert")).to_contain_text("One SELECT, please")
        for part, landmark in {
            "Load report": ":text('There is none: it is written when')",
            "Schema": ":text('What each version of the schema brought')",
            "Runs": ":text('The last run on this machine')",
            "Pipeline": ":text-is('State')",
        }.items():
            _turn_to_part(visitor, part, landmark)


def _turn_to_part(visitor: Visitor, part: str, landmark: str) -> None:
    """To a part of Inspect, which has what the one before it has not."""
    visitor.page.get_by_role("radio", name=part, exact=True).click()
    expect(visitor.page.locator(landmark).first).to_be_visible()
    _assert_no_error(visitor)


def _ask(visitor: Visitor, statement: str) -> None:
    visitor.page.get_by_role("textbox", name="SQL").fill(statement)
    visitor.page.keyboard.press("Control+Enter")
    visitor.page.get_by_test_id("stFullScreenFrame").or_(
        visitor.page.get_by_role("alert")
    ).first.wait_for()
    visitor.settle()


# other things than the sample


def test_an_archive_shows_what_it_knows(started_over: Dashboard, browser: Visitor) -> None:
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
    command = started_over.command
    export = command.folder / "shop_20151201_1200.csv"
    export.write_text(as_csv(table([epic, *rows])), encoding="utf-8")
    result = command("--archive", str(export))
    assert result.returncode == 0, result.stderr
    points = started_over.number(
        "SELECT sum(estimate) FROM stories WHERE current_state = 'accepted'"
    )
    with visit(browser) as visitor:
        visitor.open(started_over.url)
        _assert_no_error(visitor)
        assert _figures(visitor) == ["Stories accepted 12", f"Points accepted {points}"]
        for title in ("Flow", "Epics and releases", "Stories"):
            visitor.turn_to(title)
            _assert_no_error(visitor)
        visitor.search("remark 7")
        expect(visitor.page.get_by_text("1 story", exact=True)).to_be_visible()
        expect(visitor.page.get_by_text("Story 7 of the export")).to_be_visible()
        visitor.turn_to("Inspect")
        _assert_no_error(visitor)
        visitor.page.get_by_role("radio", name="Load report", exact=True).click()
        expect(visitor.page.get_by_role("combobox")).to_have_count(0)
        _assert_no_error(visitor)
        report = _table(visitor.download("CSV"))
    assert {row["source"] for row in report} == {export.name}


def test_an_empty_workspace_is_said_to_be_empty(started_over: Dashboard, browser: Visitor) -> None:
    load_served(generate_workspace(projects=0), started_over.command)
    with visit(browser) as visitor:
        visitor.open(started_over.url)
        for title in ("Overview", "Flow", "Epics and releases", "Stories"):
            visitor.turn_to(title)
            expect(visitor.page.get_by_text("This workspace has no projects")).to_be_visible()
            _assert_no_error(visitor)
        visitor.turn_to("Inspect")
        _assert_no_error(visitor)
        _turn_to_part(visitor, "Runs", ":text('The last run on this machine')")


def _hostile_workspace() -> Workspace:
    """Texts that try to run, to fetch and to pretend, wherever there can be a text."""
    workspace = generate_workspace(projects=1, stories=15, activity=50, seed=3)
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


def test_a_hostile_story_appears_once_it_is_loaded_and_does_nothing(
    started_over: Dashboard, browser: Visitor
) -> None:
    command, workspace = started_over.command, _hostile_workspace()
    load_served(workspace, command, "--resource", "labels")
    with visit(browser) as visitor:
        visitor.open(started_over.url)
        _assert_pages_say_what_was_not_loaded(visitor)
        # tables appear while the dashboard is open, then views
        load_served(workspace, command, "--resource", "projects", "stories", "--no-views")
        visitor.turn_to("Overview")
        expect(visitor.page.get_by_text("it was loaded with --no-views")).to_be_visible()
        load_served(workspace, command, "--attachments", "files")
        for title in ("Overview", "Flow", "Epics and releases"):
            visitor.turn_to(title)
            expect(visitor.page.get_by_test_id("stVegaLiteChart").first).to_be_visible()
            _assert_nothing_ran(visitor)
        visitor.open(f"{started_over.url}/inspect?part=Tables&table=stories")
        _assert_nothing_ran(visitor)
        visitor.turn_to("Stories")
        visitor.search("alert")
        link = visitor.page.get_by_role("link", name=HOSTILE_NAME)
        expect(visitor.page.get_by_text("1 story", exact=True)).to_be_visible()
        _assert_nothing_ran(visitor)
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


def _assert_pages_say_what_was_not_loaded(visitor: Visitor) -> None:
    """Where there are labels alone."""
    for title in ("Overview", "Flow", "Epics and releases", "Stories"):
        visitor.turn_to(title)
        expect(visitor.page.get_by_text("it was loaded with --resource")).to_be_visible()
        _assert_no_error(visitor)
    visitor.turn_to("Inspect")
    counted = _table(visitor.download("CSV"))
    assert {"labels"} == {r["table_name"] for r in counted if r["table_name"][0] != "_"}


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
def test_screenshots(sample: Dashboard, browser: Visitor) -> None:
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
