"""Read the lists that belong to no project: workspaces, accounts and their members."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Set
from dataclasses import dataclass

import dlt

from ..api.client import TrackerClient
from ..api.errors import EndpointNotSupportedError, ForbiddenError, UnreadableError
from ..load.metrics import Metrics
from ..records import Key, Record, Tombstones, is_id, record_key, tombstones
from ..settings import ACCOUNT_MEMBERSHIPS, ACCOUNTS, WORKSPACES, Endpoint
from ..tables import Table
from .deletions import is_doubtful, record_accepted, record_kept
from .run import Run

Records = Iterator[list[Record]]


@dataclass
class _List:
    """A list as it was read.

    Attributes:
        records: Its records.
        unread: The keys of rows that are kept because their part of the list could not be read.
        empty: The keys of rows whose part of the list is empty.
    """

    records: list[Record]
    unread: Collection[Key] = ()
    empty: Collection[Key] = ()


def read_workspaces(run: Run) -> Records:
    """Yield what the resource `workspaces` yields."""
    yield from _whole_list(run, "workspaces", lambda: _fetch(run, "workspaces", WORKSPACES))


def read_accounts(run: Run) -> Records:
    """Yield what the resource `accounts` yields."""
    yield from _whole_list(run, "accounts", lambda: _fetch_accounts(run))


def read_account_memberships(run: Run) -> Records:
    """Yield what the resource `account_memberships` yields for all accounts."""
    yield from _whole_list(run, "account_memberships", lambda: _fetch_memberships(run))


def _fetch(run: Run, table: str, endpoint: Endpoint) -> _List | None:
    """Fetch a list; None if it cannot be read."""
    records = _supported_list(run, table, endpoint)
    _remember_support(run, table, is_read=records is not None)
    return None if records is None else _List(records)


def _fetch_accounts(run: Run) -> _List | None:
    """Return the accounts that the token may read, fetched once; None if they cannot be read."""
    if run.accounts is None:
        listed = _fetch(run, "accounts", ACCOUNTS)
        run.accounts = (None if listed is None else listed.records,)
    (records,) = run.accounts
    return None if records is None else _List(records)


def _fetch_memberships(run: Run) -> _List | None:
    """Fetch the members of all accounts; None if the accounts cannot be read."""
    table = run.table("account_memberships")
    members: list[Record] = []
    unread: list[int] = []
    empty: list[int] = []
    accounts = _fetch_accounts(run)
    listed_accounts = accounts.records if accounts else []
    # the resource `accounts` counts accounts without a valid id
    usable = [account for account in listed_accounts if is_id(account.get("id"))]
    for account in usable:
        listed = _supported_list(run, "account_memberships", ACCOUNT_MEMBERSHIPS, account["id"])
        if not listed:
            (unread if listed is None else empty).append(account["id"])
        members += [{"account_id": account["id"], **member} for member in listed or ()]
    _remember_support(run, "account_memberships", is_read=len(unread) < len(listed_accounts))
    run.collect_people("account_memberships", members)
    kept, doubtful = (run.loaded.row_ids(table, "account_id", ids) for ids in (unread, empty))
    if accounts is None:
        return None
    if len(usable) < len(listed_accounts):
        # the members of the other accounts are not known
        kept = run.loaded.row_ids(table)
    return _List(members, kept, doubtful)


def _supported_list(
    run: Run, table: str, endpoint: Endpoint, account_id: int = 0
) -> list[Record] | None:
    """Read a list as `read_list` does, unless the server is known not to support it."""
    metrics = run.metrics[table]
    if reason := run.server.unsupported(table):
        metrics.not_offered = reason
        return None
    return read_list(run.client, endpoint, metrics, account_id)


def _remember_support(run: Run, table: str, *, is_read: bool) -> None:
    """Remember that the server does not support a list, unless an earlier run could read it."""
    reason = run.metrics[table].not_offered
    is_new = reason and not is_read and not run.server.unsupported(table)
    if is_new and not run.loaded.rows(table, ["id"]):
        run.server.add_unsupported(table, reason)


def read_list(
    client: TrackerClient, endpoint: Endpoint, metrics: Metrics, account_id: int = 0
) -> list[Record] | None:
    """Read a list; None if the token may not read it, with the reason in the metrics."""
    try:
        page = client.page(endpoint, id=account_id)
        records = client.records(page)
        # an empty record counts as a record without a key: it stands for one that was left out
        return records + [{} for _ in client.rejected.get(page.path, ())]
    except EndpointNotSupportedError as error:
        metrics.not_offered = str(error)
    except ForbiddenError as error:
        metrics.not_permitted = str(error)
    except UnreadableError as error:
        metrics.skipped[str(account_id or "")] = str(error)
    return None


def _whole_list(run: Run, resource: str, read: Callable[[], _List | None]) -> Records:
    """Yield the records of a complete list, and delete rows that are missing from it.

    Args:
        run: The run.
        resource: The resource.
        read: Reads the list; returns None if it cannot be read.
    """
    yield Tombstones()
    try:
        listed = read()
        if listed is not None:
            yield from _compare(run, resource, listed, read)
    finally:
        run.finish(resource)


def _compare(
    run: Run, resource: str, listed: _List, read_again: Callable[[], _List | None]
) -> Records:
    """Yield the records of a list, and delete rows that are missing from it.

    A list that is suddenly empty, or has lost most of its rows, is read again. If that does not
    change, its rows are kept.
    """
    table = run.table(resource)
    known = {} if run.is_replaced(resource) else run.loaded.row_ids(table)
    run.compare_with(resource, known)
    existing = known.keys() - run.loaded.archive_keys(table)
    is_accepted = (None, resource) in run.accepted
    missing = _missing(table, existing, listed)
    if not is_accepted and _doubtful(existing, listed, missing):
        run.accounts = None
        listed = read_again() or listed
        missing = _missing(table, existing, listed)
    yield listed.records
    kept = set[Key]() if is_accepted else _doubtful(existing, listed, missing)
    _record_deletions(run, resource, kept, len(missing) if is_accepted else None)
    yield tombstones(table, missing - kept)
    run.collect_deleted({"kind": table.kind, "id": key, "project_id": 0} for key in missing - kept)


def _missing(table: Table, existing: Set[Key], listed: _List) -> set[Key]:
    """Return the keys that the list lacks; none if it has a record without a valid key."""
    keys = {record_key(table, record) for record in listed.records}
    return set() if None in keys else {*existing} - keys - {*listed.unread}


def _doubtful(existing: Set[Key], listed: _List, missing: set[Key]) -> set[Key]:
    """Return the missing rows that are kept: all, or those whose part of the list is empty."""
    if is_doubtful(len(existing), len(listed.records), len(missing)):
        return missing
    return missing.intersection(listed.empty)


def _record_deletions(run: Run, resource: str, kept: set[Key], accepted: int | None) -> None:
    """Record how many rows were kept, or deleted because the user accepts it."""
    if run.load_id is None:
        return
    metrics = run.metrics[resource]
    if kept:
        record_kept(dlt.current.resource_state(), metrics, None, len(kept))
    else:
        # `resource_state()` would create a state for the resource
        states = dlt.current.source_state().get("resources", {})
        states.get(resource, {}).pop("kept_since", None)
    if accepted is not None:
        record_accepted(metrics, None, accepted)
