"""Lists of stories, each a link to its page with the facts that Tracker showed beside it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from pandas import DataFrame

from . import text
from .links import Params, link, search_link, story_link, with_class
from .queries import stories as story_queries
from .queries.build import id_list
from .search_syntax import quote
from .session import rows
from .text import Html

MAX_STORIES = 50
"""How many stories a list shows at first."""

_TYPE_SIGNS = {"feature": "★", "bug": "●", "chore": "⚙", "release": "⚑"}


@dataclass(frozen=True)
class Details:
    """The labels and owners of the stories of a list, by story id.

    Attributes:
        labels: Names.
        owners: Names and initials, which may be missing.
    """

    labels: Mapping[int, list[str]] = field(default_factory=dict)
    owners: Mapping[int, list[tuple[str, Any]]] = field(default_factory=dict)


def details(story_ids: Sequence[int], project: int | None = None) -> Details:
    """Read the labels and owners of stories, or of all stories of a project."""
    ids = id_list(story_ids) if project is None else None
    owners, labels = rows(
        story_queries.owner_names(ids, project), story_queries.label_names(ids, project)
    )
    labels_of: dict[int, list[str]] = defaultdict(list)
    owners_of: dict[int, list[tuple[str, Any]]] = defaultdict(list)
    for story_id, name in _tuples(labels):
        labels_of[story_id].append(name)
    for story_id, name, given in _tuples(owners):
        owners_of[story_id].append((name, given))
    return Details(labels_of, owners_of)


def _tuples(frame: DataFrame) -> Iterator[tuple[Any, ...]]:
    """Return the rows of a frame; for thousands of texts, `itertuples` takes five times as long."""
    return zip(*(frame[name].to_numpy(dtype=object) for name in frame), strict=True)


def initials(name: str, given: Any = None) -> str:
    """Return a person's initials as Tracker had them, or else made from the name."""
    if isinstance(given, str) and given:
        return given
    return "".join(part[0] for part in name.split()[:3]).upper() or "?"


def type_sign(story_type: Any) -> Html:
    """Return HTML of the sign of a story's type."""
    name = story_type if isinstance(story_type, str) else "story"
    shown = text.plain(name)
    known = name if name in _TYPE_SIGNS else ""
    return Html(
        f'<span class="type {known}" role="img" aria-label="{shown}" title="{shown}">'
        f"{_TYPE_SIGNS.get(name, '◇')}</span>"
    )


def state_badge(state: Any) -> Html:
    """Return HTML of a story's state, which is written out and coloured."""
    if not isinstance(state, str):
        return Html("")
    return Html(f'<span class="state {text.plain(state)}">{text.plain(state)}</span>')


def points(estimate: Any) -> str:
    """Return an estimate in words, empty if there is none."""
    return "" if pd.isna(estimate) else f"{estimate:g} {'point' if estimate == 1 else 'points'}"


def story_list(
    stories: DataFrame,
    known: Details | None = None,
    project: int | str | None = None,
    extra: Mapping[int, str] | None = None,
    show_project: bool = False,
    show_state: bool = True,
) -> Html:
    """Return HTML of a list of stories.

    Args:
        stories: `id`, `name`, `story_type`, `current_state`, `estimate`; `project_name` if shown.
        known: Their labels and owners; read if not given.
        project: The project that links keep; `None` if no project is chosen.
        extra: HTML to show below some stories, by id.
        show_project: Whether to name each story's project.
        show_state: Whether to show each story's state.
    """
    known = details([int(number) for number in stories["id"]]) if known is None else known
    extra = extra or {}
    items = []
    for story in stories.itertuples():
        facts = [
            state_badge(story.current_state) if show_state else Html(""),
            _points(story.estimate),
            *_people(known.owners.get(story.id, ())),
            *_labels(known.labels.get(story.id, ()), project),
        ]
        if show_project and isinstance(story.project_name, str):
            facts.append(Html(f'<span class="quiet">{text.isolated(story.project_name)}</span>'))
        items.append(
            f"<li>{type_sign(story.story_type)}"
            f"{with_class(story_link(int(story.id), story.name, project), 'name')}"
            f'<span class="facts">{"".join(facts)}</span>{extra.get(story.id, "")}</li>'
        )
    return Html(f'<ul class="stories">{"".join(items)}</ul>')


def first_stories(
    page: str, name: str, stories: DataFrame, params: Params
) -> tuple[DataFrame, str]:
    """Return the stories that a list shows at first, and HTML of a link that shows all.

    Args:
        page: The page with the list.
        name: The list, as in the parameter `all`.
        stories: All stories of the list.
        params: The parameters of the address.
    """
    expanded = params.get("all", [])
    if len(stories) <= MAX_STORIES or name in expanded:
        return stories, ""
    count = text.plural(len(stories), "story")
    anchor = link(page, f"Show all {count}", **{**params, "all": [*expanded, name]})
    return stories.head(MAX_STORIES), f'<p class="empty">{anchor}</p>'


def _points(estimate: Any) -> Html:
    shown = points(estimate)
    return Html(f'<span class="points">{text.plain(shown)}</span>' if shown else "")


def _people(owners: Iterable[tuple[str, Any]]) -> list[Html]:
    return [
        Html(
            f'<bdi class="initials" title="{text.plain(name)}">'
            f"{text.plain(initials(name, given))}</bdi>"
        )
        for name, given in owners
    ]


def _labels(names: Iterable[str], project: int | str | None) -> list[Html]:
    return [
        with_class(search_link(f"label:{quote(name)}", name, project), "label") for name in names
    ]
