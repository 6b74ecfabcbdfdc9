"""The endpoints, page sizes and nested `fields` that this project asks for.

Its settings are run by themselves: importing them from `pivotal_tracker` would import dlt, whose
start-up time and memory are no business of the floor or of the process that measures.
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
"""What is read of each project, by the name of its stream."""

STREAMS = (
    "projects",
    "stories",
    "epics",
    "labels",
    "project_memberships",
    "releases",
    "activity",
)
"""The streams that all contenders load: those that other connectors know."""

EVERYTHING = ("projects", *PROJECT_ENDPOINTS)


def parameters(endpoint: Any, offset: int = 0) -> dict[str, str]:
    """Return the query of one page, as this project's client asks for it.

    Args:
        endpoint: One of those above.
        offset: Where in the list the page begins.
    """
    asked = {"fields": ",".join(endpoint.fields), "limit": endpoint.limit, "offset": offset}
    return {name: str(value) for name, value in asked.items() if value}
