"""Epics and releases: what is open, when it is expected, and whether that is on time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import streamlit as st
from pandas import DataFrame

from .. import charts, controls, text
from ..components import (
    expected_day,
    local_day,
    of_project,
    query_views,
    section,
    show_chart,
    show_table,
    show_title,
    show_when_opened,
)
from ..header import Selection
from ..links import chosen_project, search_link, story_link
from ..queries import metrics
from ..search_syntax import quote
from ..text import Html


def render(selection: Selection) -> None:
    """Show the page."""
    show_title("Epics and releases")
    (epics,) = query_views(metrics.epics())
    (releases,) = query_views(metrics.releases())
    _section(
        "Releases",
        _with_time_zone(releases, selection),
        lambda row: story_link(int(row.id), row.name, chosen_project()),
        metrics.release_stories,
    )
    _section(
        "Epics",
        _with_time_zone(epics, selection),
        lambda row: search_link(f"epic:{quote(row.name)}", row.name, int(row.project_id)),
        metrics.epic_stories,
    )


def _with_time_zone(found: DataFrame, selection: Selection) -> DataFrame:
    """Return the rows of the chosen projects, each with the time zone of its project."""
    shown = of_project(found, selection.project)
    zones = selection.projects.set_index("id")["time_zone"]
    return shown.assign(time_zone=shown["project_id"].map(zones))


def _section(
    title: str,
    found: DataFrame,
    name: Callable[[Any], Html],
    stories_of: Callable[[int], str],
) -> None:
    """Show the open ones as a table, the burn-up of one, the completed ones collapsed."""
    if found.empty:
        section(title, f"There are no {title.lower()}.")
        return
    is_open = found["completed_at"].isna()
    shown, completed = found[is_open], found[~is_open].iloc[::-1]
    noun = title[:-1].lower()
    said = text.plural(len(shown), f"open {noun}") if len(shown) else f"No open {noun}s"
    section(title, f"{said}.", content=_table(shown, name) if len(shown) else "")
    if len(completed):
        show_when_opened(
            text.plural(len(completed), f"completed {noun}"),
            f"completed_{noun}s",
            lambda: st.html(_table(completed, name)),
        )
    _burn_up(title, found, stories_of)
    show_when_opened(
        f"Data of all {title.lower()}",
        f"data_of_{noun}s",
        lambda: show_table(title, found, readable=True),
    )


def _table(found: DataFrame, name: Callable[[Any], Html]) -> str:
    several = found["project_id"].nunique() > 1
    rows = [
        [
            Html(name(row) + _project(row)) if several else name(row),
            _bar(row),
            _counts(row.stories_accepted, row.stories),
            _counts(row.points_accepted, row.points),
            _expected(row),
            text.whole(local_day(getattr(row, "deadline", None), row.time_zone)),
            _lateness(row),
        ]
        for row in found.itertuples()
    ]
    is_done = bool(found["completed_at"].notna().all())
    end = "Completed" if is_done else "Expected"
    columns = ["Name", "Progress", "Stories", "Points", end, "Target", "Status"]
    if "deadline" not in found.columns:
        rows, columns = [row[:5] for row in rows], columns[:5]
    return f'<div class="scroll-x">{text.table(columns, rows)}</div>'


def _project(row: Any) -> str:
    return f' <span class="quiet">{text.isolated(row.project_name)}</span>'


def _bar(row: Any) -> Html:
    if pd.isna(row.stories) or not row.stories:
        return Html("")
    share = row.stories_accepted / row.stories
    return Html(
        f'<span class="bar" role="img" aria-label="{share:.0%} accepted">'
        f'<span style="width:{share:.0%}"></span></span>'
    )


def _counts(accepted: Any, total: Any) -> Html:
    if pd.isna(total):
        return Html("unknown")
    done = text.whole(f"{float(accepted):g} of {float(total):g},")
    return Html(f"{done} {text.whole(f'{float(total) - float(accepted):g} left')}")


def _expected(row: Any) -> Html:
    """Return when it was completed, or is expected, with the range of the forecast."""
    if not pd.isna(row.completed_at):
        return text.whole(local_day(row.completed_at, row.time_zone))
    if pd.isna(row.projected_completion):
        reason = row.projected_completion_reason
        return Html(text.plain(f"unknown: {reason}" if isinstance(reason, str) else "unknown"))
    days = [_day(row.earliest_completion), _day(row.latest_completion)]
    spread = (
        f' <span class="quiet">({text.whole(days[0])} to {text.whole(f"{days[1]})")}</span>'
        if all(days) and days[0] != days[1]
        else ""
    )
    expected = expected_day(row.projected_completion, row.time_zone)
    return Html(f"{text.whole(expected)}{spread}")


def _day(value: Any) -> str:
    return "" if pd.isna(value) else text.day(value)


def _lateness(row: Any) -> Html:
    """Return whether it is on time, in words and with a sign."""
    late = getattr(row, "days_late", None)
    is_done = not pd.isna(row.completed_at)
    if late is None or pd.isna(late):
        return Html("✓ completed" if is_done else "no target date")
    if late > 0:
        return text.whole(f"⚠ {text.plural(int(late), 'day')} late")
    punctual = text.whole("✓ on time" if is_done else "✓ on track")
    early = text.whole(f"{text.plural(-int(late), 'day')} early")
    return Html(f"{punctual}, {early}" if late else punctual)


def _burn_up(title: str, found: DataFrame, stories_of: Callable[[int], str]) -> None:
    """Show the burn-up of the one that a person chooses."""
    noun = title[:-1].lower()
    # open ones first, then the last completed
    ordered = found.sort_values("completed_at", ascending=False, kind="stable", na_position="first")
    names = {str(row.id): f"{row.name} ({row.project_name})" for row in ordered.itertuples()}
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
    days = burn_up_of(stories)
    show_chart(
        f"Burn-up of the {noun} {names[chosen]}",
        charts.burn_up(days.melt("date", var_name="line", value_name="points")),
        days.iloc[::-1],
        f"{float(stories['points'].astype(float).sum()):g} points in "
        f"{text.plural(len(stories), 'story')}. Scope: points of the stories created so far.",
        missing=f"This {noun} has no stories.",
    )


def burn_up_of(stories: DataFrame) -> DataFrame:
    """Return the points created and accepted so far, for each day that changed them.

    Args:
        stories: `points`, `created_on`, `accepted_on`.

    Returns:
        `date`, `scope`, `accepted`.
    """
    lines = {}
    for line, column in (("scope", "created_on"), ("accepted", "accepted_on")):
        known = stories.dropna(subset=[column])
        days = pd.to_datetime(known[column]).dt.strftime("%Y-%m-%d")
        lines[line] = known["points"].astype(float).groupby(days).sum().sort_index().cumsum()
    return DataFrame(lines).ffill().fillna(0.0).rename_axis("date").reset_index()
