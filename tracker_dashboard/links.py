"""Addresses of the dashboard's pages.

The address holds everything that a page shows, so that it can be shared and the browser's Back
button returns to it. `assets/dashboard.js` follows links without loading the dashboard again, which
has the same result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from . import text

_ASSETS = Path(__file__).parent / "assets"
_SCRIPT = (_ASSETS / "dashboard.js").read_text(encoding="utf-8")

ALL = "all"
"""The project in an address that shows all projects."""

HOME = "project"
"""The page without a name in its address."""

Params = Mapping[str, Sequence[str]]
"""The parameters of an address, each with its values."""


def page_url(page: str, /, **params: Any) -> str:
    """Return the address of a page, relative to any other. Leave out parameters that are `None`."""
    given = {name: value for name, value in params.items() if value not in (None, "", ())}
    path = "./" if page == HOME else page
    return f"{path}?{urlencode(given, doseq=True)}" if given else path


def link(page: str, shown: str, title: str = "", /, **params: Any) -> text.Html:
    """Return HTML of a link to a page.

    Args:
        page: The page's name.
        shown: HTML of the link's text.
        title: What to show on hover.
        params: What the page is to show.
    """
    hover = f' title="{text.plain(title)}"' if title else ""
    return text.Html(
        f'<a data-page="{page}" href="{text.plain(page_url(page, **params))}"{hover}>{shown}</a>'
    )


def story_link(story_id: int, name: Any, project: int | str | None) -> text.Html:
    """Return HTML of a link to a story by its name.

    Args:
        story_id: The story.
        name: Its name; a story without one is shown by its number.
        project: The project that stays chosen.
    """
    shown = name if isinstance(name, str) and name.strip() else f"#{story_id}"
    return link("story", text.isolated(shown), project=project, id=story_id)


def with_class(anchor: text.Html, name: str) -> text.Html:
    """Return HTML of a link with a class of the style sheet."""
    return text.Html(anchor.replace("<a ", f'<a class="{name}" ', 1))


def search_link(query: str, shown: Any, project: int | str | None = None) -> text.Html:
    """Return HTML of a link to the stories that a search finds."""
    html = shown if isinstance(shown, text.Html) else text.isolated(shown)
    return link("stories", html, f"Stories: {query}", q=query, project=project)


def chosen_project() -> str | None:
    """Return the project of the address, `None` if it names none."""
    return st.query_params.get("project")


def params_of_address() -> Params:
    """Return the parameters of the address."""
    return {name: st.query_params.get_all(name) for name in st.query_params}


def last_value(params: Params, name: str) -> str:
    """Return the last value of a parameter, empty without one."""
    *_, value = params.get(name, [""])
    return value


def with_project(params: Params, project: int) -> Params:
    """Return parameters in a fixed order, with a project, which the address need not name."""
    return dict(sorted({**params, "project": [str(project)]}.items()))


def follow_links() -> None:
    """Make links open pages without loading the dashboard again."""
    st.html(f"<script>{_SCRIPT}</script>", unsafe_allow_javascript=True)


def go_to(url: str) -> None:
    """Open another page in place of this one, to which Back does not return, and end this run.

    `st.switch_page` adds addresses to the browser's history that mix two pages, to which the Back
    button would return.
    """
    target = text.plain(url)
    st.html(
        f'<a id="go-to" hidden data-page data-replace href="{target}"></a>'
        "<script>setTimeout(() => document.getElementById('go-to')?.click())</script>",
        unsafe_allow_javascript=True,
    )
    st.stop()
