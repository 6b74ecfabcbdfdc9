"""Normalize records before they become rows: ids are numbers, lists contain items of their kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from ...records import Record, may_have_secrets, without_secrets
from ...tables import SERVER_TABLES, Table
from ..keys import SiblingKeys
from ..records import ITEM_KEYS, item_key, parse_id

OnReject = Callable[[str, str], None]
"""Called for each row that is left out, with its table and the reason."""

_IDENTIFYING_ATTRIBUTES = (
    "text",
    "description",
    "name",
    "filename",
    "state",
    "person_id",
    "created_at",
)
"""The attributes that identify an item without an id."""
_IDENTIFYING_A_TRANSITION = ("occurred_at", "performed_by_id")


def normalize_record(table: str, record: Record, leave_out: OnReject) -> Record:
    """Return a copy of a record, or of a part of one, without invalid items.

    Args:
        table: The table of the record.
        record: The record as it was read.
        leave_out: Called for every item of a nested list that is not in the copy.
    """
    try:
        # this is quicker than a copy
        is_copied = may_have_secrets(orjson.dumps(record)) is not None
    except orjson.JSONEncodeError:
        is_copied = True
    if is_copied:
        record = without_secrets(record)
    return _normalize(record, SERVER_TABLES[table].nested, leave_out)


def _normalize(record: Record, lists: Mapping[str, Table], leave_out: OnReject) -> Record:
    normalized = {name: value for name, value in record.items() if value is not None}
    for name in ("id", "project_id"):
        number = parse_id(normalized.get(name))
        if number is not None:
            normalized[name] = number
    if "attachments" in normalized and "file_attachments" in lists:
        _sort_attachments(normalized)
    for name, child in lists.items():
        if name not in normalized:
            continue
        items = normalized[name]
        if isinstance(items, list):
            normalized[name] = _items(items, child, normalized.get("id"), leave_out)
            if not child.is_scalar_list:
                # the same information again: `label_ids` beside `labels`
                normalized.pop(f"{name.removesuffix('s')}_ids", None)
                if name.endswith("_attachments"):
                    normalized.pop("attachment_ids", None)
        else:
            del normalized[name]
            leave_out(child.name, "it is not a list")
    return normalized


def _sort_attachments(comment: Record) -> None:
    """Divide the list `attachments` into a list for each kind, as the API does by default."""
    attachments = comment.pop("attachments")
    for attachment in attachments if isinstance(attachments, list) else ():
        is_google = isinstance(attachment, dict) and attachment.get("kind") == "google_attachment"
        name = "google_attachments" if is_google else "file_attachments"
        comment[name] = [*comment.get(name, ()), attachment]


def _items(items: list[Any], child: Table, parent_id: Any, leave_out: OnReject) -> list[Any]:
    """Return the items of a list without duplicates and without those of another kind."""
    key_attributes = ITEM_KEYS[child.name]
    normalized: list[Any] = []
    seen: set[Any] = set()
    siblings = SiblingKeys()
    for item in items:
        if item is None:
            continue
        value = _item(item, child, parent_id, siblings, leave_out)
        if value is None:
            leave_out(
                child.name, "it is not an id" if child.is_scalar_list else "it is not a record"
            )
            continue
        if "state" in key_attributes and not _is_transition(value, parent_id, siblings):
            leave_out(child.name, "it has no state")
            continue
        if key_attributes:
            key = item_key(child, value)
            if key in seen:
                _leave_out_whole(child, value, "it is in the list twice", leave_out)
                continue
            seen.add(key)
        normalized.append(value)
    return normalized


def _item(
    item: Any, child: Table, parent_id: Any, siblings: SiblingKeys, leave_out: OnReject
) -> Any:
    if child.is_scalar_list:
        return parse_id(item)
    if not isinstance(item, dict):
        return None
    value = _normalize(item, child.nested, leave_out)
    if ITEM_KEYS[child.name] == ("id",) and parse_id(value.get("id")) is None:
        value["id"] = siblings.key(child.name, parent_id, *map(value.get, _IDENTIFYING_ATTRIBUTES))
    return value


def _is_transition(value: Record, parent_id: Any, siblings: SiblingKeys) -> bool:
    """Check whether a transition has a state; add a stable `project_version` if it has none."""
    version = parse_id(value.get("project_version"))
    if version is None:
        identity = map(value.get, _IDENTIFYING_A_TRANSITION)
        version = siblings.key("transition", parent_id, value.get("state"), *identity)
    value["project_version"] = version
    return isinstance(value.get("state"), str)


def _leave_out_whole(child: Table, item: Any, reason: str, leave_out: OnReject) -> None:
    leave_out(child.name, reason)
    for name, inner in child.nested.items():
        for _ in item.get(name, ()):
            leave_out(inner.name, reason)
