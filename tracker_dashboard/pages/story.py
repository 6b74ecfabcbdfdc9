"""Story: one story with everything that is known about it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import pandas as pd
import streamlit as st
from pandas import DataFrame

from .. import attachments, text
from ..components import days_text, download, local_day, local_time, show_line, show_title
from ..errors import DashboardError, DatabaseLockedError, MissingTableError
from ..export import as_csv
from ..header import Selection
from ..links import chosen_project, go_to, link, page_url, search_link, story_link
from ..queries import stories as story_queries
from ..queries import story as queries
from ..search_syntax import quote
from ..session import dataset, rows
from ..story_list import state_badge, type_sign
from ..text import Html

_LONG_TITLE = 200
_ADDRESS = "Address in Pivotal Tracker"
_WIDE = ' class="wide"'


def render(selection: Selection) -> None:
    """Show the story that the address names: `?id=ID`."""
    typed = st.query_params.get("id") or st.query_params.get("story", "")
    if not typed:
        # for example, another project was chosen
        go_to(page_url("stories", project=chosen_project()))
    found = rows(queries.story(int(typed)))[0] if _is_id(typed) else DataFrame()
    if found.empty:
        show_title("Story not found")
        st.info(
            "There is no story with this number. It may have been deleted, or it is in a project "
            "that was not loaded. You can also type a part of its text into the search field."
        )
        return
    story = next(found.itertuples())
    _StoryPage(int(typed), story).show()


def _is_id(typed: str) -> bool:
    return re.fullmatch(r"-?[0-9]{1,18}", typed) is not None


def _known(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _optional(query: str) -> DataFrame | None:
    """Return the rows of a query on tables or views that may not have been loaded."""
    try:
        return rows(query)[0]
    except MissingTableError:
        return None
    except DatabaseLockedError:
        raise
    except DashboardError:
        return None  # a view of another version


class _StoryPage:
    """The parts of the page of one story."""

    def __init__(self, story_id: int, story: Any) -> None:
        self._id = story_id
        self._story = story
        self._project = int(story.project_id) if not pd.isna(story.project_id) else None
        self._zone = story.time_zone
        self._has_times = story.date_precision != "day"

    def show(self) -> None:
        """Show all parts."""
        name = _known(self._story.name) or f"#{self._id}"
        st.set_page_config(page_title=f"{' '.join(name.split())[:120]} · Pivotal Tracker")
        owners, labels, comments, tasks, blockers, reviews, code, attached = rows(
            *(make((self._id,)) for make in (story_queries.owner_names, story_queries.label_names)),
            *(
                make(self._id)
                for make in (
                    queries.comments,
                    queries.tasks,
                    queries.blockers,
                    queries.reviews,
                    queries.code,
                    queries.attachments,
                )
            ),
        )
        self._steps()
        long = " long" if len(name) > _LONG_TITLE else ""
        sign = type_sign(self._story.story_type)
        st.html(f'<h1 class="story-title{long}">{sign} {text.isolated(name)}</h1>')
        self._facts(owners, labels)
        st.html(
            text.markdown(_known(self._story.description)) or '<p class="quiet">No description.</p>'
        )
        self._tasks(tasks)
        self._blockers(blockers)
        self._reviews(reviews)
        self._code(code)
        self._comments(comments, attached)
        self._history()

    def _steps(self) -> None:
        """Show previous and next: of the last search if the story is in it, else of the project."""
        results = st.session_state.get("results", [])
        if self._id in results:
            place = results.index(self._id)
            before = results[place - 1] if place else None
            after = results[place + 1] if place + 1 < len(results) else None
            search = dict(st.session_state.get("last_search", {}))
            where = link("stories", f"{place + 1:,} of {len(results):,} found", **search)
        else:
            (found,) = rows(queries.neighbours(self._project or 0, self._id))
            before, after = (
                None if pd.isna(value) else int(value)
                for value in (found["previous_id"].iloc[0], found["next_id"].iloc[0])
            )
            where = Html('<span class="quiet">in the project, by number</span>')
        project = chosen_project()
        steps = [
            link("story", "← Previous", project=project, id=before) if before is not None else "",
            where,
            link("story", "Next →", project=project, id=after) if after is not None else "",
        ]
        with st.container(key="step"):
            st.html(f'<p class="steps">{" &nbsp; ".join(filter(None, steps))}</p>')

    # facts

    def _facts(self, owners: DataFrame, labels: DataFrame) -> None:
        story = self._story
        facts = {
            "Type": self._search(f"type:{story.story_type}", f"{story.story_type}")
            if _known(story.story_type)
            else "",
            "State": self._state(),
            "Points": self._points(),
            "Priority": self._priority(),
            "Owners": self._people("owner", owners["name"]),
            "Requester": self._people("requester", [_known(story.requester)]),
            "Labels": _joined(
                self._search(f"label:{quote(name)}", name) for name in labels["name"]
            ),
            **self._memberships(),
            **self._measures(),
            "Created": self._time(story.created_at),
            "Changed": self._time(story.updated_at),
            "Accepted": self._time(story.accepted_at),
            "Deadline": text.plain(local_day(story.deadline, self._zone)),
            "Project": link("project", text.isolated(story.project_name), project=self._project)
            if _known(story.project_name)
            else "",
            "Number": text.plain(f"#{self._id}"),
            _ADDRESS: text.isolated(_known(story.url)) if _known(story.url) else "",
        }
        items = "".join(
            f"<div{_WIDE if name == _ADDRESS else ''}><dt>{name}</dt><dd>{fact}</dd></div>"
            for name, fact in facts.items()
            if fact
        )
        st.html(f'<dl class="facts">{items}</dl>')

    def _state(self) -> Html:
        state = _known(self._story.current_state)
        return self._search(f"state:{state}", state_badge(state)) if state else Html("")

    def _points(self) -> Html:
        estimate = self._story.estimate
        return (
            Html("")
            if pd.isna(estimate)
            else self._search(f"estimate:{estimate:g}", f"{estimate:g}")
        )

    def _priority(self) -> Html:
        priority = _known(self._story.story_priority)
        known = priority and priority != "none"
        return self._search(f"priority:{priority}", priority) if known else Html("")

    def _time(self, moment: Any) -> Html:
        return local_time(moment, self._zone, self._has_times)

    def _search(self, query: str, shown: str) -> Html:
        return search_link(query, shown, self._project)

    def _people(self, field: str, names: Iterable[str]) -> Html:
        return _joined(self._search(f"{field}:{quote(name)}", name) for name in names if name)

    def _memberships(self) -> dict[str, Html]:
        """Return the epics, the iteration, the release and the followers."""
        epics, iteration, releases, followers = (
            _optional(make(self._id))
            for make in (queries.epics, queries.iteration, queries.releases, queries.followers)
        )
        facts = {}
        if epics is not None:
            facts["Epics"] = _joined(
                self._search(f"epic:{quote(name)}", name) for name in epics["name"]
            )
        if iteration is not None and iteration["iteration_number"].notna().any():
            number = int(iteration["iteration_number"].iloc[0])
            facts["Iteration"] = link(
                "iteration", f"Iteration {number}", number=number, project=self._project
            )
        if releases is not None:
            facts["Release"] = _joined(
                story_link(int(row.id), row.name, chosen_project())
                for row in releases.head(1).itertuples()
            )
        if followers is not None:
            facts["Followers"] = self._people("follower", followers["name"])
        return facts

    def _measures(self) -> dict[str, Html]:
        measured = _optional(queries.measures(self._id))
        if measured is None or measured.empty:
            return {}
        row = next(measured.itertuples())
        rejections = "" if pd.isna(row.rejection_count) else f"{int(row.rejection_count)}"
        return {
            "Cycle time": Html(text.plain(days_text(row.cycle_time_hours))),
            "Lead time": Html(text.plain(days_text(row.lead_time_hours))),
            "Rejections": Html(rejections),
        }

    # what belongs to the story

    def _tasks(self, tasks: DataFrame) -> None:
        if tasks.empty:
            return
        done = int(tasks["complete"].fillna(value=False).astype(bool).sum())
        items = "".join(
            f"<li>{'☑' if task.complete is True else '☐'} "
            f'<span class="visually-hidden">{"done" if task.complete is True else "open"}:</span> '
            f"{text.isolated(_known(task.description))}</li>"
            for task in tasks.itertuples()
        )
        _section(f"Tasks ({done} of {len(tasks)} done)", f'<ul class="checklist">{items}</ul>')

    def _blockers(self, blockers: DataFrame) -> None:
        if blockers.empty:
            return
        items = []
        for blocker in blockers.itertuples():
            about = [
                "resolved" if blocker.resolved is True else "open",
                text.isolated(_known(blocker.person)),
                self._time(blocker.created_at),
            ]
            items.append(
                f"{text.markdown(_known(blocker.description))}"
                f'<p class="quiet">{" · ".join(filter(None, about))}</p>'
            )
        _section(f"Blockers ({len(blockers)})", "".join(items))

    def _reviews(self, reviews: DataFrame) -> None:
        if reviews.empty:
            return
        items = (
            " · ".join(
                filter(
                    None,
                    [
                        text.isolated(_known(review.review_type)),
                        text.plain(_known(review.status)),
                        text.isolated(_known(review.reviewer)),
                        self._time(review.updated_at),
                    ],
                )
            )
            for review in reviews.itertuples()
        )
        _section(f"Reviews ({len(reviews)})", f"<ul>{''.join(f'<li>{i}</li>' for i in items)}</ul>")

    def _code(self, code: DataFrame) -> None:
        if code.empty:
            return
        items = "".join(
            f"<li>{row.kind} {text.external_link(row.url, _known(row.name))} "
            f"{text.plain(_known(row.status))}</li>"
            for row in code.itertuples()
        )
        _section(f"Code ({len(code)})", f"<ul>{items}</ul>")

    def _comments(self, comments: DataFrame, attached: DataFrame) -> None:
        st.html(f"<h2>Comments ({len(comments)})</h2>")
        files = _optional(queries.attachment_files(self._id))
        if files is None:
            files = DataFrame({"id": [], "comment_id": []})
        for comment in comments.itertuples():
            about = [
                text.isolated(_known(comment.author) or "unknown"),
                self._time(comment.created_at),
            ]
            st.html(
                f'<div class="comment"><p class="quiet">{" · ".join(filter(None, about))}</p>'
                f"{text.markdown(_known(comment.text))}"
                f"{_attached_links(attached[attached['comment_id'] == comment.id], files)}</div>"
            )
            for file in files[files["comment_id"] == comment.id].itertuples():
                _file(file)
        others = files[~files["comment_id"].isin(comments["id"])]
        if not others.empty:
            st.html(f"<h2>Attachments ({len(others)})</h2>")
            for file in others.itertuples():
                _file(file)

    def _history(self) -> None:
        history = _optional(queries.history(self._id))
        if history is None or history.empty:
            if _known(self._story.source):
                show_line(
                    "The file that this story was loaded from has no history: its cycle time and "
                    "rejections, and who changed it, are unknown."
                )
            return
        shown = [
            (
                self._time(row.occurred_at),
                _known(row.who),
                without_name(_known(row.what), _known(row.who)),
            )
            for row in history.itertuples()
        ]
        _section(
            f"History ({len(history)})",
            text.table(["When", "Who", "What"], shown),
        )
        if self._has_times:
            zone = self._zone if isinstance(self._zone, str) and self._zone else "UTC"
            show_line(f"Times are those of {zone}; hover over one to see UTC.")
        download("History as CSV", "story_history", lambda: as_csv(history), "csv", "text/csv")


def without_name(what: str, who: str) -> str:
    """Return what happened, without the name of the person at its start."""
    return what[len(who) :].lstrip() if who and what.startswith(f"{who} ") else what


def _joined(items: Iterable[str]) -> Html:
    return Html(", ".join(items))


def _section(title: str, content: str) -> None:
    st.html(f"<h2>{text.plain(title)}</h2>{content}")


def _attached_links(attached: DataFrame, files: DataFrame) -> str:
    """Link to Google documents, and names of files that were not downloaded."""
    items = []
    for row in attached.itertuples():
        if (files["id"] == row.id).any():
            continue
        name = _known(row.filename)
        if _known(row.link):
            items.append(f"<p>{text.external_link(row.link, name or row.link)}</p>")
        else:
            items.append(
                f'<p>{text.isolated(name)} <span class="quiet">(not downloaded: load with '
                "<code>--attachments DIR</code>)</span></p>"
            )
    return "".join(items)


def _file(file: Any) -> None:
    name = _known(file.filename) or f"attachment {file.id}"
    try:
        content = attachments.read_file(dataset().folder, file.path, file.size, file.sha256)
    except attachments.AttachmentUnavailableError as error:
        problem = _known(file.problem) or str(error)
        st.html(f'{text.isolated(name)} <span class="quiet">({text.plain(problem)})</span>')
        return
    if image := attachments.open_image(content):
        st.image(image, width=480, alt=name)
    st.download_button(
        text.label(name),
        content,
        name,
        "application/octet-stream",
        key=f"file_{file.id}",
        on_click="ignore",
    )
