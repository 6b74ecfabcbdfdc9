"""Make the load report: what happened to every row of the archives."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from ..records import Record
from .accounting import LoadAccounting, Rejection
from .files import ArchiveError
from .format import Archive


def report_records(
    accountings: Iterable[tuple[Archive, LoadAccounting]], not_loaded: Collection[str]
) -> list[Record]:
    """Return the records of `load_report`, one for each file and table.

    Args:
        accountings: The counts of each archive.
        not_loaded: The tables that were not selected; they are left out of the report.

    Raises:
        ArchiveError: Some rows are neither loaded nor left out, which is a bug.
    """
    records: dict[tuple[str, str], dict[str, Any]] = {}
    for archive, accounting in accountings:
        for (source, kind), totals in accounting.totals().items():
            if kind not in not_loaded:
                if totals.missing:
                    raise ArchiveError(
                        f"{source}: of {kind} {totals.read:,} rows were read, but "
                        f"{totals.loaded:,} loaded and {totals.left_out:,} left out. This is a "
                        "bug: nothing was loaded. Please report it."
                    )
                record = _report_record(records, source, kind, archive)
                record["rows_read"] += totals.read
                record["rows_loaded"] += totals.loaded
                record["rows_left_out"] += totals.left_out
        for column, losses in (
            ("rows", accounting.left_out),
            ("lost_values", accounting.lost_values),
        ):
            for (source, kind, reason), rejection in losses.items():
                if kind not in not_loaded and rejection.rows:
                    _add_rejection(
                        _report_record(records, source, kind, archive), reason, column, rejection
                    )
        for (source, kind), assumption in accounting.assumptions.items():
            if kind not in not_loaded:
                record = _report_record(records, source, kind, archive)
                _add_rejection(record, f"assumed: {assumption}", "rows", Rejection())
    return [
        {**record, "left_out": list(record["left_out"].values())} for record in records.values()
    ]


def _report_record(
    records: dict[tuple[str, str], dict[str, Any]], source: str, kind: str, archive: Archive
) -> dict[str, Any]:
    rows = ("rows_read", "rows_loaded", "rows_left_out")
    empty = {"source": source, "format": archive.format.name, "kind": kind, "left_out": {}}
    return records.setdefault((source, kind), {**empty, **dict.fromkeys(rows, 0)})


def _add_rejection(record: dict[str, Any], reason: str, column: str, rejection: Rejection) -> None:
    """Add rows or values to those left out for a reason."""
    empty = {"reason": reason, "where": rejection.where, "rows": 0, "lost_values": 0}
    record["left_out"].setdefault(reason, empty)[column] += rejection.rows
