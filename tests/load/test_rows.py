"""Records become rows: conversion to Arrow and dlt's normalizer give the same tables."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pyarrow as pa
import pytest
from dlt.extract import DltResource
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pivotal_tracker import tables
from pivotal_tracker.load import arrow_tables as arrow
from pivotal_tracker.load.arrow_tables import CONVERSION_ERRORS, MisfitError, arrow_tables
from pivotal_tracker.load.extraction import Extraction
from pivotal_tracker.load.hints import root_hints
from pivotal_tracker.load.rows import RejectedError, RowBuilder
from pivotal_tracker.load.to_tables import ToTables
from pivotal_tracker.records import from_litetracker, row_id, without_secrets
from pivotal_tracker.tables import Table

from ..support.truth import Tables, assert_tables_equal, expected_tables, tables_in

LOADED = (tables.STORIES, tables.ACTIVITY, tables.LABELS)
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
    """Draw records of a table in the shape of the API, with missing attributes and nested lists."""
    plain = {n: VALUES[k] for n, k in table.columns.items() if "__" not in n and n not in ids}
    required = {name: plain.pop(name) for name in table.key if name in plain}
    inherited = ids | set(table.inherited_columns.values())
    lists = {
        name: st.lists(
            VALUES["bigint"] if nested.is_scalar_list else records(nested, inherited), max_size=3
        )
        for name, nested in table.nested.items()
    }
    return st.fixed_dictionaries(required, optional=plain | lists)


def rows_of(table: Table, records: list[dict[str, Any]]) -> Tables:
    """Build the rows of each table one by one."""
    builder = RowBuilder(table)
    for record in records:
        builder.add(record, row_id(record))
    return builder.rows


def arrow_rows_of(table: Table, records: list[dict[str, Any]]) -> Tables:
    """Build the rows of each table column by column."""
    built = arrow_tables(table, records, list(map(row_id, records)), "1")
    return {name: rows.to_pylist() for name, rows in built.items()}


def load(folder: Path, records: dict[str, list[dict[str, Any]]]) -> Tables:
    """Load records through the last pipe step of their resources; return the tables."""
    name = f"rows_{next(_numbers)}"
    database = folder / f"{name}.duckdb"
    pipeline = dlt.pipeline(
        name,
        pipelines_dir=str(folder / "dlt"),
        destination=dlt.destinations.duckdb(str(database)),
        dataset_name="tracker",
    )
    runs: list[Extraction] = []

    def run() -> Extraction:
        if not runs:
            runs.append(Extraction({table.name: table for table in LOADED}))
        return runs[0]

    def resource_of(table: Table) -> DltResource:
        made = dlt.resource([records[table.name]], name=table.name)
        made.apply_hints(**root_hints(table))
        return made.add_step(ToTables(table.name, run))

    # kept open, as the command does: dlt opens it for each job otherwise
    with duckdb.connect(str(database)) as connection:
        pipeline.run(list(map(resource_of, LOADED)))
        return tables_in(connection)


_numbers = itertools.count()


def batches(table: Table) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Draw records of a table with unique keys."""
    return st.lists(
        records(table), min_size=5, max_size=30, unique_by=lambda record: record[table.key[0]]
    )


def test_arrow_and_normalizer_give_the_same_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @settings(
        max_examples=2,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.fixed_dictionaries({table.name: batches(table) for table in LOADED}))
    def compare(given: dict[str, list[dict[str, Any]]]) -> None:
        of_project = {
            name: [{"project_id": 5, **record} for record in records]
            for name, records in given.items()
        }
        by_column = load(tmp_path, of_project)
        with monkeypatch.context() as patch:
            patch.setattr(arrow, "arrow_tables", _refuse)
            one_by_one = load(tmp_path, of_project)
        assert_tables_equal(by_column, one_by_one)
        expected: Tables = {}
        for name, records in of_project.items():
            expected |= expected_tables(name, records)
        assert_tables_equal(by_column, {name: rows for name, rows in expected.items() if rows})

    compare()


def _refuse(*_: Any) -> dict[str, pa.Table]:
    raise MisfitError("use the normalizer")


@pytest.mark.parametrize(
    "record",
    [
        {"id": 1, "mood": "good"},
        {"id": 1, "name": 7},
        {"id": 1.5},
        {"id": 1, "counts": {"kind": "x", "mood": "good"}},
        {"id": 1, "counts": "many"},
        {"id": 1, "_deleted": True},
    ],
    ids=str,
)
def test_undeclared_values_are_not_converted_to_arrow(record: dict[str, Any]) -> None:
    with pytest.raises(CONVERSION_ERRORS):
        arrow_rows_of(tables.LABELS, [{"id": 2, "name": "a"}, record])


@pytest.mark.parametrize(
    "child", [None, 7, "x", "", [], {"id": 2, "mood": 1}, {"id": None}], ids=str
)
def test_undeclared_child_values_are_not_converted_to_arrow(child: Any) -> None:
    story = {"id": 1, "project_id": 5, "tasks": [{"id": 3}, child]}
    with pytest.raises(CONVERSION_ERRORS):
        arrow_rows_of(tables.STORIES, [story])


def test_story_with_a_decimal_number_as_an_owner_is_rejected() -> None:
    story = {"id": 1, "project_id": 5, "owner_ids": [7, 1.5]}
    with pytest.raises(CONVERSION_ERRORS):
        arrow_rows_of(tables.STORIES, [story])
    builder = RowBuilder(tables.STORIES)
    builder.add(story, row_id(story))
    with pytest.raises(RejectedError, match=r"stories__owner_ids is '1\.5'"):
        builder.items()


@pytest.mark.parametrize("build", [rows_of, arrow_rows_of])
def test_child_rows_have_the_ids_of_their_parents(build: Callable[..., Tables]) -> None:
    attachment = {"id": 3, "filename": "a.png"}
    story = {
        "id": 1,
        "project_id": 5,
        "owner_ids": [7, 8],
        "comments": [{"id": 2, "file_attachments": [attachment]}],
    }
    got, key = build(tables.STORIES, [story]), row_id(story)
    assert _without_nulls(got["stories__owner_ids"][1]) == {
        "value": 8,
        "story_id": 1,
        "project_id": 5,
        "_dlt_parent_id": key,
        "_dlt_list_idx": 1,
        "_dlt_id": f"{key}.1",
    }
    assert [_without_nulls(row) for row in got["stories__comments__file_attachments"]] == [
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


def _without_nulls(row: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in row.items() if v is not None and k != "_dlt_load_id"}


@pytest.mark.parametrize("build", [rows_of, arrow_rows_of])
def test_child_rows_keep_their_own_parent_id_unless_it_is_null(
    build: Callable[..., Tables],
) -> None:
    tasks = [{"id": 2, "story_id": 9}, {"id": 3, "story_id": None}, {"id": 4}]
    rows = build(tables.STORIES, [{"id": 1, "project_id": 5, "tasks": tasks}])["stories__tasks"]
    assert [(row["id"], row["story_id"]) for row in rows] == [(2, 9), (3, 1), (4, 1)]


def test_conversion_does_not_change_records() -> None:
    story = {"id": 1, "labels": [{"id": 2}], "cycle_time_details": {"story_id": 1}}
    before = repr(story)
    rows_of(tables.STORIES, [story])
    arrow_rows_of(tables.STORIES, [story])
    assert repr(story) == before


def test_secrets_are_left_out_at_any_depth() -> None:
    attachment = {"id": 1, "big_url": "https://signed", "thumbnail_url": "https://signed"}
    change = {"kind": "comment", "new_values": {"file_attachments": [attachment]}}
    record = {"guid": "1_1", "api_token": "secret", "changes": [change]}
    got = rows_of(tables.ACTIVITY, [record])
    assert "secret" not in repr(got)
    assert "signed" not in repr(got)
    assert without_secrets([{"x": {"big_url": 1, "id": 2}}]) == [{"x": {"id": 2}}]


def test_litetracker_field_names_are_mapped() -> None:
    story = {
        "id": 1,
        "title": "As a rider",
        "owners": [{"id": 90, "user_id": 7, "name": "Ann", "initials": "A"}],
        "owner_ids": [90],
    }
    assert from_litetracker(story) == {"id": 1, "name": "As a rider", "owner_ids": [7]}
    assert from_litetracker(story | {"owners": []})["owner_ids"] == []
    assert from_litetracker({"id": 1, "name": "n"}) == {"id": 1, "name": "n"}


def test_times_in_milliseconds_are_converted() -> None:
    builder = RowBuilder(tables.LABELS)
    builder.add({"id": 1, "created_at": 1_393_744_265_000}, "hash")
    (row,) = builder.items()["labels"]
    assert row["created_at"] == datetime(2014, 3, 2, 7, 11, 5, tzinfo=UTC)
