"""People: what each person accepted, commented and reviewed by week, and their open work."""

from __future__ import annotations

from datetime import date
from typing import Any

import pandas as pd
import streamlit as st
from pandas import DataFrame, Series

from .. import charts, text
from ..components import query_views, show_chart
from ..header import Selection
from ..links import link
from ..periods import Period, choose_period, last_day, weekly_sums
from ..queries import metrics, people
from ..search_syntax import quote
from ..text import Html

_COUNTS = ("stories_accepted", "points_accepted", "comments", "reviews")


def render(selection: Selection) -> None:
    """Show the page."""
    scope = selection.scope
    as_of, activity, reviews, open_work = query_views(
        metrics.as_of(scope),
        people.weekly_activity(scope),
        people.reviews(scope),
        people.open_work(scope),
    )
    st.title("People")
    end = last_day(as_of)
    if end is None:
        st.info("Nothing is known about people here.")
        return
    period = choose_period(end)
    weekly = with_reviews(activity, reviews)
    shown = weekly[period.contains(weekly["week"])]
    totals = shown.groupby(["person_id", "person_name"], as_index=False)[list(_COUNTS)].sum()
    totals = totals.sort_values(["points_accepted", "stories_accepted"], ascending=False)
    st.header("Finished", anchor=False)
    _finished(totals, weekly, end, selection.project)
    _chart(totals, period, selection.project)
    st.header("Open work", anchor=False)
    _open_work(open_work, selection.project)


def with_reviews(activity: DataFrame, reviews: DataFrame) -> DataFrame:
    """Add the number of reviews to what each person did in each week.

    Args:
        activity: `person_id`, `person_name`, `week`, `stories_accepted`, `points_accepted`,
            `comments`.
        reviews: `person_id`, `updated_at`.

    Returns:
        `activity` with `reviews`; a week with reviews only has a row too.
    """
    days = pd.to_datetime(reviews["updated_at"], utc=True).dt.tz_localize(None).dt.normalize()
    mondays = days - pd.to_timedelta(days.dt.weekday, unit="D")
    counted = (
        DataFrame({"person_id": reviews["person_id"], "week": mondays})
        .value_counts(["person_id", "week"])
        .rename("reviews")
        .reset_index()
    )
    names = activity.drop_duplicates("person_id").set_index("person_id")["person_name"]
    known = activity.assign(week=pd.to_datetime(activity["week"]))
    merged = known.merge(counted, on=["person_id", "week"], how="outer")
    merged["person_name"] = merged["person_id"].map(names)
    for name in _COUNTS:
        merged[name] = merged[name].astype(float).fillna(0)
    return merged.dropna(subset=["person_name"])


def _finished(totals: DataFrame, weekly: DataFrame, end: date, project: int | None) -> None:
    if totals.empty:
        st.info("Nobody accepted, commented or reviewed anything in this period.")
        return
    rows = []
    for person in totals.itertuples():
        own = weekly[weekly["person_id"] == person.person_id]
        counts = weekly_sums(own["week"], own["stories_accepted"], end)
        rows.append(
            [
                _owner_link(person.person_name, "state:accepted", project),
                person.stories_accepted,
                person.points_accepted,
                person.comments,
                person.reviews,
                Html(charts.sparkline(counts, "stories accepted per week, the last 26 weeks")),
            ]
        )
    columns = ["Person", "Stories", "Points", "Comments", "Reviews", "Stories per week, 6 months"]
    st.html(f'<div class="scroll-x">{text.table(columns, rows)}</div>')
    st.caption("A story with several owners counts for each of them.")


def _owner_link(name: Any, terms: str, project: int | None) -> Html:
    query = f"owner:{quote(str(name))} {terms}"
    return link("stories", text.isolated(name), f"Stories: {query}", q=query, project=project)


def _chart(totals: DataFrame, period: Period, project: int | None) -> None:
    drawn = totals.rename(columns={"person_name": "person"})[["person", *_COUNTS]]
    drawn = drawn[drawn["stories_accepted"] > 0]
    days = f"{period.start or date(1970, 1, 1)}..{period.end}"
    show_chart(
        "Stories accepted by person",
        charts.by_person(drawn),
        drawn,
        f"{len(drawn)} {'person' if len(drawn) == 1 else 'people'} accepted stories.",
        lambda picked: f"owner:{quote(str(picked['person']))} accepted:{days} -type:release",
        project,
        "No story with an owner was accepted in this period.",
    )


def _open_work(open_work: DataFrame, project: int | None) -> None:
    if open_work.empty:
        st.caption("Nobody owns an open story outside the icebox.")
        return
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
    st.html(f'<div class="scroll-x">{text.table(columns, rows)}</div>')
