"""Faults as they are written on the command line: `status:status=403,endpoints=labels+epics`."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any, get_args, get_type_hints

from .. import faults
from .base import Fault

_COLLECTIONS = ("endpoints", "projects", "params", "ids", "record_ids")
_NOT_WRITABLE = ("where", "faults", "headers", "content")


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


FAULTS: dict[str, type[Fault]] = {
    _snake_case(name): value
    for name, value in vars(faults).items()
    if isinstance(value, type) and issubclass(value, Fault) and value is not Fault
}
"""Every fault by its name on the command line."""


def parse_fault(text: str) -> Fault:
    """Make a fault from its text.

    Args:
        text: The name, a colon, and `attribute=value` with commas between them. `+` separates
            the values of a collection.

    Raises:
        ValueError: There is no such fault or attribute, or the value is of the wrong type.
    """
    name, _, rest = text.partition(":")
    kind = FAULTS.get(name)
    if kind is None:
        raise ValueError(f"there is no fault {name!r}; choose from {', '.join(FAULTS)}")
    hints = get_type_hints(kind)
    writable = {each.name for each in dataclasses.fields(kind) if each.init} - {*_NOT_WRITABLE}
    values: dict[str, Any] = {}
    for assignment in filter(None, rest.split(",")):
        attribute, _, value = assignment.partition("=")
        if attribute not in writable:
            raise ValueError(f"{name} has no {attribute!r}; it has {', '.join(sorted(writable))}")
        values[attribute] = _value(attribute, value, hints[attribute])
    return kind(**values)


def _value(attribute: str, text: str, hint: Any) -> Any:
    if attribute in _COLLECTIONS:
        return [_scalar(part) for part in text.split("+")]
    value = _scalar(text)
    expected = get_args(hint) or (hint,)
    if float in expected and type(value) is int:
        return value
    if Any not in expected and type(value) not in expected:
        types = " or ".join(kind.__name__ for kind in expected)
        raise ValueError(f"{attribute} must be of type {types}, not {text!r}")
    return value


def _scalar(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
