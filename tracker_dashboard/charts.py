"""The charts, as Vega-Lite specifications: rows in, a chart out.

Plain specifications are used because Altair would check every object against a schema, which took
longer than everything else that the server does for a page.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pandas import DataFrame

from .search_syntax import STATES, STORY_TYPES

Spec = dict[str, Any]
"""A part of a Vega-Lite specification."""

_HEIGHT = 320
_BAR_CHART_MARGIN = 110
"""Pixels of a bar chart's height for its axis and legend."""

STATE_COLOURS = dict(
    zip(
        STATES,
        (
            "#2e8b57",  # accepted
            "#c77700",  # delivered
            "#3b7dd8",  # finished
            "#8a6fd1",  # started
            "#d1495b",  # rejected
            "#a8688f",  # planned
            "#78838f",  # unstarted
            "#8d7f68",  # unscheduled
        ),
        strict=True,
    )
)
"""Each has a contrast of 3:1 or more with white and with the dark background."""

TYPE_COLOURS = dict(zip(STORY_TYPES, ("#c08a00", "#d1495b", "#78838f", "#3b7dd8"), strict=True))
_TYPE_SHAPES = dict(zip(STORY_TYPES, ("circle", "triangle-up", "square", "diamond"), strict=True))
_STATE_ORDER = (
    "unscheduled",
    "unstarted",
    "planned",
    "started",
    "finished",
    "delivered",
    "rejected",
)
"""The way of a story through the states."""
_MAIN = "#3b7dd8"
_SECOND = "#c77700"
_DONE = "#2e8b57"
_QUIET = "#78838f"

_PERCENTILE_DASHES = [[1, 0], [7, 4], [2, 3]]

_COUNT_AXIS: Spec = {"format": ",d", "tickMinStep": 1, "tickCount": 8}

_ITERATION: Spec = {
    "field": "iteration_number",
    "type": "ordinal",
    "title": "iteration",
    "axis": {"labelOverlap": "parity", "labelAngle": 0, "labelBound": True},
}


@dataclass(frozen=True)
class Chart:
    """A chart.

    Attributes:
        rows: The data; all columns are sent to the browser.
        spec: The specification, which names the columns.
    """

    rows: DataFrame
    spec: Spec

    @property
    def clicked(self) -> str:
        """What a person can click: `bar` or `dot`."""
        (mark,) = (layer["mark"]["type"] for layer in _layers(self.spec) if "params" in layer)
        return "dot" if mark == "point" else str(mark)

    def standalone(self) -> Spec:
        """Return the specification with data, width and background, to be saved as a picture."""
        values = json.loads(self.rows.to_json(orient="records", date_format="iso"))
        return {
            "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
            "width": 900,
            "background": "white",
            **self.spec,
            "data": {"values": values},
        }


def _chart(rows: DataFrame, spec: Spec, height: int = _HEIGHT) -> Chart:
    # a description of each mark takes long to draw; the page has a summary and a table
    for layer in _layers(spec):
        mark = layer["mark"]
        layer["mark"] = {**(mark if isinstance(mark, dict) else {"type": mark}), "aria": False}
    return Chart(rows, {"height": height, "config": {"aria": False}, **spec})


def _layers(spec: Spec) -> list[Spec]:
    layers: list[Spec] = spec.get("layer", [spec])
    return layers


def _number(field: str, title: str | None = None, **more: Any) -> Spec:
    return {"field": field, "type": "quantitative", "title": title or field, **more}


def _name(field: str, title: str | None = None, **more: Any) -> Spec:
    return {"field": field, "type": "nominal", "title": title, **more}


def _day(field: str, title: str | None = None, **axis: Any) -> Spec:
    # a label that does not fit into the picture is left out
    usual = {
        "format": "%-d %b %Y",
        "tickCount": 8,
        "labelOverlap": "parity",
        "labelFlush": True,
        "labelBound": True,
    }
    return {"field": field, "type": "temporal", "title": title, "axis": {**usual, **axis}}


def _day_tooltip(field: str, title: str) -> Spec:
    return {"field": field, "type": "temporal", "title": title, "format": "%-d %b %Y"}


def _legend(columns: int) -> Spec:
    return {
        "orient": "bottom",
        "direction": "horizontal",
        "columns": columns,
        "labelLimit": 160,
        "offset": 12,
        "padding": 0,
        "symbolType": "square",
        "symbolOpacity": 1,
        "title": None,
    }


def _colours(field: str, colours: dict[str, str], present: list[str], columns: int) -> Spec:
    domain = [name for name in colours if name in present]
    scale = {"domain": domain, "range": [colours[name] for name in domain]}
    return _name(field, scale=scale, legend=_legend(columns))


def _series(name: str) -> list[Spec]:
    """Name a layer, so that its colour can be looked up."""
    return [{"calculate": f"'{name}'", "as": "series"}]


def _series_colour(colours: dict[str, str], symbol: str = "square") -> Spec:
    """Colour layers by their names, and list them in the legend."""
    scale = {"domain": list(colours), "range": list(colours.values())}
    return _name("series", scale=scale, legend={**_legend(3), "symbolType": symbol})


def _click(*fields: str) -> list[Spec]:
    """Let a person click a mark; the page receives these fields of it."""
    return [{"name": "pick", "select": {"type": "point", "fields": list(fields), "toggle": False}}]


def _dots(size: int, **more: Any) -> Spec:
    """Return the mark of dots that can be clicked; the size is an area in pixels."""
    return {
        "type": "point",
        "filled": True,
        "opacity": 1,
        "size": size,
        "cursor": "pointer",
        **more,
    }


_FADE_OTHERS: Spec = {"condition": {"param": "pick", "value": 1}, "value": 0.35}


def velocity(iterations: DataFrame) -> Chart:
    """Draw accepted points as a bar per iteration, and the velocity as a line.

    Args:
        iterations: `iteration_number`, `start` (a day), `status` (`done` or `in progress`),
            `points_accepted`, `stories_accepted`, `velocity`.
    """
    tooltip = [
        _name("iteration_number", "iteration"),
        _day_tooltip("start", "starts"),
        _name("status", "status"),
        _number("points_accepted", "points accepted"),
        _number("stories_accepted", "stories accepted"),
        _number("velocity", "velocity"),
    ]
    present = set(iterations["status"])
    colours = {"done": _MAIN, "in progress": _QUIET}
    colours = {status: colours[status] for status in colours if status in present}
    colours["velocity"] = _SECOND
    bars: Spec = {
        "mark": {"type": "bar", "cursor": "pointer"},
        "params": _click("iteration_number"),
        "encoding": {
            "x": _ITERATION,
            "y": _number("points_accepted", "points", axis=_COUNT_AXIS),
            "color": _colours("status", colours, list(colours), 3),
            "opacity": _FADE_OTHERS,
            "tooltip": tooltip,
        },
    }
    line: Spec = {
        "transform": _series("velocity"),
        "mark": {"type": "line", "strokeWidth": 2.5, "interpolate": "step"},
        "encoding": {
            "x": _ITERATION,
            "y": _number("velocity", "points", axis=_COUNT_AXIS),
            "color": _series_colour(colours),
        },
    }
    return _chart(iterations, {"layer": [bars, line]})


def throughput(weeks: DataFrame, unit: str) -> Chart:
    """Draw stories accepted as bars, stories created as a line, by week or month.

    Args:
        weeks: `period` (its first day), `first_day`, `last_day`, `accepted`, `created`,
            `points_accepted`.
        unit: `week` or `month`.
    """
    tooltip = [
        _day_tooltip("period", f"{unit} from"),
        _number("accepted", "stories accepted"),
        _number("created", "stories created"),
        _number("points_accepted", "points accepted"),
    ]
    x = {**_day("period", f"{unit} from"), "type": "ordinal", "timeUnit": "utcyearmonthdate"}
    colours = {"accepted": _DONE, "created": _SECOND}
    bars: Spec = {
        "transform": _series("accepted"),
        "mark": {"type": "bar", "cursor": "pointer"},
        "params": _click("first_day", "last_day"),
        "encoding": {
            "x": x,
            "y": _number("accepted", "stories", axis=_COUNT_AXIS),
            "color": _series_colour(colours),
            "opacity": _FADE_OTHERS,
            "tooltip": tooltip,
        },
    }
    line: Spec = {
        "transform": _series("created"),
        "mark": {"type": "line", "point": {"size": 20, "aria": False}},
        "encoding": {
            "x": x,
            "y": _number("created", "stories", axis=_COUNT_AXIS),
            "color": _series_colour(colours),
            "tooltip": tooltip,
        },
    }
    return _chart(weeks, {"layer": [bars, line]})


def durations(iterations: DataFrame, kind: str) -> Chart:
    """Draw the median cycle or lead time of each iteration as a line, the 85th percentile dashed.

    Args:
        iterations: `iteration_number`, `start`, `median_days`, `p85_days`.
        kind: `cycle time` or `lead time`.
    """
    tooltip = [
        _name("iteration_number", "iteration"),
        _day_tooltip("start", "starts"),
        _number("median_days", f"median {kind}, days", format=".1f"),
        _number("p85_days", "85th percentile, days", format=".1f"),
    ]
    colours = {"median": _MAIN, "85th percentile": _QUIET}
    p85: Spec = {
        "transform": _series("85th percentile"),
        "mark": {"type": "line", "strokeDash": [5, 4]},
        "encoding": {
            "x": _ITERATION,
            "y": _number("p85_days", "days"),
            "color": _series_colour(colours, "stroke"),
        },
    }
    median: Spec = {
        "transform": _series("median"),
        "mark": {"type": "line"},
        "encoding": {
            "x": _ITERATION,
            "y": _number("median_days", "days"),
            "color": _series_colour(colours, "stroke"),
        },
    }
    dots: Spec = {
        "mark": _dots(60, color=_MAIN),
        "params": _click("iteration_number"),
        "encoding": {
            "x": _ITERATION,
            "y": _number("median_days", "days"),
            "opacity": _FADE_OTHERS,
            "tooltip": tooltip,
        },
    }
    return _chart(iterations, {"layer": [p85, median, dots]})


def rejection_rate(iterations: DataFrame) -> Chart:
    """Draw the share of accepted stories that were rejected at least once, a bar per iteration.

    Args:
        iterations: `iteration_number`, `start`, `rejection_rate` from 0 to 1, `rejected_stories`.
    """
    spec = {
        "mark": {"type": "bar", "cursor": "pointer", "color": STATE_COLOURS["rejected"]},
        "params": _click("iteration_number"),
        "encoding": {
            "x": _ITERATION,
            "y": _number("rejection_rate", "share of accepted stories", axis={"format": ".0%"}),
            "opacity": _FADE_OTHERS,
            "tooltip": [
                _name("iteration_number", "iteration"),
                _day_tooltip("start", "starts"),
                _number("rejection_rate", "rejected at least once", format=".0%"),
                _number("rejected_stories", "stories rejected"),
            ],
        },
    }
    return _chart(iterations, spec)


def iteration_burn_up(days: DataFrame) -> Chart:
    """Draw what was accepted by the end of each day of an iteration, and its scope.

    Args:
        days: `date`, `accepted`, `scope`: points.
    """
    tooltip = [
        _day_tooltip("date", "day"),
        _number("accepted", "points accepted"),
        _number("scope", "points in the iteration"),
    ]
    x = _day("date", format="%-d %b", tickCount="day")
    colours = {"accepted": _DONE, "in the iteration": _QUIET}
    scope: Spec = {
        "transform": _series("in the iteration"),
        "mark": {"type": "line", "interpolate": "step-after", "strokeDash": [5, 4]},
        "encoding": {
            "x": x,
            "y": _number("scope", "points", axis=_COUNT_AXIS),
            "color": _series_colour(colours),
        },
    }
    accepted: Spec = {
        "transform": _series("accepted"),
        "mark": {
            "type": "area",
            "interpolate": "step-after",
            "opacity": 0.6,
            "line": {"aria": False},
        },
        "encoding": {
            "x": x,
            "y": _number("accepted", "points", axis=_COUNT_AXIS),
            "color": _series_colour(colours),
        },
    }
    dots: Spec = {
        "mark": _dots(60, color=_DONE),
        "params": _click("date_text"),
        "encoding": {
            "x": x,
            "y": _number("accepted", "points", axis=_COUNT_AXIS),
            "tooltip": tooltip,
        },
    }
    return _chart(days, {"layer": [scope, accepted, dots]}, 300)


def points_by_type(types: DataFrame) -> Chart:
    """Draw points and stories of an iteration by type.

    Args:
        types: `story_type`, `status` (`accepted` or `not accepted`), `points`, `stories`.
    """
    spec = {
        "mark": {"type": "bar", "cursor": "pointer"},
        "params": _click("story_type"),
        "encoding": {
            "y": _name("story_type", None, sort=list(STORY_TYPES), axis={"labelLimit": 90}),
            "x": _number("stories", "stories", axis=_COUNT_AXIS),
            "color": _colours(
                "status", {"accepted": _DONE, "not accepted": _QUIET}, list(types["status"]), 2
            ),
            "tooltip": [
                _name("story_type", "type"),
                _name("status", "status"),
                _number("stories", "stories"),
                _number("points", "points"),
            ],
        },
    }
    return _chart(types, spec, 200)


def story_durations(stories: DataFrame, kind: str) -> Chart:
    """Draw the cycle or lead time of each story as a dot on the day of its acceptance.

    Args:
        stories: `id`, `name`, `story_type`, `accepted_on`, `days`.
        kind: `cycle time` or `lead time`.
    """
    spec = {
        "mark": _dots(90),
        "params": _click("id"),
        "encoding": {
            "x": {
                "field": "accepted_on",
                "type": "ordinal",
                "timeUnit": "utcyearmonthdate",
                "title": "accepted",
                "axis": {
                    "format": "%a %-d %b",
                    "labelAngle": 0,
                    "labelOverlap": "parity",
                    "labelBound": True,
                },
            },
            **_days_and_types(stories, kind),
        },
    }
    return _chart(stories, spec)


def _days_and_types(stories: DataFrame, kind: str) -> Spec:
    """Return encodings of a dot per story: its days, and its type as colour and shape."""
    types = [name for name in STORY_TYPES if name in set(stories["story_type"])]
    legend = {name: value for name, value in _legend(3).items() if name != "symbolType"}
    colours, shapes = (
        {"domain": types, "range": [values[name] for name in types]}
        for values in (TYPE_COLOURS, _TYPE_SHAPES)
    )
    return {
        "y": _number("days", f"{kind}, days"),
        "color": _name("story_type", scale=colours, legend=legend),
        "shape": _name("story_type", scale=shapes, legend=legend),
        "tooltip": [
            _name("name", "story"),
            _name("story_type", "type"),
            _day_tooltip("accepted_on", "accepted"),
            _number("days", f"{kind}, days", format=".1f"),
        ],
    }


def cumulative_flow(days: DataFrame, unit: str) -> Chart:
    """Draw how much is in which state by day, with what is accepted at the bottom.

    Args:
        days: `date`, `state`, and a column named like the unit.
        unit: `stories` or `points`.
    """
    order = {state: number for number, state in enumerate([*STATES, "open"])}
    colours = {**STATE_COLOURS, "open": _QUIET}
    present = list(days[days[unit] > 0]["state"].unique())
    areas: Spec = {
        "mark": "area",
        "encoding": {
            "x": _day("date"),
            "y": _number(unit, axis=_COUNT_AXIS),
            "color": _colours("state", colours, present, 3),
            "order": {"field": "order", "type": "quantitative", "sort": "ascending"},
        },
    }
    rule: Spec = {
        "transform": [{"pivot": "state", "value": unit, "groupby": ["date"]}],
        "mark": {"type": "rule", "strokeOpacity": 0.001, "strokeWidth": 8},
        "encoding": {
            "x": _day("date"),
            "tooltip": [
                _day_tooltip("date", "day"),
                *(_number(s, s) for s in order if s in present),
            ],
        },
    }
    drawn = days[["date", "state", unit]].assign(order=days["state"].map(order))
    drawn = drawn[drawn["state"].isin(present)]
    return _chart(drawn, {"layer": [areas, rule]}, 400)


def burn_up(lines: DataFrame) -> Chart:
    """Draw what was accepted, the scope, and the forecast.

    Args:
        lines: `date`, `line`, `points`.
    """
    styles = {
        "scope": (_QUIET, [1, 0]),
        "accepted": (_DONE, [1, 0]),
        "earliest": ("#5fa17c", [4, 4]),
        "expected": (_MAIN, [1, 0]),
        "latest": (_SECOND, [4, 4]),
    }
    names = [name for name in styles if name in set(lines["line"])]
    legend = {**_legend(3), "symbolType": "stroke"}
    spec = {
        "mark": {"type": "line", "interpolate": "step-after", "strokeWidth": 2},
        "encoding": {
            "x": _day("date"),
            "y": _number("points", scale={"zero": False}, axis=_COUNT_AXIS),
            "color": _name(
                "line",
                scale={"domain": names, "range": [styles[name][0] for name in names]},
                legend=legend,
            ),
            "strokeDash": _name(
                "line",
                scale={"domain": names, "range": [styles[name][1] for name in names]},
                legend=legend,
            ),
            "tooltip": [_name("line", "line"), _day_tooltip("date", "day"), _number("points")],
        },
    }
    return _chart(lines, spec, 400)


def duration_scatter(stories: DataFrame, levels: dict[str, float], kind: str) -> Chart:
    """Draw the cycle or lead time of each story as a dot, with percentiles as lines.

    Args:
        stories: `id`, `name`, `story_type`, `accepted_on`, `days`.
        levels: Days by the name of the percentile.
        kind: `cycle time` or `lead time`.
    """
    dots: Spec = {
        "mark": _dots(45),
        "params": _click("id"),
        "encoding": {"x": _day("accepted_on", "accepted"), **_days_and_types(stories, kind)},
    }
    values = [{"level": name, "at": days} for name, days in levels.items() if days == days]
    names = [value["level"] for value in values]
    # names beside the lines would cover dots, or each other
    legend = {
        **_legend(3),
        # beside the other legend, it is too wide for a phone
        "orient": "top",
        "symbolType": "stroke",
        "symbolStrokeColor": _QUIET,
        "symbolSize": 400,
    }
    rules: Spec = {
        "data": {"values": values},
        "mark": {"type": "rule", "color": _QUIET, "strokeWidth": 1.5},
        "encoding": {
            "y": {"field": "at", "type": "quantitative"},
            "strokeDash": _name(
                "level",
                scale={"domain": names, "range": _PERCENTILE_DASHES[: len(names)]},
                legend=legend,
            ),
        },
    }
    return _chart(stories, {"layer": [dots, rules]}, _HEIGHT + 30)


def time_in_states(states: DataFrame) -> Chart:
    """Draw the median time in each state, and the 85th percentile as a line.

    Args:
        states: `state`, `median_days`, `p85_days`, `stories`.
    """
    y = _name("state", None, sort=list(_STATE_ORDER))
    colours = {"median": _MAIN, "85th percentile": _SECOND}
    tooltip = [
        _name("state", "state"),
        _number("median_days", "median, days", format=".1f"),
        _number("p85_days", "85th percentile, days", format=".1f"),
        _number("stories", "stories"),
    ]
    bars: Spec = {
        "transform": _series("median"),
        "mark": {"type": "bar"},
        "encoding": {
            "y": y,
            "x": _number("median_days", "days", axis={"tickCount": 8}),
            "color": _series_colour(colours),
            "tooltip": tooltip,
        },
    }
    ticks: Spec = {
        "transform": _series("85th percentile"),
        "mark": {"type": "tick", "thickness": 3, "opacity": 1},
        "encoding": {
            "y": y,
            "x": _number("p85_days", "days"),
            "color": _series_colour(colours),
            "tooltip": tooltip,
        },
    }
    return _chart(states, {"layer": [bars, ticks]}, _BAR_CHART_MARGIN + 26 * len(states))


def ages(stories: DataFrame) -> Chart:
    """Draw the age of each story in progress as a dot, by state.

    Args:
        stories: `id`, `name`, `story_type`, `current_state`, `age_days`, `days_in_state`.
    """
    states = [state for state in _STATE_ORDER if state in set(stories["current_state"])]
    spec = {
        "mark": _dots(80, color=_MAIN),
        "params": _click("id"),
        "encoding": {
            "x": _name("current_state", "state", sort=states, axis={"labelAngle": 0}),
            "y": _number("age_days", "age, days"),
            "opacity": _FADE_OTHERS,
            "tooltip": [
                _name("name", "story"),
                _name("current_state", "state"),
                _number("age_days", "age, days", format=".0f"),
                _number("days_in_state", "days in this state", format=".0f"),
            ],
        },
    }
    return _chart(stories, spec)


def by_person(people: DataFrame) -> Chart:
    """Draw how many stories each person accepted.

    Args:
        people: `person`, `stories_accepted`, `points_accepted`.
    """
    spec = {
        "mark": {"type": "bar", "cursor": "pointer", "color": _DONE},
        "params": _click("person"),
        "encoding": {
            "y": _name("person", None, sort="-x", axis={"labelLimit": 140}),
            "x": _number("stories_accepted", "stories", axis=_COUNT_AXIS),
            "opacity": _FADE_OTHERS,
            "tooltip": [
                _name("person", "person"),
                _number("stories_accepted", "stories accepted"),
                _number("points_accepted", "points accepted"),
            ],
        },
    }
    return _chart(people, spec, _BAR_CHART_MARGIN + 24 * len(people))


def sparkline(values: Sequence[float], summary: str) -> str:
    """Return HTML of a small line chart, for a figure or a row of a table.

    It is an image, because Streamlit removes SVG from HTML.
    """
    if len(values) < 2:
        return ""
    highest = max(*values, 1)
    step = 110 / (len(values) - 1)
    path = " ".join(
        f"{2 + number * step:.1f},{22 - 20 * value / highest:.1f}"
        for number, value in enumerate(values)
    )
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="114" height="24" viewBox="0 0 114 24" '
        f'preserveAspectRatio="none"><polyline points="{path}" fill="none" stroke="{_MAIN}" '
        'stroke-width="1.5" vector-effect="non-scaling-stroke"/></svg>'
    )
    encoded = b64encode(svg.encode()).decode()
    return f'<img class="sparkline" alt="{summary}" src="data:image/svg+xml;base64,{encoded}">'
