"""The dashboard as a person meets it: `streamlit run` as a process, and Chromium to look at it."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import duckdb
import pytest
from playwright.sync_api import Page, expect, sync_playwright

from .conftest import ROOT, Command

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE = 30_000
"""Milliseconds; a machine may be busy."""

expect.set_options(timeout=PATIENCE)

PROBES = re.compile(r"/[a-z]+/_stcore/(health|host-config)$")
"""What Streamlit's client asks for to find out its base address when a page other than the first
is opened: all but one of the answers are 404."""


@dataclass
class Dashboard:
    """A dashboard that is being served, of whatever its command loads.

    Attributes:
        url: Where.
        command: What loads for it.
        database: What was loaded last.
    """

    url: str
    command: Command
    database: Path

    def query(self, sql: str) -> list[tuple[object, ...]]:
        """Rows of its database, got without the dashboard."""
        with duckdb.connect(str(self.database), read_only=True) as connection:
            connection.execute("SET schema = 'tracker'; SET TimeZone = 'UTC'")
            return connection.execute(sql).fetchall()

    def number(self, sql: str) -> int:
        """The one number that a query gives."""
        return int(float(str(self.query(sql)[0][0])))


@contextmanager
def serve(command: Command) -> Iterator[Dashboard]:
    """Serves the dashboard of what a command loads, before or meanwhile."""
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
        _await(f"{url}/_stcore/health")
        yield Dashboard(url, command, command.database)
    finally:
        process.terminate()
        process.wait(10)


def _await(url: str) -> None:
    until = time.monotonic() + PATIENCE / 1000
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - ours
                return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


@dataclass
class Visitor:
    """A person in front of the browser, and what the browser does behind their back.

    Attributes:
        page: Where they are.
        complaints: Errors in the console, uncaught exceptions, dialogs.
        strange: Addresses asked for that are not the dashboard's own.
    """

    page: Page
    complaints: list[str] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(PATIENCE)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(f"dialog {dialog.message}"))
        self.page.on(
            "console",
            lambda message: (
                self.complaints.append(f"{message.text} {message.location['url']}")
                if message.type == "error" and not PROBES.search(message.location["url"])
                else None
            ),
        )
        self.page.on("request", lambda request: self._note(request.url))

    def _note(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob") and parts.hostname != "127.0.0.1":
            self.strange.append(url)

    def open(self, url: str) -> None:
        """Opens an address and waits for the page to be there."""
        self.page.goto(url)
        self.page.locator("h1").first.wait_for()
        self.settle()

    def turn_to(self, title: str) -> None:
        """Clicks on a page's name in the sidebar and waits for the page to be there."""
        self.page.get_by_role("link", name=title, exact=True).click()
        expect(self.page.locator("h1").first).to_have_text(title)
        self.settle()

    def search(self, words: str) -> None:
        """Types words to search for."""
        self.page.get_by_role("textbox", name="Search").fill(words)
        self.page.keyboard.press("Enter")

    def dark(self, dark: bool) -> None:
        """Has the system be dark, or light."""
        self.page.emulate_media(color_scheme="dark" if dark else "light")

    def settle(self) -> None:
        """Waits until the page is done, and each of its parts there."""
        self.page.wait_for_function(
            """() => document.querySelector('[data-testid=stApp]')?.dataset.testScriptState
                === 'notRunning' && !document.querySelector('[data-testid=stSkeleton]')"""
        )

    def download(self, label: str, index: int = 0) -> bytes:
        """Clicks on a button that gives a file."""
        with self.page.expect_download() as download:
            button = self.page.get_by_test_id("stDownloadButton").filter(has_text=label)
            button.nth(index).get_by_role("button").click()
        return Path(download.value.path()).read_bytes()

    def text(self) -> str:
        """Everything that can be read on the page."""
        return self.page.locator("[data-testid=stMain]").inner_text()


@pytest.fixture(scope="module")
def browser() -> Iterator[Visitor]:
    """Chromium with one tab, in which an address is opened for half of what a new tab takes."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed (apt-get install chromium, or make browser)")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        context = chromium.new_context(viewport={"width": 1280, "height": 900})
        yield Visitor(context.new_page())
        chromium.close()


@contextmanager
def visit(browser: Visitor) -> Iterator[Visitor]:
    """A visit, which ends without having met an error or a stranger."""
    browser.dark(False)
    browser.complaints.clear()
    browser.strange.clear()
    try:
        yield browser
    except Exception as error:
        shown = browser.page.locator("body").inner_text()
        error.add_note(f"At {browser.page.url} the page said:\n{shown}")
        raise
    assert not browser.complaints
    assert not browser.strange
