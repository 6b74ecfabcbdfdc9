"""Workspaces other than the sample: a CSV export, twenty projects, none, and hostile texts."""

# ruff: noqa: S608 - the queries are ours

from __future__ import annotations

import io

import openpyxl
import pytest
from PIL import Image
from playwright.sync_api import expect

from tracker_server.sample import generate_workspace
from tracker_server.workspace import Workspace

from ..support.browser import BrowserSession, Dashboard, visit
from ..support.command import load_served
from .page_checks import PAGES, PageChecks

pytestmark = pytest.mark.integration


# a CSV alone


def test_csv_export_gets_velocity_lead_time_board_and_search(
    shop: Dashboard, browser: BrowserSession
) -> None:
    points = shop.query(
        "SELECT iteration_number, sum(estimate) FROM iterations__story_ids i JOIN stories s "
        "ON s.id = i.value WHERE s.current_state = 'accepted' GROUP BY 1 ORDER BY 1 DESC"
    )
    with visit(browser) as session:
        checks = PageChecks(session, shop, shop.latest_project()[0], has_transitions=False)
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
    session.assert_no_error()
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
        rows = session.tables.locator("tbody tr")
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
            session.assert_no_error()
        project = empty.number(f"SELECT id FROM projects WHERE name = '{name}'")
        PageChecks(session, empty, project).all_pages()
        _assert_long_list_is_shown_on_request(session, empty, project)
        session.open(f"{empty.url}/stories?q=type:bug+state:started")
        count = empty.number(
            "SELECT count(*) FROM stories WHERE story_type = 'bug' AND current_state = 'started'"
        )
        assert session.status().startswith(f"{count} stor")


def _assert_long_list_is_shown_on_request(
    session: BrowserSession, dashboard: Dashboard, project: int
) -> None:
    unscheduled = dashboard.number(
        "SELECT count(*) FROM stories WHERE current_state = 'unscheduled' "
        f"AND project_id = {project}"
    )
    session.open(f"{dashboard.url}/board?project={project}")
    icebox = session.page.get_by_role("region", name="Icebox")
    expect(icebox.locator("li")).to_have_count(50)
    icebox.get_by_role("link", name=f"Show all {unscheduled} stories").click()
    expect(icebox.locator("li")).to_have_count(unscheduled)


# empty, partial and hostile data


def test_empty_workspace_says_so(empty: Dashboard, browser: BrowserSession) -> None:
    load_served(generate_workspace(projects=0), empty.command)
    with visit(browser) as session:
        session.load(empty.url)
        for title in PAGES:
            session.go_to(title)
            expect(session.page.get_by_text("This workspace has no projects")).to_be_visible()
            session.assert_no_error()
        session.go_to("Inspect")
        session.assert_no_error()
        session.open_part("Runs", ":text('The last run on this machine')")


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
        session.assert_no_error()


def _assert_nothing_ran(session: BrowserSession) -> None:
    """No element was made by a text, and no address that a browser would run."""
    session.assert_no_error()
    assert "\\_" not in session.text()
    app = session.page.locator("[data-testid=stApp]")
    assert app.locator("iframe, svg[onload], [onerror], [onload]").count() == 0
    for attribute in ("href", "src"):
        read = f"nodes => nodes.map(node => node.getAttribute('{attribute}'))"
        for address in app.locator(f"[{attribute}]").evaluate_all(read):
            assert not address.lower().startswith(("javascript:", "data:text", "vbscript:"))
            assert attribute == "href" or "spy.example" not in address
