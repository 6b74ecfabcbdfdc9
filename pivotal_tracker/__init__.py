"""Loads Pivotal Tracker's data, from a server of its API v5 or from files, with dlt."""

from __future__ import annotations

from typing import Any

from .api.client import MissingTokenError
from .errors import TrackerError
from .extract.shards import Shard
from .load.people_from_tables import gather_people
from .load.row_counts import Difference, differences
from .sources import (
    DERIVED_RESOURCES,
    RESOURCES,
    pivotal_tracker_archive,
    pivotal_tracker_attachments,
    pivotal_tracker_source,
)

__version__ = "0.1.0"

__all__ = [
    "DERIVED_RESOURCES",
    "RESOURCES",
    "Difference",
    "MissingTokenError",
    "Shard",
    "TrackerError",
    "differences",
    "gather_people",
    "pivotal_tracker_archive",
    "pivotal_tracker_attachments",
    "pivotal_tracker_source",
]

_MOVED_TO_CLI_CHECK = ("Findings", "check_archives", "check_server")
"""Deprecated here: import them from `pivotal_tracker.cli.check`."""


def __getattr__(name: str) -> Any:
    if name in _MOVED_TO_CLI_CHECK:
        from .cli import check

        return getattr(check, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
