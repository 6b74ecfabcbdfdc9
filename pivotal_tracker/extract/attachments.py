"""Downloads the files of comments, each once, and tells where each lies or why it does not."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import dlt
import requests

from .. import tables
from ..api.client import TrackerClient
from ..errors import TrackerError
from ..load.attachment_storage import IncompleteFileError, described, file_path, part_of, save
from ..records import Record, Tombstones, tombstones
from ..settings import COMMENT_FILES
from .list_reader import note_client
from .run import Run

_PIECE = 1 << 14
_KEPT = ("id", "project_id", "story_id", "epic_id", "comment_id", "filename", "content_type")
_HELD_IN = {
    "stories__comments__file_attachments": "story_id",
    "epics__comments__file_attachments": "epic_id",
}


def attachment_records(
    run: Run, folder: Path, project_ids: Collection[int] | None = None
) -> Iterator[Any]:
    """What the resource `attachment_files` yields: the records of files that are new, or gone.

    Looks for them in the tables of comments that have been loaded.

    Args:
        run: The run.
        folder: Where the files go.
        project_ids: Only those of these projects; of all if not given.
    """

    def is_meant(attachment: Record) -> bool:
        project_id = attachment["project_id"]
        return project_id in run.shard and (project_ids is None or project_id in project_ids)

    metrics = dlt.current.resource_metrics()
    note_client(run.client, metrics)
    metrics["files"] = {"kept": 0, "downloaded": 0, "bytes": 0, "problems": 0}
    yield Tombstones()
    wanted = {one["id"]: one for one in filter(is_meant, _attachments(run))}
    held = {row["id"]: row for row in filter(is_meant, _held(run))}
    for attachment_id, row in held.items():
        if row["_source"] is not None:
            # it came from an archive, with what there is to know of it
            wanted.pop(attachment_id, None)
    yield tombstones(
        tables.ATTACHMENT_FILES,
        [key for key, row in held.items() if row["_source"] is None and key not in wanted],
    )
    for attachment in wanted.values():
        row = held.get(attachment["id"], {})
        if _is_there(file_path(folder, attachment), row):
            metrics["files"]["kept"] += 1
        else:
            yield partial(_job, run, attachment, folder, metrics["files"])


def _attachments(run: Run) -> Iterator[Record]:
    columns = ["id", "project_id", "comment_id", "filename", "content_type", "size", "download_url"]
    for table, parent in _HELD_IN.items():
        for row in run.loaded.rows(table, [*columns, parent]):
            yield dict(zip([*columns, parent], row, strict=True))


def _held(run: Run) -> Iterator[Record]:
    columns = ["id", "project_id", "path", "size", "_source"]
    for row in run.loaded.rows(tables.ATTACHMENT_FILES.name, columns):
        yield dict(zip(columns, row, strict=True))


def _is_there(path: Path, row: Record) -> bool:
    """Whether a file lies where an earlier run has put it, as it did."""
    return (
        row.get("path") == str(path) and path.is_file() and path.stat().st_size == row.get("size")
    )


def _job(
    run: Run, attachment: Record, folder: Path, files: dict[str, int]
) -> Iterator[list[Record]]:
    """Bring one file, in dlt's pool; what it returns yields its record, in dlt's own thread."""
    path = file_path(folder, attachment)
    record = {name: attachment[name] for name in _KEPT if attachment.get(name) is not None}
    size = attachment.get("size")
    try:
        if not (path.is_file() and size in (None, path.stat().st_size)):
            _download(run.client, attachment, path)
        record |= described(path)
    except TrackerError as error:
        record["problem"] = str(error)
    return _take(run, record, files)


def _take(run: Run, record: Record, files: dict[str, int]) -> Iterator[list[Record]]:
    files["problems" if "problem" in record else "downloaded"] += 1
    files["bytes"] += record.get("size", 0)
    yield run.with_known_rows("attachment_files", [record])


def _download(client: TrackerClient, attachment: Record, path: Path) -> None:
    """Brings a file from its address or, where that fails, from the one signed for its image.

    Raises:
        TrackerError: It cannot be had, or it is not the file that was described.
    """
    address = attachment.get("download_url")
    if not address:
        raise TrackerError("The server gave no address for it.")
    try:
        _bring(client, address, attachment, path)
    except TrackerError as problem:
        # some were to be had only so: the address asked for a login of another kind
        signed = _signed_address(client, attachment)
        if signed is None:
            raise
        try:
            _bring(client, signed, attachment, path)
        except TrackerError:
            raise problem from None


def _bring(client: TrackerClient, address: str, attachment: Record, path: Path) -> None:
    """Asks for a file until it is whole, going on where an answer broke off."""
    size = attachment.get("size")
    for is_last in (*(False for _ in range(client.most_attempts - 1)), True):
        try:
            with client.file(address, _begun(part_of(path), size)) as response:
                is_rest = response.status_code == requests.codes.partial
                begin = _begun(part_of(path), size) if is_rest else 0
                save(response.iter_content(_PIECE), path, size, begin=begin)
        except (IncompleteFileError, requests.RequestException) as error:
            if is_last or not _may_go_on(error, part_of(path)):
                raise _as_problem(error) from error
        else:
            return


def _begun(part: Path, size: int | None) -> int:
    """How many bytes an earlier try has left to go on from."""
    written = part.stat().st_size if part.is_file() and size is not None else 0
    return written if written < (size or 0) else 0


def _may_go_on(error: Exception, part: Path) -> bool:
    """Whether the rest of a file may still come: not where what came was no part of it."""
    return isinstance(error, requests.RequestException) or part.is_file()


def _as_problem(error: Exception) -> TrackerError:
    if isinstance(error, TrackerError):
        return error
    return IncompleteFileError(f"The connection broke off: {type(error).__name__}.")


def _signed_address(client: TrackerClient, attachment: Record) -> str | None:
    """The address of an attachment's image that is signed for the next days, if there is one."""
    if attachment.get("story_id") is None:
        return None
    try:
        page = client.page(
            COMMENT_FILES,
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
