"""Parses a search as Pivotal Tracker's search box took it.

    label:"needs design" type:bug -state:accepted (crash OR "error 500") created:2024-01..2024-03

Words, `"phrases"` and `field:value` terms must all match. `OR` joins alternatives, `-` negates, and
parentheses group. Nothing that a person types is an error: a note says what was not understood.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import chain

MAX_TERMS = 24
"""More terms than this are ignored."""

# as in `pivotal_tracker.tables`, whose import takes long
STATES = (
    "accepted",
    "delivered",
    "finished",
    "started",
    "rejected",
    "planned",
    "unstarted",
    "unscheduled",
)
STORY_TYPES = ("feature", "bug", "chore", "release")

DATE_FIELDS = ("created", "updated", "accepted", "deadline")
PERSON_FIELDS = ("owner", "requester", "follower", "commenter", "reviewer")
HAS_VALUES = {
    "attachment": "attachment",
    "blocker": "blocker",
    "branch": "branch",
    "comment": "comment",
    "deadline": "deadline",
    "description": "description",
    "epic": "epic",
    "estimate": "estimate",
    "label": "label",
    "owner": "owner",
    "pr": "pr",
    "pullrequest": "pr",
    "rejection": "rejection",
    "review": "review",
    "task": "task",
}
_TEXT_FIELDS = ("label", "epic", "project", "release", "name", *PERSON_FIELDS)
_ALIASES = {
    "labels": "label",
    "title": "name",
    "requestedby": "requester",
    "requested_by": "requester",
    "ownedby": "owner",
    "points": "estimate",
    "story": "id",
    "story_type": "type",
    "current_state": "state",
    "created_on": "created",
    "updated_on": "updated",
    "accepted_on": "accepted",
}
_SINCE_BEFORE = re.compile(r"(created|updated|accepted|deadline)_(since|after|before)")
_STORY_URL = re.compile(
    r"(?:https?://)?(?:www\.)?pivotaltracker\.com/(?:n/projects/\d+/)?(?:story/show|stories)/(\d+)\S*",
    re.IGNORECASE,
)
_STORY_REFERENCE = re.compile(
    r"\[?(?:(?:finish|complete|fixe?|deliver)(?:e?s|e?d|ing)?\s+)?#(\d{1,18})\]?", re.IGNORECASE
)


@dataclass(frozen=True)
class Word:
    """A word in any of its forms, or, if it is a phrase, a text exactly as typed."""

    text: str
    is_phrase: bool = False


@dataclass(frozen=True)
class Field:
    """A `field:value` term, such as `label:design` or `has:comment`.

    Attributes:
        name: The field, without aliases.
        value: The value in lower case.
    """

    name: str
    value: str


@dataclass(frozen=True)
class DateRange:
    """A range of days of one of a story's dates; `None` leaves an end open."""

    name: str
    first: date | None
    last: date | None


@dataclass(frozen=True)
class Not:
    """Everything that a term does not match."""

    term: Node


@dataclass(frozen=True)
class And:
    """What all terms match. Without terms it matches everything."""

    terms: tuple[Node, ...]


@dataclass(frozen=True)
class Or:
    """What any term matches."""

    terms: tuple[Node, ...]


Node = Word | Field | DateRange | Not | And | Or


@dataclass(frozen=True)
class Query:
    """A parsed search.

    Attributes:
        root: What stories must match.
        notes: What could not be understood, one sentence each.
    """

    root: Node = And(())
    notes: tuple[str, ...] = ()

    def words(self) -> list[Word]:
        """Return the words and phrases that a matching story has."""
        return [node for node in _positive_terms(self.root) if isinstance(node, Word)]

    def fields(self) -> list[Field]:
        """Return the `field:value` terms that a matching story has."""
        return [node for node in _positive_terms(self.root) if isinstance(node, Field)]


def parse(text: str) -> Query:
    """Parse what a person typed into the search box."""
    return _Parser(_tokens(text)).query()


def story_reference(text: str) -> int | None:
    """Return the story id if the text is only a reference to one.

    Understands `#123`, `123`, `[#123]`, `[finishes #123]` and addresses of Pivotal Tracker.
    """
    stripped = text.strip()
    if re.fullmatch(r"\d{6,18}", stripped):
        return int(stripped)
    match = _STORY_URL.fullmatch(stripped) or _STORY_REFERENCE.fullmatch(stripped)
    return int(match[1]) if match else None


def quote(value: str) -> str:
    """Quote a value so that `field:value` finds it."""
    cleaned = " ".join(value.replace('"', " ").replace("\0", " ").split())
    return cleaned if re.fullmatch(r"[^\s():-][^\s():]*", cleaned) else f'"{cleaned}"'


def _positive_terms(node: Node) -> Iterator[Node]:
    if isinstance(node, And | Or):
        yield from chain.from_iterable(map(_positive_terms, node.terms))
    elif not isinstance(node, Not):
        yield node


_TOKEN = re.compile(
    r"""
    (?P<negation>-(?=[^\s-]))?            # -term
    (?:(?P<field>[a-z_]+):(?=\S))?        # field:
    (?:"(?P<phrase>[^"]*)"?|(?P<paren>[()])|(?P<bare>[^\s()"]+))
    """,
    re.VERBOSE | re.IGNORECASE,
)


@dataclass(frozen=True)
class _Token:
    negation: bool
    field: str
    text: str
    is_phrase: bool
    paren: str


def _tokens(text: str) -> list[_Token]:
    text = _STORY_URL.sub(r"id:\1", text.replace("\0", " "))
    return [
        _Token(
            bool(match["negation"]),
            (match["field"] or "").lower(),
            match["phrase"] if match["phrase"] is not None else match["bare"] or "",
            match["phrase"] is not None,
            match["paren"] or "",
        )
        for match in _TOKEN.finditer(text)
    ]


@dataclass
class _Parser:
    """A recursive-descent parser: alternatives, conjunctions, terms."""

    tokens: list[_Token]
    position: int = 0
    notes: list[str] = field(default_factory=list)

    def query(self) -> Query:
        if len(self.tokens) > MAX_TERMS:
            self.tokens = self.tokens[:MAX_TERMS]
            self.notes.append(f"Only the first {MAX_TERMS} terms are used.")
        terms = []
        while self.position < len(self.tokens):
            terms.append(self._alternatives())
            self._accept(")")  # one that closes nothing
        return Query(_all_of(terms), tuple(dict.fromkeys(self.notes)))

    def _alternatives(self) -> Node:
        alternatives = [self._conjunction()]
        while self._is_or():
            self.position += 1
            alternatives.append(self._conjunction())
        alternatives = [node for node in alternatives if node != And(())]
        if len(alternatives) < 2:
            return alternatives[0] if alternatives else And(())
        return Or(tuple(alternatives))

    def _conjunction(self) -> Node:
        terms = []
        while (token := self._peek()) and token.paren != ")" and not self._is_or():
            self.position += 1
            if token.paren == "(":
                node = self._alternatives()
                self._accept(")")
            else:
                node = self._term(token)
            if node != And(()):
                terms.append(Not(node) if token.negation else node)
        return _all_of(terms)

    def _term(self, token: _Token) -> Node:
        name = _ALIASES.get(token.field, token.field)
        value = " ".join(token.text.lower().split())
        if not name:
            return Word(value, token.is_phrase) if value else And(())
        if not value:
            return And(())
        if match := _SINCE_BEFORE.fullmatch(name):
            return self._date_term(match[1], f"{'<' if match[2] == 'before' else '>='}{value}")
        if name in DATE_FIELDS:
            return self._date_term(name, value)
        return self._field_term(name, value, token)

    def _field_term(self, name: str, value: str, token: _Token) -> Node:
        if name in _TEXT_FIELDS or (name == "priority" and re.fullmatch(r"p[0-3]|none", value)):
            return Field(name, value)
        if name == "state":
            return self._choice(name, value, (*STATES, "open"))
        if name == "type":
            return self._choice(name, value, STORY_TYPES)
        if name == "has":
            return self._choice(name, HAS_VALUES.get(value.removesuffix("s"), value), HAS_VALUES)
        if name in ("id", "iteration", "estimate"):
            return self._numbers(name, value)
        if name in ("is", "no"):
            return self._choice_of_shorthand(name, value)
        if name in ("includedone", "http", "https"):
            return Word(f"{name}:{value}") if name.startswith("http") else And(())
        self.notes.append(f"“{name}:” is not a search field; it is searched for as text.")
        return Word(f"{name}:{token.text.lower()}", is_phrase=True)

    def _choice_of_shorthand(self, name: str, value: str) -> Node:
        if name == "is":
            return self._choice("state", value, (*STATES, "open"))
        known = HAS_VALUES.get(value.removesuffix("s"), value)
        return Not(self._choice("has", known, HAS_VALUES))

    def _choice(self, name: str, value: str, choices: object) -> Node:
        options = tuple(choices)  # type: ignore[arg-type, var-annotated]
        values = [part for part in value.split(",") if part in options]
        if not values:
            self.notes.append(f"“{name}:{value}” is unknown. Use one of: {', '.join(options)}.")
            return Field("none", "")
        return _any_of([Field(name, part) for part in values])

    def _numbers(self, name: str, value: str) -> Node:
        numbers = [part.lstrip("#") for part in value.split(",")]
        if name == "estimate" and value in ("none", "unestimated"):
            return Not(Field("has", "estimate"))
        if not all(re.fullmatch(r"-?\d{1,18}", number) for number in numbers):
            self.notes.append(f"“{name}:{value}” needs a number, as in {name}:3.")
            return Field("none", "")
        return _any_of([Field(name, number) for number in numbers])

    def _date_term(self, name: str, value: str) -> Node:
        span = _parse_range(value)
        if span is None:
            self.notes.append(
                f"“{value}” is not a date. Use {name}:2024-03-31, {name}:2024-03 or "
                f"{name}:2024-01-15..2024-03-31."
            )
            return Field("none", "")
        return DateRange(name, *span)

    def _peek(self) -> _Token | None:
        return self.tokens[self.position] if self.position < len(self.tokens) else None

    def _is_or(self) -> bool:
        token = self._peek()
        return token is not None and token.text == "OR" and not (token.field or token.is_phrase)

    def _accept(self, paren: str) -> None:
        if (token := self._peek()) and token.paren == paren:
            self.position += 1


def _all_of(terms: list[Node]) -> Node:
    return terms[0] if len(terms) == 1 else And(tuple(terms))


def _any_of(terms: list[Node]) -> Node:
    return terms[0] if len(terms) == 1 else Or(tuple(terms))


def _parse_range(value: str) -> tuple[date | None, date | None] | None:
    """Return the first and last day of `2024`, `2024-03..2024-05`, `>=2024-03-01` and the like."""
    if ".." in value:
        start, _, end = value.partition("..")
        first, last = _parse_days(start), _parse_days(end)
        if (start and not first) or (end and not last) or not (first or last):
            return None
        return first[0] if first else None, last[1] if last else None
    match = re.fullmatch(r"(>=|<=|>|<)?(.+)", value)
    days = _parse_days(match[2]) if match else None
    if match is None or days is None:
        return None
    return {
        ">=": (days[0], None),
        ">": (days[1] + timedelta(days=1), None),
        "<": (None, days[0] - timedelta(days=1)),
        "<=": (None, days[1]),
    }.get(match[1] or "", days)


def _parse_days(value: str) -> tuple[date, date] | None:
    """Return the first and the last day of a year, a month or a day."""
    if value in ("today", "yesterday"):
        day = date.today() - timedelta(days=value == "yesterday")
        return day, day
    match = re.fullmatch(r"(\d{4})(?:[-/](\d{1,2}))?(?:[-/](\d{1,2}))?", value)
    if match is None:
        american = re.fullmatch(r"(\d{1,2})/(\d{1,2})/(\d{4})", value)
        numbers = (american[3], american[1], american[2]) if american else None
    else:
        numbers = (match[1], match[2], match[3])
    if numbers is None:
        return None
    year, month, day_of_month = (int(number) if number else None for number in numbers)
    try:
        first = date(year or 0, month or 1, day_of_month or 1)
        last_day = day_of_month or monthrange(first.year, month or 12)[1]
        # kept away from the ends of the calendar, beyond which a day more cannot be represented
        return (first, date(first.year, month or 12, last_day)) if 1 < first.year < 9999 else None
    except ValueError:
        return None
