"""Flow: stories by state and day, how long stories take, and what is open."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from pandas import DataFrame

from .. import charts, controls, text
from ..components import (
    Part,
    local_day,
    note_missing_history,
    of_project,
    query_views,
    section,
    show_chart,
    show_when_opened,
)
from ..header import Selection
from ..links import ALL, Params
from ..periods import Period, last_day, period_in, show_title_and_period
from ..queries import metrics
from ..queries.build import Scope
from ..search_syntax import STATES
from ..session import Load, current_load, once_per_load
from ..story_list import Details, details, story_list

_MAX_DAYS = 500
"""A longer span is drawn week by week."""

_MAX_LISTED = 20
_NO_DAYS = "Unknown: there is no daily history and no history of states."
_PERCENTILES = (0.5, 0.85, 0.95)
_UNITS = ("stories", "points")


def render(selection: Selection) -> None:
    """Show the page."""
    scope = selection.scope
    data = _read(current_load(), scope)
    period = show_title_and_period("Flow", data.as_of)
    if period is None:
        return
    note_missing_history(data.has_transitions)
    unit = controls.choice_param(
        "Count in", "unit", _UNITS, _UNITS[0], widget=st.segmented_control, required=True
    )
    for show in _parts(current_load(), scope, period, unit):
        show()


def prepare(project: int, params: Params) -> None:
    """Prepare what the page shows for one project.

    Args:
        project: The id of the project.
        params: The parameters of the address.
    """
    scope = Scope((project,))
    data = _read(current_load(), scope)
    if period := period_in(params, data.as_of):
        unit = controls.choice_in(params, "unit", _UNITS, _UNITS[0])
        _parts(current_load(), scope, period, unit)


@dataclass(frozen=True)
class _Rows:
    """What the page shows.

    Attributes:
        as_of: The last known day of each project.
        daily: The stories and points by state on each day.
        stories: The accepted stories with their durations.
        states: How long accepted stories were in each state.
        ages: The open stories without releases, the oldest first.
        blockers: The open blockers.
        details: The labels and owners of the listed stories.
    """

    as_of: DataFrame
    daily: DataFrame
    stories: DataFrame
    states: DataFrame
    ages: DataFrame
    blockers: DataFrame
    details: Details

    @property
    def has_transitions(self) -> bool:
        """Whether the history of states of any project is known."""
        return bool(self.as_of["has_transitions"].fillna(value=False).any())


@once_per_load
def _read(load: Load, scope: Scope) -> _Rows:
    """Read what the page shows."""
    as_of, daily, stories, states, ages, blockers = query_views(
        metrics.as_of(scope),
        metrics.daily_states(scope),
        metrics.story_durations(scope),
        metrics.time_in_states(scope),
        metrics.open_stories(scope),
        metrics.open_blockers(scope),
    )
    ages = ages[ages["story_type"] != "release"]
    listed = [int(story) for story in (*ages["id"].head(_MAX_LISTED), *blockers["id"])]
    return _Rows(as_of, sum_projects(daily), stories, states, ages, blockers, details(listed))


@once_per_load
def _parts(load: Load, scope: Scope, period: Period, unit: str) -> list[Part]:
    """Compute the parts of the page below the choices."""
    data = _read(load, scope)
    project = scope.projects[0] if scope.projects else None
    daily = data.daily[period.contains(data.daily["date"])]
    daily = daily.assign(date=pd.to_datetime(daily["date"]).dt.strftime("%Y-%m-%d"))
    forecast = of_project(query_views(metrics.forecast())[0], project)
    if period.end != last_day(data.as_of):
        # a forecast begins where the data ends
        forecast = forecast.head(0)
    stories = data.stories[period.contains(data.stories["accepted_on"])]
    parts = [
        _cumulative_flow(daily, unit),
        _burn_up(daily, forecast),
        _durations(stories, data.has_transitions, project),
    ]
    if data.has_transitions:
        states = data.states
        parts.append(_time_in_states(states[period.contains(states["accepted_on"])]))
    parts.append(_ages(data.ages, project))
    if len(data.ages):
        parts.append(_oldest(data, project))
    return [*parts, _blockers(data, project)]


def sum_projects(daily: DataFrame) -> DataFrame:
    """Add up all projects; after its last day, a project stays as it was.

    Args:
        daily: `project_id`, `date`, `state`, `stories`, `points`, with all states of each day.

    Returns:
        The same without `project_id`.
    """
    if daily["project_id"].nunique() < 2:
        return daily.drop(columns="project_id")
    end = daily.groupby("project_id")["date"].transform("max")
    days = daily[["date"]].drop_duplicates()
    carried = daily[daily["date"] == end].merge(days, how="cross", suffixes=("_of_last", ""))
    every = pd.concat([daily, carried[carried["date"] > carried["date_of_last"]]])
    return every.groupby(["date", "state"], as_index=False)[["stories", "points"]].sum(min_count=1)


def _cumulative_flow(daily: DataFrame, unit: str) -> Part:
    table = daily.pivot(index="date", columns="state", values=unit).dropna(axis=1, how="all")
    states = [state for state in (*STATES, "open") if state in table.columns]
    last = table.iloc[-1] if len(table) else pd.Series(dtype=float)
    said = ", ".join(f"{last[state]:,g} {state}" for state in states if last[state])
    return partial(
        show_chart,
        "Cumulative flow",
        charts.cumulative_flow(_downsample(daily), unit),
        table[states].iloc[::-1].reset_index(),
        f"{unit.title()} by state. On the last day: {said or 'none'}.",
        missing=_NO_DAYS,
    )


def _downsample(daily: DataFrame) -> DataFrame:
    """Return all days of a short span, one day in each week of a long one, always the last."""
    every = sorted(set(daily["date"]))
    if len(every) <= _MAX_DAYS:
        return daily
    return daily[daily["date"].isin(every[::-7])]


def _burn_up(daily: DataFrame, forecast: DataFrame) -> Part:
    lines = burn_up_lines(_downsample(daily), forecast)
    latest = lines.drop_duplicates(["date", "line"], keep="last")
    table = latest.pivot(index="date", columns="line", values="points")
    expected = forecast["expected_by"].dropna()
    summary = "Points accepted, all planned points (scope), and the forecast of the backlog."
    if len(expected):
        summary += (
            f" The backlog is expected to be done by {text.day(pd.Timestamp(expected.max()))}."
        )
    return partial(
        show_chart,
        "Burn-up",
        charts.burn_up(lines),
        table.iloc[::-1].reset_index(),
        summary,
        missing=_NO_DAYS,
    )


def burn_up_lines(daily: DataFrame, forecast: DataFrame) -> DataFrame:
    """Return what was accepted, the scope, and how the backlog adds to it.

    Args:
        daily: `date` (as text), `state`, `points`.
        forecast: `points`, and the days `earliest_by`, `expected_by`, `latest_by` of each story.

    Returns:
        `date`, `line` (`accepted`, `scope`, `earliest`, `expected`, `latest`) and `points`. The
        scope is what is planned, so without the icebox.
    """
    points, state = daily["points"], daily["state"]
    accepted = points.where(state == "accepted", 0).groupby(daily["date"]).sum()
    planned = points.where(state != "unscheduled", 0).groupby(daily["date"]).sum()
    lines = [
        DataFrame({"date": line.index, "line": name, "points": line.to_numpy()})
        for name, line in (("accepted", accepted), ("scope", planned))
    ]
    if len(accepted):
        start = float(accepted.iloc[-1]), str(accepted.index[-1])
        lines += [
            _forecast_line(forecast, name, *start) for name in ("earliest", "expected", "latest")
        ]
    return pd.concat(lines, ignore_index=True)


def _forecast_line(forecast: DataFrame, name: str, points: float, last: str) -> DataFrame:
    planned = forecast[forecast[f"{name}_by"].notna()]
    if planned.empty:
        return DataFrame({"date": [], "line": [], "points": []})
    by = pd.to_datetime(planned[f"{name}_by"]).to_numpy()
    # an iteration may have ended before the last day
    days, day_of_story = np.unique(np.maximum(by, np.datetime64(last)), return_inverse=True)
    more = planned["points"].astype(float).fillna(0.0)
    sums = points + np.bincount(day_of_story, weights=more).cumsum()
    dates = [last, *np.datetime_as_string(days, unit="D")]
    return DataFrame({"date": dates, "line": name, "points": [points, *sums]})


def _durations(stories: DataFrame, has_transitions: bool, project: int | None) -> Part:
    """Show a dot per story, and the percentiles as lines."""
    kind = "cycle" if has_transitions else "lead"
    measured = stories.assign(days=stories[f"{kind}_time_hours"].astype(float) / 24).dropna(
        subset=["days"]
    )
    shown = measured[["id", "name", "story_type", "accepted_on", "days"]].assign(
        accepted_on=pd.to_datetime(measured["accepted_on"]).dt.strftime("%Y-%m-%d")
    )
    levels = {f"{share:.0%}": float(shown["days"].quantile(share)) for share in _PERCENTILES}
    said = ", ".join(f"{share} within {days:.1f} days" for share, days in levels.items())
    return partial(
        show_chart,
        f"{kind.title()} time of each story",
        charts.duration_scatter(shown, levels, f"{kind} time"),
        shown.iloc[::-1],
        f"{text.plural(len(shown), 'story')}: {said}.",
        lambda picked: f"id:{int(picked['id'])}",
        project,
        f"No {kind} times are known for this period.",
    )


def _time_in_states(states: DataFrame) -> Part:
    summed = states.groupby(["story_id", "state"], as_index=False)["hours"].sum()
    hours = summed.groupby("state")["hours"]
    medians = DataFrame(
        {
            "median_days": hours.median() / 24,
            "p85_days": hours.quantile(0.85) / 24,
            "stories": hours.count(),
        }
    ).reset_index()
    longest = medians.sort_values("median_days").iloc[-1] if len(medians) else None
    return partial(
        show_chart,
        "Time in state",
        charts.time_in_states(medians),
        medians,
        ""
        if longest is None
        else f"Bars: median days of the accepted stories; lines: 85 of 100 took less. The longest "
        f"is {longest['state']} with {longest['median_days']:.1f} days.",
    )


def _ages(ages: DataFrame, project: int | None) -> Part:
    in_progress = ages[~ages["current_state"].isin(["unscheduled", "unstarted", "planned"])]
    dots = in_progress.assign(
        age_days=in_progress["age_days"].astype(float),
        days_in_state=in_progress["days_in_state"].astype(float),
    )[["id", "name", "story_type", "current_state", "age_days", "days_in_state"]]
    return partial(
        show_chart,
        "Age of work in progress",
        charts.ages(dots),
        dots,
        f"{text.plural(len(dots), 'story')} in progress. Ages end at the last known day.",
        lambda picked: f"id:{int(picked['id'])}",
        project,
        "Nothing is in progress.",
    )


def _oldest(data: _Rows, project: int | None) -> Part:
    ages = data.ages
    oldest = ages.head(_MAX_LISTED)
    facts = {
        int(row.id): f'<span class="quiet">{row.age_days:,.0f} days old</span>'
        for row in oldest.itertuples()
    }
    count = text.plural(len(ages), "open story")
    title = f"The {len(oldest)} oldest of {count}" if len(ages) > len(oldest) else f"{count} by age"
    return partial(
        show_when_opened,
        title,
        "oldest",
        lambda: st.html(
            story_list(oldest, data.details, project or ALL, facts, show_project=project is None)
        ),
    )


def _blockers(data: _Rows, project: int | None) -> Part:
    blockers = data.blockers
    if blockers.empty:
        return partial(section, "Open blockers", "No open story is blocked.")
    zones = data.as_of.set_index("project_id")["time_zone"]
    facts: dict[int, str] = defaultdict(str)
    for row in blockers.itertuples():
        facts[int(row.id)] += _blocker(row, zones.get(row.project_id))
    listed = story_list(
        blockers.drop_duplicates("id"),
        data.details,
        project or ALL,
        facts,
        show_project=project is None,
    )
    return partial(section, "Open blockers", content=listed)


def _blocker(row: Any, zone: Any) -> str:
    since = local_day(row.created_at, zone)
    return (
        f'<div dir="auto">{text.plain(row.description or "no description")} '
        f'<span class="quiet">{f"since {since}" if since else ""}</span></div>'
    )
