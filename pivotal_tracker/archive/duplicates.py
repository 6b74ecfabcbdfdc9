"""Choose among several copies of a record: the latest `updated_at`, then the most values."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ..records import Record
from ..settings import SECRET_ATTRIBUTES

_EXPORTED_AT = re.compile(r"_(\d{8}_\d{4})(?!\d)")
"""The time in the name of an export by Tracker: `my_project_20151117_1439.csv`."""

_CACHE_KIB = 64 * 1024
"""The KiB of the index that are kept in memory; the rest goes to a temporary file."""


class Rank(NamedTuple):
    """How good a copy of a record is. Ranks are compared attribute by attribute, in this order.

    Attributes:
        updated_at: In microseconds since 1970; `NO_TIME` if the copy has none.
        exported_at: The time in the file's name; empty if it is not needed or not known.
        value_count: The number of values in the copy.
    """

    updated_at: int
    exported_at: str
    value_count: int


NO_TIME = -(2**62)
"""Before every time: a copy without `updated_at` counts as older than one with it."""


def rank_of(record: Record, source: str) -> Rank:
    """Return the rank of a record among its copies.

    Args:
        record: In the API's shape.
        source: The file that it came from. Records in Tracker's CSV have no `updated_at`; there,
            the later export has the later copy.
    """
    updated_at = to_epoch_micros(record.get("updated_at"))
    exported_at = export_timestamp(source) if updated_at == NO_TIME else ""
    return Rank(updated_at, exported_at, count_values(record))


def to_epoch_micros(value: Any) -> int:
    """Convert a time of the API or a database to microseconds since 1970, else `NO_TIME`."""
    try:
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        if isinstance(value, datetime):
            aware = value if value.tzinfo else value.replace(tzinfo=UTC)
            return int(aware.timestamp() * 1_000_000)
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**50:
            return value * 1_000  # the API's `date_format=millis`
    except (ValueError, OverflowError):
        pass
    return NO_TIME


def export_timestamp(source: str) -> str:
    """Return when an export was made, by the name of its file; empty if it has no time."""
    stamps = _EXPORTED_AT.findall(source)
    return stamps[-1] if stamps else ""


def count_values(record: Record) -> int:
    """Count the values of a record, and the elements of its lists at any depth."""
    count = 0
    for name, value in record.items():
        if value is None or name in SECRET_ATTRIBUTES or name.startswith("_"):
            continue
        if isinstance(value, dict):
            count += count_values(value)
        elif isinstance(value, list):
            count += sum(1 + _count_in_lists(v) for v in value if v is not None)
        else:
            count += 1
    return count


def _count_in_lists(value: Any) -> int:
    """Count the elements of the lists inside an element of a list."""
    if not isinstance(value, dict):
        return 0
    return sum(
        1 + _count_in_lists(v)
        for inner in value.values()
        if isinstance(inner, list)
        for v in inner
        if v is not None
    )


class DuplicateIndex:
    """The best copy of each record, kept on disk so that memory does not grow.

    A copy is identified by its position in the archives, which is the same at each reading.
    """

    def __init__(self) -> None:
        # with an empty name, SQLite makes a temporary file and deletes it on close
        self._index = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._index.execute("PRAGMA journal_mode = OFF")
        self._index.execute("PRAGMA synchronous = OFF")
        self._index.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        self._index.execute(
            "CREATE TABLE copies (kind TEXT, key, position INTEGER, source INTEGER, "
            "updated_at INTEGER, exported_at TEXT, value_count INTEGER, project_id INTEGER, "
            "PRIMARY KEY (kind, key)) "
            "WITHOUT ROWID"
        )
        # one transaction for all: one for each statement takes most of the time
        self._index.execute("BEGIN")
        self._sources: list[str] = []
        self._numbers: dict[str, int] = {}
        self._batches = 0

    def add(
        self,
        table: str,
        key: Any,
        rank: Rank,
        position: int,
        source: str,
        project_id: int | None = None,
    ) -> None:
        """Add a copy; it replaces one of a lower rank. Of equal ones the first stays."""
        self._index.execute(
            "INSERT INTO copies VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "position = excluded.position, source = excluded.source, "
            "updated_at = excluded.updated_at, "
            "exported_at = excluded.exported_at, value_count = excluded.value_count, "
            "project_id = excluded.project_id WHERE "
            "(excluded.updated_at, excluded.exported_at, excluded.value_count) "
            "> (updated_at, exported_at, value_count)",
            (table, _as_text(key), position, self._number(source), *rank, project_id),
        )

    def add_keys(self, table: str, keys: Collection[Any]) -> list[Any]:
        """Add keys without copies, and return those that were added before.

        Args:
            table: The table of the records.
            keys: The keys, without repetition.
        """
        self._batches += 1
        added = self._index.executemany(
            "INSERT OR IGNORE INTO copies (kind, key, position) VALUES (?, ?, ?)",
            [(table, _as_text(key), self._batches) for key in keys],
        )
        if added.rowcount == len(keys):
            return []
        return [key for key in keys if self._best(table, key)[0] != self._batches]

    def best(self, table: str, key: Any) -> tuple[int, int, str]:
        """Return the position of the best copy of a record, when it was updated, and its file."""
        position, updated_at, source, _ = self._best(table, key)
        return position, updated_at, self._sources[source]

    def project_of(self, table: str, key: Any) -> int | None:
        """Return the project id of the best copy of a record; None if there is no copy."""
        copy = self._best(table, key)
        return copy[3] if copy else None

    def _best(self, table: str, key: Any) -> Any:
        return self._index.execute(
            "SELECT position, updated_at, source, project_id FROM copies "
            "WHERE kind = ? AND key = ?",
            (table, _as_text(key)),
        ).fetchone()

    def close(self) -> None:
        """Delete the temporary file."""
        self._index.close()

    def _number(self, source: str) -> int:
        if source not in self._numbers:
            self._numbers[source] = len(self._sources)
            self._sources.append(source)
        return self._numbers[source]


def _as_text(key: Any) -> Any:
    """Return a key that SQLite can store: integers of up to 64 bits, else text."""
    is_small = isinstance(key, int) and abs(key) < 2**63
    return key if is_small else repr(key)
