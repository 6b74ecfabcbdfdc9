"""What is wrong for a person to mend."""

from __future__ import annotations


class TrackerError(Exception):
    """Something that a person has to know; its text says what went wrong and what to do."""
