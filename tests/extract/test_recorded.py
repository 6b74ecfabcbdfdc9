"""Recorded responses of the original service, served and loaded by the command."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tracker_server import TrackerServer
from tracker_server.workspace import Workspace

from ..support.command import Command
from ..support.recorded import RECORDED, recorded, recorded_records, recorded_workspace
from ..support.truth import Record, comparable, expected_tables

pytestmark = pytest.mark.skipif(
    not RECORDED.is_dir(), reason=f"needs the real recordings, which are not here: {RECORDED}"
)


def test_every_recorded_value_is_loaded(
    command: Command, serve: Callable[[Workspace], TrackerServer]
) -> None:
    serve(recorded_workspace())
    result = command()
    assert result.returncode == 0, result.stderr

    loaded = command.tables()
    records = recorded_records()
    assert len(loaded["stories"]) == 70
    assert len(loaded["activity"]) == 81
    for activity in records["activity"]:
        activity["project_id"] = activity["project"]["id"]
    for table, rows in records.items():
        for name, expected in expected_tables(table, rows).items():
            recorded_rows = _only_recorded_attributes(loaded[name], expected, table == name)
            assert comparable(recorded_rows) == comparable(expected), name


def _only_recorded_attributes(
    loaded: list[Record], expected: list[Record], has_key: bool
) -> list[Record]:
    """Keep the attributes that were recorded: no story was recorded completely."""
    if not has_key:
        return loaded
    key = "guid" if "guid" in expected[0] else "id"
    attributes = {row[key]: row.keys() for row in expected}
    return [
        {name: value for name, value in row.items() if name in attributes[row[key]]}
        for row in loaded
    ]


def test_recorded_releases_are_loaded(
    command: Command, serve: Callable[[Workspace], TrackerServer]
) -> None:
    serve(recorded_workspace())
    result = command("--resource", "releases")
    assert result.returncode == 0, result.stderr
    releases = recorded("releases", "releases")
    columns = set().union(*releases)
    assert comparable(
        {k: v for k, v in row.items() if k in columns} for row in command.tables()["releases"]
    ) == comparable(expected_tables("releases", releases)["releases"])
