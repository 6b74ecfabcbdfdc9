"""What several pages have in common: which projects and days, a chart with its table, a link."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import date
from typing import Any

import streamlit as st
from pandas import DataFrame, to_datetime
from sqlglot import exp

from . import queries, text
from .charts import Chart
from .errors import BusyError, DashboardError, NotThereError
from .queries import MIDNIGHTS_LATER, Scope
from .session import rows

MOST_PROJECTS = 6
"""So many projects are charted together as long as nobody chose some."""

MOST_SHOWN = 50
"""So many rows stand beside a chart."""

_SIGNS = {"feature": "★", "bug": "●", "chore": "⚙", "release": "⚑"}


def days(frame: DataFrame, column: str) -> DataFrame:
    """The frame with a column of moments made days.

    The moments are midnights: see `MIDNIGHTS_LATER`.
    """
    nearest = to_datetime(frame[column], utc=True) + MIDNIGHTS_LATER
    return frame.assign(**{column: nearest.dt.strftime("%Y-%m-%d")})


def choose_scope(*, with_days: bool = True) -> Scope:
    """Asks in the sidebar for projects and a span of days; both stand in the address.

    Args:
        with_days: Whether the page is about days at all.
    """
    every = rows(queries.projects())[0]
    stop_if_empty(every)
    with st.sidebar:
        projects = choose_projects(every, f"The {MOST_PROJECTS} with the latest work")
        since, until = choose_days() if with_days else (None, None)
    if not projects and len(every) > MOST_PROJECTS:
        st.caption(
            f"The {MOST_PROJECTS} of {len(every):,} projects with the latest work; choose "
            "others in the sidebar."
        )
    return Scope(projects or latest(every), since, until)


def keep_scope() -> None:
    """Keeps the projects and days of a link for the next page, also where one between has none.

    Streamlit forgets the value of a widget that a page does not have, unless the code set it.
    """
    for key in ("project", "from", "until"):
        if key in st.session_state:
            st.session_state[key] = st.session_state[key]


def latest(projects: DataFrame) -> tuple[int, ...]:
    """Those to chart as long as nobody chose some."""
    return tuple(int(each) for each in projects["id"][:MOST_PROJECTS])


def stop_if_empty(projects: DataFrame) -> None:
    """Ends the page where there is no project, saying what to do."""
    if projects.empty:
        st.info(
            "This workspace has no projects, so there is nothing to show. If it should have some, "
            "look at what the token sees: `python pivotal_tracker_pipeline.py --check`."
        )
        st.stop()


def choose_projects(every: DataFrame, placeholder: str) -> tuple[int, ...]:
    """Asks for projects."""
    names = {f"{each.name} ({each.id})": int(each.id) for each in every.itertuples()}
    chosen = st.multiselect(
        "Projects",
        list(names),
        key="project",
        placeholder=placeholder,
        bind="query-params",
    )
    return tuple(names[each] for each in chosen)


def choose_days() -> tuple[date | None, date | None]:
    """Asks for the first and the last day."""
    widget: dict[str, Any] = {
        "value": None,
        "min_value": date(2000, 1, 1),
        "max_value": date(2100, 1, 1),
        "format": "YYYY-MM-DD",
        "bind": "query-params",
    }
    return (
        st.date_input("From", key="from", **widget),
        st.date_input("Until", key="until", **widget),
    )


def show_chart(
    title: str, chart: Chart, table: DataFrame, shares: Collection[str] = (), needs: str = ""
) -> None:
    """A chart, beside it a table of what it shows, and the table as CSV.

    Args:
        title: What is shown.
        chart: The chart.
        table: The rows to give beside it.
        shares: The columns in it that are parts of one.
        needs: What it is reckoned from, which not every server or file has.
    """
    st.subheader(title)
    if table.empty:
        reckoned = f" It is reckoned from {needs}, which may not have been loaded." if needs else ""
        st.info(f"Nothing here for these projects and days.{reckoned}")
        return
    drawn, beside = st.columns([3, 2])
    drawn.vega_lite_chart(chart.rows, chart.spec, width="stretch", alt=title)
    with beside:
        show_first_rows(title, table, shares)


def show_first_rows(title: str, table: DataFrame, shares: Collection[str] = ()) -> None:
    """The first rows of a table in plain HTML, and a button that gives all of them as CSV.

    A page with these is there sooner than with Streamlit's own, which are for looking around in.

    Args:
        title: What is shown.
        table: The rows.
        shares: The columns in it that are parts of one.
    """
    shown = table.head(MOST_SHOWN).astype(object)
    shown = shown.where(shown.notna(), None)
    rows_of_it = text.table(list(shown.columns), shown.itertuples(index=False), shares)
    st.html(text.scrolled(f"{title}: table", rows_of_it))
    if len(table) > len(shown):
        st.caption(f"The first {len(shown)} of {len(table):,} rows; the CSV has all.")
    csv_button(title, table)


def show_table(title: str, table: DataFrame) -> None:
    """A table to look around in, and a button that gives it as CSV."""
    st.dataframe(table, hide_index=True, width="stretch", alt=title)
    csv_button(title, table)


def csv_button(title: str, table: DataFrame) -> None:
    """Gives a table as CSV."""
    name = title.lower().replace(" ", "_")
    st.download_button(
        "CSV",
        table.to_csv(index=False).encode(),
        f"{name}.csv",
        "text/csv",
        key=f"csv_{name}",
        on_click="ignore",
        help=f"{title}: the table as a file",
        icon=":material/download:",
    )


def from_views(*asked: exp.Query) -> list[DataFrame]:
    """Rows of views; where there are none, says how to get them and ends the page.

    Raises:
        BusyError: A load is writing.
        DashboardError: The database refuses a query, as it does where a column is missing.
    """
    try:
        return rows(*asked)
    except NotThereError:
        st.info(
            "This page reads the views that the command puts beside the tables, and they are not "
            "in this dataset: it was loaded with `--no-views`, with `--resource` and not all that "
            "they need, or by an earlier version. Run `python pivotal_tracker_pipeline.py` without "
            "these, and they are here. Stories and Inspect need none."
        )
        st.stop()
    except BusyError:
        raise
    except DashboardError as error:
        raise DashboardError(
            f"{error}. If another version of the command loaded this dataset, its views may be "
            "others: the command makes them anew when it is run."
        ) from error


def story_line(
    story_id: int, name: Any, story_type: Any, facts: Iterable[Any], more: str = ""
) -> str:
    """HTML of a story in a list: a link to its page, and below it some facts.

    The link opens the page anew. Where Streamlit changes pages by itself, it takes the address of
    the story for that of the list when a person goes back, and search and filters are lost.

    Args:
        story_id: The story's id.
        name: Its name.
        story_type: Its type.
        facts: Those that are texts are shown.
        more: HTML to show after them.
    """
    shown = name if isinstance(name, str) and name.strip() else f"#{story_id}"
    line = " · ".join(text.plain(fact) for fact in facts if isinstance(fact, str) and fact)
    return (
        f"<p>{_SIGNS.get(story_type, '◇')} "
        f'<a href="story?story={story_id}">{text.plain(shown)}</a><br>'
        f"<small>{line}</small>{more}</p>"
    )
