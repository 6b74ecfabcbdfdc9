"""Periods of whole weeks up to the last known day, which pages compare."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pandas as pd
import streamlit as st
from pandas import DataFrame, Series

from . import controls

ALL = "all"
SPARKLINE_WEEKS = 26

_WEEKS = {"4w": 4, "13w": 13, "26w": 26, "52w": 52}
_NAMES = {"4w": "4 weeks", "13w": "3 months", "26w": "6 months", "52w": "1 year", ALL: "All"}


@dataclass(frozen=True)
class Period:
    """Whole weeks up to the last known day.

    Attributes:
        end: The last day.
        weeks: How many weeks; `None` for all.
    """

    end: date
    weeks: int | None

    @property
    def start(self) -> date | None:
        """The first day, `None` if the period has no start."""
        return self.end - timedelta(days=7 * self.weeks - 1) if self.weeks else None

    def contains(self, days: Series[Any]) -> Series[bool]:
        """Which days are in the period."""
        return between(days, self.start, self.end)

    def previous_contains(self, days: Series[Any]) -> Series[bool]:
        """Which days are in the period of the same length before it."""
        if self.start is None or self.weeks is None:
            return Series(False, index=days.index)
        return between(
            days, self.start - timedelta(days=7 * self.weeks), self.start - timedelta(days=1)
        )


def between(days: Series[Any], first: date | None, last: date) -> Series[bool]:
    """Which days are in a range; without a first day, all up to the last one."""
    moments = pd.to_datetime(days)
    mask = moments <= pd.Timestamp(last)
    return mask & (moments >= pd.Timestamp(first)) if first else mask


def choose_period(end: date) -> Period:
    """Ask for a period that ends on a day."""
    chosen = controls.choice_param(
        "Period",
        "period",
        list(_NAMES),
        "13w",
        _NAMES.__getitem__,
        widget=st.segmented_control,
        required=True,
        wrap=True,
    )
    return Period(end, _WEEKS.get(chosen))


def last_day(as_of: DataFrame) -> date | None:
    """Return the last known day of some projects, `None` if they have no stories."""
    days = as_of["as_of_date"].dropna()
    return pd.Timestamp(days.max()).date() if len(days) else None


def weekly_sums(days: Series[Any], values: Series[Any], end: date) -> list[float]:
    """Sum of values by week for the last weeks, the oldest first."""
    age = (pd.Timestamp(end) - pd.to_datetime(days)).dt.days // 7
    sums = values.astype(float).groupby(age).sum()
    return [float(sums.get(week, 0)) for week in range(SPARKLINE_WEEKS - 1, -1, -1)]
