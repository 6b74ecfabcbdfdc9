"""Random edits, runs and server faults lose no row and duplicate none.

Every run is the command. `make fuzz` runs it for as long as you like: `FUZZ_EXAMPLES` is the number
of sequences for each destination; Ctrl-C ends it and prints how many there were.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import duckdb
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from tracker_server import Behaviour
from tracker_server.faults import (
    ByteOrderMark,
    DeepValue,
    EmptyList,
    EmptyPage,
    Fault,
    HtmlPage,
    InflatedTotal,
    InvalidUtf8,
    LongNumber,
    MissingRows,
    SetAttribute,
    ShortLaterPages,
    Status,
    WrongTotal,
)

from ..support.changes import RandomChanges
from ..support.command import Command, new_command, serving
from ..support.destinations import postgres_tables
from ..support.forking import ForkServer
from ..support.kill import (
    ENDED,
    EXTRACTED,
    LOADED,
    NORMALIZED,
    NORMALIZING,
    REQUESTS,
    KillPoint,
)
from ..support.mirror import Mirror, make_workspace
from ..support.postgres import drop_database, new_database, postgres_server
from ..support.truth import Tables, tables_in

__all__ = ["postgres_server"]

LISTS = ("stories", "epics", "labels", "memberships", "releases", "iterations", "accounts")
KEYS = {
    "stories": "id",
    "epics": "id",
    "labels": "id",
    "project_memberships": "id",
    "accounts": "id",
    "people": "id",
    "activity": "guid",
}
SMALL_PAGES = {"stories": 4, "iterations": 5, "activity": 9, "releases": 2}

FAULTS: list[Callable[[], Fault]] = [
    lambda: EmptyList(),
    lambda: EmptyList(times=1),
    lambda: EmptyPage(),
    lambda: EmptyPage(times=None),
    # of a list that loses fewer than ten rows, and keeps some, this is plausible
    lambda: MissingRows(share=0.95),
    lambda: ShortLaterPages(limit=2),
    lambda: InflatedTotal(),
    lambda: WrongTotal(None),
    lambda: WrongTotal(10**19),
    lambda: WrongTotal(1),
    *(lambda status=status: Status(status) for status in (204, 402, 403, 404, 405, 410, 418, 500)),
    lambda: HtmlPage(),
    lambda: ByteOrderMark(),
]
BAD_VALUES: list[Callable[[set[int]], Fault]] = [
    lambda ids: SetAttribute(attribute="id", value="abc", record_ids=ids),
    lambda ids: SetAttribute(attribute="ID", value=5, record_ids=ids),
    lambda ids: SetAttribute(attribute="projectId", value=77, record_ids=ids),
    lambda ids: SetAttribute(attribute="estimate", value="abc", record_ids=ids),
    lambda ids: SetAttribute(attribute="comments.0.id", value="abc", record_ids=ids),
    lambda ids: DeepValue(attribute="name", record_ids=ids),
    lambda ids: LongNumber(record_ids=ids),
    lambda ids: InvalidUtf8(record_ids=ids),
]
KILL_POINTS = [
    *(KillPoint(REQUESTS, number) for number in (1, 5, 12, 20, 30)),
    *(KillPoint(EXTRACTED, number) for number in (1, 4)),
    *(KillPoint(NORMALIZING, number) for number in (1, 6)),
    KillPoint(NORMALIZED, 1),
    *(KillPoint(LOADED, number) for number in (1, 2, 4, 8, 14)),
    KillPoint(ENDED, 1),
]


@dataclass
class FuzzMirror(Mirror):
    """A served workspace and the destination that the command loads it into, run after run.

    Attributes:
        command: The command.
        options: The options of each run.
        env: The variables of each run.
        read: Returns the tables of a dataset.
        exit_code: How the last run ended.
        reason: Why it failed, if it did.
    """

    command: Command = field(kw_only=True)
    options: tuple[str, ...] = field(kw_only=True)
    env: Mapping[str, str] = field(kw_only=True)
    read: Callable[[str], Tables] = field(kw_only=True)
    exit_code: int = 0
    reason: str | None = None

    def line(
        self,
        *resources: str,
        full_refresh: bool = False,
        project_ids: list[int] | None = None,
        accept_deletions: list[str] | None = None,
        shard: str = "",
    ) -> list[str]:
        """Return the options of a run."""
        line = [*self.options, "--dataset", self.dataset, "--summary", "summary.json"]
        line += ["--full-refresh"] if full_refresh else []
        line += ["--shard", shard] if shard else []
        for name, values in (
            ("--resource", resources),
            ("--project", project_ids),
            ("--accept-deletions", accept_deletions),
        ):
            line += [name, *map(str, values)] if values else []
        return line

    def load(self, *resources: str, **options: Any) -> dict[str, dict[str, Any]]:
        """Run the command; return which rows each resource kept, as its metrics have it."""
        result = self.command(*self.line(*resources, **options), env=self.env)
        self.exit_code = result.returncode
        assert result.returncode in (0, 1, 3), result.stderr
        assert "Traceback" not in result.stderr, result.stderr
        summary = json.loads((self.folder / "summary.json").read_text())
        self.reason = summary["reason"]
        metrics: dict[str, dict[str, Any]] = {}
        for kept in summary.get("kept", ()):
            metrics.setdefault(kept["table"], {"kept": {}})["kept"][kept["project"]] = kept
        return metrics

    def tables(self) -> Tables:
        return self.read(self.dataset)


class FaultyServerChanges(RandomChanges):
    """Random changes, loads and kills, and a server that gives wrong responses."""

    start: ClassVar[Callable[[ExitStack, Path], FuzzMirror]]
    sequences: ClassVar[Counter[str]] = Counter()
    mirror: FuzzMirror

    @initialize(seed=st.integers(0, 1_000))
    def begin(self, seed: int) -> None:
        self.parent = Path(tempfile.mkdtemp())
        self.exit_stack = ExitStack()
        self.mirror = type(self).start(self.exit_stack, self.parent / "run")
        self.folder, self.server = self.mirror.folder, self.mirror.server
        self.workspace = self.mirror.workspace
        self.rng = random.Random(seed)
        self.seen: dict[str, dict[str, set[tuple[int, int]]]] = {}

    def teardown(self) -> None:
        """Load the last changes."""
        if not hasattr(self, "exit_stack"):
            return
        try:
            with self.exit_stack:
                self.server.behaviour = Behaviour()
                self.load(full_refresh=False)
        finally:
            shutil.rmtree(self.parent)
        name = type(self).__name__
        self.sequences[name] += 1
        sys.stdout.write(f"{name}: {self.sequences[name]} sequences\n")

    @rule()
    def delete_working_folder(self) -> None:
        shutil.rmtree(self.folder / "dlt", ignore_errors=True)

    def _assert_nothing_lost(self, before: Tables) -> None:
        """Assert that rows which the server has and were loaded are still there, once."""
        behaviour, self.server.behaviour = self.server.behaviour, Behaviour()
        try:
            after, truth = self.mirror.tables(), self.mirror.truth()
        finally:
            self.server.behaviour = behaviour
        for table, key in KEYS.items():
            there = {row[key] for row in truth[table]}
            kept = {row[key] for row in before.get(table, [])} & there
            assert kept <= {row[key] for row in after.get(table, [])}, table
        assert_no_duplicates(after)

    def _load_with_faults(self, faults: list[Fault], *resources: str, **options: Any) -> None:
        """Load from a server with faults, which may fail the run."""
        before, behaviour = self.mirror.tables(), self.server.behaviour
        self.server.behaviour = Behaviour(max_limits=SMALL_PAGES, faults=faults)
        try:
            self.mirror.load(*resources, **options)
        finally:
            self.server.behaviour = behaviour
        self._assert_nothing_lost(before)

    @rule(
        place=st.integers(0, len(FAULTS) - 1),
        name=st.sampled_from(LISTS),
        full_refresh=st.booleans(),
    )
    def load_with_list_fault(self, place: int, name: str, full_refresh: bool) -> None:
        fault = FAULTS[place]()
        fault.endpoints = {name, f"/projects/{{id}}/{name}"}
        self._load_with_faults([fault], full_refresh=full_refresh)

    @rule(place=st.integers(0, len(BAD_VALUES) - 1))
    def load_with_invalid_record(self, place: int) -> None:
        if story := self.any_story():
            self.workspace.edit_story(story["id"], name="Bad")
            self._load_with_faults([BAD_VALUES[place]({story["id"]})])

    @rule(resource=st.sampled_from(["stories", "labels", "activity", "iterations"]))
    def load_resource(self, resource: str) -> None:
        self.mirror.load(resource)

    @rule(full_refresh=st.sampled_from([False, False, False, True]))
    def load(self, full_refresh: bool) -> None:
        """Load from a healthy server: whole tables are those of a fresh load."""
        self.server.behaviour = Behaviour()
        self._load_and_accept(full_refresh=full_refresh)
        self.mirror.assert_exact()

    def _load_and_accept(self, **options: Any) -> None:
        metrics = self.mirror.load(**options)
        kept = [
            f"{project}/{name}" if project else name
            for name, values in metrics.items()
            for project in values["kept"]
        ]
        if kept:
            self.mirror.load(accept_deletions=kept, **{**options, "full_refresh": False})
        assert self.mirror.exit_code in (0, 3), self.mirror.reason

    @rule()
    def load_in_shards(self) -> None:
        self.server.behaviour = Behaviour()
        for shard in ("1/2", "2/2"):
            self._load_and_accept(shard=shard)
        self.mirror.assert_exact()

    @rule(point=st.sampled_from(KILL_POINTS), full_refresh=st.booleans())
    def kill_load(self, point: KillPoint, full_refresh: bool) -> None:
        """Kill a run at a point, unless it ends before."""
        before = self.mirror.tables()
        self.server.requests.clear()
        line = self.mirror.line(full_refresh=full_refresh)
        run = self.mirror.command.start(*line, env=self.mirror.env)
        while run.poll() is None and not point.is_reached(self.mirror.command, self.server):
            time.sleep(0.005)
        run.kill()
        run.communicate(timeout=60)
        self._assert_nothing_lost(before)

    @rule()
    def switch_dataset(self) -> None:
        """Load into another dataset from now on, and come back later."""
        mirror = self.mirror
        self.seen[mirror.dataset] = mirror.seen
        mirror.dataset = "other" if mirror.dataset == "tracker" else "tracker"
        mirror.seen = self.seen.get(mirror.dataset, {})


class DuckDb(FaultyServerChanges):
    """The same with DuckDB."""


class Postgres(FaultyServerChanges):
    """The same with Postgres."""


def assert_no_duplicates(tables: Tables) -> None:
    for table, key in KEYS.items():
        counted = Counter(row[key] for row in tables.get(table, []))
        assert not [one for one, number in counted.items() if number > 1], table


def duckdb_tables(database: Path, dataset: str) -> Tables:
    """Return the tables of a dataset; opening for writing repairs the file of a killed run."""
    with duckdb.connect(str(database)) as connection:
        return tables_in(connection, dataset)


@pytest.fixture(scope="module")
def first_load(fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> Command:
    """The workspace loaded into DuckDB, from which all sequences start."""
    command = new_command(fork_server, tmp_path_factory.mktemp("duckdb") / "run")
    with serving(make_workspace(), command):
        assert command().returncode == 0
    return command


@pytest.fixture(scope="module")
def into_duckdb(first_load: Command, fork_server: ForkServer) -> None:
    """Let sequences start from a loaded DuckDB database."""

    def start(exit_stack: ExitStack, folder: Path) -> FuzzMirror:
        command = new_command(fork_server, folder)
        command.take_over(first_load)
        workspace = make_workspace()
        server = exit_stack.enter_context(serving(workspace, command))
        return FuzzMirror(
            workspace,
            folder,
            server,
            command=command,
            options=(),
            env={"DESTINATION__DUCKDB__CREDENTIALS": str(command.database)},
            read=lambda dataset: duckdb_tables(command.database, dataset),
        )

    DuckDb.start = staticmethod(start)


@pytest.fixture(scope="module")
def into_postgres(
    fork_server: ForkServer,
    postgres_server: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Let sequences start from a loaded Postgres database."""
    first = new_command(fork_server, tmp_path_factory.mktemp("postgres") / "run")
    variable = "DESTINATION__POSTGRES__CREDENTIALS"
    template = new_database(f"{postgres_server}/postgres")
    with serving(make_workspace(), first):
        result = first("--destination", "postgres", env={variable: template})
        assert result.returncode == 0, result.stderr

    def start(exit_stack: ExitStack, folder: Path) -> FuzzMirror:
        command = new_command(fork_server, folder)
        command.take_over(first)
        workspace, database = make_workspace(), new_database(template)
        server = exit_stack.enter_context(serving(workspace, command))
        exit_stack.callback(drop_database, database)
        return FuzzMirror(
            workspace,
            folder,
            server,
            command=command,
            options=("--destination", "postgres"),
            env={variable: database},
            read=lambda dataset: postgres_tables(database, dataset),
        )

    Postgres.start = staticmethod(start)


def _settings(examples: int) -> settings:
    return settings(
        max_examples=int(os.environ.get("FUZZ_EXAMPLES", examples)),
        stateful_step_count=10,
        deadline=None,
        derandomize="FUZZ_EXAMPLES" not in os.environ,
        # shorter examples of a failure would take an hour to find
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


TestDuckDb = pytest.mark.usefixtures("into_duckdb")(DuckDb.TestCase)
TestDuckDb.settings = _settings(2)
TestPostgres = pytest.mark.integration(pytest.mark.usefixtures("into_postgres")(Postgres.TestCase))
TestPostgres.settings = _settings(1)
