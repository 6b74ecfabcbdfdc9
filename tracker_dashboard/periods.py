"""Periods, which pages compare with the one before: weeks up to the last known day, or any days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pandas as pd
import streamlit as st
from pandas import DataFrame, Series

from . import controls, text
from .components import show_line, show_title
from .links import Params

ALL = "all"
DATES = "dates"
SPARKLINE_WEEKS = 26

_DEFAULT = "13w"
_WEEKS = {"4w": 4, "13w": 13, "26w": 26, "52w": 52}
_NAMES = {
    "4w": "4 weeks",
    "13w": "3 months",
    "26w": "6 months",
    "52w": "1 year",
    ALL: "All",
    DATES: "Dates",
}
_EARLIEST = date(2000, 1, 1)
"""Before Pivotal Tracker began."""


@dataclass(frozen=True)
class Period:
    """Some days.

    Attributes:
        start: The first day; `None` for all days up to the last one.
        end: The last day.
    """

    start: date | None
    end: date

    def days(self) -> str:
        """Return its first and last day in words."""
        last = text.day(self.end)
        return text.day_range(text.day(self.start), last) if self.start else f"Until {last}"

    def days_before(self) -> str:
        """Return with which days before it is compared, in words."""
        if self.start is None:
            return ""
        return f"; compared with the {(self.end - self.start).days + 1} days before"

    def contains(self, days: Series[Any]) -> Series[bool]:
        """Return which days are in the period."""
        return between(days, self.start, self.end)

    def previous_contains(self, days: Series[Any]) -> Series[bool]:
        """Return which days are in the period of the same length before it."""
        if self.start is None:
            return Series(False, index=days.index)
        before = self.start - timedelta(days=1)
        return between(days, before - (self.end - self.start), before)


def between(days: Series[Any], first: date | None, last: date) -> Series[bool]:
    """Return which days are in a range; without a first day, all up to the last one."""
    moments = pd.to_datetime(days)
    mask = moments <= pd.Timestamp(last)
    return mask & (moments >= pd.Timestamp(first)) if first else mask


def show_title_and_period(title: str, as_of: DataFrame, compares: bool = False) -> Period | None:
    """Show the title of a page, and ask for a period that ends on the last known day.

    Args:
        title: The title.
        as_of: The last known day of each project: `as_of_date`, `as_of_source`.
        compares: Whether the page compares the period with the one before.

    Returns:
        The period, `None` if there are no stories.
    """
    end = last_day(as_of)
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    with left:
        show_title(title)
    if end is None:
        show_line("There are no stories yet.")
        return None
    with right:
        period = _choose_period(end)
    reason = "today" if (as_of["as_of_source"] == "now").any() else "the last known day"
    show_line(
        f"{period.days()}{f', {reason}' if period.end == end else ''}"
        f"{period.days_before() if compares else ''}."
    )
    return period


def _choose_period(end: date) -> Period:
    """Ask for a period that ends on a day, or for other days."""
    chosen = controls.choice_param(
        "Period",
        "period",
        list(_NAMES),
        _DEFAULT,
        _NAMES.__getitem__,
        drops=("from", "until"),
        widget=st.segmented_control,
        required=True,
        wrap=True,
    )
    if chosen == DATES:
        return _choose_dates(end)
    return _last_weeks(chosen, end)


def period_in(params: Params, as_of: DataFrame) -> Period | None:
    """Return the period that an address names; `None` if it names dates, or without stories."""
    end = last_day(as_of)
    chosen = controls.choice_in(params, "period", list(_NAMES), _DEFAULT)
    if end is None or chosen == DATES:
        return None
    return _last_weeks(chosen, end)


def _last_weeks(chosen: str, end: date) -> Period:
    weeks = _WEEKS.get(chosen)
    return Period(end - timedelta(days=7 * weeks - 1) if weeks else None, end)


def _choose_dates(end: date) -> Period:
    left, right = st.columns(2)
    with left:
        first = controls.date_param("From", "from", end - timedelta(days=90), _EARLIEST, end)
    with right:
        last = controls.date_param("Until", "until", end, _EARLIEST, end)
    return Period(*sorted((first, last)))


def last_day(as_of: DataFrame) -> date | None:
    """Return the last known day of some projects, `None` if they have no stories."""
    days = as_of["as_of_date"].dropna()
    return pd.Timestamp(days.max()).date() if len(days) else None


def weekly_sums(days: Series[Any], values: Series[Any], end: date) -> list[float]:
    """Sum values by week for the last weeks, the oldest first."""
    age = (pd.Timestamp(end) - pd.to_datetime(days)).dt.days // 7
    sums = values.astype(float).groupby(age).sum()
    return [float(sums.get(week, 0)) for week in range(SPARKLINE_WEEKS - 1, -1, -1)]
