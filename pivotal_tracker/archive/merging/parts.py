"""The parts that records are merged from."""

from __future__ import annotations

from typing import NamedTuple

WHOLE, DERIVED, WITHDRAWN, FRAGMENT = range(4)
"""The kinds of parts: a copy of a record; a record derived from another; the same if that other
record was rejected; and nested lists from another file, such as comments."""


class Part(NamedTuple):
    """One part of a record.

    Attributes:
        table_name: The table of the record.
        key: The key of the record, as a text.
        record: The number of the record in the database.
        kind: `WHOLE`, `DERIVED`, `WITHDRAWN` or `FRAGMENT`.
        source: The file that it was read from.
        updated_at: As a text that sorts; empty if the part has none.
        body: The part as JSON.
        position: The position in the order of reading.
        seen_at: When the API returned it; empty if that is not known.
    """

    table_name: str
    key: str
    record: int
    kind: int
    source: str
    updated_at: str
    body: bytes
    position: int
    seen_at: str
