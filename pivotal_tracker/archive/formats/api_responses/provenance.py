"""Where an answer of the API was found, and what is known of it by that and by its wrapping."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ...accounting import LoadAccounting
from ...records import COLLECTIONS, whole_number

UNKNOWN = "unknown"
"""What the accounting calls rows whose table cannot be told."""


@dataclass(frozen=True)
class Provenance:
    """Where an answer came from, and what is known of it by that.

    Attributes:
        source: The file.
        where: Which record of it, for people.
        expected: The table or attribute that the path of the request speaks of.
        ids: The ids in that path, by the collection.
        seen_at: When the API gave it.
    """

    source: str
    where: str = ""
    expected: str = ""
    ids: Mapping[str, int] = field(default_factory=dict)
    seen_at: str = ""

    def at(self, where: str) -> Provenance:
        """The same, at one record of the file."""
        return Provenance(self.source, where, self.expected, self.ids, self.seen_at)

    def asked(self, path: str, seen_at: str = "") -> Provenance:
        """The same, knowing the path of the request."""
        segments = [segment for segment in path.split("?")[0].split("/") if segment]
        expected, ids = "", dict(self.ids)
        for name, following in zip(segments, [*segments[1:], ""], strict=False):
            if name in COLLECTIONS:
                expected = COLLECTIONS[name]
                number = whole_number(following)
                if number is not None:
                    ids[name] = number
        return replace(self, expected=expected, ids=ids, seen_at=seen_at or self.seen_at)


def note_replaced(accounting: LoadAccounting, origin: Provenance, characters: int) -> None:
    """Counts the characters of a text in whose place U+FFFD is loaded."""
    if characters:
        reason = "characters that no text may hold, loaded as U+FFFD"
        accounting.drop_value(
            origin.source, origin.expected or UNKNOWN, reason, origin.where, characters
        )
