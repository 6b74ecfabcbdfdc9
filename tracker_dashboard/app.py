"""The frame of the pages: which pages there are, and what to show when something is missing."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import streamlit as st
from pandas import DataFrame, Series

from . import text
from .components import show_line, show_title
from .errors import (
    DashboardError,
    DatabaseLockedError,
    MissingTableError,
    MissingViewError,
    NothingLoadedError,
)
from .full_text import IndexUnavailableError
from .header import Selection, data_note, show_header
from .links import HOME, Params, follow_links, go_to, last_value, page_url, with_project
from .pages import board, flow, inspect, iteration, people, progress, project, stories, story
from .queries import metrics
from .queries import projects as project_queries
from .session import current_load, has_copy, index, prepare_in_background, rows

# Streamlit collects garbage after each page: what is imported by now need not be looked at again
gc.freeze()

_PAGES: dict[str, tuple[str, Callable[[Selection], None]]] = {
    "project": ("Project", project.render),
    "iteration": ("Iteration", iteration.render),
    "board": ("Board", board.render),
    "stories": ("Stories", stories.render),
    "story": ("Story", story.render),
    "flow": ("Flow", flow.render),
    "progress": ("Epics and releases", progress.render),
    "people": ("People", people.render),
    "inspect": ("Inspect", inspect.render),
}

_PREPARE: dict[str, Callable[[int, Params], None]] = {
    "project": project.prepare,
    "iteration": iteration.prepare,
    "board": board.prepare,
    "flow": flow.prepare,
    "people": people.prepare,
}
"""What prepares a page of one project, by the project's id and the parameters of the address."""

_PREPARED_PROJECTS = 20
"""For how many projects the pages are prepared in advance."""

_PREPARED_STORIES = 100_000
"""How many stories these projects may have in all; their pages take 200 MB of memory."""

_ICON = (
    "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 1 1'>"
    "<rect width='1' height='1' fill='%23e0712c'/></svg>"
)
"""An icon of Streamlit's own, or a picture, would be downloaded."""

_STYLE = (Path(__file__).parent / "assets" / "style.css").read_text(encoding="utf-8")


def main() -> None:
    """Show the page that the address names."""
    pages = [
        st.Page(_page(name, title, render), title=title, url_path=name, default=name == "project")
        for name, (title, render) in _PAGES.items()
    ]
    # the menu is our own: see links.py
    page = st.navigation(pages, position="hidden")
    title = f"{page.title} · Pivotal Tracker"
    st.set_page_config(page_title=title, page_icon=_ICON, layout="wide")
    st.html(f"<style>{_STYLE}</style>")
    follow_links()
    page.run()


def warm_up() -> None:
    """Read what the first page needs, before anybody opens it."""
    # whoever opens a page sees the error
    with suppress(DashboardError):
        current_load()
        prepare_in_background(_prepare_first)


def prepare_page(page: str, params: Params) -> None:
    """Prepare what a page is going to show, while the browser still starts Streamlit.

    Args:
        page: The page's name in the address; empty for the first one.
        params: The parameters of the address.
    """
    # whoever opens the page sees the error
    with suppress(DashboardError):
        (projects,) = rows(project_queries.projects())
        ids = {str(number): int(number) for number in projects["id"]}
        number = ids.get(last_value(params, "project") or next(iter(ids), ""))
        if page == "stories":
            shown = (number,) if number is not None and "project" in params else ()
            stories.prepare(last_value(params, "q"), last_value(params, "sort"), shown)
        elif number is not None and (page or HOME) in _PREPARE:
            _PREPARE[page or HOME](number, with_project(params, number))


def _page(name: str, title: str, render: Callable[[Selection], None]) -> Callable[[], None]:
    """Return a page that explains what keeps it from being shown."""

    def run() -> None:
        if name != "story" and "story" in st.query_params:
            # an address of earlier versions
            go_to(page_url("story", id=st.query_params["story"]))
        try:
            current_load()
            selection = show_header(name)
            render(selection)
            show_line(data_note(selection))
            prepare_in_background(_prepare_first)
        except NothingLoadedError as error:
            _show_first_steps(error)
        except DashboardError as error:
            _explain(title, error)

    return run


def _explain(title: str, error: DashboardError) -> None:
    """Say what keeps a page from being shown, and what to do about it."""
    show_title(title)
    if isinstance(error, DatabaseLockedError):
        st.warning(f"{error} Try again when it has finished.")
        st.button("Try again")
    elif isinstance(error, MissingViewError):
        st.info(
            "This page needs the metric views, which this dataset does not have. It was loaded "
            "with `--no-views`, with `--resource` and without all tables they need, or by an "
            "earlier version. Run `python pivotal_tracker_pipeline.py` without these options to "
            "create them. Stories and Inspect work without views."
        )
    elif isinstance(error, MissingTableError):
        st.info(
            "This page needs tables that this dataset does not have, because it was loaded with "
            "`--resource`. Run `python pivotal_tracker_pipeline.py` without this option to load "
            f"them. Inspect shows the tables there are. ({text.label(error)})"
        )
    else:
        st.error(text.label(error))


def _prepare_first() -> None:
    """Prepare the pages of the latest projects, and read what takes longest."""
    (projects,) = rows(project_queries.projects())
    if has_copy():
        numbers, pages = projects_to_prepare(projects), list(_PREPARE)
    else:
        # queries of the database itself may be slow or cost money
        numbers, pages = projects["id"].head(1), [HOME]
    steps: list[Callable[[], object]] = [
        partial(rows, metrics.epics()),
        partial(rows, metrics.releases()),
        index,
    ]
    steps += [
        partial(_PREPARE[page], int(number), with_project({}, int(number)))
        for number in numbers
        for page in pages
    ]
    for step in steps:
        started = time.monotonic()
        # whoever opens the page sees the error
        with suppress(DashboardError, IndexUnavailableError):
            step()
        # half of the time is left to pages that are opened meanwhile
        time.sleep(time.monotonic() - started)


def projects_to_prepare(projects: DataFrame) -> Series[int]:
    """Return the ids of the latest projects whose pages fit into memory, always the first one.

    Args:
        projects: `id`, and `stories`, which is missing if there are none; the latest first.
    """
    stories = projects["stories"].fillna(0).cumsum()
    return projects["id"][(stories <= _PREPARED_STORIES) | (projects.index == 0)].head(
        _PREPARED_PROJECTS
    )


def _show_first_steps(error: NothingLoadedError) -> None:
    show_title("Nothing to show yet")
    st.warning(text.label(error))
    st.markdown(
        "Load something, then reload this page:\n\n"
        "* a sample workspace: `python pivotal_tracker_pipeline.py --sample`\n"
        "* your own, from a server: `python pivotal_tracker_pipeline.py`\n"
        "* files of an export or a backup: "
        "`python pivotal_tracker_pipeline.py --archive PATH`\n\n"
        "To show a pipeline of another name: "
        "`streamlit run pivotal_tracker_dashboard.py -- --pipeline NAME`. If the package is "
        "installed, the commands are `pivotal-tracker` and `pivotal-tracker-dashboard`."
    )
