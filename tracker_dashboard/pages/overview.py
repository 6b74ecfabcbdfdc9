"""Overview: velocity, what was accepted, cycle time, rejection rate."""

from __future__ import annotations

import math

import streamlit as st
from pandas import DataFrame

from tracker_dashboard import charts, queries
from tracker_dashboard.parts import choose_scope, days, from_views, show_chart, show_table

_HOURS = 24


def show() -> None:
    """Shows the page."""
    st.title("Overview")
    scope = choose_scope()
    iterations, velocities = from_views(queries.iterations(scope), queries.velocities(scope))
    iterations = days(days(iterations, "start"), "finish")
    _figures(iterations)
    _velocity(iterations)
    _accepted(iterations)
    _cycle_time(iterations)
    _rejections(iterations)
    st.subheader("Velocity now")
    show_table("Velocity now", velocities)


def _figures(iterations: DataFrame) -> None:
    figures = st.columns(4)
    figures[0].metric("Stories accepted", _whole(iterations["stories_accepted"].sum()))
    figures[1].metric("Points accepted", _whole(iterations["points_accepted"].sum()))
    figures[2].metric(
        "Median cycle time", _told(iterations["median_cycle_time_hours"].median() / _HOURS, " days")
    )
    figures[3].metric("Iterations", _whole(len(iterations)))


def _whole(number: float) -> str:
    return f"{number:,.0f}"


def _told(number: float, unit: str) -> str:
    return "unknown" if math.isnan(number) else f"{number:,.1f}{unit}"


def _velocity(iterations: DataFrame) -> None:
    share = iterations["volatility"].astype(float) / 100
    velocity = iterations["velocity"].astype(float)
    banded = iterations.assign(
        slowest=(velocity * (1 - share)).clip(lower=0), fastest=velocity * (1 + share)
    )
    columns = ["project_name", "iteration_number", "start", "points_accepted", "velocity"]
    show_chart("Velocity", charts.velocity(banded), iterations[[*columns, "volatility"]].iloc[::-1])


def _accepted(iterations: DataFrame) -> None:
    kinds = ("feature", "bug", "chore")
    long = iterations.melt(
        ["start"], [f"{kind}_points_accepted" for kind in kinds], "story_type", "points"
    )
    long["story_type"] = long["story_type"].str.removesuffix("_points_accepted")
    counted = [f"{kind}s_accepted" for kind in (*kinds, "release")]
    columns = ["project_name", "iteration_number", "start", "points_accepted", *counted]
    show_chart("Accepted", charts.accepted_by_type(long.dropna()), iterations[columns].iloc[::-1])


def _cycle_time(iterations: DataFrame) -> None:
    measured = iterations.assign(
        median_days=iterations["median_cycle_time_hours"].astype(float) / _HOURS,
        p85_days=iterations["p85_cycle_time_hours"].astype(float) / _HOURS,
    ).dropna(subset=["median_days"])
    columns = ["project_name", "iteration_number", "start", "median_days", "p85_days"]
    show_chart("Cycle time", charts.cycle_time(measured), measured[columns].iloc[::-1])


def _rejections(iterations: DataFrame) -> None:
    known = iterations.dropna(subset=["rejection_rate"])
    columns = ["project_name", "iteration_number", "start", "stories_accepted", "rejection_rate"]
    rate = {"rejection_rate": st.column_config.NumberColumn(format="percent")}
    show_chart("Rejection rate", charts.rejection_rate(known), known[columns].iloc[::-1], rate)
