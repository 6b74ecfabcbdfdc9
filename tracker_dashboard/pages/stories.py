"""Stories: search, filters, and a list of links."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import streamlit as st
from pandas import DataFrame
from sqlglot import exp

from tracker_dashboard import queries, session, text
from tracker_dashboard.full_text import Index, NotIndexedError
from tracker_dashboard.pages import story
from tracker_dashboard.parts import (
    choose_days,
    choose_projects,
    csv_button,
    stop_if_empty,
    story_line,
)
from tracker_dashboard.queries import Scope, StoryFilter
from tracker_dashboard.search import Found, can_be_indexed, find
from tracker_dashboard.session import rows

_CHOICES = (queries.projects(), queries.labels(), queries.owners())


def asked() -> tuple[tuple[exp.Select, ...], ...]:
    """What the page asks together, before anything was chosen."""
    return _CHOICES, (queries.story_list(StoryFilter()),)


def show() -> None:
    """Shows the page."""
    st.title("Stories")
    wanted = _choose()
    _list(wanted)


def _choose() -> StoryFilter:
    """Asks which stories are wanted; every answer stands in the address."""
    projects, labels, owners = rows(*_CHOICES)
    stop_if_empty(projects)
    typed = st.text_input(
        "Search",
        key="search",
        placeholder="words in names, descriptions, comments and tasks, or a story's id",
        help='Stories that have every word, anywhere; "several words" in quotation marks as they '
        "stand.",
        bind="query-params",
    )
    with st.sidebar:
        chosen = choose_projects(projects, "All projects")
        states = _choose_some("States", "state", queries.STATES)
        types = _choose_some("Types", "type", queries.STORY_TYPES)
        names = _choose_some("Labels", "label", labels["name"])
        people = {_told(name, number): int(number) for number, name in owners.itertuples(False)}
        owned = _choose_some("Owners", "owner", people)
        since, until = choose_days()
        of = st.selectbox("Days of being", queries.DATES, key="date", bind="query-params")
    return StoryFilter(
        words=queries.words_of(typed),
        literal=queries.literal_of(typed),
        scope=Scope(chosen, since, until),
        labels=names,
        states=states,
        types=types,
        owners=tuple(people[each] for each in owned),
        date=of,
    )


def _told(name: Any, number: int) -> str:
    return name if isinstance(name, str) else f"#{number}"


def _choose_some(title: str, key: str, options: Iterable[str]) -> tuple[str, ...]:
    return tuple(
        st.multiselect(
            title,
            list(options),
            key=key,
            placeholder="All",
            bind="query-params",
        )
    )


def _list(wanted: StoryFilter) -> None:
    index, why = _index()
    if st.session_state.setdefault("wanted", wanted) != wanted:
        st.session_state["wanted"] = wanted
        st.session_state["page"] = 1
    page = max(int(st.session_state.get("page", 1) or 1), 1)
    found = find(rows, wanted, page, index)
    if wanted.words:
        st.caption(_which_search(found, wanted, why))
    if not found.number:
        st.info("No story is like that. Fewer words or filters find more.")
        return
    st.caption(f"{found.number:,} {'story' if found.number == 1 else 'stories'}")
    _rows(found, wanted)
    pages = -(-found.number // queries.PAGE)
    if pages > 1:
        st.pagination(pages, key="page", bind="query-params")
    csv_button("Stories on this page", found.stories)


def _index() -> tuple[Index | None, str]:
    """What to search in, or why there is nothing."""
    try:
        return session.index(), ""
    except NotIndexedError as error:
        return None, str(error)


def _which_search(found: Found, wanted: StoryFilter, why: str) -> str:
    if found.index is not None:
        return "Full-text search: each word in any of its English forms, the best match first."
    if not why:
        known = can_be_indexed(wanted.words)
        why = "no story has all of these as words" if known else "no spaces part these words"
    return f"Plain search, letter by letter: {text.label(why)}."


def _rows(found: Found, wanted: StoryFilter) -> None:
    ids = [int(number) for number in found.stories["id"]]
    asked = [queries.owner_names(ids), queries.label_names(ids)]
    if wanted.words:
        asked.append(queries.texts(ids))
    owners, labels, *texts = rows(*asked)
    owned, labelled = _by_story(owners), _by_story(labels)
    excerpts = _excerpts(texts[0], found, wanted) if texts else {}
    lines = []
    for each in found.stories.itertuples():
        facts = (
            each.project_name,
            each.story_type,
            each.current_state,
            story.points(each.estimate),
            ", ".join(owned[each.id]),
            ", ".join(labelled[each.id]),
            story.day(each.updated_at),
        )
        excerpt = excerpts.get(each.id, "")
        lines.append(story_line(int(each.id), each.name, each.story_type, facts, excerpt))
    st.html("".join(lines))


def _by_story(named: DataFrame) -> dict[int, list[str]]:
    names = defaultdict(list)
    for each in named.itertuples():
        names[each.story_id].append(each.name)
    return names


def _excerpts(texts: DataFrame, found: Found, wanted: StoryFilter) -> dict[int, str]:
    """Where a story other than by its name was found: HTML by story."""
    others = texts[texts["place"] != "name"]
    marked = found.marked(list(others["text"]), wanted)
    excerpts: dict[int, str] = {}
    for each in others.itertuples():
        excerpt = text.excerpt(each.text, marked)
        if excerpt and each.story_id not in excerpts:
            excerpts[each.story_id] = f"<br><small><em>{each.place}:</em> {excerpt}</small>"
    return excerpts
