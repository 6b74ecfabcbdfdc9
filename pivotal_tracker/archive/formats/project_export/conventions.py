"""Decide how a file of an export writes dates and numbers, once, from all of its cells."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from ...dates import DateEvidence, DateOrders, DateReader
from ...limits import MAX_CACHE_ENTRIES
from .csv_columns import Columns, history_columns, is_of_stories
from .sheets import Sheet

_WITH_COMMA = re.compile(r"(-?\d+),(\d+)", re.ASCII)
_WITH_POINT = re.compile(r"(-?\d+)\.(\d+)", re.ASCII)
_DIGITS_OF_A_GROUP = 3
_MAX_DIGITS = 18
_WHOLE = re.compile(r"(\d{1,18})(?:[.,]0{1,2})?", re.ASCII)

DecimalSeparator = Literal[".", ",", ""]


@dataclass(frozen=True)
class _Decision:
    """How a file writes dates and numbers.

    Attributes:
        orders: The order of dates.
        decimal_separator: Empty if the file does not show it.
    """

    orders: DateOrders
    decimal_separator: DecimalSeparator


class Conventions:
    """Reads the dates and numbers of one file as the whole file writes them.

    The whole file is read when the first ambiguous cell is. In a file as Tracker wrote it, no cell
    is ambiguous.

    Args:
        sheet: The file.

    Attributes:
        dates: Reads its dates.
    """

    def __init__(self, sheet: Sheet) -> None:
        self._sheet = sheet
        self._numbers: dict[str, float | None] = {}
        self.dates = DateReader(lambda: self._decision.orders)

    @property
    def assumption(self) -> str:
        """What was assumed to read the file; empty if nothing was."""
        return self._decision.orders.assumption if "_decision" in self.__dict__ else ""

    def number(self, text: str) -> float | None:
        """Parse a number with the decimal separator of the file; None if it is not a number."""
        if text not in self._numbers:
            if len(self._numbers) >= MAX_CACHE_ENTRIES:
                self._numbers.clear()
            self._numbers[text] = self._number(text.strip())
        return self._numbers[text]

    def _number(self, text: str) -> float | None:
        if match := _WITH_COMMA.fullmatch(text):
            return self._with_separator(match, ",")
        if (match := _WITH_POINT.fullmatch(text)) and len(match[2]) == _DIGITS_OF_A_GROUP:
            return self._with_separator(match, ".")
        try:
            number = float(text)
        except ValueError:
            return None
        return number if math.isfinite(number) else None

    def _with_separator(self, match: re.Match[str], separator: DecimalSeparator) -> float | None:
        """Parse a number with one separator, which may separate decimals or thousands."""
        whole, rest = match.groups()
        is_group = len(rest) == _DIGITS_OF_A_GROUP
        decimal = (self._decision.decimal_separator or None) if is_group else separator
        if decimal is None:
            return float(f"{whole}.{rest}") if separator == "." else None
        return float(f"{whole}.{rest}" if decimal == separator else f"{whole}{rest}")

    @cached_property
    def _decision(self) -> _Decision:
        dates, separators = DateEvidence(), set[str]()
        indices: Sequence[int] = ()
        estimate = width = 0
        for _, cells in self._sheet.rows(lambda *_: None):
            if not indices or is_of_stories(cells):
                width = len(cells)
                indices, estimate = self._columns(cells)
            elif not any(cells[width:]):
                for index in indices:
                    if index < len(cells):
                        dates.add(cells[index])
                if estimate < len(cells) and (separator := _decimals(cells[estimate])):
                    separators.add(separator)
        is_foreign = self._sheet.delimiter == ";" or "," in separators
        decimal: DecimalSeparator = "," if is_foreign and separators <= {","} else "."
        if not separators and not is_foreign:
            decimal = ""
        return _Decision(dates.decide(is_foreign=is_foreign), decimal)

    def _columns(self, header: list[str]) -> tuple[Sequence[int], int]:
        """Return the columns of dates and that of estimates, which is `len(header)` if missing."""
        if self._sheet.kind == "history":
            return [history_columns(header)[-1]], len(header)
        columns = Columns(header)
        return columns.dates, columns.estimate


def _decimals(text: str) -> str:
    """Return the decimal separator of a number; empty if the number is ambiguous or has none."""
    text = text.strip()
    for pattern, separator in ((_WITH_COMMA, ","), (_WITH_POINT, ".")):
        match = pattern.fullmatch(text)
        if match and len(match[2]) != _DIGITS_OF_A_GROUP:
            return separator
    return ""


def parse_integer(text: str) -> int | None:
    """Parse an id or the number of an iteration; a spreadsheet may write it as `11.0`."""
    if len(text) <= _MAX_DIGITS and text.isdecimal() and text.isascii():
        # most numbers are like this; the regular expression takes ten times as long
        return int(text)
    match = _WHOLE.fullmatch(text.strip())
    return int(match[1]) if match else None
