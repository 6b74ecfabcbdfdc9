"""Which stories a search finds: in the full-text index if there is one, else letter by letter."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pandas import DataFrame, concat

from . import queries, text
from .full_text import Index
from .queries import PAGE, StoryFilter

Ask = Callable[..., list[DataFrame]]
"""Gives the rows of each of some queries."""

_WITHOUT_SPACES = (
    *("CJK", "HIRAGANA", "KATAKANA", "HALFWIDTH", "HANGUL", "BOPOMOFO"),
    *("THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN", "JAVANESE", "BALINESE"),
)
"""How the names of characters begin with which no space parts the words."""


@dataclass(frozen=True)
class Found:
    """One page of what was found.

    Attributes:
        stories: As `queries.stories` gives them, in the order to show them in.
        number: How many there are on all pages.
        index: What they were found in, nothing where they were found letter by letter.
    """

    stories: DataFrame
    number: int
    index: Index | None = None

    def marked(self, texts: Sequence[str], wanted: StoryFilter) -> re.Pattern[str]:
        """What to mark in texts of the stories: what was searched for, in the forms found there."""
        if self.index is None:
            return text.anywhere(wanted.words)
        bare = [word for word in wanted.words if word not in wanted.literal]
        return text.whole_words(self.index.forms(bare, texts), wanted.literal)


def find(ask: Ask, wanted: StoryFilter, page: int, index: Index | None) -> Found:
    """Finds stories; what no word of the index is like is looked for letter by letter.

    Args:
        ask: Asks the destination.
        wanted: Words and filters.
        page: From 1; the first one takes the place of one that there is not, as when a narrower
            filter leaves fewer.
        index: Where to look for words, if there is one.
    """
    if index is not None and can_be_indexed(wanted.words):
        found = _in_index(ask, wanted, page, index)
        if found.number:
            return found
    return _letter_by_letter(ask, wanted, page)


def can_be_indexed(words: Sequence[str]) -> bool:
    """Whether there are words, and an index knows them: it parts texts at spaces and signs."""
    return bool(words) and not any(
        unicodedata.name(letter, "").startswith(_WITHOUT_SPACES)
        for word in words
        for letter in word
    )


def _in_index(ask: Ask, wanted: StoryFilter, page: int, index: Index) -> Found:
    """Scores from the index; the destination says which stories are wanted at all."""
    scores = index.scores(wanted.words)
    number = queries.story_number(wanted.words)
    if number is not None:
        first = DataFrame({"id": [number], "score": [float("inf")]})
        scores = concat([first, scores[scores["id"] != number]])
    if scores.empty:
        return Found(scores, 0)
    (passing,) = ask(queries.story_ids(replace(wanted, words=wanted.literal)))
    found = passing.merge(scores, on="id")
    found = found.sort_values(["score", "updated_at", "id"], ascending=False, na_position="last")
    if found.empty:
        return Found(found, 0)
    start = PAGE * (page - 1)
    ids = [int(each) for each in found["id"][start if start < len(found) else 0 :][:PAGE]]
    (stories,) = ask(queries.stories(ids))
    return Found(stories.set_index("id", drop=False).loc[ids], len(found), index)


def _letter_by_letter(ask: Ask, wanted: StoryFilter, page: int) -> Found:
    (stories,) = ask(queries.story_list(wanted, page))
    if stories.empty and page > 1:
        (stories,) = ask(queries.story_list(wanted))
    number = int(stories["found"].iloc[0]) if len(stories) else 0
    return Found(stories.drop(columns="found"), number)
