"""Flow: stories by state and day, burn-up with forecast, and the age of open stories."""

from __future__ import annotations

import pandas as pd
import streamlit as st
from pandas import DataFrame

from tracker_dashboard import charts, controls, text
from tracker_dashboard.components import of_project, query_views, show_chart
from tracker_dashboard.header import Selection
from tracker_dashboard.queries import metrics
from tracker_dashboard.search_syntax import STATES
from tracker_dashboard.story_list import story_list

_MAX_DAYS = 500
"""A longer span is drawn week by week."""

_AGES = (
    (1, "under a week"),
    (4, "1 to 4 weeks"),
    (13, "1 to 3 months"),
    (26, "3 to 6 months"),
    (52, "6 to 12 months"),
    (104, "1 to 2 years"),
)
"""Classes of age: the number of weeks below which they end."""

_OLDEST = "over 2 years"
_MAX_OLDEST = 20
_NO_DAYS = "Unknown: there is no daily history and no history of states."


def render(selection: Selection) -> None:
    """Shows the page."""
    st.title("Flow")
    scope = selection.scope
    daily, ages, oldest = query_views(
        metrics.daily_states(scope),
        metrics.open_stories(scope),
        metrics.oldest_stories(scope, _MAX_OLDEST),
    )
    forecast = of_project(query_views(metrics.forecast())[0], selection.project)
    daily = sum_projects(daily)
    daily["date"] = pd.to_datetime(daily["date"]).dt.strftime("%Y-%m-%d")
    _cumulative_flow(daily)
    _burn_up(daily, forecast)
    _age(ages, oldest)


def sum_projects(daily: DataFrame) -> DataFrame:
    """The stories and points of all projects; after its last day, a project stays as it was.

    Args:
        daily: `project_id`, `date`, `state`, `stories`, `points`, with all states of each day.

    Returns:
        The same without `project_id`.
    """
    end = daily.groupby("project_id")["date"].transform("max")
    days = daily[["date"]].drop_duplicates()
    carried = daily[daily["date"] == end].merge(days, how="cross", suffixes=("_of_last", ""))
    every = pd.concat([daily, carried[carried["date"] > carried["date_of_last"]]])
    return every.groupby(["date", "state"], as_index=False)[["stories", "points"]].sum(min_count=1)


def _cumulative_flow(daily: DataFrame) -> None:
    unit = controls.choice_param(
        "Count in",
        "unit",
        ["stories", "points"],
        "stories",
        widget=st.segmented_control,
        required=True,
    )
    drawn = _downsample(daily)
    table = drawn.pivot_table(index="date", columns="state", values=unit)
    states = [state for state in (*STATES, "open") if state in table.columns]
    last = table.iloc[-1] if len(table) else pd.Series(dtype=float)
    said = ", ".join(f"{last[state]:g} {state}" for state in states if last[state])
    show_chart(
        "Cumulative flow",
        charts.cumulative_flow(drawn, unit),
        daily.pivot_table(index="date", columns="state", values=unit)[states]
        .iloc[::-1]
        .reset_index(),
        f"{unit.title()} by state. On the last day: {said or 'none'}.",
        missing=_NO_DAYS,
    )


def _downsample(daily: DataFrame) -> DataFrame:
    """All days of a short span, one day in each week of a long one, always the last."""
    every = sorted(set(daily["date"]))
    if len(every) <= _MAX_DAYS:
        return daily
    return daily[daily["date"].isin(every[::-7])]


def _burn_up(daily: DataFrame, forecast: DataFrame) -> None:
    lines = burn_up_lines(_downsample(daily), forecast)
    table = lines.pivot_table(index="date", columns="line", values="points", aggfunc="last")
    expected = forecast["expected_by"].dropna()
    summary = "Points accepted, all planned points (scope), and the forecast of the backlog."
    if len(expected):
        summary += (
            f" The backlog is expected to be done by {pd.Timestamp(expected.max()):%-d %b %Y}."
        )
    show_chart(
        "Burn-up", charts.burn_up(lines), table.iloc[::-1].reset_index(), summary, missing=_NO_DAYS
    )


def burn_up_lines(daily: DataFrame, forecast: DataFrame) -> DataFrame:
    """What was accepted, the scope, and how the backlog adds to it.

    Args:
        daily: `date` (as text), `state`, `points`.
        forecast: `points`, and the days `earliest_by`, `expected_by`, `latest_by` of each story.

    Returns:
        `date`, `line` (`accepted`, `scope`, `earliest`, `expected`, `latest`) and `points`. The
        scope is what is planned, so without the icebox.
    """
    wide = daily.pivot_table(index="date", columns="state", values="points", aggfunc="sum")
    accepted = wide["accepted"] if "accepted" in wide else pd.Series(0.0, index=wide.index)
    planned = wide.drop(columns="unscheduled", errors="ignore").sum(axis=1)
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
    known = forecast.dropna(subset=[f"{name}_by"])
    known = known.assign(date=pd.to_datetime(known[f"{name}_by"]).dt.strftime("%Y-%m-%d"))
    added = known.groupby("date")["points"].sum().cumsum() + points
    ahead = DataFrame({"date": added.index, "line": name, "points": added.to_numpy()})
    begin = DataFrame({"date": [last], "line": [name], "points": [points]})
    return pd.concat([begin, ahead], ignore_index=True) if len(ahead) else ahead


def _age(ages: DataFrame, oldest: DataFrame) -> None:
    order = ages["weeks"].map(lambda weeks: sum(weeks >= limit for limit, _ in _AGES))
    names = [*(name for _, name in _AGES), _OLDEST]
    classed = DataFrame(
        {
            "order": order,
            "age": order.map(lambda number: names[int(number)]),
            "state": ages["current_state"],
            "stories": ages["stories"],
        }
    )
    summed = classed.groupby(["order", "age", "state"], as_index=False)["stories"].sum()
    show_chart(
        "Age of open stories",
        charts.age(summed),
        summed.drop(columns="order"),
        f"{text.plural(int(summed['stories'].sum()), 'open story')}, by time since creation.",
    )
    if oldest.empty:
        return
    st.subheader("Oldest open stories", anchor=False)
    facts = {
        int(row.story_id): f'<span class="quiet">{row.age_days:,.0f} days old</span>'
        for row in oldest.itertuples()
    }
    listed = oldest.rename(columns={"story_id": "id"}).assign(estimate=float("nan"))
    st.html(story_list(listed, extra=facts, show_project=True))
