"""Parse the cells of Tracker's export: comments, labels, pull requests, branches.

The formats are those of real exports and of programs that read them. For a text in another format,
each function returns None or only the parts that are certain.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from ....tables import STORY_STATES, STORY_TYPES
from ...dates import DateReader

PRIORITIES = frozenset({"p0", "p1", "p2", "p3", "none"})
TASK_STATUSES = {"completed": True, "not completed": False}
BLOCKER_STATUSES = {"resolved": True, "blocked": False}
REVIEW_STATUSES = {
    "unstarted": "unstarted",
    "in_review": "in_review",
    "in review": "in_review",
    "pass": "pass",
    "passed": "pass",
    "revise": "revise",
}

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
_MAX_NAME_LENGTH = 300


class Choices(NamedTuple):
    """The attributes of a story that have a fixed set of values.

    Attributes:
        known: The valid values, by attribute.
        unknown: Attributes and texts that are not valid values.
    """

    known: dict[str, str]
    unknown: list[tuple[str, str]]


def choices(story_type: str, state: str, priority: str, is_in_icebox: bool) -> Choices:
    """Read the type, the state and the priority of a story.

    Args:
        story_type: In lower case.
        state: The cell; it may be empty for a story in the icebox.
        priority: The cell, such as `p1 - High`.
        is_in_icebox: Whether the story is in no iteration.
    """
    state = state.strip().lower() or ("unscheduled" if is_in_icebox else "")
    read = Choices({}, [])
    for attribute, text, values in (
        ("story_type", story_type, STORY_TYPES),
        ("current_state", state, STORY_STATES),
        ("story_priority", priority.partition("-")[0].strip().lower(), PRIORITIES),
    ):
        if text in values:
            read.known[attribute] = text
        elif text:
            read.unknown.append((attribute, text))
    return read


class Comment(NamedTuple):
    """The parts of a Comment or Note cell.

    Attributes:
        text: The text without the author; empty if only files were attached.
        author: The name as displayed; empty if there is none.
        day: As the API writes times; None if there is none.
    """

    text: str
    author: str
    day: str | None


def comment(cell: str, dates: DateReader) -> Comment:
    """Split a comment into text, author and day; the last two are in parentheses at its end.

    The author's name may contain parentheses and dashes, and the text may end with similar
    parentheses. Notes of the first years may have no author.

    Args:
        cell: The comment.
        dates: Reads the dates of the file.
    """
    cell = cell.rstrip()
    dash = cell.rfind(" - ")
    is_signed = dash > 0 and cell.endswith(")")
    day = dates.day_of_comment(cell[dash + 3 : -1]) if is_signed else None
    if day is None:
        return Comment(cell, "", None)
    opens = _opening(cell, dash)
    author = cell[opens + 1 : dash].strip()
    if opens < 0 or not author or "\n" in author:
        return Comment(cell, "", None)
    return Comment(cell[:opens].rstrip(), author, day)


def _opening(cell: str, dash: int) -> int:
    """Return the position of the parenthesis before the author's name, which ends at `dash`.

    Parentheses in the name must be balanced. If they cannot be, as in `Bo :(`, it is the last
    parenthesis with a name after it.
    """
    last = cell.rfind("(", 0, dash)
    if last >= 0 and ")" not in cell[last:dash] and cell[last + 1 : dash].strip():
        return last
    depth = 0
    first = max(0, dash - _MAX_NAME_LENGTH)
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
    """Return the API's attributes of a comment made by a commit: `Commit by X`, then its URL."""
    if not text.startswith("Commit by ") or not (match := _COMMIT.match(text)):
        return {}
    attributes = {"commit_identifier": match[2]}
    if "://github.com/" in match[1]:
        attributes["commit_type"] = "github"
    return attributes


def parse_labels(cell: str) -> tuple[str, ...]:
    """Return the names in a Labels cell, each once; they are separated by commas."""
    return tuple(dict.fromkeys(name for part in cell.split(",") if (name := part.strip())))


def pull_request(cell: str) -> dict[str, Any]:
    """Return the parts of a pull request's URL; only the URL if its form is unknown."""
    match = _PULL_REQUEST.fullmatch(cell)
    parts = {**match.groupdict(), "number": int(match["number"])} if match else {}
    return {**parts, "original_url": cell}


def branch(cell: str) -> dict[str, Any]:
    """Return a branch, which is given by name or URL."""
    if match := _BRANCH.fullmatch(cell):
        return {**match.groupdict(), "original_url": cell}
    return {"name": cell}


def unescape_formula(cell: str) -> str:
    """Return a cell without the apostrophe that marks `=` as text for spreadsheets."""
    return cell[1:] if cell.startswith("'=") else cell
