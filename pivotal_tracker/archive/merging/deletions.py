"""Leave out records that a recorded request deleted after they were read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import orjson

from ...tables import SERVER_TABLES
from ..accounting import LoadAccounting
from ..records import CHILDREN, COLLECTIONS, nested_rows_of, parse_id, rows_of
from .parts import DERIVED, FRAGMENT, WITHDRAWN, Part

_REASON = "it was deleted later in the recording"

_STORY_LISTS = CHILDREN | {"owner_ids", "follower_ids", "labels"}
_LISTS = COLLECTIONS | {"followers": "follower_ids"}


@dataclass(frozen=True)
class Deleted:
    """A record, or an item in a list of one, that was deleted.

    Attributes:
        table: The table of the record.
        record_id: The id of the record.
        attribute: The list that contains the item; empty if the record itself is deleted.
        item_id: The id of the item.
    """

    table: str
    record_id: int
    attribute: str = ""
    item_id: int = 0


def deleted_by(path: str) -> Deleted | None:
    """Return what a request deletes.

    Args:
        path: The path of the request below the API's root.

    Returns:
        None if no table contains it.
    """
    segments = [segment for segment in path.split("?")[0].split("/") if segment]
    ids = [
        (_LISTS.get(name, ""), number)
        for name, following in pairwise(segments)
        if (number := parse_id(following)) is not None
    ]
    if not ids or not ids[-1][0] or parse_id(segments[-1]) is None:
        return None
    attribute, number = ids[-1]
    parent = ids[-2] if len(ids) > 1 else ("", 0)
    if attribute in _STORY_LISTS and parent[0] in ("stories", "epics"):
        return Deleted(*parent, attribute, number)
    return (
        None if attribute in CHILDREN or attribute.endswith("_ids") else Deleted(attribute, number)
    )


class _Deletion(NamedTuple):
    """When a record or item was deleted.

    Attributes:
        position: The position of the last part read before.
        source: The file with the request.
        seen_at: The time; empty if it is not known.
    """

    position: int
    source: str
    seen_at: str


class Deletions:
    """The records and items that were deleted.

    Args:
        accounting: Counts the rows that are left out.
    """

    def __init__(self, accounting: LoadAccounting) -> None:
        self._accounting = accounting
        self._deletions: dict[Deleted, _Deletion] = {}

    def add(self, deleted: Deleted, position: int, source: str, seen_at: str) -> None:
        """Record a deletion.

        Args:
            deleted: What was deleted.
            position: The position of the last part read before.
            source: The file with the request.
            seen_at: The time; empty if it is not known.
        """
        self._deletions[deleted] = _Deletion(position, source, seen_at)

    def apply(self, parts: Iterator[Part]) -> Iterator[Part]:
        """Yield the parts that were not deleted, without deleted items."""
        if not self._deletions:
            yield from parts
            return
        for part in parts:
            remaining = self._remaining(part)
            if remaining is not None:
                yield remaining

    def _remaining(self, part: Part) -> Part | None:
        record = orjson.loads(part.body)
        count = nested_rows_of if part.kind == FRAGMENT else rows_of
        if self._is_deleted(part, Deleted(part.table_name, parse_id(part.key) or 0)):
            self._leave_out(count(part.table_name, record), part)
            return None
        before = rows_of(part.table_name, record)
        for name in SERVER_TABLES[part.table_name].nested:
            if name in record:
                record[name] = [i for i in record[name] if not self._is_item_deleted(part, name, i)]
        deleted_rows = before - rows_of(part.table_name, record)
        if not deleted_rows:
            return part
        self._leave_out(deleted_rows, part)
        if part.kind == FRAGMENT and not any(record.values()):
            return None
        return part._replace(body=orjson.dumps(record))

    def _is_item_deleted(self, part: Part, attribute: str, item: Any) -> bool:
        number = parse_id(item.get("id") if isinstance(item, dict) else item)
        if number is None:
            return False
        if attribute == "labels" and self._is_deleted(part, Deleted("labels", number)):
            return True
        record_id = parse_id(part.key) or 0
        return self._is_deleted(part, Deleted(part.table_name, record_id, attribute, number))

    def _is_deleted(self, part: Part, deleted: Deleted) -> bool:
        """Check whether a part was read before a record or item in it was deleted.

        A part of another file, read at an unknown time, counts as read before: ids are never
        reused.
        """
        deletion = self._deletions.get(deleted)
        if deletion is None:
            return False
        if part.seen_at and deletion.seen_at and part.seen_at != deletion.seen_at:
            return part.seen_at < deletion.seen_at
        return part.source != deletion.source or part.position <= deletion.position

    def _leave_out(self, rows: Mapping[str, int], part: Part) -> None:
        if part.kind in (DERIVED, WITHDRAWN):
            return
        for table, count in rows.items():
            where = f"{part.table_name} {part.key}"
            self._accounting.leave_out(part.source, table, _REASON, where, count)
