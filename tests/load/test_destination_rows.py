"""What earlier runs have loaded, as a run gets to know of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dlt
import pytest

from pivotal_tracker import tables
from pivotal_tracker.load import destination_rows as loaded
from pivotal_tracker.load.destination_rows import DestinationReader, RowIdCache


def test_columns_stay_known_while_dlt_reads_its_schema_anew(tmp_path: Path) -> None:
    """As it does in place, at any question and for any thread."""
    pipeline = dlt.pipeline(
        "pivotal_tracker",
        destination=dlt.destinations.duckdb(str(tmp_path / "loaded.duckdb")),
        dataset_name="tracker",
        pipelines_dir=str(tmp_path),
    )
    pipeline.run([{"id": 1}], table_name="stories")
    held = DestinationReader(pipeline)
    pipeline.default_schema._reset_schema(pipeline.default_schema.name)
    assert held.columns("stories") == ["id"]


def test_what_is_held_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loaded, "MAX_PREFETCHED_ROWS", 10)
    sizes = {1: 4, 2: 4, 3: 4, 4: 40, 5: 1, 6: 0}

    class Destination:
        def __init__(self) -> None:
            self.asked: list[list[int]] = []

        def counts(self, _: str) -> dict[int, int]:
            return sizes

        def rows(self, *arguments: Any) -> list[tuple[Any, ...]]:
            self.asked.append(arguments[3])
            return [(p, f"{p}.{n}", f"hash of {n}") for p in arguments[3] for n in range(sizes[p])]

    destination = Destination()
    known = RowIdCache(destination, tables.ACTIVITY, [1, 2, 3, 4, 5, 6])  # type: ignore[arg-type]
    for project_id in (1, 2, 3, 4, 5, 6, 4):
        assert len(known.pop(project_id)) == sizes[project_id]
    assert destination.asked == [[1, 2], [3], [4], [5, 6], [4]]
