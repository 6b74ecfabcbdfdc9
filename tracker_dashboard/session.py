"""What the pages of all browsers share: the dataset, and rows that are read once per load."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from threading import Thread
from typing import TypeVar

import streamlit as st
from pandas import DataFrame
from sqlglot import exp

from .data import PIPELINES, Dataset, WorkingDirectory, last_loaded
from .errors import DashboardError, DatabaseLockedError
from .full_text import Index, IndexManager, IndexUnavailableError
from .search import SearchResult, search
from .search_syntax import parse

Result = TypeVar("Result")

_LOCK_TIMEOUT = 3.0
"""Seconds to wait for a load that is writing."""


def _pipeline_names() -> tuple[str, ...]:
    """Return the pipeline named on the command line, or those that the command uses."""
    parser = argparse.ArgumentParser(prog="streamlit run pivotal_tracker_dashboard.py --")
    parser.add_argument("--pipeline", metavar="NAME")
    name = parser.parse_args(sys.argv[1:]).pipeline
    return (name,) if name else PIPELINES


@st.cache_resource(max_entries=4, show_spinner=False)
def _dataset(directory: WorkingDirectory) -> Dataset:
    return Dataset(directory.name)


def dataset() -> Dataset:
    """Return what the pipeline last loaded.

    Raises:
        NothingLoadedError: Nothing was loaded yet.
    """
    return _dataset(last_loaded(_pipeline_names()))


@st.cache_data(ttl=15, show_spinner=False)
def _load_id(directory: WorkingDirectory) -> str:
    return _wait_for_lock(_dataset(directory).load_id)


def load_id() -> str:
    """Return the id of the last load, by which rows are cached. It is looked up every few seconds.

    Raises:
        NothingLoadedError: No load was completed yet.
    """
    return _load_id(last_loaded(_pipeline_names()))


@st.cache_data(ttl=3600, max_entries=300, show_spinner=False)
def _rows(directory: WorkingDirectory, load_id: str, queries: Sequence[str]) -> list[DataFrame]:
    return _wait_for_lock(lambda: _dataset(directory).rows(queries))


def rows(*queries: exp.Query) -> list[DataFrame]:
    """Return the rows of queries, read over one connection, or cached since the last load.

    Raises:
        MissingTableError: A table or a view is missing.
        DatabaseLockedError: A load is writing and did not finish soon.
    """
    sql = [query.sql("duckdb") for query in queries]
    return _rows(last_loaded(_pipeline_names()), load_id(), sql)


def search_stories(
    typed: str, projects: tuple[int, ...] = (), sort: str = "relevance"
) -> SearchResult:
    """Return the stories that match what was typed, in the full-text index if it is ready.

    Raises:
        DashboardError: The tables cannot be read.
    """
    try:
        current: Index | None = index()
    except IndexUnavailableError:
        current = None
    return search(rows, parse(typed), projects, sort, current)


@st.cache_resource(max_entries=4, show_spinner=False)
def _prefetch(
    directory: WorkingDirectory,
    load_id: str,
    _queries: Callable[[], Iterable[Sequence[exp.Query]]],
) -> Thread:
    def read() -> None:
        # whoever opens the page sees the error
        with suppress(DashboardError):
            for group in _queries():
                rows(*group)

    thread = Thread(target=read, daemon=True)
    thread.start()
    return thread


def prefetch(queries: Callable[[], Iterable[Sequence[exp.Query]]]) -> None:
    """Read in the background, once per load, what pages are going to ask for."""
    _prefetch(last_loaded(_pipeline_names()), load_id(), queries)


@st.cache_resource(show_spinner=False)
def _index_manager() -> IndexManager:
    return IndexManager()


def index() -> Index:
    """Return the full-text index of what the pipeline last loaded.

    Raises:
        IndexUnavailableError: There is none, or it is not ready.
    """
    return _index_manager().get(dataset(), load_id())


def _wait_for_lock(read: Callable[[], Result]) -> Result:
    deadline = time.monotonic() + _LOCK_TIMEOUT
    while True:
        try:
            return read()
        except DatabaseLockedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
