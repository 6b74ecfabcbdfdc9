"""Yield the attachments that are files in an archive, with the comments that they belong to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from ...records import Record
from ..accounting import LoadAccounting
from ..files import File
from ..format import ArchiveRecord
from ..records import ID_COLUMNS

TABLE = "attachment_files"


class Attachments:
    """Yields files of attachments when the comments that they belong to are read.

    Args:
        files: The files by the id of the attachment.
        source: The name of their folder in the accounting.
        accounting: Counts them.
    """

    def __init__(self, files: Mapping[int, File], source: str, accounting: LoadAccounting) -> None:
        self._remaining = dict(files)
        self._source = source
        self._accounting = accounting
        if files:
            accounting.read(source, TABLE, len(files))

    def of(self, entry: ArchiveRecord) -> Iterator[ArchiveRecord]:
        """Yield the files of the attachments of a story or an epic."""
        for ids, attachment in attachments_in(entry):
            file = self._remaining.pop(attachment["id"], None)
            if file:
                yield self._entry(file, ids | attachment_attributes(attachment))

    def drop(self, number: int, reason: str) -> None:
        """Leave the file of an attachment out, if there is one."""
        file = self._remaining.pop(number, None)
        if file:
            self._accounting.leave_out(self._source, TABLE, reason, file.name)

    def rest(self) -> Iterator[ArchiveRecord]:
        """Yield the files that no comment in the archive refers to."""
        for number, file in self._remaining.items():
            yield self._entry(file, {"id": number})

    def _entry(self, file: File, record: Record) -> ArchiveRecord:
        record.setdefault("filename", PurePosixPath(file.name).name)
        record["size"] = file.size
        return ArchiveRecord(TABLE, record, self._source, file.open)


def attachments_in(entry: ArchiveRecord) -> Iterator[tuple[Record, Record]]:
    """Yield the attachments of a record, each with the ids of its comment, parent and project."""
    column = ID_COLUMNS.get(entry.table)
    if column is None:
        return
    ids = {column: entry.record["id"]}
    if "project_id" in entry.record:
        ids["project_id"] = entry.record["project_id"]
    for comment in entry.record.get("comments", ()):
        for attachment in comment.get("file_attachments", ()):
            yield ids | {"comment_id": comment["id"]}, attachment


def attachment_attributes(attachment: Record) -> Record:
    """Return the attributes of an attachment that `attachment_files` has too."""
    names = ("id", "filename", "content_type")
    return {name: attachment[name] for name in names if name in attachment}
