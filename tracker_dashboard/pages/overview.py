"""Overview: velocity, what was accepted, cycle time, rejection rate."""

from __future__ import annotations

import streamlit as st
from pandas import DataFrame
from sqlglot import exp

from tracker_dashboard import charts, queries
from tracker_dashboard.parts import choose_scope, days, from_views, show_chart, show_first_rows
from tracker_dashboard.queries import Scope

_HOURS = 24
_SHARES = ("volatility", "rejection_rate")
_NEEDS = "iterations and transitions"


def show() -> None:
    """Shows the page."""
    st.title("Overview")
    iterations, velocities, accepted = from_views(*asked(choose_scope()))
    iterations = days(days(iterations, "start"), "finish")
    _figures(iterations, accepted)
    _velocity(iterations)
    _accepted(iterations)
    _cycle_time(iterations)
    _rejections(iterations)
    st.subheader("Velocity now")
    show_first_rows("Velocity now", velocities, (*_SHARES, "current_volatility"))


def asked(scope: Scope) -> tuple[exp.Select, ...]:
    """What the page asks."""
    return queries.iterations(scope), queries.velocities(scope), queries.accepted(scope)


def _figures(iterations: DataFrame, accepted: DataFrame) -> None:
    figures = st.columns(4)
    figures[0].metric("Stories accepted", _whole(accepted["stories"].sum()))
    figures[1].metric("Points accepted", _whole(accepted["points"].sum()))
    known = iterations.dropna(subset=["rejection_rate"])
    stories = known["stories_accepted"].sum()
    rate = f"{known['rejected_stories'].sum() / stories:.1%}" if stories else "unknown"
    figures[2].metric("Rejection rate", rate)
    figures[3].metric("Iterations", _whole(len(iterations)))


def _whole(number: float) -> str:
    return f"{number:,.0f}"


def _velocity(iterations: DataFrame) -> None:
    share = iterations["volatility"].astype(float)
    velocity = iterations["velocity"].astype(float)
    banded = iterations.assign(
        slowest=(velocity * (1 - share)).clip(lower=0), fastest=velocity * (1 + share)
    )
    _show("Velocity", charts.velocity(banded), iterations, "points_accepted velocity volatility")


def _accepted(iterations: DataFrame) -> None:
    kinds = ("feature", "bug", "chore")
    long = iterations.melt(
        ["start"], [f"{kind}_points_accepted" for kind in kinds], "story_type", "points"
    )
    long["story_type"] = long["story_type"].str.removesuffix("_points_accepted")
    of_types = " ".join(f"{kind}_points_accepted {kind}s_accepted" for kind in kinds)
    summed = long.dropna().groupby(["start", "story_type"], as_index=False).sum()
    chart = charts.accepted_by_type(summed)
    columns = f"points_accepted {of_types} releases_accepted"
    _show("Accepted", chart, iterations, columns)


def _cycle_time(iterations: DataFrame) -> None:
    measured = iterations.assign(
        median_days=iterations["median_cycle_time_hours"].astype(float) / _HOURS,
        p85_days=iterations["p85_cycle_time_hours"].astype(float) / _HOURS,
    ).dropna(subset=["median_days"])
    _show("Cycle time", charts.cycle_time(measured), measured, "median_days p85_days", _NEEDS)


def _rejections(iterations: DataFrame) -> None:
    known = iterations.dropna(subset=["rejection_rate"])
    columns = "rejection_rate rejected_stories stories_accepted"
    _show("Rejection rate", charts.rejection_rate(known), known, columns, _NEEDS)


def _show(
    title: str, chart: charts.Chart, iterations: DataFrame, columns: str, needs: str = "iterations"
) -> None:
    """A chart with the table of its columns, the latest iteration first."""
    shown = ["start", *columns.split(), "project_name", "iteration_number"]
    table = iterations[shown].iloc[::-1]
    show_chart(title, chart, table, _SHARES, needs)
