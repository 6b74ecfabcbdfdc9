"""Every chart: rows in, a chart with title and units out. Downloads as PNG.

They are written in Vega-Lite, which is what the browser draws: to make it of Altair's objects, each
checked against a schema, took more of a page's time than all else that the server does for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pandas import DataFrame

from .queries import STATES, STORY_TYPES

Spec = dict[str, Any]
"""A part of a specification in Vega-Lite 5 or 6."""

_HEIGHT = 400
_AROUND_BARS = 150
"""Pixels of a chart's height for its title, axis and legend."""

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


@dataclass(frozen=True)
class Chart:
    """What is drawn: all columns of the rows go to the browser.

    Attributes:
        rows: The rows.
        spec: The specification, which names their columns.
    """

    rows: DataFrame
    spec: Spec


def _chart(rows: DataFrame, title: str, units: str, spec: Spec, height: int = _HEIGHT) -> Chart:
    # a grey that can be read on light and on dark
    told = {"text": title, "subtitle": units, "subtitleColor": "#808495"}
    # a description of each mark takes long to draw; whoever needs one has the table beside
    return Chart(rows, {"title": told, "height": height, "config": {"aria": False}, **spec})


def _amount(column: str, title: str | None = None, **more: Any) -> Spec:
    return {"field": column, "type": "quantitative", "title": title or column, **more}


def _name(column: str, title: str | None = None, **more: Any) -> Spec:
    return {"field": column, "type": "nominal", "title": title, **more}


def _day(column: str, title: str | None = None) -> Spec:
    axis = {"format": "%-d %b %Y"}
    return {"field": column, "type": "temporal", "title": title, "axis": axis}


def _legend(columns: int) -> Spec:
    return {"orient": "bottom", "columns": columns, "labelLimit": 220, "symbolOpacity": 1}


def _coloured(column: str, names: tuple[str, ...], colours: tuple[str, ...], columns: int) -> Spec:
    scale = {"domain": list(names), "range": list(colours)}
    return _name(column, scale=scale, legend=_legend(columns))


def _of_state() -> Spec:
    return _coloured("state", STATES, _STATE_COLOURS, 4)


_START = {"field": "start", "type": "temporal", "title": "start"}
_PROJECT = _name("project_name", "project")


def _along_iterations(iterations: DataFrame, columns: str) -> tuple[DataFrame, Spec]:
    """What is drawn of iterations along time, and where it stands and in which colour."""
    drawn = iterations[["start", "project_name", *columns.split()]]
    place = {
        "x": _day("start", "start of the iteration"),
        "color": _name("project_name", legend=_legend(2)),
    }
    return drawn, place


def _line_with_points(amount: Spec, tooltip: list[Spec]) -> list[Spec]:
    # on the points alone: a line has one tooltip, and works it out for each of its points
    line: Spec = {"mark": "line", "encoding": {"y": amount}}
    points: Spec = {
        "mark": {"type": "point", "filled": True, "opacity": 1},
        "encoding": {"y": amount, "tooltip": tooltip},
    }
    return [line, points]


def velocity(iterations: DataFrame) -> Chart:
    """Accepted points of each iteration, the velocity after it, and the band of its volatility.

    Args:
        iterations: `start`, `project_name`, `points_accepted`, `velocity`, `slowest`, `fastest`.
    """
    columns = "iteration_number points_accepted velocity slowest fastest"
    drawn, place = _along_iterations(iterations, columns)
    title = "points an iteration"
    band: Spec = {
        "mark": {"type": "area", "opacity": 0.15},
        "encoding": {"y": _amount("slowest", title), "y2": {"field": "fastest"}},
    }
    line: Spec = {
        "mark": {"type": "line", "strokeWidth": 2.5},
        "encoding": {"y": _amount("velocity", title)},
    }
    points: Spec = {
        "mark": {"type": "point", "filled": True, "opacity": 0.55},
        "encoding": {
            "y": _amount("points_accepted", title),
            "tooltip": [
                _PROJECT,
                _amount("iteration_number", "iteration"),
                _START,
                _amount("points_accepted", "points accepted"),
                _amount("velocity"),
            ],
        },
    }
    return _chart(
        drawn,
        "Velocity",
        "points an iteration: dots accepted, line running average, band ± volatility",
        {"encoding": place, "layer": [band, line, points]},
    )


def accepted_by_type(accepted: DataFrame) -> Chart:
    """Points accepted in each iteration, stacked by type of story.

    Args:
        accepted: `start`, `story_type`, `points`, one row for each of the former two.
    """
    start = {
        "field": "start",
        "timeUnit": "yearmonthdate",
        "type": "ordinal",
        "title": "start of the iteration",
        "axis": {"format": "%-d %b %Y", "labelOverlap": "greedy", "labelAngle": 0},
    }
    spec = {
        "mark": "bar",
        "encoding": {
            "x": start,
            "y": _amount("points", "points accepted"),
            "color": _coloured("story_type", STORY_TYPES, _TYPE_COLOURS, 4),
            "tooltip": [_START, _name("story_type", "type"), _amount("points")],
        },
    }
    return _chart(accepted, "Accepted", "points an iteration, by type of story", spec)


def cycle_time(iterations: DataFrame) -> Chart:
    """Cycle time of what each iteration accepted: the median as a line, the 85th percentile dashed.

    Args:
        iterations: `start`, `project_name`, `median_days`, `p85_days`.
    """
    drawn, place = _along_iterations(iterations, "median_days p85_days")
    median = _amount("median_days", "days")
    tooltip = [
        _PROJECT,
        _START,
        _amount("median_days", "median, days", format=".1f"),
        _amount("p85_days", "85th percentile, days", format=".1f"),
    ]
    p85: Spec = {
        "mark": {"type": "line", "strokeDash": [5, 4], "opacity": 0.7},
        "encoding": {"y": _amount("p85_days", "days")},
    }
    return _chart(
        drawn,
        "Cycle time",
        "days: line median, dashed 85th percentile",
        {"encoding": place, "layer": [p85, *_line_with_points(median, tooltip)]},
    )


def rejection_rate(iterations: DataFrame) -> Chart:
    """The share of accepted stories that were rejected at least once.

    Args:
        iterations: `start`, `project_name`, `rejection_rate` from 0 to 1.
    """
    drawn, place = _along_iterations(iterations, "rejection_rate")
    rate = _amount("rejection_rate", "share of accepted stories", axis={"format": ".0%"})
    told = _amount("rejection_rate", "rejected at least once", format=".0%")
    return _chart(
        drawn,
        "Rejection rate",
        "% of the accepted stories that were rejected at least once",
        {"encoding": place, "layer": _line_with_points(rate, [_PROJECT, _START, told])},
    )


def cumulative_flow(days: DataFrame, unit: str) -> Chart:
    """How much is in which state, day by day, what is done at the bottom.

    Args:
        days: `date`, `state`, and a column called as the unit; one row a day and state.
        unit: `stories` or `points`.
    """
    place = {state: number for number, state in enumerate(STATES)}
    spec = {
        "mark": "area",
        "encoding": {
            "x": _day("date"),
            "y": _amount(unit),
            "color": _of_state(),
            "order": {"field": "order", "type": "quantitative", "sort": "ascending"},
            # of an area, as of a line, it is that of its first day wherever one points
            "tooltip": _name("state"),
        },
    }
    drawn = days[["date", "state", unit]].assign(order=days["state"].map(place))
    return _chart(drawn, "Cumulative flow", f"{unit} by state", spec)


def burn_up(lines: DataFrame) -> Chart:
    """What was accepted, what there was to do, and where the forecast leads.

    Args:
        lines: `date`, `line` (what it tells), `points`.
    """
    told = ["scope", "accepted", "earliest", "expected", "latest"]
    colours = ["#8e9aa6", "#4d9a3a", "#7fb86f", "#1f5fa8", "#e8850c"]
    dashes = [[1, 0], [1, 0], [4, 4], [1, 0], [4, 4]]
    legend = _legend(5)
    spec = {
        "mark": {"type": "line", "interpolate": "step-after", "strokeWidth": 2},
        "encoding": {
            "x": _day("date"),
            "y": _amount("points"),
            "color": _name("line", scale={"domain": told, "range": colours}, legend=legend),
            "strokeDash": _name("line", scale={"domain": told, "range": dashes}, legend=legend),
            "tooltip": _name("line"),
        },
    }
    return _chart(
        lines, "Burn-up", "points: accepted, scope, and the forecast of the backlog", spec
    )


def age(stories: DataFrame) -> Chart:
    """How old open stories are.

    Args:
        stories: `age` (a class), `order` (of the classes), `state`, `stories`; one row for each
            age and state.
    """
    classes = list(dict.fromkeys(stories.sort_values("order")["age"]))
    spec = {
        "mark": "bar",
        "encoding": {
            "x": _name("age", "age", sort=classes, axis={"labelAngle": 0}),
            "y": _amount("stories", "open stories"),
            "color": _of_state(),
            "tooltip": [_name("age", "age"), _name("state", "state"), _amount("stories")],
        },
    }
    return _chart(stories, "Age of open work", "stories by state", spec)


def progress(parts: DataFrame, what: str) -> Chart:
    """How far each of several things is: points accepted and still to do.

    Args:
        parts: `name`, `part` (`accepted` or `to do`), `points`.
        what: What they are, in the plural.
    """
    names = list(dict.fromkeys(parts["name"]))
    spec = {
        "mark": "bar",
        "encoding": {
            "y": _name("name", sort=names, axis={"labelLimit": 260, "labelOverlap": False}),
            "x": _amount("points"),
            "color": _coloured("part", ("accepted", "to do"), ("#4d9a3a", "#c2b59b"), 2),
            "tooltip": [_name("name", "name"), _name("part", "part"), _amount("points")],
        },
    }
    height = max(_HEIGHT, _AROUND_BARS + 22 * len(names))
    return _chart(parts, what, "points accepted and to do", spec, height)
