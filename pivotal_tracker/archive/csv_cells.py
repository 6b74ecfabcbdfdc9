"""What is in a cell of Tracker's export: dates, comments, labels, pull requests, branches.

The shapes are those of real exports and of the programs that read them; each function gives None,
or less, where a text is of another shape, and never guesses.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from .limits import MOST_REMEMBERED

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WORDS = re.compile(r"([A-Za-z]{3,9})\.? (\d{1,2}),? (\d{4})", re.ASCII)
_SLASHES = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})", re.ASCII)
_SERIAL = re.compile(r"([3-6]\d{4})(?:\.\d+)?", re.ASCII)
_ISO = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_FIRST_OF_SERIALS = date(1899, 12, 30)
_CLOCK = re.compile(
    r"(?P<day>.+?),? (?P<hour>\d{1,2}):(?P<minute>\d\d)(:(?P<second>\d\d))?"
    r"( ?(?P<half>[AaPp])[Mm])?( (UTC|GMT|Z))?",
    re.ASCII,
)
_COMMIT = re.compile(r"Commit by [^\n]+\n(https?://\S+/commits?/([0-9a-fA-F]{7,64}))\b")
_PULL_REQUEST = re.compile(
    r"(?P<host_url>https?://[^/\s]+/)(?P<owner>[^\s]+?)/(?P<repo>[^/\s]+)"
    r"(?:/-)?/(?:pulls?|pull-requests|merge_requests)/(?P<number>\d{1,18})(?:[/?#]\S*)?",
    re.ASCII,
)
_BRANCH = re.compile(
    r"(?P<host_url>https?://[^/\s]+/)(?P<owner>[^\s]+?)/(?P<repo>[^/\s]+)"
    r"(?:/-)?/(?:tree|branch|src)/(?P<name>[^\s?#]+)"
)
_LONGEST_NAME = 300
_LONGEST_TIME = 60


class Comment(NamedTuple):
    """What a Comment or Note cell says.

    Attributes:
        text: Without the author; empty where only files were attached.
        author: The name as displayed; empty where the cell tells none.
        day: As the API writes times; None where the cell tells none.
    """

    text: str
    author: str
    day: str | None


def time(text: str) -> str | None:
    """A date, or a time, as the API writes it: `2014-11-22T00:00:00Z`; None if it is neither.

    Read are `Nov 22, 2014` (the export), `11/22/2014` (Tracker's help page), ISO 8601, and the
    serial numbers of spreadsheets (days since 1899-12-30). A time without a zone is UTC.
    """
    return _time(text) if len(text) <= _LONGEST_TIME else None


@lru_cache(MOST_REMEMBERED)
def _time(text: str) -> str | None:
    text = text.strip()
    try:
        if day := _day(text):
            return f"{day.isoformat()}T00:00:00Z"
        if _ISO.match(text):
            return _written(datetime.fromisoformat(text.removesuffix(" UTC")))
        if (clock := _CLOCK.fullmatch(text)) and (day := _day(clock["day"])):
            hour = int(clock["hour"])
            if half := clock["half"]:
                hour = hour % 12 + (12 if half in "pP" else 0)
            at = datetime(day.year, day.month, day.day, hour, int(clock["minute"]))
            return _written(at + timedelta(seconds=int(clock["second"] or 0)))
    except (ValueError, OverflowError):
        return None
    return None


def _written(at: datetime) -> str:
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return at.isoformat().replace("+00:00", "Z")


def _day(text: str) -> date | None:
    if found := _WORDS.fullmatch(text):
        month = found[1][:3].lower()
        if month not in _MONTHS:
            return None
        return date(int(found[3]), _MONTHS.index(month) + 1, int(found[2]))
    if found := _SLASHES.fullmatch(text):
        return date(int(found[3]), int(found[1]), int(found[2]))
    if found := _SERIAL.fullmatch(text):
        return _FIRST_OF_SERIALS + timedelta(days=int(found[1]))
    return None


def is_day(at: str) -> bool:
    """Whether a time that `time` gave may be a date only."""
    return at.endswith("T00:00:00Z")


@lru_cache(MOST_REMEMBERED)
def day_after(at: str) -> str | None:
    """The day after one that `time` gave; None after the last day that there is."""
    try:
        return _written(datetime.fromisoformat(at) + timedelta(days=1))
    except OverflowError:
        return None


def comment(cell: str) -> Comment:
    """Takes the author and the day off a comment: they are its last parenthesis.

    The author's name may hold parentheses and dashes, and the text may end in a parenthesis of the
    same shape. Notes of the first years may have none.
    """
    cell = cell.rstrip()
    dash = cell.rfind(" - ")
    day = time(cell[dash + 3 : -1]) if dash > 0 and cell.endswith(")") else None
    if day is None:
        return Comment(cell, "", None)
    opens = _opening(cell, dash)
    author = cell[opens + 1 : dash].strip()
    if opens < 0 or not author or "\n" in author:
        return Comment(cell, "", None)
    return Comment(cell[:opens].rstrip(), author, day)


def _opening(cell: str, dash: int) -> int:
    """Where the parenthesis opens whose name ends at `dash`: the one that leaves a name balanced.

    A name with a lone parenthesis (`Bo :(`) has none such; then it is the last with a name in it.
    """
    last = cell.rfind("(", 0, dash)
    if last >= 0 and ")" not in cell[last:dash] and cell[last + 1 : dash].strip():
        return last
    depth = 0
    first = max(0, dash - _LONGEST_NAME)
    for at in range(dash - 1, first - 1, -1):
        if cell[at] == ")":
            depth += 1
        elif cell[at] == "(":
            if depth == 0 and cell[at + 1 : dash].strip():
                return at
            depth = max(0, depth - 1)
    while last >= first:
        if cell[last + 1 : dash].strip(" )"):
            return last
        last = cell.rfind("(", 0, last)
    return -1


def commit(text: str) -> dict[str, Any]:
    """What the API says of a comment that a commit made: `Commit by X`, then its address."""
    if not text.startswith("Commit by ") or not (found := _COMMIT.match(text)):
        return {}
    said = {"commit_identifier": found[2]}
    if "://github.com/" in found[1]:
        said["commit_type"] = "github"
    return said


def names(cell: str) -> tuple[str, ...]:
    """The names in a Labels cell, each once: no label holds a comma."""
    return tuple(dict.fromkeys(name for part in cell.split(",") if (name := part.strip())))


def pull_request(cell: str) -> dict[str, Any]:
    """The parts of the address of a pull request, as far as it has them."""
    found = _PULL_REQUEST.fullmatch(cell)
    parts = {**found.groupdict(), "number": int(found["number"])} if found else {}
    return {**parts, "original_url": cell}


def branch(cell: str) -> dict[str, Any]:
    """A branch, given by its name or its address."""
    if found := _BRANCH.fullmatch(cell):
        return {**found.groupdict(), "original_url": cell}
    return {"name": cell}


def free_text(cell: str) -> str:
    """A cell without the apostrophe that keeps spreadsheets from taking it for a formula."""
    return cell[1:] if cell.startswith("'=") else cell


def weeks_between(start: str | None, finish: str | None) -> int | None:
    """The whole weeks of an iteration, from its first day to the first of the next."""
    if not start or not finish:
        return None
    days = (datetime.fromisoformat(finish) - datetime.fromisoformat(start)).days
    return days // 7 if days > 0 and days % 7 == 0 else None
