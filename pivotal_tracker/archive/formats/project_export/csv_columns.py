"""Find the columns of Tracker's export by name, because their order changed over the years."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter

from ...limits import MAX_OTHER_COLUMNS

CellSelector = Callable[[Sequence[str]], Sequence[str]]
"""Returns the cells of a group of columns in a row."""

_SINGLE_COLUMNS = {
    "id": "id",
    "story": "title",
    "title": "title",
    "labels": "labels",
    "iteration": "iteration",
    "iteration start": "iteration_start",
    "iteration end": "iteration_end",
    "story type": "type",
    "type": "type",
    "estimate": "estimate",
    "priority": "priority",
    "current state": "current_state",
    "created at": "created_at",
    "accepted at": "accepted_at",
    "deadline": "deadline",
    "requested by": "requested_by",
    "description": "description",
    "url": "url",
}
_REPEATED = {
    "owned by": "owned by",
    "comment": "comment",
    "note": "comment",
    "task": "task",
    "task status": "task status",
    "blocker": "blocker",
    "blocker status": "blocker status",
    "review type": "review type",
    "reviewer": "reviewer",
    "review status": "review status",
    "pull request": "pull request",
    "git branch": "git branch",
}
_TIMES = ("created_at", "accepted_at", "deadline")
_NEEDED = {"id", "title", "type", "current_state"}
_HISTORY = ("id", "type", "message", "performed by", "occurred at")


def header_names(cells: Sequence[str]) -> list[str]:
    """Return the column names of a header, normalized for comparison."""
    return [" ".join(cell.replace("\ufeff", "").split()).lower() for cell in cells]


def is_of_stories(cells: Sequence[str]) -> bool:
    """Check whether a row is the header of an export of stories, of any year."""
    return {_SINGLE_COLUMNS.get(name) for name in header_names(cells)} >= _NEEDED


def is_of_history(cells: Sequence[str]) -> bool:
    """Check whether a row is the header of the project's history."""
    return set(header_names(cells)) >= set(_HISTORY)


def history_columns(cells: Sequence[str]) -> list[int]:
    """Return the positions of ID, Type, Message, Performed By and Occurred At."""
    names = header_names(cells)
    return [names.index(name) for name in _HISTORY]


@dataclass(frozen=True)
class OtherColumn:
    """A column that is not Tracker's.

    Attributes:
        header: Its name in the header.
        attribute: The attribute that its texts are loaded as; empty if they are not loaded.
    """

    header: str
    attribute: str


class Columns:
    """The positions of the columns in a header.

    Rows must be padded with empty cells to `width`, which is one more than the header has. A column
    that the header lacks is at the last, empty cell.

    Args:
        header: The cells of the header.
    """

    def __init__(self, header: Sequence[str]) -> None:
        self.width = len(header) + 1
        single, groups, others = _classify(header)
        none = self.width - 1
        self.id = single.get("id", none)
        self.title = single.get("title", none)
        self.labels = single.get("labels", none)
        self.iteration = single.get("iteration", none)
        self.iteration_start = single.get("iteration_start", none)
        self.iteration_end = single.get("iteration_end", none)
        self.type = single.get("type", none)
        self.estimate = single.get("estimate", none)
        self.priority = single.get("priority", none)
        self.current_state = single.get("current_state", none)
        self.requested_by = single.get("requested_by", none)
        self.description = single.get("description", none)
        self.url = single.get("url", none)
        self.times = [(name, single[name]) for name in _TIMES if name in single]
        """The attributes that are times, with the positions of their columns."""
        dates = (*_TIMES, "iteration_start", "iteration_end")
        self.dates = [single[name] for name in dates if name in single]
        self._pick_groups(none, groups)
        self.others = _other_columns(header, others)
        self.other_cells = _pick(others)

    def _pick_groups(self, none: int, groups: Mapping[str, list[int]]) -> None:
        """Find the repeated columns; pairs and triples are put side by side."""
        self.owned_by = _pick(groups["owned by"])
        self.comments = _pick(groups["comment"])
        self.pull_requests = _pick(groups["pull request"])
        self.branches = _pick(groups["git branch"])
        self.tasks = _pick(_interleave(none, groups["task"], groups["task status"]))
        """Task, status, task, status, …"""
        self.blockers = _pick(_interleave(none, groups["blocker"], groups["blocker status"]))
        """Blocker, status, …"""
        self.reviews = _pick(
            _interleave(none, groups["review type"], groups["reviewer"], groups["review status"])
        )
        """Type, reviewer, status, …"""
        self.story_only = _pick(
            [
                *(self.iteration, self.estimate, self.priority, self.current_state),
                self.requested_by,
                *(i for name, group in groups.items() if name != "comment" for i in group),
            ]
        )


def _classify(
    header: Sequence[str],
) -> tuple[dict[str, int], Mapping[str, list[int]], list[int]]:
    """Return the positions of single columns by name, of repeated ones by name, and of others."""
    single: dict[str, int] = {}
    groups: defaultdict[str, list[int]] = defaultdict(list)
    others: list[int] = []
    for index, name in enumerate(header_names(header)):
        if name in _REPEATED:
            groups[_REPEATED[name]].append(index)
        elif (single_name := _SINGLE_COLUMNS.get(name)) and single_name not in single:
            single[single_name] = index
        else:
            others.append(index)
    return single, groups, others


def _interleave(none: int, *groups: list[int]) -> list[int]:
    """Merge groups of columns: the first of each group, then the second of each, and so on."""
    longest = max(map(len, groups))
    padded = [group + [none] * (longest - len(group)) for group in groups]
    return [index for indices in zip(*padded, strict=True) for index in indices]


def _pick(indices: list[int]) -> CellSelector:
    first = indices[0] if indices else 0
    if indices == list(range(first, first + len(indices))):
        return itemgetter(slice(first, first + len(indices)))
    return itemgetter(*indices)


def _other_columns(header: Sequence[str], indices: list[int]) -> list[OtherColumn]:
    """Return the columns that are not Tracker's, with attributes that the API does not use."""
    used: set[str] = set()
    columns: list[OtherColumn] = []
    for index in indices:
        plain = unicodedata.normalize("NFKD", header[index]).encode("ascii", "ignore").decode()
        words = re.sub("[^a-z0-9]+", "_", plain.lower()).strip("_")[:50].strip("_")
        attribute = f"column_{words or index + 1}"
        if attribute in used:
            attribute = f"{attribute}_{index + 1}"
        used.add(attribute)
        is_kept = len(columns) < MAX_OTHER_COLUMNS
        columns.append(OtherColumn(header[index], attribute if is_kept else ""))
    return columns
