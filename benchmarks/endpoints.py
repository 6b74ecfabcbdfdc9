"""The endpoints, page sizes and nested `fields` that this project requests.

The settings module is run on its own: importing it from `pivotal_tracker` would import dlt, whose
start-up time and memory must not count for the lower bound or for the measuring process.
"""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

_SETTINGS = runpy.run_path(
    str(Path(__file__).parent.parent / "pivotal_tracker" / "settings.py"), run_name="settings"
)

PROJECTS = _SETTINGS["PROJECTS"]
PROJECT_ENDPOINTS: dict[str, Any] = _SETTINGS["PROJECT_ENDPOINTS"]
"""What is read of each project, by the name of its table."""

SHARED_TABLES = (
    "projects",
    "stories",
    "epics",
    "labels",
    "project_memberships",
    "releases",
    "activity",
)
"""The tables that all contenders load: those that other connectors have too."""

ALL_TABLES = ("projects", *PROJECT_ENDPOINTS)


def parameters(endpoint: Any, offset: int = 0) -> dict[str, str]:
    """Return the query parameters of one page, as this project's client sends them.

    Args:
        endpoint: An endpoint of the settings.
        offset: The position in the list at which the page begins.
    """
    params = {"fields": ",".join(endpoint.fields), "limit": endpoint.limit, "offset": offset}
    return {name: str(value) for name, value in params.items() if value}
