"""Read the list of projects, and mark the projects that are missing from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from ..api.client import TrackerClient
from ..api.errors import FailedRequestError, UnreadableError
from ..errors import TrackerError
from ..records import Key, Record, Tombstones, from_litetracker, is_id
from ..settings import ONE_PROJECT, PROJECTS
from ..tables import LOAD_REPORT
from .run import Run
from .shards import Shard

_MISSING_SINCE = "_not_seen_since"


def fetch_projects(client: TrackerClient) -> list[Record]:
    """Fetch the projects that the server lists, with LiteTracker's names replaced by Tracker's.

    Raises:
        TrackerError: The list cannot be read, so no table can be.
    """
    try:
        listed = client.records(client.page(PROJECTS))
    except FailedRequestError as error:
        raise TrackerError(f"{error} {client.server.hint}") from error
    except UnreadableError as error:
        raise TrackerError(
            f"{error} base_url must go up to and including /services/v5. {client.server.hint}"
        ) from error
    projects = []
    for record in listed:
        if is_id(record.get("id")):
            projects.append(from_litetracker(record))
        else:
            shown = _shortened(record.get("id"))
            client.reject(PROJECTS.path, f"a project has {shown} where an id is expected")
    return projects


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}…"


def select_projects(
    client: TrackerClient, project_ids: Sequence[int] | None, shard: Shard
) -> tuple[list[Record], set[int], dict[int, str]]:
    """Fetch the projects of a shard: all that the token sees, or only some.

    Args:
        client: The server.
        project_ids: Only these. A project that is not in the list, as public projects are not, is
            requested by its id; if the server refuses it, it is skipped.
        shard: Only the projects of this shard.

    Returns:
        Project records with Tracker's names, the ids of the projects that other shards read, and
        why projects are skipped, by their ids.
    """
    records = {project["id"]: project for project in fetch_projects(client)}
    selected = list(dict.fromkeys(records if project_ids is None else project_ids))
    skipped: dict[int, str] = {}
    for project_id in selected:
        if project_id not in records and project_id in shard:
            try:
                page = client.page(ONE_PROJECT, id=project_id)
                for record in client.records(page):
                    records[project_id] = {**from_litetracker(record), "id": project_id}
            except UnreadableError as error:
                skipped[project_id] = str(error)
    own = [records[key] for key in selected if key in records and key in shard]
    return own, {key for key in selected if key not in shard}, skipped


def read_project_list(run: Run, project_ids: Sequence[int] | None) -> Iterator[list[Record]]:
    """Yield the projects that are read, as one list.

    Args:
        run: The run.
        project_ids: Only these; None for all that the token sees.
    """
    projects, others, run.not_listed = select_projects(run.client, project_ids, run.shard)
    run.other_shard_project_ids = others
    run.listed = None if project_ids is not None else {project["id"] for project in projects}
    yield projects


def read_projects(run: Run, projects: list[Record]) -> Iterator[Any]:
    """Yield what the resource `projects` yields.

    Args:
        run: The run.
        projects: The projects of the list that are loaded.
    """
    run.record_project_list("projects", projects)
    yield Tombstones()
    yield run.look_up_rows("projects", projects)
    missing = _missing_projects(run)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    rows = run.loaded.records(run.table("projects"), missing)
    newly_missing = [
        {**row, _MISSING_SINCE: now} for row in rows if row.get(_MISSING_SINCE) is None
    ]
    yield run.look_up_rows("projects", newly_missing)
    run.metrics["projects"].vanished = sorted(missing)
    if run.loaded.has(LOAD_REPORT.name):
        yield from run.wait_for_others("projects")
        yield run.look_up_rows("projects", run.linked_project_records())
    run.finish("projects")


def _missing_projects(run: Run) -> set[Key]:
    """Return the ids of loaded projects that the list lacks; empty if it may not be complete."""
    if run.listed is None or run.is_replaced("projects"):
        return set()
    # a project may be missing because its record could not be read
    if run.client.rejected.get(PROJECTS.path):
        return set()
    table = run.table("projects")
    known = run.loaded.row_ids(table)
    missing = {key for key in known if key in run.shard and key not in run.listed}
    # projects from archives were never in the list
    return missing - run.loaded.archive_keys(table)
