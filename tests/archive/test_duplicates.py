"""The best copy of a record is found, in any order."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pivotal_tracker.archive import DuplicateIndex, count_values, rank_of
from pivotal_tracker.archive.duplicates import NO_TIME, to_epoch_micros
from pivotal_tracker.records import record_key
from pivotal_tracker.tables import ACTIVITY, ITERATIONS, STORIES

TIMES = [None, "2024-01-31T12:00:00Z", "2024-01-31T12:00:00.5Z", "2024-01-31T14:00:00+02:00"]
SOURCES = ["a.json", "shop_20240101_0000.csv", "shop_20240201_0000.zip/shop_20240201_0000.csv"]
COPIES = st.lists(
    st.tuples(
        st.integers(1, 3),
        st.sampled_from(TIMES),
        st.sampled_from(SOURCES),
        st.lists(st.integers(), max_size=2),
    ),
    max_size=12,
)


@given(COPIES)
def test_best_copy_is_found_in_any_order(
    copies: list[tuple[int, str | None, str, list[int]]],
) -> None:
    index = DuplicateIndex()
    best: dict[int, tuple[Any, int, str]] = {}
    for place, (key, updated_at, source, ids) in enumerate(copies):
        rank = rank_of({"id": key, "updated_at": updated_at, "owner_ids": ids}, source)
        index.add("stories", key, rank, place, source)
        if key not in best or rank > best[key][0]:
            best[key] = (rank, place, source)
    for key, (rank, place, source) in best.items():
        assert index.best("stories", key) == (place, rank.updated_at, source)
    index.close()


def test_keys_of_different_types_are_distinguished() -> None:
    index = DuplicateIndex()
    keys = [1, "1", (1, 1), (1, "1"), 2**70, -(2**63), "it's"]
    assert index.add_keys("stories", keys) == []
    assert index.add_keys("epics", [1]) == []
    assert index.add_keys("stories", ["new", *keys, "newer"]) == keys
    index.close()


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("1970-01-01T00:00:01Z", 1_000_000),
        ("1970-01-01T02:00:01+02:00", 1_000_000),
        ("1970-01-01T00:00:01.5", 1_500_000),
        (1000, 1_000_000),
        (datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), 1_000_000),
        *((wrong, NO_TIME) for wrong in (None, "soon", True, 2**80, [], "9999-99-99")),
    ],
)
def test_times_are_converted_to_epoch_microseconds(written: Any, expected: int) -> None:
    assert to_epoch_micros(written) == expected


def test_values_of_a_record_are_counted_without_nulls() -> None:
    record = {
        "id": 1,
        "name": None,
        "_source": "a.json",
        "label": {"id": 2, "name": "web"},
        "comments": [{"id": 3, "file_attachments": [{"id": 4}, None]}, None],
        "big_url": "https://…",
    }
    assert count_values(record) == 5


@pytest.mark.parametrize("wrong", [None, True, False, 1.0, "1", 2**63, [1], {}])
def test_invalid_keys_are_null(wrong: Any) -> None:
    assert record_key(STORIES, {"id": wrong}) is None
    assert record_key(ITERATIONS, {"project_id": 1, "number": wrong}) is None
    assert record_key(ITERATIONS, {"project_id": 1, "number": 2}) == (1, 2)
    assert record_key(ACTIVITY, {"guid": "1_2"}) == "1_2"
    assert record_key(ACTIVITY, {"guid": 1}) is None
