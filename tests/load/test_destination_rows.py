"""Reading of rows that earlier runs have loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dlt
import pytest

from pivotal_tracker import tables
from pivotal_tracker.load import destination_rows as loaded
from pivotal_tracker.load.destination_rows import DestinationReader, RowIdCache


def test_columns_are_known_while_dlt_reloads_its_schema(tmp_path: Path) -> None:
    """Dlt resets its schema in place, in any thread."""
    pipeline = dlt.pipeline(
        "pivotal_tracker",
        destination=dlt.destinations.duckdb(str(tmp_path / "loaded.duckdb")),
        dataset_name="tracker",
        pipelines_dir=str(tmp_path),
    )
    pipeline.run([{"id": 1}], table_name="stories")
    reader = DestinationReader(pipeline)
    pipeline.default_schema._reset_schema(pipeline.default_schema.name)
    assert reader.columns("stories") == ["id"]


def test_row_id_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loaded, "MAX_PREFETCHED_ROWS", 10)
    sizes = {1: 4, 2: 4, 3: 4, 4: 40, 5: 1, 6: 0}

    class Destination:
        def __init__(self) -> None:
            self.requested: list[list[int]] = []

        def counts(self, _: str) -> dict[int, int]:
            return sizes

        def rows(self, *arguments: Any) -> list[tuple[Any, ...]]:
            self.requested.append(arguments[3])
            return [(p, f"{p}.{n}", f"hash of {n}") for p in arguments[3] for n in range(sizes[p])]

    destination = Destination()
    known = RowIdCache(destination, tables.ACTIVITY, [1, 2, 3, 4, 5, 6])  # type: ignore[arg-type]
    for project_id in (1, 2, 3, 4, 5, 6, 4):
        assert len(known.pop(project_id)) == sizes[project_id]
    assert destination.requested == [[1, 2], [3], [4], [5, 6], [4]]
