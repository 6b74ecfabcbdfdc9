"""Fixtures: a dashboard in a browser, and what it shows."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import sync_playwright

from ..support.browser import BrowserSession, Dashboard, serve
from ..support.command import ROOT, Command
from ..support.exports import as_csv, table
from ..support.forking import ForkServer
from .shop_export import shop_export

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


@pytest.fixture(scope="module")
def browser() -> Iterator[BrowserSession]:
    """Run Chromium with one tab for all tests of a file: in new ones, pages open half as fast."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed (apt-get install chromium, or make system)")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        context = chromium.new_context(viewport={"width": 1280, "height": 900})
        yield BrowserSession(context.new_page())
        chromium.close()


@pytest.fixture(scope="module")
def dashboard(
    fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Dashboard]:
    """One dashboard for all tests of a file: it shows what its command loaded last."""
    folder = tmp_path_factory.mktemp("dashboard")
    shutil.copytree(ROOT / ".dlt", folder / ".dlt")
    with serve(Command(folder, fork_server=fork_server)) as dashboard:
        yield dashboard
    assert "Traceback" not in (folder / "dashboard.log").read_text(encoding="utf-8")


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


@pytest.fixture
def shop(empty: Dashboard) -> Dashboard:
    """Show a CSV export, and nothing else."""
    export = empty.command.folder / "shop_20160112_1200.csv"
    export.write_text(as_csv(table(shop_export())), encoding="utf-8")
    result = empty.command("--archive", str(export))
    assert result.returncode == 0, result.stderr
    return empty
