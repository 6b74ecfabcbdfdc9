"""The dbt package builds on loaded data, and its tests find invalid data."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import duckdb
import pytest

from pivotal_tracker.views.sql_files import templates

from ..support.command import ROOT
from .conftest import Tool

pytestmark = pytest.mark.integration

METRICS = sorted(name for name, template in templates().items() if not template.is_helper)
WITH_FILES = ("--vars", "pivotal_tracker_has_files: true")


def dbt(run: Tool, command: str, database: Path, *options: str) -> tuple[int, dict[str, str]]:
    """Run dbt, with warnings as errors.

    Returns:
        The exit code, and the status of every model and test by its name.
    """
    folder = database.parent / "dbt"
    done = run(
        "dbt",
        *("--warn-error", "--quiet", command, *options, "--project-dir", str(ROOT / "dbt")),
        *("--profiles-dir", str(ROOT / "dbt"), "--target-path", str(folder)),
        *("--log-path", str(folder)),
        PIVOTAL_TRACKER_DUCKDB=str(database),
    )
    results = folder / "run_results.json"
    assert results.exists(), done.stdout + done.stderr
    found = json.loads(results.read_text())["results"]
    return done.returncode, {r["unique_id"].split(".")[2]: r["status"] for r in found}


def copy_database(database: Path, folder: Path) -> Path:
    """Copy a database for dbt to write to."""
    return shutil.copy(database, folder / "copy.duckdb")


def assert_models_equal_views(database: Path) -> None:
    with duckdb.connect(str(database)) as connection:
        for name in METRICS:
            rows = Counter(connection.query(f"FROM tracker.{name}").fetchall())
            assert Counter(connection.query(f"FROM tracker_models.{name}").fetchall()) == rows, name


def test_dbt_build_on_the_sample(docs_tool: Tool, sample_database: Path, tmp_path: Path) -> None:
    database = copy_database(sample_database, tmp_path)
    code, results = dbt(docs_tool, "build", database)
    assert (code, set(results.values())) == (0, {"success", "pass"}), results
    assert len(results) > 230
    assert results.keys() >= {*METRICS, "stg_pivotal_tracker__stories__comments"}
    assert_models_equal_views(database)


def test_dbt_build_on_a_csv_export(docs_tool: Tool, export_database: Path, tmp_path: Path) -> None:
    database = copy_database(export_database, tmp_path)
    code, results = dbt(docs_tool, "build", database, *WITH_FILES)
    assert (code, set(results.values())) == (0, {"success", "pass"}), results
    assert "stg_pivotal_tracker__load_report" in results
    assert_models_equal_views(database)


def test_dbt_tests_find_invalid_data(
    docs_tool: Tool, export_database: Path, tmp_path: Path
) -> None:
    database = copy_database(export_database, tmp_path)
    with duckdb.connect(str(database)) as connection:
        connection.execute("USE tracker")
        connection.execute("INSERT INTO stories BY NAME (SELECT * FROM stories LIMIT 1)")
        connection.execute("DELETE FROM stories WHERE id = (SELECT max(id) FROM stories)")
        connection.execute("UPDATE stories SET current_state = 'done' WHERE story_type = 'bug'")
        connection.execute("ALTER TABLE stories__tasks ALTER COLUMN id DROP NOT NULL")
        connection.execute("UPDATE stories__tasks SET id = NULL WHERE _dlt_list_idx = 0")
        connection.execute("DELETE FROM people")
    tables = ("stories", "stories__tasks")
    selected = " ".join(f"source:pivotal_tracker.{table}" for table in tables)
    code, results = dbt(docs_tool, "test", database, "--select", selected)
    wrong = {name for name, status in results.items() if status not in ("pass", "success")}
    assert code == 1
    prefix = "source_{}_pivotal_tracker_stories_"
    assert wrong >= {
        prefix.format("unique") + "id",
        prefix.format("not_null") + "_tasks_id",
    }
    assert any(name.startswith("source_accepted_values") for name in wrong)
    assert any("relationships" in name and "people" in name for name in wrong)
    assert any("relationships" in name and name.endswith("stories_") for name in wrong)


def test_dbt_source_freshness_warns_of_an_old_load(
    docs_tool: Tool, sample_database: Path, tmp_path: Path
) -> None:
    database = copy_database(sample_database, tmp_path)
    with duckdb.connect(str(database)) as connection:
        connection.execute("UPDATE tracker._dlt_loads SET inserted_at = '2025-01-01'")
    folder = str(tmp_path / "freshness")
    done = docs_tool(
        *("dbt", "source", "freshness", "--project-dir", str(ROOT / "dbt")),
        *("--profiles-dir", str(ROOT / "dbt"), "--target-path", folder, "--log-path", folder),
        PIVOTAL_TRACKER_DUCKDB=str(database),
    )
    assert done.returncode == 0, done.stdout
    assert "WARN freshness of pivotal_tracker._dlt_loads" in done.stdout
