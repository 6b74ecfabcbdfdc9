"""Project: four figures with their trends, and the charts behind them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import date
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st
from pandas import DataFrame, Series

from .. import charts, text
from ..components import (
    Change,
    Part,
    days_text,
    expected_day,
    figure,
    local_day,
    note_missing_history,
    of_project,
    query_views,
    reason,
    show_chart,
    show_figures,
    show_line,
    show_title,
)
from ..header import Selection
from ..links import Params, link, story_link
from ..periods import (
    SPARKLINE_WEEKS,
    Period,
    between,
    last_day,
    period_in,
    show_title_and_period,
    weekly_sums,
)
from ..queries import metrics
from ..queries.build import Scope
from ..session import Load, current_load, once_per_load

_MAX_WEEKLY_BARS = 60


def render(selection: Selection) -> None:
    """Show the page."""
    if selection.project is None:
        _all_projects(selection)
        return
    as_of, *_ = _read(current_load(), selection.project)
    period = show_title_and_period(selection.only.name, as_of, compares=True)
    if period is None:
        return
    for show in _parts(current_load(), selection.project, period):
        show()


def prepare(project: int, params: Params) -> None:
    """Prepare what the page shows for one project.

    Args:
        project: The id of the project.
        params: The parameters of the address.
    """
    as_of, *_ = _read(current_load(), project)
    if period := period_in(params, as_of):
        _parts(current_load(), project, period)


@once_per_load
def _read(load: Load, project: int) -> list[DataFrame]:
    """Read what the page shows for one project."""
    scope = Scope((project,))
    return query_views(
        metrics.as_of(scope),
        metrics.velocities(scope),
        metrics.iterations(scope),
        metrics.throughput(scope),
        metrics.durations(scope),
    )


@once_per_load
def _parts(load: Load, project: int, period: Period) -> list[Part]:
    """Compute the parts of the page for one project and period."""
    as_of, velocities, iterations, weeks, durations = _read(load, project)
    releases = of_project(query_views(metrics.next_releases())[0], project)
    last_known = next(as_of.itertuples())
    has_transitions = bool(last_known.has_transitions)
    iterations = _with_days(iterations, last_known.time_zone)
    is_done = iterations["status"] == "done"
    is_current = ~is_done & (period.end == last_day(as_of))
    shown = iterations[period.contains(iterations["finish_day"]) | is_current]
    figures = [
        _velocity_figure(velocities, iterations[is_done]),
        _accepted_figure(period, durations),
        _duration_figure(period, durations, has_transitions),
        _release_figure(releases, last_known),
    ]
    assumptions = velocities.dropna(subset=["velocity", "assumptions"])["assumptions"]
    parts: list[Part] = [
        partial(note_missing_history, has_transitions),
        partial(show_figures, *figures),
        *(partial(show_line, f"The velocity assumes: {assumed}.") for assumed in assumptions),
        _velocity_chart(shown, project),
        _throughput_chart(period, weeks, project),
        _durations_chart(shown, has_transitions, project),
    ]
    return [*parts, _rejection_chart(shown, project)] if has_transitions else parts


def _with_days(iterations: DataFrame, time_zone: Any) -> DataFrame:
    """Add the days in the project's time zone, and the status in words."""
    zone = time_zone if isinstance(time_zone, str) else "UTC"
    start = pd.to_datetime(iterations["start"], utc=True)
    finish = pd.to_datetime(iterations["finish"], utc=True)
    # a time zone that this machine does not know leaves the days of UTC
    with suppress(KeyError, ValueError):
        start, finish = start.dt.tz_convert(zone), finish.dt.tz_convert(zone)
    return iterations.assign(
        start=start.dt.strftime("%Y-%m-%d"),
        finish_day=(finish - pd.Timedelta(seconds=1)).dt.strftime("%Y-%m-%d"),
        status=iterations["iteration_state"].map({"done": "done"}).fillna("in progress"),
    )


# figures


def _velocity_figure(velocities: DataFrame, done: DataFrame) -> str:
    project = next(velocities.itertuples(), None)
    current = float("nan") if project is None else project.velocity
    if pd.isna(current):
        return figure("Velocity", "unknown", reason(getattr(project, "velocity_reason", None)))
    history = done["velocity"].dropna().astype(float).tolist()
    change = None
    if len(history) > 3:
        difference = current - history[-4]
        said = f"{difference:+g} in 4 iterations" if difference else "same as 4 iterations ago"
        change = Change(said, difference)
    return figure(
        "Velocity",
        f"{current:g} points",
        "Points per iteration, as Pivotal Tracker computed it from the last iterations.",
        change=change,
        trend=history[-SPARKLINE_WEEKS:],
        trend_label="velocity of the last iterations",
    )


def _accepted_figure(period: Period, durations: DataFrame) -> str:
    accepted = pd.to_datetime(durations["accepted_on"])
    is_now, was_before = period.contains(accepted), period.previous_contains(accepted)
    now, difference = int(is_now.sum()), int(is_now.sum()) - int(was_before.sum())
    points_now, points_before = (
        float(durations[mask]["points"].astype(float).sum()) for mask in (is_now, was_before)
    )
    points = f"{text.number(points_now)} points"
    change = None
    if period.start:
        points += f", {points_now - points_before:+g} vs. before"
        said = f"{difference:+,} vs. before" if difference else "same as before"
        change = Change(said, difference)
    return figure(
        "Stories accepted",
        f"{now:,}",
        points,
        "Features, bugs and chores.",
        change=change,
        trend=weekly_sums(accepted, Series(1, index=accepted.index), period.end),
        trend_label="stories accepted per week",
    )


def _duration_figure(period: Period, durations: DataFrame, has_transitions: bool) -> str:
    kind = "cycle" if has_transitions else "lead"
    hours = durations[f"{kind}_time_hours"].astype(float)
    accepted = pd.to_datetime(durations["accepted_on"])
    now = hours[period.contains(accepted)].median()
    before = hours[period.previous_contains(accepted)].median()
    if pd.isna(now):
        none = "No story with known times was accepted in this period."
        return figure(f"{kind.title()} time", "unknown", none)
    change = None
    if not pd.isna(before):
        days = (now - before) / 24
        change = Change(f"{days:+.1f} days vs. before", days, falls_if_good=True)
    return figure(
        f"{kind.title()} time, median",
        days_text(now),
        "From the first start to the acceptance of a story."
        if has_transitions
        else "From the creation to the acceptance of a story. The data has no history of states, "
        "so cycle time is unknown.",
        change=change,
        trend=_monthly_medians(hours / 24, accepted, period.end),
        trend_label="median of each month",
    )


def _monthly_medians(days: Series[float], accepted: Series[Any], end: date) -> list[float]:
    recent = accepted >= pd.Timestamp(end) - pd.Timedelta(days=365)
    medians = days[recent].groupby(accepted[recent].dt.to_period("M")).median().dropna()
    return [round(float(value), 2) for value in medians]


def _release_figure(releases: DataFrame, last_known: Any) -> str:
    release = next(releases.itertuples(), None)
    if release is None:
        return figure("Next release", "none planned")
    late, value, change, why = release.days_late, "on time", None, ""
    if pd.isna(late):
        value, why = "date unknown", reason(getattr(release, "days_late_reason", None))
    elif late > 0:
        value = f"{text.plural(int(late), 'day')} late"
        change = Change(f"-{int(late)} days", -late)
    elif late < 0:
        change = Change(f"+{-int(late)} days in hand", -late)
    facts = text.Html(" · ".join(_release_facts(release, last_known.time_zone)))
    return figure("Next release", value, facts, why, change=change)


def _release_facts(release: Any, zone: Any) -> list[str]:
    """Return HTML of the release's name, progress, and dates."""
    facts = [story_link(int(release.release_id), release.name, str(release.project_id))]
    if not pd.isna(release.stories):
        count = text.plural(int(release.stories), "story")
        facts.append(text.Html(f"{int(release.stories_accepted)} of {count} accepted"))
    target = local_day(release.deadline, zone)
    expected = expected_day(release.projected_completion, zone)
    facts.append(text.Html(f"target {target}" if target else "no target date"))
    return [*facts, f"expected {expected}"] if expected else list(facts)


# charts


def _iteration_search(picked: Mapping[str, Any]) -> str:
    return f"iteration:{int(picked['iteration_number'])} state:accepted -type:release"


def _velocity_chart(iterations: DataFrame, project: int) -> Part:
    columns = [
        "iteration_number",
        "start",
        "finish_day",
        "status",
        "points_accepted",
        "stories_accepted",
        "velocity",
        "volatility",
    ]
    shown = iterations[columns]
    done = shown[shown["status"] == "done"]
    summary = (
        f"{text.plural(len(done), 'iteration')} done, {done['points_accepted'].mean():.1f} points "
        "accepted in each on average. Bars: points accepted; line: velocity."
        if len(done)
        else "No iteration of this period is done."
    )
    if (shown["status"] == "in progress").any():
        summary += " The current iteration is not complete and shown in grey."
    return partial(
        show_chart,
        "Velocity",
        charts.velocity(shown),
        shown.iloc[::-1],
        summary,
        _iteration_search,
        project,
        "No iterations are known for this period.",
    )


def _throughput_chart(period: Period, weeks: DataFrame, project: int) -> Part:
    weekly = weeks.assign(week=pd.to_datetime(weeks["week"]))
    weekly = _every_week(weekly[between(weekly["week"], period.start, period.end)], period.end)
    by_month = len(weekly) > _MAX_WEEKLY_BARS
    unit = "month" if by_month else "week"
    starts = weekly["week"].dt.to_period("M").dt.start_time if by_month else weekly["week"]
    grouped = (
        weekly.assign(period=starts)
        .groupby("period", as_index=False)[["accepted", "created", "points_accepted"]]
        .sum()
    )
    ends = grouped["period"] + (pd.offsets.MonthEnd(1) if by_month else pd.Timedelta(days=6))
    drawn = grouped.assign(
        first_day=grouped["period"].dt.strftime("%Y-%m-%d"),
        last_day=ends.dt.strftime("%Y-%m-%d"),
        period=grouped["period"].dt.strftime("%Y-%m-%d"),
        points_accepted=grouped["points_accepted"].astype(float),
    )
    summary = (
        f"{int(drawn['accepted'].sum()):,} accepted and {int(drawn['created'].sum()):,} created in "
        f"the weeks that begin in this period. Bars: stories accepted per {unit}; line: created."
    )
    return partial(
        show_chart,
        "Created and accepted",
        charts.throughput(drawn, unit),
        drawn.iloc[::-1],
        summary,
        lambda picked: f"accepted:{picked['first_day']}..{picked['last_day']} -type:release",
        project,
    )


def _every_week(weekly: DataFrame, end: date) -> DataFrame:
    """Add the weeks in which nothing was created or accepted."""
    if weekly.empty:
        return weekly
    weeks = pd.date_range(weekly["week"].min(), end, freq="7D", name="week")
    counts = ["created", "accepted", "points_accepted"]
    filled = weekly.set_index("week")[counts].reindex(weeks).astype(float).fillna(0.0)
    return filled.astype({"created": int, "accepted": int}).reset_index()


def _durations_chart(iterations: DataFrame, has_transitions: bool, project: int) -> Part:
    kind = "cycle" if has_transitions else "lead"
    measured = iterations.assign(
        median_days=iterations[f"median_{kind}_time_hours"].astype(float) / 24,
        p85_days=iterations[f"p85_{kind}_time_hours"].astype(float) / 24,
    ).dropna(subset=["median_days"])
    shown = measured[["iteration_number", "start", "status", "median_days", "p85_days"]]
    summary = (
        f"Days from {'start' if has_transitions else 'creation'} to acceptance. Line: the median "
        "of each iteration; dashed: 85 of 100 stories took less."
    )
    return partial(
        show_chart,
        f"{kind.title()} time",
        charts.durations(shown, f"{kind} time"),
        shown.iloc[::-1],
        summary,
        _iteration_search,
        project,
        f"No {kind} times are known for this period.",
    )


def _rejection_chart(iterations: DataFrame, project: int) -> Part:
    known = iterations.dropna(subset=["rejection_rate"])
    shown = known[
        ["iteration_number", "start", "rejection_rate", "rejected_stories", "stories_accepted"]
    ]
    rejected, accepted = shown["rejected_stories"].sum(), shown["stories_accepted"].sum()
    summary = (
        f"{int(rejected):,} of {int(accepted):,} accepted stories were rejected at least once."
    )
    return partial(
        show_chart,
        "Rejection rate",
        charts.rejection_rate(shown),
        shown.iloc[::-1],
        summary,
        lambda picked: f"{_iteration_search(picked)} has:rejection",
        project,
        "Rejections are unknown: the data does not have the history of states.",
    )


# all projects


def _all_projects(selection: Selection) -> None:
    scope = selection.scope
    velocities, weeks, durations = query_views(
        metrics.velocities(scope), metrics.throughput(scope), metrics.durations(scope)
    )
    show_title("All projects")
    rows = []
    velocity = velocities.set_index("project_id")["velocity"]
    weekly = dict(list(weeks.groupby("project_id")))
    for project in selection.projects.itertuples():
        group = weekly.get(project.id, weeks.head(0))
        counts = _last_weeks(group)
        speed = velocity.get(project.id)
        rows.append(
            [
                link("project", text.isolated(project.name), project=int(project.id)),
                int(project.stories or 0) if not pd.isna(project.stories) else 0,
                int(group["accepted"].sum()),
                float(speed) if not pd.isna(speed) else None,
                text.Html(
                    charts.sparkline(
                        counts, f"accepted per week: {', '.join(f'{c:g}' for c in counts[-8:])}"
                    )
                ),
                local_day(project.last_event, project.time_zone),
            ]
        )
    columns = [
        "Project",
        "Stories",
        "Accepted",
        "Velocity",
        "Accepted per week",
        "Last change",
    ]
    st.html(f'<div class="scroll-x">{text.table(columns, rows)}</div>')
    show_line(
        f"{text.plural(len(rows), 'project')}, {len(durations):,} stories accepted in all. "
        "The small charts show the last 26 weeks."
    )


def _last_weeks(weeks: DataFrame) -> list[float]:
    """Return accepted stories of the last weeks that are known, the oldest first."""
    if weeks.empty:
        return []
    by_week = Series(weeks["accepted"].to_numpy(), index=pd.to_datetime(weeks["week"]))
    every = pd.date_range(end=by_week.index.max(), periods=SPARKLINE_WEEKS, freq="7D")
    return [float(value) for value in by_week.groupby(level=0).sum().reindex(every, fill_value=0)]
