"""The frame around the pages: which there are, and what to do when there is nothing to show."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator

import streamlit as st
from PIL import Image
from sqlglot import exp

from . import queries, session, text
from .errors import BusyError, DashboardError, NothingLoadedError, NotThereError
from .pages import flow, inspect, overview, progress, stories, story
from .parts import keep_scope, latest
from .queries import Scope

# Streamlit looks for garbage after each page: what is imported by now is none
gc.freeze()

_PAGES: tuple[tuple[str, str, str, Callable[[], None]], ...] = (
    ("overview", "Overview", ":material/monitoring:", overview.show),
    ("flow", "Flow", ":material/stacked_line_chart:", flow.show),
    ("progress", "Epics and releases", ":material/flag:", progress.show),
    ("stories", "Stories", ":material/search:", stories.show),
    ("inspect", "Inspect", ":material/database:", inspect.show),
)

_ICON = Image.new("RGB", (32, 32), "#e0a21b")
"""One of Streamlit's own would be fetched from elsewhere."""

_STYLE = """
<style>
[data-testid="stHtml"] a { color: inherit; text-decoration: underline; }
[data-testid="stHtml"] dd { margin: 0 0 0.6rem 0; }
[data-testid="stHtml"] td, [data-testid="stHtml"] th {
    padding: 0.15rem 0.8rem 0.15rem 0; text-align: left; vertical-align: top;
    overflow-wrap: normal;
}
[data-testid="stHtml"] { overflow-wrap: anywhere; }
[data-testid="stHtml"] p { margin: 0 0 0.8rem 0; }
[data-testid="stHtml"] pre { overflow-x: auto; }
[data-testid="stHtml"] .history td:first-child { white-space: nowrap; }
[data-testid="stHtml"] .history td:last-child { overflow-wrap: anywhere; }
[data-testid="stHtml"] .rows { max-height: 400px; overflow: auto; font-size: 0.875rem; }
[data-testid="stHtml"] .rows th { font-weight: 600; }
[data-testid="stHtml"] .rows td { white-space: nowrap; }
[data-testid="stHtml"] .rows td.number { text-align: right; }
</style>
"""
"""For what is not made of Streamlit's own parts, in colours that suit light and dark."""


def main() -> None:
    """Shows the page that the address names."""
    st.set_page_config(page_title="Pivotal Tracker", page_icon=_ICON, layout="wide")
    st.html(_STYLE)
    pages = {
        name: st.Page(_guarded(show), title=title, icon=icon, url_path=name, default=not number)
        for number, (name, title, icon, show) in enumerate(_PAGES)
    }
    st.session_state["pages"] = pages
    # reached by links alone
    pages["story"] = st.Page(
        _guarded(story.show), title="Story", url_path="story", visibility="hidden"
    )
    chosen = st.navigation(list(pages.values()))
    keep_scope()
    if "story" in st.query_params and chosen != pages["story"]:
        st.switch_page(pages["story"], query_params={"story": st.query_params["story"]})
    chosen.run()


def _guarded(show: Callable[[], None]) -> Callable[[], None]:
    """A page that says in words what keeps it from being shown."""

    def page() -> None:
        try:
            _where()
            show()
            session.read_ahead(_asked_first)
        except NothingLoadedError as error:
            _nothing_loaded(error)
        except BusyError as error:
            st.warning(f"{error} This page is there again when it has ended.")
            st.button("Try again")
        except NotThereError as error:
            st.info(
                "This page reads tables that are not in this dataset: it was loaded with "
                "`--resource`. Run `python pivotal_tracker_pipeline.py` without it, and they are "
                f"here. Inspect shows what there is. ({text.label(error)})"
            )
        except DashboardError as error:
            st.error(text.label(error))

    return page


def _asked_first() -> Iterator[Iterable[exp.Query]]:
    """What each page asks when it is opened without any choice made."""
    (projects,) = session.rows(queries.projects())
    scope = Scope(latest(projects))
    yield from (page.asked(scope) for page in (overview, flow, progress))
    yield from stories.asked()


def _where() -> None:
    loaded = session.loaded()
    session.load_id()
    with st.sidebar:
        st.caption(
            f"{text.label(loaded.name)} in {text.label(loaded.destination_name)}, dataset "
            f"{text.label(loaded.dataset_name)}"
        )


def _nothing_loaded(error: NothingLoadedError) -> None:
    st.title("Nothing to show yet")
    st.warning(text.label(error))
    st.markdown(
        "Load something first, then reload this page:\n\n"
        "* a made-up workspace, to look around: `python pivotal_tracker_pipeline.py --sample`\n"
        "* your own, from a server: `python pivotal_tracker_pipeline.py`\n"
        "* files of an export or a backup: "
        "`python pivotal_tracker_pipeline.py --archive PATH`\n\n"
        "A pipeline of another name is shown by "
        "`streamlit run pivotal_tracker_dashboard.py -- --pipeline NAME`. Where the package is "
        "installed, the commands are `pivotal-tracker` and `pivotal-tracker-dashboard`."
    )
