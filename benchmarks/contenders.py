"""The programs that are compared, and how each is started."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from .endpoints import ALL_TABLES, SHARED_TABLES
from .row_counts import Rows
from .server import ROOT, Server


@dataclass(frozen=True)
class LaterRun:
    """A run into the database that an earlier run has filled.

    Attributes:
        letter: Its letter in the printed table.
        what: Its description in the printed table.
        share: The share of the stories that are changed before it.
    """

    letter: str
    what: str
    share: float


@dataclass(frozen=True)
class Contender:
    """One way of loading a workspace into DuckDB.

    Attributes:
        name: Its name for `--only`.
        letter: Its letter in the printed table and the ratios.
        what: Its description in the printed table.
        arguments: The arguments of the Python interpreter; `{url}` and `{token}` are filled in.
        tables: The tables that it loads.
        settings: Whether it runs with this project's `.dlt/config.toml`.
        nested: Whether it must load the nested tables too.
        later_runs: The runs that follow in the folder of its first run.
    """

    name: str
    letter: str
    what: str
    arguments: tuple[str, ...]
    tables: tuple[str, ...] = SHARED_TABLES
    settings: bool = False
    nested: bool = False
    later_runs: tuple[LaterRun, ...] = ()

    def command(self, server: Server) -> list[str]:
        """Return the arguments for this server."""
        return [each.format(url=server.url, token=server.token) for each in self.arguments]

    def prepare(self, folder: Path) -> None:
        """Write the configuration into an empty folder."""
        settings = folder / ".dlt"
        settings.mkdir()
        # as users have it; without one, dlt looks for Streamlit's
        shutil.copy(ROOT / ".dlt" / "secrets.toml", settings)
        if self.settings:
            shutil.copy(ROOT / ".dlt" / "config.toml", settings)

    def shortfall(self, loaded: Rows, expected: Rows) -> dict[str, tuple[int, int]]:
        """Return the tables whose row counts are wrong.

        Returns:
            The number of rows loaded and expected, by table. Additional tables are allowed.
        """
        required = {name for name in expected if name.split("__")[0] in self.tables}
        compared = required if self.nested else required & {*self.tables, *loaded}
        return {
            name: (loaded[name], expected[name])
            for name in sorted(compared)
            if loaded[name] != expected[name]
        }


_COMMAND = str(ROOT / "pivotal_tracker_pipeline.py")

THIS_PROJECT = Contender(
    "this_project",
    "a",
    "this project, everything nested",
    # no other contender makes views
    (_COMMAND, "--no-views", "--resource", *SHARED_TABLES),
    settings=True,
    nested=True,
)
REST_API = Contender(
    "rest_api",
    "b",
    "dlt's `rest_api` source, no nested data",
    ("-m", "benchmarks.rest_api_source", "{url}", "{token}"),
)
LOWER_BOUND = Contender(
    "lower_bound",
    "c",
    "a lower bound: 16 threads, orjson, DuckDB",
    ("-m", "benchmarks.lower_bound", "{url}", "{token}"),
)
UNCHANGED = LaterRun("e", "(d) again, nothing changed", 0)
ALL = Contender(
    "all_tables",
    "d",
    "this project, all its tables",
    (_COMMAND,),
    tables=ALL_TABLES,
    settings=True,
    nested=True,
    later_runs=(
        UNCHANGED,
        LaterRun("f", "(d) again, 1 % of the stories changed", 0.01),
    ),
)

CONTENDERS = (THIS_PROJECT, REST_API, LOWER_BOUND, ALL)
