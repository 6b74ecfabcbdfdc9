"""Decide which cells are in the right column in rows with more cells than the header.

A comma that is not quoted, or two rows merged into one, shift the cells after it into other
columns. The columns with dates, numbers and fixed values show where that begins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ....tables import STORY_STATES, STORY_TYPES
from ...dates import DateReader
from .conventions import parse_integer
from .csv_cells import BLOCKER_STATUSES, REVIEW_STATUSES, TASK_STATUSES
from .csv_columns import Columns

_DATES = DateReader()


def trusted_cells(columns: Columns, cells: Sequence[str]) -> int:
    """Count the cells at the start of a row that are in the right column.

    Args:
        columns: The columns of the header.
        cells: The cells of a row that has more of them than the header.

    Returns:
        The number of cells up to the last one that fits its column before the first that does not;
        the width of the header if all cells fit and those beyond it are empty.
    """
    is_epic = cells[columns.type].strip().lower() == "epic" if columns.type < len(cells) else False
    checks: list[tuple[int, Callable[[str], bool], bool]] = [
        (columns.id, _is_number, True),
        (columns.iteration, _is_number, False),
        (columns.type, _is_type, True),
        (columns.estimate, _is_estimate, False),
        (columns.current_state, _is_state, not is_epic),
        (columns.url, _is_url, False),
        *((index, _is_date, False) for index in columns.dates),
    ]
    trusted = 0
    for index, fits, is_needed in sorted(checks, key=lambda check: check[0]):
        if index >= columns.width - 1:
            continue
        text = cells[index].strip()
        if (text and not fits(text)) or (is_needed and not text):
            return trusted
        if text:
            trusted = index + 1
    width = columns.width - 1
    return trusted if any(cells[width:]) or not _statuses_fit(columns, cells) else width


def _statuses_fit(columns: Columns, cells: Sequence[str]) -> bool:
    """Check whether tasks, blockers and reviews have statuses that Tracker knows."""
    padded = [*cells[: columns.width - 1], ""]
    groups = (
        (columns.tasks(padded)[1::2], TASK_STATUSES),
        (columns.blockers(padded)[1::2], BLOCKER_STATUSES),
        (columns.reviews(padded)[2::3], REVIEW_STATUSES),
    )
    return all(
        not text.strip() or text.strip().lower() in known
        for statuses, known in groups
        for text in statuses
    )


def _is_number(text: str) -> bool:
    return parse_integer(text) is not None


def _is_estimate(text: str) -> bool:
    return text.lstrip("-").replace(",", ".").replace(".", "", 1).isdecimal()


def _is_type(text: str) -> bool:
    return text.lower() in STORY_TYPES or text.lower() == "epic"


def _is_state(text: str) -> bool:
    return text.lower() in STORY_STATES


def _is_url(text: str) -> bool:
    return text.startswith(("http://", "https://"))


def _is_date(text: str) -> bool:
    return _DATES.parse(text) is not None or _DATES.problem(text) != "is not a date"
