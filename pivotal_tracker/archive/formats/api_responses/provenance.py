"""What is known of a response from its file, its request and its wrapper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ...accounting import LoadAccounting
from ...records import COLLECTIONS, parse_id

UNKNOWN = "unknown"
"""The name in the accounting for rows whose table is not known."""


@dataclass(frozen=True)
class Provenance:
    """Where a response came from, and what follows from it.

    Attributes:
        source: The file.
        where: The position in the file, for people.
        expected: The table or attribute named by the path of the request.
        ids: The ids in that path, by collection.
        seen_at: When the API returned it.
    """

    source: str
    where: str = ""
    expected: str = ""
    ids: Mapping[str, int] = field(default_factory=dict)
    seen_at: str = ""

    def at(self, where: str) -> Provenance:
        """Return a copy for one record of the file."""
        return Provenance(self.source, where, self.expected, self.ids, self.seen_at)

    def with_request_path(self, path: str, seen_at: str = "") -> Provenance:
        """Return a copy with what the path of the request says."""
        segments = [segment for segment in path.split("?")[0].split("/") if segment]
        expected, ids = "", dict(self.ids)
        for name, following in zip(segments, [*segments[1:], ""], strict=False):
            if name in COLLECTIONS:
                expected = COLLECTIONS[name]
                number = parse_id(following)
                if number is not None:
                    ids[name] = number
        return replace(self, expected=expected, ids=ids, seen_at=seen_at or self.seen_at)


def record_replaced(accounting: LoadAccounting, origin: Provenance, characters: int) -> None:
    """Count the characters that were replaced by U+FFFD."""
    if characters:
        reason = "invalid characters, loaded as U+FFFD"
        accounting.drop_value(
            origin.source, origin.expected or UNKNOWN, reason, origin.where, characters
        )
