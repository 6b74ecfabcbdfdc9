"""Read one table of all projects, going on from what the last run has read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dlt

from ..records import Record
from ..settings import Endpoint
from .resource_reader import ResourceReader
from .run import Run
from .unversioned import list_of


def read_project_table(
    name: str, endpoint: Endpoint, run: Run, projects: list[Record]
) -> Iterator[Any]:
    """Yield what the resource of a table yields that is read project by project.

    Args:
        name: The resource.
        endpoint: Its list.
        run: The run.
        projects: The projects to read.
    """
    run.record_project_list(name, projects)
    reader = ResourceReader(run, name, endpoint, _project_states(run))
    yield from reader.items([list_of(reader, project) for project in projects])


def _project_states(run: Run) -> dict[str, Any]:
    """Return what the resource remembers of each project, by its id as text.

    It is empty if the dataset is another. A full refresh keeps only which rows were kept, and up to
    which version activity is known.
    """
    if run.load_id is None:
        return {}
    state: dict[str, Any] = dlt.current.resource_state()
    if not run.loaded.is_state_current:
        state.clear()
    projects: dict[str, Any] = state.setdefault("projects", {})
    for project_id, before in projects.items() if run.full_refresh else ():
        names = ("kept_since", "read_version")
        kept = {name: before[name] for name in names if name in before}
        if before.get("version") is not None:
            kept["read_version"] = before["version"]
        projects[project_id] = kept
    return projects
