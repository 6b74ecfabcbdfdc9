"""Apply a schema contract to records, before any of their rows is written.

dlt itself applies contracts to rows: a violation found in normalize would leave a load package
that fails in every later run, and a discarded row its child rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, cast

import dlt
from dlt.common.data_types import coerce_value, py_type_to_sc_type
from dlt.common.schema.exceptions import DataValidationError
from dlt.common.schema.typing import TSchemaEvolutionMode
from dlt.extract import DltResource

from ..records import Record
from ..settings import SECRET_ATTRIBUTES
from ..tables import Table
from .destination_rows import DestinationReader


class _DiscardedError(Exception):
    """The contract discards this record."""


class Contract:
    """The schema contract of the tables of a resource.

    Args:
        resource: The resource.
        table: The table of the records.
        loaded: The destination: a table that does not exist yet may have any columns.
        counts: Gets the numbers of `discarded` records and `discarded_values`.
    """

    def __init__(
        self,
        resource: DltResource,
        table: Table,
        loaded: DestinationReader,
        counts: Counter[str],
    ) -> None:
        schema = dlt.current.source_schema()
        computed = resource.compute_table_schema()
        self._mode = schema.resolve_contract_settings_for_table(table.name, computed)
        self._table = table
        self._counts = counts
        self._evolves = set(self._mode.values()) == {"evolve"}
        self._columns = {
            member.name: {*member.columns, *loaded.columns(member.name)}
            for member in table.family()
            if loaded.has(member.name)
        }

    def admitted(self, records: Sequence[Record]) -> Iterator[Record]:
        """Yield the records that the contract allows, without values that it discards.

        Raises:
            DataValidationError: The contract is `freeze`, and a record violates it.
        """
        if self._evolves:
            yield from records
            return
        for record in records:
            try:
                yield self._admit(self._table, record)
            except _DiscardedError:
                self._counts["discarded"] += 1

    def _admit(self, table: Table, record: Record, prefix: str = "") -> Record:
        admitted: Record = {}
        for name, value in record.items():
            column = f"{prefix}{name}"
            child = table.nested.get(column)
            if name in SECRET_ATTRIBUTES or value is None:
                admitted[name] = value
            elif child is not None and isinstance(value, list):
                elements = (v if isinstance(v, dict) else {"value": v} for v in value)
                rows = [self._admit(child, element) for element in elements]
                admitted[name] = [r.get("value") for r in rows] if child.is_scalar_list else rows
            elif isinstance(value, dict) and column not in table.columns:
                admitted[name] = self._admit(table, value, f"{column}__")
            elif self._is_admitted(table, column, value):
                admitted[name] = value
        return admitted

    def _is_admitted(self, table: Table, column: str, value: Any) -> bool:
        known = self._columns.get(table.name)
        kind = table.columns.get(column)
        if isinstance(value, list) and kind != "json":
            return column in (known or ()) or self._decide("tables", table, column, value)
        if known is not None and column not in known:
            return self._decide("columns", table, column, value)
        if kind is not None and not _is_of_type(kind, value):
            return self._decide("data_type", table, column, value)
        return True

    def _decide(self, entity: str, table: Table, column: str, value: Any) -> bool:
        """Check whether a value that violates the contract is loaded nevertheless."""
        mode = cast(dict[str, TSchemaEvolutionMode], self._mode)[entity]
        if mode == "freeze":
            raise DataValidationError(
                dlt.current.source_schema().name,
                table.name,
                column,
                cast(Any, entity),
                mode,
                None,
                self._mode,
                None,
                f"The attribute {column} has a value that the contract does not allow: "
                f"{type(value).__name__}.",
            )
        if mode == "discard_row":
            raise _DiscardedError
        if mode == "discard_value":
            self._counts["discarded_values"] += 1
        return mode == "evolve"


def _is_of_type(kind: str, value: Any) -> bool:
    """Check whether dlt writes a value into a column of a type, not into an extra column."""
    try:
        coerce_value(cast(Any, kind), py_type_to_sc_type(type(value)), value)
    except (ValueError, TypeError, OverflowError):
        return False
    return True
