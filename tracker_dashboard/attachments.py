"""Files of comments that were downloaded: read from where the table says that they lie.

The table comes from a database, which need not be this person's own. So what lies at its path is
shown only if it is a plain file with the size and the SHA-256 that the table says: nothing can be
got out of this machine that whoever wrote the row did not know already.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

_LARGEST = 100 * 1024 * 1024
"""Bytes; a larger file is not read into memory."""

_LARGEST_PICTURE = 40_000_000
"""Pixels; a larger picture is only for download."""

_PICTURES = ("PNG", "JPEG", "GIF", "WEBP", "BMP")


class NotShownError(Exception):
    """A file that cannot be shown; its text says why."""


def content(folder: Path, path: Any, size: Any, sha256: Any) -> bytes:
    """A downloaded file's bytes.

    Args:
        folder: Where the command was run, which the path may start from.
        path: Where it lies.
        size: Its size in bytes.
        sha256: In hexadecimal.

    Raises:
        NotShownError: It is not there, or is not what was downloaded.
    """
    if not isinstance(path, str) or not path or not isinstance(sha256, str):
        raise NotShownError("not downloaded")
    file = folder / path
    try:
        if file.is_symlink() or not file.is_file():
            raise NotShownError("its file is not there any more")
        if file.stat().st_size != size or size > _LARGEST:
            raise NotShownError("its file has another size, or is too large to show")
        found = file.read_bytes()
    except OSError as error:
        raise NotShownError("its file cannot be read") from error
    if hashlib.sha256(found).hexdigest() != sha256.lower():
        raise NotShownError("its file has changed since")
    return found


def picture(content: bytes) -> Image.Image | None:
    """The picture that a file is, nothing if it is none that a browser need not interpret."""
    try:
        image = Image.open(io.BytesIO(content), formats=_PICTURES)
        if image.width * image.height > _LARGEST_PICTURE:
            return None
        image.load()
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):
        return None
    return image
