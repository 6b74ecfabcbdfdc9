"""Compare loads of Tracker's export, with 118 columns, by this project and by DuckDB with dlt."""

from __future__ import annotations

import csv
import random
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from .measurement import FinishedProcess, IncompleteError, isolated_environment, run_python
from .report import machine, table
from .row_counts import rows_of_database
from .server import ROOT

_SINGLE_COLUMNS = (
    "Id,Title,Labels,Iteration,Iteration Start,Iteration End,Type,Estimate,Priority,Current State,"
    "Created at,Accepted at,Deadline,Requested By,Description,URL"
)
_REPEATED_COLUMNS = {
    ("Owned By",): 3,
    ("Blocker", "Blocker Status"): 16,
    ("Comment",): 29,
    ("Task", "Task Status"): 13,
    ("Pull Request",): 8,
    ("Git Branch",): 4,
}
HEADER = [
    *_SINGLE_COLUMNS.split(","),
    *(name for names, n in _REPEATED_COLUMNS.items() for name in names * n),
]
"""As many columns as the widest real export that is publicly described."""

CONTENDERS = {
    "(a) this project": (str(ROOT / "pivotal_tracker_pipeline.py"), "--no-views", "--archive"),
    "(b) DuckDB's `read_csv`, its rows loaded by dlt": ("-m", "benchmarks.read_csv"),
}

_TEXT = (
    "checkout basket payment search login order stock price label invoice address mail error page "
    "list button filter export import report chart user admin team project story test"
)
_WORDS = tuple(_TEXT.split())
_PEOPLE = ("Ann Ray", "Bob Lee", "Cy Ray", "Di Lee", "Ed Ray", "Flo Lee", "Gus Ray", "Hal Lee")
_MONTHS = ("Jan", "Mar", "May", "Jul", "Oct")


def compare(stories: int, runs: int, log: Callable[[str], None]) -> str:
    """Load one CSV with both in turns; return a table of how long each took.

    Args:
        stories: The number of stories in the CSV.
        runs: The number of measured runs of each.
        log: Called with a line of progress.

    Raises:
        IncompleteError: A run failed, or did not load every story.
    """
    measured: dict[str, list[FinishedProcess]] = {name: [] for name in CONTENDERS}
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        path = Path(name, "made_up_20240401_0900.csv")
        write_export(path, stories)
        log(f"{stories:,} stories, {len(HEADER)} columns, {path.stat().st_size / 1e6:,.0f} MB")
        for turn in range(runs + 1):
            for contender, arguments in CONTENDERS.items():
                run = _measure(contender, [*arguments, str(path)], stories)
                if turn:
                    measured[contender].append(run)
                log(f"{contender}: {run.seconds:.2f} s, {run.peak_memory:.0f} MB")
    return _report(measured, stories)


def write_export(path: Path, stories: int) -> None:
    """Write an invented export: most stories have few values, the first has all columns."""
    rng = random.Random(1)
    with path.open("w", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(HEADER)
        for number in range(stories):
            lines.writerow(_story(rng, number))


def _story(rng: random.Random, number: int) -> list[str]:
    def count(maximum: int, mean: float) -> int:
        return maximum if not number else min(maximum, int(rng.expovariate(1 / mean)))

    def words(length: int) -> str:
        return " ".join(rng.choices(_WORDS, k=length))

    day = f"{rng.choice(_MONTHS)} {rng.randint(1, 28)}, {rng.randint(2012, 2024)}"
    accepted = rng.random() < 0.8
    groups: list[tuple[int, list[list[str]]]] = [
        (3, [[rng.choice(_PEOPLE)] for _ in range(count(3, 1))]),
        (32, [[words(5), "resolved"] for _ in range(count(16, 0.1))]),
        (29, [[f"{words(15)} ({rng.choice(_PEOPLE)} - {day})"] for _ in range(count(29, 2))]),
        (26, [[words(4), "completed"] for _ in range(count(13, 1.5))]),
        (8, [[f"https://github.com/a/b/pull/{number}"] for _ in range(count(8, 0.3))]),
        (4, [[f"branch-{number}"] for _ in range(count(4, 0.2))]),
    ]
    cells = [
        str(100_000_000 + number),
        words(6),
        ", ".join(dict.fromkeys(rng.choices(_WORDS, k=2))),
        *([str(number // 20 + 1), day, day] if accepted else [""] * 3),
        rng.choice(("feature", "feature", "bug", "chore")),
        str(rng.randint(0, 3)),
        "none",
        "accepted" if accepted else "unscheduled",
        day,
        day if accepted else "",
        "",
        rng.choice(_PEOPLE),
        words(30),
        f"https://www.pivotaltracker.com/story/show/{100_000_000 + number}",
    ]
    for width, items in groups:
        filled = [cell for item in items for cell in item]
        cells += filled + [""] * (width - len(filled))
    return cells


def _measure(contender: str, arguments: Sequence[str], stories: int) -> FinishedProcess:
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        (folder / ".dlt").mkdir()
        shutil.copy(ROOT / ".dlt" / "config.toml", folder / ".dlt")
        run = run_python(contender, arguments, folder, isolated_environment(folder))
        (database,) = folder.glob("*.duckdb")
        loaded = rows_of_database(database)["stories"]
    if loaded != stories:
        raise IncompleteError(f"{contender} loaded {loaded:,} of {stories:,} stories.")
    return run


def _report(measured: dict[str, list[FinishedProcess]], stories: int) -> str:
    medians = {
        contender: median(run.seconds for run in runs) for contender, runs in measured.items()
    }
    rows = [
        (contender, f"{medians[contender]:.2f}", f"{max(run.peak_memory for run in runs):,.0f} MB")
        for contender, runs in measured.items()
    ]
    ours, theirs = medians.values()
    runs = len(next(iter(measured.values())))
    return "\n".join(
        [
            *table(("", "seconds", "peak memory"), rows),
            "",
            f"Medians of {runs} runs; a CSV of {stories:,} stories and {len(HEADER)} columns; "
            f"{machine()}.",
            f"a/b = {ours / theirs:.2f}",
        ]
    )
