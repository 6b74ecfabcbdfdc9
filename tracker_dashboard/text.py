"""Makes text from outside safe to show: no HTML, no script, nothing is fetched.

Streamlit's own Markdown is not used for such text: it loads images from anywhere and interprets
formulas, emoji codes and colours.
"""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Iterable, Sequence
from datetime import date
from decimal import Decimal
from numbers import Integral
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from pandas import isna

_SAFE_LINK = re.compile(r"(?:https?://|mailto:)", re.IGNORECASE)

_MARKUP = re.compile(r"```|^#{1,6} |(?<!\w)\*+(?=\w)|(?<=\w)\*+(?!\w)", re.MULTILINE)
"""Signs of Markdown that say nothing in an excerpt."""

_EXCERPT_CHARS = 80
"""How many characters are shown on either side of a match."""


class _Renderer(RendererHTML):
    def link_open(self, tokens: Sequence[Any], position: int, options: Any, env: Any) -> str:
        """Return a link that does not tell its target where it was clicked."""
        tokens[position].attrSet("rel", "noopener noreferrer nofollow")
        tokens[position].attrSet("target", "_blank")
        return self.renderToken(tokens, position, options, env)


def _make_markdown() -> MarkdownIt:
    parser = MarkdownIt(
        "commonmark", {"html": False, "linkify": True, "breaks": True}, renderer_cls=_Renderer
    )
    parser.validateLink = lambda url: bool(_SAFE_LINK.match(url))  # type: ignore[method-assign]
    if parser.linkify is not None:
        parser.linkify.set({"fuzzy_link": False, "fuzzy_email": False})
    # without the rule for images, an image becomes a link
    return parser.enable(["table", "strikethrough", "linkify"]).disable("image")


_MARKDOWN = _make_markdown()


def markdown(text: str | None) -> str:
    """Return HTML of a Markdown text. HTML in it is shown as typed, and an image becomes a link."""
    return f'<div dir="auto">{_MARKDOWN.render(text or "")}</div>' if text else ""


def plain(text: Any) -> str:
    """Return HTML that shows a text as it is."""
    return html.escape(str(text))


def isolated(text: Any) -> str:
    """Return HTML of a text whose direction does not affect the text around it."""
    return f"<bdi>{plain(text)}</bdi>"


def table(columns: Sequence[str], rows: Iterable[Iterable[Any]]) -> str:
    """Return HTML of a table; cells that are `Html` are inserted as they are.

    On a phone each row becomes a list, in which cells have the names of their columns.
    """
    heads = "".join(f'<th scope="col">{plain(name)}</th>' for name in columns)
    body = "".join(f"<tr>{''.join(map(_cell, columns, row))}</tr>" for row in rows)
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"


class Html(str):
    """A text that is HTML already."""

    __slots__ = ()


def _cell(column: str, value: Any) -> str:
    name = f'data-column="{plain(column)}"'
    if isna(value):
        return f"<td {name}></td>"
    if isinstance(value, Html):
        return f"<td {name}>{value}</td>"
    if isinstance(value, float | Decimal):
        return f'<td {name} class="number">{number(float(value))}</td>'
    if isinstance(value, Integral) and not isinstance(value, bool):
        return f'<td {name} class="number">{value:,}</td>'
    return f"<td {name}>{isolated(value)}</td>"


def day_range(first: str, last: str) -> str:
    """Return two days, with the year only once if it is the same."""
    return f"{first.removesuffix(last[-5:])} to {last}"


def number(value: float) -> str:
    """Return a number with at most one decimal, and with separators for thousands."""
    return f"{value:,.1f}".removesuffix(".0")


def day(moment: date) -> str:
    """Format a day: 7 Mar 2025."""
    # Windows has no `%-d`
    return f"{moment.day} {moment:%b %Y}"


def whole(text: Any) -> Html:
    """Return HTML of a text that is not broken into lines, such as a date."""
    return Html(f'<span class="whole">{plain(text)}</span>')


def one_line(text: Any) -> str:
    """Put a text on one line, for options of select boxes, which show it as it is."""
    return " ".join(str(text).split())


def label(text: Any) -> str:
    """Escape a text for Streamlit's labels, which are Markdown, and put it on one line."""
    escaped = re.sub(r"([!-/;-@\[-`{-~])", r"\\\1", one_line(text))
    # Streamlit looks for emoji codes after it resolved escapes: an invisible mark breaks them
    return escaped.replace(":", ":\N{WORD JOINER}")


def external_link(url: Any, shown: Any) -> str:
    """Return HTML of a link to another site, or only of its text if the address is not safe."""
    if not isinstance(url, str) or not re.match(r"https?://", url, re.IGNORECASE):
        return isolated(shown)
    return (
        f'<a href="{plain(url)}" target="_blank" rel="noopener noreferrer nofollow">'
        f"{isolated(shown)}</a>"
    )


def substring_pattern(words: Collection[str]) -> re.Pattern[str]:
    """Match any of the words, also as a part of another one."""
    return _any_of(map(re.escape, words))


def word_pattern(words: Collection[str], substrings: Collection[str] = ()) -> re.Pattern[str]:
    """Match any of the words between characters that are no letters or digits, or a substring."""
    whole = (rf"(?<![^\W_]){re.escape(word)}(?![^\W_])" for word in words)
    return _any_of([*whole, *map(re.escape, substrings)])


def _any_of(patterns: Iterable[str]) -> re.Pattern[str]:
    # without patterns, one that never matches
    return re.compile("|".join(patterns) or r"(?!)", re.IGNORECASE)


def excerpt(text: str, pattern: re.Pattern[str]) -> str | None:
    """Return HTML of the text around the first match, `None` if there is none."""
    match = pattern.search(text)
    if match is None:
        return None
    start, end = max(match.start() - _EXCERPT_CHARS, 0), match.end() + _EXCERPT_CHARS
    before, after = text[start : match.start()], text[match.end() : end]
    # whole words only, unless the text has none
    before = before.partition(" ")[2] or before if start else before
    after = after.rpartition(" ")[0] or after if end < len(text) else after
    before, after = (_MARKUP.sub("", part) for part in (before, after))
    return (
        ("…" if start else "")
        + f"{plain(before)}<mark>{plain(match[0])}</mark>{plain(after)}"
        + ("…" if end < len(text) else "")
    )


def plural(count: int, noun: str) -> str:
    """Return a count and its noun: `1 story`, `1,200 stories`."""
    if count == 1:
        return f"1 {noun}"
    plural_noun = f"{noun[:-1]}ies" if re.search("[^aeiou]y$", noun) else f"{noun}s"
    return f"{count:,} {plural_noun}"
