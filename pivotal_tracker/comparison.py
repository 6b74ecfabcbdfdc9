"""Compares the records of one list with what was loaded, so that only what differs is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from .loaded import Key, key_of
from .rows import Batch, Record, is_key, row_id


@dataclass
class Comparison:
    """The records of one list, as far as they have been seen, beside those in the destination.

    Attributes:
        batch: Takes the rows that are new, changed or gone.
        known: The `_dlt_id` of the rows in the destination, by key.
        seen: The keys met in this run, by whichever list of the table.
        counts: `new`, `changed`, `unchanged`, `deleted` and `unusable` records.
        own: The keys of the list.
        taken: How many records of each project were first met in the list.
        look_up: Finds the `_dlt_id` of rows that `known` lacks, as another list may have brought.
        rebuilds: Whether the table is made anew: then all records are written, and `known` tells
            only what is gone.
    """

    batch: Batch
    known: dict[Key, str]
    seen: set[Key]
    counts: Counter[str]
    look_up: Callable[[list[Key]], dict[Key, str]] | None = None
    rebuilds: bool = False
    own: set[Key] = field(default_factory=set)
    taken: Counter[Any] = field(default_factory=Counter)

    def take(self, records: Iterable[Record]) -> list[Record]:
        """Adds the rows of those that are not in the destination as they are.

        Returns:
            The records that are new or changed.
        """
        fresh = []
        for record in records:
            values = [record.get(name) for name in self.batch.table.key]
            if not all(map(is_key, values)):
                self.counts["unusable"] += 1
                continue
            key = key_of(values)
            self.own.add(key)
            if key not in self.seen:
                self.seen.add(key)
                self.taken[record.get("project_id")] += 1
                fresh.append((key, record))
        known = {} if self.rebuilds else self.known
        strangers = [key for key, _ in fresh if key not in known]
        others = self.look_up(strangers) if self.look_up and strangers else {}
        written = []
        for key, record in fresh:
            before = known.get(key, others.get(key))
            if before is not None and before == row_id(record):
                self.counts["unchanged"] += 1
            else:
                self.batch.add(record, replaces=before is not None)
                written.append(record)
                self.counts["new" if before is None else "changed"] += 1
        return written

    def gone(self) -> list[Key]:
        """The keys in the destination that this list does not have (any more)."""
        return [key for key in self.known if key not in self.own]

    def remove(self, keys: Iterable[Key]) -> None:
        """Has the rows of these keys deleted, but for those that another list has brought."""
        names = self.batch.table.key
        for key in keys:
            if key in self.seen:
                continue
            if not self.rebuilds:
                values: tuple[Any, ...] = key if isinstance(key, tuple) else (key,)
                self.batch.remove(dict(zip(names, values, strict=True)))
            self.counts["deleted"] += 1
