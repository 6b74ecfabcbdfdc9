"""Iteration: what was planned and accepted in one iteration, and how its scope changed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st
from pandas import DataFrame

from .. import charts, text
from ..components import (
    Change,
    Part,
    days_text,
    figure,
    local_day,
    note_missing_history,
    query_views,
    reason,
    section,
    show_chart,
    show_figures,
    show_line,
    show_side_by_side,
    show_title,
    show_when_opened,
)
from ..header import Selection
from ..links import Params, last_value, link, params_of_address, with_project
from ..queries import board, metrics
from ..queries.build import Scope
from ..search_syntax import quote
from ..session import Load, current_load, once_per_load
from ..story_list import Details, details, first_stories, story_list


def render(selection: Selection) -> None:
    """Show the page."""
    project = int(selection.only.id)
    for show in _parts(current_load(), project, with_project(params_of_address(), project)):
        show()


def prepare(project: int, params: Params) -> None:
    """Prepare what the page shows.

    Args:
        project: The id of the project.
        params: The parameters of the address.
    """
    _parts(current_load(), project, params)


@once_per_load
def _parts(load: Load, project: int, params: Params) -> list[Part]:
    """Compute the parts of the page; the iteration is the parameter `number`."""
    iterations, as_of = query_views(board.iteration_list(project), metrics.as_of(Scope((project,))))
    if iterations.empty:
        return [
            partial(show_title, "No iterations"),
            partial(show_line, "No iterations of this project are known."),
        ]
    iteration = _chosen(iterations, last_value(params, "number"))
    number = int(iteration.iteration_number)
    stories, moved, people = query_views(
        board.iteration_stories(project, number),
        board.moved_on(project, number),
        board.people_of_iteration(project, number),
    )
    known = details([int(story) for story in (*stories["id"], *moved["id"])])
    last_known = next(as_of.itertuples())
    has_transitions = bool(last_known.has_transitions)
    shown, more = first_stories("iteration", "stories", stories, params)
    return [
        partial(st.html, _title_and_steps(iteration, iterations, last_known.time_zone, project)),
        partial(note_missing_history, has_transitions),
        partial(show_figures, *_figures(iteration, stories, has_transitions)),
        partial(
            show_side_by_side,
            _burn_up(iteration, stories, last_known, project),
            _types(stories, project, number),
        ),
        _durations(stories, has_transitions, project),
        *_scope_changes(iteration, stories, moved, has_transitions, known, project),
        _people(people, project, number),
        partial(section, "Stories", content=story_list(shown, known, project) + more),
    ]


def _chosen(iterations: DataFrame, typed: str) -> Any:
    """Return the iteration with a number, or else the last one that has started."""
    rows = list(iterations.itertuples())
    for row in rows:
        if typed == str(row.iteration_number):
            return row
    started = [row for row in rows if row.iteration_state != "planned"]
    return (started or rows)[-1]


def _title_and_steps(iteration: Any, iterations: DataFrame, zone: Any, project: int) -> str:
    """Return HTML of the title, the days, and links to the iterations beside it."""
    number = int(iteration.iteration_number)
    last_day = iteration.finish - pd.Timedelta(seconds=1)
    status = {"done": "done", "current": "current, not complete"}.get(
        iteration.iteration_state, "planned"
    )
    days = text.day_range(local_day(iteration.start, zone), local_day(last_day, zone))
    numbers = [int(other) for other in iterations["iteration_number"]]
    place = numbers.index(number)
    steps = []
    if place > 0:
        before = numbers[place - 1]
        steps.append(link("iteration", f"← Iteration {before}", number=before, project=project))
    if place + 1 < len(numbers):
        after = numbers[place + 1]
        steps.append(link("iteration", f"Iteration {after} →", number=after, project=project))
    return (
        f'<h1>Iteration {number}</h1><p class="steps"><strong>{days}</strong> · {status} '
        f"&nbsp; {' &nbsp; '.join(steps)}</p>"
    )


def _figures(iteration: Any, stories: DataFrame, has_transitions: bool) -> list[str]:
    accepted = stories[stories["current_state"] == "accepted"]
    counted = stories[stories["story_type"] != "release"]
    kind = "cycle" if has_transitions else "lead"
    median = accepted[f"{kind}_time_hours"].astype(float).median()
    return [
        _points_figure(iteration),
        figure(
            "Stories accepted",
            f"{int(iteration.stories_accepted)} of {len(counted)}",
            "Features, bugs and chores in the iteration.",
        ),
        figure(f"{kind.title()} time, median", days_text(median) or "unknown"),
        _rejections_figure(iteration),
    ]


def _points_figure(iteration: Any) -> str:
    points, velocity = float(iteration.points_accepted), iteration.velocity
    if pd.isna(velocity):
        return figure("Points accepted", f"{points:g}", reason(iteration.velocity_reason))
    difference = points - float(velocity)
    said = f"{difference:+g} vs. velocity ({velocity:g})"
    return figure(
        "Points accepted",
        f"{points:g}",
        "Compared with the velocity with which the iteration was planned.",
        change=Change(
            said if difference else f"as velocity ({velocity:g})",
            difference,
            is_neutral=iteration.iteration_state != "done",
        ),
    )


def _rejections_figure(iteration: Any) -> str:
    rejections = iteration.rejected_stories
    known = not pd.isna(rejections) and not pd.isna(iteration.rejection_rate)
    return figure(
        "Rejected",
        f"{int(rejections)} of {int(iteration.stories_accepted)}" if known else "unknown",
        reason(iteration.rejection_rate_reason),
        "Accepted stories that had been rejected at least once.",
    )


def _burn_up(iteration: Any, stories: DataFrame, last_known: Any, project: int) -> Part:
    days = burn_up_days(iteration.start, iteration.finish, stories, last_known.time_zone)
    # what comes after the last known day has not happened yet
    happened = pd.to_datetime(days["date"]) <= pd.Timestamp(last_known.as_of_date)
    total = float(days["accepted"].max()) if len(days) else 0.0
    days["accepted"] = days["accepted"].where(happened)
    scope = float(days["scope"].iloc[-1]) if len(days) else 0.0
    return partial(
        show_chart,
        "Burn-up",
        charts.iteration_burn_up(days.assign(date_text=days["date"])),
        days,
        f"{total:g} of {scope:g} points accepted. Dashed: all points in the iteration.",
        lambda picked: (
            f"accepted:{str(picked['date_text'])[:10]} iteration:{int(iteration.iteration_number)}"
        ),
        project,
    )


def burn_up_days(start: Any, finish: Any, stories: DataFrame, zone: Any) -> DataFrame:
    """Return the points accepted and in scope at the end of each day of an iteration.

    Args:
        start: When the iteration starts.
        finish: When it ends; that moment belongs to the next one.
        stories: `points`, `accepted_on`, `first_scheduled_at`, `current_state`.
        zone: The time zone of the days.

    Returns:
        `date`, `accepted`, `scope`.
    """
    zone = zone if isinstance(zone, str) and zone else "UTC"
    first, last = (
        moment.tz_convert(zone).tz_localize(None).normalize()
        for moment in (start, finish - pd.Timedelta(seconds=1))
    )
    points = stories["points"].astype(float).fillna(0.0)
    accepted_on = pd.to_datetime(stories["accepted_on"]).where(
        stories["current_state"] == "accepted"
    )
    scheduled = pd.to_datetime(stories["first_scheduled_at"], utc=True)
    scheduled_on = scheduled.dt.tz_convert(zone).dt.tz_localize(None).dt.normalize()
    days = pd.date_range(first, last, freq="D")
    # one row for each story, one column for each day
    is_accepted = accepted_on.to_numpy()[:, None] <= days.to_numpy()
    is_in_scope = is_accepted | (scheduled_on.to_numpy()[:, None] <= days.to_numpy())
    return DataFrame(
        {
            "date": days.strftime("%Y-%m-%d"),
            "accepted": points.to_numpy() @ is_accepted,
            "scope": points.to_numpy() @ is_in_scope,
        }
    )


def _types(stories: DataFrame, project: int, number: int) -> Part:
    counted = stories.assign(
        status=(stories["current_state"] == "accepted").map(
            {True: "accepted", False: "not accepted"}
        ),
        points=stories["points"].astype(float).fillna(0.0),
    )
    types = counted.groupby(["story_type", "status"], as_index=False).agg(
        stories=("id", "count"), points=("points", "sum")
    )
    points = types[types["status"] == "accepted"].set_index("story_type")["points"]
    said = ", ".join(f"{name} {value:g}" for name, value in points.items()) or "none"
    return partial(
        show_chart,
        "By type",
        charts.points_by_type(types),
        types,
        f"Points accepted: {said}. Bars count stories.",
        lambda picked: f"type:{picked['story_type']} iteration:{number}",
        project,
    )


def _durations(stories: DataFrame, has_transitions: bool, project: int) -> Part:
    kind = "cycle" if has_transitions else "lead"
    accepted = stories[
        (stories["current_state"] == "accepted") & (stories["story_type"] != "release")
    ]
    dots = accepted.assign(days=accepted[f"{kind}_time_hours"].astype(float) / 24).dropna(
        subset=["days"]
    )
    shown = dots[["id", "name", "story_type", "accepted_on", "days"]].assign(
        accepted_on=pd.to_datetime(dots["accepted_on"]).dt.strftime("%Y-%m-%d")
    )
    longest = f"; the longest took {shown['days'].max():.1f} days" if len(shown) else ""
    return partial(
        show_chart,
        f"{kind.title()} time of each story",
        charts.story_durations(shown, f"{kind} time"),
        shown,
        f"{text.plural(len(shown), 'story')} with a known {kind} time{longest}.",
        _story_search,
        project,
        f"No {kind} times are known for this iteration.",
    )


def _story_search(picked: Mapping[str, Any]) -> str:
    return f"id:{int(picked['id'])}"


def _scope_changes(
    iteration: Any,
    stories: DataFrame,
    moved: DataFrame,
    has_transitions: bool,
    known: Details,
    project: int,
) -> list[Part]:
    title = "Scope added and removed"
    if not has_transitions:
        unknown = "Unknown: the data does not say when stories were scheduled or started."
        return [partial(section, title, unknown)]
    counted = stories[stories["story_type"] != "release"]
    added = counted[pd.to_datetime(counted["first_scheduled_at"], utc=True) > iteration.start]
    removed = moved.drop_duplicates("id")
    added_points, removed_points = (
        float(frame["points"].astype(float).sum()) for frame in (added, removed)
    )
    said = (
        f"Added after the start: {text.plural(len(added), 'story')}, {added_points:g} points. "
        f"Removed: {text.plural(len(removed), 'story')}, {removed_points:g} points. "
        "Pivotal Tracker kept no plan of an iteration, so this follows from the history of states: "
        "stories that were started or moved to the icebox in this iteration, and are not in it "
        "now, count as removed."
    )
    lists = [
        partial(
            show_when_opened,
            f"{change}: {text.plural(len(frame), 'story')}",
            change.lower(),
            partial(_list_of, frame, known, project),
        )
        for change, frame in (("Added", added), ("Removed", removed))
    ]
    return [partial(section, title, said), partial(show_side_by_side, *lists)]


def _list_of(stories: DataFrame, known: Details, project: int) -> None:
    st.html(story_list(stories, known, project) if len(stories) else '<p class="empty">None</p>')


def _people(people: DataFrame, project: int, number: int) -> Part:
    if people.empty:
        return partial(section, "People", "No accepted story has an owner.")
    rows = [
        [
            link(
                "stories",
                text.isolated(row.owner),
                q=f"owner:{quote(row.owner)} state:accepted iteration:{number}",
                project=project,
            ),
            int(row.stories),
            float(row.points),
        ]
        for row in people.itertuples()
    ]
    return partial(
        section,
        "People",
        "A story with several owners counts for each of them.",
        content=text.table(["Owner", "Stories accepted", "Points"], rows),
    )
