"""Loads Pivotal Tracker's projects, stories and their history from any server of its API v5."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import dlt
from dlt.extract import DltResource

from . import tables
from .check import Findings, check_server
from .client import MissingTokenError, TrackerClient, TrackerError
from .reading import Reading, read_projects
from .rows import Batch, Record, without_secrets
from .settings import PROJECT_ENDPOINTS, PROJECTS, TRACKER_URL
from .tables import Table

__all__ = [
    "Findings",
    "MissingTokenError",
    "TrackerError",
    "check_server",
    "pivotal_tracker_source",
]


@dlt.source(name="pivotal_tracker")
def pivotal_tracker_source(
    api_token: str = dlt.secrets.value,
    base_url: str = TRACKER_URL,
    project_ids: list[int] | None = None,
    requests_per_second: float | None = None,
) -> Sequence[DltResource]:
    """All that a server of Tracker's API v5 knows of the projects that a token sees.

    Args:
        api_token: The API token, from your profile page on that server.
        base_url: The server, up to and including `/services/v5`.
        project_ids: Load only these projects; all that the token sees if not given.
        requests_per_second: Ask no faster than this; as fast as the server answers if not given.

    Returns:
        The resource `projects`, and a transformer for each table that is read project by project;
        each can be selected on its own with `with_resources`.

    Raises:
        TrackerError: The token or the URL cannot be right; more kinds while it is read.
    """
    client = TrackerClient(base_url, api_token, requests_per_second)

    @dlt.resource(
        name="projects",
        write_disposition="replace",
        primary_key=tables.PROJECTS.key,
        columns={name: {"data_type": kind} for name, kind in tables.PROJECTS.columns.items()},
    )
    def projects() -> Iterator[list[Record]]:
        records = read_projects(client, PROJECTS, project_ids)
        yield without_secrets(records) if records else dlt.mark.materialize_table_schema()

    return [projects, *(_of_each_project(client, projects, name) for name in PROJECT_ENDPOINTS)]


def _of_each_project(client: TrackerClient, projects: DltResource, name: str) -> DltResource:
    """The transformer that reads one table, and those nested in it, of each project."""
    table = tables.PROJECT_TABLES[name]
    # the server forgets activity after months, the database does not
    disposition: Any = "merge" if name == "activity" else "replace"

    def read(page: list[Record]) -> Iterator[Any]:
        batch = Batch(table, dlt.current.load_package_state()["load_id"])
        metrics = dlt.current.resource_metrics()
        yield from Reading(client, PROJECT_ENDPOINTS[name], batch, metrics).items(page)

    resource: DltResource = dlt.transformer(
        read, data_from=projects, name=name, write_disposition=disposition, **_hints(table)
    )
    for nested in list(table.family())[1:]:
        resource.apply_hints(
            table_name=nested.name,
            write_disposition=disposition,
            create_table_variant=True,
            **_hints(nested),
        )
    return resource


def _hints(table: Table) -> dict[str, Any]:
    """What dlt is told of a table, beyond the columns that its empty Arrow table declares."""
    return {
        "primary_key": table.key,
        "columns": {name: {"data_type": "json"} for name in sorted(table.json_columns)},
        # many times faster than dlt's default for DuckDB, which inserts literals
        "file_format": "parquet",
    }
