"""Loads Pivotal Tracker's projects, stories and their history from any server of its API v5."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import dlt
from dlt.common.schema.typing import TWriteDispositionConfig
from dlt.extract import DltResource

from . import tables
from .accounts import account_list, account_memberships_of, is_known, workspaces_of
from .archive import open_archives
from .archive_load import ARCHIVE_TABLES, ArchiveOptions, ArchiveRun, Handed
from .attachments import attachment_rows
from .check import Findings, check_archives, check_server
from .client import MissingTokenError, TrackerClient
from .counting import Difference, differences
from .destination import bigquery_layout, file_format, only_adds
from .errors import TrackerError
from .gathering import gather_people
from .lists import LISTS
from .loaded import Loaded, claim_tables
from .projects import project_list, project_rows
from .reading import ProjectList, Reading
from .rows import Record
from .run import MEETS_PEOPLE, Run, account_wide
from .settings import PROJECT_ENDPOINTS, TRACKER_URL
from .shard import Shard
from .tables import Table

__all__ = [
    "GATHERED",
    "RESOURCES",
    "Difference",
    "Findings",
    "MissingTokenError",
    "Shard",
    "TrackerError",
    "check_archives",
    "check_server",
    "differences",
    "gather_people",
    "pivotal_tracker_archive",
    "pivotal_tracker_attachments",
    "pivotal_tracker_source",
]

RESOURCES = (
    "projects",
    *PROJECT_ENDPOINTS,
    "workspaces",
    "accounts",
    "account_memberships",
    "people",
    "deleted_records",
)
"""What can be selected of `pivotal_tracker_source`: each a table, with those nested in it."""

ADDED_TO = frozenset({"activity", "people", "deleted_records"})
"""The resources whose tables are only ever added to, whatever is rebuilt."""

GATHERED = {
    "people": MEETS_PEOPLE - {"people"},
    "deleted_records": frozenset(RESOURCES) - {"people", "deleted_records"},
}
"""The resources that have no list of their own, with those whose records name theirs."""


@dlt.source(name="pivotal_tracker")
def pivotal_tracker_source(
    api_token: str = dlt.secrets.value,
    base_url: str = TRACKER_URL,
    project_ids: list[int] | None = None,
    requests_per_second: float | None = None,
    full_refresh: bool = False,
    shard: str = "",
    adds_first_rows: bool = False,
    comments_one_by_one: bool = True,
) -> Sequence[DltResource]:
    """All that a server of Tracker's API v5 knows of the projects that a token sees.

    The first run loads everything; a later one what has changed since, and what is gone.

    Args:
        api_token: The API token, from your profile page on that server.
        base_url: The server, up to and including `/services/v5`.
        project_ids: Load only these projects; all that the token sees if not given.
        requests_per_second: Ask no faster than this; as fast as the server answers if not given.
        full_refresh: Read everything again and rebuild the tables of the resources selected, but
            for `activity`, `people` and `deleted_records`, which are only ever added to. Where only
            some projects are loaded, theirs are compared instead, and the rows of others stay.
        shard: Load only one part of the projects: `2/5` for the second of five, all of which may
            be loaded into one dataset at once, each with a pipeline name and a
            `staging_dataset_name_layout` of its own. A project stays in its shard whichever others
            come and go; what belongs to no project is loaded with the first. After each run,
            `gather_people` brings `people` up to date.
        adds_first_rows: Where nothing is loaded yet, rows are added without a merge, which would
            write each twice. Whoever asks for it has to see to it that a load that was killed, and
            is then completed, adds none twice, as the command does where DuckDB is the destination.
        comments_one_by_one: Where the server gives stories without their comments, as LiteTracker
            does, ask for those of each: one request a story, in every run that reads it.

    Returns:
        `projects`, a transformer for each table that is read project by project, the lists of the
        account, `people` and `deleted_records`; each can be selected on its own with
        `with_resources`, but for the last two, which are gathered from the others selected.

    Raises:
        TrackerError: The token or the URL cannot be right; more kinds while it is read.
    """
    client = TrackerClient(base_url, api_token, requests_per_second)
    part = Shard.parsed(shard)
    wanted = _as_ids(project_ids)
    # the rows of other shards, or of projects that are not asked for, are in the same tables
    rebuilds = full_refresh and part.is_whole and wanted is None
    runs: list[Run] = []

    def run() -> Run:
        """What all resources of an extraction share; a source may be extracted more than once."""
        if not runs or runs[-1].load_id != dlt.current.load_package_state()["load_id"]:
            runs[:] = [
                Run(
                    client,
                    part,
                    full_refresh=full_refresh,
                    rebuilds=rebuilds,
                    comments_one_by_one=comments_one_by_one,
                )
            ]
            if not rebuilds:
                _refuse_to_change_files(
                    runs[-1].loaded,
                    "write those of all projects anew with --full-refresh (full_refresh=True)",
                )
                _write(adds=adds_first_rows and not runs[-1].loaded.anything)
        return runs[-1]

    @dlt.resource(name="project_list", selected=False)
    def listed_projects() -> Iterator[list[Record]]:
        metrics = run().list_metrics["projects"]
        listed, run().elsewhere = project_list(client, wanted, part, metrics)
        yield listed

    @dlt.resource(name="account_list", selected=False)
    def listed_accounts() -> Iterator[list[Record]]:
        yield account_list(client, run().list_metrics["accounts"]) if part.has_accounts else []

    def projects(listed: list[Record]) -> Iterator[Any]:
        yield from project_rows(run(), listed, are_all=wanted is None)
        yield from run().ended("projects")

    def accounts(listed: list[Record]) -> Iterator[Any]:
        metrics = dlt.current.resource_metrics()
        metrics.update(run().list_metrics["accounts"])
        told = listed if is_known(metrics) else None
        yield from account_wide(run(), tables.ACCOUNTS, told, metrics)
        yield from run().ended("accounts")

    def account_memberships(listed: list[Record]) -> Iterator[Any]:
        yield from account_memberships_of(run(), listed)

    def workspaces() -> Iterator[Any]:
        yield from workspaces_of(run())

    def people(listed: list[Record]) -> Iterator[Any]:
        yield from run().missing_tables(run().batch(tables.PEOPLE, dlt.current.resource_metrics()))
        yield from run().ended("people")

    def deleted_records() -> Iterator[Any]:
        metrics = dlt.current.resource_metrics()
        yield from run().missing_tables(run().batch(tables.DELETED_RECORDS, metrics))
        yield from run().ended("deleted_records")

    def of_each_project(name: str) -> DltResource:
        """The transformer that reads one table, and those nested in it, of each project."""
        table, kind = tables.PROJECT_TABLES[name], LISTS.get(name, ProjectList)

        def read(listed: list[Record]) -> Iterator[Any]:
            metrics = dlt.current.resource_metrics()
            run().note_listed(listed, metrics)
            reading = Reading(
                run=run(),
                name=name,
                endpoint=PROJECT_ENDPOINTS[name],
                batch=run().batch(table, metrics),
                state=_state_of_projects(forget=full_refresh or not run().loaded.is_remembered),
                metrics=metrics,
            )
            yield from reading.items([kind(reading, project) for project in listed])

        return transformer(read, listed_projects, table)

    def transformer(read: Any, of: DltResource, table: Table) -> DltResource:
        return _with_tables(
            dlt.transformer(read, data_from=of, name=table.name), table, rebuilds=rebuilds
        )

    def resource(read: Any, table: Table) -> DltResource:
        return _with_tables(dlt.resource(read, name=table.name), table, rebuilds=rebuilds)

    return [
        listed_projects,
        transformer(projects, listed_projects, tables.PROJECTS),
        *(of_each_project(name) for name in PROJECT_ENDPOINTS),
        resource(workspaces, tables.WORKSPACES),
        listed_accounts,
        transformer(accounts, listed_accounts, tables.ACCOUNTS),
        transformer(account_memberships, listed_accounts, tables.ACCOUNT_MEMBERSHIPS),
        transformer(people, listed_projects, tables.PEOPLE),
        resource(deleted_records, tables.DELETED_RECORDS),
    ]


@dlt.source(name="pivotal_tracker")
def pivotal_tracker_attachments(
    directory: str,
    api_token: str = dlt.secrets.value,
    base_url: str = TRACKER_URL,
    project_ids: list[int] | None = None,
    requests_per_second: float | None = None,
    shard: str = "",
) -> DltResource:
    """The files of the comments that have been loaded, each downloaded once.

    To be run after `pivotal_tracker_source`, with the same pipeline. A file goes to
    `<directory>/<project>/<story>/<attachment id>-<name>`; one that is there already is kept.

    Args:
        directory: Where the files go.
        api_token: As for `pivotal_tracker_source`; it goes only to the host of `base_url`.
        base_url: As for `pivotal_tracker_source`.
        project_ids: As for `pivotal_tracker_source`.
        requests_per_second: As for `pivotal_tracker_source`.
        shard: As for `pivotal_tracker_source`.

    Returns:
        `attachment_files`, which tells of each file where it lies, with its size and SHA-256, or
        why it could not be had.

    Raises:
        TrackerError: The token or the URL cannot be right.
    """
    client = TrackerClient(base_url, api_token, requests_per_second)
    part = Shard.parsed(shard)
    wanted = _as_ids(project_ids)

    def attachment_files() -> Iterator[Any]:
        run = Run(client, part)
        yield from attachment_rows(run, Path(directory).resolve(), wanted)

    table = tables.ATTACHMENT_FILES
    resource = dlt.resource(attachment_files, name=table.name)
    return _with_tables(resource, table, rebuilds=False)


@dlt.source(name="pivotal_tracker")
def pivotal_tracker_archive(
    paths: list[str] = dlt.config.value,
    project_ids: list[int] | None = None,
    attachments_directory: str | None = None,
    adds_first_rows: bool = False,
) -> Sequence[DltResource]:
    """All that files tell: Tracker's own exports, what backup tools saved, answers of the API.

    Each is recognised by what is in it. What they have in common, with each other and with what
    was loaded before, is loaded once, in its latest copy; reading them again changes nothing.

    Args:
        paths: Files and folders; a folder may be one archive or hold several.
        project_ids: Load only these projects; all if not given.
        attachments_directory: Where the files in the archives are written, each to
            `<project>/<story>/<attachment id>-<name>`; they stay where they are if not given.
        adds_first_rows: As for `pivotal_tracker_source`.

    Returns:
        A transformer for each table that `pivotal_tracker_source` loads, for `attachment_files`,
        and for `load_report`, which tells of every row that was read whether it was loaded.

    Raises:
        TrackerError: There is nothing at one of the paths, or nothing known at any of them.
    """
    opened = open_archives(paths)
    wanted = _as_ids(project_ids)
    options = ArchiveOptions(
        None if wanted is None else frozenset(wanted),
        Path(attachments_directory).resolve() if attachments_directory else None,
    )
    runs: list[ArchiveRun] = []

    @dlt.resource(name="archives", selected=False)
    def archives() -> Iterator[Handed]:
        runs[:] = [ArchiveRun(opened, options)]
        _refuse_to_change_files(runs[0].loaded, "load all archives together into another dataset")
        _write(adds=adds_first_rows and not runs[0].loaded.anything)
        yield from runs[0].handed()

    def of_table(table: Table) -> DltResource:
        """The transformer that yields what the reading of all archives has for one table."""

        def take(handed: Handed) -> Iterator[Any]:
            dlt.current.resource_metrics().update(runs[0].metrics[table.name])
            if handed[0] == table.name:
                yield from handed[1]
                claim_tables()

        resource = dlt.transformer(take, data_from=archives, name=table.name)
        return _with_tables(resource, table, rebuilds=False)

    return [archives, *map(of_table, ARCHIVE_TABLES.values())]


def _as_ids(project_ids: list[int] | None) -> list[int] | None:
    """Ids as numbers, which a configuration may give as texts."""
    try:
        return None if project_ids is None else [int(one) for one in project_ids]
    except (TypeError, ValueError) as error:
        raise TrackerError(
            f"project_ids must be ids of projects, as in [1027488], not {project_ids!r}."
        ) from error


def _refuse_to_change_files(loaded: Loaded, what_to_do: str) -> None:
    if only_adds() and loaded.anything:
        raise TrackerError(
            "Rows in plain files cannot be changed, and an earlier run has written some: "
            f"{what_to_do}, or load into a database, which is brought up to date."
        )


def _state_of_projects(*, forget: bool) -> dict[str, Any]:
    """What a resource remembers of each project: nothing after a refresh, or of another dataset."""
    state: dict[str, Any] = dlt.current.resource_state()
    if forget:
        state.clear()
    projects: dict[str, Any] = state.setdefault("projects", {})
    return projects


def _with_tables(resource: DltResource, table: Table, *, rebuilds: bool) -> DltResource:
    """Tells dlt of a resource's table, of those nested in it, and of those that all may feed."""
    resource.apply_hints(**_hints(table, table, rebuilds=rebuilds))
    shared = [one for one in tables.FED_BY_SEVERAL if one is not table]
    for member in [*list(table.family())[1:], *shared]:
        root = member if member in shared else table
        resource.apply_hints(
            table_name=member.name,
            create_table_variant=True,
            **_hints(member, root, rebuilds=rebuilds),
        )
    return resource


def _merge(table: Table) -> TWriteDispositionConfig:
    """How a table is brought up to date; dlt spares itself to look for rows that come twice."""
    deduplicated = not _is_shared(table)
    return {"disposition": "merge", "strategy": "delete-insert", "deduplicated": deduplicated}


def _is_shared(table: Table) -> bool:
    """Whether several resources may find the same record gone, or meet the same person."""
    return table in (tables.PEOPLE, tables.DELETED_RECORDS)


def _write(*, adds: bool) -> None:
    """Has the rows of what is extracted merged with those that are there, or just added."""
    resources = dlt.current.source().resources.selected
    # whoever uses the source may select its lists too, or add resources of their own
    for table in (table for name, table in ARCHIVE_TABLES.items() if name in resources):
        for member in table.family():
            resources[table.name].apply_hints(
                table_name=member.name,
                create_table_variant=member is not table,
                write_disposition="append" if adds and not _is_shared(table) else _merge(table),
            )


def _hints(table: Table, root: Table, *, rebuilds: bool) -> dict[str, Any]:
    """What dlt is told of a table, beyond the columns that its empty Arrow table declares."""
    rebuilds = rebuilds and root.name not in ADDED_TO
    columns: dict[str, Any] = {name: {"data_type": "json"} for name in sorted(table.json_columns)}
    # dlt's own nested tables, of lists that nobody declared, are merged by it; not unique in one
    # load, as several resources may find the same record gone
    columns["_dlt_id"] = {"data_type": "text", "nullable": False, "unique": False, "row_key": True}
    columns["_deleted"] = {"data_type": "bool", "hard_delete": True}
    hints: dict[str, Any] = {
        "write_disposition": "replace" if rebuilds else _merge(table),
        "primary_key": table.key if table is root else (),
        "columns": columns,
        "file_format": file_format(table),
        "additional_table_hints": bigquery_layout(table),
    }
    if table is not root:
        # the nested rows of a record are replaced together; with a key of their own beside it, dlt
        # would compare each with every row there is
        hints["merge_key"] = root.handed_key
    return hints
