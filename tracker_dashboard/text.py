"""What came from outside, made safe to show: no HTML, no script, nothing fetched.

Streamlit's own Markdown is not used for it: that loads pictures from anywhere, and reads formulas,
emoji codes and colours that nobody wrote as such.
"""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal
from numbers import Integral
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML

_OPENED = re.compile(r"(?:https?://|mailto:)", re.IGNORECASE)
"""What a link may lead to."""

_AROUND = 80
"""So many characters are shown on either side of a word that was found."""


class _Renderer(RendererHTML):
    def link_open(self, tokens: Sequence[Any], position: int, options: Any, env: Any) -> str:
        """A link that tells its target nothing of where it was clicked."""
        tokens[position].attrSet("rel", "noopener noreferrer nofollow")
        tokens[position].attrSet("target", "_blank")
        return self.renderToken(tokens, position, options, env)


def _reader() -> MarkdownIt:
    reader = MarkdownIt(
        "commonmark", {"html": False, "linkify": True, "breaks": True}, renderer_cls=_Renderer
    )
    reader.validateLink = lambda url: bool(_OPENED.match(url))  # type: ignore[method-assign]
    if reader.linkify is not None:
        reader.linkify.set({"fuzzy_link": False, "fuzzy_email": False})
    # without its rule, a picture is a link to it
    return reader.enable(["table", "strikethrough", "linkify"]).disable("image")


_READER = _reader()


def markdown(text: str | None) -> str:
    """HTML of a text in Markdown: what is HTML in it is shown as typed, a picture is a link."""
    return str(_READER.render(text or ""))


def plain(text: Any) -> str:
    """HTML that shows a text as it is."""
    return html.escape(str(text))


def table(
    columns: Sequence[str], rows: Iterable[Iterable[Any]], shares: Collection[str] = ()
) -> str:
    """HTML of a table.

    Args:
        columns: The names of its columns.
        rows: The values of each row, in the order of the columns.
        shares: The columns of parts of one, which are shown as percentages.
    """
    heads = "".join(f'<th scope="col">{plain(name)}</th>' for name in columns)
    are_shares = [name in shares for name in columns]
    lines = (
        "".join(_cell(value, is_share) for value, is_share in zip(row, are_shares, strict=True))
        for row in rows
    )
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"


def scrolled(name: str, inner: str) -> str:
    """HTML of a frame within which other HTML is scrolled, by keyboard too.

    Args:
        name: What it is called where it is read aloud.
        inner: The HTML in it.
    """
    return f'<div class="rows" role="region" tabindex="0" aria-label="{plain(name)}">{inner}</div>'


def _cell(value: Any, is_share: bool) -> str:
    if value is None:
        return "<td></td>"
    if isinstance(value, float | Decimal):
        told = f"{value:.0%}" if is_share else f"{value:,.2f}".rstrip("0").rstrip(".")
        return f'<td class="number">{told}</td>'
    if isinstance(value, Integral) and not isinstance(value, bool):
        return f'<td class="number">{value}</td>'
    return f"<td>{plain(value)}</td>"


def label(text: Any) -> str:
    """What to give Streamlit as a label, so that it shows a text as it is, on one line."""
    escaped = re.sub(r"([!-/;-@\[-`{-~])", r"\\\1", " ".join(str(text).split()))
    # an emoji's code is looked for after escapes were resolved: a mark without width breaks it
    return escaped.replace(":", ":\N{WORD JOINER}")


def link(url: Any, shown: Any) -> str:
    """HTML of a link, where it leads somewhere a browser may go; else only what is shown."""
    if not isinstance(url, str) or not re.match(r"https?://", url, re.IGNORECASE):
        return plain(shown)
    return f'<a href="{plain(url)}" target="_blank" rel="noopener noreferrer">{plain(shown)}</a>'


def anywhere(words: Sequence[str]) -> re.Pattern[str]:
    """What finds any of the words, whatever its case and whatever it is a part of."""
    return _any_of(map(re.escape, words))


def whole_words(words: Sequence[str], parts: Sequence[str] = ()) -> re.Pattern[str]:
    """What finds any of the words that stands by itself, and any of the parts anywhere.

    A word ends where there is neither a letter nor a digit.
    """
    whole = (rf"(?<![^\W_]){re.escape(word)}(?![^\W_])" for word in words)
    return _any_of([*whole, *map(re.escape, parts)])


def _any_of(patterns: Iterable[str]) -> re.Pattern[str]:
    # of nothing at all, a pattern that finds nothing
    return re.compile("|".join(patterns) or r"(?!)", re.IGNORECASE)


def excerpt(text: str, wanted: re.Pattern[str]) -> str | None:
    """HTML of the part of a text around what is found first in it; nothing if nothing is."""
    first = wanted.search(text)
    if first is None:
        return None
    start, end = max(first.start() - _AROUND, 0), first.end() + _AROUND
    before, after = text[start : first.start()], text[first.end() : end]
    return (
        ("…" if start else "")
        + f"{plain(before)}<mark>{plain(first[0])}</mark>{plain(after)}"
        + ("…" if end < len(text) else "")
    )
