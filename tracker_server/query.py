"""The parameters of a request: which are taken, and what their texts mean."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from tracker_server.errors import invalid_parameter
from tracker_server.workspace.model import Record

RESPONSE_FORMAT = frozenset({"fields", "envelope", "date_format"})
"""The parameters that every endpoint takes."""

PAGING = frozenset({"limit", "offset"})
"""The parameters that a paged endpoint takes besides."""

WHOLE_NUMBER = re.compile(r"-?[0-9]{1,19}")
"""No key is longer."""


@dataclass(frozen=True)
class Query:
    """The parameters of one request.

    Every method raises `ApiError` (400 `invalid_parameter`) where a text makes no sense, and gives
    None where the parameter was not sent.
    """

    values: Mapping[str, str]

    def refuse_others_than(self, accepted: Collection[str]) -> None:
        """Refuse parameters that an endpoint does not take, as Tracker's did, by name.

        Raises:
            ApiError: There is one.
        """
        for name in self.values:
            if name not in accepted:
                raise invalid_parameter(f"this endpoint cannot accept the parameter: {name}")

    def required(self, name: str) -> str:
        """Give a parameter's text.

        Raises:
            ApiError: It was not sent.
        """
        if not self.values.get(name):
            raise invalid_parameter(f"this endpoint requires the parameter: {name}")
        return self.values[name]

    def integer(self, name: str) -> int | None:
        """Give a parameter that is a whole number."""
        text = self.values.get(name)
        return None if text is None else _integer(name, text)

    def integers(self, name: str) -> list[int]:
        """Give a parameter, which must be there, that is a list of whole numbers with commas."""
        return [_integer(name, text) for text in self.required(name).split(",")]

    def choice(self, name: str, allowed: Collection[str]) -> str | None:
        """Give a parameter that is one of a few words."""
        text = self.values.get(name)
        if text is not None and text not in allowed:
            raise invalid_parameter(f"'{name}' must be one of: {', '.join(allowed)}")
        return text

    def moment(self, name: str) -> datetime | None:
        """Give a parameter that is a time: ISO 8601, UTC where it names no zone, or epoch ms."""
        text = self.values.get(name)
        if text is None:
            return None
        try:
            if WHOLE_NUMBER.fullmatch(text) and len(text) > len("20250425"):
                return datetime.fromtimestamp(int(text) / 1000, UTC)
            moment = datetime.fromisoformat(text)
        except (ValueError, OverflowError, OSError):
            problem = "must be a time value represented as milliseconds/iso 8601 date"
            raise invalid_parameter(f"'{name}' {problem}") from None
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

    def between(self, records: Iterable[Record], prefix: str, attribute: str) -> list[Record]:
        """Keep the records whose time lies after `<prefix>_after` and before `<prefix>_before`.

        Whether the original counted the very second in is not known; here it does not, which is
        the harder case for a reader. A record without the time is in no span of time.
        """
        after, before = self.moment(f"{prefix}_after"), self.moment(f"{prefix}_before")
        kept = list(records)
        if after is not None:
            kept = [one for one in kept if attribute in one and _time(one[attribute]) > after]
        if before is not None:
            kept = [one for one in kept if attribute in one and _time(one[attribute]) < before]
        return kept


def _integer(name: str, text: str) -> int:
    if not WHOLE_NUMBER.fullmatch(text):
        raise invalid_parameter(f"'{name}' must be an integer value")
    return int(text)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
