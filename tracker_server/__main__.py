"""Serve archives or a sample workspace: `python -m tracker_server [PATH …] --port 8765`."""

from __future__ import annotations

import argparse
import gc
import math
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pivotal_tracker.archive import ArchiveError

from . import Behaviour, TrackerServer, litetracker
from .archive_workspace import ArchiveWorkspace
from .faults import Fault, RandomFaults
from .faults.parsing import FAULTS, parse_fault
from .hosts import LOOPBACK, is_loopback
from .sample import generate_workspace
from .workspace import MOVES_UPDATED_AT, Workspace

_LITETRACKER_ERROR_RATE = 0.02
"""The share of requests that get 500 there; how large it really is, is not known."""


def main() -> int:
    """Run the command.

    Returns:
        The exit code: 0 after Ctrl-C or SIGTERM, 1 if the port is in use or no archive can be
        read.
    """
    options = _parser().parse_args()
    try:
        with _workspace(options) as (workspace, description):
            return _serve(workspace, description, options)
    except ArchiveError as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _serve(workspace: Workspace, description: str, options: argparse.Namespace) -> int:
    # a large workspace is never garbage, and collecting it again and again delays responses
    gc.freeze()
    # as Ctrl-C; nothing here may be specific to Unix
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    behaviour = _behaviour(options)
    try:
        with TrackerServer(
            workspace,
            host=options.host,
            port=options.port,
            behaviour=behaviour,
            keeps_requests=False,
        ) as server:
            sys.stdout.write(f"{server.url} {description}\n")
            sys.stdout.flush()
            while True:
                time.sleep(1)
    except KeyboardInterrupt:
        return 0
    except OSError as error:
        sys.stderr.write(
            f"Cannot listen on {options.host}, port {options.port}: {error.strerror}\n"
        )
        return 1


def _behaviour(options: argparse.Namespace) -> Behaviour:
    behaviour = Behaviour()
    if options.dialect == "litetracker":
        behaviour = litetracker(error_rate=_LITETRACKER_ERROR_RATE, seed=options.seed)
    behaviour.latency = options.latency / 1000
    behaviour.faults = [*options.fault, *behaviour.faults]
    if options.faults:
        behaviour.faults = [*behaviour.faults, RandomFaults(options.faults, seed=options.seed)]
    return behaviour


@contextmanager
def _workspace(options: argparse.Namespace) -> Iterator[tuple[Workspace, str]]:
    """Provide the workspace, and a description for the user."""
    if not options.archives:
        sample = generate_workspace(
            projects=options.projects,
            stories=options.stories,
            activity=options.activity,
            seed=options.seed,
            moves_updated_at=_moves_updated_at(options),
        )
        yield sample, f"serves a sample workspace to the token {sample.me['api_token']}"
        return
    with ArchiveWorkspace(options.archives) as archive:
        sys.stderr.writelines(f"{warning}\n" for warning in archive.warnings)
        projects = archive.workspace.projects.values()
        stories = sum(len(project.stories) for project in projects)
        clients = "this machine" if is_loopback(options.host) else "any machine that can reach it"
        yield (
            archive.workspace,
            f"serves {len(projects):,} projects with {stories:,} stories, for reading, with any "
            f"token, to {clients}",
        )


def _moves_updated_at(options: argparse.Namespace) -> frozenset[str]:
    unmoved = {"owner_ids"} if options.dialect == "litetracker" else set()
    if options.comments_keep_updated_at:
        unmoved.add("comment")
    return MOVES_UPDATED_AT - unmoved


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tracker_server",
        description="Serves archives, or a sample workspace, over API v5, for reading.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "archives", nargs="*", metavar="PATH", help="files and folders; a sample if none is given"
    )
    parser.add_argument(
        "--host", default=LOOPBACK, help="name or address to listen on; other host names get 403"
    )
    parser.add_argument("--port", type=_port, default=0, help="0 for any free port")
    _add_sample_options(parser.add_argument_group("sample workspace"))
    _add_behaviour_options(parser.add_argument_group("behaviour"))
    return parser


def _add_sample_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--projects", type=_count, default=3, help="number of projects")
    group.add_argument("--stories", type=_count, default=220, help="stories per project")
    group.add_argument("--activity", type=_count, default=2000, help="activities per project")
    group.add_argument("--seed", type=int, default=1, help="of the workspace and of random faults")
    group.add_argument(
        "--comments-keep-updated-at",
        action="store_true",
        help="a comment does not change its story's updated_at",
    )


def _add_behaviour_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--dialect",
        choices=("v5", "litetracker"),
        default="v5",
        help="respond as Tracker did, or as LiteTracker does (with some 500s)",
    )
    group.add_argument(
        "--latency", type=_milliseconds, default=0, help="milliseconds before each response"
    )
    group.add_argument("--faults", type=_share, default=0, help="share of requests that fail")
    group.add_argument(
        "--fault",
        type=_fault,
        action="append",
        default=[],
        metavar="NAME[:ATTRIBUTE=VALUE,…]",
        help="misbehave in one way, such as status:status=403,endpoints=labels+epics,times=1; can "
        f"be repeated; names: {', '.join(FAULTS)}",
    )


def _fault(text: str) -> Fault:
    try:
        return parse_fault(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("must not be negative")
    return number


def _milliseconds(text: str) -> float:
    milliseconds = float(text)
    if not 0 <= milliseconds < math.inf:
        raise argparse.ArgumentTypeError("must be a number from 0 on")
    return milliseconds


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError("must be from 0 to 65535")
    return port


def _share(text: str) -> float:
    share = float(text)
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError("must be from 0 to 1")
    return share


if __name__ == "__main__":
    sys.exit(main())
