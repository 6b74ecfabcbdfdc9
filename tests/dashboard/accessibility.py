"""What axe-core reports about the accessibility of a page."""

from __future__ import annotations

from collections.abc import Sequence

from axe_playwright_python.sync_playwright import Axe

from ..support.browser import BrowserSession

ALL_RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
"""Of WCAG 2.2, levels A and AA, and for the order of headings."""

COLOR_RULES = ("color-contrast", "link-in-text-block")
"""Those whose result depends on dark or light colours."""


def axe_violations(
    session: BrowserSession, place: str, rules: Sequence[str] = ALL_RULES
) -> list[str]:
    """Return what axe-core reports at a place."""
    options = {"runOnly": list(rules), "resultTypes": ["violations"]}
    results = Axe().run(session.page, options=options).response
    return [
        f"{place} {violation['id']}: {node['html'][:200]} {node['failureSummary'][:300]}"
        for violation in results["violations"]
        for node in violation["nodes"]
    ]
