"""The bytes of attachments that lie in an archive as files, told whose they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from ..accounting import LoadAccounting
from ..files import File
from ..format import ArchiveRecord, Record
from ..records import ID_COLUMNS

TABLE = "attachment_files"


class Attachments:
    """Hands out files of attachments as the comments that they belong to come by.

    Args:
        files: By the id of the attachment.
        source: What the accounting calls the place where they lie.
        accounting: Counts them.
    """

    def __init__(self, files: Mapping[int, File], source: str, accounting: LoadAccounting) -> None:
        self._left = dict(files)
        self._source = source
        self._accounting = accounting
        if files:
            accounting.read(source, TABLE, len(files))

    def of(self, found: ArchiveRecord) -> Iterator[ArchiveRecord]:
        """The files of the attachments that a story or an epic describes."""
        for ids, attachment in attachments_in(found):
            file = self._left.pop(attachment["id"], None)
            if file:
                yield self._found(file, ids | described(attachment))

    def drop(self, number: int, reason: str) -> None:
        """Leaves a file out, if there is one."""
        file = self._left.pop(number, None)
        if file:
            self._accounting.leave_out(self._source, TABLE, reason, file.name)

    def rest(self) -> Iterator[ArchiveRecord]:
        """Those that nothing in the archive describes."""
        for number, file in self._left.items():
            yield self._found(file, {"id": number})

    def _found(self, file: File, record: Record) -> ArchiveRecord:
        record.setdefault("filename", PurePosixPath(file.name).name)
        record["size"] = file.size
        return ArchiveRecord(TABLE, record, self._source, file.open)


def attachments_in(found: ArchiveRecord) -> Iterator[tuple[Record, Record]]:
    """The attachments that a record describes, each with the ids of what it is attached to."""
    column = ID_COLUMNS.get(found.table)
    if column is None:
        return
    ids = {column: found.record["id"]}
    if "project_id" in found.record:
        ids["project_id"] = found.record["project_id"]
    for comment in found.record.get("comments", ()):
        for attachment in comment.get("file_attachments", ()):
            yield ids | {"comment_id": comment["id"]}, attachment


def described(attachment: Record) -> Record:
    """What a row of `attachment_files` takes over from the description of an attachment."""
    names = ("id", "filename", "content_type")
    return {name: attachment[name] for name in names if name in attachment}
