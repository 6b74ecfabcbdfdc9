"""The parts that records are put together from."""

from __future__ import annotations

from typing import NamedTuple

WHOLE, DERIVED, WITHDRAWN, FRAGMENT = range(4)
"""A copy of a record, what another record tells of it, the same where that other record was
rejected, and what lies elsewhere: its comments."""


class Part(NamedTuple):
    """One part of a record.

    Attributes:
        tbl: The table of the record.
        key: Its key, as a text.
        record: A number of it.
        sort: `WHOLE`, `DERIVED`, `WITHDRAWN` or `FRAGMENT`.
        source: The file that it was read from.
        updated_at: As a text that sorts; empty where it does not say.
        body: In JSON.
        place: In the order of reading.
        seen_at: When the API gave it; empty where that is not known.
    """

    tbl: str
    key: str
    record: int
    sort: int
    source: str
    updated_at: str
    body: bytes
    place: int
    seen_at: str
