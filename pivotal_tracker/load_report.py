"""What became of every row of the archives that were loaded."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from .archive import Archive, ArchiveError, Tally
from .rows import Record


def report_records(
    tallies: Iterable[tuple[Archive, Tally]], kinds: Collection[str]
) -> list[Record]:
    """The records of `load_report`, one for each file and table.

    Args:
        tallies: What was counted of each archive.
        kinds: The tables that were loaded; of others nothing is told.

    Raises:
        ArchiveError: Rows were read of which nothing is known: a mistake of the program.
    """
    records: dict[tuple[str, str], dict[str, Any]] = {}
    for archive, tally in tallies:
        for (source, kind), totals in tally.totals().items():
            if kind not in kinds:
                continue
            if totals.missing:
                raise ArchiveError(
                    f"{source}: of {kind} {totals.read:,} rows were read, but {totals.loaded:,} "
                    f"loaded and {totals.left_out:,} left out. This is a mistake of the program: "
                    "nothing was loaded. Please report it."
                )
            record = records.setdefault((source, kind), _empty(source, kind, archive.form.name))
            record["rows_read"] += totals.read
            record["rows_loaded"] += totals.loaded
            record["rows_left_out"] += totals.left_out
        for (source, kind, reason), noted in tally.left_out.items():
            if kind in kinds and noted.rows:
                left_out = records[source, kind]["left_out"]
                left_out.setdefault(reason, {"reason": reason, "where": noted.where, "rows": 0})
                left_out[reason]["rows"] += noted.rows
    return [
        {**record, "left_out": list(record["left_out"].values())} for record in records.values()
    ]


def _empty(source: str, kind: str, form: str) -> dict[str, Any]:
    return {
        "source": source,
        "format": form,
        "kind": kind,
        "rows_read": 0,
        "rows_loaded": 0,
        "rows_left_out": 0,
        "left_out": {},
    }
