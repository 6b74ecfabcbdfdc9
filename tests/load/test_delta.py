"""The command with Delta tables: exact after the first load, changes and deletions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tracker_server import TrackerServer

from ..support.changes import apply_mixed_changes
from ..support.command import Command
from ..support.mirror import CommandMirror
from ..support.truth import Tables

deltalake = pytest.importorskip("deltalake")
pytestmark = pytest.mark.integration


def delta_tables(folder: Path) -> Tables:
    """Return every row of every Delta table in a folder, with JSON columns parsed."""
    tables = {
        table.name: deltalake.DeltaTable(str(table)).to_pyarrow_table().to_pylist()
        for table in folder.iterdir()
        if (table / "_delta_log").is_dir()
    }
    for row in tables.get("activity__changes", ()):
        for name in ("new_values", "original_values"):
            row[name] = None if row[name] is None else json.loads(row[name])
    return tables


@pytest.fixture
def mirror(command: Command, server: TrackerServer, tmp_path: Path) -> CommandMirror:
    lake = tmp_path / "lake"
    return CommandMirror(
        server.workspace,
        command.folder,
        server,
        command=command,
        options=("--destination", "filesystem", "--table-format", "delta"),
        env={"DESTINATION__FILESYSTEM__BUCKET_URL": str(lake)},
        read=lambda: delta_tables(lake / "tracker"),
    )


def test_delta_tables_are_exact_after_changes(mirror: CommandMirror) -> None:
    result = mirror.run()
    assert "WARNING" not in result.stderr
    mirror.assert_exact()

    apply_mixed_changes(mirror.workspace)
    # dlt's state is read from the destination
    mirror.command.folder.joinpath("dlt").rename(mirror.command.folder / "moved")
    mirror.run()
    mirror.assert_exact()
    assert any(row.get("mood") == "fine" for row in mirror.tables()["stories"])

    # the format of an existing table is known
    mirror.options = ("--destination", "filesystem")
    mirror.run("--full-refresh", "--resource", "stories", "epics")
    mirror.assert_exact()


def test_iceberg_is_rejected_before_loading(
    command: Command, server: TrackerServer, tmp_path: Path
) -> None:
    script = (
        "import dlt\n"
        "from pivotal_tracker import pivotal_tracker_source\n"
        "pipeline = dlt.pipeline('lake', destination='filesystem', dataset_name='tracker')\n"
        "pipeline.run(pivotal_tracker_source(), table_format='iceberg')"
    )
    env = {"DESTINATION__FILESYSTEM__BUCKET_URL": str(tmp_path / "lake")}
    result = command.python(script, env)
    assert result.returncode == 1
    assert "dlt cannot delete rows in iceberg" in result.stderr
    assert "--table-format delta" not in result.stderr
    assert 'table_format="delta"' in result.stderr
    assert not (tmp_path / "lake" / "tracker" / "stories").exists()
