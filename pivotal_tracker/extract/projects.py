"""The list of projects: what the token sees, and since when something is not in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import dlt

from ..api.client import TrackerClient
from ..api.errors import FailedRequestError, UnreadableError
from ..errors import TrackerError
from ..records import Key, Record, Tombstones, from_litetracker, is_id
from ..settings import ONE_PROJECT, PROJECTS
from ..tables import LOAD_REPORT
from .resource_reader import record_client_stats
from .run import Run
from .shards import Shard

_NOT_SEEN = "_not_seen_since"


def listed_projects(client: TrackerClient) -> list[Record]:
    """Return the projects that the server lists, in Tracker's words.

    Raises:
        TrackerError: It lists none, so that there is nothing that could be read of it.
    """
    try:
        listed = client.records(client.page(PROJECTS))
    except FailedRequestError as error:
        raise TrackerError(f"{error} {client.server.advice}") from error
    except UnreadableError as error:
        raise TrackerError(
            f"{error} base_url must go up to and including /services/v5. {client.server.advice}"
        ) from error
    projects = []
    for record in listed:
        if is_id(record.get("id")):
            projects.append(from_litetracker(record))
        else:
            shown = _shown(record.get("id"))
            client.reject(PROJECTS.path, f"a project has {shown} where an id is expected")
    return projects


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}…"


def project_list(
    client: TrackerClient, project_ids: Sequence[int] | None, shard: Shard, metrics: dict[str, Any]
) -> tuple[list[Record], set[int]]:
    """Return the projects that the token sees, or those asked for, as far as they are of a shard.

    Args:
        client: The server.
        project_ids: Only these; one that the list does not name is asked for by itself (a public
            project is not in it), and skipped with a word in the metrics where it is refused.
        shard: Only those of this.
        metrics: Where that is noted.

    Returns:
        Project records in Tracker's words, and the ids of the projects that other shards read.
    """
    record_client_stats(client, metrics)
    records = {r["id"]: r for r in listed_projects(client)}
    wanted = list(dict.fromkeys(records if project_ids is None else project_ids))
    skipped = metrics.setdefault("skipped", {})
    for project_id in wanted:
        if project_id not in records and project_id in shard:
            try:
                page = client.page(ONE_PROJECT, id=project_id)
                for record in client.records(page):
                    records[project_id] = {**from_litetracker(record), "id": project_id}
            except UnreadableError as error:
                skipped[str(project_id)] = str(error)
    own = [records[one] for one in wanted if one in records and one in shard]
    return own, {one for one in wanted if one not in shard}


def project_records(run: Run, projects: list[Record]) -> Iterator[Any]:
    """Yield what the resource `projects` yields.

    Args:
        run: The run.
        projects: Those of the list that are loaded.
    """
    metrics = dlt.current.resource_metrics()
    record_client_stats(run.client, metrics)
    run.record_project_list(projects, metrics)
    yield Tombstones()
    yield run.look_up_rows("projects", projects)
    table, vanished = run.table("projects"), set[Key]()
    # a project may be missing because its record could not be read
    is_whole = run.listed is not None and not run.client.rejected.get(PROJECTS.path)
    if run.listed is not None and is_whole and not run.is_replaced("projects"):
        known = run.loaded.row_ids(table)
        vanished = {key for key in known if key in run.shard and key not in run.listed}
        # what came from files was never in the list
        vanished -= run.loaded.archive_keys(table)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    rows = run.loaded.records(table, vanished)
    newly_vanished = [{**row, _NOT_SEEN: now} for row in rows if row.get(_NOT_SEEN) is None]
    yield run.look_up_rows("projects", newly_vanished)
    metrics["vanished"] = sorted(vanished)
    if run.loaded.has(LOAD_REPORT.name):
        yield from run.wait_for_others("projects")
        yield run.look_up_rows("projects", run.linked_project_records())
    run.finish("projects")
