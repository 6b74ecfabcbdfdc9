"""`python -m benchmarks.dashboard` prints how fast the dashboard's pages are, as a table.

It loads a generated workspace with the command (once: into a folder that is kept with `--folder`),
runs the dashboard and an empty Streamlit app, and drives both in one Chromium. A page counts as
shown when its script has run, no placeholder is left and all its charts are drawn.
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
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from shutil import copytree, which
from statistics import median

from playwright.sync_api import Page, sync_playwright

from tracker_server import TrackerServer
from tracker_server.sample import generate_workspace

from .server import ROOT

_EMPTY_APP = "import streamlit as st\nst.title('Empty')\n"

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
_SEARCHES = ("customer invoice", "label:design type:bug", "printer OR owner:ada", '"flat tyre"')

_WATCH = """
() => {
  const placeholder = {longest: 0, since: null};
  window.watch = {
    start: performance.now(), placeholder,
    settled: (address) => {
      const app = document.querySelector('[data-testid=stApp]');
      if (!app || app.dataset.testScriptState !== 'notRunning') return false;
      if (document.querySelector('[data-testid=stSkeleton], [data-stale=true]')) return false;
      if (!document.querySelector('h1')) return false;
      if (address && !location.href.includes(address)) return false;
      return [...document.querySelectorAll('[data-testid=stVegaLiteChart]')].every(
        chart => chart.querySelector('svg.marks, canvas.marks'));
    },
  };
  const look = () => {
    const now = performance.now();
    if (document.querySelector('[data-testid=stSkeleton], [data-testid=stAppSkeleton]')) {
      placeholder.since ??= now;
      placeholder.longest = Math.max(placeholder.longest, now - placeholder.since);
    } else placeholder.since = null;
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}
"""
"""Runs in the browser before the page: it knows when the page is shown."""

_UNTIL_SHOWN = """
(address) => new Promise(resolve => {
  const look = () => {
    if (window.watch.settled(address)) resolve(performance.now());
    else requestAnimationFrame(look);
  };
  look();
})
"""

_CLICK = """
(title) => {
  const links = [...document.querySelectorAll('nav.menu a')];
  window.watch.start = performance.now();
  window.watch.placeholder.longest = 0;
  links.find(link => link.textContent === title).click();
}
"""


def main() -> None:
    """Runs the command."""
    options = _options()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        _load(folder, options.projects, options.stories)
        empty = Path(temporary) / "empty.py"
        empty.write_text(_EMPTY_APP, encoding="utf-8")
        with (
            _app(ROOT / "pivotal_tracker_dashboard.py", folder) as dashboard,
            _app(empty, folder) as empty_app,
            sync_playwright() as playwright,
        ):
            chromium = playwright.chromium.launch(
                executable_path=which("chromium") or which("chromium-browser"),
                args=["--no-sandbox", "--disable-gpu"],
            )
            context = chromium.new_context(viewport={"width": 1280, "height": 900})
            context.add_init_script(f"({_WATCH})()")
            page = context.new_page()
            print(_first_visit(page, dashboard))
            print(_table(page, dashboard, empty_app, options.runs))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.dashboard",
        description="Loads a generated workspace and prints how fast the dashboard shows it.",
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
    """Loads a generated workspace, unless the folder has a database."""
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
def _app(script: Path, folder: Path) -> Iterator[str]:
    """Runs a Streamlit app; gives its address."""
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
        _wait_until_it_serves(url)
        yield url
    finally:
        process.terminate()
        process.wait()


def _wait_until_it_serves(url: str) -> None:
    for _ in range(600):
        try:
            with urllib.request.urlopen(f"{url}_stcore/health", timeout=5):  # noqa: S310 - our own
                return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(url)


def _first_visit(page: Page, dashboard: str) -> str:
    """The first visit after a load, and how long the search index takes."""
    first = _open(page, dashboard)
    started = time.monotonic()
    page.goto(f"{dashboard}stories?q=customer")
    while "full-text" not in page.locator("[role=status]").first.inner_text():
        time.sleep(1)
        page.goto(f"{dashboard}stories?q=customer")
        page.locator("[role=status]").first.wait_for()
    waited = time.monotonic() - started
    return f"First page after a load: {first:.2f} s; full-text index after {waited:.0f} s more.\n"


def _open(page: Page, url: str) -> float:
    """Opens an address; returns the seconds until the page is shown."""
    page.goto(url, wait_until="commit")
    return float(page.evaluate(_UNTIL_SHOWN, "")) / 1000


def _click(page: Page, title: str, path: str) -> float:
    """Clicks a page of the menu; returns the seconds until it is shown."""
    page.evaluate(_CLICK, title)
    page.wait_for_selector(f"nav.menu a[aria-current=page]:text-is('{title}')")
    return float(page.evaluate(f"async a => await ({_UNTIL_SHOWN})(a) - watch.start", path)) / 1000


def _search(page: Page, words: str) -> float:
    """Searches from the Project page; returns the seconds until the results are shown."""
    field = page.get_by_role("searchbox", name="Search stories")
    field.fill(words)
    page.evaluate("watch.start = performance.now(); watch.placeholder.longest = 0")
    page.keyboard.press("Enter")
    page.wait_for_selector("[role=status]")
    return float(page.evaluate(f"async a => await ({_UNTIL_SHOWN})(a) - watch.start", "q=")) / 1000


def _placeholder(page: Page) -> float:
    return float(page.evaluate("watch.placeholder.longest")) / 1000


def _project_ids(page: Page, dashboard: str) -> list[str]:
    """The projects that the table of all projects links to, except the latest, which is cached."""
    _open(page, f"{dashboard}?project=all")
    links = page.locator("table a[data-page=project]")
    addresses = links.evaluate_all("links => links.map(link => link.href)")
    return [address.rsplit("=", 1)[1] for address in addresses][1:]


def _table(page: Page, dashboard: str, empty_app: str, runs: int) -> str:
    """The medians of all pages; an empty page is opened before each fresh one.

    Each visit is to another project, so that no rows are cached from an earlier one.
    """
    projects = cycle(_project_ids(page, dashboard))
    lines = [
        "| page | after a click | fresh | empty page | fresh / empty | longest placeholder |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for title, path in _PAGES.items():
        clicked, fresh, empty, placeholders = [], [], [], []
        for _ in range(runs):
            empty.append(_open(page, empty_app))
            fresh.append(_open(page, f"{dashboard}{path}?project={next(projects)}"))
            placeholders.append(_placeholder(page))
            before = "inspect" if title == "Stories" else "stories"
            _open(page, f"{dashboard}{before}?project={next(projects)}")
            clicked.append(_click(page, title, path))
            placeholders.append(_placeholder(page))
        lines.append(
            f"| {title} | {median(clicked):.2f} s | {median(fresh):.2f} s | {median(empty):.2f} s "
            f"| {median(fresh) / median(empty):.2f} | {max(placeholders):.2f} s |"
        )
        print(lines[-1], file=sys.stderr)
    for words in _SEARCHES:
        searched = []
        for run in range(runs):
            _open(page, dashboard)
            # another number each time, so that no result is cached
            searched.append(_search(page, f"{words} -id:{run}"))
        lines.append(f"| search `{words}` | {median(searched):.2f} s | | | | |")
        print(lines[-1], file=sys.stderr)
    return "\n".join(lines)


if __name__ == "__main__":
    main()
