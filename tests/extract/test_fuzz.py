"""Random edits, runs of all kinds and a server that misbehaves: no row is lost, none is doubled.

`make fuzz` runs it for as long as you like; `FUZZ_EXAMPLES` is the number of sequences.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from dlt.pipeline.exceptions import PipelineStepFailed
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from tracker_server import Behaviour
from tracker_server.faults import (
    ByteOrderMark,
    DeepValue,
    EmptyList,
    EmptyPage,
    Fault,
    HtmlPage,
    InflatedTotal,
    InvalidUtf8,
    LongNumber,
    MissingRows,
    SetAttribute,
    ShortLaterPages,
    Status,
    WrongTotal,
)

from ..support.truth import Tables
from .test_incremental_loading import Changes, changes_come_after, first_load

__all__ = ["changes_come_after", "first_load"]

LISTS = ("stories", "epics", "labels", "memberships", "releases", "iterations", "accounts")
KEYS = {
    "stories": "id",
    "epics": "id",
    "labels": "id",
    "project_memberships": "id",
    "accounts": "id",
    "people": "id",
    "activity": "guid",
}
SMALL_PAGES = {"stories": 4, "iterations": 5, "activity": 9, "releases": 2}

FAULTS: list[Callable[[], Fault]] = [
    lambda: EmptyList(),
    lambda: EmptyList(times=1),
    lambda: EmptyPage(),
    lambda: EmptyPage(times=None),
    lambda: MissingRows(share=0.7),
    lambda: ShortLaterPages(limit=2),
    lambda: InflatedTotal(),
    lambda: WrongTotal(None),
    lambda: WrongTotal(10**19),
    lambda: WrongTotal(1),
    *(lambda status=status: Status(status) for status in (204, 402, 403, 404, 405, 410, 418, 500)),
    lambda: HtmlPage(),
    lambda: ByteOrderMark(),
]
BAD_VALUES: list[Callable[[set[int]], Fault]] = [
    lambda ids: SetAttribute(attribute="id", value="abc", record_ids=ids),
    lambda ids: SetAttribute(attribute="ID", value=5, record_ids=ids),
    lambda ids: SetAttribute(attribute="projectId", value=77, record_ids=ids),
    lambda ids: SetAttribute(attribute="estimate", value="abc", record_ids=ids),
    lambda ids: SetAttribute(attribute="comments.0.id", value="abc", record_ids=ids),
    lambda ids: DeepValue(attribute="name", record_ids=ids),
    lambda ids: LongNumber(record_ids=ids),
    lambda ids: InvalidUtf8(record_ids=ids),
]


class Misbehaviour(Changes):
    """Anything may happen between two runs, and the server may give wrong responses."""

    @initialize(seed=st.integers(0, 1_000))
    def begin(self, seed: int) -> None:
        super().begin(seed)
        os.environ["RUNTIME__REQUEST_BACKOFF_FACTOR"] = "0"
        self.seen: dict[str, dict[str, set[int]]] = {}

    def teardown(self) -> None:
        super().teardown()
        os.environ.pop("RUNTIME__REQUEST_BACKOFF_FACTOR", None)

    def _load_through(self, faults: list[Fault], *resources: str, **options: Any) -> None:
        """Load from a server with faults: what it has and was loaded must still be there."""
        before, behaviour = self.mirror.tables(), self.server.behaviour
        self.server.behaviour = Behaviour(max_limits=SMALL_PAGES, faults=faults)
        try:
            # a server that cannot be used at all fails the run
            with contextlib.suppress(PipelineStepFailed):
                self.mirror.load(*resources, **options)
        finally:
            self.server.behaviour = Behaviour()
        after, truth = self.mirror.tables(), self.mirror.truth()
        self.server.behaviour = behaviour
        for table, key in KEYS.items():
            there = {row[key] for row in truth[table]}
            kept = {row[key] for row in before.get(table, [])} & there
            assert kept <= {row[key] for row in after.get(table, [])}, table
        assert_no_duplicates(after)

    @rule(
        place=st.integers(0, len(FAULTS) - 1),
        name=st.sampled_from(LISTS),
        full_refresh=st.booleans(),
    )
    def load_through_a_bad_list(self, place: int, name: str, full_refresh: bool) -> None:
        fault = FAULTS[place]()
        fault.endpoints = {name, f"/projects/{{id}}/{name}"}
        self._load_through([fault], full_refresh=full_refresh)

    @rule(place=st.integers(0, len(BAD_VALUES) - 1))
    def load_through_a_bad_record(self, place: int) -> None:
        if story := self.any_story():
            self.workspace.edit_story(story["id"], name="Bad")
            self._load_through([BAD_VALUES[place]({story["id"]})])

    @rule(full_refresh=st.sampled_from([False, False, False, True]))
    def load(self, full_refresh: bool) -> None:
        """Load from a healthy server: whole tables are those of a fresh load."""
        self.server.behaviour = Behaviour()
        self.load_and_accept(full_refresh=full_refresh)
        self.mirror.assert_exact()

    @rule()
    def switch_dataset(self) -> None:
        """Load into another dataset from now on, and come back later."""
        mirror = self.mirror
        self.seen[mirror.dataset] = mirror.seen
        mirror.dataset = "other" if mirror.dataset == "tracker" else "tracker"
        mirror.seen = self.seen.get(mirror.dataset, {})


def assert_no_duplicates(tables: Tables) -> None:
    for table, key in KEYS.items():
        counted = Counter(row[key] for row in tables.get(table, []))
        assert not [one for one, number in counted.items() if number > 1], table


TestMisbehaviour = pytest.mark.usefixtures("changes_come_after")(Misbehaviour.TestCase)
TestMisbehaviour.settings = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "2")),
    stateful_step_count=10,
    deadline=None,
    derandomize="FUZZ_EXAMPLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
)
