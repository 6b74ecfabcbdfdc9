"""The lists that belong to no project: workspaces, accounts and their members."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Set
from dataclasses import dataclass
from typing import Any

import dlt

from ..api.client import NotOfferedError, RefusedError, TrackerClient, UnreadableError
from ..records import Key, Record, Tombstones, record_key, tombstones
from ..settings import ACCOUNT_MEMBERSHIPS, ACCOUNTS, WORKSPACES, Endpoint
from ..tables import Table
from .deletions import is_doubtful, note_accepted, note_kept
from .list_reader import note_client
from .run import Run

Records = Iterator[list[Record]]


@dataclass
class _List:
    """A list as it was read.

    Attributes:
        records: Its records.
        unread: The keys of rows that stay because a part of the list could not be read.
        empty: The keys of rows whose part of the list is empty.
    """

    records: list[Record]
    unread: Collection[Key] = ()
    empty: Collection[Key] = ()


def workspaces_of(run: Run) -> Records:
    """What the resource `workspaces` yields."""
    metrics = dlt.current.resource_metrics()

    def read() -> _List | None:
        listed = _supported_list(run, "workspaces", WORKSPACES, metrics)
        _remember_support(run, "workspaces", metrics, is_read=listed is not None)
        return None if listed is None else _List(listed)

    try:
        yield from _whole_list(run, "workspaces", read)
    finally:
        run.finish("workspaces")


def accounts_of(run: Run) -> Records:
    """What the resource `accounts` yields."""
    metrics = dlt.current.resource_metrics()

    def read() -> _List | None:
        listed = account_list(run)
        metrics.update(run.list_metrics["accounts"])
        return None if listed is None else _List(listed)

    try:
        yield from _whole_list(run, "accounts", read)
    finally:
        run.finish("accounts")


def account_memberships_of(run: Run) -> Records:
    """What the resource `account_memberships` yields for all accounts."""
    metrics = dlt.current.resource_metrics()
    table = run.table("account_memberships")

    def read() -> _List | None:
        members: list[Record] = []
        unread: list[int] = []
        empty: list[int] = []
        accounts = account_list(run)
        for account in accounts or ():
            listed = _supported_list(
                run, "account_memberships", ACCOUNT_MEMBERSHIPS, metrics, account["id"]
            )
            if not listed:
                (unread if listed is None else empty).append(account["id"])
            members += [{"account_id": account["id"], **member} for member in listed or ()]
        _remember_support(
            run, "account_memberships", metrics, is_read=len(unread) < len(accounts or ())
        )
        run.collect_people("account_memberships", members)
        kept, doubtful = (run.loaded.row_ids(table, "account_id", ids) for ids in (unread, empty))
        return None if accounts is None else _List(members, kept, doubtful)

    try:
        yield from _whole_list(run, "account_memberships", read)
    finally:
        run.finish("account_memberships")


def account_list(run: Run) -> list[Record] | None:
    """The accounts that the token may read, asked for once; None where the list cannot be read."""
    if run.accounts is None:
        metrics = run.list_metrics["accounts"]
        run.accounts = (_supported_list(run, "accounts", ACCOUNTS, metrics),)
        _remember_support(run, "accounts", metrics, is_read=run.accounts[0] is not None)
    return run.accounts[0]


def _supported_list(
    run: Run, table: str, endpoint: Endpoint, metrics: dict[str, Any], account_id: int = 0
) -> list[Record] | None:
    """As `read_list`, but a list that the server is known not to have is not requested."""
    if reason := run.server.unsupported(table):
        metrics["not_offered"] = reason
        return None
    return read_list(run.client, endpoint, metrics, account_id)


def _remember_support(run: Run, table: str, metrics: dict[str, Any], *, is_read: bool) -> None:
    """Remember that the server does not have a list, unless an earlier run could read it."""
    reason = metrics.get("not_offered")
    is_new = reason and not is_read and not run.server.unsupported(table)
    if is_new and not run.loaded.rows(table, ["id"]):
        run.server.add_unsupported(table, metrics["not_offered"])


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
    except UnreadableError as error:
        metrics.setdefault("skipped", {})[str(account_id or "")] = str(error)
    return None


def _whole_list(run: Run, resource: str, read: Callable[[], _List | None]) -> Records:
    """What a resource yields for a list that is read whole and compared with what was loaded.

    A list that is suddenly empty, or lost most of its rows, is read again; if it stays so, its rows
    are kept.

    Args:
        run: The run.
        resource: The resource.
        read: Reads the list; gives None where it cannot be read.
    """
    yield Tombstones()
    listed = read()
    if listed is None:
        return
    table = run.table(resource)
    known = {} if run.is_replaced(resource) else run.loaded.row_ids(table)
    run.compare_with(resource, known)
    held = known.keys() - run.loaded.from_archives(table)
    is_accepted = (None, resource) in run.accepted
    missing = _missing(table, held, listed)
    if not is_accepted and _doubtful(held, listed, missing):
        run.accounts = None
        listed = read() or listed
        missing = _missing(table, held, listed)
    yield listed.records
    kept = set[Key]() if is_accepted else _doubtful(held, listed, missing)
    _note(run, resource, kept, len(missing) if is_accepted else None)
    yield tombstones(table, missing - kept)
    run.collect_deleted({"kind": table.kind, "id": key, "project_id": 0} for key in missing - kept)


def _missing(table: Table, held: Set[Key], listed: _List) -> set[Key]:
    return {*held} - {record_key(table, one) for one in listed.records} - {*listed.unread}


def _doubtful(held: Set[Key], listed: _List, missing: set[Key]) -> set[Key]:
    """Those of the missing rows that are kept: all, or those whose part of the list is empty."""
    if is_doubtful(len(held), len(listed.records), len(missing)):
        return missing
    return missing.intersection(listed.empty)


def _note(run: Run, resource: str, kept: set[Key], accepted: int | None) -> None:
    """Note how many rows were kept, or were deleted as the user has accepted it."""
    if run.load_id is None:
        return
    metrics = dlt.current.resource_metrics()
    if kept:
        note_kept(dlt.current.resource_state(), metrics, None, len(kept))
    else:
        # asking for the state of a resource makes one
        states = dlt.current.source_state().get("resources", {})
        states.get(resource, {}).pop("kept_since", None)
    if accepted is not None:
        note_accepted(metrics, None, accepted)
