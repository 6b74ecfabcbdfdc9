"""What is in a cell of Tracker's export: comments, labels, pull requests, branches.

The shapes are those of real exports and of the programs that read them; each function gives None,
or less, where a text is of another shape, and never guesses.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from ...dates import DateReader

TYPES = frozenset({"feature", "bug", "chore", "release"})
STATES = frozenset(
    {"unscheduled", "unstarted", "planned", "started"}
    | {"finished", "delivered", "rejected", "accepted"}
)
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
_LONGEST_NAME = 300


class Choices(NamedTuple):
    """What a story's cells say of which Tracker has a list of values.

    Attributes:
        known: By attribute.
        unknown: The attributes and texts that Tracker does not have.
    """

    known: dict[str, str]
    unknown: list[tuple[str, str]]


def choices(story_type: str, state: str, priority: str, is_in_icebox: bool) -> Choices:
    """Reads the type, the state and the priority of a story.

    Args:
        story_type: In lower case.
        state: Its cell; stories of the icebox were written without one, too.
        priority: Its cell: `p1 - High`.
        is_in_icebox: Whether the story is in no iteration.
    """
    state = state.strip().lower() or ("unscheduled" if is_in_icebox else "")
    read = Choices({}, [])
    for attribute, text, values in (
        ("story_type", story_type, TYPES),
        ("current_state", state, STATES),
        ("story_priority", priority.partition("-")[0].strip().lower(), PRIORITIES),
    ):
        if text in values:
            read.known[attribute] = text
        elif text:
            read.unknown.append((attribute, text))
    return read


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


def comment(cell: str, dates: DateReader) -> Comment:
    """Takes the author and the day off a comment: they are its last parenthesis.

    The author's name may hold parentheses and dashes, and the text may end in a parenthesis of the
    same shape. Notes of the first years may have none.

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
