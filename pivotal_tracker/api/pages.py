"""A page of a list, not parsed yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..settings import Endpoint

Params = Mapping[str, Any]


@dataclass(frozen=True)
class Page:
    """A page of a list; `TrackerClient.records` parses it.

    Attributes:
        endpoint: The list.
        path: The path of the request.
        params: The parameters of the request.
        content: The body, not parsed: it takes a tenth of the memory of its records.
        offset: The position in the list of its first row.
        total: The server's number of rows, which may be more than it returns; None if it does not
            report one.
        version: The project's version when the page was read; None if it is not reported.
    """

    endpoint: Endpoint
    path: str
    params: Params
    content: bytes
    offset: int
    total: int | None
    version: int | None

    @property
    def is_empty(self) -> bool:
        """Whether it is a list without records."""
        return self.content.translate(None, b" \t\r\n") == b"[]"

    def next_offsets(self, returned: int) -> Sequence[int]:
        """Return the offsets of the pages after this one, as far as they are known.

        Args:
            returned: How many records this page has.

        Returns:
            All offsets if the server reports the number of rows; else the next one, because only an
            empty page is the end. The step is the number of rows on this page; a later page may
            have fewer.
        """
        is_paged = self.endpoint.limit is not None or self.total is not None
        if not returned or not is_paged:
            return ()
        if self.known_total(returned) is None:
            return (self.offset + returned,)
        return range(self.offset + returned, self.total or 0, returned)

    def known_total(self, returned: int) -> int | None:
        """Return the server's number of rows; None if this page has more rows than that."""
        is_wrong = self.total is not None and self.offset + returned > self.total
        return None if is_wrong else self.total
