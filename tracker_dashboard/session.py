"""What the pages of one browser share: what is shown, and rows read once a load."""

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

from .data import PIPELINES, Loaded, WorkingDirectory, last_loaded
from .errors import BusyError, DashboardError
from .full_text import Index, Indexes

Read = TypeVar("Read")

_PATIENCE = 3.0
"""Seconds to wait for a load that is writing."""


def _names() -> tuple[str, ...]:
    """The pipelines to choose from: the one named after `--`, or those of the command."""
    parser = argparse.ArgumentParser(prog="streamlit run pivotal_tracker_dashboard.py --")
    parser.add_argument("--pipeline", metavar="NAME")
    name = parser.parse_args(sys.argv[1:]).pipeline
    return (name,) if name else PIPELINES


@st.cache_resource(max_entries=4, show_spinner=False)
def _loaded(directory: WorkingDirectory) -> Loaded:
    return Loaded(directory.name)


def loaded() -> Loaded:
    """What the pipeline last loaded.

    Raises:
        NothingLoadedError: Nothing yet.
    """
    return _loaded(last_loaded(_names()))


@st.cache_data(ttl=15, show_spinner=False)
def _load_id(directory: WorkingDirectory) -> str:
    return _patiently(_loaded(directory).load_id)


def load_id() -> str:
    """The id of the last load, looked up again after some seconds: every row is kept by it.

    Raises:
        NothingLoadedError: No load was completed yet.
    """
    return _load_id(last_loaded(_names()))


@st.cache_data(ttl=3600, max_entries=300, show_spinner=False)
def _rows(directory: WorkingDirectory, load_id: str, queries: Sequence[str]) -> list[DataFrame]:
    return _patiently(lambda: _loaded(directory).rows(queries))


def rows(*queries: exp.Query) -> list[DataFrame]:
    """The rows of queries, read over one connection, or kept since the last load.

    Raises:
        NotThereError: A table or a view is missing.
        BusyError: A load is writing, and did not end soon.
    """
    told = [query.sql("duckdb") for query in queries]
    return _rows(last_loaded(_names()), load_id(), told)


@st.cache_resource(max_entries=4, show_spinner=False)
def _reading_ahead(
    directory: WorkingDirectory,
    load_id: str,
    _questions: Callable[[], Iterable[Iterable[exp.Query]]],
) -> Thread:
    def read() -> None:
        # whoever opens the page is told what is wrong
        with suppress(DashboardError):
            for asked in _questions():
                rows(*asked)

    reading = Thread(target=read, daemon=True)
    reading.start()
    return reading


def read_ahead(questions: Callable[[], Iterable[Iterable[exp.Query]]]) -> None:
    """Reads in the background, once a load, what pages are going to ask together as `rows`."""
    _reading_ahead(last_loaded(_names()), load_id(), questions)


@st.cache_resource(show_spinner=False)
def _indexes() -> Indexes:
    return Indexes()


def index() -> Index:
    """The full-text index of what the pipeline last loaded.

    Raises:
        NotIndexedError: There is none, or none yet.
    """
    return _indexes().of(loaded(), load_id())


def _patiently(read: Callable[[], Read]) -> Read:
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            return read()
        except BusyError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
