"""Every chart: rows in, a chart with title and units out. Downloads as PNG."""

from __future__ import annotations

from typing import TypeAlias

import altair as alt
from pandas import DataFrame

from .queries import STATES, STORY_TYPES

Chart: TypeAlias = alt.Chart | alt.LayerChart | alt.FacetChart

_HEIGHT = 400

_STATE_COLOURS = (
    "#4d9a3a",
    "#e8850c",
    "#1f5fa8",
    "#8e9aa6",
    "#b5373a",
    "#7b6bb0",
    "#c2b59b",
    "#d9d4c7",
)
_TYPE_COLOURS = ("#e0a21b", "#b5373a", "#8e9aa6", "#1f5fa8")


def _finished(chart: Chart, title: str, units: str) -> Chart:
    # a grey that can be read on light and on dark
    told = alt.TitleParams(title, subtitle=units, subtitleColor="#808495")
    # a description of each mark takes long to draw; whoever needs one has the table beside
    finished: Chart = chart.properties(title=told, height=_HEIGHT).configure(aria=False)
    return finished


def _day(column: str, title: str = "") -> alt.X:
    return alt.X(f"{column}:T", title=title or None, axis=alt.Axis(format="%-d %b %Y"))


def _legend(columns: int) -> alt.Legend:
    return alt.Legend(orient="bottom", columns=columns, labelLimit=220)


def _project() -> alt.Color:
    return alt.Color("project_name:N", title=None, legend=_legend(2))


def _by_project(iterations: DataFrame, columns: str) -> alt.Chart:
    """A chart along time, of no more columns than it draws: all of them go to the browser."""
    drawn = iterations[["start", "project_name", *columns.split()]]
    return alt.Chart(drawn).encode(x=_day("start", "start of the iteration"), color=_project())


def velocity(iterations: DataFrame) -> Chart:
    """Accepted points of each iteration, the velocity after it, and the band of its volatility.

    Args:
        iterations: `start`, `project_name`, `points_accepted`, `velocity`, `slowest`, `fastest`.
    """
    base = _by_project(iterations, "iteration_number points_accepted velocity slowest fastest")
    band = base.mark_area(opacity=0.15).encode(
        y=alt.Y("slowest:Q", title="points an iteration"), y2="fastest:Q"
    )
    line = base.mark_line(strokeWidth=2.5).encode(y="velocity:Q")
    points = base.mark_point(filled=True, opacity=0.55).encode(
        y="points_accepted:Q",
        tooltip=[
            alt.Tooltip("project_name:N", title="project"),
            alt.Tooltip("iteration_number:Q", title="iteration"),
            alt.Tooltip("start:T", title="start"),
            alt.Tooltip("points_accepted:Q", title="points accepted"),
            alt.Tooltip("velocity:Q", title="velocity"),
        ],
    )
    return _finished(
        alt.layer(band, line, points),
        "Velocity",
        "points an iteration: dots accepted, line running average, band ± volatility",
    )


def accepted_by_type(accepted: DataFrame) -> Chart:
    """Points accepted in each iteration, stacked by type of story.

    Args:
        accepted: `start`, `story_type`, `points`, one row for each of the former two.
    """
    chart = (
        alt.Chart(accepted)
        .mark_bar()
        .encode(
            x=alt.X("yearmonthdate(start):O", title="start of the iteration", axis=_days_apart()),
            y=alt.Y("points:Q", title="points accepted"),
            color=_of_type(),
            tooltip=["start:T", "story_type:N", "points:Q"],
        )
    )
    return _finished(chart, "Accepted", "points an iteration, by type of story")


def _days_apart() -> alt.Axis:
    return alt.Axis(format="%-d %b %Y", labelOverlap="greedy", labelAngle=0)


def _of_type() -> alt.Color:
    scale = alt.Scale(domain=list(STORY_TYPES), range=list(_TYPE_COLOURS))
    return alt.Color("story_type:N", title=None, scale=scale, legend=_legend(4))


def _of_state() -> alt.Color:
    scale = alt.Scale(domain=list(STATES), range=list(_STATE_COLOURS))
    return alt.Color("state:N", title=None, scale=scale, legend=_legend(4))


def cycle_time(iterations: DataFrame) -> Chart:
    """Cycle time of what each iteration accepted: the median as a line, the 85th percentile dashed.

    Args:
        iterations: `start`, `project_name`, `median_days`, `p85_days`.
    """
    base = _by_project(iterations, "median_days p85_days")
    tooltip = [
        alt.Tooltip("project_name:N", title="project"),
        alt.Tooltip("start:T", title="start"),
        alt.Tooltip("median_days:Q", title="median, days", format=".1f"),
        alt.Tooltip("p85_days:Q", title="85th percentile, days", format=".1f"),
    ]
    median = base.mark_line(point=True).encode(
        y=alt.Y("median_days:Q", title="days"), tooltip=tooltip
    )
    p85 = base.mark_line(strokeDash=[5, 4], opacity=0.7).encode(y="p85_days:Q", tooltip=tooltip)
    return _finished(
        alt.layer(median, p85), "Cycle time", "days: line median, dashed 85th percentile"
    )


def rejection_rate(iterations: DataFrame) -> Chart:
    """The share of accepted stories that were rejected at least once.

    Args:
        iterations: `start`, `project_name`, `rejection_rate` from 0 to 1.
    """
    chart = (
        _by_project(iterations, "rejection_rate")
        .mark_line(point=True)
        .encode(
            y=alt.Y(
                "rejection_rate:Q", title="share of accepted stories", axis=alt.Axis(format=".0%")
            ),
            tooltip=[
                alt.Tooltip("project_name:N", title="project"),
                alt.Tooltip("start:T", title="start"),
                alt.Tooltip("rejection_rate:Q", title="rejected at least once", format=".0%"),
            ],
        )
    )
    return _finished(
        chart, "Rejection rate", "% of the accepted stories that were rejected at least once"
    )


def cumulative_flow(days: DataFrame, unit: str) -> Chart:
    """How much is in which state, day by day, what is done at the bottom.

    Args:
        days: `date`, `state`, and a column called as the unit; one row a day and state.
        unit: `stories` or `points`.
    """
    order = alt.Order("order:Q", sort="ascending")
    place = {state: number for number, state in enumerate(STATES)}
    chart = (
        alt.Chart(days[["date", "state", unit]].assign(order=days["state"].map(place)))
        .mark_area()
        .encode(
            x=_day("date"),
            y=alt.Y(f"{unit}:Q", title=unit),
            color=_of_state(),
            order=order,
            tooltip=["date:T", "state:N", f"{unit}:Q"],
        )
    )
    return _finished(chart, "Cumulative flow", f"{unit} by state")


def burn_up(lines: DataFrame) -> Chart:
    """What was accepted, what there was to do, and where the forecast leads.

    Args:
        lines: `date`, `line` (what it tells), `points`.
    """
    told = ["scope", "accepted", "earliest", "expected", "latest"]
    scale = alt.Scale(domain=told, range=["#8e9aa6", "#4d9a3a", "#7fb86f", "#1f5fa8", "#e8850c"])
    dash = alt.Scale(domain=told, range=[[1, 0], [1, 0], [4, 4], [1, 0], [4, 4]])
    legend = _legend(5)
    chart = (
        alt.Chart(lines)
        .mark_line(interpolate="step-after", strokeWidth=2)
        .encode(
            x=_day("date"),
            y=alt.Y("points:Q", title="points"),
            color=alt.Color("line:N", title="", scale=scale, legend=legend),
            strokeDash=alt.StrokeDash("line:N", title="", scale=dash, legend=legend),
            tooltip=["date:T", "line:N", "points:Q"],
        )
    )
    return _finished(chart, "Burn-up", "points: accepted, scope, and the forecast of the backlog")


def age(stories: DataFrame) -> Chart:
    """How old open stories are.

    Args:
        stories: `age` (a class), `order` (of the classes), `state`, `stories`; one row for each
            age and state.
    """
    classes = list(dict.fromkeys(stories.sort_values("order")["age"]))
    chart = (
        alt.Chart(stories)
        .mark_bar()
        .encode(
            x=alt.X("age:N", title="age", sort=classes, axis=alt.Axis(labelAngle=0)),
            y=alt.Y("stories:Q", title="open stories"),
            color=_of_state(),
            tooltip=["age:N", "state:N", "stories:Q"],
        )
    )
    return _finished(chart, "Age of open work", "stories by state")


def progress(parts: DataFrame, what: str) -> Chart:
    """How far each of several things is: points accepted and still to do.

    Args:
        parts: `name`, `part` (`accepted` or `to do`), `points`.
        what: What they are, in the plural.
    """
    scale = alt.Scale(domain=["accepted", "to do"], range=["#4d9a3a", "#c2b59b"])
    names = list(dict.fromkeys(parts["name"]))
    chart = (
        alt.Chart(parts)
        .mark_bar()
        .encode(
            y=alt.Y(
                "name:N", title=None, sort=names, axis=alt.Axis(labelLimit=260, labelOverlap=False)
            ),
            x=alt.X("points:Q", title="points"),
            color=alt.Color("part:N", title="", scale=scale, legend=_legend(2)),
            tooltip=["name:N", "part:N", "points:Q"],
        )
    )
    finished = _finished(chart, what, "points accepted and to do")
    return finished.properties(height=max(_HEIGHT, 22 * len(names)))
