"""Load Pivotal Tracker's data, from a server of its API v5 or from files, with dlt."""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import Any

from .api.errors import MissingTokenError
from .errors import TrackerError
from .extract.shards import Shard
from .load.people_from_tables import refresh_people
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
    "pivotal_tracker_archive",
    "pivotal_tracker_attachments",
    "pivotal_tracker_source",
    "refresh_people",
]

_DEPRECATED = {
    "gather_people": ("load.people_from_tables", "refresh_people"),
    "Findings": ("cli.check", "Findings"),
    "check_archives": ("cli.check", "check_archives"),
    "check_server": ("cli.check", "check_server"),
}
"""Names of version 0.1.0, with the module and the name that they have now."""


def __getattr__(name: str) -> Any:
    if name not in _DEPRECATED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, new_name = _DEPRECATED[name]
    warnings.warn(
        f"pivotal_tracker.{name} is now {__name__}.{module}.{new_name}",
        DeprecationWarning,
        stacklevel=2,
    )
    return getattr(import_module(f"{__name__}.{module}"), new_name)
