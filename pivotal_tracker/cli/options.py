"""The options of the command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, NoReturn

import dlt
from dlt.common.normalizers.naming.snake_case import NamingConvention

from .. import __version__
from ..errors import TrackerError
from ..extract.deletions import AcceptedDeletions
from ..extract.shards import Shard
from ..sources import DERIVED_RESOURCES, RESOURCES
from ..suggestions import unknown_name
from ..tables import ARCHIVE_TABLES
from .progress import PROGRESS_NAMES
from .terminal import write_error

BAD_OPTIONS = 2

_SHELLS = ("bash", "zsh", "tcsh")

_EPILOG = (
    "The token comes from SOURCES__PIVOTAL_TRACKER__API_TOKEN or .dlt/secrets.toml, the server "
    "from SOURCES__PIVOTAL_TRACKER__BASE_URL or .dlt/config.toml. Exit codes: 0 all loaded, 3 "
    "loaded but a part could not be read, 1 failed, 2 bad options, 4 another run is in progress."
)


class OptionsParser(argparse.ArgumentParser):
    """A parser with errors of one line, which suggest names for misspelled options."""

    def error(self, message: str) -> NoReturn:
        """Write one line, without the usage, and exit with 2."""
        write_error(message.removeprefix("argument "))
        self.exit(BAD_OPTIONS)

    def unknown_option(self, option: str) -> NoReturn:
        """Refuse an option that does not exist."""
        name = option.partition("=")[0]
        known = [name for action in self._actions for name in action.option_strings]
        self.error(unknown_name("option", name, known))


class _PrintCompletion(argparse.Action):
    """Print a script that completes the command's options in a shell."""

    def __call__(
        self, parser: argparse.ArgumentParser, _options: argparse.Namespace, shell: Any, *_: Any
    ) -> NoReturn:
        # only this option needs it
        import shtab

        parser.prog = "pivotal-tracker"
        for action in parser._actions:
            if action.metavar in ("PATH", "FILE", "DIR"):
                action.complete = shtab.FILE  # type: ignore[attr-defined]
            elif action.dest == "resource":
                action.choices = RESOURCES
        sys.stdout.write(shtab.complete(parser, shell) + "\n")
        parser.exit()


def _shard(text: str) -> Shard:
    try:
        return Shard.parse(text)
    except TrackerError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _project_id(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        message = f"{text} is not the id of a project, which is a number"
        raise argparse.ArgumentTypeError(message) from error


def _one_of(kind: str, names: Collection[str]) -> Callable[[str], str]:
    """Make the type of an option that allows only some names."""

    def check(text: str) -> str:
        if text not in names:
            raise argparse.ArgumentTypeError(unknown_name(kind, text, names))
        return text

    return check


_FLAG: dict[str, Any] = {"action": "store_true"}

_OPTIONS: dict[str, dict[str, dict[str, Any]]] = {
    "what to load": {
        "paths": {
            "nargs": "*",
            "metavar": "PATH",
            "help": "files or folders to load: Tracker's export, or what a backup tool saved; "
            "without PATH, the API is read",
        },
        "--archive": {"nargs": "+", "metavar": "PATH", "help": "deprecated: the same as PATH"},
        "--sample": {**_FLAG, "help": "load a sample workspace; needs no token"},
        "--project": {
            "nargs": "+",
            "type": _project_id,
            "metavar": "ID",
            "help": "only these projects",
        },
        "--resource": {"nargs": "+", "metavar": "NAME", "help": "only these tables"},
        "--shard": {
            "type": _shard,
            "metavar": "N/OF",
            "help": "only a part of the projects: 2/5 for the second of five, which may run in "
            "parallel",
        },
        "--attachments": {
            "metavar": "DIR",
            "help": "also download the files of comments into this folder",
        },
    },
    "where to": {
        "--destination": {
            "default": "duckdb",
            "metavar": "NAME",
            "help": "any dlt destination (%(default)s)",
        },
        "--table-format": {
            "choices": ("delta",),
            "help": "the format of tables on --destination filesystem, whose plain files cannot "
            "be brought up to date",
        },
        "--dataset": {
            "default": "tracker",
            "metavar": "NAME",
            "help": "the dataset in it (%(default)s)",
        },
        "--no-views": {**_FLAG, "help": "do not create the views of Tracker's metrics"},
    },
    "how": {
        "--check": {
            **_FLAG,
            "help": "load nothing; report what the token and server support",
        },
        "--full-refresh": {
            **_FLAG,
            "help": "read and write everything again; deletes only rows that a complete list lacks",
        },
        "--accept-deletions": {
            "nargs": "+",
            "metavar": "PROJECT/TABLE",
            "help": "delete, in this run, the rows that these lists lack (99/labels), although a "
            "list is suddenly empty or much shorter",
        },
    },
    "what to report": {
        "--json": {**_FLAG, "help": "print the summary as JSON"},
        "--summary": {
            "type": Path,
            "metavar": "FILE",
            "help": "write the summary to a JSON file, also when the run fails",
        },
        "--progress": {
            "type": _one_of("style", PROGRESS_NAMES),
            "metavar": "NAME",
            "help": f"how to show progress on stderr: {', '.join(PROGRESS_NAMES)} (steps)",
        },
        "--verbose": {**_FLAG, "help": "log what is done"},
        "--debug": {**_FLAG, "help": "log everything, with a traceback on failure"},
        "--version": {
            "action": "version",
            "version": f"pivotal-tracker {__version__}, dlt {dlt.__version__}",
        },
        "--print-completion": {
            "action": _PrintCompletion,
            "choices": _SHELLS,
            "help": "print a script that completes options in a shell",
        },
    },
}
"""The options, by the headings of `--help`, as `ArgumentParser.add_argument` takes them."""


def command_line() -> OptionsParser:
    """Make the parser of the command line."""
    parser = OptionsParser(
        usage="%(prog)s [PATH ...] [OPTION ...]",
        description="Load Pivotal Tracker data, from files or from an API v5 server, with dlt.",
        epilog=_EPILOG,
    )
    for heading, options in _OPTIONS.items():
        group = parser.add_argument_group(heading)
        for name, settings in options.items():
            group.add_argument(name, **settings)
    return parser


def parse_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse and check the options; invalid ones end the process with 2."""
    parser = command_line()
    options, unknown = parser.parse_known_intermixed_args(arguments)
    if unknown:
        parser.unknown_option(unknown[0])
    options.archive = [*options.paths, *(options.archive or [])]
    if not options.dataset.strip():
        parser.error("--dataset must have a name")
    # normalized as dlt does it
    options.dataset = NamingConvention().normalize_identifier(options.dataset)
    # arguments of the source; the others come from the configuration
    options.source = {"project_ids": options.project} if options.project else {}
    problem = next(filter(None, (check(options) for check in _CHECKS)), None)
    if problem:
        parser.error(problem)
    return options


def _check_paths(options: argparse.Namespace) -> str | None:
    """Find a path that is an option without its dashes."""
    for path in options.paths:
        names = [name for options in _OPTIONS.values() for name in options]
        if f"--{path}" in names and not Path(path).exists():
            return f"there is no file {path}. Did you mean --{path}?"
    return None


def _check_archive(options: argparse.Namespace) -> str | None:
    """Find an option that does not go with files."""
    if not options.archive:
        return None
    if options.shard:
        return "--shard does not go with files: they are read as a whole"
    for name in ("sample", "full_refresh", "accept_deletions"):
        if getattr(options, name):
            return (
                f"--{name.replace('_', '-')} does not go with files: they are always read as a "
                "whole, and added to what is there"
            )
    return None


def _check_table_format(options: argparse.Namespace) -> str | None:
    if options.table_format and options.shard and not options.shard.is_whole:
        return "--shard does not go with --table-format: one run at a time may write such tables"
    return None


def _check_accepted(options: argparse.Namespace) -> str | None:
    try:
        AcceptedDeletions(options.accept_deletions or ())
    except TrackerError as error:
        return f"--accept-deletions: {error}"
    return None


def _check_summary(options: argparse.Namespace) -> str | None:
    if options.summary and not options.summary.parent.is_dir():
        return f"--summary: there is no folder {options.summary.parent}"
    return None


def _check_resources(options: argparse.Namespace) -> str | None:
    """Find a table that does not exist, or whose rows come from tables that are not read."""
    chosen = options.resource or ()
    known = ARCHIVE_TABLES if options.archive else RESOURCES
    for name in chosen:
        if name not in known:
            if Path(name).exists():
                return f"--resource: {name} is a file. Put files before the options"
            return f"--resource: {unknown_name('table', name, known)}"
    for name, origins in DERIVED_RESOURCES.items():
        if name in chosen and not options.archive and origins.isdisjoint(chosen):
            some = ", ".join([resource for resource in RESOURCES if resource in origins][:3])
            return (
                f"--resource: {name} are collected from other tables: name some of them too, such "
                f"as {some}"
            )
    return None


def _check_dataset(options: argparse.Namespace) -> str | None:
    if options.dataset == _base_name(options):
        return (
            f"--dataset must not be called {options.dataset}: that is the pipeline's name, and "
            "DuckDB would confuse the dataset with its file"
        )
    return None


_CHECKS = (
    _check_paths,
    _check_archive,
    _check_table_format,
    _check_accepted,
    _check_summary,
    _check_resources,
    _check_dataset,
)


def _base_name(options: argparse.Namespace) -> str:
    return "pivotal_tracker_sample" if options.sample else "pivotal_tracker"


def pipeline_name(options: argparse.Namespace) -> str:
    """Return the name of the pipeline: each shard has its own, and so has the sample."""
    name, shard = _base_name(options), options.shard
    return name if shard is None or shard.is_whole else f"{name}_shard_{shard.name}"
