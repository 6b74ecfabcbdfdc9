"""Records become rows: the quick way and dlt's own normalizer give the same tables."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import dlt
import duckdb
import pyarrow as pa
import pytest
from dlt.extract import DltResource
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pivotal_tracker import rows, tables
from pivotal_tracker.loaded import Loaded
from pivotal_tracker.rows import Batch, in_tracker_words, row_id, without_secrets
from pivotal_tracker.tables import Table

from .truth import Tables, assert_tables_equal, expected_tables, tables_in

LOADED = (tables.STORIES, tables.ACTIVITY, tables.LABELS)
NOTHING_LOADED = cast(Loaded, None)
"""Only rows that replace others are compared with what is there."""
VALUES = {
    "bigint": st.integers(-(2**63), 2**63 - 1),
    "double": st.one_of(
        st.integers(-(2**50), 2**50), st.floats(allow_nan=False, allow_infinity=False)
    ),
    "text": st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    "bool": st.booleans(),
    "timestamp": st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1)).map(
        lambda t: t.replace(microsecond=0, tzinfo=UTC).isoformat().replace("+00:00", "Z")
    ),
    "date": st.dates(datetime(1970, 1, 2).date(), datetime(2200, 1, 1).date()).map(str),
    "json": st.dictionaries(st.text("abc", min_size=1), st.integers(0, 9)),
}


def records(table: Table, ids: frozenset[str] = frozenset()) -> st.SearchStrategy[dict[str, Any]]:
    """Records of a table as the API might give them: attributes present or absent, nested lists."""
    plain = {n: VALUES[k] for n, k in table.columns.items() if "__" not in n and n not in ids}
    required = {name: plain.pop(name) for name in table.key if name in plain}
    handed = ids | set(table.hands_down.values())
    lists = {
        name: st.lists(
            VALUES["bigint"] if nested.of_values else records(nested, handed), max_size=3
        )
        for name, nested in table.nested.items()
    }
    return st.fixed_dictionaries(required, optional=plain | lists)


def items_of(table: Table, records: list[dict[str, Any]], **ids: Any) -> Iterator[Any]:
    """What a resource yields for records."""
    batch = Batch(table, "1", NOTHING_LOADED, {})
    for record in records:
        batch.add({**ids, **record})
    return batch.items()


def rows_of(table: Table, records: list[dict[str, Any]], **ids: Any) -> Tables:
    """The rows that records bring to each table."""
    batch = Batch(table, "1", NOTHING_LOADED, {})
    for record in records:
        batch.add({**ids, **record})
    return {member.name: batch.rows(member.name) for member in table.family()}


def load(folder: Path, items: dict[str, list[Any]]) -> Tables:
    """What a dlt pipeline makes of the items of resources, by their tables."""
    name = f"rows_{next(_numbers)}"
    database = folder / f"{name}.duckdb"
    pipeline = dlt.pipeline(
        name,
        pipelines_dir=str(folder / "dlt"),
        destination=dlt.destinations.duckdb(str(database)),
        dataset_name="tracker",
    )
    resources = [resource_of(table, items[table.name]) for table in LOADED]
    # held open, as the command does: dlt opens it for each job otherwise
    with duckdb.connect(str(database)) as connection:
        pipeline.run(resources, loader_file_format="parquet")
        return tables_in(connection)


def resource_of(table: Table, items: list[Any]) -> DltResource:
    """A resource that yields items, with what dlt is to know of their tables."""
    made = dlt.resource(items, name=table.name, primary_key=table.key)
    for nested in list(table.family())[1:]:
        made.apply_hints(table_name=nested.name, primary_key=nested.key, create_table_variant=True)
    for member in table.family():
        made.apply_hints(
            table_name=member.name,
            columns={n: {"data_type": k} for n, k in member.columns.items()},
            create_table_variant=member is not table,
        )
    return made


_numbers = itertools.count()


def batches(table: Table) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Some records of a table, each of another key."""
    return st.lists(
        records(table), min_size=5, max_size=30, unique_by=lambda record: record[table.key[0]]
    )


def test_both_ways_give_the_same_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @settings(
        max_examples=3,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.fixed_dictionaries({table.name: batches(table) for table in LOADED}))
    def compare(given: dict[str, list[dict[str, Any]]]) -> None:
        def items() -> dict[str, list[Any]]:
            return {t.name: list(items_of(t, given[t.name], project_id=5)) for t in LOADED}

        quick = load(tmp_path, items())
        with monkeypatch.context() as patch:
            patch.setattr(rows, "_arrow_table", _refuse)
            slow = load(tmp_path, items())
        assert_tables_equal(quick, slow)
        expected: Tables = {}
        for name, batch in given.items():
            expected |= expected_tables(name, ({"project_id": 5, **r} for r in batch))
        assert_tables_equal(quick, {name: rows for name, rows in expected.items() if rows})

    compare()


def _refuse(*_: Any) -> pa.Table:
    raise pa.ArrowInvalid("not this way")


def test_declared_attributes_travel_as_arrow_and_others_as_rows() -> None:
    (declared,) = items_of(tables.LABELS, [{"id": 1, "name": "a"}])
    record = {"id": 1, "name": "a", "mood": "good"}
    (undeclared,) = items_of(tables.LABELS, [record])
    assert isinstance(declared.data, pa.Table)
    assert undeclared.data == [record | {"_dlt_id": row_id(record)}]


def test_nested_rows_carry_the_ids_of_their_parents() -> None:
    attachment = {"id": 3, "filename": "a.png"}
    story = {
        "id": 1,
        "project_id": 5,
        "owner_ids": [7, 8],
        "comments": [{"id": 2, "file_attachments": [attachment]}],
    }
    got, key = rows_of(tables.STORIES, [story]), row_id(story)
    assert got["stories__owner_ids"][1] == {
        "value": 8,
        "story_id": 1,
        "project_id": 5,
        "_dlt_parent_id": key,
        "_dlt_list_idx": 1,
        "_dlt_id": f"{key}.1",
    }
    assert got["stories__comments__file_attachments"] == [
        attachment
        | {
            "comment_id": 2,
            "story_id": 1,
            "project_id": 5,
            "_dlt_parent_id": f"{key}.0",
            "_dlt_list_idx": 0,
            "_dlt_id": f"{key}.0.0",
        }
    ]


@pytest.mark.parametrize("mood", [{}, {"mood": "good"}], ids=["in lists", "row by row"])
def test_a_nested_row_says_itself_whose_it_is_unless_it_says_null(mood: dict[str, str]) -> None:
    tasks = [{"id": 2, "story_id": 9}, {"id": 3, "story_id": None}, {"id": 4}, mood | {"id": 5}]
    story = {"id": 1, "project_id": 5, "tasks": tasks}
    told = {item.meta.table_name: item.data for item in items_of(tables.STORIES, [story])}
    rows = told["stories__tasks"]
    rows = rows.to_pylist() if isinstance(rows, pa.Table) else rows
    assert [(row["id"], row["story_id"]) for row in rows] == [(2, 9), (3, 1), (4, 1), (5, 1)]


def test_records_are_not_changed() -> None:
    story = {"id": 1, "labels": [{"id": 2}], "cycle_time_details": {"story_id": 1}}
    before = repr(story)
    list(items_of(tables.STORIES, [story], project_id=5))
    assert repr(story) == before


def test_secrets_are_left_out_at_any_depth() -> None:
    attachment = {"id": 1, "big_url": "https://signed", "thumbnail_url": "https://signed"}
    change = {"kind": "comment", "new_values": {"file_attachments": [attachment]}}
    record = {"guid": "1_1", "api_token": "secret", "changes": [change]}
    got = rows_of(tables.ACTIVITY, [record], project_id=1)
    assert "secret" not in repr(got)
    assert "signed" not in repr(got)
    assert without_secrets([{"x": {"big_url": 1, "id": 2}}]) == [{"x": {"id": 2}}]


def test_litetracker_says_it_in_its_own_words() -> None:
    story = {
        "id": 1,
        "title": "As a rider",
        "owners": [{"id": 90, "user_id": 7, "name": "Ann", "initials": "A"}],
        "owner_ids": [90],
    }
    assert in_tracker_words(story) == {"id": 1, "name": "As a rider", "owner_ids": [7]}
    assert in_tracker_words(story | {"owners": []})["owner_ids"] == []
    assert in_tracker_words({"id": 1, "name": "n"}) == {"id": 1, "name": "n"}


def test_times_in_milliseconds_are_times() -> None:
    (item,) = items_of(tables.LABELS, [{"id": 1, "created_at": 1_393_744_265_000}])
    assert item.data[0]["created_at"] == datetime(2014, 3, 2, 7, 11, 5, tzinfo=UTC)
