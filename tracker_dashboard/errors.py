"""What can go wrong, in words for the person in front of the browser."""

from __future__ import annotations


class DashboardError(Exception):
    """Something a person can do something about; its text says what."""


class NothingLoadedError(DashboardError):
    """No pipeline has loaded anything yet."""


class BusyError(DashboardError):
    """A load is writing, and DuckDB lets nobody read meanwhile."""


class NotThereError(DashboardError):
    """A query asks for a table or a view that the dataset does not have."""
