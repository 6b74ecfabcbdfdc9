"""Serve a workspace until told to stop: `python -m tracker_server [PATH …] --port 8765`."""

from __future__ import annotations

import argparse
import gc
import math
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pivotal_tracker.archive import ArchiveError
from tracker_server import Behaviour, TrackerServer, litetracker
from tracker_server.archive_workspace import ArchivedWorkspace
from tracker_server.faults import Fault, RandomFaults
from tracker_server.faults.parsing import FAULTS, parse_fault
from tracker_server.hosts import LOOPBACK, is_loopback
from tracker_server.sample.generator import made_up_workspace
from tracker_server.workspace import Workspace
from tracker_server.workspace.model import MOVES_UPDATED_AT

_LITETRACKER_ERRORS = 0.02
"""The share of requests that end with 500 there: how large it really is is not known."""


def main() -> int:
    """Run the command.

    Returns:
        The exit code: 0 after Ctrl-C or SIGTERM, 1 if the port is not to be had, or an archive
        cannot be read.
    """
    options = _parser().parse_args()
    try:
        with _workspace(options) as (workspace, greeting):
            return _serve(workspace, greeting, options)
    except ArchiveError as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _serve(workspace: Workspace, greeting: str, options: argparse.Namespace) -> int:
    # A large workspace is never garbage: looking through it again and again only delays answers.
    gc.freeze()
    behaviour = _behaviour(options)
    # The server's thread inherits the mask, so that the signals wait for this one.
    signals = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        with TrackerServer(
            workspace, host=options.host, port=options.port, behaviour=behaviour
        ) as server:
            sys.stdout.write(f"{server.url} {greeting}\n")
            sys.stdout.flush()
            signal.sigwait(signals)
    except OSError as error:
        sys.stderr.write(
            f"Cannot listen on {options.host}, port {options.port}: {error.strerror}\n"
        )
        return 1
    return 0


def _behaviour(options: argparse.Namespace) -> Behaviour:
    behaviour = Behaviour()
    if options.dialect == "litetracker":
        behaviour = litetracker(error_rate=_LITETRACKER_ERRORS, seed=options.seed)
    behaviour.latency = options.latency / 1000
    behaviour.faults = [*options.fault, *behaviour.faults]
    if options.faults:
        behaviour.faults = [*behaviour.faults, RandomFaults(options.faults, seed=options.seed)]
    return behaviour


def _moves_updated_at(options: argparse.Namespace) -> frozenset[str]:
    unmoved = {"owner_ids"} if options.dialect == "litetracker" else set()
    if options.comments_keep_updated_at:
        unmoved.add("comment")
    return MOVES_UPDATED_AT - unmoved


@contextmanager
def _workspace(options: argparse.Namespace) -> Iterator[tuple[Workspace, str]]:
    """What is served, and what is said of it."""
    if not options.archives:
        made_up = made_up_workspace(
            projects=options.projects,
            stories=options.stories,
            activity=options.activity,
            seed=options.seed,
            moves_updated_at=_moves_updated_at(options),
        )
        yield made_up, f"serves a made-up workspace to the token {made_up.me['api_token']}"
        return
    with ArchivedWorkspace(options.archives) as archived:
        sys.stderr.writelines(f"{remark}\n" for remark in archived.remarks)
        projects = archived.workspace.projects.values()
        stories = sum(len(project.stories) for project in projects)
        clients = "this machine" if is_loopback(options.host) else "any machine that can reach it"
        yield (
            archived.workspace,
            f"serves {len(projects):,} projects with {stories:,} stories, for reading, with any "
            f"token, to {clients}",
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tracker_server",
        description="Serves archives, or a sample workspace, over API v5, for reading.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "archives", nargs="*", metavar="PATH", help="files and folders; made up if none is given"
    )
    parser.add_argument("--projects", type=_count, default=3, help="how many projects")
    parser.add_argument("--stories", type=_count, default=220, help="stories in each project")
    parser.add_argument("--activity", type=_count, default=2000, help="activities of each project")
    parser.add_argument("--seed", type=int, default=1, help="the same seed, the same workspace")
    parser.add_argument(
        "--latency", type=_milliseconds, default=0, help="milliseconds before each answer"
    )
    parser.add_argument(
        "--host",
        default=LOOPBACK,
        help="name or address to listen on; requests must name it or this machine",
    )
    parser.add_argument(
        "--dialect",
        choices=("v5", "litetracker"),
        default="v5",
        help="answer as Tracker did, or as LiteTracker does, some 500s included",
    )
    parser.add_argument(
        "--comments-keep-updated-at",
        action="store_true",
        help="in the sample workspace, a comment does not change its story's updated_at",
    )
    parser.add_argument("--port", type=_port, default=0, help="0 for any that is free")
    parser.add_argument("--faults", type=_share, default=0, help="share of requests that fail")
    parser.add_argument(
        "--fault",
        type=_fault,
        action="append",
        default=[],
        metavar="NAME[:ATTRIBUTE=VALUE,…]",
        help="misbehave in one way, such as status:status=403,endpoints=labels+epics,times=1; may "
        f"be repeated; names: {', '.join(FAULTS)}",
    )
    return parser


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
