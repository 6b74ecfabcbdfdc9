"""The list of projects: what the token sees, and since when something is not in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import dlt

from . import tables
from .client import NotOfferedError, RefusedError, TrackerClient
from .comparison import Comparison
from .reading import note_client
from .rows import Record, in_tracker_words
from .run import Run, rows_counted
from .settings import PROJECTS

_NOT_SEEN = "_not_seen_since"


def project_list(
    client: TrackerClient, project_ids: Sequence[int] | None, metrics: dict[str, Any]
) -> list[Record]:
    """The projects that the token sees, or those asked for.

    Args:
        client: The server.
        project_ids: Only these; one that the list does not name is asked for by itself (a public
            project is not in it), and skipped with a word in the metrics where it is refused.
        metrics: Where that is noted.

    Returns:
        Project records in Tracker's words.
    """
    note_client(client, metrics)
    listed = map(in_tracker_words, client.records(client.page(PROJECTS)))
    records = {r["id"]: r for r in listed if isinstance(r.get("id"), int)}
    if project_ids is None:
        return list(records.values())
    skipped = metrics.setdefault("skipped", {})
    for project_id in project_ids:
        if project_id not in records:
            try:
                records[project_id] = in_tracker_words(client.get(f"projects/{project_id}"))
            except (RefusedError, NotOfferedError) as error:
                skipped[str(project_id)] = str(error)
    return [records[wanted] for wanted in dict.fromkeys(project_ids) if wanted in records]


def project_rows(run: Run, listed: list[Record], *, are_all: bool) -> Iterator[Any]:
    """What the resource `projects` yields: the rows that differ from those loaded.

    Args:
        run: The run.
        listed: The projects.
        are_all: Whether the list is all that the token sees, so that one missing is not seen.
    """
    metrics = dlt.current.resource_metrics()
    metrics["not_listed"] = run.list_metrics["projects"].get("skipped", {})
    batch = run.batch(tables.PROJECTS, metrics)
    yield from run.missing_tables(batch)
    known = {} if run.full_refresh else run.loaded.row_ids(tables.PROJECTS)
    comparison = Comparison(batch, known, set(), rows_counted(metrics))
    comparison.take(listed)
    # what came from files was never in the list
    vanished = set(comparison.gone()) - run.loaded.from_archives(tables.PROJECTS) if are_all else ()
    now = datetime.now(UTC).isoformat(timespec="seconds")
    for row in run.loaded.records(tables.PROJECTS, vanished):
        if row.get(_NOT_SEEN) is None:
            batch.add({**row, _NOT_SEEN: now}, replaces=True)
            comparison.counts["changed"] += 1
    metrics["vanished"] = sorted(vanished)
    yield from batch.items()
