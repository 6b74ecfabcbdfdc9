"""Make stable keys for records without an id: the same record gets the same key in any file."""

from __future__ import annotations

import hashlib


def stable_key(*parts: object) -> int:
    """Return a negative 63-bit key, hashed from what identifies a record; real ids are positive.

    Args:
        parts: The kind of the record, then what distinguishes it from others of its kind: its
            parent's id, its text, its author. Never its position, which may change in a later
            export.
    """
    # no text in a record contains a NUL
    text = "\0".join(map(str, parts)).encode("utf-8", "surrogatepass")
    return -1 - (int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1)


class SiblingKeys:
    """Makes unique keys for the children of one parent, even if two children are equal."""

    def __init__(self) -> None:
        self._used: set[int] = set()

    def key(self, *parts: object) -> int:
        """Return the `stable_key` of the parts; equal children get their number as another part."""
        key, occurrence = stable_key(*parts), 0
        while key in self._used:
            occurrence += 1
            key = stable_key(*parts, occurrence)
        self._used.add(key)
        return key
