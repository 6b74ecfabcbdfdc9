"""What went wrong, in one line for whoever has to mend it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from typing import Any, get_args

from dlt.common.configuration.exceptions import (
    ConfigFieldMissingException,
    ConfigValueCannotBeCoercedException,
)
from dlt.common.destination.exceptions import UnknownDestinationModule
from dlt.common.exceptions import MissingDependencyException

from ..api.client import MissingTokenError
from ..errors import TrackerError
from ..load.destinations import unknown_destination
from ..settings import SHUT_DOWN

_DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system answers then; databases give its words."""

_SAMPLE_HINT = "Or see a made-up workspace, which needs none: --sample."


def reason(error: BaseException) -> str:
    """Says what went wrong and what to do.

    Args:
        error: What a run failed with.
    """
    causes = list(causes_of(error))
    for cause in causes:
        if isinstance(cause, MissingTokenError):
            return f"{cause} {_SAMPLE_HINT}"
        if isinstance(cause, TrackerError):
            return str(cause)
        if isinstance(cause, ConfigFieldMissingException):
            return _missing_setting(cause)
        if isinstance(cause, ConfigValueCannotBeCoercedException):
            # what stands there instead may be a secret
            return (
                f"The setting {cause.field_name} cannot be understood: it must be of type "
                f"{_in_words(cause.hint)}. Mend it in .dlt/config.toml, .dlt/secrets.toml or the "
                "environment."
            )
        if isinstance(cause, UnknownDestinationModule):
            return unknown_destination(cause.ref)
        if isinstance(cause, MissingDependencyException):
            packages = " ".join(f'"{package}"' for package in cause.dependencies)
            return f"A package is missing, for {cause.caller}: pip install {packages}"
        if any(os.strerror(number) in str(cause) for number in _DISK_IS_FULL) or (
            isinstance(cause, OSError) and cause.errno in _DISK_IS_FULL
        ):
            return (
                "The disk is full. Make room and run the same command again: it completes what "
                "was begun."
            )
        if "Could not set lock on file" in str(cause):
            return (
                "The database is in use by another program, and DuckDB lets only one write. Close "
                "it and run the same command again: it completes what was begun."
            )
        if "Cannot open file" in str(cause):
            told = " ".join(str(cause).split())
            return (
                f"{told[told.index('Cannot open file') :]}. Is there such a folder, and may you "
                "write into it? DuckDB's file lies in that of the first run, or where "
                "DESTINATION__DUCKDB__CREDENTIALS says."
            )
        if "Too many partitions produced" in str(cause):
            return (
                "BigQuery lets one job write to 4,000 days of a table, and this load has more. "
                "Give it up (dlt pipeline NAME abort-packages), then load the projects in several "
                "runs, once, each with some of them: --project ID ..."
            )
        if "Data too long for column 'schema'" in str(cause):
            return (
                "MySQL gives what dlt notes of so many tables too little room. Once, in the "
                "dataset and in the one of that name with _staging behind it: ALTER TABLE "
                "_dlt_version MODIFY `schema` LONGTEXT NOT NULL; then run the same command again."
            )
    innermost = " ".join(str(causes[-1]).split())
    return f"{type(causes[-1]).__name__}: {innermost[:500]} (--debug shows more)"


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """The error and what caused it, outermost first."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _in_words(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint)


def _missing_setting(error: ConfigFieldMissingException) -> str:
    names = ", ".join(error.fields)
    if "api_token" in error.fields:
        return f"{MissingTokenError()} {_SAMPLE_HINT}"
    if "base_url" in error.fields:
        return f"There is no base_url. {SHUT_DOWN}. Files are loaded with --archive."
    return (
        f"A setting is missing: {names}. Set it in .dlt/config.toml, .dlt/secrets.toml or the "
        "environment."
    )
