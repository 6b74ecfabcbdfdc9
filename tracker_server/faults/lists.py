"""Faults of lists: rows that are missing, and pages that do not add up."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from ..messages import Request
from ..paging import Page
from .base import Fault


@dataclass
class _ListFault(Fault):
    changes_data: ClassVar[bool] = True


@dataclass
class EmptyList(_ListFault):
    """`200 []`, with a total of 0."""

    def change_rows(self, rows: list[Any]) -> list[Any]:
        """Remove all rows."""
        del rows
        return []


@dataclass
class MissingRows(_ListFault):
    """A list without some of its rows, and a total that hides it.

    With `endpoints={"projects"}` and an id, a project is missing from the list of projects.

    Attributes:
        ids: The ids of the missing rows.
        share: The share of the rows that is missing, from the end of the list.
    """

    ids: Collection[int] = ()
    share: float = 0.0

    def change_rows(self, rows: list[Any]) -> list[Any]:
        """Remove the rows."""
        kept = rows[: len(rows) - round(self.share * len(rows))]
        return [row for row in kept if not isinstance(row, dict) or row.get("id") not in self.ids]


@dataclass
class _PageFault(Fault):
    changes_data: ClassVar[bool] = True


@dataclass
class ShortLaterPages(_PageFault):
    """Pages after the first are shorter: `Limit` and `Returned` say so, the total is right.

    Attributes:
        limit: How many rows later pages have.
    """

    limit: int = 2

    def change_page(self, page: Page) -> Page:
        """Shorten all pages but the first."""
        return page.limited_to(self.limit) if page.offset else page


@dataclass
class EmptyPage(_PageFault):
    """An empty page after the first one, though more rows follow; the total is right.

    It is empty once, unless `times` says otherwise; `after=1` lets the second page through.
    """

    times: int | None = 1

    def matches(self, request: Request) -> bool:
        """Check that this is not the first page."""
        return request.query.get("offset", "0") != "0" and super().matches(request)

    def change_page(self, page: Page) -> Page:
        """Remove the rows."""
        return replace(page, rows=[])


@dataclass
class WrongTotal(_PageFault):
    """A total that is not the number of rows.

    Attributes:
        total: The total announced, such as `10**19`; None is sent as null.
    """

    total: int | None = None

    def change_page(self, page: Page) -> Page:
        """Replace the total."""
        return replace(page, total=self.total)


@dataclass
class InflatedTotal(_PageFault):
    """A total that is more than a whole page too large, as of filtered lists.

    Attributes:
        excess: How much larger, beyond a whole page.
    """

    excess: int = 5

    def change_page(self, page: Page) -> Page:
        """Enlarge the total."""
        total = None if page.total is None else page.total + page.limit + self.excess
        return replace(page, total=total)


@dataclass
class NoTotal(_PageFault):
    """Pages that announce no total."""

    def change_page(self, page: Page) -> Page:
        """Remove the total."""
        return replace(page, has_total=False)
