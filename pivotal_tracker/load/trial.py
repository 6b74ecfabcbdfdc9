"""Tries whether dlt can normalize rows, so that one bad record does not fail the load package.

A value that no column takes raises in dlt's normalize step, long after the record was read, and
the package would fail again in every later run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import dlt
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.exceptions import DltException
from dlt.common.json import json
from dlt.common.schema.exceptions import DataValidationError
from dlt.common.schema.typing import TTableSchema
from dlt.extract import DltResource
from dlt.extract.items import TableNameMeta
from dlt.normalize.configuration import NormalizeConfiguration
from dlt.normalize.items_normalizers.jsonl import JsonLItemsNormalizer

from ..tables import Table
from .rows import Row

TRIAL_ERRORS = (DltException, ValueError, TypeError, OverflowError, RecursionError)
"""What normalizing rows raises if a value fits no column."""

_PYTHON_TYPES: dict[str, type | tuple[type, ...]] = {
    "bigint": int,
    "text": str,
    "double": (int, float),
    "bool": bool,
}


class RejectedError(Exception):
    """dlt cannot normalize the rows of a record."""


class Trial:
    """Normalizes rows as dlt will, with a copy of the schema, and writes nothing.

    Args:
        resource: The resource that yields the rows.
        members: Its table and the child tables, with their required columns.
        load_id: The load package.
    """

    def __init__(
        self, resource: DltResource, members: Mapping[Table, set[str]], load_id: str
    ) -> None:
        schema = dlt.current.source_schema().clone()
        for member, required in members.items():
            computed = resource.compute_table_schema(meta=TableNameMeta(member.name))
            columns = {
                name: {"name": name, "data_type": kind, "nullable": name not in required}
                for name, kind in member.columns.items()
            }
            known = {
                name: column
                for name, column in schema.tables.get(member.name, {}).get("columns", {}).items()
                if "data_type" in column
            }
            columns = {name: column for name, column in columns.items() if name not in known}
            table = {**computed, "columns": {**columns, **computed["columns"], **known}}
            schema.update_table(cast(TTableSchema, table), normalize_identifiers=False)
        config = NormalizeConfiguration()
        config.destination_capabilities = _capabilities()
        nothing = cast(Any, None)
        self._normalizer = JsonLItemsNormalizer(nothing, nothing, nothing, schema, load_id, config)

    def declare_new_columns(self, schema: dlt.Schema) -> None:
        """Add the columns that rows have brought to a schema, before dlt normalizes them itself.

        dlt writes all files of a Delta table at once, with the columns of the first one.
        """
        for name, table in self._normalizer.schema.tables.items():
            known = schema.tables[name]["columns"] if name in schema.tables else {}
            new = {
                column: hints
                for column, hints in table["columns"].items()
                if "data_type" in hints and column not in known
            }
            if new and name in schema.tables:
                schema.update_table({"name": name, "columns": new}, normalize_identifiers=False)

    def check(self, tables: Mapping[str, Iterable[Row]]) -> None:
        """Normalize rows by table.

        Raises:
            RejectedError: A value fits no column.
        """
        try:
            for name, rows in tables.items():
                # dlt writes them to a file in between
                read = json.typed_loadb(json.typed_dumpb(list(rows)))
                self._normalizer._normalize_chunk(name, read, may_have_pua=True, skip_write=True)
        except DataValidationError:
            raise
        except TRIAL_ERRORS as error:
            raise RejectedError(" ".join(str(error).split())[:300]) from error


def fits(table: Table, row: Row) -> bool:
    """Check whether a row has only declared columns, with values of their types."""
    kinds = table.columns
    for name, value in row.items():
        kind = kinds.get(name, "")
        if value is None or kind == "json" or name.startswith("_dlt"):
            continue
        if not isinstance(value, _PYTHON_TYPES.get(kind, ())):
            return False
    return True


def _capabilities() -> DestinationCapabilitiesContext:
    return dlt.current.pipeline().destination.capabilities()
