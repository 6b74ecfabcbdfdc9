"""Keys for what a file gives no id: the same for the same thing, in whatever file it is met."""

from __future__ import annotations

import hashlib


def stable_key(*parts: object) -> int:
    """A negative 63-bit key, hashed from what identifies a thing; real ids are positive.

    Args:
        parts: The kind of the thing, then what tells it from others of its kind: its parent's id,
            its text, its author. Never its position, which a later export would move.
    """
    # no text of a record holds a NUL
    text = "\0".join(map(str, parts)).encode("utf-8", "surrogatepass")
    return -1 - (int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1)


class SiblingKeys:
    """Gives keys to the children of one parent, equal ones included."""

    def __init__(self) -> None:
        self._given: set[int] = set()

    def key(self, *parts: object) -> int:
        """The `stable_key` of the parts; of equals, each further one counts in too."""
        key, occurrence = stable_key(*parts), 0
        while key in self._given:
            occurrence += 1
            key = stable_key(*parts, occurrence)
        self._given.add(key)
        return key
