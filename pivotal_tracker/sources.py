"""Load Pivotal Tracker's projects, stories and their history from any server of its API v5."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import dlt
from dlt.extract import DltResource

from . import tables
from .api.client import TrackerClient
from .errors import TrackerError
from .extract.accounts import read_account_memberships, read_accounts, read_workspaces
from .extract.attachments import attachment_records
from .extract.deletions import AcceptedDeletions
from .extract.derived import read_deleted_records, read_people
from .extract.project_tables import read_project_table
from .extract.projects import read_project_list, read_projects
from .extract.run import Run
from .extract.shards import Shard
from .load.extraction import Extraction
from .load.hints import root_hints
from .load.people import TABLES_WITH_PEOPLE
from .load.to_tables import CallBeforeChildren, ToTables, current_load_id
from .records import Record
from .settings import PROJECT_ENDPOINTS
from .tables import ARCHIVE_TABLES, SERVER_TABLES, Table

RESOURCES = tuple(SERVER_TABLES)
"""The resources of `pivotal_tracker_source`: each loads a table and those nested in it."""

DERIVED_RESOURCES = {
    "people": frozenset(TABLES_WITH_PEOPLE),
    "deleted_records": frozenset(RESOURCES) - {"people", "deleted_records"},
}
"""The resources without a list of their own, each with the resources its records come from."""


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
    """Load all projects that a token sees from a server of Tracker's API v5.

    The first run loads everything. Later runs load what has changed since, and delete the rows
    that were deleted on the server.

    Args:
        api_token: The API token, from your profile page on that server.
        base_url: The server, up to and including `/services/v5`; `litetracker` for LiteTracker's.
        project_ids: Load only these projects; default: all that the token sees.
        requests_per_second: Send at most this many requests per second; default: no limit.
        full_refresh: Read everything again and write all of it, also unchanged records. Rows are
            deleted as in any run: only if a complete list lacks them.
        shard: Load only one shard of the projects: `2/5` for the second of five. All shards may be
            loaded into one dataset at the same time, each with its own pipeline name and
            `staging_dataset_name_layout`. A project always belongs to the same shard; the first
            shard also loads what belongs to no project. After each run, `refresh_people` updates
            `people`.
        comments_one_by_one: If the server returns stories without their comments, as LiteTracker
            does, request the comments of each story that is read: one request per story.
        comments_full_sync_days: If comments are requested by story, request those of every story
            once in this many days, spread over the runs, because activity may not report every
            comment; 0 for never.
        max_commented_stories: Request the comments of at most this many stories in a run, and
            leave the others to the next run. The command sets this and repeats until no story is
            left, so that a killed run loses little.
        accept_deletions: Lists, as `PROJECT/TABLE` such as `99/labels`, whose missing rows this run
            deletes. Without this, a list that is suddenly empty, or has lost most of its rows,
            keeps its rows. For `workspaces`, `accounts` and `account_memberships`, give only the
            table.

    Returns:
        `projects`, a transformer for each table that is read project by project, the lists of the
        account, `people` and `deleted_records`. Select any of them with `with_resources`; the
        records of `people` and `deleted_records` come from the other selected resources.

    Raises:
        TrackerError: The token or the URL is not valid. Extraction raises other subclasses of it.
    """
    make_run = partial(
        Run,
        SERVER_TABLES,
        TrackerClient(base_url, api_token, requests_per_second),
        Shard.parse(shard),
        full_refresh=full_refresh,
        comments_one_by_one=comments_one_by_one,
        max_commented_stories=max_commented_stories,
        recheck_days=comments_full_sync_days,
        accepted=AcceptedDeletions(accept_deletions or ()),
    )
    runs: list[Run] = []

    def run() -> Run:
        # a source may be extracted more than once: each extraction has a run of its own
        if not runs or runs[0].load_id != current_load_id():
            runs[:] = [make_run()]
            _require_changeable_rows(runs[0], "load")
        return runs[0]

    project_list = _project_list(run, _parse_project_ids(project_ids))
    return [
        project_list,
        _transformer(tables.PROJECTS, read_projects, project_list, run),
        *(
            _transformer(
                SERVER_TABLES[name], partial(read_project_table, name, endpoint), project_list, run
            )
            for name, endpoint in PROJECT_ENDPOINTS.items()
        ),
        _resource(tables.WORKSPACES, read_workspaces, run),
        _resource(tables.ACCOUNTS, read_accounts, run),
        _resource(tables.ACCOUNT_MEMBERSHIPS, read_account_memberships, run),
        _transformer(tables.PEOPLE, read_people, project_list, run),
        _transformer(tables.DELETED_RECORDS, read_deleted_records, project_list, run),
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
    """Download the files of the comments that have been loaded, each once.

    Run it after `pivotal_tracker_source`, with the same pipeline. Files are saved as
    `<directory>/<project>/<story>/<attachment id>-<name>`; files that exist are kept.

    Args:
        directory: The folder for the files.
        api_token: As for `pivotal_tracker_source`; it is sent only to the host of `base_url`.
        base_url: As for `pivotal_tracker_source`.
        project_ids: As for `pivotal_tracker_source`.
        requests_per_second: As for `pivotal_tracker_source`.
        shard: As for `pivotal_tracker_source`.

    Returns:
        `attachment_files`: for each file its path, size and SHA-256, or why it could not be
        downloaded.

    Raises:
        TrackerError: The token or the URL is not valid.
    """
    client = TrackerClient(base_url, api_token, requests_per_second)
    own_shard = Shard.parse(shard)
    selected_ids = _parse_project_ids(project_ids)
    table = tables.ATTACHMENT_FILES
    runs: list[Run] = []

    def attachment_files() -> Iterator[Any]:
        runs[:] = [Run({table.name: table}, client, own_shard)]
        yield from attachment_records(runs[0], Path(directory).resolve(), selected_ids)

    resource = dlt.resource(attachment_files, name=table.name)
    return _with_tables(resource, table, lambda: runs[0])


@dlt.source(name="pivotal_tracker", section="pivotal_tracker")
def pivotal_tracker_archive(
    paths: list[str] = dlt.config.value,
    project_ids: list[int] | None = None,
    attachments_directory: str | None = None,
) -> Sequence[DltResource]:
    """Load files: Tracker's own exports, what backup tools saved, responses of the API.

    Formats are recognised by their content. A record that is in several files, or was loaded
    before, is loaded once, in its latest version. Loading the same files again changes nothing.

    Args:
        paths: Files and folders; a folder may be one archive or contain several.
        project_ids: Load only these projects; default: all.
        attachments_directory: The folder for the files in the archives, saved as
            `<project>/<story>/<attachment id>-<name>`; default: they are not copied.

    Returns:
        A transformer for each table that `pivotal_tracker_source` loads, for `attachment_files`,
        and for `load_report`, which says of every row that was read whether it was loaded.

    Raises:
        TrackerError: A path does not exist, or no path has an archive of a known format.
    """
    # a load from a server does not need these imports
    from .archive import open_archives
    from .archive.archive_run import ArchiveExtraction, Emitted

    opened = open_archives(paths)
    selected_ids = _parse_project_ids(project_ids)
    folder = Path(attachments_directory).resolve() if attachments_directory else None
    runs: list[ArchiveExtraction] = []

    @dlt.resource(name="archives", selected=False)
    def archives() -> Iterator[Emitted | None]:
        runs[:] = [ArchiveExtraction(opened, selected_ids, folder)]
        _require_changeable_rows(runs[0], "load all archives together")
        yield from runs[0].emitted()

    def of_table(table: Table) -> DltResource:
        """Make the transformer that passes on the records of one table."""

        def records(emitted: Emitted) -> Iterator[Any]:
            if emitted[0] == table.name:
                yield emitted[1]
                runs[0].end_emission()

        resource = dlt.transformer(records, data_from=archives, name=table.name)
        return _with_tables(resource, table, lambda: runs[0])

    return [archives, *map(of_table, ARCHIVE_TABLES.values())]


def _project_list(run: Callable[[], Run], project_ids: list[int] | None) -> DltResource:
    """Make the resource of the projects that are read; the transformers get its records."""

    def records() -> Iterator[Any]:
        yield read_project_list(run(), project_ids)

    resource = dlt.resource(records, name="project_list", selected=False)
    expected = [*PROJECT_ENDPOINTS, "projects", *DERIVED_RESOURCES]
    resource.add_step(CallBeforeChildren(lambda: run().expect(expected)))
    return resource


def _transformer(
    table: Table,
    read: Callable[[Run, list[Record]], Iterator[Any]],
    project_list: DltResource,
    run: Callable[[], Run],
) -> DltResource:
    """Make the resource of a table that is read for a list of projects."""

    def records(projects: list[Record]) -> Iterator[Any]:
        yield from read(run(), projects)

    def start(projects: list[Record] | Record) -> Iterator[Any]:
        # dlt runs `start` in a thread if the resource is parallelized, but never what it yields
        yield records(projects if isinstance(projects, list) else [projects])

    resource = dlt.transformer(start, data_from=project_list, name=table.name)
    return _with_tables(resource, table, run)


def _resource(
    table: Table, read: Callable[[Run], Iterator[Any]], run: Callable[[], Run]
) -> DltResource:
    """Make the resource of a table that belongs to no project."""

    def records() -> Iterator[Any]:
        yield from read(run())

    def start() -> Iterator[Any]:
        yield records()

    return _with_tables(dlt.resource(start, name=table.name), table, run)


def _with_tables(resource: DltResource, table: Table, run: Callable[[], Extraction]) -> DltResource:
    """Write the records of a resource into its table and those nested in it."""
    resource.apply_hints(**root_hints(table))
    resource.add_step(ToTables(table.name, run))
    return resource


def _parse_project_ids(project_ids: list[int] | None) -> list[int] | None:
    """Return ids as numbers; a configuration may give them as texts."""
    try:
        return None if project_ids is None else [int(project_id) for project_id in project_ids]
    except (TypeError, ValueError) as error:
        raise TrackerError(
            f"project_ids must be ids of projects, as in [1027488], not {project_ids!r}."
        ) from error


def _require_changeable_rows(run: Extraction, what_to_do: str) -> None:
    """Refuse to load into plain files a second time: their rows cannot be changed."""
    if (
        run.is_append_only
        and run.loaded.has_previous_run
        and not all(map(run.is_replaced, run.selected))
    ):
        raise TrackerError(
            "Rows in plain files cannot be changed, and an earlier run has written some: "
            f"{what_to_do} into another dataset, or into a database, which is brought up to date."
        )
