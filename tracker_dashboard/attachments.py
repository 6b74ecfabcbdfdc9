"""Reads downloaded attachments from the paths that the table `attachment_files` names.

The database may come from somebody else. So a file is shown only if it is a regular file with the
size and the SHA-256 in the table: no row can reveal a file that its author did not have.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

_MAX_BYTES = 100 * 1024 * 1024
"""A larger file is not read into memory."""

_MAX_IMAGE_PIXELS = 40_000_000
"""A larger image can only be downloaded."""

_IMAGE_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP")


class AttachmentUnavailableError(Exception):
    """A file cannot be shown; the message says why."""


def read_file(folder: Path, path: Any, size: Any, sha256: Any) -> bytes:
    """Return the bytes of a downloaded file.

    Args:
        folder: Where the command was run; a relative path starts there.
        path: Where the file is.
        size: Its size in bytes.
        sha256: In hexadecimal.

    Raises:
        AttachmentUnavailableError: It is missing, or is not what was downloaded.
    """
    if not isinstance(path, str) or not path or not isinstance(sha256, str):
        raise AttachmentUnavailableError("not downloaded")
    file = folder / path
    try:
        if file.is_symlink() or not file.is_file():
            raise AttachmentUnavailableError("the file is missing")
        if file.stat().st_size != size or size > _MAX_BYTES:
            raise AttachmentUnavailableError("the file has another size, or is too large to show")
        content = file.read_bytes()
    except OSError as error:
        raise AttachmentUnavailableError("the file cannot be read") from error
    if hashlib.sha256(content).hexdigest() != sha256.lower():
        raise AttachmentUnavailableError("the file has changed since it was downloaded")
    return content


def open_image(content: bytes) -> Image.Image | None:
    """Return the image in a file, `None` if it is not in a format of pixels only."""
    try:
        image = Image.open(io.BytesIO(content), formats=_IMAGE_FORMATS)
        if image.width * image.height > _MAX_IMAGE_PIXELS:
            return None
        image.load()
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):
        return None
    return image
