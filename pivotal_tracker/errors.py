"""The base class of errors that a person can fix."""

from __future__ import annotations


class TrackerError(Exception):
    """An error for people: its text says what went wrong and what to do."""
