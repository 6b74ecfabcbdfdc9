"""Says, before anything is loaded, whether it will work and what the server offers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import dlt
from dlt.common.configuration import with_config

from ..api.client import (
    InvalidRequestError,
    NotOfferedError,
    RefusedError,
    TrackerClient,
    UnreadableError,
)
from ..extract.accounts import read_list
from ..extract.projects import project_list
from ..extract.shards import Shard
from ..settings import (
    ACCOUNT_MEMBERSHIPS,
    ACCOUNTS,
    PROJECT_ENDPOINTS,
    TRACKER_URL,
    WORKSPACES,
    Endpoint,
)


@dataclass(frozen=True)
class Findings:
    """What a look at the server found.

    Attributes:
        usable: Whether there is anything to load.
        lines: What was found, for people to read.
    """

    usable: bool
    lines: list[str]


@with_config(sections=("sources", "pivotal_tracker"))
def check_server(
    api_token: str = dlt.secrets.value,
    base_url: str = TRACKER_URL,
    project_ids: list[int] | None = None,
) -> Findings:
    """Asks the server whose token it is, for its projects, and once for everything it may offer.

    Args:
        api_token: As the source takes it, from the same configuration.
        base_url: As the source takes it.
        project_ids: As the source takes it.

    Raises:
        TrackerError: The server cannot be used at all: a wrong token, nobody there.
    """
    client = TrackerClient(base_url, api_token)
    lines = [f"Server    {client.base_url}", f"Token of  {_owner(client)}"]
    metrics: dict[str, Any] = {}
    projects, _ = project_list(client, project_ids, Shard.parsed(""), metrics)
    names = [f"{project.get('name')} ({project['id']})" for project in projects]
    lines.append(f"Projects  {len(projects)}: {', '.join(names)}")
    lines += [f"Project {one} cannot be read: {why}" for one, why in metrics["skipped"].items()]
    if not projects:
        lines.append("No project can be read, so there is nothing to load.")
        return Findings(usable=False, lines=lines)
    for name, endpoint in PROJECT_ENDPOINTS.items():
        lines.append(f"{name:20} {_offer(client, endpoint, projects[0]['id'])}")
    lines += [f"{name:20} {offer}" for name, offer in _account_wide(client)]
    if client.refused_fields:
        lines.append(f"Fields that the server refuses: {', '.join(sorted(client.refused_fields))}")
    return Findings(usable=True, lines=lines)


def check_archives(paths: Sequence[str]) -> Findings:
    """Recognises files and folders without reading them through.

    Args:
        paths: As `pivotal_tracker_archive` takes them.

    Raises:
        TrackerError: There is nothing at one of the paths, or nothing known at any of them.
    """
    # a load from a server does without
    from ..archive import open_archives

    opened = open_archives(paths)
    lines = [
        f"{one.name}: {one.form.name}, {len(one.files):,} file{'s' * (len(one.files) != 1)}"
        for one in opened.archives
    ]
    lines += [f"{name}: {reason}" for name, reason in opened.unread.items()]
    lines += [f"{name}: not an archive, left alone" for name in opened.ignored]
    return Findings(usable=True, lines=lines)


def _owner(client: TrackerClient) -> str:
    try:
        me = client.get("me")
    except UnreadableError:
        return "(the server does not say)"
    if not isinstance(me, dict):
        return "(the server does not say)"
    return f"{me.get('name')} ({me.get('username')})"


def _account_wide(client: TrackerClient) -> Iterator[tuple[str, str]]:
    """What is offered of the lists that belong to no project, by the name of their table."""
    yield "workspaces", _offer(client, WORKSPACES)
    yield "accounts", _offer(client, ACCOUNTS)
    for account in (read_list(client, ACCOUNTS, {}) or ())[:1]:
        yield "account_memberships", _offer(client, ACCOUNT_MEMBERSHIPS, account["id"])


def _offer(client: TrackerClient, endpoint: Endpoint, of_id: int = 0) -> str:
    """What is offered of a list: of a project's or an account's where it is of one."""
    one_row = replace(endpoint, limit=endpoint.limit and 1)
    try:
        page = client.page(one_row, id=of_id)
    except NotOfferedError:
        return "not offered by this server"
    except RefusedError as error:
        return f"refused to this token: {error}"
    except InvalidRequestError as error:
        return f"not understood by this server: {error}"
    except UnreadableError as error:
        return f"cannot be read: {error}"
    rows = "" if page.total is None else f", {page.total:,} in project {of_id}"
    return f"offered{rows}"
