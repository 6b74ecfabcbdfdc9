"""One page of a list, and what the response says about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from .workspace import Record


@dataclass(frozen=True)
class Page:
    """Some rows of a list.

    Attributes:
        rows: The rows of the page.
        total: How many rows the response announces; None is sent as null.
        limit: The largest number of rows that the response announces for a page.
        offset: The position of the first row in the list.
        has_total: Whether the response announces a total at all.
    """

    rows: list[Record]
    total: int | None
    limit: int
    offset: int
    has_total: bool = True

    def limited_to(self, limit: int) -> Page:
        """Return the page, cut to this number of rows."""
        return replace(self, rows=self.rows[:limit], limit=min(self.limit, limit))

    def items(self) -> Iterator[tuple[str, int | None]]:
        """Yield the names and values of the pagination headers."""
        if self.has_total:
            yield "total", self.total
        yield from (("limit", self.limit), ("offset", self.offset), ("returned", len(self.rows)))
