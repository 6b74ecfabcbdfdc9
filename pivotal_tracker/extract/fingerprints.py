"""Fingerprints of stories, by which later runs see which have changed since."""

from __future__ import annotations

import base64
import contextlib

from ..records import Record, row_id

_BYTES = 4
"""A change goes unseen once in four billion, and only until comments are checked again."""


def fingerprint(story: Record) -> bytes:
    """Hash a story as the server gives it, without its comments.

    Raises:
        ValueError: It cannot be written as JSON.
    """
    text = row_id({name: value for name, value in story.items() if name != "comments"})
    return bytes.fromhex(text[: 2 * _BYTES])


def pack(fingerprints: dict[int, bytes]) -> str:
    """Write fingerprints by story id as a short text, about 8 characters each.

    Ids are stored as differences to the one before, 7 bits in a byte.
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
    """Read what `pack` wrote; none of a text that is damaged."""
    fingerprints: dict[int, bytes] = {}
    with contextlib.suppress(ValueError, IndexError):
        packed = base64.b64decode(text, validate=True)
        place, story_id = 0, 0
        while place < len(packed):
            shift = 0
            while packed[place] > 127:
                story_id += (packed[place] & 127) << shift
                place, shift = place + 1, shift + 7
            story_id += packed[place] << shift
            fingerprints[story_id] = bytes(packed[place + 1 : place + 1 + _BYTES])
            place += 1 + _BYTES
        return fingerprints
    return {}
