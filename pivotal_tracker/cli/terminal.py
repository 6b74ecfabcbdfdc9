"""Write to a terminal, a file or a pipe."""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO

import click

_PROBLEMS = (
    "Requested, and not returned",
    "Incomplete:",
    "Kept",
    "Left out:",
    "Not read completely:",
    "Rejected:",
    "Rows are missing:",
    "Skipped:",
    "There was no project",
)
"""The beginnings of lines of the summary that are problems."""


def is_coloured(stream: TextIO) -> bool:
    """Check whether to write colours: on a terminal, unless `NO_COLOR` is set (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def replace_unprintable_characters() -> None:
    """Replace what the terminal's encoding lacks, such as that of Windows, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def write_summary(text: str) -> None:
    """Write the summary of a run to stdout, with problems in yellow."""
    for line in text.splitlines():
        if line.startswith(_PROBLEMS):
            line = click.style(line, fg="yellow")
        click.echo(line, file=sys.stdout, color=is_coloured(sys.stdout))


def write_error(message: str) -> None:
    """Write one line to stderr that says why a run failed."""
    line = f"pivotal_tracker: {message}"
    click.secho(line, file=sys.stderr, fg="red", color=is_coloured(sys.stderr))
