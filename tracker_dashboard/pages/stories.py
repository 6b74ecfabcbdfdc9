"""Stories: search, filters, and a list of links."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import streamlit as st
from pandas import DataFrame

from tracker_dashboard import queries, text
from tracker_dashboard.pages import story
from tracker_dashboard.parts import (
    choose_days,
    choose_projects,
    csv_button,
    stop_if_empty,
    story_link,
)
from tracker_dashboard.queries import Scope, StoryFilter
from tracker_dashboard.session import rows


def show() -> None:
    """Shows the page."""
    st.title("Stories")
    wanted = _choose()
    _list(wanted)


def _choose() -> StoryFilter:
    """Asks which stories are wanted; every answer stands in the address."""
    projects, labels, owners = rows(queries.projects(), queries.labels(), queries.owners())
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
    page = max(int(st.session_state.get("page", 1) or 1), 1)
    (listed,) = rows(queries.story_list(wanted, page))
    if listed.empty and page > 1:
        # a narrower filter has fewer pages
        page = 1
        (listed,) = rows(queries.story_list(wanted))
    if listed.empty:
        st.info("No story is like that. Fewer words or filters find more.")
        return
    found = int(listed["found"].iloc[0])
    st.caption(f"{found:,} {'story' if found == 1 else 'stories'}")
    _rows(listed, wanted)
    pages = -(-found // queries.PAGE)
    if pages > 1:
        st.pagination(pages, key="page", bind="query-params")
    csv_button("Stories on this page", listed.drop(columns="found"))


def _rows(listed: DataFrame, wanted: StoryFilter) -> None:
    ids = [int(number) for number in listed["id"]]
    asked = [queries.owner_names(ids), queries.label_names(ids)]
    if wanted.words:
        asked.append(queries.texts(ids))
    owners, labels, *texts = rows(*asked)
    owned, labelled = _by_story(owners), _by_story(labels)
    found = _excerpts(texts[0], wanted.words) if texts else {}
    for each in listed.itertuples():
        story_link(int(each.id), each.name, each.story_type)
        facts = (
            each.project_name,
            each.story_type,
            each.current_state,
            story.points(each.estimate),
            ", ".join(owned[each.id]),
            ", ".join(labelled[each.id]),
            story.day(each.updated_at),
        )
        line = " · ".join(text.plain(fact) for fact in facts if isinstance(fact, str) and fact)
        st.html(f"<small>{line}</small>{found.get(each.id, '')}")


def _by_story(named: DataFrame) -> dict[int, list[str]]:
    names = defaultdict(list)
    for each in named.itertuples():
        names[each.story_id].append(each.name)
    return names


def _excerpts(texts: DataFrame, words: tuple[str, ...]) -> dict[int, str]:
    """Where a story other than by its name was found: HTML by story."""
    found: dict[int, str] = {}
    for each in texts.itertuples():
        excerpt = text.excerpt(each.text, words) if each.place != "name" else None
        if excerpt and each.story_id not in found:
            found[each.story_id] = f"<br><small><em>{each.place}:</em> {excerpt}</small>"
    return found
