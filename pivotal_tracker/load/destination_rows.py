"""Read existing rows from the destination by key, so that only changed rows are written."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import dlt
from dlt.common import json
from dlt.common.destination.client import WithStateSync
from dlt.common.destination.exceptions import DestinationUndefinedEntity
from dlt.common.schema import Schema
from dlt.common.schema.typing import LOADS_TABLE_NAME, TTableSchemaColumns
from dlt.destinations.exceptions import DatabaseUndefinedRelation
from dlt.pipeline.state_sync import load_pipeline_state_from_destination

from ..records import Key, key_of
from ..tables import LOAD_REPORT, Table
from .delta_tables import delta_table_names, register_delta_tables
from .dlt_internals import state_hash

_SOURCE = "pivotal_tracker"
"""The name of the source, which is that of its schema in the destination."""

IDS_PER_QUERY = 500
"""The maximum number of ids in a query."""

MAX_PREFETCHED_ROWS = 50_000
"""The maximum number of rows whose keys are fetched ahead for other projects."""


class DestinationReader:
    """Read the tables that earlier runs have loaded into the dataset of a pipeline.

    Args:
        pipeline: The pipeline; None outside of a load, where there are no tables.
        is_extracting: Whether its extraction is running.
    """

    def __init__(self, pipeline: Any, *, is_extracting: bool = False) -> None:
        schema = None if pipeline is None else _existing_schema(pipeline, is_extracting)
        self._pipeline: Any = None if schema is None else pipeline
        self._dropped_by_refresh = _dropped_by_refresh() if is_extracting else frozenset()
        self._declared: dict[str, TTableSchemaColumns] = {}
        self._delta_schema: Schema | None = None
        if schema is not None:
            # copy it now: dlt reloads its schema in place, so other threads may see it empty
            self._declared = {
                name: schema.get_table_columns(name)
                for name in schema.tables
                if name not in self._dropped_by_refresh
            }
            if delta_table_names(schema):
                self._delta_schema = schema.clone()
        self._lock = threading.Lock()
        self._client: Any = None
        self._is_closed = False

    @property
    def has_previous_run(self) -> bool:
        """Whether there was an earlier run at all."""
        return self._pipeline is not None

    @cached_property
    def is_state_current(self) -> bool:
        """Whether dlt's state belongs to these rows, not to another dataset or database.

        dlt prefers its local state to an older one in the destination, even if the local one
        belongs to another destination.
        """
        if self._pipeline is None:
            return True
        with self._pipeline.destination_client() as client:
            if not isinstance(client, WithStateSync):
                return True
            try:
                stored = load_pipeline_state_from_destination(self._pipeline.pipeline_name, client)
            except DestinationUndefinedEntity:
                return False
        return bool(stored and state_hash(stored) == state_hash(self._pipeline.state))

    def has(self, table: str) -> bool:
        """Check whether a table exists."""
        return table in self._columns_of

    def has_table_family(self, table: Table) -> bool:
        """Check whether a table and those nested in it exist, with all their columns."""
        return all(
            member.non_json_columns <= set(self.columns(member.name)) for member in table.family()
        )

    def columns(self, table: str) -> list[str]:
        """Return the existing columns of a table, without dlt's own."""
        return self._columns_of.get(table, [])

    @cached_property
    def _columns_of(self) -> dict[str, list[str]]:
        """The existing columns of each table, without dlt's own."""
        return {
            name: [column for column in columns if not column.startswith("_dlt")]
            for name, columns in self._declared.items()
        }

    def rows(
        self, table: str, columns: Sequence[str], column: str = "", values: Iterable[Any] = ()
    ) -> list[tuple[Any, ...]]:
        """Return rows of a table: none if it does not exist, null for a column that does not exist.

        Args:
            table: Its name.
            columns: The columns to return.
            column: Return only rows with one of the values in this column.
            values: Whole numbers or texts.
        """
        if self._pipeline is None:
            return []
        chosen = ", ".join(self._column_expression(table, name) for name in columns)
        found = [] if column else self._rows(table, chosen, "")
        distinct_values = sorted(set(values)) if column else []
        for start in range(0, len(distinct_values), IDS_PER_QUERY):
            batch = distinct_values[start : start + IDS_PER_QUERY]
            value_list = ", ".join(str(v) if isinstance(v, int) else "%s" for v in batch)
            texts = [v for v in batch if not isinstance(v, int)]
            found += self._rows(
                table, chosen, f" WHERE {self._quoted(column)} IN ({value_list})", *texts
            )
        return self._coerce_types(table, columns, found)

    def _coerce_types(
        self, table: str, columns: Sequence[str], rows: list[tuple[Any, ...]]
    ) -> list[tuple[Any, ...]]:
        """Convert rows to DuckDB's types: SQLite has no times, and MySQL's have no time zone."""
        declared = self._declared.get(table, {})
        kinds = [_COERCIONS.get(declared.get(name, {}).get("data_type")) for name in columns]
        if not any(kinds):
            return rows
        return [
            tuple(
                kind(value) if kind and value is not None else value
                for kind, value in zip(kinds, row, strict=True)
            )
            for row in rows
        ]

    def _column_expression(self, table: str, column: str) -> str:
        """Return the SQL expression of a column."""
        if column == "_dlt_id":
            return self._row_id
        known = self.columns(table)
        # a table of an earlier version of the source may lack columns
        if known and column not in known and not column.startswith("_dlt"):
            return "NULL"
        return self._quoted(column)

    @cached_property
    def _row_id(self) -> str:
        """The SQL of a row's `_dlt_id`; empty if its load is incomplete, so it is written again.

        The next run completes an interrupted load, unless its files were lost. Then a row may exist
        without its child rows, or with old ones.
        """
        with self._lock:
            name = self._connected().make_qualified_table_name(LOADS_TABLE_NAME)
        completed = f"SELECT load_id FROM {name} WHERE status = 0"  # noqa: S608
        return f"CASE WHEN _dlt_load_id IN ({completed}) THEN _dlt_id ELSE '' END"

    def distinct(self, table: str, columns: Sequence[str]) -> list[tuple[Any, ...]]:
        """Return the distinct values in columns of a table; none if it does not exist."""
        return self._rows(table, f"DISTINCT {', '.join(columns)}", "")

    def counts(self, table: str, *, from_server: bool = False) -> dict[int, int]:
        """Return the number of rows of a table by project; optionally without rows of archives."""
        where = " WHERE _source IS NULL" if from_server else ""
        return dict(self._rows(table, "project_id, COUNT(*)", f"{where} GROUP BY project_id"))

    def _rows(self, table: str, chosen: str, rest: str, *texts: str) -> list[tuple[Any, ...]]:
        if self._pipeline is None or table in self._dropped_by_refresh:
            return []
        with self._lock:
            client = self._connected()
            name = client.make_qualified_table_name(table)
            query = f"SELECT {chosen} FROM {name}{rest}"  # noqa: S608 - ours and ints
            try:
                with client.execute_query(query, *texts) as cursor:
                    # BigQuery's rows are not tuples
                    return list(map(tuple, cursor.fetchall()))
            except DatabaseUndefinedRelation:
                return []
            finally:
                if self._is_closed:
                    self._disconnect()

    def _quoted(self, column: str) -> str:
        """Return a column's name quoted for the destination: it may be a reserved word."""
        with self._lock:
            name: str = self._connected().escape_column_name(column)
            return name

    def _connected(self) -> Any:
        """Return the connection for all queries: connecting takes longer than most queries."""
        if self._client is None:
            self._client = self._pipeline.sql_client()
            self._client.open_connection()
            if self._delta_schema is not None:
                register_delta_tables(self._pipeline, self._client, self._delta_schema)
        return self._client

    def close(self) -> None:
        """Close the connection; each later query opens its own."""
        with self._lock:
            self._is_closed = True
            self._disconnect()

    def _disconnect(self) -> None:
        if self._client is not None:
            self._client.close_connection()
            self._client = None

    def row_ids(self, table: Table, column: str = "", values: Iterable[Any] = ()) -> dict[Key, str]:
        """Return the `_dlt_id` of rows, which is a hash of their content, by key.

        Args:
            table: The table.
            column: As in `rows`.
            values: As in `rows`.
        """
        rows = self.rows(table.name, [*table.key, "_dlt_id"], column, values)
        return {key_of(row[:-1]): row[-1] for row in rows}

    def archive_keys(self, table: Table) -> set[Key]:
        """Return the keys of the rows from archives, which the server may not have."""
        if not self.has(LOAD_REPORT.name):
            return set()
        rows = self.rows(table.name, [*table.key, "_source"])
        return {key_of(row[:-1]) for row in rows if row[-1] is not None}

    def records(
        self, table: Table, values: Iterable[Any], column: str = "id"
    ) -> list[dict[str, Any]]:
        """Return complete rows by id or another column, without `_deleted` and dlt's columns."""
        columns = [name for name in self.columns(table.name) if name != "_deleted"]
        if not columns:
            return []
        rows = self.rows(table.name, columns, column, values)
        return [dict(zip(columns, row, strict=True)) for row in rows]


class RowIdCache:
    """The `_dlt_id` of a table's rows by key, fetched for many projects at once.

    In BigQuery a query takes a second, so a query per project would take too long.

    Args:
        loaded: The destination.
        table: The table.
        project_ids: The projects that will be needed, roughly in this order.
    """

    def __init__(self, loaded: DestinationReader, table: Table, project_ids: Iterable[int]) -> None:
        self._loaded = loaded
        self._table = table
        self._pending_ids = dict.fromkeys(project_ids)
        self._cache: dict[int, dict[Key, str]] = {}

    def pop(self, project_id: int) -> dict[Key, str]:
        """Return the ids of a project, and remove them from the cache."""
        if project_id not in self._cache:
            self._fetch([project_id, *self._prefetch_ids(project_id)])
        self._pending_ids.pop(project_id, None)
        return self._cache.pop(project_id)

    @cached_property
    def _sizes(self) -> dict[int, int]:
        return self._loaded.counts(self._table.name)

    def _prefetch_ids(self, project_id: int) -> list[int]:
        """Return the next projects to fetch together with this one, within a limit of memory."""
        others = [
            other for other in self._pending_ids if other != project_id and other not in self._cache
        ]
        if project_id not in self._pending_ids or not others:
            return []
        rows = self._sizes.get(project_id, 0)
        for number, other in enumerate(others):
            rows += self._sizes.get(other, 0)
            if rows > MAX_PREFETCHED_ROWS or number == IDS_PER_QUERY - 1:
                return others[:number]
        return others

    def _fetch(self, project_ids: list[int]) -> None:
        columns = ["project_id", *self._table.key, "_dlt_id"]
        self._cache |= {project_id: {} for project_id in project_ids}
        for row in self._loaded.rows(self._table.name, columns, "project_id", project_ids):
            self._cache[row[0]][key_of(row[1:-1])] = row[-1]


def _to_utc(value: Any) -> datetime:
    at = datetime.fromisoformat(value) if isinstance(value, str) else value
    return at if at.tzinfo else at.replace(tzinfo=UTC)


_COERCIONS: dict[Any, Callable[[Any], Any]] = {"timestamp": _to_utc, "bool": bool}
"""Functions that convert a value to the type of its column."""


def _existing_schema(pipeline: Any, is_extracting: bool) -> Schema | None:
    """Return the schema of the tables in a dataset; None if there are none."""
    own: Schema = dlt.current.source_schema() if is_extracting else pipeline.default_schema
    if not pipeline.first_run:
        return own
    found = _schema_in_dataset(pipeline)
    if is_extracting and found is not None:
        # child rows are deleted only from tables that the pipeline's own schema has
        own.update_schema(found)
    return found


def _schema_in_dataset(pipeline: Any) -> Schema | None:
    """Return the schema of another pipeline of the source, such as that of a shard, in the dataset.

    A dataset may exist without one: made by hand, or filled by pipelines of other sources.
    """
    with pipeline.destination_client() as client:
        if not client.is_storage_initialized() or not isinstance(client, WithStateSync):
            return None
        try:
            stored = client.get_stored_schema(_SOURCE)
        except DestinationUndefinedEntity:
            return None
    return Schema.from_dict(json.loads(stored.schema)) if stored else None


def _dropped_by_refresh() -> frozenset[str]:
    """Return the tables that dlt's `refresh` drops or empties before this load."""
    state: Any = dlt.current.load_package_state()["state"]
    refreshed = ("dropped_tables", "truncated_tables")
    return frozenset(table["name"] for which in refreshed for table in state.get(which) or ())
