"""What several pages show: charts with their data, links to the stories behind them, messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st
from pandas import DataFrame

from . import charts, export, text
from .charts import Chart
from .errors import DashboardError, DatabaseLockedError, MissingTableError, MissingViewError
from .links import ALL, link
from .queries import stories as story_queries
from .queries.build import id_list
from .session import rows, search_stories
from .story_list import story_list

PREVIEW_STORIES = 8
"""How many stories are listed below a chart."""

Selection = Mapping[str, Any]
"""The fields of the clicked part of a chart."""

Part = Callable[[], object]
"""Shows a part of a page."""

_COLUMN_FORMATS = {
    "rejection_rate": st.column_config.NumberColumn(format="percent"),
    "volatility": st.column_config.NumberColumn(format="percent"),
}


def query_views(*queries: str) -> list[DataFrame]:
    """Return the rows of queries on views.

    Raises:
        MissingViewError: A view is missing.
        DatabaseLockedError: A load is writing.
        DashboardError: The database rejects a query, for example because a column is missing.
    """
    try:
        return rows(*queries)
    except MissingTableError as error:
        raise MissingViewError(str(error)) from error
    except DatabaseLockedError:
        raise
    except DashboardError as error:
        raise DashboardError(
            f"{error}. The views may come from another version of the command: run the command "
            "again to rebuild them."
        ) from error


def of_project(frame: DataFrame, project: int | None) -> DataFrame:
    """Return the rows of one project, or all."""
    return frame if project is None else frame[frame["project_id"] == project]


def show_chart(
    title: str,
    chart: Chart,
    table: DataFrame,
    summary: str,
    search_for: Callable[[Selection], str] | None = None,
    project: int | None = None,
    missing: str = "",
) -> None:
    """Show a chart, a sentence about it, the stories behind a clicked part, and its data.

    Args:
        title: The heading.
        chart: The chart.
        table: The data to show and download.
        summary: What the chart says, in words.
        search_for: Returns the search that finds the stories behind a clicked part.
        project: The project in which they are.
        missing: Why there is nothing to show, if the table is empty.
    """
    if table.empty:
        section(title, missing or "There is nothing to show for this project and period.")
        return
    _chart(title, chart, table, summary, search_for, project)


def show_side_by_side(left: Part, right: Part) -> None:
    """Show two parts of a page in two columns."""
    for column, show in zip(st.columns(2), (left, right), strict=True):
        with column:
            show()


def show_title(title: str) -> None:
    """Show the title of a page."""
    st.html(f"<h1>{text.isolated(title)}</h1>")


def section(title: str, *lines: str, content: str = "") -> None:
    """Show the heading of a part of a page, lines of text, and HTML below them.

    One element of HTML takes the browser a fraction of the time of `st.header` and `st.caption`.
    """
    st.html(f"<h2>{text.isolated(title)}</h2>{''.join(map(_quiet, lines))}{content}")


def show_line(line: str) -> None:
    """Show a line of text that is less important than the rest."""
    st.html(_quiet(line))


def _quiet(line: str) -> str:
    return f'<p class="quiet">{line if isinstance(line, text.Html) else text.plain(line)}</p>'


@st.fragment
def _chart(
    title: str,
    chart: Chart,
    table: DataFrame,
    summary: str,
    search_for: Callable[[Selection], str] | None,
    project: int | None,
) -> None:
    key = title.lower().replace(" ", "_")
    hint = f" Click a {chart.clicked} to see its stories." if search_for else ""
    section(title, summary + hint)
    options: dict[str, Any] = {"on_select": "rerun"} if search_for else {}
    event = st.vega_lite_chart(
        chart.rows,
        chart.spec,
        width="stretch",
        alt=f"{title}. {summary}",
        key=f"{key}_chart",
        **options,
    )
    if search_for:
        _stories_behind(event, search_for, project)
    _expander(
        "Data and downloads", f"{key}_data", lambda: _data_and_downloads(title, key, chart, table)
    )


@st.fragment
def show_when_opened(title: str, key: str, content: Callable[[], object]) -> None:
    """Show an expander whose content is made only when a person opens it.

    Args:
        title: What the expander says.
        key: A name that no other expander of the page has.
        content: Shows the content.
    """
    _expander(title, key, content)


def _expander(title: str, key: str, content: Callable[[], object]) -> None:
    """Show an expander that reruns the fragment around it when it is opened."""
    panel = st.expander(title, key=key, on_change="rerun")
    if panel.open:
        with panel:
            content()


def _stories_behind(
    event: Any, search_for: Callable[[Selection], str], project: int | None
) -> None:
    selected = (event.selection.get("pick") if event else None) or []
    if not selected:
        return
    query = search_for(selected[0])
    found = search_stories(query, (project,) if project is not None else (), "accepted")
    ids = found.story_ids[:PREVIEW_STORIES]
    (stories,) = rows(story_queries.stories(id_list(ids)))
    ordered = stories.set_index("id", drop=False).loc[ids]
    count = text.plural(len(found.story_ids), "story")
    # charts are on pages that show all projects only if these were chosen
    kept = project or ALL
    opened = link("stories", f"Open {count} in Stories", q=query, project=kept)
    st.html(
        f'<p role="status">{opened} <span class="quiet">{text.plain(query)}</span></p>'
        f"{story_list(ordered, project=kept)}"
    )


def _data_and_downloads(title: str, key: str, chart: Chart, table: DataFrame) -> None:
    # above the table, which moves what is below it when it is drawn
    with st.container(horizontal=True):
        download("CSV", key, lambda: export.as_csv(table), "csv", "text/csv")
        download("PNG", key, lambda: export.as_png(chart.standalone()), "png", "image/png")
        download("SVG", key, lambda: export.as_svg(chart.standalone()), "svg", "image/svg+xml")
    show_table(title, table, with_download=False, readable=True)


def show_table(
    title: str, table: DataFrame, with_download: bool = True, readable: bool = False
) -> None:
    """Show a table to sort and look around in.

    Args:
        title: What it shows.
        table: The rows.
        with_download: Whether to show a button to download it as CSV.
        readable: Whether to show names of columns with spaces instead of as in the database.
    """
    config = {name: _COLUMN_FORMATS.get(name) for name in table.columns if name in _COLUMN_FORMATS}
    shown = table
    if readable:
        shown = table.rename(columns=lambda name: str(name).replace("_", " "))
        config = {name.replace("_", " "): column for name, column in config.items()}
    if with_download:
        key = title.lower().replace(" ", "_")
        download("CSV", key, lambda: export.as_csv(table), "csv", "text/csv")
    st.dataframe(shown, hide_index=True, width="stretch", alt=title, column_config=config)


@dataclass(frozen=True)
class Change:
    """How a figure compares with another one.

    Attributes:
        said: The difference in words.
        difference: Its sign decides where the arrow points, and whether it is good news.
        falls_if_good: Whether a lower figure is better.
        is_neutral: Whether it is neither good nor bad news.
    """

    said: str
    difference: float
    falls_if_good: bool = False
    is_neutral: bool = False


def figure(
    label: str,
    value: str,
    *lines: str,
    change: Change | None = None,
    trend: Sequence[float] = (),
    trend_label: str = "",
) -> str:
    """Return HTML of a figure; `st.metric` takes the browser many times as long.

    Args:
        label: What it is.
        value: Its value, in words.
        lines: What is said about it; `text.Html` is inserted as it is, empty lines are left out.
        change: How it compares with another one.
        trend: Values for a small chart, the oldest first.
        trend_label: What the small chart shows.
    """
    parts = [f'<p class="figure-label">{text.plain(label)}</p>']
    parts.append(f'<p class="figure-value">{text.plain(value)}</p>')
    if change:
        is_good = (change.difference < 0) == change.falls_if_good
        news = "" if change.is_neutral or not change.difference else " good" if is_good else " bad"
        arrow = "↑ " if change.difference > 0 else "↓ " if change.difference < 0 else ""
        parts.append(f'<p class="change{news}">{arrow}{text.plain(change.said)}</p>')
    parts.append(charts.sparkline(trend, trend_label))
    parts += map(_quiet, filter(None, lines))
    return f'<div class="figure">{"".join(parts)}</div>'


def show_figures(*figures: str) -> None:
    """Show figures side by side."""
    st.html(f'<div class="figures">{"".join(figures)}</div>')


def download(label: str, key: str, content: Callable[[], bytes], extension: str, mime: str) -> None:
    """Show a button whose file is made when it is clicked."""
    st.download_button(
        label,
        content,
        f"{key}.{extension}",
        mime,
        key=f"{key}_{extension}",
        on_click="ignore",
        icon=":material/download:",
        type="tertiary",
    )


def reason(value: Any) -> str:
    """Return the reason why a metric is unknown, as the dashboard words it; empty without one."""
    return value.replace("no transitions", "no history of states") if isinstance(value, str) else ""


def note_missing_history(has_transitions: bool) -> None:
    """Say what a project without the history of states cannot show."""
    if not has_transitions:
        show_line(
            "This project has no history of states, like every project from a CSV export. So it is "
            "unknown when stories were started, how long they took from then on, and which ones "
            "were rejected."
        )


def local_day(moment: Any, time_zone: Any) -> str:
    """Return the day of a moment in a time zone, empty if it is unknown."""
    if pd.isna(moment):
        return ""
    return text.day(_in_zone(moment, time_zone))


def expected_day(moment: Any, time_zone: Any) -> str:
    """Return the day of a projected completion, empty if it is unknown.

    The forecast gives days, as midnight in UTC; the server gives times.
    """
    if pd.isna(moment):
        return ""
    in_utc = _in_zone(moment, "UTC")
    return text.day(in_utc if in_utc == in_utc.normalize() else _in_zone(moment, time_zone))


def local_time(moment: Any, time_zone: Any, has_time: bool = True) -> text.Html:
    """Return HTML of a moment in a time zone, with UTC on hover."""
    if pd.isna(moment):
        return text.Html("")
    if not has_time:
        return text.Html(text.day(moment))
    local = _in_zone(moment, time_zone)
    return text.Html(
        f'<time datetime="{moment:%Y-%m-%dT%H:%M:%SZ}" title="{moment:%Y-%m-%d %H:%M:%S} UTC">'
        f"{text.day(local)}, {local:%H:%M}</time>"
    )


def _in_zone(moment: Any, time_zone: Any) -> Any:
    moment = moment if moment.tzinfo else moment.tz_localize("UTC")
    if not isinstance(time_zone, str) or not time_zone:
        return moment.tz_convert("UTC")
    try:
        return moment.tz_convert(time_zone)
    except (KeyError, ValueError):
        return moment.tz_convert("UTC")


def days_text(hours: Any) -> str:
    """Return a duration in days, or in hours if it is short; empty if it is unknown."""
    if pd.isna(hours):
        return ""
    hours = float(hours)
    if hours < 48:
        return f"{hours:.0f} {'hour' if round(hours) == 1 else 'hours'}"
    return f"{hours / 24:.1f} days"
