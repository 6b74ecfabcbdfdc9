"""Epics and releases: what is open, when it is expected, and whether that is on time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import streamlit as st
from pandas import DataFrame
from sqlglot import exp

from .. import charts, controls, text
from ..components import (
    local_day,
    of_project,
    query_views,
    section,
    show_chart,
    show_table,
    show_title,
)
from ..header import Selection
from ..links import search_link, story_link
from ..queries import metrics
from ..search_syntax import quote
from ..text import Html


def render(selection: Selection) -> None:
    """Show the page."""
    show_title("Epics and releases")
    (epics,) = query_views(metrics.epics())
    (releases,) = query_views(metrics.releases())
    zone = selection.only.time_zone
    _section(
        "Releases",
        _with_time_zone(releases, selection),
        lambda row: story_link(int(row.id), row.name),
        metrics.release_stories,
    )
    _section(
        "Epics",
        of_project(epics, selection.project),
        zone,
        lambda row: search_link(f"epic:{quote(row.name)}", row.name, int(row.project_id)),
        metrics.epic_stories,
    )


def _section(
    title: str,
    found: DataFrame,
    zone: Any,
    name: Callable[[Any], Html],
    stories_of: Callable[[int], exp.Select],
) -> None:
    """Show the open ones as a table, the burn-up of one, the completed ones collapsed."""
    if found.empty:
        section(title, f"There are no {title.lower()}.")
        return
    is_open = found["completed_at"].isna()
    noun = title[:-1].lower()
    for frame, state in ((found[is_open], "open"), (found[~is_open], "completed")):
        count = text.plural(len(frame), f"{state} {noun}")
        if state == "open":
            table = "" if frame.empty else _table(frame, zone, name)
            section(title, f"{count if len(frame) else f'No open {title.lower()}'}.", content=table)
        elif len(frame):
            with st.expander(count):
                st.html(_table(frame.iloc[::-1], zone, name))
    _burn_up(title, found, stories_of)
    with st.expander(f"Data of all {title.lower()}"):
        show_table(title, found, readable=True)


def _table(found: DataFrame, zone: Any, name: Callable[[Any], Html]) -> str:
    rows = [
        [
            name(row),
            _bar(row),
            _counts(row.stories_accepted, row.stories),
            _counts(row.points_accepted, row.points),
            _expected(row, zone),
            text.Html(local_day(getattr(row, "deadline", None), zone)),
            _lateness(row),
        ]
        for row in found.itertuples()
    ]
    columns = ["Name", "Progress", "Stories", "Points", "Expected", "Target", "Status"]
    if "deadline" not in found.columns:
        rows, columns = [row[:5] for row in rows], columns[:5]
    return f'<div class="scroll-x">{text.table(columns, rows)}</div>'


def _bar(row: Any) -> Html:
    if pd.isna(row.stories) or not row.stories:
        return Html("")
    share = row.stories_accepted / row.stories
    return Html(
        f'<span class="bar" role="img" aria-label="{share:.0%} accepted">'
        f'<span style="width:{share:.0%}"></span></span>'
    )


def _counts(accepted: Any, total: Any) -> str:
    if pd.isna(total):
        return "unknown"
    remaining = float(total) - float(accepted)
    return f"{float(accepted):g} of {float(total):g}, {remaining:g} left"


def _expected(row: Any, zone: Any) -> Html:
    """Return when it was completed, or is expected, with the range of the forecast."""
    if not pd.isna(row.completed_at):
        return Html(f"completed {local_day(row.completed_at, zone)}")
    if pd.isna(row.projected_completion):
        reason = row.projected_completion_reason
        return Html(text.plain(f"unknown: {reason}" if isinstance(reason, str) else "unknown"))
    days = [_day(row.earliest_completion), _day(row.latest_completion)]
    spread = (
        f' <span class="quiet">({days[0]} to {days[1]})</span>'
        if all(days) and days[0] != days[1]
        else ""
    )
    return Html(f"{local_day(row.projected_completion, zone)}{spread}")


def _day(value: Any) -> str:
    return "" if pd.isna(value) else text.day(value)


def _lateness(row: Any) -> Html:
    """Return whether it is on time, in words and with a sign."""
    late = getattr(row, "days_late", None)
    if not pd.isna(row.completed_at) and (late is None or pd.isna(late)):
        return Html("✓ completed")
    if late is None or pd.isna(late):
        return Html("no target date")
    if late > 0:
        return Html(f"⚠ {text.plural(int(late), 'day')} late")
    return Html(f"✓ on track, {text.plural(-int(late), 'day')} early" if late else "✓ on track")


def _burn_up(title: str, found: DataFrame, stories_of: Callable[[int], exp.Select]) -> None:
    """Show the burn-up of the one that a person chooses."""
    noun = title[:-1].lower()
    names = {str(row.id): f"{row.name} ({row.project_name})" for row in found.itertuples()}
    chosen = controls.choice_param(
        f"Burn-up of one {noun}",
        noun,
        ["", *names],
        "",
        lambda key: text.one_line(names[key]) if key else "none",
    )
    if not chosen:
        return
    (stories,) = query_views(stories_of(int(chosen)))
    lines = burn_up_of(stories)
    show_chart(
        f"Burn-up of the {noun} {names[chosen]}",
        charts.burn_up(lines),
        lines.pivot_table(index="date", columns="line", values="points", aggfunc="last")
        .ffill()
        .iloc[::-1]
        .reset_index()
        if len(lines)
        else lines,
        f"{float(stories['points'].astype(float).sum()):g} points in "
        f"{text.plural(len(stories), 'story')}. Scope: points of the stories created so far.",
        missing=f"This {noun} has no stories.",
    )


def burn_up_of(stories: DataFrame) -> DataFrame:
    """Return the points created and accepted so far, by day.

    Args:
        stories: `points`, `created_on`, `accepted_on`.

    Returns:
        `date`, `line` (`scope` or `accepted`), `points`.
    """
    lines = []
    for line, column in (("scope", "created_on"), ("accepted", "accepted_on")):
        known = stories.dropna(subset=[column])
        days = pd.to_datetime(known[column]).dt.strftime("%Y-%m-%d")
        total = known["points"].astype(float).groupby(days).sum().sort_index().cumsum()
        lines.append(DataFrame({"date": total.index, "line": line, "points": total.to_numpy()}))
    return pd.concat(lines, ignore_index=True)
