"""Stories are searched, opened and exported; pages fit every window, look dark and are printed."""

# ruff: noqa: S608 - the queries are ours

from __future__ import annotations

import io
import re

import openpyxl
import pytest
from playwright.sync_api import expect

from ..support.browser import BrowserSession, Dashboard, visit
from ..support.command import ROOT
from .accessibility import COLOR_RULES, axe_violations
from .colours import contrast
from .page_checks import WIDTHS, paths_of_all_pages

pytestmark = pytest.mark.integration


# searching


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


def test_story_opened_from_all_projects_leads_back_to_all_projects(
    sample: Dashboard, browser: BrowserSession
) -> None:
    choice = browser.page.get_by_role("combobox", name="Project")
    with visit(browser) as session:
        for page in ("flow", "stories"):
            session.open(f"{sample.url}/{page}?project=all")
            session.page.locator("ul.stories a[data-page=story]").first.click()
            session.page.locator("dl.facts").wait_for()
            session.go_to("Flow")
            expect(choice).to_have_value("All projects")


def test_another_project_chosen_on_the_page_of_a_story_shows_its_stories(
    sample: Dashboard, browser: BrowserSession
) -> None:
    ((story, name, project, other),) = sample.query(
        "SELECT s.id, s.name, p.id, p.name FROM stories s JOIN projects p ON p.id <> s.project_id "
        "ORDER BY s.id, p.id LIMIT 1"
    )
    with visit(browser) as session:
        session.open(f"{sample.url}/story?id={story}")
        session.choose("Project", str(other))
        expect(session.page.get_by_role("heading", level=1)).to_have_text("Stories")
        expect(session.page).to_have_url(f"{sample.url}/stories?project={project}")
        session.wait_idle()
        count = sample.number(f"SELECT count(*) FROM stories WHERE project_id = {project}")
        assert session.status().split()[0] == f"{count:,}"
        session.go_back(str(name))


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
        session.open_once_indexed(f"{sample.url}/stories?q=reporting+tyres")
        assert session.status().startswith(f"{count} stories · full-text search")
        session.search("invoce")
        session.page.get_by_role("link", name="invoice", exact=True).click()
        session.page.wait_for_url("**/stories?q=invoice")
        # the address changes before the page does
        session.page.get_by_text("No matching stories").first.wait_for(state="hidden")
        session.wait_idle()
        assert "full-text search" in session.status()


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


# windows, colours and paper


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
            for number, path in enumerate(paths_of_all_pages(sample)):
                # every second page in the dark, the others next time
                session.dark(number % 2 == 1)
                session.open(f"{sample.url}/{path}")
                for width in WIDTHS:
                    session.page.set_viewport_size({"width": width, "height": 900})
                    # charts are drawn again
                    session.page.wait_for_function(FITS)
                first, second = ("dark", "light") if number % 2 else ("light", "dark")
                assert _contrast_of_charts(session) >= 4.5, path
                assert not axe_violations(session, first), path
                session.dark(second == "dark")
                session.page.wait_for_timeout(300)
                assert _contrast_of_charts(session) >= 4.5, path
                assert not axe_violations(session, second, COLOR_RULES), path
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


def test_responses_carry_security_headers(sample: Dashboard, browser: BrowserSession) -> None:
    with visit(browser) as session:
        response = session.page.goto(sample.url)
        assert response is not None
        assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
        assert response.headers["x-content-type-options"] == "nosniff"


def test_page_finds_its_server_at_once_and_accepts_no_messages(
    sample: Dashboard, browser: BrowserSession
) -> None:
    with visit(browser) as session:
        # an earlier page may still be loading
        session.page.goto("about:blank")
        asked = list[str]()
        session.page.on("request", lambda request: asked.append(request.url))
        with session.page.expect_response("**/_stcore/host-config") as host_config:
            session.page.goto(f"{sample.url}/board")
        expect(session.page.get_by_role("heading", name="Board")).to_be_visible()
        assert host_config.value.json()["allowedOrigins"] == []
        health = [url for url in asked if url.endswith("/_stcore/health")]
    assert health == [f"{sample.url}/_stcore/health"]
