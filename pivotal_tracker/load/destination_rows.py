"""What the destination holds already: asked for by key, so that only what differs is written."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import cached_property
from itertools import accumulate, takewhile
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
from .delta_tables import register_delta_tables

_SOURCE = "pivotal_tracker"
"""The name of the source, by which its schema is kept in the destination."""

IDS_AT_ONCE = 500
"""So many ids are named in one query."""

ROWS_AT_ONCE = 50_000
"""So many rows' keys are held for projects that were not asked for yet."""


class Loaded:
    """Reads the tables that earlier runs have loaded, in the dataset of a pipeline.

    Args:
        pipeline: The current one if not given.
    """

    def __init__(self, pipeline: Any = None) -> None:
        is_extracting = pipeline is None
        pipeline = pipeline or dlt.current.pipeline()
        found = _schema_in_dataset(pipeline) if pipeline.first_run else None
        if is_extracting and found is not None:
            # a row's children are deleted from the tables that the pipeline's own schema knows
            dlt.current.source_schema().update_schema(found)
        is_new = pipeline.first_run and found is None
        self._taken_away = _taken_away() if is_extracting else frozenset()
        self._pipeline: Any = None if is_new else pipeline
        # at once: dlt reads its schema anew in place, so that other threads may find it empty
        own = dlt.current.source_schema() if is_extracting else pipeline.default_schema
        self._declared = {} if is_new else self._columns_in(found or own)
        self._schema = (found or own).clone() if not is_new else own
        self._lock = threading.Lock()
        self._client: Any = None
        self._is_closed = False

    @classmethod
    def nothing(cls) -> Loaded:
        """A destination without tables, for resources that are read outside of a load."""
        loaded = cls.__new__(cls)
        loaded._taken_away = frozenset()
        loaded._pipeline = None
        loaded._declared = {}
        loaded._lock = threading.Lock()
        loaded._client = None
        loaded._is_closed = False
        return loaded

    def _columns_in(self, schema: Schema) -> dict[str, TTableSchemaColumns]:
        """The columns of each table that earlier runs have made and that is to stay."""
        return {
            name: schema.get_table_columns(name)
            for name in schema.tables
            if name not in self._taken_away
        }

    @property
    def anything(self) -> bool:
        """Whether there was an earlier run at all."""
        return self._pipeline is not None

    @cached_property
    def is_remembered(self) -> bool:
        """Whether dlt's state is that of these rows, not of another dataset or database.

        dlt takes the state that it has over an older one in the destination, whichever other
        destination its own was made with.
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
        ours: str | None = self._pipeline.state.get("_version_hash")
        return bool(stored and stored.get("_version_hash") == ours)

    def has(self, table: str) -> bool:
        """Whether an earlier run has made a table."""
        return table in self._columns_of

    def has_all_of(self, table: Table) -> bool:
        """Whether earlier runs have made a table and those nested in it, with all their columns."""
        return all(
            member.plain_columns <= set(self.columns(member.name)) for member in table.family()
        )

    def columns(self, table: str) -> list[str]:
        """The columns of a table that earlier runs have made, dlt's own left out."""
        return self._columns_of.get(table, [])

    @cached_property
    def _columns_of(self) -> dict[str, list[str]]:
        """The columns of each table that earlier runs have made, dlt's own left out."""
        return {
            name: [one for one in columns if not one.startswith("_dlt")]
            for name, columns in self._declared.items()
        }

    def rows(
        self, table: str, columns: Sequence[str], column: str = "", values: Iterable[Any] = ()
    ) -> list[tuple[Any, ...]]:
        """Rows of a table; none where there is no such table yet, null for a column not yet there.

        Args:
            table: Its name.
            columns: The columns to give.
            column: Give only the rows in which this column has one of the values.
            values: Whole numbers or texts.
        """
        if self._pipeline is None:
            return []
        chosen = ", ".join(self._chosen(table, name) for name in columns)
        found = [] if column else self._rows(table, chosen, "")
        wanted = sorted(set(values)) if column else []
        for start in range(0, len(wanted), IDS_AT_ONCE):
            part = wanted[start : start + IDS_AT_ONCE]
            told = ", ".join(str(v) if isinstance(v, int) else "%s" for v in part)
            texts = [v for v in part if not isinstance(v, int)]
            found += self._rows(table, chosen, f" WHERE {self._quoted(column)} IN ({told})", *texts)
        return self._as_declared(table, columns, found)

    def _as_declared(
        self, table: str, columns: Sequence[str], rows: list[tuple[Any, ...]]
    ) -> list[tuple[Any, ...]]:
        """Rows as DuckDB gives them: SQLite has no moments, and MySQL's are in no time zone."""
        declared = self._declared.get(table, {})
        kinds = [_KINDS.get(declared.get(name, {}).get("data_type")) for name in columns]
        if not any(kinds):
            return rows
        return [
            tuple(
                kind(value) if kind and value is not None else value
                for kind, value in zip(kinds, row, strict=True)
            )
            for row in rows
        ]

    def _chosen(self, table: str, column: str) -> str:
        """What to ask for to get a column."""
        if column == "_dlt_id":
            return self._row_id
        known = self.columns(table)
        # what an earlier version of the source has made may lack some
        if known and column not in known and not column.startswith("_dlt"):
            return "NULL"
        return self._quoted(column)

    @cached_property
    def _row_id(self) -> str:
        """The `_dlt_id` of a row; empty, so that it is written anew, if its load was not completed.

        An interrupted load is completed by the next run, unless its files were lost; then a row may
        be there, and those nested in it not, or as they were.
        """
        with self._lock:
            name = self._connected().make_qualified_table_name(LOADS_TABLE_NAME)
        completed = f"SELECT load_id FROM {name} WHERE status = 0"  # noqa: S608
        return f"CASE WHEN _dlt_load_id IN ({completed}) THEN _dlt_id ELSE '' END"

    def distinct(self, table: str, columns: Sequence[str]) -> list[tuple[Any, ...]]:
        """What is in columns of a table, each once; none where there is no such table yet."""
        return self._rows(table, f"DISTINCT {', '.join(columns)}", "")

    def counts(self, table: str, *, from_server: bool = False) -> dict[int, int]:
        """How many rows of a table each project has; without those from files if so wanted."""
        where = " WHERE _source IS NULL" if from_server else ""
        return dict(self._rows(table, "project_id, COUNT(*)", f"{where} GROUP BY project_id"))

    def _rows(self, table: str, chosen: str, rest: str, *texts: str) -> list[tuple[Any, ...]]:
        if self._pipeline is None or table in self._taken_away:
            return []
        with self._lock:
            client = self._connected()
            name = client.make_qualified_table_name(table)
            query = f"SELECT {chosen} FROM {name}{rest}"  # noqa: S608 - ours and ints
            try:
                with client.execute_query(query, *texts) as cursor:
                    # BigQuery's rows are no tuples
                    return list(map(tuple, cursor.fetchall()))
            except DatabaseUndefinedRelation:
                return []
            finally:
                if self._is_closed:
                    self._disconnect()

    def _quoted(self, column: str) -> str:
        """A column's name as the destination takes it, whatever words it has for itself."""
        with self._lock:
            name: str = self._connected().escape_column_name(column)
            return name

    def _connected(self) -> Any:
        """The connection for all queries: to make one costs more than most of them."""
        if self._client is None:
            self._client = self._pipeline.sql_client()
            self._client.open_connection()
            register_delta_tables(self._pipeline, self._client, self._schema)
        return self._client

    def close(self) -> None:
        """Let go of the destination; a later question connects for itself alone."""
        with self._lock:
            self._is_closed = True
            self._disconnect()

    def _disconnect(self) -> None:
        if self._client is not None:
            self._client.close_connection()
            self._client = None

    def row_ids(self, table: Table, column: str = "", values: Iterable[Any] = ()) -> dict[Key, str]:
        """The `_dlt_id` of rows, which tells what they hold, by their key.

        Args:
            table: The table.
            column: As in `rows`.
            values: As in `rows`.
        """
        rows = self.rows(table.name, [*table.key, "_dlt_id"], column, values)
        return {key_of(row[:-1]): row[-1] for row in rows}

    def from_archives(self, table: Table) -> set[Key]:
        """The keys of the rows that came from files, of which no server may know."""
        if not self.has(LOAD_REPORT.name):
            return set()
        rows = self.rows(table.name, [*table.key, "_source"])
        return {key_of(row[:-1]) for row in rows if row[-1] is not None}

    def records(
        self, table: Table, values: Iterable[Any], column: str = "id"
    ) -> list[dict[str, Any]]:
        """Whole rows by id or another column, without dlt's own columns and `_deleted`."""
        columns = [one for one in self.columns(table.name) if one != "_deleted"]
        if not columns:
            return []
        rows = self.rows(table.name, columns, column, values)
        return [dict(zip(columns, row, strict=True)) for row in rows]


class KnownRows:
    """The `_dlt_id` of a table's rows by key, asked for of many projects at once.

    Where a query takes a second, as in BigQuery, one for each of many projects takes too long.

    Args:
        loaded: What the destination holds.
        table: The table.
        project_ids: Those that will be asked for, about in this order.
    """

    def __init__(self, loaded: Loaded, table: Table, project_ids: Iterable[int]) -> None:
        self._loaded = loaded
        self._table = table
        self._to_come = dict.fromkeys(project_ids)
        self._held: dict[int, dict[Key, str]] = {}

    def of(self, project_id: int) -> dict[Key, str]:
        """Those of one project, once."""
        if project_id not in self._held:
            self._fetch([project_id, *self._next_beside(project_id)])
        self._to_come.pop(project_id, None)
        return self._held.pop(project_id)

    @cached_property
    def _sizes(self) -> dict[int, int]:
        return self._loaded.counts(self._table.name)

    def _next_beside(self, project_id: int) -> list[int]:
        """The next projects that may be held beside this one without filling the memory."""
        others = [one for one in self._to_come if one != project_id and one not in self._held]
        if project_id not in self._to_come or not others:
            return []
        sizes = accumulate(self._sizes.get(one, 0) for one in (project_id, *others))
        next(sizes)
        fitting = takewhile(lambda pair: pair[1] <= ROWS_AT_ONCE, zip(others, sizes, strict=True))
        return [one for one, _ in fitting][: IDS_AT_ONCE - 1]

    def _fetch(self, project_ids: list[int]) -> None:
        columns = ["project_id", *self._table.key, "_dlt_id"]
        self._held |= {one: {} for one in project_ids}
        for row in self._loaded.rows(self._table.name, columns, "project_id", project_ids):
            self._held[row[0]][key_of(row[1:-1])] = row[-1]


def _moment(value: Any) -> datetime:
    at = datetime.fromisoformat(value) if isinstance(value, str) else value
    return at if at.tzinfo else at.replace(tzinfo=UTC)


_KINDS: dict[Any, Callable[[Any], Any]] = {"timestamp": _moment, "bool": bool}
"""What makes a value one of its column's type."""


def _schema_in_dataset(pipeline: Any) -> Schema | None:
    """What another pipeline of the source, such as that of a shard, has left in the dataset.

    A dataset may be there without: made by hand, or filled by pipelines of other sources.
    """
    with pipeline.destination_client() as client:
        if not client.is_storage_initialized() or not isinstance(client, WithStateSync):
            return None
        try:
            stored = client.get_stored_schema(_SOURCE)
        except DestinationUndefinedEntity:
            return None
    return Schema.from_dict(json.loads(stored.schema)) if stored else None


def _taken_away() -> frozenset[str]:
    """The tables that dlt's `refresh` drops or empties, before it loads what is extracted now."""
    state: Any = dlt.current.load_package_state()["state"]
    refreshed = ("dropped_tables", "truncated_tables")
    return frozenset(table["name"] for which in refreshed for table in state.get(which) or ())
