"""Read files with API responses: JSON, JSON lines, and cassettes of HTTP recorders."""

from __future__ import annotations

import codecs
import sqlite3
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from contextlib import closing
from io import BytesIO
from itertools import islice
from pathlib import PurePosixPath
from typing import Any, BinaryIO

import orjson

from ...accounting import LoadAccounting
from ...files import ArchiveError, File, Files
from ...format import ArchiveRecord
from ...limits import MAX_BYTES_OF_A_RECORD
from ...merging.record_merger import RecordMerger
from ...records import COLLECTIONS
from .cassettes import BROKEN_YAML, LOOKS_LIKE_A_CASSETTE, YamlText, interactions
from .json_text import BROKEN_JSON, JsonText, Utf8, parse, values
from .provenance import UNKNOWN, Provenance, record_replaced
from .response_sorter import ResponseSorter
from .wrappers import Located, envelope_provenance, is_response

_YAML = frozenset({".yaml", ".yml"})
_SUFFIXES = _YAML | {".json", ".jsonl", ".ndjson", ".har"}
_DATABASES = frozenset({".db", ".db3", ".sqlite", ".sqlite3"})
_PACKED = frozenset({".zip"})
_EXPORTS = _PACKED | {".csv", ".xlsx"}
_HEAD = 64 * 1024
_MAX_TRIED_VALUES = 1_000
_COLLECTIONS_BY_LENGTH = sorted(COLLECTIONS, key=len, reverse=True)


class ApiResponses:
    """Reads responses of API v5 that someone saved, in any of several forms.

    Args:
        contains_other_archive: Checks whether files contain an archive of a format that can read
            more of it.
    """

    name = "API responses"
    gives_people = False

    def __init__(self, contains_other_archive: Callable[[Files], bool]) -> None:
        self._contains_other_archive = contains_other_archive

    def recognizes(self, files: Files) -> bool:
        """Check whether one of the files contains a record or a recorded request.

        A folder that also contains archives of other formats is not one archive.
        """
        suffixes = {PurePosixPath(name).suffix.lower() for name in files}
        if suffixes & (_DATABASES | _PACKED) or self._contains_other_archive(files):
            return False
        return any(_contains_responses(files[name]) for name in candidates(files))

    def claims(self, files: Files) -> Collection[str]:
        """Return the files that may contain responses."""
        return candidates(files)

    def read(self, files: Files, accounting: LoadAccounting) -> Iterator[ArchiveRecord]:
        """Yield all records of all files, each once."""
        yield from merge_responses(files, list(files), accounting)


def candidates(files: Files) -> list[str]:
    """Return the names of files that may contain responses; a single file always may."""
    if len(files) == 1:
        return list(files)
    return [
        name
        for name, file in files.items()
        if (suffix := PurePosixPath(name).suffix.lower()) in _SUFFIXES
        and (suffix not in _YAML or _is_cassette(file))
    ]


def _is_cassette(file: File) -> bool:
    with closing(file.open()) as stream:
        return LOOKS_LIKE_A_CASSETTE.search(stream.read(_HEAD)) is not None


def _contains_responses(file: File) -> bool:
    origin, accounting = Provenance("").with_request_path(_hint(file.name)), LoadAccounting()
    is_empty = True
    with closing(read_responses(file, origin, accounting)) as responses:
        for value, its_origin in islice(responses, _MAX_TRIED_VALUES):
            is_empty = False
            if is_response(value, its_origin):
                return True
    return bool(is_empty and file.size and origin.expected and not accounting.left_out)


def could_be_archives(names: Iterable[str]) -> bool:
    """Check by the names whether one of the files may be an archive."""
    suffixes = _SUFFIXES | _DATABASES | _EXPORTS
    return any(PurePosixPath(name).suffix.lower() in suffixes for name in names)


def is_whole(files: Files, folder: PurePosixPath) -> bool:
    """Check whether there is no other archive outside of a folder."""
    return not could_be_archives(n for n in files if not PurePosixPath(n).is_relative_to(folder))


def merge_responses(
    files: Files, names: Iterable[str], accounting: LoadAccounting
) -> Iterator[ArchiveRecord]:
    """Read files with responses and yield their merged records.

    Args:
        files: The archive.
        names: The files to read.
        accounting: As for `Format.read`.

    Raises:
        ArchiveError: The temporary copy of the records does not fit on the disk.
    """
    try:
        with closing(RecordMerger(accounting)) as merger:
            sorter = ResponseSorter(merger, accounting)
            for name in names:
                origin = Provenance(files.source(name)).with_request_path(_hint(name))
                for value, its_origin in read_responses(files[name], origin, accounting):
                    sorter.add(value, its_origin)
            yield from merger.records()
    except sqlite3.Error as error:
        # for example, the disk is full: the database is not the user's
        problem = f"its records cannot be merged on disk: {error}"
        raise ArchiveError(f"{files.label}: {problem}") from error


def _hint(name: str) -> str:
    """Return the collection in a file's name, as in `out/projects_project_id_labels.json`."""
    stem = PurePosixPath(name).stem.lower()
    return next(
        (n for n in _COLLECTIONS_BY_LENGTH if stem == n or stem.endswith((f"_{n}", f"-{n}"))), ""
    )


def read_responses(
    file: File, origin: Provenance, accounting: LoadAccounting
) -> Generator[Located]:
    """Yield the values of a file one by one; if it is broken, the rest is left out."""
    with closing(file.open()) as stream:
        head = stream.read(_HEAD)
    with closing(file.open()) as stream:
        if LOOKS_LIKE_A_CASSETTE.search(head):
            yield from _in_yaml(stream, origin, accounting)
        elif _is_json_lines(head):
            yield from _in_lines(stream, origin, accounting)
        else:
            yield from _in_json(stream, origin, accounting)


def _is_json_lines(head: bytes) -> bool:
    """Check whether the first line is a complete object, and there are more lines."""
    line, newline, rest = head.removeprefix(codecs.BOM_UTF8).lstrip().partition(b"\n")
    try:
        return bool(newline and rest.strip() and isinstance(orjson.loads(line), dict))
    except ValueError:
        return False


def _in_json(stream: BinaryIO, origin: Provenance, accounting: LoadAccounting) -> Iterator[Located]:
    text = JsonText(stream)
    number = 0
    try:
        for wrapper, value in values(text):
            number += 1
            yield value, envelope_provenance(wrapper, origin).at(f"record {number:,}")
    except (*BROKEN_JSON, ArchiveError) as error:
        _leave_rest_out(origin, f"after record {number:,}", error, accounting)
    record_replaced(accounting, origin, text.replaced)


def _in_yaml(stream: BinaryIO, origin: Provenance, accounting: LoadAccounting) -> Iterator[Located]:
    text = YamlText(stream)
    number = 0
    try:
        for interaction in interactions(text):
            number += 1
            yield interaction, origin.at(f"interaction {number:,}")
    except (*BROKEN_YAML, ArchiveError) as error:
        _leave_rest_out(origin, f"after interaction {number:,}", error, accounting)
    record_replaced(accounting, origin, text.replaced)


def _in_lines(
    stream: BinaryIO, origin: Provenance, accounting: LoadAccounting
) -> Iterator[Located]:
    number = 0
    try:
        while line := stream.readline(MAX_BYTES_OF_A_RECORD):
            number += 1
            here = origin.at(f"line {number:,}")
            if not line.strip():
                continue
            try:
                value, replaced = _line(line)
            except ValueError:
                accounting.reject_row(here.source, UNKNOWN, "the line is not JSON", here.where)
            else:
                record_replaced(accounting, here, replaced)
                yield value, here
    except ArchiveError as error:
        _leave_rest_out(origin, f"after line {number:,}", error, accounting)


def _line(line: bytes) -> tuple[Any, int]:
    try:
        return parse(line)
    except ValueError:
        text = Utf8(BytesIO(line))
        value, replaced = parse(b"".join(iter(text.read, b"")))
        return value, replaced + text.replaced


def _leave_rest_out(
    origin: Provenance, where: str, error: Exception, accounting: LoadAccounting
) -> None:
    reason = f"the file breaks off: {_one_line(error)}"
    accounting.failures[origin.source] = reason
    accounting.read(origin.source, UNKNOWN)
    accounting.leave_out(origin.source, UNKNOWN, reason, where)


def _one_line(error: Exception) -> str:
    """Return a parser's error as one line, without the part of the file that it quotes."""
    problem = getattr(error, "problem", None) or str(error)
    return problem.strip().partition("\n")[0][:100]
