"""Run the dashboard as a process, and use it in Chromium."""

from __future__ import annotations

import csv
import io
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote_plus, urlsplit

import duckdb
from playwright.sync_api import Locator, Page, expect

from .command import ROOT, Command

TIMEOUT = 30_000
"""Milliseconds; the machine may be busy."""

expect.set_options(timeout=TIMEOUT)

_FOLLOW_LINK = """([url, timeout]) => new Promise((resolve, reject) => {
    setTimeout(() => reject(Error(`nothing happens at ${url}`)), timeout);
    // wait until the page of the new address starts to run; if it ends at once, only its elements
    // tell that it ran
    new MutationObserver((_, observer) => { observer.disconnect(); resolve(); }).observe(
        document.querySelector('[data-testid=stApp]'),
        {attributeFilter: ['data-test-script-state'], childList: true, subtree: true}
    );
    const link = document.createElement('a');
    link.href = url;
    link.dataset.page = '';
    document.body.append(link);
    link.click();
    link.remove();
})"""


@dataclass
class Dashboard:
    """A running dashboard.

    Attributes:
        url: Its URL.
        command: The command that loads its data.
        database: The database that was loaded last.
    """

    url: str
    command: Command
    database: Path

    def query(self, sql: str) -> list[tuple[object, ...]]:
        """Return rows of the database, read without the dashboard."""
        with duckdb.connect(str(self.database), read_only=True) as connection:
            connection.execute("SET schema = 'tracker'; SET TimeZone = 'UTC'")
            return connection.execute(sql).fetchall()

    def number(self, sql: str) -> int:
        """Return the single number of a query."""
        return int(float(str(self.query(sql)[0][0])))

    def latest_project(self) -> tuple[int, str]:
        """Return the id and the name of the project that pages show first."""
        ((number, name),) = self.query(
            "SELECT p.id, p.name FROM projects p JOIN stories s ON s.project_id = p.id "
            "GROUP BY ALL ORDER BY max(s.updated_at) DESC, p.id LIMIT 1"
        )
        return int(str(number)), str(name)


@contextmanager
def serve(command: Command) -> Iterator[Dashboard]:
    """Run the dashboard of what a command loads, before or while the dashboard runs."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    script = str(ROOT / "pivotal_tracker_dashboard.py")
    options = ("--server.port", str(port), "--server.headless", "true")
    with (command.folder / "dashboard.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", script, *options],
            cwd=command.folder,
            env=command.environment(),
            stdout=log,
            stderr=log,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_healthy(f"{url}/_stcore/health")
        yield Dashboard(url, command, command.database)
    finally:
        process.terminate()
        process.wait(10)


_HOLD_FILE = """
import sys, time
import duckdb

# a page that is just reading the file lets go of it soon
for attempt in range(200):
    try:
        connection = duckdb.connect(sys.argv[1])
        break
    except duckdb.IOException:
        time.sleep(0.1)
print("held", flush=True)
input()
"""


@contextmanager
def locked(database: Path | str) -> Iterator[None]:
    """Another process writes to a DuckDB file."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD_FILE, str(database)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield
        holder.communicate("\n")


def _wait_until_healthy(url: str) -> None:
    deadline = time.monotonic() + TIMEOUT / 1000
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - our own server
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@dataclass
class BrowserSession:
    """A browser tab, with its errors and requests.

    Attributes:
        page: The tab.
        errors: Errors in the console, uncaught exceptions, dialogs.
        external_requests: URLs requested from other servers.
    """

    page: Page
    errors: list[str] = field(default_factory=list)
    external_requests: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(TIMEOUT)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("dialog", lambda dialog: self.errors.append(f"dialog {dialog.message}"))
        self.page.on(
            "console",
            lambda message: (
                self.errors.append(f"{message.text} {message.location['url']}")
                if message.type == "error"
                else None
            ),
        )
        self.page.on("request", lambda request: self._record_request(request.url))

    def _record_request(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob") and parts.hostname != "127.0.0.1":
            self.external_requests.append(url)

    def load(self, url: str) -> None:
        """Load the dashboard with a URL, as from a bookmark, and wait for the page."""
        self.page.goto(url)
        self.page.locator("h1").first.wait_for()
        self.wait_idle()

    def open(self, url: str) -> None:
        """Open a URL as a link of the dashboard does, and wait for the page.

        This takes half of the time of loading the dashboard again, which is only done if the tab
        shows something else.
        """
        if urlsplit(self.page.url).netloc != urlsplit(url).netloc:
            self.load(url)
            return
        # a download runs the page again
        self.wait_idle()
        self.page.evaluate(_FOLLOW_LINK, [url, TIMEOUT])
        self.wait_idle()

    def go_to(self, title: str) -> None:
        """Click a page in the menu, and wait for it."""
        menu = self.page.get_by_role("navigation", name="Pages")
        menu.get_by_role("link", name=title, exact=True).click()
        expect(menu.locator("[aria-current=page]")).to_have_text(title)
        self.wait_idle()

    def go_back(self, heading: str) -> None:
        """Click the browser's Back button, and wait for a page with a heading."""
        self.page.go_back()
        expect(self.page.get_by_role("heading", level=1)).to_contain_text(heading)
        self.wait_idle()

    @property
    def search_field(self) -> Locator:
        """The search field at the top of every page."""
        return self.page.get_by_role("searchbox", name="Search stories")

    @property
    def tables(self) -> Locator:
        """The tables of the page, without the one in the tooltip of a chart."""
        return self.page.locator("[data-testid=stMain] table")

    def search(self, words: str) -> None:
        """Type into the search field, and wait for the results."""
        self.search_field.fill(words)
        self.page.keyboard.press("Enter")
        expect(self.page).to_have_url(re.compile(f"/stories.*[?&]q={re.escape(quote_plus(words))}"))
        expect(self.page.get_by_role("heading", level=1)).to_have_text("Stories")
        expect(self.page.get_by_role("status").first).to_be_visible()
        self.wait_idle()

    def open_once_indexed(self, url: str) -> None:
        """Open a search again until the full-text index, which takes a moment, is there."""
        deadline = time.monotonic() + TIMEOUT / 1000
        self.open(url)
        while "full-text search" not in (shown := self.status()) and time.monotonic() < deadline:
            assert "index is being made" in shown
            self.open(url)

    def choose(self, label: str, option: str) -> None:
        """Choose an option of a select box."""
        self.page.get_by_role("combobox", name=label).click()
        self.page.get_by_role("option", name=option, exact=True).click()
        self.wait_idle()

    def open_part(self, part: str, landmark: str) -> None:
        """Choose a part of the Inspect page, and wait for an element of it."""
        self.page.get_by_role("radio", name=part, exact=True).click()
        self.page.locator(f"[data-testid=stMain] {landmark}").first.wait_for()
        self.assert_no_error()

    def dark(self, dark: bool) -> None:
        """Make the system prefer dark or light colours."""
        self.page.emulate_media(color_scheme="dark" if dark else "light")

    def wait_idle(self) -> None:
        """Wait until the script has run and all elements are shown."""
        # on a busy machine, a run of the script may start late
        for _ in range(2):
            self.page.wait_for_timeout(150)
            self.page.wait_for_function(
                """() => document.querySelector('[data-testid=stApp]')?.dataset.testScriptState
                    === 'notRunning' && !document.querySelector('[data-testid=stSkeleton]')
                    && !document.querySelector('[data-testid=stFullScreenFrame]:not([data-drawn])')
                """
            )

    def assert_no_error(self) -> None:
        """Assert that the page shows no error."""
        self.wait_idle()
        assert self.page.get_by_test_id("stException").count() == 0
        assert self.page.get_by_role("alert").filter(has_text="Error").count() == 0

    def figure(self, label: str) -> Locator:
        """Return the figure with a label."""
        return self.page.locator(".figure", has=self.page.locator(".figure-label", has_text=label))

    def metric(self, label: str) -> str:
        """Return the value of a figure."""
        return self.figure(label).locator(".figure-value").inner_text()

    def status(self) -> str:
        """Return the announced number of results."""
        return self.page.get_by_role("status").first.inner_text()

    def story_ids(self) -> list[int]:
        """Return the ids of the stories on the page, in order."""
        links = self.page.locator("ul.stories a[data-page=story]")
        addresses = links.evaluate_all("links => links.map(link => link.href)")
        return [int(address.rsplit("id=", 1)[1]) for address in addresses]

    def open_data_of(self, title: str) -> None:
        """Open the data and downloads below a chart."""
        heading = self.page.get_by_role("heading", name=title, exact=True)
        heading.locator("xpath=following::summary[1]").click()

    def download(self, label: str, index: int = 0) -> bytes:
        """Download a file."""
        button = self.page.get_by_test_id("stDownloadButton").filter(has_text=label)
        with self.page.expect_download() as download:
            button.nth(index).get_by_role("button").click()
        return Path(download.value.path()).read_bytes()

    def table(self, label: str, index: int = 0) -> list[dict[str, str]]:
        """Download a CSV, and return its rows."""
        content = self.download(label, index).decode()
        return list(csv.DictReader(io.StringIO(content)))

    def text(self) -> str:
        """Return the text of the page."""
        return self.page.locator("[data-testid=stMain]").inner_text()


@contextmanager
def visit(browser: BrowserSession) -> Iterator[BrowserSession]:
    """Check at the end that there were no errors and no requests to other servers."""
    browser.dark(False)
    browser.errors.clear()
    browser.external_requests.clear()
    try:
        yield browser
    except Exception as error:
        shown = browser.page.locator("body").inner_text()
        error.add_note(f"At {browser.page.url} the page showed:\n{shown}")
        # the next test loads the dashboard again
        browser.page.goto("about:blank")
        raise
    assert not browser.errors
    assert not browser.external_requests
