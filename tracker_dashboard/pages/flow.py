"""Flow: what is in which state day by day, where it leads, how old what is open is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pandas as pd
import streamlit as st
from pandas import DataFrame
from sqlglot import exp

from tracker_dashboard import charts, queries
from tracker_dashboard.parts import choose_scope, from_views, show_chart, story_line
from tracker_dashboard.queries import Scope

_MOST_DAYS = 500
"""A span of more days is drawn week by week."""

_AGES = (
    (1, "under a week"),
    (4, "1 to 4 weeks"),
    (13, "1 to 3 months"),
    (26, "3 to 6 months"),
    (52, "6 to 12 months"),
    (104, "1 to 2 years"),
)
"""The classes of age: under how many weeks."""

_OLDEST = "over 2 years"
_MOST_OLD = 20
_NEEDS = "the daily history, or else from transitions"


def show() -> None:
    """Shows the page."""
    st.title("Flow")
    scope = choose_scope()
    daily, forecast, ages, oldest = from_views(*asked(scope))
    if scope.until is not None and scope.until < datetime.now(UTC).date():
        # what is ahead of today begins at no day of a span that has ended
        forecast = forecast.head(0)
    daily = together(daily)
    daily["date"] = pd.to_datetime(daily["date"]).dt.strftime("%Y-%m-%d")
    _cumulative_flow(daily)
    _burn_up(daily, forecast)
    _age(ages, oldest)


def asked(scope: Scope) -> tuple[exp.Select, ...]:
    """What the page asks."""
    return (
        queries.daily_states(scope),
        queries.forecast(scope),
        queries.open_stories(scope),
        queries.oldest_stories(scope, _MOST_OLD),
    )


def together(daily: DataFrame) -> DataFrame:
    """The stories and points of all projects: one that is told of no longer stays as it was last.

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
    unit = st.segmented_control(
        "Count in", ["stories", "points"], default="stories", key="unit", bind="query-params"
    )
    drawn = _thinned(daily)
    table = drawn.pivot_table(index="date", columns="state", values=unit or "stories")
    states = [state for state in queries.STATES if state in table.columns]
    show_chart(
        "Cumulative flow",
        charts.cumulative_flow(drawn, unit or "stories"),
        table[states].iloc[::-1].reset_index(),
        needs=_NEEDS,
    )


def _thinned(daily: DataFrame) -> DataFrame:
    """The days of a short span, one day in each week of a long one, always the last."""
    every = sorted(set(daily["date"]))
    if len(every) <= _MOST_DAYS:
        return daily
    return daily[daily["date"].isin(every[::-7])]


def _burn_up(daily: DataFrame, forecast: DataFrame) -> None:
    lines = burn_up_lines(_thinned(daily), forecast)
    table = lines.pivot_table(index="date", columns="line", values="points", aggfunc="last")
    show_chart("Burn-up", charts.burn_up(lines), table.iloc[::-1].reset_index(), needs=_NEEDS)


def burn_up_lines(daily: DataFrame, forecast: DataFrame) -> DataFrame:
    """What was accepted and what there was to do, and how the backlog adds to it.

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
        lines += [_ahead(forecast, name, *start) for name in ("earliest", "expected", "latest")]
    return pd.concat(lines, ignore_index=True)


def _ahead(forecast: DataFrame, name: str, points: float, last: str) -> DataFrame:
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
    show_chart("Age of open work", charts.age(summed), summed.drop(columns="order"))
    st.caption("As of the last load, whatever the days chosen.")
    if oldest.empty:
        return
    st.subheader("Open longest")
    st.html("".join(_old(story) for story in oldest.itertuples()))


def _old(story: Any) -> str:
    facts = (story.project_name, story.current_state, f"{story.age_days:,.0f} days old")
    return story_line(int(story.story_id), story.name, story.story_type, facts)
