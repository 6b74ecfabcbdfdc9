"""Overview: velocity, what was accepted, cycle time, rejection rate."""

from __future__ import annotations

import streamlit as st
from pandas import DataFrame
from sqlglot import exp

from tracker_dashboard import charts, queries
from tracker_dashboard.parts import choose_scope, days, from_views, show_chart, show_first_rows
from tracker_dashboard.queries import Scope

_HOURS = 24


def show() -> None:
    """Shows the page."""
    st.title("Overview")
    iterations, velocities = from_views(*asked(choose_scope()))
    iterations = days(days(iterations, "start"), "finish")
    _figures(iterations)
    _velocity(iterations)
    _accepted(iterations)
    _cycle_time(iterations)
    _rejections(iterations)
    st.subheader("Velocity now")
    show_first_rows("Velocity now", velocities)


def asked(scope: Scope) -> tuple[exp.Select, ...]:
    """What the page asks."""
    return queries.iterations(scope), queries.velocities(scope)


def _figures(iterations: DataFrame) -> None:
    figures = st.columns(4)
    figures[0].metric("Stories accepted", _whole(iterations["stories_accepted"].sum()))
    figures[1].metric("Points accepted", _whole(iterations["points_accepted"].sum()))
    known = iterations.dropna(subset=["rejection_rate"])
    accepted = known["stories_accepted"].sum()
    rate = f"{known['rejected_stories'].sum() / accepted:.1%}" if accepted else "unknown"
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
    counted = " ".join(f"{kind}s_accepted" for kind in (*kinds, "release"))
    summed = long.dropna().groupby(["start", "story_type"], as_index=False).sum()
    chart = charts.accepted_by_type(summed)
    _show("Accepted", chart, iterations, f"points_accepted {counted}")


def _cycle_time(iterations: DataFrame) -> None:
    measured = iterations.assign(
        median_days=iterations["median_cycle_time_hours"].astype(float) / _HOURS,
        p85_days=iterations["p85_cycle_time_hours"].astype(float) / _HOURS,
    ).dropna(subset=["median_days"])
    _show("Cycle time", charts.cycle_time(measured), measured, "median_days p85_days")


def _rejections(iterations: DataFrame) -> None:
    known = iterations.dropna(subset=["rejection_rate"])
    columns = "rejection_rate rejected_stories stories_accepted"
    _show("Rejection rate", charts.rejection_rate(known), known, columns)


def _show(title: str, chart: charts.Chart, iterations: DataFrame, columns: str) -> None:
    """A chart with the table of its columns, the latest iteration first."""
    shown = ["start", *columns.split(), "project_name", "iteration_number"]
    show_chart(title, chart, iterations[shown].iloc[::-1], ("volatility", "rejection_rate"))
