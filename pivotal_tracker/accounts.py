"""The lists that belong to no project: workspaces, accounts and their members."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dlt

from . import tables
from .client import NotOfferedError, RefusedError, TrackerClient
from .reading import note_client
from .rows import Record
from .run import Run, account_wide
from .settings import ACCOUNT_MEMBERSHIPS, ACCOUNTS, WORKSPACES, Endpoint


def _list(
    client: TrackerClient, endpoint: Endpoint, metrics: dict[str, Any], account_id: int = 0
) -> list[Record] | None:
    """A list, or None with a word in the metrics: a plain member may not read an account."""
    note_client(client, metrics)
    try:
        return client.records(client.page(endpoint, id=account_id))
    except NotOfferedError as error:
        metrics["not_offered"] = str(error)
    except RefusedError as error:
        metrics["not_permitted"] = str(error)
    return None


def workspaces_of(run: Run) -> Iterator[Any]:
    """What the resource `workspaces` yields."""
    metrics = dlt.current.resource_metrics()
    records = _list(run.client, WORKSPACES, metrics) if run.shard.has_accounts else None
    yield from account_wide(run, tables.WORKSPACES, records, metrics)
    yield from run.ended("workspaces")


def account_list(client: TrackerClient, metrics: dict[str, Any]) -> list[Record]:
    """The accounts that the token may read; none, with a word in the metrics, where it may not."""
    return _list(client, ACCOUNTS, metrics) or []


def is_known(metrics: dict[str, Any]) -> bool:
    """Whether a list could be read, so that what is not in it is gone."""
    return not metrics.keys() & {"not_offered", "not_permitted"}


def account_memberships_of(run: Run, accounts: list[Record]) -> Iterator[Any]:
    """What the resource `account_memberships` yields for all accounts."""
    metrics = dlt.current.resource_metrics()
    members: list[Record] = []
    unread = []
    for account in accounts:
        listed = _list(run.client, ACCOUNT_MEMBERSHIPS, metrics, account["id"])
        if listed is None:
            unread.append(account["id"])
        members += [{"account_id": account["id"], **member} for member in listed or ()]
    for member in members:
        run.meet("account_memberships", member)
    table = tables.ACCOUNT_MEMBERSHIPS
    kept = run.loaded.row_ids(table, "account_id", unread)
    told = members if is_known(run.list_metrics["accounts"]) else None
    yield from account_wide(run, table, told, metrics, kept)
    yield from run.ended("account_memberships")
