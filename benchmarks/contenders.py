"""Who is measured, and how each is started."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from .endpoints import EVERYTHING, STREAMS
from .rows import Rows
from .server import ROOT, Server


@dataclass(frozen=True)
class Again:
    """A later run, over what an earlier one has loaded.

    Attributes:
        letter: As the table calls it.
        what: For the printed table.
        share: How many of the stories are changed before it.
    """

    letter: str
    what: str
    share: float


@dataclass(frozen=True)
class Contender:
    """One way of loading a workspace into DuckDB.

    Attributes:
        name: As `--only` takes it.
        letter: As the ratios call it.
        what: For the printed table.
        arguments: What the Python interpreter is given; `{url}` and `{token}` are filled in.
        streams: The streams that it loads.
        settings: Whether it runs with this project's `.dlt/config.toml`.
        nested: Whether it must bring the nested tables too, by whatever means, or only the streams.
        again: What it is run for again, in the folder of its first run.
    """

    name: str
    letter: str
    what: str
    arguments: tuple[str, ...]
    streams: tuple[str, ...] = STREAMS
    settings: bool = False
    nested: bool = False
    again: tuple[Again, ...] = ()

    def command(self, server: Server) -> list[str]:
        """The arguments for this server."""
        return [each.format(url=server.url, token=server.token) for each in self.arguments]

    def prepare(self, folder: Path) -> None:
        """Puts into an empty folder what there has to be before the start."""
        settings = folder / ".dlt"
        settings.mkdir()
        # as everybody has it; without one, dlt looks for Streamlit's
        shutil.copy(ROOT / ".dlt" / "secrets.toml", settings)
        if self.settings:
            shutil.copy(ROOT / ".dlt" / "config.toml", settings)

    def shortfall(self, loaded: Rows, expected: Rows) -> dict[str, tuple[int, int]]:
        """Where the rows differ from what the server holds.

        Returns:
            Rows loaded and rows expected by table, of those that differ; a table beyond the
            server's is no difference, and an empty one may be absent.
        """
        due = {name for name in expected if name.split("__")[0] in self.streams}
        compared = due if self.nested else due & {*self.streams, *loaded}
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
    # nobody else makes views
    (_COMMAND, "--no-views", "--resource", *STREAMS),
    settings=True,
    nested=True,
)
REST_API = Contender(
    "rest_api",
    "b",
    "dlt's `rest_api` source, nothing nested asked for",
    ("-m", "benchmarks.rest_api_source", "{url}", "{token}"),
)
FLOOR = Contender(
    "floor",
    "c",
    "the floor: 16 threads, orjson, DuckDB",
    ("-m", "benchmarks.floor", "{url}", "{token}"),
)
UNCHANGED = Again("e", "(d) again, nothing changed", 0)
KEPT_UP = Contender(
    "kept_up",
    "d",
    "this project, all its tables",
    (_COMMAND,),
    streams=EVERYTHING,
    settings=True,
    nested=True,
    again=(
        UNCHANGED,
        Again("f", "(d) again, 1 % of the stories changed", 0.01),
    ),
)

CONTENDERS = (THIS_PROJECT, REST_API, FLOOR, KEPT_UP)
