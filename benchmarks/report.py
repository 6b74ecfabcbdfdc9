"""The measurements as Markdown, as docs/benchmarks.md shows them."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from statistics import median

from .contenders import CONTENDERS, LOWER_BOUND, REST_API, THIS_PROJECT, UNCHANGED
from .measurement import Measurement
from .server import Size

Runs = Sequence[Measurement]

_WHAT = {
    each.letter: each.what
    for contender in CONTENDERS
    for each in (contender, *contender.later_runs)
}


def machine() -> str:
    """Describe the machine and the versions that the results depend on."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("dlt", "duckdb"))
    return (
        f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, {packages}"
    )


def speed(size: Size, runs_by_letter: Mapping[str, Runs], imports: Sequence[float]) -> str:
    """Return a table of all contenders, and this project's median divided by the others'.

    Args:
        size: The size of the workspace.
        runs_by_letter: At least one run of each contender, by letter.
        imports: The seconds that `import dlt` took.
    """
    medians = {
        letter: median(run.seconds for run in runs) for letter, runs in runs_by_letter.items()
    }
    lines = table(
        ("", "seconds", "fastest to slowest", "rows", "requests", "peak memory"),
        [
            (
                f"({letter}) {_WHAT[letter]}",
                f"{medians[letter]:.2f}",
                _range(runs),
                f"{runs[0].rows:,}",
                "" if runs[0].requests is None else f"{runs[0].requests:,}",
                f"{_peak(runs):,.0f} MB",
            )
            for letter, runs in runs_by_letter.items()
        ],
    )
    lines += ["", f"Medians of {_times(runs_by_letter)}; {size}; {machine()}."]
    ours = medians.get(THIS_PROJECT.letter)
    if ours is not None:
        lines += [
            f"{THIS_PROJECT.letter}/{other.letter} = {ours / medians[other.letter]:.2f}"
            for other in (REST_API, LOWER_BOUND)
            if other.letter in medians
        ]
    if UNCHANGED.letter in medians:
        ratio = medians[UNCHANGED.letter] / median(imports)
        lines.append(f"{UNCHANGED.letter}/import dlt = {ratio:.2f} ({median(imports):.2f} s)")
    return "\n".join(lines)


def memory(runs_by_size: Mapping[Size, Runs]) -> str:
    """Return a table of this project's peak memory by size of the workspace, and the last ratio.

    Args:
        runs_by_size: At least one run of each size, the smallest first.
    """
    peaks = [_peak(runs) for runs in runs_by_size.values()]
    lines = table(
        ("stories", "seconds", "rows", "peak memory"),
        [
            (
                f"{size.projects * size.stories:,}",
                f"{median(run.seconds for run in runs):.1f}",
                f"{runs[0].rows:,}",
                f"{_peak(runs):,.0f} MB",
            )
            for size, runs in runs_by_size.items()
        ],
    )
    lines += [
        "",
        f"Highest of {_times(runs_by_size)}; {machine()}. "
        f"Ratio of the memory: {peaks[-1] / peaks[0]:.2f}",
    ]
    return "\n".join(lines)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table: text in the first column, numbers in the others."""
    alignment = ("---", *("--:" for _ in header[1:]))
    return [f"| {' | '.join(cells)} |" for cells in (header, alignment, *rows)]


def _range(runs: Runs) -> str:
    seconds = [run.seconds for run in runs]
    return f"{min(seconds):.2f} to {max(seconds):.2f}"


def _peak(runs: Runs) -> float:
    return max(run.peak_memory for run in runs)


def _times(measured: Mapping[str, Runs] | Mapping[Size, Runs]) -> str:
    count = len(next(iter(measured.values())))
    return f"{count} runs" if count > 1 else "one run"
