"""The source loads recorded traffic: our own, and that of the original service."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dlt
import pytest

from pivotal_tracker import pivotal_tracker_source
from pivotal_tracker.api.client import TrackerClient
from pivotal_tracker.settings import Endpoint

from ..support.cassettes import CASSETTES, bodies, join_cassettes, recorder
from ..support.recorded import PROJECT_ID, RECORDED, recorded
from ..support.truth import (
    DERIVED_TABLES,
    Tables,
    assert_tables_equal,
    expected_tables,
    loaded_tables,
)

UNUSED_URL = "http://127.0.0.1:9/services/v5"

needs_recordings = pytest.mark.skipif(
    not RECORDED.is_dir(), reason=f"needs the real recordings, which are not here: {RECORDED}"
)


def load(cassette: Path, folder: Path, resources: Sequence[str] = (), **options: Any) -> Tables:
    """Load from a cassette instead of a server; return the tables."""
    database = folder / "replayed.duckdb"
    pipeline = dlt.pipeline(
        "replayed",
        pipelines_dir=str(folder / "dlt"),
        destination=dlt.destinations.duckdb(str(database)),
        dataset_name="tracker",
    )
    source = pivotal_tracker_source(api_token="replayed", base_url=UNUSED_URL, **options)
    with recorder().use_cassette(str(cassette), allow_playback_repeats=True):
        pipeline.run(
            source.with_resources(*resources) if resources else source,
            loader_file_format="parquet",
        )
    return {n: rows for n, rows in loaded_tables(database).items() if n not in DERIVED_TABLES}


def test_own_recording_is_loaded_completely(tmp_path: Path) -> None:
    cassette = CASSETTES / "workspace.yaml"
    names = ("stories", "epics", "labels", "project_memberships", "releases", "activity")
    loaded = load(cassette, tmp_path, ["projects", *names])
    (projects,) = bodies(cassette, "/services/v5/projects")
    expected = expected_tables("projects", projects)
    paths = {"project_memberships": "memberships"}
    for project in projects:
        root = f"/services/v5/projects/{project['id']}"
        for name in names:
            for page in bodies(cassette, f"{root}/{paths.get(name, name)}"):
                records = [{"project_id": project["id"], **record} for record in page]
                for table, rows in expected_tables(name, records).items():
                    expected.setdefault(table, []).extend(rows)
    assert_tables_equal(loaded, expected)


def test_own_recording_contains_no_token() -> None:
    text = (CASSETTES / "workspace.yaml").read_text()
    assert "X-TrackerToken" in text
    assert text.count("X-TrackerToken") == text.count("- REDACTED")


@needs_recordings
def test_original_responses_are_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Request complete lists with the parameters of the recordings."""
    monkeypatch.setattr(
        "pivotal_tracker.extract.projects.PROJECTS",
        Endpoint(
            "projects",
            (
                ":default",
                "account",
                "current_velocity",
                "labels(name)",
                "epics(:default,label(name))",
            ),
        ),
    )
    monkeypatch.setattr(
        "pivotal_tracker.sources.PROJECT_ENDPOINTS",
        {
            "stories": Endpoint("projects/{id}/stories", limit=300),
            "epics": Endpoint("projects/{id}/epics"),
            "labels": Endpoint("projects/{id}/labels"),
            "releases": Endpoint("projects/{id}/releases"),
            "activity": Endpoint("projects/{id}/activity"),
        },
    )
    names = ("projects", "stories_in_pages_of_7", "epics", "labels", "releases", "activity")
    cassette = join_cassettes(
        tmp_path / "joined.yaml", *(RECORDED / f"{name}.yaml" for name in names)
    )
    resources = ["projects", "stories", *names[2:]]
    loaded = load(cassette, tmp_path, resources, comments_one_by_one=False)
    expected: Tables = {}
    for name in ("epics", "labels", "releases", "activity"):
        records = [{"project_id": PROJECT_ID, **r} for r in recorded(name, name)]
        expected |= expected_tables(name, records)
    stories = recorded("stories_in_pages_of_7", "stories", limit="300")
    expected |= expected_tables("stories", stories)
    (projects,) = bodies(RECORDED / "projects.yaml", "/services/v5/projects")
    expected |= expected_tables("projects", projects)
    assert_tables_equal(loaded, expected)


@needs_recordings
def test_original_pages_are_read_to_the_end() -> None:
    endpoint = Endpoint("projects/{id}/stories", limit=7)
    client = TrackerClient(UNUSED_URL, "replayed")
    with recorder().use_cassette(str(RECORDED / "stories_in_pages_of_7.yaml")):
        first = client.page(endpoint, id=PROJECT_ID)
        stories = client.records(first)
        for offset in first.next_offsets(len(stories)):
            stories += client.records(client.page(endpoint, offset, id=PROJECT_ID))
    whole = recorded("stories_in_pages_of_7", "stories", limit="300")
    assert [story["id"] for story in stories] == [story["id"] for story in whole]
