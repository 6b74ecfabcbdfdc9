"""Who is measured, and how each is started."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from .endpoints import STREAMS
from .rows import Rows
from .server import ROOT, Server


@dataclass(frozen=True)
class Contender:
    """One way of loading a workspace into DuckDB.

    Attributes:
        name: As `--only` takes it.
        letter: As the ratios call it.
        what: For the printed table.
        arguments: What the Python interpreter is given; `{url}` and `{token}` are filled in.
        settings: Whether it runs with this project's `.dlt/config.toml`.
        nested: Whether it must bring the nested tables too, by whatever means, or only the streams.
    """

    name: str
    letter: str
    what: str
    arguments: tuple[str, ...]
    settings: bool
    nested: bool

    def command(self, server: Server) -> list[str]:
        """The arguments for this server."""
        return [argument.format(**vars(server)) for argument in self.arguments]

    def prepare(self, folder: Path) -> None:
        """Puts into an empty folder what there has to be before the start."""
        if self.settings:
            (folder / ".dlt").mkdir()
            shutil.copy(ROOT / ".dlt" / "config.toml", folder / ".dlt")

    def shortfall(self, loaded: Rows, expected: Rows) -> dict[str, tuple[int, int]]:
        """Where the rows differ from what the server holds.

        Returns:
            Rows loaded and rows expected by table, of those that differ; a table beyond the
            server's is no difference, and an empty one may be absent.
        """
        due = set(expected) if self.nested else set(STREAMS)
        compared = due | (set(loaded) & set(expected))
        return {
            name: (loaded[name], expected[name])
            for name in sorted(compared)
            if loaded[name] != expected[name]
        }


THIS_PROJECT = Contender(
    "this_project",
    "a",
    "this project, everything nested",
    (str(ROOT / "pivotal_tracker_pipeline.py"),),
    settings=True,
    nested=True,
)

CONTENDERS = (
    THIS_PROJECT,
    Contender(
        "rest_api",
        "b",
        "dlt's `rest_api` source, nothing nested asked for",
        ("-m", "benchmarks.rest_api_source", "{url}", "{token}"),
        settings=False,
        nested=False,
    ),
    Contender(
        "floor",
        "c",
        "the floor: 16 threads, orjson, DuckDB",
        ("-m", "benchmarks.floor", "{url}", "{token}"),
        settings=False,
        nested=False,
    ),
)
