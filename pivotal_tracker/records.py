"""Records of API v5: their keys, their hashes, and the words of both services."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, TypeGuard

from dlt.common.json import json

from .settings import NEVER_LOADED
from .tables import ColumnType, Table

Record = dict[str, Any]
"""One record as API v5 gives it."""


Key = Any
"""A record's key: its value where the table's key is one column, else a tuple."""


_has_volatile = re.compile(rb'"(?:big_url|thumbnail_url|api_token)"').search
"""Finds what is signed anew with each answer, so that equal records would differ in it."""


class Tombstones(list[Record]):
    """An empty list that carries the keys of deleted records past the functions of users.

    dlt hands empty lists through maps and filters as they are. One without keys makes the tables
    that are missing.

    Args:
        keys: Records of which only the key columns matter, and the ids that child tables carry.
    """

    def __init__(self, keys: Iterable[Record] = ()) -> None:
        super().__init__()
        self.keys = list(keys)


def without_secrets(value: Any) -> Any:
    """Copy a JSON value without the attributes that are never loaded, at whatever depth."""
    if isinstance(value, dict):
        return {k: without_secrets(v) for k, v in value.items() if k not in NEVER_LOADED}
    if isinstance(value, list):
        return [without_secrets(v) for v in value]
    return value


def in_tracker_words(record: Record) -> Record:
    """Rename LiteTracker's attributes to Tracker's.

    LiteTracker says `title` for `name`, and names a story's owners as `owners[].user_id` where
    Tracker gives `owner_ids`; its `owner_ids`, where given, is not to be trusted.
    """
    has_title = "title" in record and "name" not in record
    if has_title:
        record = {("name" if k == "title" else k): v for k, v in record.items()}
    owners = record.get("owners")
    if isinstance(owners, list):
        owner_ids = [o["user_id"] for o in owners if isinstance(o, dict) and "user_id" in o]
        if owner_ids or (has_title and not owners):
            record = {k: v for k, v in record.items() if k != "owners"} | {"owner_ids": owner_ids}
    return record


def row_id(record: Record) -> str:
    """Hash a record into the `_dlt_id` of its row: equal records have equal ones.

    That a record came from an archive is a difference, from which file is none.
    """
    if "_source" in record:
        record = {**record, "_source": ""}
    text = json.dumpb(record, sort_keys=True)
    if _has_volatile(text):
        text = json.dumpb(without_secrets(record), sort_keys=True)
    return hashlib.blake2b(text, digest_size=12).hexdigest()


def is_key(value: Any, kind: ColumnType | None = None) -> bool:
    """Whether a value can be a key: a text, or a number that a column holds.

    Args:
        value: The value.
        kind: The type of the key's column; either will do if it is not given.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return kind in (None, "bigint") and -(2**63) <= value < 2**63
    return isinstance(value, str) and kind != "bigint"


def key_of(values: Sequence[Any]) -> Key:
    """A key as it is compared: dates as the API writes them, a single value as itself."""
    parts = tuple(v.isoformat() if hasattr(v, "isoformat") else v for v in values)
    return parts[0] if len(parts) == 1 else parts


def record_key(table: Table, record: Record) -> Key | None:
    """The key of a record; None where a part of it is missing or can be no key."""
    if len(table.key) == 1:
        (name,) = table.key
        value = record.get(name)
        return value if is_key(value, table.columns.get(name)) else None
    values = [record.get(name) for name in table.key]
    kinds = map(table.columns.get, table.key)
    return key_of(values) if all(map(is_key, values, kinds)) else None


def days_of(container: Record) -> list[Record]:
    """The rows of a `daily_history_container`, one record a day, by the names in its header."""
    header = [str(name) for name in container.get("header") or ()]
    return [dict(zip(header, day, strict=False)) for day in container.get("data") or ()]


def count_rows(table: Table, records: Sequence[Record]) -> Counter[str]:
    """Count the rows that records bring to their table and to its child tables, by their names."""
    rows = Counter({table.name: len(records)})
    for name, child in table.nested.items():
        lists = [v for record in records if (v := record.get(name)) and isinstance(v, list)]
        values = [value for items in lists for value in items if value is not None]
        if not values:
            continue
        if child.nested:
            objects = [value for value in values if isinstance(value, dict)]
            rows += count_rows(child, objects)
            rows[child.name] += len(values) - len(objects)
        else:
            rows[child.name] += len(values)
    return rows


def tombstones(table: Table, keys: Iterable[Key]) -> Tombstones:
    """The tombstones of records by their keys."""
    return Tombstones(
        dict(zip(table.key, key if isinstance(key, tuple) else (key,), strict=True)) for key in keys
    )


def is_id(value: Any) -> TypeGuard[int]:
    """Whether a value is an id, as a column of ids takes it."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
