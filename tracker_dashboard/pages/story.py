"""One story: its texts, comments, tasks, blockers, reviews, code, history and attachments."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd
import streamlit as st
from pandas import DataFrame

from tracker_dashboard import attachments, queries, text
from tracker_dashboard.errors import NotThereError
from tracker_dashboard.parts import csv_button
from tracker_dashboard.session import loaded, rows


def show() -> None:
    """Shows the story that the address names: `?story=ID`."""
    typed = st.query_params.get("story", "")
    st.page_link(
        st.session_state["pages"]["stories"], label="All stories", icon=":material/arrow_back:"
    )
    found = rows(queries.story(int(typed)))[0] if _is_id(typed) else DataFrame()
    if found.empty:
        st.title("No such story")
        st.info(
            "An address ends with `?story=` and an id. There is no story of this one here: it may "
            "have been deleted since, or be in a project that was not loaded."
        )
        return
    _story(int(typed), found.iloc[0])


def _is_id(typed: str) -> bool:
    return re.fullmatch(r"-?[0-9]{1,18}", typed) is not None


def day(moment: Any) -> str:
    """A moment's day, nothing if it is not known."""
    return "" if pd.isna(moment) else f"{moment:%Y-%m-%d}"


def points(estimate: Any) -> str:
    """An estimate in words, nothing if there is none."""
    return "" if pd.isna(estimate) else f"{estimate:g} {'point' if estimate == 1 else 'points'}"


def _minute(moment: Any) -> str:
    return "" if pd.isna(moment) else f"{moment:%Y-%m-%d %H:%M} UTC"


def _known(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _story(story_id: int, story: Any) -> None:
    owners, labels, comments, tasks, blockers, reviews, code, history, attached = rows(
        *(ask([story_id]) for ask in (queries.owner_names, queries.label_names)),
        *(
            ask(story_id)
            for ask in (
                queries.comments,
                queries.tasks,
                queries.blockers,
                queries.reviews,
                queries.code,
                queries.history,
                queries.attachments,
            )
        ),
    )
    st.html(f"<h1>{text.plain(_known(story['name']) or story_id)}</h1>")
    wide, narrow = st.columns([3, 1])
    with narrow:
        _facts(story, owners, labels)
    with wide:
        st.html(text.markdown(_known(story["description"])) or "<p>No description.</p>")
        _tasks(tasks)
        _blockers(blockers)
        _reviews(reviews)
        _code(code)
        _comments(comments, attached, story_id)
        _history(history)


def _facts(story: Any, owners: DataFrame, labels: DataFrame) -> None:
    facts = {
        "Project": _known(story["project_name"]),
        "Type": _known(story["story_type"]),
        "State": _known(story["current_state"]),
        "Estimate": points(story["estimate"]),
        "Priority": _known(story["story_priority"]),
        "Owners": ", ".join(owners["name"]),
        "Requested by": _known(story["requested_by"]),
        "Labels": ", ".join(labels["name"]),
        "Created": _minute(story["created_at"]),
        "Changed": _minute(story["updated_at"]),
        "Accepted": _minute(story["accepted_at"]),
        "Deadline": day(story["deadline"]),
    }
    told = "".join(
        f"<dt><small>{name}</small></dt><dd>{text.plain(fact)}</dd>"
        for name, fact in facts.items()
        if fact
    )
    number = f"#{story['id']}"
    st.html(f"<dl>{told}</dl>{text.link(story['url'], f'{number} in Tracker')}")


def _section(title: str, number: int) -> None:
    st.subheader(f"{title} ({number})")


def _tasks(tasks: DataFrame) -> None:
    if tasks.empty:
        return
    _section("Tasks", len(tasks))
    done = {True: "☑", False: "☐"}
    told = (
        f"<li>{done[task.complete is True]} {text.plain(_known(task.description))}</li>"
        for task in tasks.itertuples()
    )
    st.html(f'<ul style="list-style: none; padding-left: 0">{"".join(told)}</ul>')


def _blockers(blockers: DataFrame) -> None:
    if blockers.empty:
        return
    _section("Blockers", len(blockers))
    for blocker in blockers.itertuples():
        state = "resolved" if blocker.resolved is True else "open"
        about = " · ".join(filter(None, [state, _known(blocker.person), day(blocker.created_at)]))
        st.html(f"{text.markdown(_known(blocker.description))}<small>{text.plain(about)}</small>")


def _reviews(reviews: DataFrame) -> None:
    if reviews.empty:
        return
    _section("Reviews", len(reviews))
    told = (
        " · ".join(
            filter(
                None,
                [
                    _known(review.review_type),
                    _known(review.status),
                    _known(review.reviewer),
                    day(review.updated_at),
                ],
            )
        )
        for review in reviews.itertuples()
    )
    st.html(f"<ul>{''.join(f'<li>{text.plain(each)}</li>' for each in told)}</ul>")


def _code(code: DataFrame) -> None:
    if code.empty:
        return
    _section("Code", len(code))
    told = (
        f"<li>{each.what} {text.link(each.url, _known(each.place))} "
        f"{text.plain(_known(each.status))}</li>"
        for each in code.itertuples()
    )
    st.html(f"<ul>{''.join(told)}</ul>")


def _comments(comments: DataFrame, attached: DataFrame, story_id: int) -> None:
    _section("Comments", len(comments))
    files = _downloaded(story_id)
    for comment in comments.itertuples():
        with st.container(border=True):
            about = f"{_known(comment.author) or 'unknown'} · {_minute(comment.created_at)}"
            st.html(f"<small>{text.plain(about)}</small>{text.markdown(_known(comment.text))}")
            _attachments(attached[attached["comment_id"] == comment.id], files)
    of_none = files[~files["comment_id"].isin(comments["id"])]
    if not of_none.empty:
        _section("Attachments", len(of_none))
        for file in of_none.itertuples():
            _file(file)


def _downloaded(story_id: int) -> DataFrame:
    """The files of a story that were downloaded; without such a table, none."""
    try:
        return rows(queries.attachment_files(story_id))[0]
    except NotThereError:
        return DataFrame({"id": [], "comment_id": []})


def _attachments(attached: DataFrame, files: DataFrame) -> None:
    for each in attached.itertuples():
        downloaded = files[files["id"] == each.id]
        if len(downloaded):
            _file(next(downloaded.itertuples()))
        elif _known(each.link):
            st.html(text.link(each.link, _known(each.filename) or each.link))
        else:
            st.html(
                f"{text.plain(_known(each.filename))} <small>(not downloaded: load with "
                "<code>--attachments DIR</code>)</small>"
            )


def _file(file: Any) -> None:
    name = _known(file.filename) or f"attachment {file.id}"
    try:
        content = attachments.content(loaded().folder, file.path, file.size, file.sha256)
    except attachments.NotShownError as error:
        problem = _known(file.problem) or str(error)
        st.html(f"{text.plain(name)} <small>({text.plain(problem)})</small>")
        return
    if picture := attachments.picture(content):
        st.image(picture, width=480, alt=name)
    st.download_button(
        text.label(name),
        content,
        name,
        "application/octet-stream",
        key=f"file_{file.id}",
        on_click="ignore",
    )


def _history(history: DataFrame) -> None:
    if history.empty:
        return
    _section("History", len(history))
    told = (
        (_minute(each.occurred_at), _known(each.who), _known(each.what))
        for each in history.itertuples()
    )
    st.html(f'<div class="history">{text.table(["When", "Who", "What"], told)}</div>')
    csv_button("Story history", history)
