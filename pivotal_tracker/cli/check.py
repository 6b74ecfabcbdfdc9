"""Check, before loading, whether a server or files can be read, and what the server supports."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import dlt
from dlt.common.configuration import with_config

from ..api.client import TrackerClient
from ..api.errors import (
    EndpointNotSupportedError,
    ForbiddenError,
    InvalidRequestError,
    NotFoundError,
    UnreadableError,
)
from ..extract.accounts import read_list
from ..extract.projects import select_projects
from ..extract.shards import Shard
from ..load.metrics import Metrics
from ..records import Record, is_id
from ..settings import (
    ACCOUNT_MEMBERSHIPS,
    ACCOUNTS,
    MAX_PAGE_SIZE,
    ME,
    ONE_STORY,
    PROJECT_ENDPOINTS,
    STORIES_BY_ID,
    STORY_COMMENTS,
    STORY_IDS,
    WORKSPACES,
    Endpoint,
)
from .estimate import Workload, duration, rate_without_limit


@dataclass(frozen=True)
class Findings:
    """The result of a check.

    Attributes:
        usable: Whether there is anything to load.
        lines: What was found, as text.
    """

    usable: bool
    lines: list[str]


@with_config(sections=("sources", "pivotal_tracker"))
def check_server(
    api_token: str = dlt.secrets.value,
    base_url: str = dlt.config.value,
    project_ids: list[int] | None = None,
    requests_per_second: float | None = None,
    comments_full_sync_days: float = 30,
) -> Findings:
    """Request the projects, and one page of each list that the server may support.

    Args:
        api_token: As the source takes it, from the same configuration.
        base_url: As the source takes it.
        project_ids: As the source takes it.
        requests_per_second: As the source takes it.
        comments_full_sync_days: As the source takes it.

    Raises:
        TrackerError: The server cannot be used at all: a wrong token, or it is down.
    """
    client = TrackerClient(base_url, api_token, requests_per_second)
    started = time.monotonic()
    projects, lines = _describe_projects(client, project_ids)
    if not projects:
        lines.append("No project can be read, so there is nothing to load.")
        return Findings(usable=False, lines=lines)
    of_projects = {
        name: _probe(client, endpoint, projects[0]["id"])
        for name, endpoint in PROJECT_ENDPOINTS.items()
    }
    of_accounts = dict(_probe_account_lists(client))
    stories = _Stories.counted(client, projects)
    lines += [f"Stories   {stories.count}", ""]
    lines += _table({**of_projects, **stories.results, **of_accounts})
    if client.refused_fields:
        lines.append(f"Fields that the server refuses: {', '.join(sorted(client.refused_fields))}")
    workload = Workload(
        projects=len(projects),
        stories=stories.number,
        lists=_number_supported(of_projects),
        account_lists=_number_supported(of_accounts),
        has_versions=projects[0].get("version") is not None,
        has_totals=stories.has_totals,
        comments_by_story=stories.comments_by_story,
        recheck_days=comments_full_sync_days,
    )
    seconds = (time.monotonic() - started) / client.counts["requests"]
    lines += ["", *_estimates(workload, requests_per_second, seconds)]
    return Findings(usable=True, lines=lines)


_SUPPORTED = "supported"


def _describe_projects(
    client: TrackerClient, project_ids: list[int] | None
) -> tuple[list[Record], list[str]]:
    """Return the projects that can be read, and lines about the server, token and projects."""
    lines = [f"Server    {client.server.url}", f"Token of  {_owner(client)}"]
    projects, _, skipped = select_projects(client, project_ids, Shard.parse(""))
    names = [f"{project.get('name')} ({project['id']})" for project in projects]
    lines.append(f"Projects  {len(projects)}: {', '.join(names)}")
    lines += [f"Project {key} cannot be read: {why}" for key, why in skipped.items()]
    return projects, lines


def _table(results: Mapping[str, str]) -> list[str]:
    width = max(map(len, results))
    rows = [f"{name:{width}}  {result}" for name, result in results.items()]
    return [f"{'Endpoint':{width}}  Result", *rows]


def _number_supported(results: Mapping[str, str]) -> int:
    return sum(result.startswith(_SUPPORTED) for result in results.values())


@dataclass(frozen=True)
class _Stories:
    """The number of stories in all projects, and how their comments are read.

    Attributes:
        number: How many stories there are, as far as they can be counted.
        count: The number as a text.
        has_totals: Whether the server reports the length of lists.
        comments_by_story: Whether comments need a request for each story.
        results: What is supported, by endpoint.
    """

    number: int
    count: str
    has_totals: bool
    comments_by_story: bool
    results: dict[str, str]

    @classmethod
    def counted(cls, client: TrackerClient, projects: Sequence[Record]) -> _Stories:
        """Count the stories, and check how the comments of one story are read."""
        number, unread, has_totals = 0, 0, True
        for project in projects:
            try:
                total, counted = _count_stories(client, project["id"])
            except UnreadableError:
                unread += 1
                continue
            number += counted
            has_totals &= total is not None
        count = f"{number:,}" + (f", without {unread} projects" if unread else "")
        story = next(_first_stories(client, projects), None)
        if story is None:
            return cls(number, count, has_totals, comments_by_story=False, results={})
        results, is_by_story = _probe_story(client, *story)
        return cls(number, count, has_totals, comments_by_story=is_by_story, results=results)


def _probe_story(
    client: TrackerClient, project_id: int, story: Record
) -> tuple[dict[str, str], bool]:
    """Return what is supported for a story, and whether comments need a request per story."""
    by_story = _probe(client, STORY_COMMENTS, project_id, story["id"])
    is_by_story = "comments" not in story and by_story.startswith(_SUPPORTED)
    return {
        "one_story": _probe(client, ONE_STORY, project_id, story["id"]),
        "stories_by_id": _probe(client, STORIES_BY_ID, project_id, story["id"]),
        "story_comments": by_story + (", one request for each story" * is_by_story),
    }, is_by_story


def _count_stories(client: TrackerClient, project_id: int) -> tuple[int | None, int]:
    """Return the server's total, if it reports one, and the number of stories of a project."""
    endpoint = replace(STORY_IDS, limit=MAX_PAGE_SIZE)
    ids: set[Any] = set()
    offset: int | None = 0
    while offset is not None:
        page = client.page(endpoint, offset, id=project_id)
        records = client.records(page)
        if page.total is not None:
            return page.total, page.total
        new = {record.get("id") for record in records} - ids
        ids |= new
        offset = next(iter(page.next_offsets(len(records))), None) if new else None
    return None, len(ids)


def _first_stories(
    client: TrackerClient, projects: Sequence[Record]
) -> Iterator[tuple[int, Record]]:
    """Yield a story of each project that has stories, with all requested fields."""
    endpoint = replace(PROJECT_ENDPOINTS["stories"], limit=1)
    for project in projects:
        with contextlib.suppress(UnreadableError):
            for record in client.records(client.page(endpoint, id=project["id"]))[:1]:
                if isinstance(record.get("id"), int):
                    yield project["id"], record


def _estimates(workload: Workload, rate: float | None, seconds: float) -> list[str]:
    """Return lines with the estimated duration of a first and a later run."""
    at = f"at {rate:g} requests per second" if rate else "at the pace of this check"
    rate = rate or rate_without_limit(seconds)
    rows = {"First run": workload.first_run, "Later run": workload.later_run}
    lines = [f"{'Estimate':10}  {'requests':>9}  duration {at}"]
    lines += [f"{name:10}  {n:>9,}  {duration(n, rate)}" for name, n in rows.items()]
    rechecks = f", {workload.rechecks:,} requests check comments" if workload.rechecks else ""
    return [*lines, f"The later run is one a day after the last, without changes{rechecks}."]


def check_archives(paths: Sequence[str]) -> Findings:
    """Recognize files and folders without reading them completely.

    Args:
        paths: As `pivotal_tracker_archive` takes them.

    Raises:
        TrackerError: A path does not exist, or no path has an archive of a known format.
    """
    # a load from a server does not need this import
    from ..archive import open_archives

    opened = open_archives(paths)
    lines = [
        f"{archive.name}: {archive.format.name}, {len(archive.files):,} "
        f"file{'s' * (len(archive.files) != 1)}"
        for archive in opened.archives
    ]
    lines += [f"{name}: {reason}" for name, reason in opened.unread.items()]
    lines += [f"{name}: ignored, not an archive" for name in opened.ignored]
    return Findings(usable=True, lines=lines)


def _owner(client: TrackerClient) -> str:
    with contextlib.suppress(UnreadableError):
        for me in client.records(client.page(ME)):
            return f"{me.get('name')} ({me.get('username')})"
    return "(the server does not say)"


def _probe_account_lists(client: TrackerClient) -> Iterator[tuple[str, str]]:
    """Yield what is supported of the lists that belong to no project, by table."""
    yield "workspaces", _probe(client, WORKSPACES)
    yield "accounts", _probe(client, ACCOUNTS)
    accounts = read_list(client, ACCOUNTS, Metrics()) or ()
    for account in [account for account in accounts if is_id(account.get("id"))][:1]:
        yield "account_memberships", _probe(client, ACCOUNT_MEMBERSHIPS, account["id"])


def _probe(client: TrackerClient, endpoint: Endpoint, of_id: int = 0, story_id: int = 0) -> str:
    """Request one row of an endpoint; return the result as text."""
    one_row = replace(endpoint, limit=endpoint.limit and 1)
    params = {"ids": str(story_id)} if endpoint is STORIES_BY_ID else None
    try:
        page = client.page(one_row, extra_params=params, id=of_id, story_id=story_id)
        client.records(page)
    except NotFoundError as error:
        return f"not found: {error}"
    except EndpointNotSupportedError:
        return "not supported by this server"
    except ForbiddenError as error:
        return f"refused to this token: {error}"
    except InvalidRequestError as error:
        return f"not understood by this server: {error}"
    except UnreadableError as error:
        return f"cannot be read: {error}"
    rows = "" if page.total is None else f", {page.total:,} in project {of_id}"
    return f"{_SUPPORTED}{rows}"
