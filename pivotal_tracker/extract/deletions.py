"""Decides whether rows that a list lacks were deleted, or the response is not to be trusted.

The service is gone, so the loaded rows may be the last copy: a list that is suddenly empty, or has
lost most of its rows, deletes nothing until a user accepts it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import Any

from ..errors import TrackerError
from ..settings import ACCOUNT_LISTS, PROJECT_ENDPOINTS
from ..tables import Table

MIN_LOST = 10
"""A list that still has rows is doubted if at least so many are missing, and over half of them."""


def is_doubtful(held: int, listed: int, unexplained: int) -> bool:
    """Check whether the rows that a list lacks are more likely an error than deletions.

    Args:
        held: How many rows of the list the destination holds.
        listed: How many rows the list has now.
        unexplained: How many rows it lacks without activity that says why.
    """
    if not unexplained:
        return False
    return not listed or (unexplained >= MIN_LOST and 2 * unexplained > held)


def note_kept(
    state: dict[str, Any], metrics: dict[str, Any], project_id: int | None, rows: int
) -> None:
    """Note that rows were kept although their list lacks them.

    Args:
        state: What is remembered of the list; takes `kept_since`, the date.
        metrics: Those of the resource; `kept` says so for the summary.
        project_id: The project of the list; None for a list of the account.
        rows: How many rows were kept.
    """
    is_new = "kept_since" not in state
    state.setdefault("kept_since", datetime.now(UTC).date().isoformat())
    kept = {"rows": rows, "since": state["kept_since"], "is_new": is_new}
    metrics.setdefault("kept", {})[_name(project_id)] = kept


def note_accepted(metrics: dict[str, Any], project_id: int | None, rows: int) -> None:
    """Note how many rows were deleted because the user has accepted it."""
    metrics.setdefault("accepted", {})[_name(project_id)] = rows


def _name(project_id: int | None) -> str:
    return "" if project_id is None else str(project_id)


class Accepted:
    """The lists whose deletions the user accepts in this run.

    Args:
        lists: `PROJECT/TABLE`, such as `99/labels`; only the table for lists of the account.

    Raises:
        TrackerError: A text means no list.
    """

    def __init__(self, lists: Iterable[str]) -> None:
        self._lists = {self._parsed(text) for text in lists}

    @staticmethod
    def _parsed(text: str) -> tuple[int | None, str]:
        found = re.fullmatch(r"(?:(\d{1,18})/)?(\w+)", text)
        project, table = found.groups() if found else (None, "")
        if LISTS.get(table) is not (project is not None):
            of_projects = ", ".join(name for name, is_of_project in LISTS.items() if is_of_project)
            others = ", ".join(name for name, is_of_project in LISTS.items() if not is_of_project)
            raise TrackerError(
                f"{text!r} names no list whose deletions can be accepted. Write PROJECT/TABLE, "
                f"such as 99/labels, for {of_projects}; or only the table, for {others}."
            )
        return (None if project is None else int(project)), table

    def __contains__(self, project_and_table: object) -> bool:
        return project_and_table in self._lists


LISTS = dict.fromkeys(PROJECT_ENDPOINTS, True) | dict.fromkeys(ACCOUNT_LISTS, False)
"""The lists that can be named, with whether each project has one of its own."""


def explained_by(
    table: Table, missing: Collection[Any], deletions: Iterable[dict[str, Any]]
) -> set[Any]:
    """The missing keys that activity says were deleted or moved."""
    gone = {deletion["id"] for deletion in deletions if deletion["kind"] == table.kind}
    return gone.intersection(missing)
