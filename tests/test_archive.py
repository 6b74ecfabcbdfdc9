"""What all archives have in common: merging, the load report, people, the API beside them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dlt
import pytest

from pivotal_tracker import archive, pivotal_tracker_archive
from pivotal_tracker.archive_load import ARCHIVE_TABLES

from .sample_format import RepeatingFormat, SampleFormat, write
from .truth import Record, Tables, comparable, loaded_tables

JANUARY, MARCH = "2024-01-31T12:00:00Z", "2024-03-31T12:00:00Z"


@dataclass
class Desk:
    """A folder of archives, and the database that they are loaded into."""

    folder: Path
    noted: dict[str, dict[str, Any]] = field(default_factory=dict)

    def write(self, name: str, *records: tuple[str, Record], **more: Any) -> Path:
        return write(self.folder / name, *records, **more)

    def load(self, *paths: Path, resources: tuple[str, ...] = (), **options: Any) -> Tables:
        source = pivotal_tracker_archive([str(path) for path in paths], **options)
        return self.run(source.with_resources(*resources) if resources else source)

    def run(self, source: Any) -> Tables:
        pipeline = dlt.pipeline(
            "pivotal_tracker",
            destination=dlt.destinations.duckdb(str(self.folder / "loaded.duckdb")),
            dataset_name="tracker",
            pipelines_dir=str(self.folder / "pipelines"),
        )
        pipeline.run(source, loader_file_format="parquet")
        steps = pipeline.last_trace.last_extract_info.metrics.values()
        self.noted = {
            name: metrics.custom_metrics
            for step in steps
            for one in step
            for name, metrics in one["resource_metrics"].items()
        }
        return self.tables()

    def tables(self) -> Tables:
        return loaded_tables(self.folder / "loaded.duckdb")

    def written(self) -> int:
        """How many rows the last run wrote."""
        return sum(sum(m.get("written", {}).values()) for m in self.noted.values())

    def report(self) -> dict[tuple[str, str], tuple[int, int, int]]:
        return {
            (row["source"], row["kind"]): (
                row["rows_read"],
                row["rows_loaded"],
                row["rows_left_out"],
            )
            for row in self.tables()["load_report"]
        }

    def reasons(self) -> set[tuple[str, str, str, int]]:
        return {
            (row["source"], row["kind"], row["reason"], row["rows"])
            for row in self.tables()["load_report__left_out"]
        }


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Archives of the sample formats, which are the only ones known."""
    monkeypatch.setattr(archive, "FORMATS", (SampleFormat(), RepeatingFormat()))
    return Desk(tmp_path)


def story(story_id: int, **attributes: Any) -> tuple[str, Record]:
    return "stories", {"id": story_id, "project_id": 9, "kind": "story", **attributes}


def test_every_table_is_there_and_a_row_says_where_it_came_from(desk: Desk) -> None:
    path = desk.write("deep/inside/a.sample", story(1, name="One", _date_precision="day"))
    tables = desk.load(path)
    assert {t.name for table in ARCHIVE_TABLES.values() for t in table.family()} <= set(tables)
    assert comparable(tables["stories"]) == comparable(
        [
            {
                "id": 1,
                "project_id": 9,
                "kind": "story",
                "name": "One",
                "_source": "a.sample",
                "_date_precision": "day",
            }
        ]
    )
    assert comparable(tables["projects"]) == comparable([{"id": 9, "_source": "a.sample"}])
    assert desk.report() == {("a.sample", "stories"): (1, 1, 0)}


def test_reading_the_same_again_writes_nothing_wherever_it_lies(desk: Desk) -> None:
    first = desk.write(
        "here/a.sample",
        story(1, updated_at=MARCH, comments=[{"id": 5, "text": "Hm"}], owner_ids=[3]),
        story(2),
        ("people", {"id": -4, "name": "Ann"}),
        ("activity", {"guid": "9_1", "project": {"id": 9}, "occurred_at": MARCH}),
        ("iterations", {"project_id": 9, "number": 1, "story_ids": [1]}),
        ("history_days", {"project_id": 9, "date": "2024-03-31", "counts_accepted": 1}),
        ("attachment_files", {"id": 8, "project_id": 9, "story_id": 1, "filename": "a.txt"}),
    )
    before = desk.load(first)
    assert len(before["stories"]) == 2
    assert desk.written() > 0
    again = desk.folder / "there" / "a.sample"
    again.parent.mkdir()
    first.rename(again)
    after = desk.load(again)
    assert desk.written() == 0
    assert_same(after, before)


def assert_same(one: Tables, other: Tables) -> None:
    assert {n: comparable(r) for n, r in one.items()} == {
        n: comparable(r) for n, r in other.items()
    }


def test_rows_that_vanish_in_reading_end_the_load(desk: Desk) -> None:
    path = desk.write("a.sample", story(1), count={"stories": 1, "stories__comments": 2})
    with pytest.raises(Exception, match=r"a\.sample: of stories__comments 2 rows were read, but 0"):
        desk.load(path)


def test_of_several_copies_the_latest_is_loaded_in_whatever_order(desk: Desk) -> None:
    old = desk.write(
        "old.sample",
        story(1, name="Old", updated_at=JANUARY, comments=[{"id": 5}]),
        story(2, name="Newer", updated_at=MARCH),
        story(3, name="Nobody knows when"),
        story(4, name="Equal", updated_at=MARCH, estimate=3),
        story(5, name="Same", updated_at=MARCH),
    )
    new = desk.write(
        "new.sample",
        story(1, name="New", updated_at=MARCH),
        story(2, name="Older", updated_at="2024-03-31T11:59:59.5+00:00"),
        story(3, name="Now it is known", updated_at=JANUARY),
        story(4, name="Equal", updated_at=MARCH),
        story(5, name="Same", updated_at=MARCH),
    )
    expected = {1: "New", 2: "Newer", 3: "Now it is known", 4: "Equal", 5: "Same"}
    together = desk.load(new, old)
    assert {r["id"]: r["name"] for r in together["stories"]} == expected
    assert [r["estimate"] for r in together["stories"] if r["id"] == 4] == [3]
    assert together["stories__comments"] == []
    assert desk.report() == {
        ("new.sample", "stories"): (5, 3, 2),
        ("old.sample", "stories"): (5, 2, 3),
        ("old.sample", "stories__comments"): (1, 0, 1),
    }
    assert ("old.sample", "stories", "another copy is newer: new.sample", 2) in desk.reasons()
    desk.load(old, new)
    assert desk.written() == 0 or comparable(desk.tables()["stories"]) == comparable(
        together["stories"]
    )

    one_by_one = Desk(desk.folder / "one by one")
    one_by_one.folder.mkdir()
    one_by_one.load(old)
    one_by_one.load(new)
    loaded = one_by_one.tables()
    assert {r["id"]: r["name"] for r in loaded["stories"]} == expected
    assert [r["estimate"] for r in loaded["stories"] if r["id"] == 4] == [3]
    assert loaded["stories__comments"] == []
    # of equal rows those that were there stay, and count as loaded
    assert one_by_one.report()["new.sample", "stories"] == (5, 3, 2)
