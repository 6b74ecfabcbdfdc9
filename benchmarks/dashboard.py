"""`python -m benchmarks.dashboard` prints how fast the dashboard's pages are, as a table.

It loads a generated workspace with the command (once: into a folder that is kept with `--folder`),
runs the dashboard and an empty Streamlit app, and drives both in one Chromium. Times are medians in
seconds.
"""

from __future__ import annotations

import argparse
import gc
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from shutil import copytree, which
from statistics import median

from playwright.sync_api import Page, sync_playwright
from psutil import NoSuchProcess, Process

from tracker_server import TrackerServer
from tracker_server.sample import generate_workspace

from .server import ROOT

_OPTIONS = (
    "--server.headless=true",
    "--server.fileWatcherType=none",
    "--browser.gatherUsageStats=false",
)

_PAGES = {
    "Project": "",
    "Iteration": "iteration",
    "Board": "board",
    "Stories": "stories",
    "Flow": "flow",
    "Epics and releases": "progress",
    "People": "people",
    "Inspect": "inspect",
}
_EMPTY_APP = f"""
import streamlit as st

def empty():
    st.title("Empty")

paths = {[*_PAGES.values()]}
pages = [st.Page(empty, title=path or "Project", url_path=path or "project", default=not path)
         for path in paths]
st.navigation(pages, position="hidden").run()
"""
"""An app with an empty page for each page of the dashboard. Streamlit takes longer for an address
with a name in it: its client looks for the server below that name first."""

_COLUMNS = ("shown", "drawn", "cpu")
_SEARCHES = ("customer invoice", "label:design type:bug", "printer OR owner:ada", '"flat tyre"')

_WATCH = """
() => {
  const find = (selector) => document.querySelector(selector);
  const undrawn = '[data-testid=stFullScreenFrame]:not([data-drawn])';
  window.watch = { start: 0, longest: 0, since: null };
  window.watch.shown = (address) =>
    find('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning' && find('h1')
    && !find('[data-stale=true]') && location.href.includes(address);
  window.watch.drawn = () => !find('[data-testid=stSkeleton]') && !find(undrawn)
    && [...document.querySelectorAll('[data-testid=stVegaLiteChart]')].every(
      chart => chart.querySelector('svg.marks'));
  const look = () => {
    const now = performance.now();
    if (find('[data-testid=stSkeleton], [data-testid=stAppSkeleton]') || find(undrawn)) {
      watch.since ??= now;
      watch.longest = Math.max(watch.longest, now - watch.since);
    } else watch.since = null;
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}
"""
"""Runs in the browser before the page; detects when the page is shown and its charts are drawn."""

_WAIT = """
(address) => new Promise((resolve, reject) => {
  setTimeout(() => reject(Error(`${location.href} is not drawn after 30 s`)), 30_000);
  let shown;
  const look = () => {
    if (!shown && watch.shown(address)) shown = performance.now() - watch.start;
    if (shown && watch.drawn())
      resolve([shown, performance.now() - watch.start, watch.longest]);
    else requestAnimationFrame(look);
  };
  look();
})
"""

_START = "watch.start = performance.now(); watch.longest = 0;"
_CLICK = f"""
(title) => {{
  {_START}
  [...document.querySelectorAll('nav.menu a')].find(link => link.textContent === title).click();
}}
"""


@dataclass(frozen=True)
class App:
    """A running Streamlit app."""

    url: str
    process: Process


@dataclass(frozen=True)
class Visit:
    """One visit of a page.

    Attributes:
        shown: Seconds until its script has run and its texts are shown.
        drawn: Seconds until its charts are drawn too.
        placeholder: The longest time for which a placeholder was visible.
        cpu: Seconds of processor time that the server and the browser spent on it. Unlike the
            others, it hardly depends on what else the machine does.
    """

    shown: float
    drawn: float
    placeholder: float
    cpu: float


class Visitor:
    """Visits the pages of an app in a browser."""

    def __init__(self, page: Page, browser: Process) -> None:
        self._page = page
        self._browser = browser

    def open(self, app: App, path: str = "") -> Visit:
        """Open an address, as in a new tab."""
        return self._visit(app, lambda: self._page.goto(app.url + path, wait_until="commit"), "")

    def click(self, app: App, title: str, path: str) -> Visit:
        """Click a page of the menu."""

        def act() -> None:
            self._page.evaluate(_CLICK, title)
            current = f"nav.menu a[aria-current=page]:text-is('{title}')"
            self._page.wait_for_selector(current)

        return self._visit(app, act, path)

    def search(self, app: App, words: str) -> Visit:
        """Search from the page that is open."""

        def act() -> None:
            self._page.get_by_role("searchbox", name="Search stories").fill(words)
            self._page.evaluate(_START)
            self._page.keyboard.press("Enter")
            self._page.wait_for_selector("[role=status]")

        return self._visit(app, act, "q=")

    def result_line(self) -> str:
        """Return the line above the results: their number, and how they were found."""
        return self._page.locator("[role=status]").first.inner_text()

    def linked_projects(self) -> list[str]:
        """Return the projects that the table of all projects links to."""
        links = self._page.locator("table a[data-page=project]")
        addresses = links.evaluate_all("links => links.map(link => link.href)")
        return [address.rsplit("=", 1)[1] for address in addresses]

    def _visit(self, app: App, act: Callable[[], object], address: str) -> Visit:
        before = _cpu_seconds(app.process, self._browser)
        act()
        milliseconds = self._page.evaluate(_WAIT, address)
        cpu = _cpu_seconds(app.process, self._browser) - before
        return Visit(*(value / 1000 for value in milliseconds), cpu)


def _cpu_seconds(*roots: Process) -> float:
    total = 0.0
    for root in roots:
        for process in (root, *root.children(recursive=True)):
            with suppress(NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
    return total


def main() -> None:
    """Run the command."""
    options = _options()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        _load(folder, options.projects, options.stories)
        empty = Path(temporary) / "empty.py"
        empty.write_text(_EMPTY_APP, encoding="utf-8")
        with (
            _app(ROOT / "pivotal_tracker_dashboard.py", folder) as dashboard,
            _app(empty, folder) as empty_app,
            _browser() as visitor,
        ):
            print(_first_visit(visitor, dashboard))
            print(_pages(visitor, dashboard, empty_app, options.runs))
            print(_searches(visitor, dashboard, options.runs))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.dashboard",
        description="Load a generated workspace and print how fast the dashboard shows it.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--projects", type=int, default=20, help="projects of the workspace")
    add("--stories", type=int, default=5000, help="stories of each project")
    add("--runs", type=int, default=7, help="visits of each page")
    add("--folder", type=Path, help="where to keep the database, or where it is already")
    return parser.parse_args()


def _environment(folder: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "DLT_DATA_DIR": str(folder / "dlt"),
        "PYTHONPATH": str(ROOT),
    }


def _load(folder: Path, projects: int, stories: int) -> None:
    """Load a generated workspace, unless the folder has a database."""
    if list(folder.glob("*.duckdb")):
        return
    folder.mkdir(parents=True, exist_ok=True)
    copytree(ROOT / ".dlt", folder / ".dlt", dirs_exist_ok=True)
    workspace = generate_workspace(projects=projects, stories=stories)
    gc.freeze()
    with TrackerServer(workspace) as server:
        server_settings = {
            "SOURCES__PIVOTAL_TRACKER__BASE_URL": server.url,
            "SOURCES__PIVOTAL_TRACKER__API_TOKEN": workspace.me["api_token"],
        }
        subprocess.run(
            [sys.executable, str(ROOT / "pivotal_tracker_pipeline.py")],
            cwd=folder,
            env=_environment(folder) | server_settings,
            check=True,
        )


@contextmanager
def _app(script: Path, folder: Path) -> Iterator[App]:
    """Run a Streamlit app."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", str(script), *_OPTIONS, f"--server.port={port}"],
        cwd=folder,
        env=_environment(folder),
        stdout=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}/"
    try:
        _wait_for_server(url)
        yield App(url, Process(process.pid))
    finally:
        process.terminate()
        process.wait()


def _wait_for_server(url: str) -> None:
    for _ in range(600):
        try:
            with urllib.request.urlopen(f"{url}_stcore/health", timeout=5):  # noqa: S310 - our own
                return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(url)


@contextmanager
def _browser() -> Iterator[Visitor]:
    """Run Chromium with one tab."""
    with sync_playwright() as playwright:
        others = Process().children(recursive=True)
        chromium = playwright.chromium.launch(
            executable_path=which("chromium") or which("chromium-browser"),
            args=["--no-sandbox", "--disable-gpu"],
        )
        started = [child for child in Process().children(recursive=True) if child not in others]
        (process,) = (child for child in started if child.parent() not in started)
        context = chromium.new_context(viewport={"width": 1280, "height": 900})
        context.add_init_script(f"({_WATCH})()")
        yield Visitor(context.new_page(), process)
        chromium.close()


def _first_visit(visitor: Visitor, dashboard: App) -> str:
    """Measure the first visit after a load, and how long the work in the background takes."""
    first = visitor.open(dashboard).shown
    started = time.monotonic()
    visitor.open(dashboard, "stories?q=customer")
    while "full-text search" not in visitor.result_line():
        time.sleep(1)
        visitor.open(dashboard, "stories?q=customer")
    indexed = time.monotonic() - started
    _wait_until_idle(dashboard.process)
    prepared = time.monotonic() - started
    return (
        f"First page after a load: {first:.1f} s; full-text index {indexed:.0f} s later; "
        f"pages of the latest projects prepared {prepared:.0f} s later.\n"
    )


def _wait_until_idle(process: Process) -> None:
    used = 1.0
    while used > 0.1:
        before = _cpu_seconds(process)
        time.sleep(1)
        used = _cpu_seconds(process) - before


def _pages(visitor: Visitor, dashboard: App, empty_app: App, runs: int) -> str:
    """Measure all pages; an empty page is opened before each fresh one.

    Each visit is to another project, so that no rows are cached from an earlier one.
    """
    visitor.open(dashboard, "?project=all")
    projects = cycle(visitor.linked_projects()[1:])  # the latest one is cached
    lines = [
        "| page | after a click | drawn | CPU | fresh | drawn | CPU | empty page | CPU "
        "| fresh / empty | CPU | placeholder |",
        "|---" + "|--:" * 11 + "|",
    ]
    for title, path in _PAGES.items():
        empty, fresh, clicked = [], [], []
        for _ in range(runs):
            empty.append(visitor.open(empty_app, path))
            fresh.append(visitor.open(dashboard, f"{path}?project={next(projects)}"))
            before = "inspect" if title == "Stories" else "stories"
            visitor.open(dashboard, f"{before}?project={next(projects)}")
            clicked.append(visitor.click(dashboard, title, path))
        seconds = [_median(visits, name) for visits in (clicked, fresh) for name in _COLUMNS]
        seconds += [_median(empty, "shown"), _median(empty, "cpu")]
        ratios = (seconds[3] / seconds[6], seconds[5] / seconds[7])
        placeholder = max(visit.placeholder for visit in (*fresh, *clicked))
        cells = [f"{value:.2f}" for value in (*seconds, *ratios, placeholder)]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _searches(visitor: Visitor, dashboard: App, runs: int) -> str:
    """Measure searches from the Project page."""
    lines = ["\n| search | shown | CPU |", "|---|--:|--:|"]
    for words in _SEARCHES:
        searched = []
        for run in range(runs):
            visitor.open(dashboard)
            # another number each time, so that no result is cached
            searched.append(visitor.search(dashboard, f"{words} -id:{run}"))
        shown, cpu = _median(searched, "shown"), _median(searched, "cpu")
        lines.append(f"| `{words}` | {shown:.2f} | {cpu:.2f} |")
    return "\n".join(lines)


def _median(visits: Sequence[Visit], name: str) -> float:
    return median(getattr(visit, name) for visit in visits)


if __name__ == "__main__":
    main()
