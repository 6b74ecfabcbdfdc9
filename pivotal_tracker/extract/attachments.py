"""Download the files of comments, each once, and record their paths or what went wrong."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import requests

from .. import tables
from ..api.client import TrackerClient
from ..errors import TrackerError
from ..load.attachment_storage import (
    IncompleteFileError,
    file_metadata,
    file_path,
    partial_path,
    save,
)
from ..records import Record, Tombstones, tombstones
from ..settings import COMMENT_ATTACHMENTS
from .run import Run

_CHUNK_SIZE = 1 << 14
_METADATA_COLUMNS = (
    "id",
    "project_id",
    "story_id",
    "epic_id",
    "comment_id",
    "filename",
    "content_type",
)
_ATTACHMENT_TABLES = {
    "stories__comments__file_attachments": "story_id",
    "epics__comments__file_attachments": "epic_id",
}


def attachment_records(
    run: Run, folder: Path, project_ids: Collection[int] | None = None
) -> Iterator[Any]:
    """Yield what the resource `attachment_files` yields: records of new and of deleted files.

    The files are those in the loaded tables of comments.

    Args:
        run: The run.
        folder: The folder for the files.
        project_ids: Only the files of these projects; default: of all.
    """

    def in_scope(attachment: Record) -> bool:
        project_id = attachment["project_id"]
        return project_id in run.shard and (project_ids is None or project_id in project_ids)

    counts = run.metrics[tables.ATTACHMENT_FILES.name].files
    counts |= {"kept": 0, "downloaded": 0, "bytes": 0, "problems": 0}
    yield Tombstones()
    attachments = {file["id"]: file for file in filter(in_scope, _attachments(run))}
    existing = {row["id"]: row for row in filter(in_scope, _existing_files(run))}
    for attachment_id, row in existing.items():
        if row["_source"] is not None:
            # it came from an archive, and needs no download
            attachments.pop(attachment_id, None)
    yield tombstones(
        tables.ATTACHMENT_FILES,
        [key for key, row in existing.items() if row["_source"] is None and key not in attachments],
    )
    for attachment in attachments.values():
        row = existing.get(attachment["id"], {})
        if _is_downloaded(file_path(folder, attachment), row):
            counts["kept"] += 1
        else:
            yield partial(_job, run, attachment, folder, counts)


def _attachments(run: Run) -> Iterator[Record]:
    columns = ["id", "project_id", "comment_id", "filename", "content_type", "size", "download_url"]
    for table, parent in _ATTACHMENT_TABLES.items():
        for row in run.loaded.rows(table, [*columns, parent]):
            yield dict(zip([*columns, parent], row, strict=True))


def _existing_files(run: Run) -> Iterator[Record]:
    columns = ["id", "project_id", "path", "size", "_source"]
    for row in run.loaded.rows(tables.ATTACHMENT_FILES.name, columns):
        yield dict(zip(columns, row, strict=True))


def _is_downloaded(path: Path, row: Record) -> bool:
    """Check whether a file is where an earlier run has saved it, with the same size."""
    return (
        row.get("path") == str(path) and path.is_file() and path.stat().st_size == row.get("size")
    )


def _job(
    run: Run, attachment: Record, folder: Path, counts: dict[str, int]
) -> Iterator[list[Record]]:
    """Download a file in dlt's pool; the result yields its record in dlt's own thread."""
    path = file_path(folder, attachment)
    record = {
        name: attachment[name] for name in _METADATA_COLUMNS if attachment.get(name) is not None
    }
    size = attachment.get("size")
    try:
        if not (path.is_file() and size in (None, path.stat().st_size)):
            _download(run.client, attachment, path)
        record |= file_metadata(path)
    except TrackerError as error:
        record["problem"] = str(error)
    return _file_record(run, record, counts)


def _file_record(run: Run, record: Record, counts: dict[str, int]) -> Iterator[list[Record]]:
    counts["problems" if "problem" in record else "downloaded"] += 1
    counts["bytes"] += record.get("size", 0)
    yield run.look_up_rows("attachment_files", [record])


def _download(client: TrackerClient, attachment: Record, path: Path) -> None:
    """Download a file from its URL or, if that fails, from the signed URL of its image.

    Raises:
        TrackerError: It cannot be downloaded, or does not have the announced size.
    """
    address = attachment.get("download_url")
    if not address:
        raise TrackerError("The server gave no URL for it.")
    try:
        _download_with_resume(client, address, attachment, path)
    except TrackerError as problem:
        # some files can only be downloaded so: their URL needs another kind of login
        signed = _signed_address(client, attachment)
        if signed is None:
            raise
        try:
            _download_with_resume(client, signed, attachment, path)
        except TrackerError:
            raise problem from None


def _download_with_resume(
    client: TrackerClient, address: str, attachment: Record, path: Path
) -> None:
    """Download a file, resuming where the connection was lost."""
    size, part = attachment.get("size"), partial_path(path)
    for attempt in count(1):
        is_last = attempt >= client.max_attempts
        try:
            with client.file(address, _resume_offset(part, size)) as response:
                is_partial = response.status_code == requests.codes.partial
                begin = _resume_offset(part, size) if is_partial else 0
                save(response.iter_content(_CHUNK_SIZE), path, size, begin=begin)
        except IncompleteFileError:
            # it cannot be resumed if the saved bytes were wrong, and are deleted
            if is_last or not part.is_file():
                raise
        except requests.RequestException as error:
            if is_last:
                raise IncompleteFileError(
                    f"The connection was lost: {type(error).__name__}."
                ) from error
        else:
            return


def _resume_offset(part: Path, size: int | None) -> int:
    """Return how many bytes of the file an earlier attempt has saved."""
    written = part.stat().st_size if part.is_file() and size is not None else 0
    return written if written < (size or 0) else 0


def _signed_address(client: TrackerClient, attachment: Record) -> str | None:
    """Fetch the signed URL of an attachment's image, valid for some days; None if it has none."""
    if attachment.get("story_id") is None:
        return None
    try:
        page = client.page(
            COMMENT_ATTACHMENTS,
            id=attachment["project_id"],
            story_id=attachment["story_id"],
            comment_id=attachment["comment_id"],
        )
        (comment,) = client.records(page)
    except (TrackerError, ValueError):
        return None
    for file in comment.get("file_attachments") or ():
        if file.get("id") == attachment["id"] and str(file.get("big_url")).startswith("http"):
            return str(file["big_url"])
    return None
