"""Explain errors in one line: what went wrong and what to do."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any, get_args

from dlt.common.configuration.exceptions import (
    ConfigFieldMissingException,
    ConfigProviderException,
    ConfigValueCannotBeCoercedException,
    LookupTraces,
)
from dlt.common.destination.exceptions import UnknownDestinationModule
from dlt.common.exceptions import MissingDependencyException

from ..api.errors import MissingTokenError
from ..errors import TrackerError
from ..load.destinations import unknown_destination
from ..settings import SHUTDOWN_NOTICE

_DISK_FULL_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""The numbers of the system's errors when a disk is full."""

_DISK_FULL_TEXTS = (
    "No space left on device",
    "Disk quota exceeded",
    "Disc quota exceeded",  # macOS
    "File too large",
    "There is not enough space on the disk",  # Windows
)
"""The texts of these errors, which are all that databases pass on."""

_DISK_FULL = "The disk is full. Make room and run the same command again: it continues this run."

_IN_USE = (
    "The database is in use by another program, and DuckDB allows only one that writes. Close it "
    "and run the same command again: it continues this run."
)

_DATABASE_ERRORS = {
    **dict.fromkeys(_DISK_FULL_TEXTS, _DISK_FULL),
    "Could not set lock on file": _IN_USE,
    "File is already open in": _IN_USE,  # Windows, in any language
    "Too many partitions produced": (
        "BigQuery lets one job write to 4,000 days of a table, and this load has more. Abort it "
        "(dlt pipeline NAME abort-packages), then load the projects in several runs, once, each "
        "with some of them: --project ID ..."
    ),
    "Data too long for column 'schema'": (
        "dlt's schema of so many tables does not fit MySQL's TEXT column. Once, in the dataset and "
        "in the one of that name with _staging behind it: ALTER TABLE _dlt_version MODIFY `schema` "
        "LONGTEXT NOT NULL; then run the same command again."
    ),
}
"""What to do about errors of databases, by a part of their text."""

_CANNOT_OPEN = "Cannot open file"

_OFFLINE_HINT = "Files and the sample need none: pivotal-tracker my_project.zip, or --sample."


def reason(error: BaseException) -> str:
    """Say what went wrong and what to do.

    Args:
        error: What a run failed with.
    """
    causes = list(causes_of(error))
    for cause in causes:
        if message := _tracker_message(cause) or _setting_message(cause) or _system_message(cause):
            return message
    innermost = _one_line(str(causes[-1]))
    return f"{type(causes[-1]).__name__}: {innermost[:500]} (--debug shows more)"


def _tracker_message(error: BaseException) -> str:
    """Return the message of an error of this project; empty for other errors."""
    if isinstance(error, MissingTokenError):
        return f"{error} {_OFFLINE_HINT}"
    return str(error) if isinstance(error, TrackerError) else ""


def _setting_message(error: BaseException) -> str:
    """Return the message for a setting or package that is missing or wrong; empty for others."""
    match error:
        case ConfigFieldMissingException():
            return _missing_setting(error)
        case ConfigValueCannotBeCoercedException():
            # the message leaves the value out: it may be a secret
            return (
                f"The setting {error.field_name} is not valid: it must be of type "
                f"{_type_name(error.hint)}. Fix it in .dlt/config.toml, .dlt/secrets.toml or the "
                "environment."
            )
        case ConfigProviderException():
            # its last line has the place in the file, and no value
            return f"{_last_line(error)}. Correct the file: .dlt/secrets.toml or .dlt/config.toml."
        case UnknownDestinationModule():
            return unknown_destination(error.ref)
        case MissingDependencyException():
            packages = " ".join(f'"{package}"' for package in error.dependencies)
            return f"A package is missing, for {error.caller}: pip install {packages}"
    return ""


def _system_message(error: BaseException) -> str:
    """Return the message for an error of the system or a database; empty if it is not known."""
    if isinstance(error, OSError) and error.errno in _DISK_FULL_ERRNOS:
        return _DISK_FULL
    text = str(error)
    for part, message in _DATABASE_ERRORS.items():
        if part in text:
            return message
    if _CANNOT_OPEN not in text:
        return ""
    details = " ".join(text.split())
    return (
        f"{details[details.index(_CANNOT_OPEN) :]}. Check that the folder exists and can be "
        "written to. DuckDB's file is in the folder of the first run, or where "
        "DESTINATION__DUCKDB__CREDENTIALS says."
    )


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and what caused it, outermost first."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _type_name(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint)


def _missing_setting(error: ConfigFieldMissingException) -> str:
    if "api_token" in error.fields:
        return f"{MissingTokenError()} {_OFFLINE_HINT}"
    if "base_url" in error.fields:
        return (
            f"There is no base_url. {SHUTDOWN_NOTICE}. To load files instead, name them: "
            "pivotal-tracker my_project.zip."
        )
    names = ", ".join(_missing_fields(error))
    if error.spec_name.startswith("BigQuery") and not _is_installed("google.cloud.bigquery"):
        return (
            "A package is missing, for BigQuery: pip install 'dlt[bigquery]', or this package with "
            "its extra [bigquery]."
        )
    hint = ""
    if names == "credentials.password":
        hint = (
            " Where none is needed (trust, peer, a login of the cloud), end the user with a "
            "colon: postgresql://loader:@host/database."
        )
    return (
        f"A setting is missing: {names}. Set it in .dlt/config.toml, .dlt/secrets.toml or the "
        f"environment.{hint}"
    )


def _missing_fields(error: ConfigFieldMissingException) -> Iterator[str]:
    """Yield the settings that are missing; of credentials, the parts that are missing."""
    for field, traces in error.traces.items():
        inner = dict.fromkeys(
            name for trace in traces if isinstance(trace, LookupTraces) for name in trace.traces
        )
        yield from (f"{field}.{name}" for name in inner) if inner else (field,)


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _last_line(error: BaseException) -> str:
    return _one_line(str(error).strip().rpartition("\n")[2]).rstrip(".")


def _one_line(text: str) -> str:
    """Return a text on one line that every terminal can show."""
    return " ".join(text.encode("utf-8", "backslashreplace").decode().split())
