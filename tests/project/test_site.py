"""The documentation site builds without warnings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ..support.command import ROOT
from .conftest import Tool

REPOSITORY = "https://example.com/owner/repository"


@pytest.mark.integration
def test_site_builds_without_warnings(docs_tool: Tool, tmp_path: Path) -> None:
    site = tmp_path / "site"
    done = docs_tool(
        *("mkdocs", "build", "--strict", "--quiet", "--config-file", str(ROOT / "mkdocs.yml")),
        *("--site-dir", str(site)),
        REPOSITORY_URL=REPOSITORY,
        NO_MKDOCS_2_WARNING="1",
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")}
    built = {path.parent.name for path in site.glob("*/index.html")} | {"index"}
    assert pages <= built
    assert not list(site.rglob("*.py"))
    html = {path: path.read_text() for path in site.rglob("*.html")}
    # links to files of the repository, which the site does not have
    links = {link for text in html.values() for link in re.findall(r'href="([^"]+)"', text)}
    files = [link.removeprefix(f"{REPOSITORY}/") for link in links if link.startswith(REPOSITORY)]
    paths = [re.sub(r"^(blob|tree)/main/|#.*", "", link) for link in files if "/main/" in link]
    assert len(paths) > 10
    assert [path for path in paths if not (ROOT / path).exists()] == []
    reference = html[site / "api" / "index.html"]
    names = ("pivotal_tracker_source", "pivotal_tracker_archive", "create_views", "TrackerError")
    assert [name for name in names if name not in reference] == []
    # the page includes the README of the source
    assert "Mask, filter, sample" in html[site / "dlt_source" / "index.html"]
