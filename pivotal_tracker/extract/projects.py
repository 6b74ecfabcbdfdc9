"""The list of projects: what the token sees, and since when something is not in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import dlt

from ..api.client import FailedRequestError, TrackerClient, UnreadableError
from ..errors import TrackerError
from ..records import Key, Record, Tombstones, in_tracker_words
from ..settings import ONE_PROJECT, PROJECTS
from ..tables import LOAD_REPORT
from .list_reader import note_client
from .run import Run
from .shards import Shard

_NOT_SEEN = "_not_seen_since"


def listed_projects(client: TrackerClient) -> list[Record]:
    """The projects that the server lists, in Tracker's words.

    Raises:
        TrackerError: It lists none, so that there is nothing that could be read of it.
    """
    try:
        listed = client.records(client.page(PROJECTS))
    except FailedRequestError as error:
        raise TrackerError(f"{error} {client.advice}") from error
    except UnreadableError as error:
        raise TrackerError(
            f"{error} base_url must go up to and including /services/v5. {client.advice}"
        ) from error
    return [in_tracker_words(one) for one in listed if isinstance(one.get("id"), int)]


def project_list(
    client: TrackerClient, project_ids: Sequence[int] | None, shard: Shard, metrics: dict[str, Any]
) -> tuple[list[Record], set[int]]:
    """The projects that the token sees, or those asked for, as far as they are of a shard.

    Args:
        client: The server.
        project_ids: Only these; one that the list does not name is asked for by itself (a public
            project is not in it), and skipped with a word in the metrics where it is refused.
        shard: Only those of this.
        metrics: Where that is noted.

    Returns:
        Project records in Tracker's words, and the ids of the projects that other shards read.
    """
    note_client(client, metrics)
    records = {r["id"]: r for r in listed_projects(client)}
    wanted = list(dict.fromkeys(records if project_ids is None else project_ids))
    skipped = metrics.setdefault("skipped", {})
    for project_id in wanted:
        if project_id not in records and project_id in shard:
            try:
                page = client.page(ONE_PROJECT, id=project_id)
                for record in client.records(page):
                    records[project_id] = {**in_tracker_words(record), "id": project_id}
            except UnreadableError as error:
                skipped[str(project_id)] = str(error)
    own = [records[one] for one in wanted if one in records and one in shard]
    return own, {one for one in wanted if one not in shard}


def project_records(run: Run, projects: list[Record]) -> Iterator[Any]:
    """What the resource `projects` yields.

    Args:
        run: The run.
        projects: Those of the list that are loaded.
    """
    metrics = dlt.current.resource_metrics()
    note_client(run.client, metrics)
    run.note_listed(projects, metrics)
    yield Tombstones()
    yield run.with_known_rows("projects", projects)
    table, vanished = run.table("projects"), set[Key]()
    if run.listed is not None and not run.is_replaced("projects"):
        known = run.loaded.row_ids(table)
        vanished = {key for key in known if key in run.shard and key not in run.listed}
        # what came from files was never in the list
        vanished -= run.loaded.from_archives(table)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    rows = run.loaded.records(table, vanished)
    newly_vanished = [{**row, _NOT_SEEN: now} for row in rows if row.get(_NOT_SEEN) is None]
    yield run.with_known_rows("projects", newly_vanished)
    metrics["vanished"] = sorted(vanished)
    if run.loaded.has(LOAD_REPORT.name):
        yield from run.wait_for_others("projects")
        yield run.with_known_rows("projects", run.joined_projects())
    run.finish("projects")
