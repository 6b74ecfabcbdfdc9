"""Board: the panels of Pivotal Tracker, read-only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
import streamlit as st
from pandas import DataFrame

from .. import controls, text
from ..components import local_day, of_project, query_views, show_title
from ..header import Selection
from ..links import Params, last_value, link, params_of_address, search_link, with_project
from ..queries import board, metrics
from ..queries import projects as project_queries
from ..search_syntax import STORY_TYPES, quote
from ..session import Load, current_load, once_per_load, search_stories
from ..story_list import Details, details, first_stories, story_list
from ..text import Html

PANELS = ("Current", "Backlog", "Icebox", "Done", "Epics")
_DEFAULT_PANELS = ("Current", "Backlog", "Icebox")
_DONE_ITERATIONS = 8
"""How many iterations the Done panel shows at a time."""
_NO_STORIES = '<p class="empty">No stories</p>'


def render(selection: Selection) -> None:
    """Show the page."""
    project = int(selection.only.id)
    show_title("Board")
    params = with_project(params_of_address(), project)
    data = _read(current_load(), project, last_value(params, "before"))
    shown, matching = _filters(data, project)
    if matching is None:
        st.html(_panels(current_load(), project, shown, params))
    else:
        st.html(_Board(project, data.matching(matching), params).panels(shown))


def prepare(project: int, params: Params) -> None:
    """Prepare what the page shows without filters.

    Args:
        project: The id of the project.
        params: The parameters of the address.
    """
    chosen = controls.choices_in(params, "panel", PANELS, _DEFAULT_PANELS)
    _panels(current_load(), project, [name for name in PANELS if name in chosen], params)


@once_per_load
def _panels(load: Load, project: int, shown: list[str], params: Params) -> str:
    """Return HTML of panels with all their stories."""
    return _Board(project, _read(load, project, last_value(params, "before")), params).panels(shown)


@dataclass(frozen=True)
class _Rows:
    """What the page shows of one project.

    Attributes:
        time_zone: The time zone of the project.
        labels: The labels to filter by.
        owners: The owners to filter by.
        iterations: All iterations.
        stories: The open stories, with the forecast.
        done: The numbers of the iterations in the Done panel, the latest first.
        accepted: The accepted stories of these iterations and of the current one.
        details: The labels and owners of all stories.
    """

    time_zone: Any
    labels: DataFrame
    owners: DataFrame
    iterations: DataFrame
    stories: DataFrame
    done: list[int]
    accepted: DataFrame
    details: Details

    def matching(self, story_ids: set[int]) -> _Rows:
        """Return the same with some stories only."""
        stories, accepted = (
            frame[frame["id"].isin(story_ids)] for frame in (self.stories, self.accepted)
        )
        return replace(self, stories=stories, accepted=accepted)


@once_per_load
def _read(load: Load, project: int, before: str) -> _Rows:
    """Read what the page shows.

    Args:
        load: The load whose rows are read.
        project: The id of the project.
        before: The number of an iteration; the Done panel shows those before it. Empty for all.
    """
    (projects,) = query_views(project_queries.projects())
    labels, owners, iterations, stories = query_views(
        project_queries.label_names(project),
        project_queries.owner_names(project),
        board.iteration_list(project),
        board.open_stories(project),
    )
    (forecast,) = query_views(metrics.forecast())
    stories = with_forecast(stories, forecast)
    done = _done_numbers(iterations, before)
    shown = [*done, *_current_numbers(iterations)]
    (accepted,) = query_views(board.stories_of_iterations(project, tuple(shown)))
    return _Rows(
        projects.set_index("id")["time_zone"].get(project),
        labels,
        owners,
        iterations,
        stories,
        done,
        accepted,
        details((), project),
    )


def with_forecast(stories: DataFrame, forecast: DataFrame) -> DataFrame:
    """Open stories in the order of the backlog, with the iteration in which each is expected.

    Args:
        stories: `id`, and `iteration_number`, with which the plan was loaded.
        forecast: `story_id`, `position`, `iteration_number`, `expected_by`.

    Returns:
        The stories with `planned_iteration` and `expected_by`.
    """
    # `Series.map` fails if no story has a forecast
    known = forecast.set_index("story_id").reindex(stories["id"]).set_index(stories.index)
    planned = known["iteration_number"].astype("Float64")
    return (
        stories.assign(
            planned_iteration=planned.fillna(stories["iteration_number"].astype("Float64")),
            expected_by=known["expected_by"],
            position=known["position"].astype("Float64"),
        )
        .sort_values("position", kind="stable", na_position="last")
        .reset_index(drop=True)
    )


def _filters(rows: _Rows, project: int) -> tuple[list[str], set[int] | None]:
    """Ask for panels and filters; return the panels and the ids of the matching stories."""
    shown = controls.choices_param(
        "Panels", "panel", PANELS, _DEFAULT_PANELS, widget=st.pills, selection_mode="multi"
    )
    columns = st.columns(4)
    terms = []
    for column, name, options in (
        (columns[0], "type", list(STORY_TYPES)),
        (columns[1], "owner", [*rows.owners["owner"], "none"]),
        (columns[2], "label", list(rows.labels["name"])),
    ):
        with column:
            chosen = controls.choice_param(
                name.title(),
                name,
                ["", *options],
                "",
                lambda option: text.one_line(option) or "Any",
            )
        if chosen:
            terms.append(f"{name}:{quote(chosen)}")
    with columns[3]:
        typed = controls.text_param("Filter", "filter", placeholder="as in the search field")
    if typed:
        terms.append(f"({typed})")
    if not terms:
        return [name for name in PANELS if name in shown], None
    found = search_stories(" ".join(terms), (project,), "id")
    st.html(
        f'<p class="quiet" role="status">{text.plural(len(found.story_ids), "story")} match '
        "in all panels and iterations.</p>"
    )
    return [name for name in PANELS if name in shown], set(found.story_ids)


def _current_numbers(iterations: DataFrame) -> list[int]:
    current = iterations[iterations["iteration_state"] == "current"]
    return [int(number) for number in current["iteration_number"]]


def _done_numbers(iterations: DataFrame, before: str) -> list[int]:
    """Return the iterations that the Done panel shows, the latest first."""
    numbers = [
        int(number)
        for number in iterations[iterations["iteration_state"] == "done"]["iteration_number"]
    ][::-1]
    if before.isdecimal():
        numbers = [number for number in numbers if number < int(before)]
    return numbers[:_DONE_ITERATIONS]


class _Board:
    """The panels of one project.

    Args:
        project: The id of the project.
        rows: What they show.
        params: The parameters of the address.
    """

    def __init__(self, project: int, rows: _Rows, params: Params) -> None:
        self._project = project
        self._zone = rows.time_zone
        self._iterations = {int(row.iteration_number): row for row in rows.iterations.itertuples()}
        self._all_done = [n for n, row in self._iterations.items() if row.iteration_state == "done"]
        self._stories = rows.stories
        self._accepted = rows.accepted
        self._done = rows.done
        self._details = rows.details
        self._params = params
        self._current = next(
            (n for n, row in self._iterations.items() if row.iteration_state == "current"), None
        )

    def panels(self, names: Sequence[str]) -> str:
        """Return HTML of some panels."""
        panels = {
            "Current": self.current,
            "Backlog": self.backlog,
            "Icebox": self.icebox,
            "Done": self.done,
            "Epics": self.epics,
        }
        return f'<div class="board">{"".join(panels[name]() for name in names)}</div>'

    def current(self) -> str:
        """Return what is in progress, and what is accepted or planned in the current iteration."""
        planned = self._stories["planned_iteration"]
        scheduled = self._stories["current_state"] != "unscheduled"
        open_now = self._stories[scheduled & self._is_current(planned)]
        accepted = self._accepted[self._accepted["iteration_number"] == self._current]
        heading = (
            self._iteration_heading(self._current, pd.concat([accepted, open_now]))
            if self._current is not None
            else ""
        )
        lists = [
            first_stories("board", "Current", frame, self._params) for frame in (accepted, open_now)
        ]
        parts = [self._list(shown) + more for shown, more in lists if len(shown)]
        content = heading + ("".join(parts) or _NO_STORIES)
        return _panel("Current", len(accepted) + len(open_now), content)

    def _is_current(self, planned: pd.Series[Any]) -> pd.Series[bool]:
        in_progress = self._stories["current_state"].isin(
            ["started", "finished", "delivered", "rejected"]
        )
        if self._current is None:
            return in_progress
        return in_progress | (planned == self._current)

    def backlog(self) -> str:
        """Return what is scheduled later, by the iteration in which it is expected."""
        planned = self._stories["planned_iteration"]
        scheduled = self._stories["current_state"] != "unscheduled"
        later = self._stories[scheduled & ~self._is_current(planned)]
        shown, more = first_stories("board", "Backlog", later, self._params)
        parts = []
        for number, group in later.groupby("planned_iteration", sort=True, dropna=False):
            listed = group[group["id"].isin(shown["id"])]
            if listed.empty:
                continue
            heading = (
                '<h3 class="iteration">Not planned</h3>'
                if pd.isna(number)
                else self._iteration_heading(int(number), group)
            )
            parts.append(heading + self._list(listed))
        return _panel("Backlog", len(later), "".join(parts) + more)

    def icebox(self) -> str:
        """Return what is not scheduled."""
        unscheduled = self._stories[self._stories["current_state"] == "unscheduled"]
        shown, more = first_stories("board", "Icebox", unscheduled, self._params)
        return _panel("Icebox", len(unscheduled), self._list(shown, show_state=False) + more)

    def done(self) -> str:
        """Return what was accepted, by iteration, the latest first."""
        parts = []
        for position, number in enumerate(self._done):
            group = self._accepted[self._accepted["iteration_number"] == number]
            is_open = " open" if position == 0 else ""
            parts.append(
                f"<details{is_open}><summary>"
                f"{self._iteration_text(number, group, is_link=False)}</summary>"
                f"{self._list(group)}<p>{self._iteration_link(number, 'Charts of iteration')}</p>"
                "</details>"
            )
        older = [number for number in self._all_done if self._done and number < self._done[-1]]
        if older:
            parts.append(f'<p class="empty">{self._older_link(self._done[-1], len(older))}</p>')
        return _panel("Done", len(self._all_done), "".join(parts), "iteration")

    def epics(self) -> str:
        """Return every epic with its progress, those with open stories first."""
        epics = of_project(query_views(metrics.epics())[0], self._project)
        order = epics.assign(is_done=epics["stories"] == epics["stories_accepted"])
        items = _epic_items(order.sort_values(["is_done", "name"]).itertuples(), self._project)
        content = f'<ul class="stories">{"".join(items)}</ul>' if items else ""
        return _panel("Epics", len(epics), content, "epic")

    def _older_link(self, before: int, count: int) -> Html:
        params = {"panel": ["Done"], **self._params, "before": [str(before)]}
        return link("board", f"Show older ones: {text.plural(count, 'iteration')}", **params)

    def _iteration_heading(self, number: int, stories: DataFrame) -> str:
        return f'<h3 class="iteration">{self._iteration_text(number, stories)}</h3>'

    def _iteration_link(self, number: int, noun: str = "Iteration") -> Html:
        return link("iteration", f"{noun} {number}", number=number, project=self._project)

    def _iteration_text(self, number: int, stories: DataFrame, is_link: bool = True) -> str:
        known = self._iterations.get(number)
        points = float(stories["estimate"].astype(float).sum())
        days = ""
        if known is not None:
            last_day = known.finish - pd.Timedelta(seconds=1)
            days = text.day_range(
                local_day(known.start, self._zone), local_day(last_day, self._zone)
            )
        elif "expected_by" in stories and stories["expected_by"].notna().any():
            days = f"by {text.day(stories['expected_by'].dropna().max())}"
        is_link = is_link and known is not None
        label = self._iteration_link(number) if is_link else f"Iteration {number}"
        return (
            f"<span>{label} · {days}</span> "
            f"<span class='points'>{points:g} {'point' if points == 1 else 'points'}</span>"
        )

    def _list(self, stories: DataFrame, show_state: bool = True) -> str:
        if stories.empty:
            return _NO_STORIES
        return story_list(stories, self._details, self._project, show_state=show_state)


def _panel(title: str, count: int, content: str, noun: str = "story") -> str:
    return (
        f'<section aria-label="{title}"><h2>{title} <span class="quiet">'
        f"{text.plural(count, noun)}</span></h2>"
        f'<div class="panel" tabindex="0" role="group" aria-label="{title}: stories">'
        f"{content or _NO_STORIES}</div></section>"
    )


def _epic_items(epics: Iterable[Any], project: int) -> list[str]:
    items = []
    for epic in epics:
        share = epic.stories_accepted / epic.stories if epic.stories else 0
        items.append(
            f'<li><span class="name">'
            f"{search_link(f'epic:{quote(epic.name)}', epic.name, project)}</span>"
            f'<span class="facts"><span class="bar" role="img" aria-label="{share:.0%} accepted">'
            f'<span style="width:{share:.0%}"></span></span> <span class="points">'
            f"{int(epic.stories_accepted)} of {text.plural(int(epic.stories), 'story')}, "
            f"{float(epic.points_accepted):g} of {float(epic.points):g} points</span></span></li>"
        )
    return items
