"""Writes the files of comments: each in one place, whole or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from pathvalidate import sanitize_filename

from ..errors import TrackerError
from ..records import Record

MOST_OF_A_NAME = 150
"""Bytes of a file's own name that are kept; file systems take 255, the id included."""


class IncompleteFileError(TrackerError):
    """What came is not the file that was described."""


def file_path(folder: Path, attachment: Record) -> Path:
    """Where a file belongs: `<project>/<story>/<attachment id>-<safe name>` in the folder.

    Args:
        folder: Where all files go; nothing in an attachment's record leads out of it.
        attachment: With `id`, `project_id`, `filename`, and `story_id` or `epic_id`.
    """
    epic_id = attachment.get("epic_id")
    parent = f"epic-{epic_id}" if epic_id else str(attachment.get("story_id"))
    name = f"{attachment['id']}-{_safe_name(str(attachment.get('filename') or ''))}"
    return folder / str(attachment.get("project_id")) / parent / name


def _safe_name(name: str) -> str:
    """A name that every file system takes and every terminal shows as it is, its ending kept."""
    shown = "".join(filter(str.isprintable, name))
    safe = Path(sanitize_filename(shown, platform="universal").strip(". ") or "file")
    ending = safe.suffix.encode()[:20]
    stem = safe.stem.encode()[: MOST_OF_A_NAME - len(ending)]
    return (stem + ending).decode(errors="ignore")


def described(path: Path) -> Record:
    """The columns that tell of a file on disk: `path`, `size` in bytes and `sha256`."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"path": str(path), "size": path.stat().st_size, "sha256": digest}


def save(pieces: Iterator[bytes], path: Path, size: int | None, *, begin: int = 0) -> None:
    """Writes a file beside its place, and puts it there once it is whole.

    Args:
        pieces: Its bytes.
        path: Its place.
        size: How many bytes it must have in all; None where that is not known.
        begin: So many of them have been written by an earlier call.

    Raises:
        IncompleteFileError: It has fewer bytes, which are kept for the next call, or more.
        OSError: The disk does not take it.
    """
    part = part_of(path)
    part.parent.mkdir(parents=True, exist_ok=True)
    written = begin
    with part.open("r+b" if begin else "wb") as file:
        file.seek(begin)
        for piece in pieces:
            written += len(piece)
            if size is not None and written > size:
                break
            file.write(piece)
    if size is not None and written != size:
        if written > size:
            part.unlink()
            raise IncompleteFileError(f"It has more than the {size:,} bytes that it should have.")
        raise IncompleteFileError(f"It ended after {written:,} of {size:,} bytes.")
    part.replace(path)


def part_of(path: Path) -> Path:
    """Where the bytes of a file lie until all of them are there."""
    return path.with_name(f"{path.name}.part")
