"""What the API answered, in files: JSON, JSON lines, and the cassettes of recorders."""

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
from .json_text import BROKEN_JSON, JsonText, Utf8, parsed, values
from .provenance import UNKNOWN, Provenance, note_replaced
from .response_sorter import ResponseSorter
from .wrappers import is_answer, wrapped

_YAML = frozenset({".yaml", ".yml"})
_SUFFIXES = _YAML | {".json", ".jsonl", ".ndjson", ".har"}
_DATABASES = frozenset({".db", ".db3", ".sqlite", ".sqlite3"})
_PACKED = frozenset({".zip"})
_EXPORTS = _PACKED | {".csv", ".xlsx"}
_HEAD = 64 * 1024
_TRIED_VALUES = 1_000
_LONGEST_FIRST = sorted(COLLECTIONS, key=len, reverse=True)

ParsedValue = tuple[Any, Provenance]
"""A value, and what is known of it by where it was found."""


class ApiResponses:
    """Answers of API v5 that someone saved, in whatever form.

    Args:
        contains_other_archive: Says of files whether they hold, somewhere, an archive of a format
            that finds more in it.
    """

    name = "API answers"
    signature = (
        "JSON or JSON lines of API v5's records, or cassettes of vcrpy or VCR that recorded it"
    )
    may_contain_duplicates = False
    gives_people = False

    def __init__(self, contains_other_archive: Callable[[Files], bool]) -> None:
        self._contains_other_archive = contains_other_archive

    def recognizes(self, files: Files) -> bool:
        """Whether one of the files holds a record, or a recorded request.

        A folder that holds archives of other formats too is none as a whole.
        """
        suffixes = {PurePosixPath(name).suffix.lower() for name in files}
        if suffixes & (_DATABASES | _PACKED) or self._contains_other_archive(files):
            return False
        return any(_holds_answers(file) for file in _candidates(files))

    def claims(self, files: Files) -> Collection[str]:
        """The files that may hold answers."""
        return candidates(files)

    def read(self, files: Files, accounting: LoadAccounting) -> Iterator[ArchiveRecord]:
        """All records, of all files together, once each."""
        yield from merged_responses(files, list(files), accounting)


def candidates(files: Files) -> list[str]:
    """The names of files that may hold answers."""
    return [file.name for file in _candidates(files)]


def _candidates(files: Files) -> list[File]:
    """The files to look at, by their names; one that was given by itself is looked at anyway."""
    if len(files) == 1:
        return list(files.values())
    return [
        file
        for name, file in files.items()
        if (suffix := PurePosixPath(name).suffix.lower()) in _SUFFIXES
        and (suffix not in _YAML or _is_cassette(file))
    ]


def _is_cassette(file: File) -> bool:
    with closing(file.open()) as stream:
        return LOOKS_LIKE_A_CASSETTE.search(stream.read(_HEAD)) is not None


def _holds_answers(file: File) -> bool:
    origin, accounting = Provenance("").asked(_hint(file.name)), LoadAccounting()
    is_empty = True
    with closing(read_responses(file, origin, accounting)) as answers:
        for value, its_origin in islice(answers, _TRIED_VALUES):
            is_empty = False
            if is_answer(value, its_origin):
                return True
    return bool(is_empty and file.size and origin.expected and not accounting.left_out)


def could_be_archives(names: Iterable[str]) -> bool:
    """Whether one of the files may be an archive of its own, by its name."""
    suffixes = _SUFFIXES | _DATABASES | _EXPORTS
    return any(PurePosixPath(name).suffix.lower() in suffixes for name in names)


def is_whole(files: Files, folder: PurePosixPath) -> bool:
    """Whether a folder, which a ZIP may hold, has no other archive beside it."""
    return not could_be_archives(n for n in files if not PurePosixPath(n).is_relative_to(folder))


def merged_responses(
    files: Files, names: Iterable[str], accounting: LoadAccounting
) -> Iterator[ArchiveRecord]:
    """Reads files of answers and gives their records, put together.

    Args:
        files: The archive.
        names: The files to read.
        accounting: As for `Format.read`.

    Raises:
        ArchiveError: There is no room on disk for a copy of the records.
    """
    try:
        with RecordMerger(accounting) as merger:
            answers = ResponseSorter(merger, accounting)
            for name in names:
                origin = Provenance(files.source(name)).asked(_hint(name))
                for value, its_origin in read_responses(files[name], origin, accounting):
                    answers.place(value, its_origin)
            yield from merger.records()
    except sqlite3.Error as error:
        # a full disk, say: the database is our own
        problem = f"its records cannot be put together on disk: {error}"
        raise ArchiveError(f"{files.label}: {problem}") from error


def _hint(name: str) -> str:
    """The collection that a file is named after: `out/projects_project_id_labels.json`."""
    stem = PurePosixPath(name).stem.lower()
    return next((n for n in _LONGEST_FIRST if stem == n or stem.endswith((f"_{n}", f"-{n}"))), "")


def read_responses(
    file: File, origin: Provenance, accounting: LoadAccounting
) -> Generator[ParsedValue]:
    """Gives what a file holds, value by value; where it is broken, the rest of it is left out."""
    with closing(file.open()) as stream:
        head = stream.read(_HEAD)
    with closing(file.open()) as stream:
        if LOOKS_LIKE_A_CASSETTE.search(head):
            yield from _in_yaml(stream, origin, accounting)
        elif _holds_lines(head):
            yield from _in_lines(stream, origin, accounting)
        else:
            yield from _in_json(stream, origin, accounting)


def _holds_lines(head: bytes) -> bool:
    """Whether the first line is an object by itself, and not the last line."""
    line, newline, rest = head.removeprefix(codecs.BOM_UTF8).lstrip().partition(b"\n")
    try:
        return bool(newline and rest.strip() and isinstance(orjson.loads(line), dict))
    except ValueError:
        return False


def _in_json(
    stream: BinaryIO, origin: Provenance, accounting: LoadAccounting
) -> Iterator[ParsedValue]:
    text = JsonText(stream)
    number = 0
    try:
        for wrapper, value in values(text):
            number += 1
            yield value, wrapped(wrapper, origin).at(f"record {number:,}")
    except (*BROKEN_JSON, ArchiveError) as error:
        _leave_rest_out(origin, f"after record {number:,}", error, accounting)
    note_replaced(accounting, origin, text.replaced)


def _in_yaml(
    stream: BinaryIO, origin: Provenance, accounting: LoadAccounting
) -> Iterator[ParsedValue]:
    text = YamlText(stream)
    number = 0
    try:
        for interaction in interactions(text):
            number += 1
            yield interaction, origin.at(f"interaction {number:,}")
    except (*BROKEN_YAML, ArchiveError) as error:
        _leave_rest_out(origin, f"after interaction {number:,}", error, accounting)
    note_replaced(accounting, origin, text.replaced)


def _in_lines(
    stream: BinaryIO, origin: Provenance, accounting: LoadAccounting
) -> Iterator[ParsedValue]:
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
                accounting.read(here.source, UNKNOWN)
                accounting.leave_out(here.source, UNKNOWN, "the line is no JSON", here.where)
                accounting.unreadable[here.source] += 1
            else:
                note_replaced(accounting, here, replaced)
                yield value, here
    except ArchiveError as error:
        _leave_rest_out(origin, f"after line {number:,}", error, accounting)


def _line(line: bytes) -> tuple[Any, int]:
    try:
        return parsed(line)
    except ValueError:
        text = Utf8(BytesIO(line))
        value, replaced = parsed(b"".join(iter(text.read, b"")))
        return value, replaced + text.replaced


def _leave_rest_out(
    origin: Provenance, where: str, error: Exception, accounting: LoadAccounting
) -> None:
    reason = f"the file breaks off: {_in_a_line(error)}"
    accounting.failures[origin.source] = reason
    accounting.read(origin.source, UNKNOWN)
    accounting.leave_out(origin.source, UNKNOWN, reason, where)


def _in_a_line(error: Exception) -> str:
    """An error of a parser without the piece of the file that it quotes."""
    problem = getattr(error, "problem", None) or str(error)
    return problem.strip().partition("\n")[0][:100]
