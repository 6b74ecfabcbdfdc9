"""The dashboard in a browser does what its users need, on three data sets, as queries confirm."""

# ruff: noqa: F811, S608 - a fixture is imported by its name; the queries are ours

from __future__ import annotations

import io
import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

import openpyxl
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import expect

from tracker_server.sample import generate_workspace
from tracker_server.workspace import Workspace

from ..support.browser import TIMEOUT, BrowserSession, Dashboard, browser, locked, serve, visit  # noqa: F401
from ..support.command import ROOT, Command, load_served
from ..support.exports import Row, as_csv, table
from ..support.forking import ForkServer
from .colours import contrast
from .page_checks import PageChecks

PAGES = ("Project", "Iteration", "Board", "Stories", "Flow", "Epics and releases", "People")

WIDTHS = (390, 768, 1024, 1440)
"""Of a phone, a tablet, a small and a usual window, in pixels."""

SCRIPT = "<script>alert('script')</script>"
IMAGE = "<img src=x onerror=\"alert('picture')\">"
HOSTILE_NAME = (
    f"{SCRIPT}{IMAGE} [a](javascript:alert(1)) ![b](http://spy.example/b.png) :smile: tea_shop"
)
HOSTILE_TEXT = f"""{SCRIPT}
{IMAGE}
<a href="javascript:alert('link')">html link</a> <iframe src="http://spy.example/frame"></iframe>

[markdown link](javascript:alert('markdown')) [data](data:text/html,<script>alert(2)</script>)

![remote](http://spy.example/pixel.png) <svg onload="alert('svg')"></svg> $\\frac{{1}}{{2}}$ :smile:

**bold** `code` https://example.org/seen
"""


@pytest.fixture(scope="module")
def dashboard(
    fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Dashboard]:
    """One dashboard for all tests: it shows what its command loaded last."""
    folder = tmp_path_factory.mktemp("dashboard")
    shutil.copytree(ROOT / ".dlt", folder / ".dlt")
    with serve(Command(folder, fork_server=fork_server)) as dashboard:
        yield dashboard


@pytest.fixture
def sample(dashboard: Dashboard) -> Dashboard:
    """Show the workspace of `make demo`."""
    command = dashboard.command
    database = command.folder / "pivotal_tracker_sample.duckdb"
    if not database.exists():
        result = command("--sample")
        assert result.returncode == 0, result.stderr
        assert result.stdout.rstrip().splitlines()[-1].startswith("In the browser: ")
    elif dashboard.database != database:
        (command.folder / "dlt" / "pipelines" / "pivotal_tracker_sample" / "state.json").touch()
    dashboard.database = database
    return dashboard


@pytest.fixture
def empty(dashboard: Dashboard) -> Dashboard:
    """Show a pipeline that has not loaded anything yet."""
    dashboard.database = dashboard.command.database
    dashboard.database.unlink(missing_ok=True)
    shutil.rmtree(dashboard.command.folder / "dlt/pipelines/pivotal_tracker", ignore_errors=True)
    return dashboard


def _assert_no_error(session: BrowserSession) -> None:
    session.wait_idle()
    assert session.page.get_by_test_id("stException").count() == 0
    assert session.page.get_by_role("alert").filter(has_text="Error").count() == 0


def _latest_project(dashboard: Dashboard) -> tuple[int, str]:
    ((number, name),) = dashboard.query(
        "SELECT p.id, p.name FROM projects p JOIN stories s ON s.project_id = p.id "
        "GROUP BY ALL ORDER BY max(s.updated_at) DESC, p.id LIMIT 1"
    )
    return int(str(number)), str(name)


# a load that is writing


def test_locked_database_is_explained_and_shown_as_it_was_once_it_was_read(
    sample: Dashboard, browser: BrowserSession
) -> None:
    """The first test, as nothing of the sample may have been shown before."""
    heading = browser.page.get_by_role("heading", level=1)
    with visit(browser) as session:
        with locked(sample.database):
            session.open(sample.url)
            expect(session.page.get_by_role("alert")).to_contain_text(
                "A load is writing to the database. Try again when it has finished."
            )
        session.page.get_by_role("button", name="Try again").click()
        expect(heading).to_have_text(_latest_project(sample)[1])
        _assert_no_error(session)
        with locked(sample.database):
            (sample.command.folder / "dlt/pipelines/pivotal_tracker_sample/state.json").touch()
            for title in PAGES:
                session.go_to(title)
                _assert_no_error(session)
                expect(session.page.get_by_role("alert")).to_have_count(0)


# all pages


def test_pages_show_what_queries_of_the_tables_give(
    sample: Dashboard, browser: BrowserSession
) -> None:
    with visit(browser) as session:
        checks = PageChecks(session, sample, _latest_project(sample)[0])
        checks.project_page()
        checks.flow_page()
        checks.progress_page()
        checks.people_page()
        checks.story_page()
        checks.inspect_page()


# Project


def test_period_of_any_dates_is_compared_with_as_many_days_before(
    sample: Dashboard, browser: BrowserSession
) -> None:
    project, _ = _latest_project(sample)

    def accepted(first: str, last: str) -> int:
        return sample.number(
            "SELECT count(*) FROM stories s JOIN projects p ON p.id = s.project_id "
            f"WHERE p.id = {project} AND s.story_type <> 'release' "
            "AND CAST(s.accepted_at AT TIME ZONE p.time_zone__olson_name AS DATE) "
            f"BETWEEN DATE '{first}' AND DATE '{last}'"
        )

    with visit(browser) as session:
        session.open(sample.url)
        session.page.get_by_role("radio", name="Dates", exact=True).click()
        for label, day in (("From", "2024-04-01"), ("Until", "2024-06-30")):
            field = session.page.get_by_test_id("stDateInput").filter(has_text=label)
            field.get_by_role("spinbutton").first.click()
            session.page.keyboard.type(day.replace("-", ""))
            session.page.get_by_role("heading", level=1).click()
            session.page.wait_for_url(f"**{label.lower()}={day}*")
            session.wait_idle()
        now, before = accepted("2024-04-01", "2024-06-30"), accepted("2024-01-01", "2024-03-31")
        figure = session.figure("Stories accepted")
        expect(figure).to_contain_text(f"{now:,}")
        expect(figure).to_contain_text(f"{now - before:+,} vs. before")
        session.open(f"{sample.url}/flow?period=dates&from=2024-06-30&until=2024-04-01")
        session.open_data_of("Cumulative flow")
        days = [row["date"] for row in session.table("CSV")]
        assert (days[0], days[-1]) == ("2024-06-30", "2024-04-01")


def test_click_on_a_bar_shows_its_stories_and_downloads_show_its_data(
    sample: Dashboard, browser: BrowserSession
) -> None:
    project, _ = _latest_project(sample)
    with visit(browser) as session:
        session.open(f"{sample.url}/?period=all")
        session.open_data_of("Velocity")
        rows = session.table("CSV")
        points = sample.query(
            "SELECT number, accepted_points FROM iterations i JOIN projects p ON p.id = project_id "
            f"WHERE project_id = {project} AND number <= p.current_iteration_number ORDER BY 1 DESC"
        )
        assert [(int(r["iteration_number"]), float(r["points_accepted"])) for r in rows] == [
            (number, float(str(value))) for number, value in points
        ]
        assert rows[0]["status"] == "in progress"
        assert session.download("PNG").startswith(b"\x89PNG")
        assert b"</svg>" in session.download("SVG")
        chart = session.page.get_by_test_id("stVegaLiteChart").first
        bar = chart.locator(".mark-rect path").last
        bar.click(force=True)
        link = session.page.get_by_role("link", name=re.compile(r"Open \d+ stor"))
        link.wait_for()
        shown = session.story_ids()
        link.click()
        session.page.wait_for_url("**/stories?**")
        session.page.get_by_role("heading", name="Stories", exact=True).wait_for()
        session.wait_idle()
        searched = session.search_field.input_value()
        found = session.story_ids()
        session.page.go_back()
        expect(session.page).to_have_url(f"{sample.url}/?period=all")
        session.wait_idle()
    match = re.match(r"iteration:(\d+) state:accepted -type:release", searched)
    assert match
    expected = sample.query(
        "SELECT s.id FROM stories s JOIN iterations__story_ids i ON i.value = s.id "
        f"WHERE i.project_id = {project} AND i.iteration_number = {match[1]} "
        "AND s.current_state = 'accepted' AND s.story_type <> 'release'"
    )
    assert set(shown) <= set(found)
    assert set(found) == {row[0] for row in expected}


# Iteration


def test_iteration_shows_its_points_people_and_stories_and_steps_to_the_next(
    sample: Dashboard, browser: BrowserSession
) -> None:
    project, _ = _latest_project(sample)
    ((number, points),) = sample.query(
        "SELECT number, accepted_points FROM iterations JOIN projects p ON p.id = project_id "
        f"WHERE project_id = {project} AND number < p.current_iteration_number "
        "ORDER BY accepted_points DESC, number LIMIT 1"
    )
    held = sample.query(
        f"SELECT value FROM iterations__story_ids WHERE project_id = {project} "
        f"AND iteration_number = {number} ORDER BY _dlt_list_idx"
    )
    with visit(browser) as session:
        session.open(f"{sample.url}/iteration?number={number}")
        _assert_no_error(session)
        assert session.metric("Points accepted") == f"{float(str(points)):g}"
        session.open_data_of("Burn-up")
        days = session.table("CSV")
        assert float(days[-1]["accepted"]) == float(str(points))
        assert [float(day["accepted"]) for day in days] == sorted(
            float(day["accepted"]) for day in days
        )
        assert session.story_ids()[-len(held) :] == [row[0] for row in held]
        session.page.get_by_role("link", name=f"Iteration {int(str(number)) + 1}").click()
        expect(session.page.get_by_role("heading", level=1)).to_have_text(
            f"Iteration {int(str(number)) + 1}"
        )


# Board


def test_board_shows_the_panels_of_tracker_and_filters_them(
    sample: Dashboard, browser: BrowserSession
) -> None:
    project, _ = _latest_project(sample)
    with visit(browser) as session:
        session.open(f"{sample.url}/board?panel=Current&panel=Backlog&panel=Icebox&panel=Done")
        _assert_no_error(session)
        _assert_panel(
            session,
            "Icebox",
            sample.query(
                f"SELECT id FROM stories WHERE project_id = {project} "
                "AND current_state = 'unscheduled' ORDER BY _position NULLS LAST, id"
            ),
        )
        _assert_panel(
            session,
            "Backlog",
            sample.query(
                "SELECT f.story_id FROM forecast f JOIN projects p ON p.id = f.project_id JOIN "
                f"stories s ON s.id = f.story_id WHERE f.project_id = {project} "
                "AND f.iteration_number > p.current_iteration_number "
                "AND s.current_state = 'unstarted' ORDER BY f.position"
            ),
        )
        current = session.page.get_by_role("region", name="Current")
        planned = sample.number(
            "SELECT sum(s.estimate) FROM iterations__story_ids i JOIN projects p ON "
            "p.id = i.project_id AND p.current_iteration_number = i.iteration_number JOIN stories "
            f"s ON s.id = i.value WHERE i.project_id = {project}"
        )
        expect(current.locator(".iteration")).to_contain_text(f"{planned} points")
        session.choose("Type", "bug")
        bugs = sample.number(
            f"SELECT count(*) FROM stories WHERE project_id = {project} AND story_type = 'bug'"
        )
        expect(session.page.get_by_role("status")).to_contain_text(f"{bugs} stories match")
        icebox = session.page.get_by_role("region", name="Icebox")
        assert icebox.locator(".type.bug").count() == icebox.locator("li").count() > 0
        expect(session.page).to_have_url(re.compile("type=bug"))


def _assert_panel(session: BrowserSession, name: str, expected: list[tuple[object, ...]]) -> None:
    panel = session.page.get_by_role("region", name=name)
    addresses = panel.locator("a[data-page=story]").evaluate_all("all => all.map(a => a.href)")
    assert [int(a.rsplit("=", 1)[1]) for a in addresses] == [row[0] for row in expected]
    assert expected


# Epics and releases


def test_dates_of_all_projects_are_those_of_their_time_zones(
    sample: Dashboard, browser: BrowserSession
) -> None:
    with visit(browser) as session:
        session.open(f"{sample.url}/progress?project=all")
        rows = session.page.locator("table").first.locator("tbody tr").all()
        assert len(rows) == 3
        for row in rows:
            *_, expected, target, status = row.locator("td").all_inner_texts()
            first, last = (
                datetime.strptime(" ".join(day.split()[:3]), "%d %b %Y").date()
                for day in (target, expected)
            )
            days = (last - first).days
            assert re.search(rf"\b{abs(days)} days? {'late' if days > 0 else 'early'}", status)


# People


def test_names_lead_to_the_stories_that_are_counted(
    sample: Dashboard, browser: BrowserSession
) -> None:
    with visit(browser) as session:
        for period in ("13w", "all", "dates&from=2024-03-06&until=2024-05-08"):
            session.open(f"{sample.url}/people?period={period}")
            row = session.page.locator("table").first.locator("tbody tr").first
            count = row.locator("td").nth(1).inner_text()
            row.get_by_role("link").click()
            expect(session.page.get_by_role("heading", level=1)).to_have_text("Stories")
            session.wait_idle()
            assert session.status().split()[0] == count


# Stories


SEARCHES = {
    'label:"needs design" type:bug': "s.story_type = 'bug' AND EXISTS (FROM stories__labels l "
    "WHERE l.story_id = s.id AND l.name = 'needs design')",
    "-state:accepted has:blocker": "s.current_state <> 'accepted' AND s.id IN "
    "(SELECT story_id FROM stories__blockers)",
    "state:unscheduled OR state:started type:feature": "s.current_state = 'unscheduled' OR "
    "(s.current_state = 'started' AND s.story_type = 'feature')",
    "accepted:2024-02..2024-03": "CAST(s.accepted_at AT TIME ZONE p.time_zone__olson_name AS DATE)"
    " BETWEEN DATE '2024-02-01' AND DATE '2024-03-31'",
    'epic:"waiting room" has:pr -has:attachment': "s.id IN (SELECT l.story_id FROM "
    "stories__labels l JOIN epics e ON e.label__name = l.name AND e.project_id = l.project_id "
    "WHERE lower(e.name) LIKE '%waiting room%') AND s.id IN (SELECT story_id FROM "
    "stories__pull_requests) AND s.id NOT IN (SELECT story_id FROM "
    "stories__comments__file_attachments UNION SELECT story_id FROM "
    "stories__comments__google_attachments)",
    "has:rejection state:accepted": "s.current_state = 'accepted' AND s.id IN "
    "(SELECT story_id FROM stories__transitions WHERE state = 'rejected')",
    "a11y": "s.id IN (SELECT story_id FROM stories__labels WHERE name = 'a11y')",
}
"""Searches, and the conditions under which independent queries find the same stories."""


def test_search_with_trackers_syntax_finds_what_queries_find(
    sample: Dashboard, browser: BrowserSession
) -> None:
    with visit(browser) as session:
        session.open(f"{sample.url}/stories")
        for typed, where in SEARCHES.items():
            session.search(typed)
            count = sample.number(
                "SELECT count(*) FROM stories s JOIN projects p ON p.id = s.project_id "
                f"WHERE {where}"
            )
            assert count > 1, typed
            expect(session.page.get_by_role("status").first).to_contain_text(f"{count} stories")


def test_people_and_comment_authors_are_found_by_plain_words(
    sample: Dashboard, browser: BrowserSession
) -> None:
    ((name, person),) = sample.query(
        "SELECT p.name, p.id FROM people p JOIN stories__comments c ON c.person_id = p.id "
        "GROUP BY ALL ORDER BY count(*), p.name LIMIT 1"
    )
    expected = sample.query(
        f"SELECT story_id FROM stories__comments WHERE person_id = {person} AND story_id NOTNULL "
        f"UNION SELECT story_id FROM stories__owner_ids WHERE value = {person} "
        f"UNION SELECT id FROM stories WHERE requested_by_id = {person}"
    )
    with visit(browser) as session:
        session.open(f"{sample.url}/stories?q=%22{name}%22".replace(" ", "+"))
        rows = session.table("as CSV")
    assert {int(row["id"]) for row in rows} >= {row[0] for row in expected}
    assert expected


def test_search_filters_and_sorting_survive_back_links_and_page_changes(
    sample: Dashboard, browser: BrowserSession
) -> None:
    with visit(browser) as session:
        session.open(sample.url)
        session.search("type:bug")
        session.choose("Sort by", "Newest")
        session.page.get_by_role("button", name="Page 2", exact=True).click()
        expect(session.page).to_have_url(re.compile("page=2"))
        session.wait_idle()
        address, listed = session.page.url, session.story_ids()
        expected = sample.query(
            "SELECT id, name FROM stories WHERE story_type = 'bug' ORDER BY created_at DESC, "
            "id DESC LIMIT 25 OFFSET 25"
        )
        assert listed == [row[0] for row in expected]
        names = {number: str(name) for number, name in expected}
        heading = session.page.get_by_role("heading", level=1)
        session.page.locator("ul.stories a[data-page=story]").nth(3).click()
        expect(heading).to_contain_text(names[listed[3]])
        session.wait_idle()
        session.page.get_by_role("link", name="Next →").click()
        expect(heading).to_contain_text(names[listed[4]])
        session.wait_idle()
        session.go_back(names[listed[3]])
        session.go_back("Stories")
        expect(session.page).to_have_url(address)
        session.wait_idle()
        assert session.story_ids() == listed
        session.go_to("Board")
        session.go_to("Stories")
        assert session.story_ids() == listed
        assert session.search_field.input_value() == "type:bug"
        session.load(address)
        assert session.story_ids() == listed


def test_story_keeps_the_project_in_which_it_was_searched(
    sample: Dashboard, browser: BrowserSession
) -> None:
    project, name = sample.query(
        "SELECT p.id, p.name FROM projects p JOIN stories s ON s.project_id = p.id "
        "GROUP BY ALL ORDER BY max(s.updated_at), p.id LIMIT 1"
    )[0]
    with visit(browser) as session:
        session.open(f"{sample.url}/stories?q=type:bug&project={project}")
        listed = session.status(), session.story_ids()
        session.page.locator("ul.stories a[data-page=story]").first.click()
        session.page.get_by_role("link", name="Next →").click()
        session.page.get_by_role("link", name=re.compile("2 of .* found")).click()
        expect(session.page.get_by_role("heading", level=1)).to_have_text("Stories")
        session.wait_idle()
        assert (session.status(), session.story_ids()) == listed
        session.page.locator("ul.stories a[data-page=story]").first.click()
        session.page.locator("dl.facts").wait_for()
        session.go_to("Project")
        expect(session.page.get_by_role("heading", level=1)).to_have_text(str(name))


def test_pasted_references_and_old_addresses_open_the_story(
    sample: Dashboard, browser: BrowserSession
) -> None:
    ((story, name),) = sample.query("SELECT id, name FROM stories ORDER BY id LIMIT 1 OFFSET 5")
    heading = browser.page.get_by_role("heading", level=1)
    with visit(browser) as session:
        for reference in (
            f"https://www.pivotaltracker.com/story/show/{story}",
            f"[finishes #{story}]",
            f"#{story}",
        ):
            session.open(f"{sample.url}/board")
            session.search_field.fill(reference)
            session.page.keyboard.press("Enter")
            session.page.wait_for_url(f"**/story?id={story}")
            expect(heading).to_contain_text(str(name))
            session.wait_idle()
            session.go_back("Board")
        session.search("https://www.pivotaltracker.com/story/show/999999999999")
        expect(session.page.get_by_text("There is no story #999999999999.")).to_be_visible()
        for path in (f"story/show/{story}", f"n/projects/1/stories/{story}", f"?story={story}"):
            session.load(f"{sample.url}/{path}")
            expect(heading).to_contain_text(str(name))
            expect(session.page).to_have_title(f"{name} · Pivotal Tracker")
        session.load(f"{sample.url}/overview")
        expect(session.page).to_have_title("Project · Pivotal Tracker")
        session.open(f"{sample.url}/story?id=1;DROP")
        expect(heading).to_have_text("Story not found")


def test_export_has_all_results_with_labels_owners_and_texts(
    sample: Dashboard, browser: BrowserSession
) -> None:
    expected = sample.query(
        "SELECT s.id, s.name, s.description, s.url, (SELECT string_agg(name, ', ' ORDER BY name) "
        "FROM stories__labels l WHERE l.story_id = s.id), (SELECT string_agg(p.name, ', ' ORDER BY "
        "o._dlt_list_idx) FROM stories__owner_ids o JOIN people p ON p.id = o.value WHERE "
        "o.story_id = s.id) FROM stories s WHERE s.story_type = 'bug' ORDER BY s.id DESC"
    )
    columns = ("id", "name", "description", "url", "labels", "owners")
    with visit(browser) as session:
        session.open(f"{sample.url}/stories?q=type:bug&sort=id")
        rows = session.table("as CSV")
        content = session.download("as Excel")
    assert [tuple(row[name] for name in columns) for row in rows] == [
        tuple("" if value is None else str(value) for value in row) for row in expected
    ]
    sheet = openpyxl.load_workbook(io.BytesIO(content)).active
    assert sheet is not None
    assert [row[0] for row in sheet.iter_rows(min_row=2, values_only=True)] == [
        row[0] for row in expected
    ]


def test_words_in_other_forms_are_found_and_typos_corrected(
    sample: Dashboard, browser: BrowserSession
) -> None:
    every = (
        "SELECT s.id, lower(concat_ws(' ', any_value(s.name), any_value(s.description), "
        "string_agg(c.text, ' '), string_agg(t.description, ' '))) AS texts FROM stories s "
        "LEFT JOIN stories__comments c ON c.story_id = s.id "
        "LEFT JOIN stories__tasks t ON t.story_id = s.id GROUP BY s.id"
    )
    has = " AND ".join(f"regexp_matches(texts, '\\b{word}\\b')" for word in ("reports?", "tyres?"))
    count = sample.number(f"SELECT count(*) FROM ({every}) WHERE {has}")
    assert count > 1
    with visit(browser) as session:
        open_once_indexed(session, f"{sample.url}/stories?q=reporting+tyres")
        assert session.status().startswith(f"{count} stories · full-text search")
        session.search("invoce")
        session.page.get_by_role("link", name="invoice", exact=True).click()
        session.page.wait_for_url("**/stories?q=invoice")
        # the address changes before the page does
        session.page.get_by_text("No matching stories").first.wait_for(state="hidden")
        session.wait_idle()
        assert "full-text search" in session.status()


def open_once_indexed(session: BrowserSession, address: str) -> None:
    """Open a search again until the full-text index, which takes a moment, is there."""
    deadline = time.monotonic() + TIMEOUT / 1000
    session.open(address)
    while "full-text search" not in (shown := session.status()) and time.monotonic() < deadline:
        assert "index is being made" in shown
        session.open(address)


def test_search_field_is_reached_within_five_tab_stops(
    sample: Dashboard, browser: BrowserSession
) -> None:
    with visit(browser) as session:
        session.load(f"{sample.url}/stories")
        for _ in range(5):
            session.page.keyboard.press("Tab")
            if session.search_field.evaluate("field => field === document.activeElement"):
                break
        session.page.keyboard.type("customer")
        session.page.keyboard.press("Enter")
        expect(session.page).to_have_url(re.compile("q=customer"))


# Story


def test_story_shows_its_facts_and_each_leads_to_similar_stories(
    sample: Dashboard, browser: BrowserSession
) -> None:
    ((story, name),) = sample.query(
        "SELECT s.id, s.name FROM stories s JOIN stories__tasks t ON t.story_id = s.id "
        "JOIN stories__comments c ON c.story_id = s.id JOIN stories__reviews r "
        "ON r.story_id = s.id JOIN stories__follower_ids f ON f.story_id = s.id "
        "JOIN stories__labels l ON l.story_id = s.id WHERE s.current_state = 'accepted' "
        "GROUP BY ALL ORDER BY count(*) DESC, s.id LIMIT 1"
    )
    texts = sample.query(
        f"SELECT description FROM stories__tasks WHERE story_id = {story} UNION ALL "
        f"SELECT review_type__name FROM stories__reviews WHERE story_id = {story} UNION ALL "
        f"SELECT p.name FROM stories__follower_ids JOIN people p ON p.id = value "
        f"WHERE story_id = {story} UNION ALL SELECT r.name FROM releases__story_ids i "
        f"JOIN releases r ON r.id = i.release_id WHERE i.value = {story} UNION ALL "
        f"SELECT 'Iteration ' || iteration_number FROM iterations__story_ids WHERE value = {story}"
    )
    ((comments, hours, label, zone, accepted),) = sample.query(
        f"SELECT (SELECT count(*) FROM stories__comments WHERE story_id = {story}), "
        f"m.cycle_time_hours, (SELECT min(name) FROM stories__labels WHERE story_id = {story}), "
        "p.time_zone__olson_name, strftime(timezone(p.time_zone__olson_name, s.accepted_at), "
        "'%-d %b %Y, %H:%M') FROM stories s JOIN projects p ON p.id = s.project_id "
        f"JOIN story_measures m ON m.story_id = s.id WHERE s.id = {story}"
    )
    with visit(browser) as session:
        session.open(f"{sample.url}/story?id={story}")
        expect(session.page.get_by_role("heading", level=1)).to_contain_text(str(name))
        shown = session.text()
        assert all(str(text) in shown for (text,) in texts)
        assert f"Comments ({comments})" in shown
        assert f"Times are those of {zone}" in shown
        facts = session.page.locator("dl.facts")
        expect(facts).to_contain_text(f"Accepted{accepted}")
        days = float(str(hours)) / 24
        cycle_time = f"{days:.1f} days" if days >= 2 else f"{float(str(hours)):.0f} hours"
        expect(facts).to_contain_text(f"Cycle time{cycle_time}")
        moment = facts.locator("time").first
        assert "UTC" in str(moment.get_attribute("title"))
        _assert_history_names_people_once(session)
        facts.get_by_role("link", name=str(label), exact=True).click()
        session.page.wait_for_url("**/stories?q=label*")
        session.wait_idle()
        assert story in session.story_ids() or "stories" in session.status()


def _assert_history_names_people_once(session: BrowserSession) -> None:
    rows = session.page.locator("table tbody tr")
    for who, what in zip(
        rows.locator("td:nth-child(2)").all_inner_texts(),
        rows.locator("td:nth-child(3)").all_inner_texts(),
        strict=True,
    ):
        assert what
        assert not what.startswith(who)


def test_printed_story_has_its_facts_and_comments_and_no_controls(
    sample: Dashboard, browser: BrowserSession
) -> None:
    ((story, comments),) = sample.query(
        "SELECT story_id, count(*) FROM stories__comments GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1"
    )
    with visit(browser) as session:
        session.open(f"{sample.url}/story?id={story}")
        try:
            session.page.emulate_media(media="print")
            for control in ("nav.menu", "[data-testid=stDownloadButton]", ".st-key-step"):
                expect(session.page.locator(control).first).to_be_hidden()
            expect(session.search_field).to_be_hidden()
            expect(session.page.locator("dl.facts")).to_be_visible()
            assert session.page.locator(".comment").count() == comments
            # the whole page, not only what a window shows
            height, shown = session.page.locator("[data-testid=stMain]").evaluate(
                "main => [main.scrollHeight, main.clientHeight]"
            )
            assert shown > height - 50 > 900
        finally:
            session.page.emulate_media(media="screen")


def test_page_looks_dark_when_the_system_is(sample: Dashboard, browser: BrowserSession) -> None:
    background = "() => getComputedStyle(document.querySelector('.stApp')).backgroundColor"
    shades = []
    with visit(browser) as session:
        for dark in (False, True):
            session.dark(dark)
            session.load(f"{sample.url}/story?id=999999999999")
            levels = re.findall(r"\d+", session.page.evaluate(background))[:3]
            shades.append(sum(map(int, levels)))
    assert shades[1] < 150 < 600 < shades[0]


def test_tables_are_drawn_although_they_are_there_before_the_script(
    browser: BrowserSession,
) -> None:
    script = (ROOT / "tracker_dashboard" / "assets" / "dashboard.js").read_text()
    place = "<div data-testid=stFullScreenFrame></div>"
    with visit(browser) as session:
        session.page.goto("about:blank")
        session.page.set_content(f"<div data-testid=stApp>{2 * place}</div>")
        session.page.evaluate(script)
        drawn = session.page.locator("[data-testid=stFullScreenFrame][data-drawn]")
        expect(drawn).to_have_count(2)


def test_pages_fit_windows_of_all_widths_and_pass_axe(
    sample: Dashboard, browser: BrowserSession
) -> None:
    """Sideways scrolling is left to tables and charts within the page; no text is cut off."""
    with visit(browser) as session:
        try:
            for number, path in enumerate(_paths_of_all_pages(sample)):
                # every second page in the dark, the others next time
                session.dark(number % 2 == 1)
                session.open(f"{sample.url}/{path}")
                for width in WIDTHS:
                    session.page.set_viewport_size({"width": width, "height": 900})
                    # charts are drawn again
                    session.page.wait_for_function(FITS)
                first, second = ("dark", "light") if number % 2 else ("light", "dark")
                assert _contrast_of_charts(session) >= 4.5, path
                assert not _axe_violations(session, first), path
                session.dark(second == "dark")
                session.page.wait_for_timeout(300)
                assert _contrast_of_charts(session) >= 4.5, path
                assert not _axe_violations(session, second, COLOR_RULES), path
        finally:
            session.page.set_viewport_size({"width": 1280, "height": 900})


FITS = """() => {
    const main = document.querySelector('[data-testid=stMain]');
    const within = (inner, outer) => inner.left >= outer.left - 3 && inner.right <= outer.right + 3;
    const isCut = (text) => text.textContent && getComputedStyle(text).opacity > 0
        && !within(text.getBoundingClientRect(), text.closest('svg').getBoundingClientRect());
    const figures = 'input, .figure p';
    const overflows = (element) => element.scrollWidth > element.clientWidth + 1;
    return main.scrollWidth <= main.clientWidth
        && ![...main.querySelectorAll('svg.marks text')].some(isCut)
        && ![...main.querySelectorAll(`${figures}, .scroll-x`)].some(overflows);
}"""


def _contrast_of_charts(session: BrowserSession) -> float:
    """Return the lowest contrast of a text in a chart, which axe does not look at."""
    colours = session.page.evaluate(
        """() => [
            getComputedStyle(document.querySelector('.stApp')).backgroundColor,
            ...[...document.querySelectorAll('svg.marks text')].map(t => getComputedStyle(t).fill)
        ]"""
    )
    return min(contrast(colour, colours[0]) for colour in colours[1:]) if colours[1:] else 21


def _paths_of_all_pages(dashboard: Dashboard) -> tuple[str, ...]:
    """Return the address of each page, with the story that has most."""
    ((story,),) = dashboard.query(
        "SELECT story_id FROM stories__comments c JOIN stories__tasks t USING (story_id) "
        "LEFT JOIN stories__reviews r USING (story_id) GROUP BY 1 "
        "ORDER BY count(DISTINCT r.id) > 0 DESC, count(*) DESC, 1 LIMIT 1"
    )
    paths = ("", "?project=all", "iteration", "board?panel=Current&panel=Done&panel=Epics")
    paths += ("stories?q=customer+OR+export", f"story?id={story}")
    return (*paths, "flow", "progress", "people", "inspect")


ALL_RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
"""Of WCAG 2.2, levels A and AA, and for the order of headings."""

COLOR_RULES = ("color-contrast", "link-in-text-block")
"""Those whose result depends on dark or light colours."""


def _axe_violations(
    session: BrowserSession, place: str, rules: Sequence[str] = ALL_RULES
) -> list[str]:
    """Return what axe-core reports at a place."""
    options = {"runOnly": list(rules), "resultTypes": ["violations"]}
    results = Axe().run(session.page, options=options).response
    return [
        f"{place} {violation['id']}: {node['html'][:200]} {node['failureSummary'][:300]}"
        for violation in results["violations"]
        for node in violation["nodes"]
    ]


# Inspect


def test_inspect_shows_tables_sql_runs_and_the_pipeline(
    sample: Dashboard, browser: BrowserSession
) -> None:
    with visit(browser) as session:
        session.open(f"{sample.url}/inspect")
        _assert_no_error(session)
        rows = session.page.get_by_test_id("stDataFrame").last
        expect(rows.locator("th", has_text="requested_by_id")).to_be_attached()
        _open_part(session, "SQL", ":text('Ctrl + Enter')")
        _run_sql(session, "SELECT id FROM stories ORDER BY id LIMIT 7")
        found = [int(row["id"]) for row in session.table("CSV")]
        assert found == [
            row[0] for row in sample.query("SELECT id FROM stories ORDER BY 1 LIMIT 7")
        ]
        _run_sql(session, "DROP TABLE stories")
        expect(session.page.get_by_role("alert")).to_contain_text("Only a single SELECT is allowed")
        for part, landmark in {
            "Load report": ":text('There is no report')",
            "Schema": ":text('What each version of the schema changed')",
            "Runs": ":text('The last run on this machine')",
            "Pipeline": ":text-is('State')",
        }.items():
            _open_part(session, part, landmark)
            assert not _axe_violations(session, part)


def test_diagram_of_the_schema_is_legible_and_scrolled(
    sample: Dashboard, browser: BrowserSession
) -> None:
    with visit(browser) as session:
        session.open(f"{sample.url}/inspect?part=Schema")
        session.page.locator("summary", has_text="Diagram").click()
        diagram = session.page.get_by_test_id("stGraphVizChart")
        table = diagram.locator("text", has_text="stories__owner_ids").first
        table.wait_for()
        height, is_scrolled = table.evaluate(
            "(text, diagram) => [text.getBoundingClientRect().height, "
            "diagram.scrollWidth > diagram.clientWidth]",
            diagram.element_handle(),
        )
        assert height > 12
        assert is_scrolled
        assert not _axe_violations(session, "diagram")


def _open_part(session: BrowserSession, part: str, landmark: str) -> None:
    session.page.get_by_role("radio", name=part, exact=True).click()
    session.page.locator(f"[data-testid=stMain] {landmark}").first.wait_for()
    _assert_no_error(session)


def _run_sql(session: BrowserSession, statement: str) -> None:
    session.page.get_by_role("textbox", name="SQL").fill(statement)
    session.page.get_by_role("button", name="Run").click()
    session.wait_idle()


# a CSV alone


def _shop_export() -> list[Row]:
    """Three months of a shop: weekly iterations, a backlog, an icebox, an epic and releases."""
    rows = [Row(id=7, title="The shop", type="epic", labels="shop", state="")]
    start = date(2015, 11, 2)
    for number in range(40):
        week = start + timedelta(weeks=number // 4)
        is_done = number < 32
        rows.append(
            Row(
                id=1000 + number,
                title=f"Story {number} of the export",
                type="bug" if number % 4 == 3 else "feature",
                labels="shop, design" if number % 2 else "shop",
                iteration=str(number // 4 + 1),
                start=_csv_day(week),
                end=_csv_day(week + timedelta(days=6)),
                estimate="" if number % 4 == 3 else str(number % 4 + 1),
                state="accepted" if is_done else "unstarted",
                created=_csv_day(week - timedelta(days=10)),
                accepted=_csv_day(week + timedelta(days=number % 4)) if is_done else "",
                requested_by="Grace Hopper",
                owners=["Ada Lovelace"],
                comments=[f"Remark {number} (Ada Lovelace - {_csv_day(week)})"],
                tasks=[("Think", "completed")],
            )
        )
    rows += [
        Row(id=2000 + number, title=f"Idea {number}", created="Nov 3, 2015") for number in range(5)
    ]
    return rows


def _csv_day(day: date) -> str:
    return f"{day:%b} {day.day}, {day.year}"


@pytest.fixture
def shop(empty: Dashboard) -> Dashboard:
    """Show a CSV export, and nothing else."""
    export = empty.command.folder / "shop_20160112_1200.csv"
    export.write_text(as_csv(table(_shop_export())), encoding="utf-8")
    result = empty.command("--archive", str(export))
    assert result.returncode == 0, result.stderr
    return empty


def test_csv_export_gets_velocity_lead_time_board_and_search(
    shop: Dashboard, browser: BrowserSession
) -> None:
    points = shop.query(
        "SELECT iteration_number, sum(estimate) FROM iterations__story_ids i JOIN stories s "
        "ON s.id = i.value WHERE s.current_state = 'accepted' GROUP BY 1 ORDER BY 1 DESC"
    )
    with visit(browser) as session:
        checks = PageChecks(session, shop, _latest_project(shop)[0], has_transitions=False)
        checks.project_page()
        expect(session.page.get_by_text("no history of states").first).to_be_visible()
        session.open_data_of("Velocity")
        done = [row for row in session.table("CSV") if float(row["points_accepted"])]
        assert [(int(r["iteration_number"]), float(r["points_accepted"])) for r in done] == [
            (number, float(str(value))) for number, value in points
        ]
        checks.flow_page()
        checks.progress_page()
        checks.people_page()
        checks.story_page()
        checks.inspect_page()
        _assert_board_search_and_report_of_the_shop(session)


def _assert_board_search_and_report_of_the_shop(session: BrowserSession) -> None:
    session.go_to("Board")
    assert session.page.get_by_role("region", name="Icebox").locator("li").count() == 5
    session.go_to("Iteration")
    _assert_no_error(session)
    session.search('"remark 7"')
    assert session.story_ids() == [1007]
    session.search("label:design owner:ada -state:accepted")
    assert sorted(session.story_ids()) == [1033, 1035, 1037, 1039]
    session.page.get_by_role("link", name="Story 33 of the export").click()
    expect(session.page.locator("dl.facts")).to_contain_text("EpicsThe shop")
    session.go_to("Inspect")
    session.page.get_by_role("radio", name="Load report", exact=True).click()
    expect(session.page.get_by_role("combobox", name="Table or view")).to_have_count(0)
    session.wait_idle()
    assert {row["source"] for row in session.table("CSV")} == {"shop_20160112_1200.csv"}


# 20 projects


@pytest.fixture(scope="module")
def many_projects() -> Workspace:
    return generate_workspace(projects=20, stories=1000, activity=0, seed=1)


def test_twenty_projects_are_listed_and_searched(
    empty: Dashboard, browser: BrowserSession, many_projects: Workspace
) -> None:
    load_served(
        many_projects,
        empty.command,
        *("--resource", "projects", "labels", "stories", "epics", "releases", "iterations"),
        *("history_days", "activity", "project_memberships"),
    )
    with visit(browser) as session:
        session.open(f"{empty.url}/?project=all")
        rows = session.page.locator("table tbody tr")
        shown = {
            name: (int(stories.replace(",", "")), int(accepted.replace(",", "")))
            for name, stories, accepted, *_ in (
                row.locator("td").all_inner_texts() for row in rows.all()
            )
        }
        expected = empty.query(
            "SELECT p.name, count(*), count(*) FILTER (WHERE s.current_state = 'accepted' AND "
            "s.story_type <> 'release') FROM projects p JOIN stories s ON s.project_id = p.id "
            "GROUP BY p.id, p.name ORDER BY p.id"
        )
        assert shown == {name: (stories, accepted) for name, stories, accepted in expected}
        assert len(shown) == 20
        name = str(expected[0][0])
        session.page.get_by_role("link", name=name, exact=True).click()
        expect(session.page.get_by_role("heading", level=1)).to_have_text(name)
        session.wait_idle()
        for title in ("Iteration", "Board"):
            session.go_to(title)
            _assert_no_error(session)
        project = empty.number(f"SELECT id FROM projects WHERE name = '{name}'")
        checks = PageChecks(session, empty, project)
        checks.project_page()
        checks.flow_page()
        checks.progress_page()
        checks.people_page()
        checks.story_page()
        checks.inspect_page()
        session.open(f"{empty.url}/stories?q=type:bug+state:started")
        count = empty.number(
            "SELECT count(*) FROM stories WHERE story_type = 'bug' AND current_state = 'started'"
        )
        assert session.status().startswith(f"{count} stor")


# empty, partial and hostile data


def test_empty_workspace_says_so(empty: Dashboard, browser: BrowserSession) -> None:
    load_served(generate_workspace(projects=0), empty.command)
    with visit(browser) as session:
        session.load(empty.url)
        for title in PAGES:
            session.go_to(title)
            expect(session.page.get_by_text("This workspace has no projects")).to_be_visible()
            _assert_no_error(session)
        session.go_to("Inspect")
        _assert_no_error(session)
        _open_part(session, "Runs", ":text('The last run on this machine')")


def _hostile_workspace() -> Workspace:
    """Texts that try to run scripts, to fetch and to mislead, wherever there can be a text."""
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
    workspace.create_story(project, name="=cmd|' /C calc'!A0", description="@SUM(1)")
    workspace.add_comment(
        HOSTILE_TEXT,
        story_id=story,
        file_attachments=[
            {"filename": f"{IMAGE}.svg", "content": b"<svg onload='alert(3)'/>"},
            {"filename": "dot.png", "content": _dot(), "content_type": "image/png"},
        ],
        google_attachments=[{"title": SCRIPT, "alternate_link": "javascript:alert('google')"}],
    )
    workspace.add_task(story, HOSTILE_NAME)
    workspace.add_blocker(story, HOSTILE_TEXT)
    workspace.add_branch(story, owner=IMAGE, repo=SCRIPT, name=HOSTILE_NAME)
    return workspace


def _dot() -> bytes:
    picture = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(picture, "PNG")
    return picture.getvalue()


def test_hostile_texts_are_shown_and_do_nothing(empty: Dashboard, browser: BrowserSession) -> None:
    command, workspace = empty.command, _hostile_workspace()
    load_served(workspace, command, "--resource", "labels")
    with visit(browser) as session:
        session.load(empty.url + "/inspect")
        _assert_missing_tables_are_explained(session, empty.url)
        # tables appear while the dashboard runs, then views
        load_served(workspace, command, "--resource", "projects", "stories", "--no-views")
        session.open(empty.url)
        expect(session.page.get_by_text("It was loaded with --no-views")).to_be_visible()
        load_served(workspace, command, "--attachments", "files")
        for title in PAGES:
            session.go_to(title)
            _assert_nothing_ran(session)
        field = session.page.get_by_role("combobox", name="Project")
        assert field.input_value() == HOSTILE_NAME
        epic = empty.number("SELECT id FROM epics WHERE name LIKE '%tea_shop'")
        session.open(f"{empty.url}/progress?epic={epic}")
        burn_up = session.page.get_by_role("heading", level=2, name="Burn-up of the epic")
        expect(burn_up).to_contain_text(f"Burn-up of the epic {HOSTILE_NAME} ({HOSTILE_NAME})")
        _assert_nothing_ran(session)
        session.open(f"{empty.url}/inspect?part=Tables&table=stories")
        _assert_nothing_ran(session)
        session.search("alert")
        _assert_nothing_ran(session)
        session.page.get_by_role("link", name=HOSTILE_NAME).first.click()
        expect(session.page.get_by_role("heading", level=1)).to_contain_text(HOSTILE_NAME)
        session.wait_idle()
        _assert_nothing_ran(session)
        shown = session.text()
        assert shown.count(SCRIPT) >= 5
        assert "$\\frac{1}{2}$ :smile:" in shown
        expect(session.page.locator("strong", has_text="bold").first).to_be_visible()
        seen = session.page.get_by_role("link", name="https://example.org/seen").first
        assert "noreferrer" in str(seen.get_attribute("rel"))
        assert session.page.get_by_test_id("stImage").count() == 1
        assert session.download("dot.png") == _dot()
        assert session.download(".svg") == b"<svg onload='alert(3)'/>"
        session.open(f"{empty.url}/stories?q=cmd")
        (row,) = session.table("as CSV")
        assert (row["name"], row["description"]) == ("'=cmd|' /C calc'!A0", "'@SUM(1)")
        workbook = openpyxl.load_workbook(io.BytesIO(session.download("as Excel")))
        assert workbook.active is not None
        assert "f" not in {cell.data_type for cell in workbook.active[2]}


def _assert_missing_tables_are_explained(session: BrowserSession, url: str) -> None:
    """Where only labels were loaded."""
    tables = {row["table_name"] for row in session.table("CSV")}
    assert "labels" in tables
    assert not tables & {"projects", "stories"}
    for path in ("", "iteration", "board", "stories", "flow", "progress"):
        session.page.goto(f"{url}/{path}")
        expect(session.page.get_by_text("it was loaded with --resource")).to_be_visible()
        _assert_no_error(session)


def _assert_nothing_ran(session: BrowserSession) -> None:
    """No element was made by a text, and no address that a browser would run."""
    _assert_no_error(session)
    assert "\\_" not in session.text()
    app = session.page.locator("[data-testid=stApp]")
    assert app.locator("iframe, svg[onload], [onerror], [onload]").count() == 0
    for attribute in ("href", "src"):
        read = f"nodes => nodes.map(node => node.getAttribute('{attribute}'))"
        for address in app.locator(f"[{attribute}]").evaluate_all(read):
            assert not address.lower().startswith(("javascript:", "data:text", "vbscript:"))
            assert attribute == "href" or "spy.example" not in address


def test_responses_carry_security_headers(sample: Dashboard, browser: BrowserSession) -> None:
    with visit(browser) as session:
        response = session.page.goto(sample.url)
        assert response is not None
        assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
        assert response.headers["x-content-type-options"] == "nosniff"


# pictures


README_PICTURES = {
    "overview": "?period=52w",
    "board": "board?panel=Current&panel=Backlog&panel=Icebox",
    "stories": "stories?q=flat+tyre",
    "iteration": "iteration",
}


@pytest.mark.skipif("SCREENSHOTS" not in os.environ, reason="only on request: make screenshots")
def test_screenshots_for_the_readme(sample: Dashboard, browser: BrowserSession) -> None:
    with visit(browser) as session:
        open_once_indexed(session, f"{sample.url}/stories?q=tyre")
        for name, path in README_PICTURES.items():
            session.open(f"{sample.url}/{path}")
            session.page.wait_for_timeout(1500)  # charts are drawn after the page
            with Image.open(io.BytesIO(session.page.screenshot())) as taken:
                picture = ROOT / "docs" / "images" / f"dashboard-{name}.png"
                taken.convert("RGB").quantize(128).save(picture)


@pytest.mark.skipif("SCREENSHOTS" not in os.environ, reason="only on request: make screenshots")
def test_screenshots_of_all_pages(sample: Dashboard, browser: BrowserSession) -> None:
    _take_screenshots(sample, browser, "")


@pytest.mark.skipif("SCREENSHOTS" not in os.environ, reason="only on request: make screenshots")
def test_screenshots_of_all_pages_of_a_csv(shop: Dashboard, browser: BrowserSession) -> None:
    _take_screenshots(shop, browser, "csv-")


def _take_screenshots(dashboard: Dashboard, browser: BrowserSession, prefix: str) -> None:
    """In all widths, light and dark."""
    folder = ROOT / os.environ["SCREENSHOTS"]
    folder.mkdir(parents=True, exist_ok=True)
    with visit(browser) as session:
        for dark in (False, True):
            session.dark(dark)
            for path in _paths_of_all_pages(dashboard):
                session.open(f"{dashboard.url}/{path}")
                name = re.split(r"\W", path)[0] or ("project-all" if path else "project")
                for width in WIDTHS:
                    _whole_page(session, width)
                    picture = folder / f"{prefix}{name}-{width}{'-dark' if dark else ''}.png"
                    session.page.screenshot(path=picture)
        session.page.set_viewport_size({"width": 1280, "height": 900})


def _whole_page(session: BrowserSession, width: int) -> None:
    """Makes the window as high as the page."""
    height = 900
    for _ in range(2):
        session.page.set_viewport_size({"width": width, "height": height})
        session.wait_idle()
        session.page.wait_for_timeout(700)
        height = session.page.locator("[data-testid=stMain]").evaluate("main => main.scrollHeight")


def test_log_of_the_server_has_no_traceback(dashboard: Dashboard) -> None:
    log = Path(dashboard.command.folder / "dashboard.log").read_text(encoding="utf-8")
    assert "Traceback" not in log
