"""A project in an export, which identifies it, its labels and its review types by name only."""

from __future__ import annotations

from ....records import Record
from ...keys import stable_key
from ...limits import MAX_CACHE_ENTRIES
from . import csv_cells
from .people import NamedRecords

_MAX_CACHED_LENGTH = 1_000


class Project:
    """A project, and what has been read of it so far.

    Args:
        name: The name in the file name.

    Attributes:
        id: A stable negative key.
        story_ids: The ids of its stories.
        epic_ids: The ids of its epics.
        named: The labels and review types that its rows name.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.id = stable_key("project", name.lower())
        self.story_ids: set[int] = set()
        self.epic_ids: set[int] = set()
        self._labels_by_cell: dict[str, list[Record]] = {}
        self._records: dict[tuple[str, str], Record] = {}
        self.named = NamedRecords()

    def labels(self, cell: str) -> list[Record]:
        """Return the labels in a Labels cell; stories with the same cell share the records."""
        if not cell:
            return []
        known = self._labels_by_cell.get(cell)
        if known is None:
            known = [self._get_or_add("label", name) for name in csv_cells.parse_labels(cell)]
            if len(cell) <= _MAX_CACHED_LENGTH and len(self._labels_by_cell) < MAX_CACHE_ENTRIES:
                self._labels_by_cell[cell] = known
        for label in known:
            self.named.mark_named(label["id"])
        return known

    def review_type(self, name: str) -> Record:
        """Return the review type with a name."""
        record = self._get_or_add("review_type", name)
        self.named.mark_named(record["id"])
        return record

    def _get_or_add(self, kind: str, name: str) -> Record:
        record = self._records.get((kind, name))
        if record is None:
            key = stable_key(kind, self.id, name)
            record = {"kind": kind, "id": key, "project_id": self.id, "name": name}
            self._records[kind, name] = record
            self.named.add(f"{kind}s", record)
        return record
