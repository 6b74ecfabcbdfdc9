"""Fingerprints of stories: later runs see by them which stories have changed."""

from __future__ import annotations

import base64
import contextlib

from ..records import Record, row_id

_BYTES = 4
"""One change in four billion is not noticed, and only until comments are checked again."""


def fingerprint(story: Record) -> bytes:
    """Hash a story as the server sends it, without its comments; empty if it cannot be hashed."""
    try:
        text = row_id({name: value for name, value in story.items() if name != "comments"})
    except (TypeError, ValueError, RecursionError):
        return b""
    return bytes.fromhex(text[: 2 * _BYTES])


def pack(fingerprints: dict[int, bytes]) -> str:
    """Write fingerprints by story id as a short text, about 8 characters each.

    Each id is stored as the difference to the previous one, 7 bits per byte.
    """
    packed = bytearray()
    previous = 0
    for story_id in sorted(fingerprints):
        difference, previous = story_id - previous, story_id
        while difference > 127:
            packed.append(difference & 127 | 128)
            difference >>= 7
        packed.append(difference)
        packed += fingerprints[story_id]
    return base64.b64encode(packed).decode()


def unpack(text: str) -> dict[int, bytes]:
    """Read what `pack` wrote; return an empty dict if the text is damaged."""
    fingerprints: dict[int, bytes] = {}
    with contextlib.suppress(ValueError, IndexError):
        packed = base64.b64decode(text, validate=True)
        position, story_id = 0, 0
        while position < len(packed):
            shift = 0
            while packed[position] > 127:
                story_id += (packed[position] & 127) << shift
                position, shift = position + 1, shift + 7
            story_id += packed[position] << shift
            fingerprints[story_id] = bytes(packed[position + 1 : position + 1 + _BYTES])
            position += 1 + _BYTES
        return fingerprints
    return {}
