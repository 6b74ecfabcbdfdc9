"""Records of API v5: their keys, their hashes, and LiteTracker's names for their attributes."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any, TypeGuard

from dlt.common.json import json

from .settings import SECRET_ATTRIBUTES
from .tables import ColumnType, Table

Record = dict[str, Any]
"""A record as API v5 sends it."""


Key = Any
"""A record's key: a value if the table's key is one column, else a tuple."""


may_have_secrets = re.compile(rb'"(?:%s)"' % "|".join(sorted(SECRET_ATTRIBUTES)).encode()).search
"""Finds the names of secret attributes in JSON. Signed URLs among them differ in each response, so
that equal records would differ."""


class Tombstones(list[Record]):
    """An empty list with the keys of deleted records, which users' functions do not see.

    dlt passes empty lists through maps and filters unchanged. Without keys, it only creates the
    missing tables.

    Args:
        keys: Records of which only the key columns matter, and the ids that child rows inherit.
    """

    def __init__(self, keys: Iterable[Record] = ()) -> None:
        super().__init__()
        self.keys = list(keys)


def without_secrets(value: Any) -> Any:
    """Copy a JSON value without secret attributes, at any depth."""
    if isinstance(value, dict):
        return {k: without_secrets(v) for k, v in value.items() if k not in SECRET_ATTRIBUTES}
    if isinstance(value, list):
        return [without_secrets(v) for v in value]
    return value


def from_litetracker(record: Record) -> Record:
    """Rename LiteTracker's attributes to Tracker's.

    LiteTracker uses `title` for `name`, and `owners[].user_id` for a story's `owner_ids`. Its own
    `owner_ids`, if it sends them, are not reliable.
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


def json_text(value: Any, *, sort_keys: bool = False) -> bytes:
    """Return a JSON value as text, without secret attributes."""
    text: bytes = json.dumpb(value, sort_keys=sort_keys)
    if may_have_secrets(text):
        text = json.dumpb(without_secrets(value), sort_keys=sort_keys)
    return text


def row_id(record: Record) -> str:
    """Hash a record into the `_dlt_id` of its row: equal records have equal hashes.

    A record from an archive differs from one without `_source`; the file's name does not matter.
    """
    if "_source" in record:
        record = {**record, "_source": ""}
    text = json_text(record, sort_keys=True)
    return hashlib.blake2b(text, digest_size=12).hexdigest()


def is_key(value: Any, kind: ColumnType | None = None) -> bool:
    """Check whether a value can be a key: a text, a date, or a number that fits a column.

    Args:
        value: The value.
        kind: The type of the key's column; default: any type.
    """
    if is_id(value):
        return kind in (None, "bigint")
    if not isinstance(value, str) or kind == "bigint":
        return False
    return kind != "date" or _is_date(value)


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def key_of(values: Sequence[Any]) -> Key:
    """Return a key in comparable form: dates as the API writes them, a single value as itself."""
    parts = tuple(v.isoformat() if hasattr(v, "isoformat") else v for v in values)
    return parts[0] if len(parts) == 1 else parts


def record_key(table: Table, record: Record) -> Key | None:
    """Return the key of a record; None if a part of it is missing or not valid."""
    if len(table.key) == 1:
        (name,) = table.key
        value = record.get(name)
        return value if is_key(value, table.columns.get(name)) else None
    values = [record.get(name) for name in table.key]
    kinds = map(table.columns.get, table.key)
    return key_of(values) if all(map(is_key, values, kinds)) else None


def expand_daily_history(container: Record) -> list[Record]:
    """Convert a `daily_history_container` to one record per day, with the names in its header."""
    header = [str(name) for name in container.get("header") or ()]
    return [dict(zip(header, day, strict=False)) for day in container.get("data") or ()]


def count_rows(table: Table, records: Sequence[Record]) -> Counter[str]:
    """Count the rows that records have in their table and its child tables, by table name."""
    rows = Counter({table.name: len(records)})
    _count_nested_rows(table, records, rows)
    return rows


def _count_nested_rows(table: Table, records: Sequence[Record], rows: Counter[str]) -> None:
    for name, child in table.nested.items():
        lists = [v for record in records if (v := record.get(name)) and isinstance(v, list)]
        # most records lack most lists
        if not lists:
            continue
        values = [value for items in lists for value in items if value is not None]
        if values:
            rows[child.name] += len(values)
        if child.nested:
            _count_nested_rows(child, [v for v in values if isinstance(v, dict)], rows)


def tombstones(table: Table, keys: Iterable[Key]) -> Tombstones:
    """Return the tombstones of records by their keys."""
    return Tombstones(
        dict(zip(table.key, key if isinstance(key, tuple) else (key,), strict=True)) for key in keys
    )


def is_id(value: Any) -> TypeGuard[int]:
    """Check whether a value fits a column of ids."""
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
