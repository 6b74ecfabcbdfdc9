"""Check whether dlt can normalize rows, so that one bad record does not fail the load package.

A value that fits no column would fail dlt's normalize step, long after the record was read, and
again in every later run.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any, cast

import dlt
from dlt.common.exceptions import DltException
from dlt.common.json import json
from dlt.common.schema.exceptions import DataValidationError
from dlt.common.schema.typing import TTableSchema
from dlt.extract import DltResource
from dlt.extract.items import TableNameMeta
from dlt.normalize.configuration import NormalizeConfiguration
from dlt.normalize.items_normalizers.jsonl import JsonLItemsNormalizer

from ..tables import Table
from .rows import UNDECLARED, RejectedError, Row

TRIAL_ERRORS = (DltException, ValueError, TypeError, OverflowError, RecursionError)
"""The errors of normalizing rows if a value fits no column."""

_PYTHON_TYPES: dict[str, type | tuple[type, ...]] = {
    "bigint": int,
    "text": str,
    "double": (int, float),
    "bool": bool,
}


class _NoWriter:
    """A replacement of dlt's storage of normalized rows: it writes nothing."""

    def write_data_item(
        self, load_id: str, schema_name: str, table: str, row: Row, columns: Any
    ) -> None:
        """Check a row, and do not write it.

        Raises:
            ValueError: A number fits no column, for example one that dlt has made from a text.
        """
        for name, value in row.items():
            if isinstance(value, int) and not -(2**63) <= value < 2**63:
                raise ValueError(f"{name} of a row of {table} is too large: {str(value)[:40]}")

    def get_active_writer(self, *_: Any) -> tuple[None, object]:
        """Return a writer, so that no empty file is made."""
        return None, self


class Trial:
    """Normalize rows as dlt does, with a copy of the schema, and write nothing.

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
            kinds = {**member.columns, UNDECLARED: "json"}
            columns = {
                name: {"name": name, "data_type": kind, "nullable": name not in required}
                for name, kind in kinds.items()
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
        config.destination_capabilities = dlt.current.pipeline().destination.capabilities()
        self._content = b""
        # in place of dlt's storages, as far as the normalizer uses them: it reads rows from memory,
        # and is never cancelled
        files = SimpleNamespace(open_file=lambda name, mode: io.BytesIO(self._content))
        packages = SimpleNamespace(raise_if_cancelled=lambda load_id: None)
        self._normalizer = JsonLItemsNormalizer(
            cast(Any, _NoWriter()),
            cast(Any, SimpleNamespace(new_packages=packages)),
            cast(Any, SimpleNamespace(extracted_packages=SimpleNamespace(storage=files))),
            schema,
            load_id,
            config,
        )

    def declare_new_columns(self, schema: dlt.Schema) -> None:
        """Add the new columns of rows to a schema, before dlt normalizes the rows itself.

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
                self._content = json.typed_dumpb(list(rows))
                self._normalizer(name, name)
        except DataValidationError:
            raise
        except TRIAL_ERRORS as error:
            raise RejectedError(" ".join(str(error).split())[:300]) from error


def fits(table: Table, row: Row, max_depth: int) -> bool:
    """Check whether a row has only declared columns, with values of their types."""
    kinds = table.columns
    for name, value in row.items():
        kind = kinds.get(name, "")
        if value is None or name.startswith("_dlt"):
            continue
        if kind == "json":
            if is_deeper(value, max_depth):
                return False
        elif not isinstance(value, _PYTHON_TYPES.get(kind, ())):
            return False
    return True


def is_deeper(value: Any, depth: int) -> bool:
    """Check whether lists and objects in a JSON value are nested deeper than that."""
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return depth == 0 or any(is_deeper(element, depth - 1) for element in inner)
