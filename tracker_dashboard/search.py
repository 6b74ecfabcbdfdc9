"""Finds the stories that match a search: words in the full-text index, everything else in SQL."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from pandas import DataFrame, Series

from . import text
from .full_text import Index
from .queries import stories as story_queries
from .search_syntax import And, Node, Not, Or, Query, Word, quote

Read = Callable[..., list[DataFrame]]
"""Runs queries and returns the rows of each."""

RELEVANCE = "relevance"
SORTS = (RELEVANCE, *story_queries.SORTS)

_SCRIPTS_WITHOUT_SPACES = (
    *("CJK", "HIRAGANA", "KATAKANA", "HALFWIDTH", "HANGUL", "BOPOMOFO"),
    *("THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN", "JAVANESE", "BALINESE"),
)
"""How Unicode names of characters begin in scripts that put no spaces between words."""


@dataclass(frozen=True)
class SearchResult:
    """The stories that match a search.

    Attributes:
        story_ids: In the order to show them.
        index: The index that was searched, `None` for a substring search.
    """

    story_ids: list[int] = field(default_factory=list)
    index: Index | None = None

    def highlight(self, texts: Sequence[str], query: Query) -> re.Pattern[str]:
        """Find in texts what was searched for, in the forms that occur there."""
        words = query.words()
        if self.index is None:
            return text.substring_pattern([word.text for word in words])
        literal = [word.text for word in words if _is_literal(word)]
        forms = self.index.forms([w.text for w in words if not _is_literal(w)], texts)
        return text.word_pattern(forms, literal)


def search(
    read: Read, query: Query, projects: Sequence[int], sort: str, index: Index | None
) -> SearchResult:
    """Find stories. What no word of the index matches is searched for as a substring.

    Args:
        read: Runs queries on the destination.
        query: What to find.
        projects: Ids of the projects to search, all if empty.
        sort: One of `SORTS`.
        index: Where to look words up, if there is an index.
    """
    if index is not None and can_be_indexed(query):
        result = _search(read, query, projects, sort, index)
        if result.story_ids:
            return result
    return _search(read, query, projects, sort, None)


def can_be_indexed(query: Query) -> bool:
    """Return whether the index can answer: it knows words that are separated by spaces."""
    words = [word for word in query.words() if not _is_literal(word)]
    return bool(words) and not any(
        unicodedata.name(character, "").startswith(_SCRIPTS_WITHOUT_SPACES)
        for word in words
        for character in word.text
    )


def _is_literal(word: Word) -> bool:
    """Return whether to look for a word as typed: a phrase, or more than letters and digits."""
    characters = unicodedata.normalize("NFC", word.text)
    # vowels of some scripts are marks
    return word.is_phrase or not all(
        character.isalnum() or unicodedata.category(character).startswith("M")
        for character in characters
    )


def _search(
    read: Read, query: Query, projects: Sequence[int], sort: str, index: Index | None
) -> SearchResult:
    terms = query.root.terms if isinstance(query.root, And) else (query.root,)
    in_sql = tuple(term for term in terms if index is None or not any(_indexed_words(term)))
    mixed = And(tuple(term for term in terms if term not in in_sql))
    flags = tuple(dict.fromkeys(_other_leaves(mixed)))
    words = list(dict.fromkeys(_indexed_words(mixed)))
    names = tuple(word.text for word in query.words() if index is None or _is_literal(word))
    column = sort if sort != RELEVANCE else "updated"
    (found,) = read(
        story_queries.matching_stories(And(in_sql), flags, names, tuple(projects), column)
    )
    scores = {word: _scores(index, word) for word in words} if index else {}
    found = found[_mask(mixed, found, flags, scores)]
    found = found.assign(score=found["in_name"].astype(float))
    for word in query.words():
        if word in scores:
            found["score"] += found["id"].map(scores[word]).fillna(0.0)
    return SearchResult(_sorted_ids(found, sort), index if words else None)


def _scores(index: Index, word: Word) -> Series[float]:
    frame = index.scores([word.text])
    return Series(frame["score"].to_numpy(), index=frame["id"].to_numpy(), dtype=float)


def _indexed_words(node: Node) -> Iterator[Word]:
    return (leaf for leaf in _leaves(node) if isinstance(leaf, Word) and not _is_literal(leaf))


def _other_leaves(node: Node) -> Iterator[Node]:
    return (leaf for leaf in _leaves(node) if not isinstance(leaf, Word) or _is_literal(leaf))


def _leaves(node: Node) -> Iterator[Node]:
    if isinstance(node, And | Or):
        for term in node.terms:
            yield from _leaves(term)
    elif isinstance(node, Not):
        yield from _leaves(node.term)
    else:
        yield node


def _mask(
    node: Node, found: DataFrame, flags: Sequence[Node], scores: dict[Word, Series[float]]
) -> Series[bool]:
    """Return which rows match a term."""
    if isinstance(node, Not):
        return ~_mask(node.term, found, flags, scores)
    if isinstance(node, And | Or):
        mask = Series(isinstance(node, And), index=found.index)
        for term in node.terms:
            matched = _mask(term, found, flags, scores)
            mask = mask & matched if isinstance(node, And) else mask | matched
        return mask
    if isinstance(node, Word) and node in scores:
        return found["id"].isin(scores[node].index)
    return found[f"flag_{flags.index(node)}"].astype("boolean").fillna(value=False).astype(bool)


def _sorted_ids(found: DataFrame, sort: str) -> list[int]:
    """Sort the best match, or the latest date, first; equal ones in a steady order."""
    # rounded: the order in which scores are added up must not separate equal ones
    found = found.assign(score=found["score"].round(6))
    if sort == RELEVANCE:
        columns, ascending = ["score", "updated_at", "id"], [False, False, False]
    else:
        columns, ascending = ["sort_key", "id"], [sort == "name", False]
    found = found.sort_values(columns, ascending=ascending, na_position="last", kind="stable")
    return [int(number) for number in found["id"]]


def suggestion(text: str, query: Query, index: Index | None, names: DataFrame) -> str | None:
    """Return the search with the words and names that exist and are most like those typed.

    Args:
        text: The search as typed.
        query: The search as parsed.
        index: Where words are looked up, if there is an index.
        names: `field` and `name` of labels, people, epics and projects.
    """
    corrected = text
    for term in query.fields():
        kind = term.name if term.name in ("label", "epic", "project") else "person"
        known = names[names["field"] == kind]["name"].dropna().unique()
        lowered = {str(name).lower(): str(name) for name in known}
        if term.value not in lowered and term.name not in ("has", "state", "type"):
            for match in get_close_matches(term.value, lowered, 1, 0.6):
                corrected = _replace(corrected, f"{term.name}:", term.value, quote(lowered[match]))
    for word in query.words():
        if index is not None and not index.knows(word.text):
            for match in index.similar_words(word.text, 1):
                corrected = _replace(corrected, "", word.text, match)
    return corrected if corrected != text else None


def _replace(query: str, prefix: str, old: str, new: str) -> str:
    pattern = rf"(?<!\w){re.escape(prefix)}\"?{re.escape(old)}(?!\w)\"?"
    return re.sub(pattern, lambda _: f"{prefix}{new}", query, count=1, flags=re.IGNORECASE)
