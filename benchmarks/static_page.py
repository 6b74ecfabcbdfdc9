"""A Streamlit page with the elements of the dashboard's Project page, and constant data.

What Streamlit and the browser take for it, the dashboard cannot save.
"""

from __future__ import annotations

import pandas as pd
import streamlit as st

from tracker_dashboard import charts, controls
from tracker_dashboard.components import figure, section, show_figures, show_title
from tracker_dashboard.links import follow_links

_DAYS = pd.date_range("2026-01-05", periods=26, freq="7D")
_WEEKS = pd.DataFrame({"period": _DAYS, "first_day": _DAYS, "last_day": _DAYS})
_WEEKS = _WEEKS.assign(accepted=range(26), created=range(26), points_accepted=range(26))

st.set_page_config(page_title="Constant", layout="wide")
follow_links()
with st.container(key="header"):
    choice, search = st.columns([2, 3])
    with choice:
        controls.choice_param("Project", "project", ["1", "2"], "1", filter_mode="contains")
    with search, st.container(horizontal=True, vertical_alignment="bottom"):
        controls.text_param("Search stories", "q", icon=":material/search:", type="search")
        with st.popover("?", help="How to search", width="content"):
            st.markdown("Help")
    st.html("<nav class='menu'>Menu</nav>")
title, period = st.columns([3, 2])
with title:
    show_title("Constant")
with period:
    periods = ["3 months", "1 year"]
    controls.choice_param("Period", "period", periods, periods[0], widget=st.segmented_control)
trend = list(range(26))
show_figures(
    *(figure(f"Figure {n}", "1", "What is said about it", trend=trend) for n in range(4)),
)
for number in range(4):
    section(f"Chart {number}", "What it says")
    chart = charts.throughput(_WEEKS, "week")
    st.vega_lite_chart(chart.rows, chart.spec, width="stretch", on_select="rerun", key=f"c{number}")
    st.expander("Data and downloads", key=f"d{number}", on_change="rerun")
