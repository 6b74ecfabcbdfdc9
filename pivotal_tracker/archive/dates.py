"""Parse dates as Tracker, people and the spreadsheets of many countries write them.

`03/08/2021` is 8 March in one country and 3 August in another. `DateEvidence` collects every date
of a file and decides once which order the file uses; `DateReader` then reads its cells. If a date
stays ambiguous, it is not guessed: see `DateEvidence.decide`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Literal

from .limits import MAX_CACHE_ENTRIES

Order = Literal["month/day/year", "day/month/year", "year/month/day"]

MONTH_FIRST: Order = "month/day/year"
DAY_FIRST: Order = "day/month/year"
YEAR_FIRST: Order = "year/month/day"

_MONTHS_BY_LANGUAGE = (
    # English, German, French, Spanish, Portuguese, Italian, Dutch, Danish, Swedish, Polish
    "january february march april may june july august september october november december",
    "januar februar märz april mai juni juli august september oktober november dezember",
    "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
    "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
    "januari februari maart april mei juni juli augustus september oktober november december",
    "januar februar marts april maj juni juli august september oktober november december",
    "januari februari mars april maj juni juli augusti september oktober november december",
    "stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października listopada "
    "grudnia",
    "styczeń luty marzec kwiecień maj czerwiec lipiec sierpień wrzesień październik listopad "
    "grudzień",
)
_OTHER_ABBREVIATIONS = {"mrz": 3, "mrt": 3, "jnr": 1, "jän": 1, "jänner": 1, "sett": 9}
_WEEKDAYS = (
    "monday tuesday wednesday thursday friday saturday sunday "
    "montag dienstag mittwoch donnerstag freitag samstag sonnabend sonntag mo di mi do fr sa so "
    "lundi mardi mercredi jeudi vendredi samedi dimanche "
    "lunes martes miércoles jueves viernes sábado domingo "
    "segunda terça quarta quinta sexta segunda-feira terça-feira quarta-feira quinta-feira "
    "sexta-feira lunedì martedì mercoledì giovedì venerdì sabato domenica "
    "maandag dinsdag woensdag donderdag vrijdag zaterdag zondag"
)
_MIN_NAME_LENGTH = 3

_WORD = r"[^\W\d_]+"
_DAY_MONTH_YEAR = re.compile(
    rf"(?P<day>\d{{1,2}})(?:st|nd|rd|th|er|o(?= )|\.)?[\s\-/.]*(?:de |of |di )?"
    rf"(?P<month>{_WORD})\.?(?:,? (?:de|del|of) |[\s\-/.,]+)(?P<year>\d{{4}}|\d{{2}})"
)
_MONTH_DAY_YEAR = re.compile(
    rf"(?P<month>{_WORD})\.?[\s\-/]+(?P<day>\d{{1,2}})(?:st|nd|rd|th)?[\s\-/,]+(?P<year>\d{{4}})"
)
_YEAR_MONTH_DAY = re.compile(
    rf"(?P<year>\d{{4}})[\s\-/.](?P<month>{_WORD})[\s\-/.](?P<day>\d{{1,2}})"
)
_NUMBERS = re.compile(r"(\d{1,4})([/.\-]) ?(\d{1,2})\2 ?(\d{4}|\d{1,2})\.?", re.ASCII)
_COMPACT = re.compile(r"(20\d\d)([01]\d)([0-3]\d)", re.ASCII)
_EAST_ASIAN = re.compile(
    r"(\d{4}) ?[年년] ?(\d{1,2}) ?[月월] ?(\d{1,2}) ?[日일](?: ?\(?\w{1,3}\)?)?"
)
_SERIAL = re.compile(r"([3-6]\d{4})(?:[.,](\d+))?", re.ASCII)
_SERIAL_EPOCH = datetime(1899, 12, 30)
_ISO = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_CLOCK = re.compile(
    r"(?P<day>.+?),? (?P<hour>\d{1,2}):(?P<minute>\d\d)(:(?P<second>\d\d)(?:[.,]\d+)?)?"
    r"( ?(?P<half>[ap])\.?m\.?)?( (utc|gmt|z))?",
    re.ASCII,
)
_LEADING_WORD = re.compile(rf"({_WORD}(?:-feira)?)\.?,?\s+(?=\S)")
_MAX_TIME_LENGTH = 60
_SECONDS_OF_A_WEEK = 7 * 86_400
_CLOCK_CHANGE = 3_600
_SHORT_YEARS = range(5, 36)
"""The two-digit years that are accepted: Tracker began in 2006; a deadline may be in the future."""


def _plain(text: str) -> str:
    """Return the text in lower case without accents."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text.lower())
    letters = "".join(c for c in decomposed if not unicodedata.combining(c))
    return unicodedata.normalize("NFC", letters)


def _month_numbers() -> dict[str, int]:
    """Return month numbers by name, and by every abbreviation that means one month only."""
    meanings: dict[str, set[int]] = {}
    for names in _MONTHS_BY_LANGUAGE:
        for number, name in enumerate(map(_plain, names.split()), start=1):
            for length in range(_MIN_NAME_LENGTH, len(name) + 1):
                meanings.setdefault(name[:length], set()).add(number)
    known = {name: numbers.pop() for name, numbers in meanings.items() if len(numbers) == 1}
    return known | {_plain(name): number for name, number in _OTHER_ABBREVIATIONS.items()}


_MONTHS = _month_numbers()
_ENGLISH_MONTHS = frozenset(
    name[:length]
    for name in _MONTHS_BY_LANGUAGE[0].split()
    for length in range(_MIN_NAME_LENGTH, len(name) + 1)
)
_WEEKDAY_NAMES = frozenset(
    name[:length]
    for name in map(_plain, _WEEKDAYS.split())
    for length in range(min(2, len(name)), len(name) + 1)
)


@dataclass(frozen=True)
class _Numbers:
    """A date of three numbers, such as `03/08/21`, whose order depends on the file.

    Attributes:
        separator: The character between the numbers.
        ends: The first and the last number.
        is_short: Whether the year has two digits.
        dates: The possible dates, by order.
    """

    separator: str
    ends: tuple[int, int]
    is_short: bool
    dates: dict[Order, date]


@dataclass(frozen=True)
class DateOrders:
    """The order in which a file writes numeric dates.

    Attributes:
        by_separator: The order of dates with each separator; absent if it is not known.
        assumption: What was assumed without evidence, for the load report; empty if nothing.
    """

    by_separator: dict[str, Order] = field(default_factory=dict)
    assumption: str = ""


class DateEvidence:
    """Collects the dates of a file to decide in which order it writes them.

    Attributes:
        is_foreign: Whether a date is written in a way that no American spreadsheet uses.
    """

    def __init__(self) -> None:
        self.is_foreign = False
        self._seen: set[str] = set()
        self._possible: dict[bool, set[Order]] = {}
        self._ambiguous: dict[str, str] = {}
        """The first ambiguous date with each separator."""
        self._separators: set[str] = set()
        self._short: tuple[set[int], set[int]] = (set(), set())
        """The first numbers, and the last numbers, of dates with a two-digit year."""

    def add(self, text: str) -> None:
        """Add one cell."""
        if not text or text in self._seen or len(text) > _MAX_TIME_LENGTH:
            return
        if len(self._seen) < MAX_CACHE_ENTRIES:
            self._seen.add(text)
        day = _without_clock(_simplify(text))
        numbers = _numbers(day)
        if isinstance(numbers, _Numbers):
            self._add_numbers(numbers, text)
        elif match := _DAY_MONTH_YEAR.fullmatch(day):
            self.is_foreign |= match["month"] not in _ENGLISH_MONTHS and _month(match) is not None

    def _add_numbers(self, numbers: _Numbers, text: str) -> None:
        if not numbers.dates:
            return
        is_dotted = numbers.separator == "."
        self.is_foreign |= is_dotted
        self._separators.add(numbers.separator)
        possible = self._possible.setdefault(is_dotted, {MONTH_FIRST, DAY_FIRST, YEAR_FIRST})
        possible.intersection_update(numbers.dates)
        if numbers.is_short:
            for seen, number in zip(self._short, numbers.ends, strict=True):
                seen.add(number)
        if len(set(numbers.dates.values())) > 1:
            self._ambiguous.setdefault(numbers.separator, text)

    def decide(self, *, is_foreign: bool) -> DateOrders:
        """Decide the order of the file's dates.

        A date that is possible in one order only decides for all of them. Without such evidence,
        dates with dots begin with the day, as everywhere, and dates with slashes with the month, as
        Tracker's do. The latter is an assumption, which is not made if the file shows signs of
        another country's spreadsheet.

        Args:
            is_foreign: Whether the file shows such signs apart from its dates.
        """
        is_foreign |= self.is_foreign
        orders: dict[str, Order] = {}
        assumptions = []
        for separator in sorted(self._separators):
            order, is_assumed = self._decide_order(separator, is_foreign=is_foreign)
            if order is not None:
                orders[separator] = order
                if is_assumed and separator in self._ambiguous:
                    example = self._ambiguous[separator]
                    assumptions.append(f"dates such as {example!r} are {order}")
        return DateOrders(orders, "; ".join(assumptions))

    def _decide_order(self, separator: str, *, is_foreign: bool) -> tuple[Order | None, bool]:
        """Return the order of dates with a separator, and whether it is an assumption."""
        possible = self._possible[separator == "."]
        if len(possible) == 1:
            return next(iter(possible)), False
        if separator == "." and DAY_FIRST in possible:
            return DAY_FIRST, False
        if MONTH_FIRST in possible:
            return (MONTH_FIRST if separator == "/" and not is_foreign else None), True
        firsts, lasts = map(len, self._short)
        if possible and max(firsts, lasts) >= 2 * min(firsts, lasts):
            # the numbers that vary more are days: a project has more days than years
            return (DAY_FIRST if lasts < firsts else YEAR_FIRST), True
        return None, False


class DateReader:
    """Reads the dates of one file.

    Args:
        decide: Returns the order of the file's dates. It is called when the first date depends on
            it, so that a file as Tracker wrote it is not read twice.
    """

    def __init__(self, decide: Callable[[], DateOrders] = DateOrders) -> None:
        self._decide = decide
        self._times: dict[str, str | None] = {}

    @cached_property
    def orders(self) -> DateOrders:
        """The order of the file's dates."""
        return self._decide()

    def parse(self, text: str) -> str | None:
        """Return a date or time as the API writes it: `2014-11-22T00:00:00Z`.

        Accepted are `Nov 22, 2014` (the export), dates with the name of a month in the languages
        that spreadsheets are saved in, numeric dates in the order of the file, ISO 8601, and serial
        numbers of spreadsheets (days since 1899-12-30). A time without a zone is UTC.

        Returns:
            None if the text is neither a date nor a time.
        """
        if text in self._times:
            return self._times[text]
        parse = self._parse_time(text) if len(text) <= _MAX_TIME_LENGTH else None
        if len(self._times) < MAX_CACHE_ENTRIES:
            self._times[text] = parse
        return parse

    def problem(self, text: str) -> str:
        """Return what is wrong with a text for which `parse` returned None."""
        numbers = _numbers(_without_clock(_simplify(text[:_MAX_TIME_LENGTH])))
        is_ambiguous = isinstance(numbers, _Numbers) and len(set(numbers.dates.values())) > 1
        return (
            "may be two dates: nothing in the file shows the order of day and month"
            if is_ambiguous
            else "is not a date"
        )

    def day_of_comment(self, text: str) -> str | None:
        """Return the date at the end of a comment, where a number alone is not a date."""
        return None if text.strip().isdecimal() else self.parse(text)

    def _parse_time(self, text: str) -> str | None:
        text = text.strip()
        with suppress(ValueError, OverflowError):
            if _ISO.match(text):
                return _format_utc(datetime.fromisoformat(text.removesuffix(" UTC")))
        with suppress(ValueError, OverflowError):
            return self._parse_human_time(_simplify(text))
        return None

    def _parse_human_time(self, text: str) -> str | None:
        if match := _SERIAL.fullmatch(text):
            seconds = round(float(f"0.{match[2] or 0}") * 86_400)
            return _format_utc(_SERIAL_EPOCH + timedelta(days=int(match[1]), seconds=seconds))
        if day := self._parse_day(text):
            return _format_utc(datetime(day.year, day.month, day.day))
        if (clock := _CLOCK.fullmatch(text)) and (day := self._parse_day(clock["day"])):
            hour = int(clock["hour"])
            if half := clock["half"]:
                hour = hour % 12 + (12 if half == "p" else 0)
            at = datetime(day.year, day.month, day.day, hour, int(clock["minute"]))
            return _format_utc(at + timedelta(seconds=int(clock["second"] or 0)))
        return None

    def _parse_day(self, text: str) -> date | None:
        numbers = _numbers(text)
        if isinstance(numbers, _Numbers):
            if len(set(numbers.dates.values())) == 1:
                return next(iter(numbers.dates.values()))
            order = self.orders.by_separator.get(numbers.separator)
            return numbers.dates.get(order) if order else None
        return numbers or _named_day(text)


def _simplify(text: str) -> str:
    """Return the text in lower case without accents, the weekday's name and extra spaces."""
    text = " ".join(_plain(text).replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").split())
    match = _LEADING_WORD.match(text)
    if not match or match[1] not in _WEEKDAY_NAMES:
        return text
    rest = text[match.end() :]
    # `mar` is Tuesday in `mar. 9 mars 2021`, and March in `Mar 9, 2021`
    return rest if match[1] not in _MONTHS or _named_day(_without_clock(rest)) else text


def _without_clock(text: str) -> str:
    clock = _CLOCK.fullmatch(text)
    return clock["day"] if clock else text


def _numbers(text: str) -> _Numbers | date | None:
    """Return a numeric date: the date itself if the year comes first, else what it may mean."""
    if match := _EAST_ASIAN.fullmatch(text) or _COMPACT.fullmatch(text):
        return _date(*map(int, match.groups()))
    match = _NUMBERS.fullmatch(text)
    if not match:
        return None
    first, separator, second, third = match.groups()
    if len(first) > 2:
        is_year_first = len(first) == 4 and len(third) <= 2
        return _date(int(first), int(second), int(third)) if is_year_first else None
    readings = dict(_possible_dates(first, second, third))
    return _Numbers(separator, (int(first), int(third)), len(third) <= 2, readings)


def _possible_dates(first: str, second: str, third: str) -> Iterator[tuple[Order, date]]:
    """Yield the possible dates of three numbers, with their order."""
    is_short = len(third) <= 2
    orders: list[tuple[Order, str, str, str]] = [
        (MONTH_FIRST, third, first, second),
        (DAY_FIRST, third, second, first),
    ]
    if is_short and len(first) == 2:
        orders.append((YEAR_FIRST, first, second, third))
    for order, year, month, day in orders:
        day_date = _date(_year(year), int(month), int(day))
        if day_date and (not is_short or len(year) == 2):
            yield order, day_date


def _year(text: str) -> int:
    """Return a year of four or two digits; 0 if it is not a plausible one."""
    year = int(text)
    if len(text) > 2:
        return year
    return 2000 + year if year in _SHORT_YEARS else 0


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _named_day(text: str) -> date | None:
    """Return a date with the name of a month."""
    for pattern in (_MONTH_DAY_YEAR, _DAY_MONTH_YEAR, _YEAR_MONTH_DAY):
        match = pattern.fullmatch(text)
        if match and (month := _month(match)) is not None:
            return _date(_year(match["year"]), month, int(match["day"]))
    return None


def _month(match: re.Match[str]) -> int | None:
    return _MONTHS.get(match["month"])


def _format_utc(at: datetime) -> str:
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return at.isoformat().replace("+00:00", "Z")


def is_day(at: str) -> bool:
    """Check whether a time that `DateReader` returned may be only a date."""
    return at.endswith("T00:00:00Z")


def day_after(at: str) -> str | None:
    """Return the day after one that `DateReader` returned; None after the last possible day."""
    try:
        return _format_utc(datetime.fromisoformat(at) + timedelta(days=1))
    except OverflowError:
        return None


def weeks_between(start: str | None, finish: str | None) -> int | None:
    """Return the length of an iteration in whole weeks, from its start to that of the next.

    Daylight saving time may begin or end in between.
    """
    if not start or not finish:
        return None
    try:
        seconds = (datetime.fromisoformat(finish) - datetime.fromisoformat(start)).total_seconds()
    except (TypeError, ValueError):
        return None
    weeks = round(seconds / _SECONDS_OF_A_WEEK)
    is_whole = abs(seconds - weeks * _SECONDS_OF_A_WEEK) <= _CLOCK_CHANGE
    return weeks if weeks > 0 and is_whole else None
