"""The top of every page: the choice of a project, the search field, and the menu."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd
import streamlit as st
from pandas import DataFrame

from . import controls, text
from .components import show_title
from .errors import MissingTableError
from .links import ALL, HOME, chosen_project, go_to, link, page_url
from .queries import projects as project_queries
from .queries.build import Scope
from .session import dataset, rows

MENU = (
    (HOME, "Project"),
    ("iteration", "Iteration"),
    ("board", "Board"),
    ("stories", "Stories"),
    ("flow", "Flow"),
    ("progress", "Epics and releases"),
    ("people", "People"),
    ("inspect", "Inspect"),
)

_PAGES_OF_ALL_PROJECTS = ("stories", "inspect", "story")
"""Pages that show all projects unless one is chosen; the others start with the latest one."""


@dataclass(frozen=True)
class Selection:
    """What the top of the page has chosen.

    Attributes:
        projects: Every project: `id`, `name`, `time_zone`, `last_event` and others.
        project: The id of the project, `None` for all projects.
    """

    projects: DataFrame
    project: int | None

    @property
    def scope(self) -> Scope:
        """The projects to show."""
        return Scope((self.project,) if self.project is not None else ())

    @cached_property
    def only(self) -> Any:
        """The row of the project, or of the latest one if all are chosen."""
        chosen = self.projects[self.projects["id"] == self.project]
        return next((chosen if len(chosen) else self.projects).itertuples())


def show_header(page: str) -> Selection:
    """Show the top of a page.

    Args:
        page: The page that is open.
    """
    projects = _projects(page)
    with st.container(key="header"):
        choice, search = st.columns([2, 3])
        with choice:
            project = _choose_project(projects, page)
        with search, st.container(horizontal=True, vertical_alignment="bottom"):
            _search_field(page)
            with st.popover("?", help="How to search", width="content"):
                st.markdown(HELP)
        st.html(_menu(page))
    return Selection(projects, project)


def _projects(page: str) -> DataFrame:
    """Return every project; end the page if there are none, unless it can do without."""
    try:
        (projects,) = rows(project_queries.projects())
    except MissingTableError:
        if page != "inspect":
            st.html(_menu(page))
            raise
        projects = DataFrame({name: [] for name in ("id", "name", "time_zone", "last_event")})
    if projects.empty and page != "inspect":
        st.html(_menu(page))
        show_title("No projects")
        st.info(
            "This workspace has no projects, so there is nothing to show. If it should have some, "
            "check what the token can see: `python pivotal_tracker_pipeline.py --check`. "
            "Inspect shows the tables."
        )
        st.stop()
    return projects


def _choose_project(projects: DataFrame, page: str) -> int | None:
    names = {str(row.id): row.name for row in projects.itertuples()}
    options = [*names, ALL]
    latest = next(iter(names), ALL)
    default = ALL if page in _PAGES_OF_ALL_PROJECTS else latest
    chosen = controls.choice_param(
        "Project",
        "project",
        options,
        default,
        lambda option: "All projects" if option == ALL else text.one_line(names[option]),
        drops=("page", "number", "before", "id", "story"),
        filter_mode="contains",
    )
    if page in ("iteration", "board") and chosen == ALL:
        chosen = latest
    return int(chosen) if chosen != ALL else None


def _search_field(page: str) -> None:
    """Show the search field, which filters the Stories page and opens it from elsewhere."""
    typed = controls.text_param(
        "Search stories",
        "q",
        placeholder='words, "a phrase", label:design, #12345 …',
        icon=":material/search:",
        type="search",
    )
    if typed and page != "stories":
        go_to(page_url("stories", q=typed, project=chosen_project()))


def _menu(page: str) -> str:
    """Return the menu; each link keeps the chosen project, and Stories its last search."""
    last = dict(st.session_state.get("last_search", {}))
    links = []
    for name, title in MENU:
        params = last if name == "stories" and page != "stories" else {}
        params = {**params, "project": chosen_project()}
        anchor = link(name, title, **params)
        if name == page:
            anchor = text.Html(anchor.replace("<a ", '<a aria-current="page" ', 1))
        links.append(anchor)
    return f'<nav class="menu" aria-label="Pages">{"".join(links)}</nav>'


def data_note(selection: Selection) -> str:
    """Return where the data comes from and how far it reaches."""
    source = dataset()
    last_event = selection.projects["last_event"].max()
    if selection.project is not None:
        last_event = selection.only.last_event
    until = "" if pd.isna(last_event) else f" · last change {text.day(last_event)}"
    return (
        f"Pipeline {source.name}, {source.destination_name}, dataset {source.dataset_name}{until}"
    )


HELP = """
**Words** match any of their forms, in names, descriptions, comments, tasks, labels and people.
All terms must match.

| Type | To find |
|---|---|
| `"flat tyre"` | exactly this text |
| `label:design`, `label:"on hold"` | stories with a label |
| `type:bug`, `state:started`, `state:open` | by type or state; open ones are not accepted |
| `owner:ada`, `requester:ada`, `commenter:ada` | by a part of a name, or by initials |
| `owner:none`, `estimate:none` | without an owner or an estimate |
| `epic:checkout`, `release:"2.0"`, `iteration:45` | by what they belong to |
| `id:12345`, `#12345`, a story's address | one story |
| `created:2024-03`, `accepted:2024-01-15..2024-02-01`, `updated:>=2024` | by date |
| `has:attachment`, `has:comment`, `has:blocker`, `has:pr` | with something attached |
| `has:rejection` | rejected at least once |
| `-label:design` | everything but this |
| `crash OR error`, `(a OR b) type:bug` | any of several |
"""
