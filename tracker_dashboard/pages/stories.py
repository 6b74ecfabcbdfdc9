"""Stories: search with Pivotal Tracker's syntax, sorting, and export of everything found."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st
from pandas import DataFrame

from .. import controls, export, session, text
from ..components import download, show_title
from ..errors import MissingTableError
from ..full_text import IndexUnavailableError
from ..header import Selection
from ..links import chosen_project, go_to, link, page_url
from ..queries import projects as project_queries
from ..queries import stories as story_queries
from ..queries.build import id_list
from ..search import RELEVANCE, SORTS, SearchResult, can_be_indexed, suggestion
from ..search_syntax import Query, parse, story_reference
from ..session import rows
from ..story_list import Details, details, story_list

PAGE_SIZE = 25

_SORT_NAMES = {
    RELEVANCE: "Best match",
    "updated": "Last changed",
    "created": "Newest",
    "accepted": "Last accepted",
    "name": "Name",
    "points": "Points",
    "id": "Number",
}


def render(selection: Selection) -> None:
    """Show the page."""
    typed = st.query_params.get("q", "")
    _open_referenced_story(typed)
    query = parse(typed)
    heading, sorting = st.columns([3, 1], vertical_alignment="bottom")
    with heading:
        show_title("Stories")
    with sorting:
        sort = controls.choice_param(
            "Sort by",
            "sort",
            SORTS if query.words() else SORTS[1:],
            _default_sort(query),
            _SORT_NAMES.__getitem__,
        )
    result = session.search_stories(typed, selection.scope.projects, sort)
    _remember(typed, sort, result)
    for note in query.notes:
        st.warning(text.label(note))
    _count(typed, query, result, selection)
    if result.story_ids:
        _list(result, query, selection)


def prepare(typed: str, sort: str, projects: tuple[int, ...]) -> None:
    """Read the first page of what a search finds.

    Args:
        typed: The search.
        sort: The name of the sorting in the address; empty for the default.
        projects: The ids of the projects; none for all projects.
    """
    query = parse(typed)
    if story_reference(typed) is None:
        found = session.search_stories(
            typed, projects, sort if sort in SORTS else _default_sort(query)
        )
        _read_listed(found.story_ids[:PAGE_SIZE], query)


def _default_sort(query: Query) -> str:
    return RELEVANCE if query.words() else "updated"


def _read_listed(ids: Sequence[int], query: Query) -> tuple[DataFrame, DataFrame | None, Details]:
    """Read listed stories, their texts if the search has words, and their labels and owners."""
    listed = id_list(ids)
    if query.words():
        stories, texts = rows(story_queries.stories(listed), story_queries.texts(listed))
        return stories, texts, details(ids)
    return rows(story_queries.stories(listed))[0], None, details(ids)


def _open_referenced_story(typed: str) -> None:
    """Open the story if the search is only its number or address."""
    number = story_reference(typed)
    if number is not None and len(rows(story_queries.stories((number,)))[0]):
        go_to(page_url("story", id=number))


def _remember(typed: str, sort: str, result: SearchResult) -> None:
    """Keep the search for the menu, and its results for Previous and Next on the Story page."""
    st.session_state["last_search"] = {
        name: st.query_params[name]
        for name in ("q", "sort", "page", "project")
        if name in st.query_params
    }
    st.session_state["results"] = result.story_ids


def _count(typed: str, query: Query, result: SearchResult, selection: Selection) -> None:
    count = len(result.story_ids)
    how = f" · {_search_kind(query, result)}" if query.words() else ""
    shown = text.plural(count, "story") if count else "No matching stories"
    st.html(f'<p role="status"><strong>{shown}</strong><span class="quiet">{how}</span></p>')
    if not count:
        _help_with_nothing(typed, query, result, selection)


def _search_kind(query: Query, result: SearchResult) -> str:
    if result.index is not None:
        return "full-text search: words in any English form"
    if all(word.is_phrase for word in query.words()):
        return "exact text"
    try:
        session.index()
    except IndexUnavailableError as error:
        return f"substring search: {text.plain(error)}"
    if not can_be_indexed(query):
        return "substring search: this script does not separate words by spaces"
    return "substring search: no story has all of these words"


def _help_with_nothing(
    typed: str, query: Query, result: SearchResult, selection: Selection
) -> None:
    lines = []
    try:
        index = session.index()
    except IndexUnavailableError:
        index = None
    try:
        (names,) = rows(project_queries.search_names())
    except MissingTableError:
        names = DataFrame({"field": [], "name": []})
    better = suggestion(typed, query, index, names)
    given = chosen_project()
    if better:
        lines.append(
            f"Did you mean {link('stories', text.isolated(better), q=better, project=given)}?"
        )
    if selection.project is not None:
        everywhere = session.search_stories(typed)
        if everywhere.story_ids:
            found = text.plural(len(everywhere.story_ids), "story")
            lines.append(f"{link('stories', f'{found} in all projects', q=typed)} match.")
    number = story_reference(typed)
    lines.append(
        "Try fewer or other words. The question mark explains what you can type."
        if number is None
        else f"There is no story #{number}. It may have been deleted, or it is in a project that "
        "was not loaded."
    )
    st.html("".join(f"<p>{line}</p>" for line in lines))


def _list(result: SearchResult, query: Query, selection: Selection) -> None:
    pages = -(-len(result.story_ids) // PAGE_SIZE)
    place = st.container()
    page = controls.page_param(pages)
    ids = result.story_ids[PAGE_SIZE * (page - 1) : PAGE_SIZE * page]
    stories, texts, known = _read_listed(ids, query)
    ordered = stories.set_index("id", drop=False).loc[ids]
    excerpts = {} if texts is None else _excerpts(texts, result, query)
    with place:
        st.html(
            story_list(
                ordered,
                known,
                chosen_project(),
                excerpts,
                show_project=selection.project is None and len(selection.projects) > 1,
            )
        )
    with st.container(horizontal=True):
        count = text.plural(len(result.story_ids), "story")
        download(
            f"{count} as CSV", "stories", lambda: export.as_csv(_table(result)), "csv", "text/csv"
        )
        download(
            f"{count} as Excel",
            "stories",
            lambda: export.as_xlsx(_table(result), "Stories"),
            "xlsx",
            export.XLSX,
        )


def _excerpts(texts: DataFrame, result: SearchResult, query: Query) -> dict[int, str]:
    """Return HTML that shows where a word was found in a text other than the name, by story."""
    others = texts[~texts["place"].isin(["name", "label"])]
    pattern = result.highlight(list(others["text"]), query)
    excerpts: dict[int, str] = {}
    for row in others.itertuples():
        if row.story_id in excerpts:
            continue
        found = text.excerpt(row.text, pattern)
        if found:
            excerpts[row.story_id] = (
                f'<span class="quiet" dir="auto"><em>{row.place}:</em> {found}</span>'
            )
    return excerpts


def _table(result: SearchResult) -> DataFrame:
    """Return everything found, with labels and owners, in the order of the list."""
    ids = result.story_ids
    try:
        (stories,) = rows(story_queries.export(id_list(ids)))
    except MissingTableError:
        (stories,) = rows(story_queries.export(id_list(ids), with_iterations=False))
    known = details(ids)
    table = stories.set_index("id", drop=False).loc[ids].reset_index(drop=True)
    table.insert(2, "labels", [", ".join(known.labels.get(number, ())) for number in table["id"]])
    owners = [", ".join(name for name, _ in known.owners.get(number, ())) for number in table["id"]]
    table.insert(3, "owners", owners)
    return table
