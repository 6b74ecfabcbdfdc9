"""Describe API v5's records for the archive readers: the table of each, its lists, its key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import chain
from typing import Any

from ..records import Record, count_rows, is_id
from ..tables import DELETED_RECORDS, SERVER_TABLES, Table

_TABLES = [table for table in SERVER_TABLES.values() if table is not DELETED_RECORDS]


def _item_keys(
    table: Table, inherited: frozenset[str] = frozenset({"_dlt_list_idx"})
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the child tables of a table, each with the part of its key that no row inherits."""
    inherited |= set(table.inherited_columns.values())
    for child in table.nested.values():
        yield child.name, tuple(name for name in child.key if name not in inherited)
        yield from _item_keys(child, inherited)


ITEM_KEYS = dict(chain.from_iterable(map(_item_keys, _TABLES)))
"""The attributes that identify an item of a list in a record, by the list's table; empty if items
may repeat."""

KEYS = {table.name: table.key for table in _TABLES}
"""The attributes that make a record unique."""

_TABLE_OF_KIND = {
    **{table.kind: table.name for table in _TABLES if table.kind},
    "iteration": "iterations",
    "account_summary": "accounts",
    "person": "people",
    "me": "people",
}
_CHILD_OF_KIND = {
    "comment": "comments",
    "task": "tasks",
    "blocker": "blockers",
    "review": "reviews",
    "story_transition": "transitions",
    "transition": "transitions",
    "pull_request": "pull_requests",
    "branch": "branches",
    "cycle_time_details": "cycle_time_details",
    "file_attachment": "file_attachments",
    "google_attachment": "google_attachments",
}
CHILDREN = frozenset(_CHILD_OF_KIND.values())
"""The attributes of a story that have endpoints of their own; epics have comments too."""

COLLECTIONS: dict[str, str] = {
    **{table: table for table in _TABLE_OF_KIND.values()},
    **{child: child for child in CHILDREN},
    "owners": "owner_ids",
    "me": "people",
    "memberships": "project_memberships",
    "members": "project_memberships",
    "activity": "activity",
    "activities": "activity",
    "story_transitions": "transitions",
    "days": "history_days",
}
"""The table or attribute of the API's lists, by the name of the list in a path."""

SINGULARS: dict[str, str] = {**_TABLE_OF_KIND, **_CHILD_OF_KIND}
"""The table or attribute of a record, by its kind."""

_SHAPE_RULES: tuple[tuple[frozenset[str], str], ...] = tuple(
    (frozenset(attributes.split()), table)
    for attributes, table in (
        ("guid project_version", "activity"),
        ("number start finish", "iterations"),
        ("role person", "project_memberships"),
        ("story_type", "stories"),
        ("current_state", "stories"),
        ("iteration_length", "projects"),
        ("point_scale", "projects"),
        ("label name", "epics"),
        ("text story_id", "comments"),
        ("text epic_id", "comments"),
        ("text person_id", "comments"),
        ("complete story_id", "tasks"),
        ("resolved story_id", "blockers"),
        ("review_type_id story_id", "reviews"),
        ("state occurred_at story_id", "transitions"),
        ("total_cycle_time story_id", "cycle_time_details"),
        ("person_id project_ids", "workspaces"),
        ("plan project_ids", "accounts"),
        ("counts name", "labels"),
        ("initials name", "people"),
        ("username name", "people"),
    )
)
"""The table or attribute of a record without a kind, by its attributes; the first match counts."""

_RELEASE_ATTRIBUTES = (
    "id",
    "project_id",
    "name",
    "description",
    "current_state",
    "labels",
    "url",
    "created_at",
    "updated_at",
    "accepted_at",
    "deadline",
    "_date_precision",
)

ID_COLUMNS = {"stories": "story_id", "epics": "epic_id"}
"""The attribute of a child that is its parent's id, by the parent's table."""


def _attributes_of(table: Table) -> frozenset[str]:
    """Return the attributes of a table's records, including objects and lists."""
    columns = (name.partition("__")[0] for name in table.columns if not name.startswith("_"))
    return frozenset((*columns, *table.nested))


_ATTRIBUTES = {table.name: _attributes_of(table) for table in _TABLES}
_OWN_ATTRIBUTES = {
    table: attributes.difference(*(a for t, a in _ATTRIBUTES.items() if t != table))
    for table, attributes in _ATTRIBUTES.items()
}
"""The attributes that only the records of one table have."""

_COMMON_WORDS = frozenset(
    {"admin", "counts", "date", "email", "finish", "hidden", "highlight", "label", "length"}
    | {"message", "number", "owner", "person_id", "plan", "points", "project", "public", "role"}
    | {"start", "version"}
)
"""Attributes that unrelated objects may have too: one alone does not identify a table."""

PARENTS = {"story": "stories", "epic": "epics", "project": "projects"}
"""The tables of the records that others refer to, by the name of one of them."""


def table_for_record(record: Record) -> str:
    """Return the table of a record, or its attribute in a parent record; empty if not known."""
    kind = record.get("kind")
    if isinstance(kind, str):
        if kind.endswith("_activity"):
            return "activity"
        return SINGULARS.get(kind, "")
    attributes = record.keys()
    by_shape = next((place for shape, place in _SHAPE_RULES if shape <= attributes), "")
    return by_shape or _table_by_attributes(record) or _table_by_children(record)


def _table_by_attributes(record: Record) -> str:
    """Return a record's table by attributes that no other table has; empty if it is ambiguous.

    The table must also have at least half of the record's attributes.
    """
    attributes = record.keys()
    fitting = [
        table
        for table, own in _OWN_ATTRIBUTES.items()
        if KEYS[table][-1] in attributes
        and len(own & attributes) + bool((own - _COMMON_WORDS) & attributes) > 1
        and 2 * len(_ATTRIBUTES[table] & attributes) >= len(attributes)
    ]
    return fitting[0] if len(fitting) == 1 else ""


def _table_by_children(record: Record) -> str:
    """Return the table of a record whose nested records refer to its id."""
    number = record.get("id")
    if number is None:
        return ""
    for value in record.values():
        for child in value if isinstance(value, list) else ():
            for name, table in PARENTS.items():
                if isinstance(child, dict) and child.get(f"{name}_id") == number:
                    return table
    return ""


def release_of(story: Record) -> Record:
    """Return the release record of a story of type `release`; in the API it has the same id."""
    return {
        "kind": "release",
        **{name: story[name] for name in _RELEASE_ATTRIBUTES if name in story},
    }


def parse_id(value: Any) -> int | None:
    """Return an id, which may be written as a text or a float; None if it is not an id."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str) and len(value) < 20 and value.isascii() and value.isdecimal():
        value = int(value)
    return value if is_id(value) else None


def item_key(child: Table, item: Any) -> Any:
    """Return what identifies an item among those of its list, by the list's table."""
    if child.is_scalar_list:
        return item
    return tuple(str(item.get(name)) for name in ITEM_KEYS[child.name])


def rows_of(table: str, record: Record) -> Counter[str]:
    """Count the rows of a record in its table and in nested tables."""
    return count_rows(SERVER_TABLES[table], [record])


def nested_rows_of(table: str, record: Record) -> Counter[str]:
    """Count the rows of a part of a record in the nested tables of the record's table."""
    rows = rows_of(table, record)
    del rows[table]
    return rows
