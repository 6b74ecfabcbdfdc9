"""Decide whether rows that are missing from a list were deleted, or the response is wrong.

The service has shut down, so the loaded rows may be the last copy. If a list is suddenly empty, or
has lost most of its rows, nothing is deleted until a user accepts it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from ..errors import TrackerError
from ..load.metrics import Metrics
from ..settings import ACCOUNT_LISTS, PROJECT_ENDPOINTS

MIN_LOST = 10
"""A list that is not empty is doubtful if at least this many rows, and over half, are missing."""


def is_doubtful(existing: int, listed: int, unexplained: int) -> bool:
    """Check whether missing rows are more likely an error than deletions.

    Args:
        existing: How many rows of the list are in the destination.
        listed: How many rows the list has now.
        unexplained: How many rows are missing without activity that explains it.
    """
    if not unexplained:
        return False
    return not listed or (unexplained >= MIN_LOST and 2 * unexplained > existing)


def record_kept(state: dict[str, Any], metrics: Metrics, project_id: int | None, rows: int) -> None:
    """Record that rows were kept although their list lacks them.

    Args:
        state: The state of the list; gets `kept_since`, a date.
        metrics: The metrics of the resource; get `kept` for the summary.
        project_id: The project of the list; None for a list of the account.
        rows: How many rows were kept.
    """
    is_new = "kept_since" not in state
    state.setdefault("kept_since", datetime.now(UTC).date().isoformat())
    kept = {"rows": rows, "since": state["kept_since"], "is_new": is_new}
    metrics.kept[_name(project_id)] = kept


def record_accepted(metrics: Metrics, project_id: int | None, rows: int) -> None:
    """Record how many rows were deleted because the user accepts it."""
    metrics.accepted[_name(project_id)] = rows


def _name(project_id: int | None) -> str:
    return "" if project_id is None else str(project_id)


class AcceptedDeletions:
    """The lists whose deletions the user accepts in this run.

    Args:
        lists: `PROJECT/TABLE`, such as `99/labels`; or only the table, for lists of the account.

    Raises:
        TrackerError: A text names no such list.
    """

    def __init__(self, lists: Iterable[str]) -> None:
        self._lists = {self._parse(text) for text in lists}

    @staticmethod
    def _parse(text: str) -> tuple[int | None, str]:
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
"""The lists that can be named, and whether each project has its own."""
