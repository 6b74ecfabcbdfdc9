"""Write known stories as Tracker exported them, in the layout of any year."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openpyxl

Pairs = list[tuple[str, str]]


@dataclass
class Row:
    """A story, epic or release, by cell."""

    id: int
    title: str
    type: str = "feature"
    labels: str = ""
    iteration: str = ""
    start: str = ""
    end: str = ""
    estimate: str = ""
    priority: str = "none"
    state: str = "unscheduled"
    created: str = "Nov 3, 2015"
    accepted: str = ""
    deadline: str = ""
    requested_by: str = ""
    description: str = ""
    url: str = ""
    owners: list[str] = field(default_factory=list)
    blockers: Pairs = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    tasks: Pairs = field(default_factory=list)
    reviews: list[tuple[str, str, str]] = field(default_factory=list)
    pull_requests: list[str] = field(default_factory=list)
    branches: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Layout:
    """The layout of exports in some years.

    Attributes:
        head: The names of single columns; in the first years, one owner is among them.
        groups: The repeated columns after them, in order.
        comment: The name of a column of comments.
    """

    head: str
    groups: tuple[str, ...]
    comment: str = "Comment"


_FIRST = (
    "Id,Story,Labels,Iteration,Iteration Start,Iteration End,Story Type,Estimate,Current State,"
    "Created at,Accepted at,Deadline,Requested By,Owned By,Description,URL"
)
_LATER = _FIRST.replace("Owned By,", "")
_WITH_TITLE = _LATER.replace("Story Type", "Type").replace("Story", "Title")
_LAST = _WITH_TITLE.replace("Estimate,", "Estimate,Priority,")

LAYOUTS = {
    "2009": Layout(_FIRST, ("comments",), "Note"),
    "2012": Layout(_FIRST, ("comments", "tasks")),
    "2014, spring": Layout(_LATER, ("owners", "comments", "tasks")),
    "2014, summer": Layout(_WITH_TITLE, ("owners", "comments", "tasks")),
    "2017": Layout(_WITH_TITLE, ("owners", "blockers", "comments", "tasks")),
    "last": Layout(
        _LAST,
        (
            "owners",
            "blockers",
            "comments",
            "tasks",
            "reviews",
            "pull_requests",
            "branches",
        ),
    ),
}
LAST = LAYOUTS["last"]

_NAMES = {
    "owners": ("Owned By",),
    "blockers": ("Blocker", "Blocker Status"),
    "tasks": ("Task", "Task Status"),
    "reviews": ("Review Type", "Reviewer", "Review Status"),
    "pull_requests": ("Pull Request",),
    "branches": ("Git Branch",),
}
_CELLS = {
    "Id": "id",
    "Story": "title",
    "Title": "title",
    "Story Type": "type",
    "Current State": "state",
    "Iteration Start": "start",
    "Iteration End": "end",
    "Created at": "created",
    "Accepted at": "accepted",
}


def table(
    rows: Sequence[Row], layout: Layout = LAST, shuffled_by: int | None = None
) -> list[list[str]]:
    """Return the header and the rows, all of the same width.

    Args:
        rows: In order.
        layout: The layout.
        shuffled_by: A seed to shuffle the columns. Columns of one name keep their order, because it
            shows which cells of a pair belong together.
    """
    header = layout.head.split(",")
    lines = [[_once(row, name) for name in header] for row in rows]
    for group in layout.groups:
        names = _NAMES.get(group) or (layout.comment,)
        most = max([len(getattr(row, group)) for row in rows] + [group == "owners"])
        header += names * most
        for row, line in zip(rows, lines, strict=True):
            for item in getattr(row, group):
                line += [item] if isinstance(item, str) else item
            line += [""] * (len(header) - len(line))
    return _shuffled([header, *lines], shuffled_by)


def _once(row: Row, name: str) -> str:
    if name == "Owned By":
        return row.owners[0] if row.owners else ""
    return str(getattr(row, _CELLS.get(name, name.lower().replace(" ", "_"))))


def _shuffled(lines: list[list[str]], seed: int | None) -> list[list[str]]:
    if seed is None:
        return lines
    header = lines[0]
    # each name gets random positions, and its columns take them in order
    places: dict[str, list[int]] = {}
    for name, place in zip(
        header, random.Random(seed).sample(range(len(header)), len(header)), strict=True
    ):
        places.setdefault(name, []).append(place)
    target = [sorted(places[name])[header[:i].count(name)] for i, name in enumerate(header)]
    shuffled = [[""] * len(header) for _ in lines]
    for line, new in zip(lines, shuffled, strict=True):
        for cell, place in zip(line, target, strict=True):
            new[place] = cell
    return shuffled


def ragged(lines: list[list[str]]) -> list[list[str]]:
    """Return the rows as Tracker wrote them: without empty cells at the end."""
    short = [list(line) for line in lines]
    for line in short[1:]:
        while line and not line[-1]:
            line.pop()
    return short


def as_csv(lines: Sequence[Sequence[str]], delimiter: str = ",", ending: str = "\n") -> str:
    """Return the text of a CSV file."""
    quoted = []
    for line in lines:
        text = io.StringIO()
        csv.writer(text, delimiter=delimiter, lineterminator="\r\n").writerow(line)
        quoted.append(text.getvalue().removesuffix("\r\n") + ending)
    return "".join(quoted)


def write_workbook(path: Path, lines: list[list[Any]]) -> Path:
    """Write lines as an Excel workbook, with empty cells where texts are empty."""
    book = openpyxl.Workbook()
    for line in lines:
        book.active.append([None if cell == "" else cell for cell in line])
    book.save(path)
    return path
