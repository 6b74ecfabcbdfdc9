"""The options of the command."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import dlt
from dlt.common.normalizers.naming.snake_case import NamingConvention

from .. import __version__
from ..errors import TrackerError
from ..extract.deletions import Accepted
from ..extract.shards import Shard
from ..sources import (
    DERIVED_RESOURCES,
    RESOURCES,
)
from ..tables import ARCHIVE_TABLES


def command_line() -> argparse.ArgumentParser:
    """What the command takes."""
    parser = argparse.ArgumentParser(
        description="Loads a Pivotal Tracker workspace into a database with dlt.",
        epilog="The token comes from SOURCES__PIVOTAL_TRACKER__API_TOKEN or .dlt/secrets.toml, the "
        "server from SOURCES__PIVOTAL_TRACKER__BASE_URL or .dlt/config.toml. Exit codes: 0 all "
        "loaded, 3 loaded but a part could not be read, 1 failed, 2 bad options, 4 another run is "
        "under way.",
    )
    add = parser.add_argument
    add("--sample", action="store_true", help="load a made-up workspace; needs no token")
    add("--archive", nargs="+", metavar="PATH", help="load files or folders instead of the API")
    add("--destination", default="duckdb", metavar="NAME", help="any dlt destination (%(default)s)")
    add(
        "--table-format",
        choices=("delta",),
        help="the format of tables on --destination filesystem, whose plain files cannot be "
        "brought up to date",
    )
    add("--dataset", default="tracker", metavar="NAME", help="its dataset (%(default)s)")
    add("--project", nargs="+", type=int, metavar="ID", help="only these projects")
    add("--resource", nargs="+", metavar="NAME", help="only these tables")
    add(
        "--shard",
        type=_shard,
        metavar="N/OF",
        help="only one part of the projects: 2/5 for the second of five, which may run at once",
    )
    add("--check", action="store_true", help="load nothing; say what the token and server offer")
    add(
        "--full-refresh",
        action="store_true",
        help="read and write everything again; deletes only what a complete list does not have "
        "any more",
    )
    add(
        "--accept-deletions",
        nargs="+",
        metavar="PROJECT/TABLE",
        help="delete, in this run, the rows that these lists lack (99/labels), though a list is "
        "suddenly empty or much shorter",
    )
    add("--no-views", action="store_true", help="leave out the views of Tracker's metrics")
    add("--attachments", metavar="DIR", help="also download the files of comments into this folder")
    add(
        "--progress",
        choices=("log", "tqdm", "enlighten", "alive_progress"),
        help="how to show progress (tqdm on a terminal, log elsewhere)",
    )
    add(
        "--summary",
        type=Path,
        metavar="FILE",
        help="write what the run did to a JSON file, also when it fails",
    )
    add("--verbose", action="store_true", help="say what is being done")
    add("--debug", action="store_true", help="say everything, with a traceback on failure")
    add(
        "--version",
        action="version",
        version=f"pivotal-tracker {__version__}, dlt {dlt.__version__}",
    )
    return parser


def parse_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse and check the options; invalid ones end the process with 2."""
    parser = command_line()
    options = parser.parse_args(arguments)
    if options.archive and options.shard:
        parser.error("--shard does not go with --archive: files are read as one whole")
    if options.shard and not options.shard.is_whole and options.table_format:
        parser.error("--shard does not go with --table-format: only one run may write such tables")
    try:
        Accepted(options.accept_deletions or ())
    except TrackerError as error:
        parser.error(f"--accept-deletions: {error}")
    archive_has_no = ("sample", "full_refresh", "accept_deletions") if options.archive else ()
    for name in archive_has_no:
        if getattr(options, name):
            parser.error(
                f"--{name.replace('_', '-')} does not go with --archive: an archive is always "
                "read whole, and added to what is there"
            )
    if options.summary and not options.summary.parent.is_dir():
        parser.error(f"--summary: there is no folder {options.summary.parent}")
    offered = ARCHIVE_TABLES if options.archive else RESOURCES
    unknown = [name for name in options.resource or () if name not in offered]
    if unknown:
        parser.error(
            f"--resource: there is no table {', '.join(unknown)}; there are {', '.join(offered)}"
        )
    chosen = () if options.archive else options.resource or ()
    for name, origins in DERIVED_RESOURCES.items():
        if name in chosen and origins.isdisjoint(chosen):
            parser.error(
                f"--resource: {name} are gathered from what else is read: name some of that too, "
                f"such as {', '.join([one for one in RESOURCES if one in origins][:3])}"
            )
    if not options.dataset.strip():
        parser.error("--dataset must have a name")
    # dlt's spelling of names, whichever way they are typed
    options.dataset = NamingConvention().normalize_identifier(options.dataset)
    # what the command says of where to read; the rest is the configuration's
    options.source = {"project_ids": options.project} if options.project else {}
    if options.dataset == _base_name(options):
        parser.error(
            f"--dataset must not be called {options.dataset}: that is the pipeline's name, and "
            "DuckDB could not tell the dataset from its file"
        )
    return options


def _shard(text: str) -> Shard:
    try:
        return Shard.parsed(text)
    except TrackerError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _base_name(options: argparse.Namespace) -> str:
    return "pivotal_tracker_sample" if options.sample else "pivotal_tracker"


def pipeline_name(options: argparse.Namespace) -> str:
    """Name the pipeline: each shard has one of its own, and so has the sample."""
    name, shard = _base_name(options), options.shard
    return name if shard is None or shard.is_whole else f"{name}_shard_{shard.name}"
