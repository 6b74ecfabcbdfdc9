"""What is remembered of a server between runs: what it does not support, and how large pages are.

It is kept for a week in the source's state, by `base_url`, so that a run does not request again
what is known not to exist.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from ..settings import MAX_PAGE_SIZE, SERVER_MEMORY

_UNSUPPORTED, _FIELDS, _PAGE_SIZE = "unsupported", "fields", "page_size"


class ServerMemory:
    """The part of the state that is about one server. Safe for threads.

    Args:
        state: Where it is kept, as JSON: names with what is known and since when.
        forget: Whether to begin with nothing, so that everything is tried again.
    """

    def __init__(self, state: dict[str, Any], *, forget: bool = False) -> None:
        self._state = state
        if forget:
            state.clear()
        for known in state.values():
            for name in [name for name, entry in known.items() if _is_old(entry)]:
                del known[name]

    def unsupported(self, name: str) -> str | None:
        """Why an endpoint is not to be requested; None if it may be."""
        reason: str | None = self._value(_UNSUPPORTED, name)
        return reason

    def add_unsupported(self, name: str, reason: str) -> None:
        """Remember that an endpoint does not exist."""
        self._add(_UNSUPPORTED, name, reason)

    def refused_fields(self) -> dict[str, set[str]]:
        """The fields not to request, by the path of their endpoint."""
        return {path: set(entry["value"]) for path, entry in self._state.get(_FIELDS, {}).items()}

    def add_refused_fields(self, path: str, fields: Iterable[str]) -> None:
        """Remember that an endpoint refuses fields; what it refused before is kept as it is."""
        names = sorted(fields)
        if names != self._value(_FIELDS, path):
            self._add(_FIELDS, path, names)

    @property
    def page_size(self) -> int:
        """How many stories to request per page."""
        return int(self._value(_PAGE_SIZE, "stories") or MAX_PAGE_SIZE)

    def shrink_page(self, failed: int) -> None:
        """Halve the page size, unless another thread has done so since the request that failed."""
        if self.page_size == failed:
            self._add(_PAGE_SIZE, "stories", failed // 2)

    def _value(self, what: str, name: str) -> Any:
        return self._state.get(what, {}).get(name, {}).get("value")

    def _add(self, what: str, name: str, value: Any) -> None:
        entry = {"value": value, "since": datetime.now(UTC).date().isoformat()}
        self._state.setdefault(what, {})[name] = entry


def _is_old(entry: dict[str, Any]) -> bool:
    since = datetime.fromisoformat(entry["since"]).replace(tzinfo=UTC)
    return datetime.now(UTC) - since >= SERVER_MEMORY
