"""What the pages of all browsers share: the dataset, and rows that are read once per load."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from threading import Thread
from typing import Any, ParamSpec, TypeVar

import streamlit as st
from pandas import DataFrame

from .data import PIPELINES, Dataset, WorkingDirectory, last_loaded
from .errors import DashboardError, DatabaseLockedError
from .full_text import Index, IndexManager, IndexUnavailableError
from .search import SearchResult, search
from .search_syntax import parse
from .snapshot import Snapshot, open_snapshot

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_LOCK_TIMEOUT = 3.0
"""Seconds to wait for a load that is writing."""

_LOAD_ID_LIFETIME = 15
"""Seconds after which the id of the last load is looked up again."""


def _pipeline_names() -> tuple[str, ...]:
    """Return the pipeline named on the command line, or those that the command uses."""
    if len(sys.argv) == 1:
        return PIPELINES
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


_caches: list[Any] = []
"""The functions that keep what they returned for a load."""

_shown_loads: dict[str, Load] = {}
"""The load that was shown last, by the name of the pipeline."""


@lru_cache(maxsize=4)
def _load_id(directory: WorkingDirectory, seconds: float, _period: int) -> str:
    # `_period` is only a key of the cache: a later period looks the id up again
    return _wait_for_lock(_dataset(directory).load_id, seconds)


@dataclass(frozen=True)
class Load:
    """What the pages show: the rows of one load.

    Attributes:
        directory: The working directory of the pipeline.
        id: The id of the load.
        day: The day on which it is shown, as the ages of stories grow.
    """

    directory: WorkingDirectory
    id: str
    day: date


@st.cache_resource(max_entries=4, show_spinner="Preparing the metrics of this load…")
def _snapshot(load: Load) -> Snapshot | None:
    return _wait_for_lock(lambda: open_snapshot(_dataset(load.directory), load.id, load.day))


def has_copy() -> bool:
    """Return whether the pages read a copy of the database."""
    return _snapshot(current_load()) is not None


def current_load() -> Load:
    """Return the last load, which is looked up every few seconds.

    While another load is writing, it is the one that was shown before, if its rows were copied.

    Raises:
        NothingLoadedError: No load was completed yet.
        DatabaseLockedError: A load is writing and did not finish soon.
    """
    directory = last_loaded(_pipeline_names())
    shown = _shown_loads.get(directory.name)
    period = int(time.monotonic() // _LOAD_ID_LIFETIME)
    try:
        load_id = _load_id(directory, 0 if shown else _LOCK_TIMEOUT, period)
        load = Load(directory, load_id, datetime.now(UTC).date())
        if load != shown and _snapshot(load):
            _shown_loads[directory.name] = load
    except DatabaseLockedError:
        if shown is None:
            raise
        return shown
    return load


@st.cache_data(ttl=3600, max_entries=300, show_spinner=False)
def _rows(load: Load, queries: Sequence[str]) -> list[DataFrame]:
    if snapshot := _snapshot(load):
        return snapshot.rows(queries)
    return _wait_for_lock(lambda: _dataset(load.directory).rows(queries))


def rows(*queries: str) -> list[DataFrame]:
    """Return the rows of queries in DuckDB's SQL, cached since the last load.

    Raises:
        MissingTableError: A table or a view is missing.
        DatabaseLockedError: A load is writing and did not finish soon.
    """
    return _rows(current_load(), queries)


def once_per_load(compute: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Keep what a function returns until the next load.

    Its first argument is the load, which is only a key: `rows` reads the current one. What it
    returns is shared by all sessions, so it must not be changed.
    """
    cached = st.cache_resource(max_entries=100, show_spinner=False)(compute)
    _caches.append(cached)
    return cached


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
def _in_background(load: Load, _prepare: Callable[[], None]) -> Thread:
    for cached in _caches:
        cached.clear()

    def prepare() -> None:
        # whoever opens the page sees the error
        with suppress(DashboardError):
            _prepare()

    thread = Thread(target=prepare, daemon=True)
    thread.start()
    return thread


def prepare_in_background(prepare: Callable[[], None]) -> None:
    """Call a function that prepares pages, once per load, and forget the pages of earlier loads."""
    _in_background(current_load(), prepare)


@st.cache_resource(show_spinner=False)
def _index_manager() -> IndexManager:
    return IndexManager()


def index() -> Index:
    """Return the full-text index of what the pipeline last loaded.

    Raises:
        IndexUnavailableError: There is none, or it is not ready.
    """
    load = current_load()
    return _index_manager().get(_dataset(load.directory), load.id)


def _wait_for_lock(read: Callable[[], Result], seconds: float = _LOCK_TIMEOUT) -> Result:
    deadline = time.monotonic() + seconds
    while True:
        try:
            return read()
        except DatabaseLockedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
