"""Faults of records: values and names that no table expects."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import orjson

from ..workspace import Record
from .base import Fault

_KEYS = ("id", "guid", "number")


@dataclass
class _RecordFault(Fault):
    """Changes some of the records of a response.

    Attributes:
        record_ids: The `id`, `guid` or `number` of the records; none for all of them.
    """

    record_ids: Collection[int | str] = field(default=(), kw_only=True)

    changes_data: ClassVar[bool] = True

    def change_record(self, record: Record) -> Record:
        """Change the record if it is one of those meant."""
        key = next((record[name] for name in _KEYS if name in record), None)
        return (
            self.changed_copy(record) if not self.record_ids or key in self.record_ids else record
        )

    @abstractmethod
    def changed_copy(self, record: Record) -> Record:
        """Return a changed copy of a record."""


@dataclass
class _ValueFault(_RecordFault):
    """Gives one attribute another value.

    Attributes:
        attribute: Its name. Dots lead into nested records, `*` into all items of a list:
            `comments.0.id`, `transitions.*.project_version`. Nothing changes where there is no
            such nested record.
    """

    attribute: str = "extra"

    def changed_copy(self, record: Record) -> Record:
        """Return a copy with the value."""
        copy: Record = _with_value(record, self.attribute.split("."), self.new_value())
        return copy

    @abstractmethod
    def new_value(self) -> Any:
        """Return the value: JSON, or an `orjson.Fragment` of what only looks like it."""


@dataclass
class SetAttribute(_ValueFault):
    """Any JSON value in an attribute.

    Text in an id, an `estimate` that is none, a wrong id in a nested record
    (`attribute="comments.0.id"`), a name that collides with another one (`attribute="ID"`,
    `attribute="projectId"`).

    Attributes:
        value: The value.
    """

    value: Any = None

    def new_value(self) -> Any:
        """Return the value."""
        return self.value


@dataclass
class DeepValue(_ValueFault):
    """Arrays in arrays.

    Attributes:
        depth: How many of them.
    """

    depth: int = 900

    def new_value(self) -> Any:
        """Return the innermost array in all the others."""
        return orjson.Fragment(b"[" * self.depth + b"]" * self.depth)


@dataclass
class LongNumber(_ValueFault):
    """A number of many digits.

    Attributes:
        digits: How many.
    """

    attribute: str = "estimate"
    digits: int = 400

    def new_value(self) -> Any:
        """Return the number."""
        return orjson.Fragment(b"9" * self.digits)


@dataclass
class InvalidUtf8(_ValueFault):
    """A byte that is not UTF-8 in a text."""

    attribute: str = "name"

    def new_value(self) -> Any:
        """Return the text."""
        return orjson.Fragment(b'"caf\xe9"')


@dataclass
class ExtraAttributes(_RecordFault):
    """Attributes that no table declares: `extra_1`, `extra_2` and so on.

    Attributes:
        count: How many.
    """

    count: int = 3000

    def changed_copy(self, record: Record) -> Record:
        """Return a copy with the attributes."""
        return record | {f"extra_{number}": number for number in range(1, self.count + 1)}


def _with_value(value: Any, path: Sequence[str], new: Any) -> Any:
    """Return a copy of a JSON value with another one at a path."""
    if not path:
        return new
    name, *rest = path
    if isinstance(value, dict):
        if name not in value and rest:
            return value
        return {**value, name: _with_value(value.get(name), rest, new)}
    if isinstance(value, list):
        return [
            _with_value(item, rest, new) if name in ("*", str(position)) else item
            for position, item in enumerate(value)
        ]
    return value
