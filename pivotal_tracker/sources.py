"""Loads Pivotal Tracker's projects, stories and their history from any server of its API v5."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import dlt
from dlt.extract import DltResource

from . import tables
from .api.client import TrackerClient
from .errors import TrackerError
from .extract.accounts import account_memberships_of, accounts_of, workspaces_of
from .extract.attachments import attachment_records
from .extract.deletions import Accepted
from .extract.list_reader import Reading
from .extract.projects import project_list, project_records
from .extract.run import Run
from .extract.shards import Shard
from .extract.unversioned import list_of
from .load.extraction import Extraction
from .load.hints import root_hints
from .load.to_tables import CallBeforeChildren, ToTables, current_load_id
from .records import Record, Tombstones
from .settings import PROJECT_ENDPOINTS
from .tables import ARCHIVE_TABLES, SERVER_TABLES, Table

RESOURCES = tuple(SERVER_TABLES)
"""What can be selected of `pivotal_tracker_source`: each a table, with those nested in it."""

DERIVED_RESOURCES = {
    "people": frozenset({"stories", "activity", "project_memberships", "account_memberships"}),
    "deleted_records": frozenset(RESOURCES) - {"people", "deleted_records"},
}
"""The resources that have no list of their own, with those that their records come from."""


@dlt.source(name="pivotal_tracker", section="pivotal_tracker")
def pivotal_tracker_source(
    api_token: str = dlt.secrets.value,
    base_url: str = dlt.config.value,
    project_ids: list[int] | None = None,
    requests_per_second: float | None = None,
    full_refresh: bool = False,
    shard: str = "",
    comments_one_by_one: bool = True,
    comments_full_sync_days: float = 30,
    max_commented_stories: int | None = None,
    accept_deletions: list[str] | None = None,
) -> Sequence[DltResource]:
    """All that a server of Tracker's API v5 knows of the projects that a token sees.

    The first run loads everything; a later one what has changed since, and what is gone.

    Args:
        api_token: The API token, from your profile page on that server.
        base_url: The server, up to and including `/services/v5`; `litetracker` for LiteTracker's.
        project_ids: Load only these projects; all that the token sees if not given.
        requests_per_second: Ask no faster than this; as fast as the server answers if not given.
        full_refresh: Read everything again and write all of it, also what has not changed. Rows
            are deleted as in any run: where a complete list does not have them any more.
        shard: Load only one part of the projects: `2/5` for the second of five, all of which may
            be loaded into one dataset at once, each with a pipeline name and a
            `staging_dataset_name_layout` of its own. A project stays in its shard whichever others
            come and go; what belongs to no project is loaded with the first. After each run,
            `gather_people` brings `people` up to date.
        comments_one_by_one: Where the server gives stories without their comments, as LiteTracker
            does, request those of each: one request a story, in every run that reads it.
        comments_full_sync_days: Where comments are requested by story, within so many days those of
            all stories, evenly over the runs, as activity may not tell of each; 0 for never.
        max_commented_stories: Request the comments of at most so many stories in a run, and leave
            the others to the next. The command sets it, and goes on until none is left, so that a
            run that is killed loses little.
        accept_deletions: Lists, as `PROJECT/TABLE` such as `99/labels`, of which this run deletes
            the rows that the server does not give any more. A list that is suddenly empty, or has
            lost most of its rows, keeps them otherwise. For `workspaces`, `accounts` and
            `account_memberships`, only the table.

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
    accepted = Accepted(accept_deletions or ())
    runs: list[Run] = []

    def run() -> Run:
        """What all resources of an extraction share; a source may be extracted more than once."""
        if not runs or runs[-1].load_id != current_load_id():
            runs[:] = [
                Run(
                    SERVER_TABLES,
                    client,
                    part,
                    full_refresh=full_refresh,
                    comments_one_by_one=comments_one_by_one,
                    max_commented_stories=max_commented_stories,
                    recheck_days=comments_full_sync_days,
                    accepted=accepted,
                )
            ]
            _refuse_to_change_files(runs[-1], "load")
        return runs[-1]

    def expect_resources() -> None:
        run().expect([*PROJECT_ENDPOINTS, "projects", *DERIVED_RESOURCES])

    @dlt.resource(name="project_list", selected=False)
    def listed_projects() -> Iterator[Any]:
        yield read_project_list()

    def read_project_list() -> Iterator[list[Record]]:
        metrics = run().list_metrics["projects"]
        listed, run().elsewhere = project_list(client, wanted, part, metrics)
        run().listed = None if wanted is not None else {project["id"] for project in listed}
        yield listed

    def projects(listed: list[Record]) -> Iterator[Any]:
        yield from project_records(run(), listed)

    def workspaces() -> Iterator[Any]:
        yield from workspaces_of(run())

    def accounts() -> Iterator[Any]:
        yield from accounts_of(run())

    def account_memberships() -> Iterator[Any]:
        yield from account_memberships_of(run())

    def people(listed: list[Record]) -> Iterator[Any]:
        yield Tombstones()
        yield from run().wait_for_others("people")
        # people whom several shards meet are gathered when they are loaded
        if part.is_whole:
            yield run().people_records()
        run().finish("people")

    def deleted_records(listed: list[Record]) -> Iterator[Any]:
        yield Tombstones()
        yield from run().wait_for_others("deleted_records")
        yield run().with_known_rows("deleted_records", run().deleted_records())
        run().finish("deleted_records")

    def of_each_project(name: str) -> DltResource:
        """The transformer that reads one table, and those nested in it, of each project."""

        def read(listed: list[Record]) -> Iterator[Any]:
            metrics = dlt.current.resource_metrics()
            run().note_listed(listed, metrics)
            reading = Reading(
                run=run(),
                name=name,
                endpoint=PROJECT_ENDPOINTS[name],
                state=_state_of_projects(run(), full_refresh=full_refresh),
                metrics=metrics,
            )
            yield from reading.items([list_of(reading, project) for project in listed])

        return transformer(read, SERVER_TABLES[name])

    def transformer(read: Any, table: Table) -> DltResource:
        def start(listed: list[Record] | Record) -> Iterator[Any]:
            # dlt runs this in a thread where the resource is parallelized, and what it yields never
            yield read(listed if isinstance(listed, list) else [listed])

        made = dlt.transformer(start, data_from=listed_projects, name=table.name)
        return _with_tables(made, table, run)

    def resource(read: Any, table: Table) -> DltResource:
        def start() -> Iterator[Any]:
            yield read()

        return _with_tables(dlt.resource(start, name=table.name), table, run)

    listed_projects.add_step(CallBeforeChildren(expect_resources))
    return [
        listed_projects,
        transformer(projects, tables.PROJECTS),
        *(of_each_project(name) for name in PROJECT_ENDPOINTS),
        resource(workspaces, tables.WORKSPACES),
        resource(accounts, tables.ACCOUNTS),
        resource(account_memberships, tables.ACCOUNT_MEMBERSHIPS),
        transformer(people, tables.PEOPLE),
        transformer(deleted_records, tables.DELETED_RECORDS),
    ]


@dlt.source(name="pivotal_tracker", section="pivotal_tracker")
def pivotal_tracker_attachments(
    directory: str,
    api_token: str = dlt.secrets.value,
    base_url: str = dlt.config.value,
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

    table = tables.ATTACHMENT_FILES
    runs: list[Run] = []

    def attachment_files() -> Iterator[Any]:
        runs[:] = [Run({table.name: table}, client, part)]
        yield from attachment_records(runs[0], Path(directory).resolve(), wanted)

    resource = dlt.resource(attachment_files, name=table.name)
    return _with_tables(resource, table, lambda: runs[0])


@dlt.source(name="pivotal_tracker", section="pivotal_tracker")
def pivotal_tracker_archive(
    paths: list[str] = dlt.config.value,
    project_ids: list[int] | None = None,
    attachments_directory: str | None = None,
) -> Sequence[DltResource]:
    """All that files tell: Tracker's own exports, what backup tools saved, answers of the API.

    Each is recognised by what is in it. What they have in common, with each other and with what
    was loaded before, is loaded once, in its latest copy; reading them again changes nothing.

    Args:
        paths: Files and folders; a folder may be one archive or hold several.
        project_ids: Load only these projects; all if not given.
        attachments_directory: Where the files in the archives are written, each to
            `<project>/<story>/<attachment id>-<name>`; they stay where they are if not given.

    Returns:
        A transformer for each table that `pivotal_tracker_source` loads, for `attachment_files`,
        and for `load_report`, which tells of every row that was read whether it was loaded.

    Raises:
        TrackerError: There is nothing at one of the paths, or nothing known at any of them.
    """
    # a load from a server does without
    from .archive import open_archives
    from .archive.archive_run import ArchiveOptions, ArchiveRun, Emitted

    opened = open_archives(paths)
    wanted = _as_ids(project_ids)
    options = ArchiveOptions(
        None if wanted is None else frozenset(wanted),
        Path(attachments_directory).resolve() if attachments_directory else None,
    )
    runs: list[ArchiveRun] = []

    @dlt.resource(name="archives", selected=False)
    def archives() -> Iterator[Emitted | None]:
        runs[:] = [ArchiveRun(opened, options)]
        _refuse_to_change_files(runs[0], "load all archives together")
        yield from runs[0].emitted()

    def of_table(table: Table) -> DltResource:
        """The transformer that yields what the reading of all archives has for one table."""

        def records(emitted: Emitted) -> Iterator[Any]:
            dlt.current.resource_metrics().update(runs[0].metrics[table.name])
            if emitted[0] == table.name:
                yield emitted[1]
                runs[0].end_emission()

        resource = dlt.transformer(records, data_from=archives, name=table.name)
        return _with_tables(resource, table, lambda: runs[0])

    return [archives, *map(of_table, ARCHIVE_TABLES.values())]


def _as_ids(project_ids: list[int] | None) -> list[int] | None:
    """Ids as numbers, which a configuration may give as texts."""
    try:
        return None if project_ids is None else [int(one) for one in project_ids]
    except (TypeError, ValueError) as error:
        raise TrackerError(
            f"project_ids must be ids of projects, as in [1027488], not {project_ids!r}."
        ) from error


def _refuse_to_change_files(run: Extraction, what_to_do: str) -> None:
    if run.only_adds and run.loaded.anything and not all(map(run.is_replaced, run.selected)):
        raise TrackerError(
            "Rows in plain files cannot be changed, and an earlier run has written some: "
            f"{what_to_do} into another dataset, or into a database, which is brought up to date."
        )


def _state_of_projects(run: Run, *, full_refresh: bool) -> dict[str, Any]:
    """What a resource remembers of each project: nothing of another dataset.

    After a refresh it only knows which rows were kept, and up to which version activity is known.
    """
    if run.load_id is None:
        return {}
    state: dict[str, Any] = dlt.current.resource_state()
    if not run.loaded.is_remembered:
        state.clear()
    projects: dict[str, Any] = state.setdefault("projects", {})
    for project_id, before in projects.items() if full_refresh else ():
        names = ("kept_since", "read_version")
        kept = {name: before[name] for name in names if name in before}
        if before.get("version") is not None:
            kept["read_version"] = before["version"]
        projects[project_id] = kept
    return projects


def _with_tables(resource: DltResource, table: Table, run: Callable[[], Extraction]) -> DltResource:
    """Have the records of a resource written into its table and those nested in it."""
    resource.apply_hints(**root_hints(table))
    resource.add_step(ToTables(lambda name: run().writer(name)))
    return resource
