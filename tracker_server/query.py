"""The parameters of a request: which are accepted, and how their values are parsed."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from .errors import invalid_parameter
from .workspace import Record

RESPONSE_FORMAT = frozenset({"fields", "envelope", "date_format"})
"""The parameters that every endpoint accepts."""

PAGING = frozenset({"limit", "offset"})
"""The parameters that a paged endpoint accepts as well."""

INTEGER = re.compile(r"-?[0-9]{1,19}")
"""An integer; no id is longer."""


@dataclass(frozen=True)
class Query:
    """The parameters of one request.

    Every method raises `ApiError` (400 `invalid_parameter`) for an invalid value, and returns None
    if the parameter was not sent.
    """

    values: Mapping[str, str]

    def require_known(self, accepted: Collection[str]) -> None:
        """Refuse a parameter that the endpoint does not accept, by name, as Tracker did.

        Raises:
            ApiError: There is one.
        """
        for name in self.values:
            if name not in accepted:
                raise invalid_parameter(f"this endpoint cannot accept the parameter: {name}")

    def required(self, name: str) -> str:
        """Return the text of a parameter.

        Raises:
            ApiError: It was not sent.
        """
        if not self.values.get(name):
            raise invalid_parameter(f"this endpoint requires the parameter: {name}")
        return self.values[name]

    def integer(self, name: str) -> int | None:
        """Return an integer parameter."""
        text = self.values.get(name)
        return None if text is None else _integer(name, text)

    def integers(self, name: str) -> list[int]:
        """Return a required parameter that is a comma-separated list of integers."""
        return [_integer(name, text) for text in self.required(name).split(",")]

    def choice(self, name: str, allowed: Collection[str]) -> str | None:
        """Return a parameter that must have one of a few values."""
        text = self.values.get(name)
        if text is not None and text not in allowed:
            raise invalid_parameter(f"'{name}' must be one of: {', '.join(allowed)}")
        return text

    def timestamp(self, name: str) -> datetime | None:
        """Return a time: ISO 8601, UTC if it has no zone, or milliseconds since 1970."""
        text = self.values.get(name)
        if text is None:
            return None
        try:
            if INTEGER.fullmatch(text) and len(text) > len("20250425"):
                return datetime.fromtimestamp(int(text) / 1000, UTC)
            timestamp = datetime.fromisoformat(text)
        except (ValueError, OverflowError, OSError):
            problem = "must be a time value represented as milliseconds/iso 8601 date"
            raise invalid_parameter(f"'{name}' {problem}") from None
        return timestamp if timestamp.tzinfo else timestamp.replace(tzinfo=UTC)

    def between(self, records: Iterable[Record], prefix: str, attribute: str) -> list[Record]:
        """Keep the records whose time is after `<prefix>_after` and before `<prefix>_before`.

        Whether Tracker's bounds were inclusive is not known; exclusive ones are harder for a
        reader. A record without the time is never within bounds.
        """
        after, before = self.timestamp(f"{prefix}_after"), self.timestamp(f"{prefix}_before")
        kept = list(records)
        if after is not None:
            kept = [r for r in kept if attribute in r and _parse_time(r[attribute]) > after]
        if before is not None:
            kept = [r for r in kept if attribute in r and _parse_time(r[attribute]) < before]
        return kept


def _integer(name: str, text: str) -> int:
    if not INTEGER.fullmatch(text):
        raise invalid_parameter(f"'{name}' must be an integer value")
    return int(text)


def _parse_time(text: str) -> datetime:
    return datetime.fromisoformat(text)
