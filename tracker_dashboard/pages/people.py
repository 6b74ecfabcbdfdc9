"""People: what each person accepted, commented and reviewed by week, and their open work."""

from __future__ import annotations

from datetime import date, timedelta
from functools import partial
from typing import Any

import pandas as pd
from pandas import DataFrame, Series

from .. import charts, text
from ..components import Part, query_views, section, show_chart
from ..header import Selection
from ..links import Params, link
from ..periods import Period, last_day, period_in, show_title_and_period, weekly_sums
from ..queries import metrics, people
from ..queries.build import Scope
from ..search_syntax import quote
from ..session import Load, current_load, once_per_load
from ..text import Html

_COUNTS = ("stories_accepted", "points_accepted", "comments", "reviews")


def render(selection: Selection) -> None:
    """Show the page."""
    as_of, *_ = _read(current_load(), selection.scope)
    period = show_title_and_period("People", as_of)
    if period is None:
        return
    for show in _parts(current_load(), selection.scope, period):
        show()


def prepare(project: int, params: Params) -> None:
    """Prepare what the page shows for one project.

    Args:
        project: The id of the project.
        params: The parameters of the address.
    """
    scope = Scope((project,))
    as_of, *_ = _read(current_load(), scope)
    if period := period_in(params, as_of):
        _parts(current_load(), scope, period)


@once_per_load
def _parts(load: Load, scope: Scope, period: Period) -> list[Part]:
    """Compute the parts of the page."""
    as_of, activity, reviews, open_work = _read(load, scope)
    project = scope.projects[0] if scope.projects else None
    weekly = with_reviews(activity, reviews)
    shown = weekly[period.contains(weekly["week"])]
    totals = shown.groupby(["person_id", "person_name"], as_index=False)[list(_COUNTS)].sum()
    totals = totals.sort_values(["points_accepted", "stories_accepted"], ascending=False)
    accepted = f"{_days_of_weeks(period)} -type:release"
    return [
        _work_done(totals, weekly, last_day(as_of) or period.end, accepted, project),
        _chart(totals, accepted, project),
        _open_work(open_work, project),
    ]


@once_per_load
def _read(load: Load, scope: Scope) -> list[DataFrame]:
    """Read what the page shows."""
    return query_views(
        metrics.as_of(scope),
        people.weekly_activity(scope),
        people.reviews(scope),
        people.open_work(scope),
    )


def with_reviews(activity: DataFrame, reviews: DataFrame) -> DataFrame:
    """Add the number of reviews to what each person did in each week.

    Args:
        activity: `person_id`, `person_name`, `week`, `stories_accepted`, `points_accepted`,
            `comments`.
        reviews: `person_id`, `person_name`, `updated_at`.

    Returns:
        `activity` with `reviews`; a week with reviews only has a row too.
    """
    days = pd.to_datetime(reviews["updated_at"], utc=True).dt.tz_localize(None).dt.normalize()
    mondays = days - pd.to_timedelta(days.dt.day_of_week, unit="D")
    counted = (
        DataFrame({"person_id": reviews["person_id"], "week": mondays})
        .value_counts(["person_id", "week"])
        .rename("reviews")
        .reset_index()
    )
    named = pd.concat([activity, reviews]).drop_duplicates("person_id")
    names = named.set_index("person_id")["person_name"]
    known = activity.assign(week=pd.to_datetime(activity["week"]))
    merged = known.merge(counted, on=["person_id", "week"], how="outer")
    merged["person_name"] = merged["person_id"].map(names)
    for name in _COUNTS:
        merged[name] = merged[name].astype(float).fillna(0)
    return merged


def _days_of_weeks(period: Period) -> str:
    """Return a search for what was accepted in the weeks that begin in a period."""
    monday = period.end - timedelta(days=period.end.weekday())
    last = monday + timedelta(days=6)
    if period.start is None:
        return f"accepted:<={last}"
    return f"accepted:{period.start + timedelta(days=-period.start.weekday() % 7)}..{last}"


def _work_done(
    totals: DataFrame, weekly: DataFrame, end: date, accepted: str, project: int | None
) -> Part:
    if totals.empty:
        nothing = "No accepted story with an owner, no comment and no review in this period."
        return partial(section, "Work done", nothing)
    rows = []
    for person in totals.itertuples():
        own = weekly[weekly["person_id"] == person.person_id]
        counts = weekly_sums(own["week"], own["stories_accepted"], end)
        rows.append(
            [
                _owner_link(person.person_name, accepted, project),
                person.stories_accepted,
                person.points_accepted,
                person.comments,
                person.reviews,
                Html(charts.sparkline(counts, "stories accepted per week, the last 26 weeks")),
            ]
        )
    columns = ["Person", "Stories accepted", "Points", "Comments", "Reviews", "Stories per week"]
    return partial(
        section,
        "Work done",
        "Counted for the weeks that begin in this period; accepted stories count for each of their "
        "owners. The small charts show the last 26 weeks.",
        content=f'<div class="scroll-x">{text.table(columns, rows)}</div>',
    )


def _owner_link(name: Any, terms: str, project: int | None) -> Html:
    query = f"owner:{quote(str(name))} {terms}"
    return link("stories", text.isolated(name), f"Stories: {query}", q=query, project=project)


def _chart(totals: DataFrame, accepted: str, project: int | None) -> Part:
    drawn = totals.rename(columns={"person_name": "person"})[["person", *_COUNTS]]
    drawn = drawn[drawn["stories_accepted"] > 0]
    return partial(
        show_chart,
        "Accepted stories by owner",
        charts.by_person(drawn),
        drawn,
        f"{len(drawn)} {'person owns' if len(drawn) == 1 else 'people own'} the stories that were "
        "accepted in this period.",
        lambda picked: f"owner:{quote(str(picked['person']))} {accepted}",
        project,
        "No story with an owner was accepted in this period.",
    )


def _open_work(open_work: DataFrame, project: int | None) -> Part:
    if open_work.empty:
        return partial(section, "Open work", "No open story outside the icebox has an owner.")
    rows = []
    for name, group in open_work.groupby("name", sort=True):
        by_state: Series[Any] = group.set_index("current_state")["stories"]
        progress = sum(int(by_state.get(s, 0)) for s in ("started", "finished", "delivered"))
        rows.append(
            [
                _owner_link(name, "state:open", project),
                progress,
                int(by_state.get("rejected", 0)),
                int(by_state.get("unstarted", 0)) + int(by_state.get("planned", 0)),
                float(group["points"].astype(float).sum()),
            ]
        )
    columns = ["Person", "In progress", "Rejected", "Not started", "Points"]
    content = f'<div class="scroll-x">{text.table(columns, rows)}</div>'
    return partial(section, "Open work", content=content)
