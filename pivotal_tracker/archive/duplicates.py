"""Which of several copies of one record is kept: the later `updated_at`, then what knows more."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ..settings import SECRET_ATTRIBUTES
from .format import Record

_EXPORTED_AT = re.compile(r"_(\d{8}_\d{4})(?!\d)")
"""The end of the name that Tracker gave its exports: `my_project_20151117_1439.csv`."""

_MEMORY = 64 * 1024
"""KiB of the index that stay in memory; the rest goes to a temporary file."""


class Rank(NamedTuple):
    """What makes one copy better than another: compared part by part.

    Attributes:
        updated_at: In microseconds since 1970; `NO_TIME` where the copy has none.
        exported_at: When the file was made, by its name; empty where that is not needed or known.
        knows: How many values it has.
    """

    updated_at: int
    exported_at: str
    knows: int


NO_TIME = -(2**62)
"""Before every time: a copy that does not say when it was updated is older than one that does."""


def rank_of(record: Record, source: str) -> Rank:
    """Ranks a record among its copies.

    Args:
        record: In the API's shape.
        source: The file that it came from: where records have no `updated_at`, as in Tracker's
            CSV, the later export has the later copy.
    """
    updated_at = moment(record.get("updated_at"))
    exported_at = export_timestamp(source) if updated_at == NO_TIME else ""
    return Rank(updated_at, exported_at, count_values(record))


def moment(value: Any) -> int:
    """A time as the API or a database writes it, in microseconds since 1970, else `NO_TIME`."""
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
    """When a file of Tracker's export was made, as its name says; empty where it does not."""
    stamps = _EXPORTED_AT.findall(source)
    return stamps[-1] if stamps else ""


def count_values(record: Record) -> int:
    """Return how much a record knows: its values, and the elements of its lists at any depth."""
    known = 0
    for name, value in record.items():
        if value is None or name in SECRET_ATTRIBUTES or name.startswith("_"):
            continue
        if isinstance(value, dict):
            known += count_values(value)
        elif isinstance(value, list):
            known += sum(1 + _known_in_lists(v) for v in value if v is not None)
        else:
            known += 1
    return known


def _known_in_lists(value: Any) -> int:
    """Return the elements of the lists inside an element of a list."""
    if not isinstance(value, dict):
        return 0
    return sum(
        1 + _known_in_lists(v)
        for inner in value.values()
        if isinstance(inner, list)
        for v in inner
        if v is not None
    )


class DuplicateIndex:
    """The best copy of each record that was met, on disk: memory does not grow with them.

    A copy is known by its place in the reading, which is the same each time the files are read.
    """

    def __init__(self) -> None:
        # an empty name is a temporary file of SQLite's own, gone when it is closed
        self._index = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._index.execute("PRAGMA journal_mode = OFF")
        self._index.execute("PRAGMA synchronous = OFF")
        self._index.execute(f"PRAGMA cache_size = -{_MEMORY}")
        self._index.execute(
            "CREATE TABLE copies (kind TEXT, key, place INTEGER, source INTEGER, "
            "updated_at INTEGER, exported_at TEXT, knows INTEGER, project_id INTEGER, "
            "PRIMARY KEY (kind, key)) "
            "WITHOUT ROWID"
        )
        # one transaction for all: one for each statement takes most of the time
        self._index.execute("BEGIN")
        self._sources: list[str] = []
        self._numbers: dict[str, int] = {}
        self._batches = 0

    def note(
        self,
        table: str,
        key: Any,
        rank: Rank,
        place: int,
        source: str,
        project_id: int | None = None,
    ) -> None:
        """Record a copy, which takes the place of a lower one; of equals the first stays."""
        self._index.execute(
            "INSERT INTO copies VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "place = excluded.place, source = excluded.source, updated_at = excluded.updated_at, "
            "exported_at = excluded.exported_at, knows = excluded.knows, "
            "project_id = excluded.project_id WHERE "
            "(excluded.updated_at, excluded.exported_at, excluded.knows) "
            "> (updated_at, exported_at, knows)",
            (table, _as_text(key), place, self._number(source), *rank, project_id),
        )

    def add_keys(self, table: str, keys: Collection[Any]) -> list[Any]:
        """Add keys of which no copy was noted, and gives those that were added before.

        Args:
            table: The records'.
            keys: Each once.
        """
        self._batches += 1
        added = self._index.executemany(
            "INSERT OR IGNORE INTO copies (kind, key, place) VALUES (?, ?, ?)",
            [(table, _as_text(key), self._batches) for key in keys],
        )
        if added.rowcount == len(keys):
            return []
        return [key for key in keys if self.best_place(table, key) != self._batches]

    def best_place(self, table: str, key: Any) -> int:
        """The place of the best copy of a record, or the number of the call that added its key."""
        query = "SELECT place FROM copies WHERE kind = ? AND key = ?"
        ((place,),) = self._index.execute(query, (table, _as_text(key)))
        return int(place)

    def best(self, table: str, key: Any) -> tuple[int, int, str]:
        """Return the place of the best copy of a record, when it was updated, and its file."""
        place, updated_at, source = self._index.execute(
            "SELECT place, updated_at, source FROM copies WHERE kind = ? AND key = ?",
            (table, _as_text(key)),
        ).fetchone()
        return place, updated_at, self._sources[source]

    def project_of(self, table: str, key: Any) -> int | None:
        """Return the project of the best copy of a record; None where none was noted."""
        row = self._index.execute(
            "SELECT project_id FROM copies WHERE kind = ? AND key = ?", (table, _as_text(key))
        ).fetchone()
        return row[0] if row else None

    def close(self) -> None:
        """Give the disk back."""
        self._index.close()

    def _number(self, source: str) -> int:
        if source not in self._numbers:
            self._numbers[source] = len(self._sources)
            self._sources.append(source)
        return self._numbers[source]


def _as_text(key: Any) -> Any:
    """Return a key as SQLite takes it: integers of up to 64 bits, else text."""
    is_small = isinstance(key, int) and abs(key) < 2**63
    return key if is_small else repr(key)
