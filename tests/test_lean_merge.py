"""dlt's merges into DuckDB, made to find copies by their keys alone: the same rows are left."""

from __future__ import annotations

import duckdb
import pytest
from dlt.destinations.sql_jobs import SqlMergeFollowupJob

from pivotal_tracker.command.lean_merge import LeanMergeJob

ROWS = (
    "(1, 'a', 1, NULL), (1, 'a', 2, NULL), (1, 'b', 3, true), (NULL, 'a', 4, NULL), "
    "(2, 'a', 5, NULL)"
)


@pytest.mark.parametrize("condition", [None, "deleted IS NULL"])
@pytest.mark.parametrize("key", [["id"], ["id", "part"]])
def test_one_row_of_each_key_is_left(key: list[str], condition: str | None) -> None:
    found = []
    for job in (SqlMergeFollowupJob, LeanMergeJob):
        query = job.gen_select_from_dedup_sql(
            "staged", key, ["id", "part", "deleted"], condition=condition
        )
        with duckdb.connect() as connection:
            connection.execute("CREATE TABLE staged (id INT, part TEXT, place INT, deleted BOOL)")
            connection.execute(f"INSERT INTO staged VALUES {ROWS}")  # noqa: S608 - ours
            found.append(sorted(map(str, connection.execute(query).fetchall())))
    assert found[0] == found[1]
    assert len(found[0]) >= 2


def test_what_is_sorted_or_without_copies_is_merged_as_ever() -> None:
    for job in (SqlMergeFollowupJob, LeanMergeJob):
        sorted_by = job.gen_select_from_dedup_sql("staged", ["id"], ["id"], ("place", "desc"))
        assert "ORDER BY place DESC" in sorted_by
        assert "rowid" not in job.gen_select_from_dedup_sql(
            "staged", ["id"], ["id"], skip_dedup=True
        )
