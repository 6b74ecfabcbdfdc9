"""The measurements as Markdown, as the README shows them."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from statistics import median

from .contenders import CONTENDERS, FLOOR, REST_API, THIS_PROJECT, UNCHANGED
from .measuring import Measurement
from .server import Size

Runs = Sequence[Measurement]

_WHAT = {
    each.letter: each.what for contender in CONTENDERS for each in (contender, *contender.again)
}


def machine() -> str:
    """What the figures depend on."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("dlt", "duckdb"))
    return (
        f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, {packages}"
    )


def speed(size: Size, runs_by_letter: Mapping[str, Runs], imports: Sequence[float]) -> str:
    """All that was measured side by side, and this project's median divided by the others'.

    Args:
        size: What each of them loaded.
        runs_by_letter: At least one run of each, by its letter.
        imports: How long `import dlt` took, in seconds.
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
            for other in (REST_API, FLOOR)
            if other.letter in medians
        ]
    if UNCHANGED.letter in medians:
        ratio = medians[UNCHANGED.letter] / median(imports)
        lines.append(f"{UNCHANGED.letter}/import dlt = {ratio:.2f} ({median(imports):.2f} s)")
    return "\n".join(lines)


def memory(runs_by_size: Mapping[Size, Runs]) -> str:
    """This project's peak memory by the size of the workspace, and the last by the first.

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
    """The lines of a Markdown table, its first column of words, the others of figures."""
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
