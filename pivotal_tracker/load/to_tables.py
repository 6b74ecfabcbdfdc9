"""The last step of every resource: convert new and changed records to tables.

It runs after all functions that users add to a resource, so these see records. Each record is
hashed, and dropped if the destination has a row with the same hash. The others become Arrow tables,
or dicts for dlt's normalizer if they do not fit the declared columns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import dlt
from dlt.common.storages.exceptions import CurrentLoadPackageStateNotAvailable
from dlt.extract import DltResource
from dlt.extract.items_transform import ItemTransform

from ..errors import TrackerError
from ..limits import Limits, resolve_limits
from ..records import Key, Record, Tombstones, record_key, row_id
from ..tables import Table
from .destination_rows import DestinationReader
from .dlt_internals import accept_json_as_text
from .hints import (
    adapt_root_hints,
    add_child_hints,
    append_rows,
    child_file_format,
    is_replaced,
    loaded_table,
    loaded_table_names,
    may_append,
)
from .metrics import Metrics
from .new_columns import NewColumns
from .rows import UNDECLARED, RejectedError, Row, RowBuilder, inherited_ids
from .schema_contract import Contract
from .schema_descriptions import describe_tables
from .trial import TRIAL_ERRORS, Trial, fits, is_deeper

if TYPE_CHECKING:
    import pyarrow as pa

    from .extraction import Extraction

Tables = dict[str, "pa.Table | list[Row]"]
"""The rows of a page by table: Arrow tables, or dicts for dlt's normalizer."""

_KEY_PLACEHOLDERS: dict[str, str] = {"text": "", "date": "1970-01-01"}
"""Values of key columns, by type, in rows that delete by another column; 0 for other types."""

MAX_REJECTED_NAMED = 20
"""The maximum number of rejected records of a table that are named; others are counted."""

MAX_LOOKED_UP = 5_000
"""For up to this many changed records, the destination is queried for child rows to delete. With
more, child rows are deleted without a query."""


def current_load_id() -> str | None:
    """Return the load package of the extraction; None outside a load, as in `list(resource)`."""
    try:
        load_id: str = dlt.current.load_package_state()["load_id"]
    except CurrentLoadPackageStateNotAvailable:
        return None
    return load_id


class ToTables(ItemTransform[Any, dict[str, Any]]):
    """Convert the items of a resource with its `TableWriter` in the current load.

    Outside of a load, records are not changed.

    Args:
        resource: The name of the resource.
        extraction: Returns the current extraction.
    """

    # after maps and filters (0), validators (0.9) and incremental (1), whenever they are added
    placement_affinity: ClassVar[float] = 1.05

    def __init__(self, resource: str, extraction: Callable[[], Extraction]) -> None:
        super().__init__(lambda item: item)
        self._resource = resource
        self._extraction = extraction
        self._current: Extraction | None = None

    @property
    def custom_metrics(self) -> dict[str, Any]:
        """The metrics of the resource; dlt takes them into its trace after the extraction."""
        return {} if self._current is None else self._current.custom_metrics(self._resource)

    def __call__(self, item: Any, meta: Any = None) -> Any:
        """Turn records, one or a list, into the tables that dlt loads."""
        if current_load_id() is None:
            return None if isinstance(item, Tombstones) else item
        extraction = self._extraction()
        if extraction is not self._current:
            # dlt keeps those of an earlier run of the same source
            for name in vars(extraction.metrics[self._resource]):
                dlt.current.resource_metrics().pop(name, None)
            self._current = extraction
        # not lazily: dlt may run other resources between two items of an iterator
        return iter(extraction.writer(self._resource).tables(item))


class CallBeforeChildren(ItemTransform[Any, dict[str, Any]]):
    """Call a function for each item after users' filters, before transformers get it.

    Args:
        function: Has no arguments; its result is ignored.
    """

    placement_affinity: ClassVar[float] = ToTables.placement_affinity

    def __init__(self, function: Callable[[], None]) -> None:
        super().__init__(lambda item: item)
        self._function = function

    def __call__(self, item: Any, meta: Any = None) -> Any:
        """Call the function, and return the item unchanged."""
        self._function()
        return item


class TableWriter:
    """Build the tables of a resource in one load.

    Attributes:
        table: The table of the records, with its name in the destination.
        known: The `_dlt_id` of existing rows, by key; readers add them before they yield records
            that may be in the destination.
        on_reject: Called with each record that cannot be written, and the reason.

    Args:
        resource: The resource, whose hints decide how its tables are written.
        table: The table as `tables.py` describes it.
        loaded: The destination.
        load_id: The load package.
        emitted: The keys that were written in this load package, by any source.
        metrics: Gets the numbers of records and rows, and the rejected records.
        rewrites: Whether unchanged records are written too.
    """

    def __init__(
        self,
        resource: DltResource,
        table: Table,
        loaded: DestinationReader,
        load_id: str,
        emitted: set[Key],
        metrics: Metrics,
        *,
        rewrites: bool,
    ) -> None:
        self._resource = resource
        self.table = loaded_table(resource, table)
        self.known: dict[Key, str] = {}
        self._metrics = metrics
        self._counts = metrics.rows
        self._counts.update(new=0, changed=0, deleted=0, unchanged=0, unusable=0)
        self.on_reject: Callable[[Record, str], None] = lambda record, reason: None
        self.rejected_in, self.rejected_keys = set[Any](), set[Key]()
        self._loaded = loaded
        self._load_id = load_id
        self._emitted = emitted
        self._rewrites = rewrites
        self._replaces_tables = is_replaced(resource)
        self._changes = adapt_root_hints(resource)
        self._children = list(self.table.family())[1:]
        if any(child.json_columns for child in self._children):
            accept_json_as_text(resource.name)
        describe_tables(dlt.current.source_schema(), self.table, loaded_table_names())
        self._paths = _paths_to_children(self.table)
        self._key_of_tombstone = {*self.table.key, *self.table.inherited_columns}
        self._replaced = 0
        self._evolving: set[Table] = set()
        self._has_started = False
        self._has_hints = False
        # a first load that merges writes all rows twice: measured, it takes 13 % more CPU time in
        # DuckDB. Loading an interrupted package again merges, see `Loading` in `cli/runner.py`.
        self._appends = not (loaded.has(self.table.name) or emitted) and may_append(
            resource, self.table
        )

    # most runs write nothing to most tables, so these are made only when they are needed

    @cached_property
    def _is_jsonl(self) -> bool:
        return self._resource.compute_table_schema().get("file_format") == "jsonl"

    @cached_property
    def _contract(self) -> Contract:
        return Contract(self._resource, self.table, self._loaded, self._counts)

    def tables(self, item: Any) -> list[Any]:
        """Build the tables of an item of the resource.

        Args:
            item: A list of records, one record, or `Tombstones`.

        Raises:
            TrackerError: The item is something else.
        """
        items = [] if self._has_started else self._missing_tables()
        self._has_started = True
        if isinstance(item, Tombstones):
            return items + self._delete(item.keys)
        records = item if isinstance(item, list) else [item]
        for record in records:
            if not isinstance(record, dict):
                raise TrackerError(
                    f"A function added to the resource {self._resource.name} returned a "
                    f"{type(record).__name__}, where a record (a dict) is expected."
                )
        return items + self._write(records, one_by_one=records is not item)

    def _missing_tables(self) -> list[Any]:
        """Return empty tables, unless all tables exist with all their columns."""
        if not self._replaces_tables and self._loaded.has_table_family(self.table):
            return []
        self._metrics.written.update({member.name: 0 for member in self.table.family()})
        items = []
        for member in self._members:
            rows: list[Row] = []
            if self._is_jsonl and not self._replaces_tables:
                # DuckDB cannot load a JSONL file without rows; this one deletes nothing
                parent = {} if member is self.table else _no_parent(self.table, member)
                rows = [_deleting_row(member, parent, is_child=member is not self.table)]
            items.append(self._marked_item(member, self._table_of(member, rows)))
        return items

    @property
    def _members(self) -> list[Table]:
        return [self.table, *self._children]

    def _write(self, records: Sequence[Record], *, one_by_one: bool) -> list[Any]:
        """Build the tables of the records that are new or have changed."""
        fresh: dict[str, Record] = {}
        replaced: list[Record] = []
        for record in self._contract.admitted(records):
            key = record_key(self.table, record)
            if key is None:
                self._counts["unusable"] += 1
                continue
            if key in self._emitted:
                continue
            now = self._row_id(key, record)
            if now is None:
                continue
            before = self.known.pop(key, None)
            self._counts[_change(before, now)] += 1
            if before != now or self._rewrites:
                self._emitted.add(key)
                fresh[now] = record
                if before is not None:
                    replaced.append(record)
        if not fresh:
            return []
        tables = self._as_rows(fresh) if one_by_one else self._as_tables(fresh)
        # without records that were rejected
        replaced = [record for record in replaced if id(record) in set(map(id, fresh.values()))]
        self._metrics.written.update({name: len(rows) for name, rows in tables.items()})
        return self._items(tables, self._child_deletions(replaced, tables))

    def _row_id(self, key: Key, record: Record) -> str | None:
        """Return the hash of a record; reject the record and return None if it cannot be hashed."""
        try:
            return row_id(record)
        except (TypeError, ValueError, RecursionError) as error:
            self._reject(key, record, str(error))
            return None

    def _reject(self, key: Key, record: Record, reason: str) -> None:
        self._counts["rejected"] += 1
        self.on_reject(record, reason)
        self.rejected_in.add(record.get("project_id"))
        self.rejected_keys.add(key)
        if len(self._metrics.rejected) < MAX_REJECTED_NAMED:
            self._metrics.rejected[str(key)] = reason

    def _as_tables(self, records: dict[str, Record]) -> Tables:
        """Build Arrow tables if the records fit, else dicts."""
        # Arrow takes a tenth of a second to import, and most runs have nothing to write
        from .arrow_tables import CONVERSION_ERRORS, arrow_tables

        try:
            tables: Tables = dict(
                arrow_tables(
                    self.table,
                    list(records.values()),
                    list(records),
                    self._load_id,
                    left_out=self._lists_as_dicts,
                    max_depth=self._limits.max_depth,
                )
            )
        except (*CONVERSION_ERRORS, RecursionError):
            return self._as_rows(records)
        if not self._lists_as_dicts:
            return tables
        builder = RowBuilder(self.table)
        for attribute in self._lists_as_dicts:
            for record_id, record in records.items():
                builder.add_children(record, record_id, attribute)
        try:
            children = builder.items()
        except RejectedError:
            return self._as_rows(records)
        members = {member.name: member for member in self._members}
        depth = self._limits.max_depth
        for name, rows in children.items():
            if not all(fits(members[name], row, depth) for row in rows):
                return self._as_rows(records)
        return tables | children

    def _as_rows(self, records: dict[str, Record]) -> Tables:
        """Build dicts for dlt's normalizer; remove records that it would fail for."""
        if self._appends:
            # dlt's own nested tables have the id of their record only if rows are merged
            self._appends, self._has_hints = False, False
        tables: dict[str, list[Row]] = {}
        for record_id, record in list(records.items()):
            try:
                rows = self._rows_of(record, record_id)
            except (RejectedError, *TRIAL_ERRORS) as error:
                del records[record_id]
                key = record_key(self.table, record)
                self._emitted.discard(key)
                self._reject(key, record, str(error))
                continue
            for name, added in rows.items():
                tables.setdefault(name, []).extend(added)
        if self._changes == "upsert":
            self._trial.declare_new_columns(dlt.current.source_schema())
        return dict(tables)

    def _rows_of(self, record: Record, record_id: str) -> dict[str, list[Row]]:
        depth = self._limits.max_depth
        if is_deeper(record, depth):
            raise RejectedError(f"it has more than {depth} nested lists and objects")
        builder = RowBuilder(self.table, self._new_columns.limited)
        builder.add(record, record_id)
        rows = builder.items()
        self._trial.check(rows)
        return rows

    @cached_property
    def _lists_as_dicts(self) -> frozenset[str]:
        """The lists whose rows have JSON that the destination does not take from parquet files."""
        return frozenset(
            attribute
            for attribute, child in self.table.nested.items()
            if child.json_columns
            and child_file_format(self._resource, self.table, child) != "parquet"
        )

    @cached_property
    def _limits(self) -> Limits:
        return resolve_limits()

    @cached_property
    def _new_columns(self) -> NewColumns:
        schema = dlt.current.source_schema()
        return NewColumns(schema, self._members, self._limits.max_new_columns)

    @cached_property
    def _trial(self) -> Trial:
        from .arrow_tables import required_columns

        members = {member: required_columns(member, self.table) for member in self._members}
        return Trial(self._resource, members, self._load_id)

    def _delete(self, records: Sequence[Record]) -> list[Any]:
        """Build rows that delete records and their child rows from the destination."""
        if not records:
            return []
        self._counts["deleted"] += len(records)
        roots = [
            _deleting_row(self.table, self._key_columns(record), is_child=False)
            for record in records
        ]
        return self._items({}, {self.table.name: roots} | self._child_deletions(records, {}))

    def _key_columns(self, record: Record) -> Row:
        return {name: record.get(name) for name in self.table.key}

    def _child_deletions(self, records: Sequence[Record], tables: Tables) -> dict[str, list[Row]]:
        """Return rows that delete the child rows of records that have none any more, by table.

        New child rows of a record replace the old ones. If there are no new ones, a row must delete
        the old ones.
        """
        self._replaced += len(records)
        deleting: dict[str, list[Row]] = {}
        if self._changes == "upsert":
            return self._former_children(records, tables)
        for child in self._children if records else ():
            with_children = self._parents_in(tables.get(child.name))
            ids = [
                inherited_ids(self.table, record)
                for record in records
                if self._lists_children(child, record)
            ]
            without = [row for row in ids if self._parent_of(row) not in with_children]
            if self._replaced <= MAX_LOOKED_UP:
                # writing to a table takes time, even a single row
                existing = self._existing_parents(child, without)
                without = [row for row in without if self._parent_of(row) in existing]
            if without:
                deleting[child.name] = [_deleting_row(child, row, is_child=True) for row in without]
        return deleting

    def _former_children(self, records: Sequence[Record], tables: Tables) -> dict[str, list[Row]]:
        """Return rows that delete former child rows of records by their own key, by table.

        This is for destinations that delete rows only by key; they are queried for the keys.
        """
        deleting: dict[str, list[Row]] = {}
        for child in self._children if records else ():
            ids = [
                inherited_ids(self.table, record)
                for record in records
                if self._lists_children(child, record)
            ]
            present = self._child_ids(child, {self._parent_of(row) for row in ids})
            former = present - _row_ids(tables.get(child.name))
            if former:
                row = _deleting_row(child, _no_parent(self.table, child), is_child=True)
                deleting[child.name] = [{**row, "_dlt_id": row_id} for row_id in sorted(former)]
        return deleting

    def _child_ids(self, child: Table, parents: set[tuple[Any, ...]]) -> set[str]:
        """Return the `_dlt_id` of the child rows that records have in the destination."""
        key = self.table.parent_key
        columns = (*key, "_dlt_parent_id", "_dlt_list_idx")
        ids = {parent[0] for parent in parents}
        rows = self._loaded.rows(child.name, columns, key[0], ids) if ids else []
        return {f"{row[-2]}.{row[-1]}" for row in rows if row[:-2] in parents}

    def _lists_children(self, child: Table, record: Record) -> bool:
        """Check whether a record has the list of a child table; deleted records count as having it.

        A list that the server leaves out may not be empty.
        """
        if not record.keys() - self._key_of_tombstone or "_source" in record:
            return True
        return _has_list_at(record, self._paths[child.name])

    def _parent_of(self, row: Row) -> tuple[Any, ...]:
        return tuple(row.get(name) for name in self.table.parent_key)

    def _parents_in(self, rows: pa.Table | list[Row] | None) -> set[tuple[Any, ...]]:
        """Return the keys of the records that rows of a child table belong to."""
        if rows is not None and not isinstance(rows, list):
            rows = rows.select(list(self.table.parent_key)).to_pylist()
        return {self._parent_of(row) for row in rows or ()}

    def _existing_parents(self, child: Table, rows: list[Row]) -> set[tuple[Any, ...]]:
        """Return the keys of the records that have child rows in the destination."""
        key = self.table.parent_key
        ids = {row[key[0]] for row in rows}
        return set(self._loaded.rows(child.name, key, key[0], ids)) if ids else set()

    def _items(self, tables: Tables, deleting: dict[str, list[Row]]) -> list[Any]:
        """Return the items for dlt with the rows of the tables, and the rows that delete."""
        items = []
        for member in self._members:
            rows, tombstones = tables.get(member.name), deleting.get(member.name, [])
            if isinstance(rows, list) or (tombstones and rows is None and member in self._evolving):
                # one file: some destinations fail on a second one without the new columns
                self._evolving.add(member)
                items.append(self._marked_item(member, [*(rows or ()), *tombstones]))
            else:
                items += [self._marked_item(member, rows)] if rows is not None else []
                if tombstones:
                    items.append(self._marked_item(member, self._table_of(member, tombstones)))
        return items

    def _table_of(self, member: Table, rows: list[Row]) -> pa.Table:
        from .arrow_tables import required_columns, table_from_rows

        return table_from_rows(
            member,
            rows,
            self._load_id,
            is_child=member is not self.table,
            required=required_columns(member, self.table),
        )

    def _marked_item(self, member: Table, rows: pa.Table | list[Row]) -> Any:
        """Mark rows with their table, unless it is the resource's own."""
        if not self._has_hints:
            self._has_hints = True
            if self._appends:
                append_rows(self._resource, self.table)
            for child in self._children:
                add_child_hints(self._resource, self.table, child, appends=self._appends)
        is_own = member is self.table and not self._appends
        if isinstance(rows, list) and any(UNDECLARED in row for row in rows):
            return _with_undeclared(rows, "" if is_own else member.name)
        return rows if is_own else dlt.mark.with_table_name(rows, member.name)


def _with_undeclared(rows: list[Row], table_name: str) -> Any:
    """Add the hint of the column `_undeclared`, which a table gets only when it needs it.

    Args:
        rows: The rows.
        table_name: Their table; empty for the resource's own.
    """
    columns: Any = {UNDECLARED: {"data_type": "json"}}
    if not table_name:
        return dlt.mark.with_hints(rows, dlt.mark.make_hints(columns=columns))
    hints = dlt.mark.make_hints(table_name=table_name, columns=columns)
    return dlt.mark.with_hints(rows, hints, create_table_variant=True)


def _paths_to_children(table: Table, path: tuple[str, ...] = ()) -> dict[str, tuple[str, ...]]:
    """Return the path of attributes to each child table, by its name."""
    paths: dict[str, tuple[str, ...]] = {}
    for attribute, child in table.nested.items():
        paths[child.name] = (*path, attribute)
        paths |= _paths_to_children(child, (*path, attribute))
    return paths


def _has_list_at(record: Record, path: Sequence[str]) -> bool:
    """Check whether a record has a list at a path; the list may be empty."""
    attribute, *rest = path
    if attribute not in record:
        return False
    elements = record[attribute]
    if not rest or not isinstance(elements, list) or not elements:
        return True
    return any(_has_list_at(element, rest) for element in elements if isinstance(element, dict))


def _row_ids(rows: pa.Table | list[Row] | None) -> set[str]:
    """Return the `_dlt_id` of rows."""
    if rows is not None and not isinstance(rows, list):
        return set(rows.column("_dlt_id").to_pylist())
    return {row["_dlt_id"] for row in rows or ()}


def _change(before: str | None, now: str) -> str:
    """Return `new`, `changed` or `unchanged`, by the hashes of the old and the new row."""
    if before is None:
        return "new"
    return "unchanged" if before == now else "changed"


def _no_parent(root: Table, child: Table) -> Row:
    """Return inherited ids that belong to no record."""
    return {name: _KEY_PLACEHOLDERS.get(child.columns[name], 0) for name in root.parent_key}


def _deleting_row(table: Table, ids: Row, *, is_child: bool) -> Row:
    """Return a row that deletes the rows with its key, or with its parent's."""
    known = {column: value for column, value in ids.items() if value is not None}
    name = ":".join(str(value) for value in ids.values())
    row: Row = {name: _KEY_PLACEHOLDERS.get(table.columns.get(name, ""), 0) for name in table.key}
    if is_child:
        row |= {"_dlt_parent_id": "", "_dlt_list_idx": 0}
    return {**row, **known, "_dlt_id": f"deleted:{name}", "_deleted": True}
