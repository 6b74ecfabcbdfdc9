"""Suggest what a misspelled name may mean."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches


def most_similar(name: str, known: Collection[str]) -> str:
    """Return the known name that is most similar to one; empty if none is similar."""
    return next(iter(get_close_matches(name.lower(), known, n=1)), "")


def unknown_name(kind: str, name: str, known: Collection[str]) -> str:
    """Say that a name does not exist, and which one may be meant.

    Args:
        kind: What the name is of, such as "table".
        name: The name as it was typed.
        known: The names that exist; all are listed if none is similar.
    """
    similar = most_similar(name, known)
    advice = f"Did you mean {similar}?" if similar else f"There are: {', '.join(known)}."
    return f"there is no {kind} {name}. {advice}"
