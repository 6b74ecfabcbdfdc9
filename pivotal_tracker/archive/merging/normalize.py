"""Records as rows can be made of them: ids that are numbers, lists that hold what they should."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from ...settings import SECRET_ATTRIBUTES
from ..format import Record
from ..keys import SiblingKeys
from ..records import LISTS, Nested, whole_number

LeaveOut = Callable[[str, str], None]
"""Is told of a row that is left out: its table and the reason."""

_SECRETS = tuple(f'"{name}"'.encode() for name in SECRET_ATTRIBUTES)
_IDENTIFYING_ATTRIBUTES = (
    "text",
    "description",
    "name",
    "filename",
    "state",
    "person_id",
    "created_at",
)
"""What tells an item without an id from others."""
_IDENTIFYING_A_TRANSITION = ("occurred_at", "performed_by_id")


def normalize_record(table: str, record: Record, leave_out: LeaveOut) -> Record:
    """Return a copy of a record or a part of one, without what rows cannot be made of.

    Args:
        table: The table of the record.
        record: As it was found.
        leave_out: Is told of every item of a nested list that is not in the copy.
    """
    return _normalized(without_secrets(record), LISTS.get(table, {}), leave_out)


def without_secrets(record: Record) -> Record:
    """Return the record, or a copy without tokens, passwords and signed URLs where it holds any."""
    try:
        text = orjson.dumps(record)
    except orjson.JSONEncodeError:
        text = b"".join(_SECRETS)
    if not any(secret in text for secret in _SECRETS):
        return record
    return {k: _without_secrets(v) for k, v in record.items() if k not in SECRET_ATTRIBUTES}


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return without_secrets(value)
    if isinstance(value, list):
        return [_without_secrets(v) for v in value]
    return value


def _normalized(record: Record, lists: Mapping[str, Nested], leave_out: LeaveOut) -> Record:
    tidy = {name: value for name, value in record.items() if value is not None}
    for name in ("id", "project_id"):
        number = whole_number(tidy.get(name))
        if number is not None:
            tidy[name] = number
    if "attachments" in tidy and "file_attachments" in lists:
        _sort_attachments(tidy)
    for name, nested in lists.items():
        if name not in tidy:
            continue
        items = tidy[name]
        if isinstance(items, list):
            tidy[name] = _items(items, nested, tidy.get("id"), leave_out)
            if not nested.is_scalar_list:
                # the same, told once more: `label_ids` beside `labels`
                tidy.pop(f"{name.removesuffix('s')}_ids", None)
                if name.endswith("_attachments"):
                    tidy.pop("attachment_ids", None)
        else:
            del tidy[name]
            leave_out(nested.table, "there is something else where a list should be")
    return tidy


def _sort_attachments(comment: Record) -> None:
    """Put the attachments that one list holds into a list for each kind, as is the default."""
    attachments = comment.pop("attachments")
    for attachment in attachments if isinstance(attachments, list) else ():
        is_google = isinstance(attachment, dict) and attachment.get("kind") == "google_attachment"
        name = "google_attachments" if is_google else "file_attachments"
        comment[name] = [*comment.get(name, ()), attachment]


def _items(items: list[Any], nested: Nested, parent_id: Any, leave_out: LeaveOut) -> list[Any]:
    """Return the items of a list once each; those that are none of its kind are left out."""
    tidy: list[Any] = []
    seen: set[Any] = set()
    siblings = SiblingKeys()
    for item in items:
        if item is None:
            continue
        value = _item(item, nested, parent_id, siblings, leave_out)
        if value is None:
            leave_out(nested.table, "it is no id" if nested.is_scalar_list else "it is no record")
            continue
        if "state" in nested.key and not _is_transition(value, parent_id, siblings):
            leave_out(nested.table, "it does not say to which state")
            continue
        if nested.key:
            key = value if nested.is_scalar_list else tuple(str(value.get(n)) for n in nested.key)
            if key in seen:
                _leave_out_whole(nested, value, "it comes twice in one list", leave_out)
                continue
            seen.add(key)
        tidy.append(value)
    return tidy


def _item(
    item: Any, nested: Nested, parent_id: Any, siblings: SiblingKeys, leave_out: LeaveOut
) -> Any:
    if nested.is_scalar_list:
        return whole_number(item)
    if not isinstance(item, dict):
        return None
    value = _normalized(item, nested.lists, leave_out)
    if nested.key == ("id",) and whole_number(value.get("id")) is None:
        value["id"] = siblings.key(
            nested.table, parent_id, *map(value.get, _IDENTIFYING_ATTRIBUTES)
        )
    return value


def _is_transition(value: Record, parent_id: Any, siblings: SiblingKeys) -> bool:
    """Check whether it says to which state; what has no project's version is given a stable one."""
    version = whole_number(value.get("project_version"))
    if version is None:
        identity = map(value.get, _IDENTIFYING_A_TRANSITION)
        version = siblings.key("transition", parent_id, value.get("state"), *identity)
    value["project_version"] = version
    return isinstance(value.get("state"), str)


def _leave_out_whole(nested: Nested, item: Any, reason: str, leave_out: LeaveOut) -> None:
    leave_out(nested.table, reason)
    for name, inner in nested.lists.items():
        for _ in item.get(name, ()):
            leave_out(inner.table, reason)
