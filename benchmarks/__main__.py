"""`python -m benchmarks` prints how fast this project loads, as the table in docs/benchmarks.md."""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

from . import archives, report
from .contenders import CONTENDERS, LOWER_BOUND, REST_API, THIS_PROJECT, Contender
from .measurement import IncompleteError, Measurement, measure_all, seconds_to_import_dlt
from .row_counts import rows_of_server
from .server import Size, serving

STORIES_FOR_MEMORY = (1_000, 5_000)
"""The stories per project of the two workspaces for which `--memory` compares the peak memory."""

LARGE = Size(projects=200, stories=500, activity=300, latency=30)
"""100,000 stories."""


def main() -> int:
    """Run the command.

    Returns:
        0; 1 if a contender failed or did not load everything.
    """
    options = _options()
    if options.large:
        options.projects = LARGE.projects
        options.only = [each.name for each in (THIS_PROJECT, REST_API, LOWER_BOUND)]
    size = Size(options.projects, options.stories, options.activity, options.latency)
    try:
        if options.archive:
            print(archives.compare(options.archive, options.runs, _log))
            return 0
        print(_memory(size, options.runs) if options.memory else _speed(size, options))
    except IncompleteError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Load a sample workspace in several ways and print how long each takes.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--runs", type=_at_least_one, default=5, help="measured runs of each contender")
    add("--projects", type=_at_least_one, default=20, help="projects of the workspace")
    add("--stories", type=_at_least_one, default=500, help="stories of each project")
    add("--activity", type=_at_least_one, default=300, help="activities of each project")
    add(
        "--large",
        action="store_true",
        help=f"{LARGE.projects} projects; only the contenders that load the same tables",
    )
    add("--latency", type=float, default=30, help="milliseconds before each response")
    names = [contender.name for contender in CONTENDERS]
    add("--only", nargs="+", choices=names, default=names, help="the contenders to measure")
    add(
        "--memory",
        action="store_true",
        help="compare this project's peak memory at two sizes instead: "
        f"{' and '.join(f'{stories:,}' for stories in STORIES_FOR_MEMORY)} stories in each project",
    )
    add(
        "--archive",
        type=_at_least_one,
        nargs="?",
        const=100_000,
        metavar="STORIES",
        help="load a CSV with this many stories (100,000) instead, by this project and by DuckDB",
    )
    return parser.parse_args()


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _speed(size: Size, options: argparse.Namespace) -> str:
    contenders = [each for each in CONTENDERS if each.name in options.only]
    imports: list[float] = []
    runs = _runs(size, contenders, options.runs, lambda: imports.append(seconds_to_import_dlt()))
    return report.speed(size, runs, imports)


def _memory(size: Size, times: int) -> str:
    sizes = [replace(size, stories=stories) for stories in STORIES_FOR_MEMORY]
    letter = THIS_PROJECT.letter
    return report.memory({each: _runs(each, [THIS_PROJECT], times)[letter] for each in sizes})


def _runs(
    size: Size,
    contenders: Sequence[Contender],
    times: int,
    after_turn: Callable[[], object] = lambda: None,
) -> dict[str, list[Measurement]]:
    """Run the contenders in turns, so that other load on the machine affects them equally.

    Args:
        size: The size of the workspace.
        contenders: The contenders.
        times: The turns.
        after_turn: Called after each turn but the first, which fills the caches of the server and
            the disk.

    Returns:
        The runs of each contender, by letter.
    """
    runs: defaultdict[str, list[Measurement]] = defaultdict(list)
    _log(f"Generating {size}")
    with serving(size) as server:
        for turn in range(times + 1):
            expected = rows_of_server(server)
            for contender in contenders:
                for letter, run in measure_all(contender, server, expected).items():
                    if turn:
                        runs[letter].append(run)
                    _log(
                        f"{f'run {turn}' if turn else 'warm-up'}: ({letter}) "
                        f"{run.seconds:.2f} s, {run.peak_memory:.0f} MB"
                    )
            if turn:
                after_turn()
    return runs


def _log(progress: str) -> None:
    print(progress, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
