"""Epics and releases: how far each is."""

from __future__ import annotations

import pandas as pd
import streamlit as st
from pandas import DataFrame
from sqlglot import exp

from tracker_dashboard import charts, queries
from tracker_dashboard.parts import choose_scope, from_views, show_chart
from tracker_dashboard.queries import Scope

_MOST = 40
"""So many are drawn; the CSV has them all."""


def show() -> None:
    """Shows the page."""
    st.title("Epics and releases")
    epics, releases = from_views(*asked(choose_scope(with_days=False)))
    shares = ("share_of_points_accepted", "share_of_stories_accepted")
    for title, found in (("Epics", epics), ("Releases", releases)):
        first = ["name", *shares]
        shown = found[[*first, *(each for each in found.columns[1:] if each not in first)]]
        show_chart(title, charts.progress(_parts(found), title), shown, shares)


def asked(scope: Scope) -> tuple[exp.Select, ...]:
    """What the page asks."""
    return queries.epics(scope), queries.releases(scope)


def _parts(found: DataFrame) -> DataFrame:
    drawn = found.head(_MOST)
    twice = drawn["name"].duplicated(keep=False)
    names = drawn["name"].where(~twice, drawn["name"] + " (" + drawn["project_name"] + ")")
    accepted = drawn["points_accepted"].fillna(0)
    to_do = drawn["points"].fillna(0) - accepted
    return pd.concat(
        [
            DataFrame({"name": names, "part": part, "points": points})
            for part, points in (("accepted", accepted), ("to do", to_do))
        ]
    )
