"""Save the files of comments: a file exists only if it is complete."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from pathvalidate import sanitize_filename

from ..errors import TrackerError
from ..records import Record

MAX_FILENAME_BYTES = 150
"""The maximum length of a file's own name in bytes; file systems allow 255 with the id."""


class IncompleteFileError(TrackerError):
    """A downloaded file does not have the expected size."""


def file_path(folder: Path, attachment: Record) -> Path:
    """Return the path of a file: `<project>/<story>/<attachment id>-<safe name>` in the folder.

    Args:
        folder: The folder for all files. The path is always inside it.
        attachment: A record with `id`, `project_id`, `filename`, and `story_id` or `epic_id`.
    """
    epic_id = attachment.get("epic_id")
    parent = f"epic-{epic_id}" if epic_id else str(attachment.get("story_id"))
    name = f"{attachment['id']}-{_safe_name(str(attachment.get('filename') or ''))}"
    return folder / str(attachment.get("project_id")) / parent / name


def _safe_name(name: str) -> str:
    """Return a name that is valid on every file system and printable, with the same suffix."""
    shown = "".join(filter(str.isprintable, name))
    safe = Path(sanitize_filename(shown, platform="universal").strip(". ") or "file")
    ending = safe.suffix.encode()[:20]
    stem = safe.stem.encode()[: MAX_FILENAME_BYTES - len(ending)]
    return (stem + ending).decode(errors="ignore")


def file_metadata(path: Path) -> Record:
    """Return the columns that describe a file on disk: `path`, `size` in bytes and `sha256`."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"path": str(path), "size": path.stat().st_size, "sha256": digest}


def save(chunks: Iterator[bytes], path: Path, size: int | None, *, begin: int = 0) -> None:
    """Write a file under a temporary name, and rename it once it is complete.

    Args:
        chunks: Its bytes.
        path: Its final path.
        size: Its expected size in bytes; None if it is not known.
        begin: The number of bytes that an earlier call has written.

    Raises:
        IncompleteFileError: It has fewer bytes, which the next call continues, or more.
        OSError: It cannot be written.
    """
    part = partial_path(path)
    part.parent.mkdir(parents=True, exist_ok=True)
    written = begin
    with part.open("r+b" if begin else "wb") as file:
        file.seek(begin)
        for chunk in chunks:
            written += len(chunk)
            if size is not None and written > size:
                break
            file.write(chunk)
    if size is not None and written != size:
        if written > size:
            part.unlink()
            raise IncompleteFileError(f"It has more than the {size:,} bytes that it should have.")
        raise IncompleteFileError(f"It ended after {written:,} of {size:,} bytes.")
    part.replace(path)


def partial_path(path: Path) -> Path:
    """Return the temporary path of an incomplete file."""
    return path.with_name(f"{path.name}.part")
