"""Epics and releases: how much of each is accepted."""

from __future__ import annotations

import pandas as pd
import streamlit as st
from pandas import DataFrame

from tracker_dashboard import charts, text
from tracker_dashboard.components import of_project, query_views, show_chart
from tracker_dashboard.header import Selection
from tracker_dashboard.queries import metrics

_MAX_BARS = 40
"""More are in the table only."""


def render(selection: Selection) -> None:
    """Shows the page."""
    st.title("Epics and releases")
    (epics,), (releases,) = query_views(metrics.epics()), query_views(metrics.releases())
    epics, releases = (of_project(frame, selection.project) for frame in (epics, releases))
    for title, noun, found in (("Epics", "epic", epics), ("Releases", "release", releases)):
        accepted, total = (
            float(found[c].astype(float).sum()) for c in ("points_accepted", "points")
        )
        show_chart(
            title,
            charts.progress(_parts(found)),
            found,
            f"{text.plural(len(found), noun)}, {accepted:g} of {total:g} points accepted.",
        )


def _parts(found: DataFrame) -> DataFrame:
    drawn = found.head(_MAX_BARS)
    ambiguous = drawn["name"].duplicated(keep=False)
    names = drawn["name"].where(~ambiguous, drawn["name"] + " (" + drawn["project_name"] + ")")
    accepted = drawn["points_accepted"].astype(float).fillna(0)
    remaining = drawn["points"].astype(float).fillna(0) - accepted
    return pd.concat(
        [
            DataFrame({"name": names, "part": part, "points": points})
            for part, points in (("accepted", accepted), ("remaining", remaining))
        ]
    )
