"""Remember between runs what a server does not support, and its largest page size.

This is kept in the source's state for a week, by `base_url`, so that runs do not request again what
the server does not have.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from ..settings import MAX_PAGE_SIZE, SERVER_MEMORY

_UNSUPPORTED, _FIELDS, _PAGE_SIZE = "unsupported", "fields", "page_size"


class ServerMemory:
    """The state of one server. Safe for threads.

    Args:
        state: A part of dlt's state: values by name, each with the date of its discovery.
        forget: Whether to clear the state, so that everything is requested again.
    """

    def __init__(self, state: dict[str, Any], *, forget: bool = False) -> None:
        self._state = state
        if forget:
            state.clear()
        for known in state.values():
            for name in [name for name, entry in known.items() if _is_old(entry)]:
                del known[name]

    def unsupported(self, name: str) -> str | None:
        """Return why an endpoint is not requested; None if it is."""
        reason: str | None = self._value(_UNSUPPORTED, name)
        return reason

    def add_unsupported(self, name: str, reason: str) -> None:
        """Remember that an endpoint does not exist."""
        self._add(_UNSUPPORTED, name, reason)

    def refused_fields(self) -> dict[str, set[str]]:
        """Return the fields that are not requested, by the path of their endpoint."""
        return {path: set(entry["value"]) for path, entry in self._state.get(_FIELDS, {}).items()}

    def add_refused_fields(self, path: str, fields: Iterable[str]) -> None:
        """Remember that an endpoint refuses fields; fields refused before keep their date."""
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
