"""Errors that a person can act on; their messages are shown on the page."""

from __future__ import annotations


class DashboardError(Exception):
    """What went wrong, and what to do about it."""


class NothingLoadedError(DashboardError):
    """No pipeline has loaded anything yet."""


class DatabaseLockedError(DashboardError):
    """A load is writing, and DuckDB lets nobody read meanwhile."""


class MissingTableError(DashboardError):
    """A query needs a table or a view that the dataset does not have."""


class MissingViewError(DashboardError):
    """A page needs a metric view that the dataset does not have."""


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or its type if it has none."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
