"""Explain why files are not an archive: what they seem to be, and what is supported."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import PurePosixPath

from .accounting import LoadAccounting
from .files import ArchiveError, File, Files
from .formats.api_responses.provenance import Provenance
from .formats.api_responses.saved_responses import read_responses
from .formats.databases.sqlite import is_sqlite, open_database

_HEAD = 4096
_SUPPORTED = (
    "Supported are Tracker's exports (CSV, XLSX, ZIP), JSON of API v5, recordings (VCR, vcrpy, "
    "HAR) and the backups that docs/archives.md lists."
)
_OLD_XML = re.compile(
    rb"<(stories|story|projects|project|iterations|iteration|activities|activity|memberships"
    rb"|notes|tasks)[\s/>]"
)
_KINDS = (
    (b"\xd0\xcf\x11\xe0", "a workbook of Excel 97-2003 (.xls), which is not supported"),
    (b"%PDF", "a PDF"),
    (b"\x89PNG", "an image"),
    (b"\xff\xd8\xff", "an image"),
    (b"GIF8", "an image"),
    (b"PK\x03\x04", "a ZIP"),
    (b"\x1f\x8b", "a gzip file: unpack it"),
    (b"7z\xbc\xaf", "a 7z file: unpack it"),
    (b"Rar!", "a RAR file: unpack it"),
)
_MAX_NAMES = 5


def refusal(files: Files) -> str:
    """Return one line for a path without an archive: what it is, and what is supported."""
    if not files and files.refused:
        name, reason = next(iter(files.refused.items()))
        return f"{files.path} contains nothing that can be read: {name}: {reason}."
    if len(files) == 1:
        (name,) = files
        what = why_unknown(files[name])
        hint = "Save it as XLSX or CSV." if ".xls)" in what else _SUPPORTED
        return f"{files.path} is not a known archive. Found: {what}. {hint}"
    names = sorted(files)
    more = f" and {len(names) - _MAX_NAMES:,} more" if len(names) > _MAX_NAMES else ""
    shown = f"{', '.join(names[:_MAX_NAMES])}{more}" if names else "nothing"
    return f"{files.path} is not a known archive. Found: {shown}. {_SUPPORTED}"


def why_unknown(file: File) -> str:
    """Return what a file that no format claims seems to be."""
    try:
        if is_sqlite(file):
            return _database(file)
        with closing(file.open()) as stream:
            head = stream.read(_HEAD)
    except ArchiveError as error:
        return str(error).rstrip(".")
    for magic, what in _KINDS:
        if head.startswith(magic):
            return what
    return _text(file, head)


def _database(file: File) -> str:
    """Describe a database of another program by its tables."""
    with open_database(file) as database:
        names = sorted(name for name in database.names if not name.startswith("sqlite_"))
    more = f" and {len(names) - _MAX_NAMES:,} more" if len(names) > _MAX_NAMES else ""
    shown = ", ".join(name[:40] for name in names[:_MAX_NAMES])
    tables = "table" if len(names) == 1 else "tables"
    return f"a SQLite database with the {tables} {shown}{more}" if names else "an empty database"


def _text(file: File, head: bytes) -> str:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"<"):
        if _OLD_XML.search(head):
            return "XML of Tracker's API v3 or v4, which is not supported"
        return "XML or HTML"
    if not text:
        return "an empty file"
    if b"\0" in head:
        return "a file of an unknown kind"
    if text[:1] in b"{[":
        return _json(file)
    if PurePosixPath(file.name).suffix.lower() in (".csv", ".tsv"):
        return "a CSV without the columns Id, Title, Type and Current State"
    return "a text of another kind"


def _json(file: File) -> str:
    """Say why no record of API v5 was found in JSON: there is none, or it cannot be parsed."""
    accounting = LoadAccounting()
    with closing(read_responses(file, Provenance(file.name), accounting)) as values:
        next(values, None)
    for failure in accounting.failures.values():
        return f"JSON, but {failure}"
    return "JSON without records of API v5"
