"""The lists that belong to no project: workspaces, accounts and their members."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import dlt

from .client import NotOfferedError, RefusedError, TrackerClient
from .reading import note_client
from .rows import Key, Record, Tombstones, record_key
from .run import Run, tombstones
from .settings import ACCOUNT_MEMBERSHIPS, ACCOUNTS, WORKSPACES, Endpoint

Records = Iterator[list[Record]]


def workspaces_of(run: Run) -> Records:
    """What the resource `workspaces` yields."""
    metrics = dlt.current.resource_metrics()
    try:
        yield from _whole_list(run, "workspaces", read_list(run.client, WORKSPACES, metrics))
    finally:
        run.finish("workspaces")


def accounts_of(run: Run) -> Records:
    """What the resource `accounts` yields."""
    metrics = dlt.current.resource_metrics()
    try:
        listed = account_list(run)
        metrics.update(run.list_metrics["accounts"])
        yield from _whole_list(run, "accounts", listed)
    finally:
        run.finish("accounts")


def account_memberships_of(run: Run) -> Records:
    """What the resource `account_memberships` yields for all accounts."""
    metrics = dlt.current.resource_metrics()
    try:
        members: list[Record] = []
        unread = []
        accounts = account_list(run)
        for account in accounts or ():
            listed = read_list(run.client, ACCOUNT_MEMBERSHIPS, metrics, account["id"])
            if listed is None:
                unread.append(account["id"])
            members += [{"account_id": account["id"], **member} for member in listed or ()]
        run.collect_people("account_memberships", members)
        kept = run.loaded.row_ids(run.table("account_memberships"), "account_id", unread)
        known_members = None if accounts is None else members
        yield from _whole_list(run, "account_memberships", known_members, kept)
    finally:
        run.finish("account_memberships")


def account_list(run: Run) -> list[Record] | None:
    """The accounts that the token may read, asked for once; None where the list cannot be read."""
    if run.accounts is None:
        run.accounts = (read_list(run.client, ACCOUNTS, run.list_metrics["accounts"]),)
    return run.accounts[0]


def read_list(
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


def _whole_list(
    run: Run, resource: str, records: list[Record] | None, kept: Collection[Key] = ()
) -> Records:
    """What a resource yields for a list that is read whole and compared with what was loaded.

    Args:
        run: The run.
        resource: The resource.
        records: The whole list; None where it could not be read, so that nothing is known to be
            deleted.
        kept: The keys of rows that stay, as their part of the list could not be read.
    """
    yield Tombstones()
    if records is None:
        return
    table = run.table(resource)
    known = {} if run.is_replaced(resource) else run.loaded.row_ids(table)
    run.compare_with(resource, known)
    yield records
    listed = {record_key(table, record) for record in records}
    missing = known.keys() - listed - run.loaded.from_archives(table) - set(kept)
    yield tombstones(table, missing)
    run.collect_deleted({"kind": table.kind, "id": key, "project_id": 0} for key in missing)
