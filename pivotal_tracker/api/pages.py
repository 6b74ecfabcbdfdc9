"""One page of a list, as it came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Params = Mapping[str, Any]


@dataclass(frozen=True)
class Page:
    """One page of a list, as it came: read by `TrackerClient.records` when there is time for it.

    Attributes:
        path: Where it came from.
        params: What was asked.
        content: The body, a tenth of the size of the records in it.
        offset: Where in the list the page begins.
        limit: How many rows the server gives per page at most, as it says; None where it does not.
        total: How many rows the server says there are, which may be more than can be had; None
            where it does not say.
        version: The project's version when the page was read, None where the server does not say.
        is_paged: Whether more pages may follow.
        inside: The attribute that holds the list, where the body is one object.
        is_one: Whether the body is one record.
    """

    path: str
    params: Params
    content: bytes
    offset: int
    limit: int | None
    total: int | None
    version: int | None
    is_paged: bool
    inside: str = ""
    is_single_record: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether it is a list without records."""
        return self.content.translate(None, b" \t\r\n") == b"[]"

    def next_offsets(self, returned: int) -> Sequence[int]:
        """Return where the pages after this one begin, as far as it is known.

        Args:
            returned: How many records this page has.

        Returns:
            All of them where the server says how many rows there are; else the next one, as only an
            empty page is the end. The step is what this page returned; a later page may return
            fewer.
        """
        if not returned or not self.is_paged:
            return ()
        if self.known_total(returned) is None:
            return (self.offset + returned,)
        return range(self.offset + returned, self.total or 0, returned)

    def known_total(self, returned: int) -> int | None:
        """How many rows there are, unless the page itself proves the server's number wrong."""
        is_wrong = self.total is not None and self.offset + returned > self.total
        return None if is_wrong else self.total
