"""Pictures of all pages: `make screenshots` takes them."""

from __future__ import annotations

import io
import os
import re

import pytest
from PIL import Image

from ..support.browser import BrowserSession, Dashboard, visit
from ..support.command import ROOT
from .page_checks import WIDTHS, paths_of_all_pages

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif("SCREENSHOTS" not in os.environ, reason="only on request: make screenshots"),
]

README_PICTURES = {
    "overview": "?period=52w",
    "board": "board?panel=Current&panel=Backlog&panel=Icebox",
    "stories": "stories?q=flat+tyre",
    "iteration": "iteration",
}


def test_screenshots_for_the_readme(sample: Dashboard, browser: BrowserSession) -> None:
    with visit(browser) as session:
        session.open_once_indexed(f"{sample.url}/stories?q=tyre")
        for name, path in README_PICTURES.items():
            session.open(f"{sample.url}/{path}")
            session.page.wait_for_timeout(1500)  # charts are drawn after the page
            with Image.open(io.BytesIO(session.page.screenshot())) as taken:
                picture = ROOT / "docs" / "images" / f"dashboard-{name}.png"
                taken.convert("RGB").quantize(128).save(picture)


def test_screenshots_of_all_pages(sample: Dashboard, browser: BrowserSession) -> None:
    _take_screenshots(sample, browser, "")


def test_screenshots_of_all_pages_of_a_csv(shop: Dashboard, browser: BrowserSession) -> None:
    _take_screenshots(shop, browser, "csv-")


def _take_screenshots(dashboard: Dashboard, browser: BrowserSession, prefix: str) -> None:
    """In all widths, light and dark."""
    folder = ROOT / os.environ["SCREENSHOTS"]
    folder.mkdir(parents=True, exist_ok=True)
    with visit(browser) as session:
        for dark in (False, True):
            session.dark(dark)
            for path in paths_of_all_pages(dashboard):
                session.open(f"{dashboard.url}/{path}")
                name = re.split(r"\W", path)[0] or ("project-all" if path else "project")
                for width in WIDTHS:
                    _whole_page(session, width)
                    picture = folder / f"{prefix}{name}-{width}{'-dark' if dark else ''}.png"
                    session.page.screenshot(path=picture)
        session.page.set_viewport_size({"width": 1280, "height": 900})


def _whole_page(session: BrowserSession, width: int) -> None:
    """Make the window as high as the page."""
    height = 900
    for _ in range(2):
        session.page.set_viewport_size({"width": width, "height": height})
        session.wait_idle()
        session.page.wait_for_timeout(700)
        height = session.page.locator("[data-testid=stMain]").evaluate("main => main.scrollHeight")
