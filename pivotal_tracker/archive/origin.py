"""Where an answer of the API was found, and what is known of it by that and by its wrapping."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .format import Record
from .records import COLLECTIONS, belongs_to, whole_number
from .tally import Tally

UNKNOWN = "unknown"
"""What the tally calls rows whose table cannot be told."""

_ENVELOPE = ("http_status", "pagination", "project_version")


@dataclass(frozen=True)
class Origin:
    """Where an answer came from, and what is known of it by that.

    Attributes:
        source: The file.
        where: Which record of it, for people.
        expected: The table or attribute that the path of the request speaks of.
        ids: The ids in that path, by the collection.
        seen_at: When the API gave it.
    """

    source: str
    where: str = ""
    expected: str = ""
    ids: Mapping[str, int] = field(default_factory=dict)
    seen_at: str = ""

    def at(self, where: str) -> Origin:
        """The same, at one record of the file."""
        return Origin(self.source, where, self.expected, self.ids, self.seen_at)

    def asked(self, path: str, seen_at: str = "") -> Origin:
        """The same, knowing the path of the request."""
        segments = [segment for segment in path.split("?")[0].split("/") if segment]
        expected, ids = "", dict(self.ids)
        for name, following in zip(segments, [*segments[1:], ""], strict=False):
            if name in COLLECTIONS:
                expected = COLLECTIONS[name]
                number = whole_number(following)
                if number is not None:
                    ids[name] = number
        return replace(self, expected=expected, ids=ids, seen_at=seen_at or self.seen_at)


def note_replaced(tally: Tally, origin: Origin, characters: int) -> None:
    """Counts the characters of a text in whose place U+FFFD is loaded."""
    if characters:
        reason = "characters that no text may hold, loaded as U+FFFD"
        tally.lose(origin.source, origin.expected or UNKNOWN, reason, origin.where, characters)


def unwrapped(value: Record, origin: Origin) -> list[tuple[Any, Origin]] | None:
    """What an object holds that wraps answers; None where it is a record itself."""
    if isinstance(value.get("kind"), str):
        return None
    if isinstance(value.get("PathTemplate"), str):
        return [
            (value.get("Data"), origin.asked(_filled(value["PathTemplate"], value.get("Keys"))))
        ]
    if isinstance(value.get("path"), str) and "response" in value:
        return [(value["response"], origin.asked(value["path"]))]
    if "data" in value and (len(value) == 1 or any(name in value for name in _ENVELOPE)):
        return [(value["data"], origin)]
    if value and all("/services/v5/" in name for name in value):
        return [(body, origin.asked(path)) for path, body in value.items()]
    if "id" in value or belongs_to(value):
        return None
    lists = [
        (inner, replace(origin, expected=COLLECTIONS[name]))
        for name, inner in value.items()
        if name in COLLECTIONS and isinstance(inner, list | dict)
    ]
    return lists or None


def _filled(template: str, keys: Any) -> str:
    """The path that a template and its keys make."""
    for name, key in keys.items() if isinstance(keys, dict) else ():
        template = template.replace(f"{{{name}}}", str(key))
    return template


def wrapped(wrapper: Record, origin: Origin) -> Origin:
    """What is known of a value by what the object that it was wrapped in said before it."""
    if isinstance(wrapper.get("PathTemplate"), str):
        return origin.asked(_filled(wrapper["PathTemplate"], wrapper.get("Keys")))
    return origin.asked(wrapper["path"]) if isinstance(wrapper.get("path"), str) else origin


def is_answer(value: Any, origin: Origin) -> bool:
    """Whether a value is something that `Answers.place` finds records in."""
    if isinstance(value, list):
        return any(is_answer(item, origin) for item in value)
    if not isinstance(value, dict):
        return False
    if "request" in value and "response" in value:
        return True
    inner = unwrapped(value, origin)
    if inner is not None:
        return any(is_answer(item, its_origin) for item, its_origin in inner)
    return bool(belongs_to(value) or (origin.expected and "id" in value))
