"""A served workspace and the destination that it is loaded into, compared after each run."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import dlt
import duckdb
from dlt.common.typing import TRefreshMode

from pivotal_tracker import DERIVED_RESOURCES, pivotal_tracker_source
from tracker_server import TrackerServer
from tracker_server.sample import generate_workspace
from tracker_server.workspace import Workspace

from .command import Command
from .truth import (
    APPEND_ONLY_TABLES,
    DERIVED_TABLES,
    Tables,
    assert_tables_equal,
    comparable,
    served_tables,
    tables_in,
)


@dataclass
class Mirror:
    """A served workspace and the DuckDB database that it is loaded into, run after run.

    Attributes:
        workspace: The workspace.
        folder: The pipeline's working folder and the database are in it.
        server: The server of the workspace.
        seen: Ids of records and their projects at the last comparison, by table.
        dataset: The dataset.
    """

    workspace: Workspace
    folder: Path
    server: TrackerServer
    seen: dict[str, set[tuple[int, int]]] = field(default_factory=dict)
    dataset: str = "tracker"
    _connection: duckdb.DuckDBPyConnection | None = None

    def load(
        self, *resources: str, refresh: TRefreshMode | None = None, **options: Any
    ) -> dict[str, dict[str, Any]]:
        """Run the source in a pipeline; return the metrics of each resource."""
        pipeline = dlt.pipeline(
            "pivotal_tracker",
            destination=dlt.destinations.duckdb(str(self.database)),
            dataset_name=self.dataset,
            pipelines_dir=str(self.folder / "pipelines"),
        )
        source = pivotal_tracker_source(
            api_token=self.workspace.me["api_token"], base_url=self.server.url, **options
        )
        if resources and not refresh:
            # as the command selects them
            resources = (*resources, *DERIVED_RESOURCES)
        self.server.requests.clear()
        self._connect()
        pipeline.run(
            source.with_resources(*resources) if resources else source,
            loader_file_format="parquet",
            refresh=refresh,
        )
        info = pipeline.last_trace.last_extract_info
        return {
            name: metrics.custom_metrics
            for steps in info.metrics.values()
            for step in steps
            for name, metrics in step["resource_metrics"].items()
        }

    def _connect(self) -> duckdb.DuckDBPyConnection:
        """Keep the file open, as the command does: dlt would open it for each job.

        It stays open over all runs, because DuckDB writes its log into the file on closing.
        """
        if self._connection is None:
            self._connection = duckdb.connect(str(self.database))
            self._connection.execute("PRAGMA disable_checkpoint_on_shutdown")
        return self._connection

    def close(self) -> None:
        """Close the file, after writing everything into it."""
        if self._connection is not None:
            self._connection.execute("CHECKPOINT")
            self._connection.close()
            self._connection = None

    @property
    def database(self) -> Path:
        return self.folder / "loaded.duckdb"

    def tables(self) -> Tables:
        return tables_in(self._connect(), self.dataset)

    def truth(self) -> Tables:
        return served_tables(self.server)

    def assert_exact(self, *resources: str) -> None:
        """Assert that the tables equal a fresh load; append-only tables may have more rows.

        Args:
            resources: Compare only their tables, and all append-only ones; default: all tables.
        """
        loaded, truth = self.tables(), self.truth()
        assert_tables_equal(
            self._comparable_tables(loaded, resources), self._comparable_tables(truth, resources)
        )
        for name in APPEND_ONLY_TABLES - DERIVED_TABLES:
            assert set(comparable(truth.get(name, []))) <= set(comparable(loaded[name])), name
        guids = [row["guid"] for row in loaded["activity"]]
        assert len(guids) == len(set(guids))
        self._assert_people(loaded, truth)
        self._assert_deletions(loaded, truth)

    def _comparable_tables(self, tables: Tables, resources: tuple[str, ...]) -> Tables:
        """Return the rows of existing projects: rows of deleted projects are kept as they were."""
        projects = {*self.workspace.projects, None}
        return {
            name: [
                row
                for row in rows
                if row.get("id" if name == "projects" else "project_id") in projects
            ]
            for name, rows in tables.items()
            if name not in APPEND_ONLY_TABLES
            and (not resources or name.split("__")[0] in resources)
        }

    def _assert_people(self, loaded: Tables, truth: Tables) -> None:
        people = {row["id"]: row for row in loaded["people"]}
        assert len(people) == len(loaded["people"])
        for person in truth["people"]:
            values = {name: value for name, value in person.items() if value is not None}
            assert values.items() <= people[person["id"]].items()

    def _assert_deletions(self, loaded: Tables, truth: Tables) -> None:
        logged = {(r["kind"], r["id"], r["project_id"]) for r in loaded["deleted_records"]}
        assert len(logged) == len(loaded["deleted_records"])
        assert {(r["kind"], r["id"], r["project_id"]) for r in truth["deleted_records"]} <= logged
        for name, kind in (("stories", "story"), ("epics", "epic"), ("labels", "label")):
            before = self.seen.get(name, set())
            now = {(row["id"], row["project_id"]) for row in truth[name]}
            deleted = {key for key in before - now if key[1] in self.workspace.projects}
            assert {(kind, *key) for key in deleted} <= logged
            self.seen[name] = now


@dataclass
class CommandMirror(Mirror):
    """A served workspace, and the destination that the command loads it into."""

    command: Command = field(kw_only=True)
    options: tuple[str, ...] = field(kw_only=True)
    env: Mapping[str, str] = field(kw_only=True)
    read: Callable[[], Tables] = field(kw_only=True)

    def run(self, *options: str) -> CompletedProcess[str]:
        """Run the command, which must succeed."""
        self.server.requests.clear()
        result = self.command(*self.options, *options, env=self.env)
        assert result.returncode == 0, result.stderr
        assert "Traceback" not in result.stderr
        return result

    def tables(self) -> Tables:
        return self.read()


def make_workspace() -> Workspace:
    """Generate three projects with a few stories each."""
    return generate_workspace(projects=3, stories=20, activity=60, seed=7)


@contextlib.contextmanager
def copied_mirror(first_load: Mirror, workspace: Workspace, folder: Path) -> Iterator[Mirror]:
    """Copy a load into a new folder, and serve the same workspace again."""
    shutil.copytree(first_load.folder, folder, dirs_exist_ok=True)
    with TrackerServer(workspace) as server:
        yield Mirror(workspace, folder, server, dict(first_load.seen))
