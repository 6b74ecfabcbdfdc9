"""What each page shows, as queries of the sample confirm."""

# ruff: noqa: S608 - the queries are ours

from __future__ import annotations

import re
from datetime import datetime

import pytest
from playwright.sync_api import expect

from ..support.browser import BrowserSession, Dashboard, locked, visit
from .accessibility import axe_violations
from .page_checks import PAGES, PageChecks

pytestmark = pytest.mark.integration


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
        expect(heading).to_have_text(sample.latest_project()[1])
        session.assert_no_error()
        with locked(sample.database):
            (sample.command.folder / "dlt/pipelines/pivotal_tracker_sample/state.json").touch()
            for title in PAGES:
                session.go_to(title)
                session.assert_no_error()
                expect(session.page.get_by_role("alert")).to_have_count(0)


# all pages


def test_pages_show_what_queries_of_the_tables_give(
    sample: Dashboard, browser: BrowserSession
) -> None:
    with visit(browser) as session:
        PageChecks(session, sample, sample.latest_project()[0]).all_pages()


# Project


def test_period_of_any_dates_is_compared_with_as_many_days_before(
    sample: Dashboard, browser: BrowserSession
) -> None:
    project, _ = sample.latest_project()

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
    project, _ = sample.latest_project()
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


def test_tooltip_of_a_chart_goes_with_its_page(sample: Dashboard, browser: BrowserSession) -> None:
    tooltip = browser.page.locator("#vg-tooltip-element")
    with visit(browser) as session:
        session.open(f"{sample.url}/progress")
        session.open(f"{sample.url}/?period=all")
        chart = session.page.get_by_test_id("stVegaLiteChart").first
        chart.locator(".mark-rect path").last.hover(force=True)
        expect(tooltip).to_contain_text("points accepted")
        session.go_back("Epics and releases")
        expect(tooltip).to_be_hidden()


# Iteration


def test_iteration_shows_its_points_people_and_stories_and_steps_to_the_next(
    sample: Dashboard, browser: BrowserSession
) -> None:
    project, _ = sample.latest_project()
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
        session.assert_no_error()
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
    project, _ = sample.latest_project()
    with visit(browser) as session:
        session.open(f"{sample.url}/board?panel=Current&panel=Backlog&panel=Icebox&panel=Done")
        session.assert_no_error()
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
        rows = session.tables.first.locator("tbody tr").all()
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
            row = session.tables.first.locator("tbody tr").first
            count = row.locator("td").nth(1).inner_text()
            row.get_by_role("link").click()
            expect(session.page.get_by_role("heading", level=1)).to_have_text("Stories")
            session.wait_idle()
            assert session.status().split()[0] == count


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
    rows = session.tables.locator("tbody tr")
    for who, what in zip(
        rows.locator("td:nth-child(2)").all_inner_texts(),
        rows.locator("td:nth-child(3)").all_inner_texts(),
        strict=True,
    ):
        assert what
        assert not what.startswith(who)


# Inspect


def test_inspect_shows_tables_sql_runs_and_the_pipeline(
    sample: Dashboard, browser: BrowserSession
) -> None:
    with visit(browser) as session:
        session.open(f"{sample.url}/inspect")
        session.assert_no_error()
        rows = session.page.get_by_test_id("stDataFrame").last
        expect(rows.locator("th", has_text="requested_by_id")).to_be_attached()
        session.open_part("SQL", ":text('Ctrl + Enter')")
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
            session.open_part(part, landmark)
            assert not axe_violations(session, part)


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
        assert not axe_violations(session, "diagram")


def _run_sql(session: BrowserSession, statement: str) -> None:
    session.page.get_by_role("textbox", name="SQL").fill(statement)
    session.page.get_by_role("button", name="Run").click()
    session.wait_idle()
