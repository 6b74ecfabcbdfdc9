"""Read the SQLite files of `storyexporter` and `pivotal-tracker-dump`, including attachments.

The children of stories are read in the order of the stories, so that memory holds those of one
story at a time.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Collection, Iterator
from pathlib import PurePosixPath
from typing import Any

from ....records import Record
from ...accounting import LoadAccounting
from ...files import ArchiveError, File, Files
from ...format import FILES, ArchiveRecord
from ...limits import MAX_BYTES_OF_AN_ATTACHMENT
from ...merging.normalize import normalize_record
from ...records import release_of, rows_of
from ..api_responses.saved_responses import could_be_archives
from ..attachments import TABLE as ATTACHMENT_FILES
from ..attachments import Attachments, attachment_attributes, attachments_in
from .database_children import VALUE, ChildRowCursor
from .sqlite import BROKEN_DATABASE, Blob, Database, is_sqlite, one_line, open_database

_SUFFIXES = frozenset({"", ".db", ".db3", ".sqlite", ".sqlite3"})
_ON_DISK = re.compile(r"^(\d{1,18})_.")
_TIMES = ("created_at", "updated_at")
_COLUMNS: dict[str, tuple[str, ...]] = {
    "project": ("id", "name", "description", "status", "iteration_length", *_TIMES),
    "person": ("id", "name", "email", "initials", "username"),
    "label": ("id", "project_id", "name", *_TIMES),
    "epic": ("id", "project_id", "label_id", "name", "description", *_TIMES),
    "story": (
        "id",
        "project_id",
        "name",
        "description",
        "story_type",
        "current_state",
        "estimate",
        "accepted_at",
        "owned_by_id",
        "requested_by_id",
        *_TIMES,
    ),
    "comment": ("id", "story_id", "text", "person_id", *_TIMES),
    "blocker": ("id", "story_id", "person_id", "description", "resolved", *_TIMES),
    "file_attachment": (
        "id",
        "comment_id",
        "filename",
        "content_type",
        "size",
        "download_url",
        "uploader_id",
        "created_at",
    ),
    "story_label": ("story_id", "label_id"),
    "story_owner": ("story_id", "person_id"),
    "file_attachment_file": ("file_attachment_id", "blob"),
}
"""The columns that are read, by table; all but the keys are attributes in the API."""

_PLAIN = {"project": "projects", "person": "people", "label": "labels", "epic": "epics"}
_IGNORED_COLUMNS = {"story_label": {"_id"}, "story_owner": {"_id"}, "label": {"description"}}
"""Columns that contain nothing from Tracker."""

_IGNORED_TABLES = re.compile(r"sqlite_|__|libsql_")
_BLOBS = (
    "SELECT file_attachment_id, rowid, length(blob) FROM file_attachment_file "
    "WHERE typeof(file_attachment_id) = 'integer' AND typeof(blob) = 'blob' AND "
)


class DatabaseDump:
    """Reads one of the two layouts; they differ in the name of comments and in other tables."""

    gives_people = False

    def __init__(self, name: str, comments: str, others: frozenset[str]) -> None:
        self.name = name
        self.comments = comments
        self._signature = {"story", comments, *others}

    def recognizes(self, files: Files) -> bool:
        """Check whether one of the files has the tables, and there is no other archive.

        Attachments do not count as other archives, even if they look like one.
        """
        databases = {name for name, file in files.items() if self._matches(file)}
        on_disk = set(_attachments_on_disk(files).values())
        return bool(databases) and not could_be_archives(files.keys() - databases - on_disk)

    def _matches(self, file: File) -> bool:
        if PurePosixPath(file.name).suffix.lower() not in _SUFFIXES or not is_sqlite(file):
            return False
        try:
            with open_database(file) as database:
                return self._signature <= set(database.names)
        except ArchiveError:
            return False

    def claims(self, files: Files) -> Collection[str]:
        """Return the databases, their journals, and the attachments in files."""
        databases = [name for name, file in files.items() if self._matches(file)]
        journals = [name for name in files if name.endswith(("-wal", "-journal"))]
        return {*databases, *journals, *_attachments_on_disk(files).values()}

    def read(self, files: Files, accounting: LoadAccounting) -> Iterator[ArchiveRecord]:
        """Yield all records, database by database, and then the attachments in files."""
        databases = {name: file for name, file in files.items() if self._matches(file)}
        on_disk = _attachments_on_disk(files)
        for name in files:
            if name.endswith(("-wal", "-journal")) and files[name].size:
                reason = "changes that are not yet in the database: open it with sqlite3 once"
                accounting.read(files.label, FILES)
                accounting.leave_out(files.label, FILES, reason, name)
        folder = next((str(PurePosixPath(name).parent) for name in on_disk.values()), "")
        contents = {number: files[name] for number, name in on_disk.items()}
        attachments = Attachments(contents, files.source(folder), accounting)
        for name, file in databases.items():
            with open_database(file) as database:
                dump = _Dump(database, self.comments, files.source(name), accounting, attachments)
                yield from dump.records()
        yield from attachments.rest()


STORYEXPORTER = DatabaseDump("storyexporter", "comment", frozenset({"file_attachment_file"}))
PIVOTAL_TRACKER_DUMP = DatabaseDump("pivotal-tracker-dump", "story_comment", frozenset())


def _attachments_on_disk(files: Files) -> dict[int, str]:
    """Return the names of attachments that were saved as `<id>_<filename>`, by id."""
    names: dict[int, str] = {}
    for name in files:
        match = _ON_DISK.match(PurePosixPath(name).name)
        if match:
            names.setdefault(int(match[1]), name)
    return names


class _Dump:
    """Reads one database.

    Args:
        database: The database.
        comments: The name of its table of comments.
        source: Its name in the accounting.
        accounting: Counts its rows.
        attachments: The attachments in files beside it.
    """

    def __init__(
        self,
        database: Database,
        comments: str,
        source: str,
        accounting: LoadAccounting,
        attachments: Attachments,
    ) -> None:
        self._database = database
        self._comments = comments
        self._source = source
        self._accounting = accounting
        self._attachments = attachments
        self._blobs_seen = 0
        self._unattached: list[ArchiveRecord] = []

    def records(self) -> Iterator[ArchiveRecord]:
        """Yield all records of the database."""
        for name in {*_COLUMNS, self._comments}:
            self._database.has(name)
        for name, table in _PLAIN.items():
            yield from self._guarded(table, self._plain(name, table))
        yield from self._guarded("stories", self._stories())
        yield from self._guarded(ATTACHMENT_FILES, self._orphan_blobs())
        self._leave_other_tables_out()
        if self._database.replaced:
            reason = "invalid characters, loaded as U+FFFD"
            self._accounting.drop_value(
                self._source, "unknown", reason, "", self._database.replaced
            )

    def _guarded(self, table: str, records: Iterator[ArchiveRecord]) -> Iterator[ArchiveRecord]:
        """Yield the records of a table until a damaged page."""
        try:
            yield from records
        except BROKEN_DATABASE as error:
            self._leave_rest_out(table, error)

    def _leave_rest_out(self, table: str, error: Exception) -> None:
        reason = f"the database is damaged, the rest is lost: {one_line(error)}"
        self._accounting.failures[self._source] = reason
        self._leave_out(table, reason, "")

    def _leave_out(self, table: str, reason: str, where: str, rows: int = 1) -> None:
        self._accounting.read(self._source, table, rows)
        self._accounting.leave_out(self._source, table, reason, where, rows)

    # tables whose rows are records

    def _plain(self, name: str, table: str) -> Iterator[ArchiveRecord]:
        if not self._database.has(name):
            return
        for row in self._rows(name, table, "id"):
            record = {"kind": name, **row}
            if name == "epic" and "label_id" in record:
                record["label"] = self._label(record.pop("label_id"))
            if name == "person" and record.get("username") == f"unknown-{record.get('id')}":
                # storyexporter makes up a person for an id that it cannot find
                record = {"kind": name, "id": record["id"]}
            yield from self._counted(table, record)

    def _counted(self, table: str, record: Record) -> Iterator[ArchiveRecord]:
        """Count all rows of a record, and yield it if it has an id."""
        where = f"{table} {str(record.get('id'))[:40]}"
        normalized = normalize_record(
            table, record, lambda nested, reason: self._leave_out(nested, reason, where)
        )
        rows = rows_of(table, normalized)
        for nested, count in rows.items():
            self._accounting.read(self._source, nested, count)
        if isinstance(normalized.get("id"), int):
            yield ArchiveRecord(table, normalized, self._source)
        else:
            for nested, count in rows.items():
                self._accounting.leave_out(self._source, nested, "it has no id", where, count)

    def _label(self, number: Any) -> Record:
        if self._database.has("label"):
            columns = ", ".join(self._columns("label"))
            query = f"SELECT {columns} FROM label WHERE id = ? LIMIT 1"
            for row in self._database.rows(query, (number,)):
                return {"kind": "label", **row}
        return {"id": number}

    def _columns(self, name: str) -> list[str]:
        """Return the known columns that a table has."""
        known = _COLUMNS["comment" if name == self._comments else name]
        existing = self._database.columns(name)
        return [column for column in known if column in existing]

    def _rows(self, name: str, table: str, order: str) -> Iterator[Record]:
        """Yield the rows of a table as attributes."""
        columns = self._columns(name)
        self._count_unknown_columns(name, table)
        if order not in columns:
            raise sqlite3.DatabaseError(f"{name} has no {order}")
        # rows of the same parent are ordered by id, if they have one
        order = f"{order}, id" if "id" in columns else order
        query = f"SELECT {', '.join(columns)} FROM {name} ORDER BY {order}"
        yield from self._texts(self._database.rows(query), name, table)

    def _count_unknown_columns(self, name: str, table: str) -> None:
        known = {*self._columns(name), *_IGNORED_COLUMNS.get(name, ())}
        for column in set(self._database.columns(name)) - known:
            reason = f"the column {column[:40]!r} of {name} is not known"
            self._accounting.drop_value(self._source, table, reason, name)

    def _texts(self, rows: Iterator[Record], name: str, table: str) -> Iterator[Record]:
        """Yield the rows without bytes in columns of texts or numbers."""
        for row in rows:
            for column in [c for c, value in row.items() if isinstance(value, bytes)]:
                where = f"{name} {str(row.get('id'))[:40]}"
                self._accounting.drop_value(self._source, table, "bytes instead of a text", where)
                del row[column]
            yield row

    # stories, and what belongs to them

    def _stories(self) -> Iterator[ArchiveRecord]:
        children = {
            attribute: self._children(name, attribute)
            for attribute, name in (
                ("comments", self._comments),
                ("blockers", "blocker"),
                ("labels", "story_label"),
                ("owner_ids", "story_owner"),
            )
            if self._database.has(name)
        }
        attachments = self._attachments_of_comments()
        for row in self._rows("story", "stories", "id"):
            story = {"kind": "story", **row}
            if isinstance(story.get("id"), int):
                for attribute, cursor in children.items():
                    story[attribute] = list(cursor.of((story["id"],)))
                yield from self._with_attachments(story, attachments)
            else:
                yield from self._counted("stories", story)
        for cursor in (*children.values(), attachments):
            cursor.rest()
        yield from self._unattached

    def _with_attachments(
        self, story: Record, attachments: ChildRowCursor
    ) -> Iterator[ArchiveRecord]:
        """Yield a story, its release record if it is a release, and the files of its comments."""
        blobs: dict[int, Blob] = {}
        for comment in story.get("comments", ()):
            files = list(attachments.of((story["id"], comment.get("id", 0))))
            blobs |= {a["id"]: a.pop("blob") for a in files if "blob" in a}
            comment["file_attachments"] = files
        for entry in self._counted("stories", story):
            yield entry
            if entry.record.get("story_type") == "release":
                yield from self._counted("releases", release_of(entry.record))
            for ids, attachment in attachments_in(entry):
                blob = blobs.get(attachment["id"])
                if blob:
                    self._attachments.drop(attachment["id"], "the database contains the same")
                    yield from self._content(ids | attachment_attributes(attachment), blob)
            yield from self._attachments.of(entry)

    def _children(self, name: str, attribute: str) -> ChildRowCursor:
        table = f"stories__{attribute}"
        self._count_unknown_columns(name, table)
        rows = {"story_label": self._label_rows, "story_owner": self._owner_rows}.get(name)
        kind = "comment" if name == self._comments else name
        child_rows = rows() if rows else self._rows_of_kind(name, kind, table)
        reason = "the database does not contain the story that it belongs to"
        return ChildRowCursor(
            child_rows,
            ("story_id",),
            lambda row: self._leave_out(table, reason, f"{name} {str(row.get('id'))[:40]}"),
            lambda error: self._leave_rest_out(table, error),
        )

    def _rows_of_kind(self, name: str, kind: str, table: str) -> Iterator[Record]:
        for row in self._rows(name, table, "story_id"):
            if "resolved" in row:
                row["resolved"] = bool(row["resolved"])
            yield {"kind": kind, **row}

    def _label_rows(self) -> Iterator[Record]:
        """Yield the labels of stories, with what the table of labels has about them."""
        columns = ", ".join(self._columns("label")) if self._database.has("label") else ""
        labels = f"(SELECT {columns} FROM label GROUP BY id)" if columns else "(SELECT NULL AS id)"
        query = (
            "SELECT story_id, label_id, label.* FROM story_label LEFT JOIN "
            f"{labels} AS label ON label.id = label_id ORDER BY story_id, label_id"
        )
        for row in self._texts(self._database.rows(query), "story_label", "stories__labels"):
            number = row.pop("label_id", None)
            yield {"id": number, **({"kind": "label"} if "id" in row else {}), **row}

    def _owner_rows(self) -> Iterator[Any]:
        for row in self._rows("story_owner", "stories__owner_ids", "story_id"):
            yield {"story_id": row.get("story_id"), VALUE: row.get("person_id")}

    # attachments

    def _attachments_of_comments(self) -> ChildRowCursor:
        table = "stories__comments__file_attachments"
        reason = "the database does not contain the comment that it belongs to"

        def leave_out(row: Record) -> None:
            self._leave_out(table, reason, f"file_attachment {str(row.get('id'))[:40]}")
            blob = row.pop("blob", None)
            if blob:
                self._unattached += self._content(attachment_attributes(row), blob)

        has = self._database.has("file_attachment") and self._database.has(self._comments)
        return ChildRowCursor(
            self._attachment_rows(table) if has else iter(()),
            ("story_id", "comment_id"),
            leave_out,
            lambda error: self._leave_rest_out(table, error),
        )

    def _attachment_rows(self, table: str) -> Iterator[Record]:
        """Yield attachments in the order of comments, with the position of their content."""
        columns = ", ".join(f"a.{column}" for column in self._columns("file_attachment"))
        query = (
            f"SELECT story_id, {columns} FROM file_attachment AS a LEFT JOIN "
            f"(SELECT id AS found_id, story_id FROM {self._comments} GROUP BY id) "
            "ON found_id = a.comment_id ORDER BY story_id, a.comment_id, a.id"
        )
        for row in self._texts(self._database.rows(query), "file_attachment", table):
            blob = self._blob_of(row.get("id"))
            yield {"kind": "file_attachment", **row, **({"blob": blob} if blob else {})}

    def _blob_of(self, number: Any) -> Blob | None:
        if not self._database.has("file_attachment_file"):
            return None
        query = f"{_BLOBS} file_attachment_id = ? ORDER BY rowid LIMIT 1"
        return next(self._database.blobs(query, (number,)), None)

    def _content(self, record: Record, blob: Blob) -> Iterator[ArchiveRecord]:
        """Yield the content of an attachment, unless it is too large."""
        self._blobs_seen += 1
        self._accounting.read(self._source, ATTACHMENT_FILES)
        if blob.size > MAX_BYTES_OF_AN_ATTACHMENT:
            reason = f"it is larger than {MAX_BYTES_OF_AN_ATTACHMENT:,} bytes"
            where = f"attachment {record['id']}"
            self._accounting.leave_out(self._source, ATTACHMENT_FILES, reason, where)
            return
        content = self._database.opener("file_attachment_file", "blob", blob.row)
        record = record | {"size": blob.size}
        yield ArchiveRecord(ATTACHMENT_FILES, record, self._source, content)

    def _orphan_blobs(self) -> Iterator[ArchiveRecord]:
        """Yield contents without a description, and count invalid and repeated ones as left out."""
        if not self._database.has("file_attachment_file"):
            return
        described_ids = "SELECT id FROM file_attachment WHERE id IS NOT NULL"
        if not self._database.has("file_attachment"):
            described_ids = "SELECT NULL WHERE FALSE"
        query = (
            f"{_BLOBS} file_attachment_id NOT IN ({described_ids}) "
            "ORDER BY file_attachment_id, rowid"
        )
        last = None
        for blob in self._database.blobs(query):
            if blob.id != last:
                yield from self._content({"id": blob.id}, blob)
            last = blob.id
        left = self._database.count("file_attachment_file") - self._blobs_seen
        if left > 0:
            reason = "it is not a file, or another one has the same id"
            self._leave_out(ATTACHMENT_FILES, reason, "file_attachment_file", left)

    def _leave_other_tables_out(self) -> None:
        known = {*_COLUMNS, self._comments} - ({"comment"} - {self._comments})
        for name in self._database.names:
            if name not in known and not _IGNORED_TABLES.match(name):
                reason = "an unknown table"
                self._leave_out(FILES, reason, f"{self._source}: {name[:40]!r}")
