"""The views: compared with hand calculation, a server, and recorded responses of Tracker."""

from __future__ import annotations

import functools
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from operator import itemgetter
from pathlib import Path
from typing import Any, Protocol

import dlt
import duckdb
import pytest
import sqlglot
from dlt.common.configuration.specs import GcpServiceAccountCredentials
from dlt.destinations import bigquery
from dlt.destinations.exceptions import DatabaseException
from dlt.destinations.impl.bigquery.configuration import BigQueryClientConfiguration
from sqlglot import exp

from pivotal_tracker import tables, views
from pivotal_tracker.views import create_views, sql_files, view_sql
from tracker_server import TrackerServer
from tracker_server.sample import generate_workspace
from tracker_server.workspace import Workspace

from ..support.command import Command
from ..support.postgres import new_database, postgres_server  # noqa: F401 - a fixture
from ..support.recorded import (
    PROJECT_ID,
    RECORDED,
    RECORDED_IN,
    recorded,
    recorded_workspace,
    responses,
)
from ..support.shop_workspace import ANN, BOB, SHOP, small_shop
from ..support.view_database import VIEWS, ViewDatabase

Record = dict[str, Any]

AS_OF = "2025-04-08T14:00:00Z"
"""The last event in the small shop: story 110 was started."""

STATES = (
    "unscheduled",
    "unstarted",
    "planned",
    "started",
    "finished",
    "delivered",
    "rejected",
    "accepted",
)
DESTINATIONS = ("duckdb", pytest.param("postgres", marks=pytest.mark.integration))


@pytest.fixture
def command(command: Command) -> Command:
    """The command, which creates views."""
    command.views = True
    return command


class Load(Protocol):
    """Loads a workspace, or some resources of it, into a destination."""

    def __call__(
        self, make_workspace: Callable[[], Workspace], destination: str, *resources: str
    ) -> ViewDatabase: ...


@pytest.fixture(scope="module")
def load(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Load]:
    """Load a workspace into a destination, once for all tests. No test may change the result."""
    with ExitStack() as to_close:

        @functools.cache
        def run(
            make_workspace: Callable[[], Workspace], destination: str, *resources: str
        ) -> ViewDatabase:
            database = ""
            if destination == "postgres":
                database = new_database(f"{request.getfixturevalue('postgres_server')}/postgres")
            folder = tmp_path_factory.mktemp("views")
            loaded = to_close.enter_context(
                ViewDatabase(folder, database, workspace=make_workspace())
            )
            loaded.load(*resources)
            made = create_views(loaded.pipeline)
            assert made.problem == ""
            if not resources:
                assert (set(made.names), made.left_out) == (VIEWS, {})
            return loaded

        yield run


@pytest.fixture(scope="module", params=DESTINATIONS)
def shop(load: Load, request: pytest.FixtureRequest) -> ViewDatabase:
    """The small shop, which no test may change."""
    return load(small_shop, request.param)


@pytest.fixture
def own_shop(load: Load, tmp_path: Path) -> Iterator[Callable[[str], ViewDatabase]]:
    """Make a copy of the small shop that a test may change."""
    with ExitStack() as to_close:
        yield lambda destination: to_close.enter_context(
            load(small_shop, destination).copied(tmp_path / "own shop")
        )


def _make_sample() -> Workspace:
    return generate_workspace(projects=3, stories=120, activity=200, seed=11)


@pytest.fixture(scope="module")
def sample(load: Load) -> ViewDatabase:
    """Two years of three teams, which no test may change."""
    return load(
        _make_sample, "duckdb", "projects", "stories", "iterations", "epics", "history_days"
    )


def test_story_overview(shop: ViewDatabase) -> None:
    stories = shop.by("story_overview", "story_id")
    assert len(stories) == 16
    assert stories[101] == {
        "story_id": 101,
        "project_id": SHOP,
        "project_name": "Shop",
        "name": "Story 101",
        "story_type": "feature",
        "current_state": "accepted",
        "story_priority": None,
        "estimate": 2,
        "points": 2,
        "url": "https://www.pivotaltracker.com/story/show/101",
        "label_names": "launch",
        "owner_names": "Ann",
        "epic_names": "Launch",
        "requested_by_name": "Ann",
        "iteration_number": 1,
        "created_at": "2025-03-03T14:00:00Z",
        "updated_at": "2025-03-03T14:00:00Z",
        "first_started_at": "2025-03-04T14:00:00Z",
        "accepted_at": "2025-03-06T14:00:00Z",
        "deadline": None,
        "cycle_time_hours": 48,  # 4 March 14:00 to 6 March 14:00
        "lead_time_hours": 72,  # from 3 March 14:00
        "rejection_count": 1,
        "comment_count": 1,
        "task_count": 2,
        "open_task_count": 1,
        "open_blocker_count": 1,
        "cycle_time_reason": None,
        "lead_time_reason": None,
        "rejection_count_reason": None,
        "points_reason": None,
        "comment_count_reason": None,
        "task_count_reason": None,
        "blocker_count_reason": None,
    }


def test_story_overview_of_other_stories(shop: ViewDatabase) -> None:
    stories = shop.by("story_overview", "story_id")
    assert stories[102]["owner_names"] == "Ann, Bob"
    assert stories[102]["cycle_time_hours"] == 54.5  # 7 March 21:00 to 10 March 3:30
    assert stories[102]["lead_time_hours"] == 55.5
    # bugs take no points in this project; this one was never started
    assert (stories[103]["estimate"], stories[103]["points"]) == (5, None)
    assert stories[103]["cycle_time_hours"] is None
    # no transitions: from cycle_time_details
    assert stories[104]["first_started_at"] is None
    assert stories[104]["cycle_time_hours"] == 10
    assert stories[104]["rejection_count"] == 2
    assert (stories[110]["cycle_time_hours"], stories[110]["lead_time_hours"]) == (None, None)
    assert (stories[120]["iteration_number"], stories[120]["label_names"]) == (None, "launch")


def test_story_measures(shop: ViewDatabase) -> None:
    stories = shop.by("story_measures", "story_id")
    assert stories[102] == {
        "story_id": 102,
        "project_id": SHOP,
        "project_name": "Shop",
        "story_type": "feature",
        "current_state": "accepted",
        "estimate": 1,
        "is_estimated": True,
        "points": 1,
        "time_zone": "America/New_York",
        "created_at": "2025-03-07T20:00:00Z",
        "created_on": "2025-03-07",
        "first_started_at": "2025-03-07T21:00:00Z",
        "accepted_at": "2025-03-10T03:30:00Z",
        "accepted_on": "2025-03-09",
        "cycle_time_hours": 54.5,
        "lead_time_hours": 55.5,
        "rejection_count": 0,
        "cycle_time_reason": None,
        "lead_time_reason": None,
        "rejection_count_reason": None,
        "points_reason": None,
    }
    assert stories[103]["is_estimated"] is False
    assert stories[103]["points_reason"] == "type is not estimated"
    assert (stories[120]["points"], stories[120]["points_reason"]) == (None, "no estimate")
    assert stories[103]["cycle_time_reason"] == "never started"
    assert stories[110]["cycle_time_reason"] == stories[110]["lead_time_reason"] == "not accepted"
    with shop.changed(
        "UPDATE {}stories SET cycle_time_details__rejected_count = NULL, "
        "cycle_time_details__total_cycle_time = NULL, created_at = NULL WHERE id = 104"
    ):
        story = shop.by("story_measures", "story_id")[104]
    assert story["cycle_time_reason"] == story["rejection_count_reason"] == "no transitions"
    assert (story["lead_time_hours"], story["lead_time_reason"]) == (None, "no creation date")


def test_iteration_metrics(shop: ViewDatabase) -> None:
    iterations = shop.by("iteration_metrics", "iteration_number")
    assert iterations[1] == {
        "project_id": SHOP,
        "project_name": "Shop",
        "iteration_number": 1,
        "start": "2025-03-03T05:00:00Z",
        "finish": "2025-03-10T04:00:00Z",
        "iteration_state": "done",
        "length_weeks": 1,
        "team_strength": 1,
        "points": 3,
        "points_accepted": 3,
        "stories_accepted": 3,
        "features_accepted": 2,
        "bugs_accepted": 1,
        "chores_accepted": 0,
        "releases_accepted": 0,
        "feature_points_accepted": 3,
        "bug_points_accepted": 0,
        "chore_points_accepted": 0,
        "velocity": 10,  # initial: none before it
        "volatility": None,
        "iterations_averaged": 0,
        "rejection_rate": pytest.approx(1 / 3),
        "rejected_stories": 1,
        "median_cycle_time_hours": 51.25,  # of 48 and 54.5
        "p85_cycle_time_hours": pytest.approx(48 + 0.85 * 6.5),
        "stories": 3,
        "stories_open": 0,
        "median_lead_time_hours": 55.5,  # of 48, 55.5 and 72
        "p85_lead_time_hours": pytest.approx(55.5 + 0.7 * 16.5),
        "velocity_reason": None,
        "volatility_reason": "fewer than two done iterations",
        "rejection_rate_reason": None,
        "cycle_time_reason": None,
        "lead_time_reason": None,
        "assumptions": None,
        "as_of": AS_OF,
    }


def test_velocity_of_iterations(shop: ViewDatabase) -> None:
    iterations = shop.by("iteration_metrics", "iteration_number")
    # 2: 3 points in a week. 3: the same, because iteration 2 had strength 0
    # 4: (3 / 1 + 2 / 0.5) / 2 weeks = 3.5, rounded down; rates 3 and 4 deviate by 0.5 from 3.5
    # 5: (3 + 4 + 6) / (1 + 1 + 2) = 3.25; rates 3, 4 and 6 / 2 = 3, variance 2 / 9
    found = [
        (row["iteration_state"], row["velocity"], row["volatility"])
        for _, row in sorted(iterations.items())
    ]
    of_three = pytest.approx((2 / 9) ** 0.5 / (10 / 3))
    assert found == [
        ("done", 10, None),
        ("done", 3, None),
        ("done", 3, None),
        ("done", 3, pytest.approx(0.5 / 3.5)),
        ("current", 3, of_three),
        *[("planned", 3, of_three)] * 3,
    ]


def test_accepted_stories_of_iterations(shop: ViewDatabase) -> None:
    iterations = shop.by("iteration_metrics", "iteration_number")
    assert iterations[2]["rejection_rate"] is None
    assert iterations[2]["rejection_rate_reason"] == "no accepted story"
    assert iterations[2]["cycle_time_reason"] == "no accepted story"
    assert [iterations[number]["stories_open"] for number in (4, 5)] == [0, 2]
    assert iterations[3]["rejection_rate"] == 1
    assert iterations[3]["median_cycle_time_hours"] == 10
    fourth = iterations[4]
    assert [fourth[f"{kind}_accepted"] for kind in ("features", "bugs", "chores", "releases")] == [
        2,
        0,
        1,
        1,
    ]
    assert (fourth["stories_accepted"], fourth["points_accepted"]) == (3, 6)
    # of 4, 24 and 48 hours: the release has none
    assert fourth["median_cycle_time_hours"] == 24
    assert fourth["p85_cycle_time_hours"] == pytest.approx(24 + 0.7 * 24)
    assert (fourth["rejection_rate"], fourth["rejected_stories"]) == (0, 0)


def test_length_of_an_iteration_is_computed_if_the_server_does_not_give_it(
    shop: ViewDatabase,
) -> None:
    """Clocks change during the first one, which is an hour shorter."""
    before = shop.by("iteration_metrics", "iteration_number")
    with shop.changed("UPDATE {}iterations SET length = NULL"):
        assert shop.by("iteration_metrics", "iteration_number") == before
    assert [row["length_weeks"] for _, row in sorted(before.items())] == [1, 1, 1, 2, 1, 1, 1, 1]


def test_a_project_with_recent_events_is_measured_until_now(shop: ViewDatabase) -> None:
    ago = "UPDATE {}stories SET updated_at = current_timestamp - INTERVAL '1' DAY * "
    now = datetime.now(UTC)
    with shop.changed(ago + "29 WHERE id = 101"):
        (project,) = shop.rows("project_as_of")
        assert project["as_of_source"] == "now"
        assert datetime.fromisoformat(project["as_of"]) - now < timedelta(minutes=5)
        hours = (now - datetime(2025, 4, 8, 14, tzinfo=UTC)).total_seconds() / 3600
        stay = shop.by("cycle_times", "story_id", "state")[110, "started"]
        assert stay["hours"] == pytest.approx(hours, abs=0.1)
        # five days of seven
        assert stay["working_hours"] == pytest.approx(hours * 5 / 7, abs=48)
        age = shop.by("open_story_age", "story_id")[110]["age_days"]
        assert age == pytest.approx(hours / 24 + 1, abs=0.1)
        # an archive is not, however recent
        shop.execute("UPDATE {}projects SET _source = 'shop.zip'")
        (project,) = shop.rows("project_as_of")
        assert project["as_of_source"] == "last event"
        assert project["as_of"] == project["last_event_at"]
    with shop.changed(ago + "31 WHERE id = 101"):
        (project,) = shop.rows("project_as_of")
        assert project["as_of_source"] == "last event"
        assert now - datetime.fromisoformat(project["as_of"]) > timedelta(days=30)


def test_events_in_the_future_are_ignored(shop: ViewDatabase) -> None:
    future = "UPDATE {}stories SET created_at = TIMESTAMPTZ '2199-01-01 00:00:00+00' WHERE id = 101"
    with shop.changed(future):
        assert shop.rows("project_as_of")[0]["as_of"] == AS_OF


def test_project_velocity(shop: ViewDatabase) -> None:
    assert shop.rows("project_velocity") == [
        {
            "project_id": SHOP,
            "project_name": "Shop",
            "velocity": 3,
            "current_velocity": 3,
            "iterations_averaged": 3,
            "volatility": pytest.approx(0.141421, abs=1e-6),
            "current_volatility": pytest.approx(0.1414),
            "velocity_averaged_over": 3,
            "initial_velocity": 10,
            "iteration_length": 1,
            "current_iteration_number": 5,
            "current_iteration_start": "2025-04-07T04:00:00Z",
            "velocity_reason": None,
            "volatility_reason": None,
            "current_velocity_reason": None,
            "assumptions": None,
            "as_of": AS_OF,
            "as_of_source": "last event",
        }
    ]


def test_initial_velocity_after_iterations_without_points(
    shop: ViewDatabase,
) -> None:
    with shop.changed("UPDATE {}iterations SET points = 0 WHERE number IN (3, 4)"):
        # two of the three are empty: 3 points in 4 weeks, rounded down
        assert shop.rows("project_velocity")[0]["velocity"] == 0
        shop.execute("UPDATE {}iterations SET points = 0 WHERE number = 1")
        assert shop.rows("project_velocity")[0]["velocity"] == 10
        # three empty ones are not enough if four are averaged
        shop.execute("UPDATE {}projects SET velocity_averaged_over = 4")
        assert shop.rows("project_velocity")[0]["velocity"] == 0


def test_epic_progress(shop: ViewDatabase) -> None:
    epics = shop.by("epic_progress", "epic_id")
    assert epics[51] == {
        "epic_id": 51,
        "project_id": SHOP,
        "project_name": "Shop",
        "name": "Launch",
        "label_name": "launch",
        "url": "https://www.pivotaltracker.com/epic/show/51",
        "stories": 4,  # 101, 110, 120, 121
        "stories_accepted": 1,
        "stories_unscheduled": 2,
        "points": 4,
        "points_accepted": 2,
        "unestimated_stories": 1,  # the feature: bugs are not estimated here
        "share_of_stories_accepted": 0.25,
        "share_of_points_accepted": 0.5,
        "first_started_at": "2025-03-04T14:00:00Z",
        "last_accepted_at": "2025-03-06T14:00:00Z",
        "completed_at": None,
        "projected_completion": None,  # two of its stories are not in any plan
        "earliest_completion": None,
        "latest_completion": None,
        "projected_completion_reason": "unscheduled stories",
        "first_started_reason": None,
        "share_of_points_reason": None,
        "assumptions": None,
        "as_of": AS_OF,
    }
    assert epics[52]["completed_at"] == "2025-03-26T14:00:00Z"
    assert (epics[52]["share_of_stories_accepted"], epics[52]["points"]) == (1, 6)
    assert epics[52]["projected_completion_reason"] == "complete"


def test_release_progress(shop: ViewDatabase) -> None:
    releases = shop.by("release_progress", "release_id")
    assert releases[108] == {
        "release_id": 108,
        "project_id": SHOP,
        "project_name": "Shop",
        "name": "Story 108",
        "current_state": "accepted",
        "url": "https://www.pivotaltracker.com/story/show/108",
        "deadline": "2025-04-01T12:00:00Z",
        "stories": 7,
        "stories_accepted": 7,
        "points": 11,  # 2 + 1 + 2 + 4 + 2, and nothing for the bug
        "points_accepted": 11,
        "share_of_stories_accepted": 1,
        "share_of_points_accepted": 1,
        "accepted_at": "2025-04-02T14:00:00Z",
        "projected_completion": None,
        "days_late": 1,
        "earliest_completion": None,
        "latest_completion": None,
        "stories_reason": None,
        "share_of_points_reason": None,
        "projected_completion_reason": "accepted",
        "days_late_reason": None,
        "assumptions": None,
        "as_of": AS_OF,
    }
    # 110 to 114; the last one is planned for iteration 8, which ends on 4 May
    planned = releases[115]
    assert (planned["stories"], planned["points"], planned["points_accepted"]) == (5, 12, 0)
    assert planned["projected_completion"] == "2025-05-05T04:00:00Z"
    assert planned["days_late"] == 14  # 21 April to 5 May
    assert planned["earliest_completion"] == "2025-05-04"
    assert planned["latest_completion"] == "2025-05-11"


def test_completion_is_forecast_if_the_server_does_not_project_it(shop: ViewDatabase) -> None:
    with shop.changed(
        "UPDATE {}releases SET projected_completion = NULL",
        "DELETE FROM {}stories__labels WHERE story_id IN (120, 121)",
    ):
        release = shop.by("release_progress", "release_id")[115]
        assert release["projected_completion"] == "2025-05-04T00:00:00Z"
        assert release["days_late"] == 13
        epic = shop.by("epic_progress", "epic_id")[51]
        assert epic["projected_completion"] == "2025-04-13T00:00:00Z"


def test_daily_states_from_history_days(shop: ViewDatabase) -> None:
    days = shop.by("daily_states", "date", "state")
    assert len(days) == 2 * len(STATES)
    assert days["2025-03-07", "accepted"] == {
        "project_id": SHOP,
        "project_name": "Shop",
        "date": "2025-03-07",
        "state": "accepted",
        "stories": 2,
        "points": 2,
        "taken_from": "history_days",
        "as_of": AS_OF,
        "stories_reason": None,
        "points_reason": None,
    }
    assert days["2025-03-07", "started"]["points"] == 1
    unknown = days["2025-03-07", "rejected"]
    assert (unknown["stories"], unknown["stories_reason"]) == (None, "not in history_days")
    assert (unknown["points"], unknown["points_reason"]) == (None, "not in history_days")


def test_daily_states_from_transitions(shop: ViewDatabase) -> None:
    with shop.changed("DELETE FROM {}history_days"):
        days = shop.by("daily_states", "date", "state")

    def on(day: str) -> dict[str, tuple[int, float]]:
        return {
            state: (days[day, state]["stories"], days[day, state]["points"])
            for state in STATES
            if days[day, state]["stories"]
        }

    assert min(days)[0] == "2025-03-03"
    # the last transition: nothing has happened since
    assert max(days)[0] == "2025-04-08"
    assert {row["taken_from"] for row in days.values()} == {"transitions"}
    # 101 was created and scheduled
    assert on("2025-03-03") == {"unstarted": (1, 2)}
    # 101 was started twice and delivered; 103, 120 and 121 were created
    assert on("2025-03-05") == {"delivered": (1, 2), "unstarted": (1, 0), "unscheduled": (2, 0)}
    # 102 was accepted late on Sunday, when it was Monday in UTC
    assert on("2025-03-08") == {"accepted": (2, 2), "started": (1, 1), "unscheduled": (2, 0)}
    assert on("2025-03-09") == {"accepted": (3, 3), "unscheduled": (2, 0)}
    # 104 has no transitions: it appears with its acceptance
    assert on("2025-03-19") == on("2025-03-18")
    assert on("2025-03-20") == {"accepted": (4, 5), "unscheduled": (2, 0)}
    assert on("2025-04-08") == {
        "accepted": (7, 11),
        "started": (1, 2),
        "unstarted": (4, 10),
        "unscheduled": (2, 0),
    }


def test_cycle_times(shop: ViewDatabase) -> None:
    stays = {
        key: (row["times_entered"], row["hours"], row["working_hours"])
        for key, row in shop.by("cycle_times", "story_id", "state").items()
    }
    assert {state: stay for (story_id, state), stay in stays.items() if story_id == 101} == {
        "unstarted": (1, 23, 23),
        "started": (2, 26, 26),  # 24 + 2
        "finished": (2, 2, 2),
        "delivered": (2, 19, 19),  # 1 + 18
        "rejected": (1, 1, 1),
        "accepted": (1, None, None),
    }
    # Friday 16:00 to Sunday 23:00, one hour skipped by the clocks; 8 hours on Friday
    assert stays[102, "started"] == (1, 54, 8)
    assert stays[102, "delivered"] == (1, 0.25, 0)
    # Thursday 10:00 to Saturday 10:00: working hours end on Friday at midnight
    assert stays[106, "started"] == (1, 48, 38)
    assert stays[104, "started"] == (1, 2, None)
    assert stays[104, "rejected"] == (2, 8, None)
    assert (104, "finished") not in stays
    row = shop.by("cycle_times", "story_id", "state")[110, "started"]
    assert (row["project_id"], row["project_name"]) == (SHOP, "Shop")
    # as_of is the time of this transition
    assert (row["hours"], row["working_hours"], row["as_of"]) == (0, 0, AS_OF)
    row = shop.by("cycle_times", "story_id", "state")[111, "unstarted"]
    assert (row["hours"], row["working_hours"]) == (23, 23)
    rows = shop.by("cycle_times", "story_id", "state")
    assert rows[101, "accepted"]["hours_reason"] == "accepted"
    assert rows[104, "started"]["hours_reason"] is None
    assert rows[104, "started"]["working_hours_reason"] == "no transitions"


def test_throughput_weekly(shop: ViewDatabase) -> None:
    weeks = {
        key: (row["created"], row["accepted"], row["points_accepted"])
        for key, row in shop.by("throughput_weekly", "week", "story_type").items()
    }
    assert weeks == {
        # 102 was accepted on Sunday at 23:30
        ("2025-03-03", "feature"): (3, 2, 3),
        ("2025-03-03", "bug"): (2, 1, 0),
        ("2025-03-03", "release"): (1, 0, 0),
        ("2025-03-17", "feature"): (1, 1, 2),
        ("2025-03-24", "feature"): (2, 2, 6),
        ("2025-03-31", "chore"): (1, 1, 0),
        ("2025-03-31", "release"): (0, 1, 0),
        ("2025-04-07", "feature"): (5, 0, 0),
        ("2025-04-07", "release"): (1, 0, 0),
    }


def test_open_story_age(shop: ViewDatabase) -> None:
    stories = shop.by("open_story_age", "story_id")
    assert set(stories) == {110, 111, 112, 113, 114, 115, 120, 121}
    assert stories[110] == {
        "story_id": 110,
        "project_id": SHOP,
        "project_name": "Shop",
        "name": "Story 110",
        "story_type": "feature",
        "current_state": "started",
        "estimate": 2,
        "url": "https://www.pivotaltracker.com/story/show/110",
        "created_at": "2025-04-07T14:00:00Z",
        "age_days": 1,  # at the last event, 8 April 14:00
        "days_in_state": 0,
        "is_scheduled": True,
        "days_in_state_reason": None,
        "as_of": AS_OF,
        "age_reason": None,
    }
    assert stories[111]["days_in_state"] == pytest.approx(23 / 24)
    # no transition, on a server that gives cycle_time_details and would give transitions too
    assert (stories[120]["age_days"], stories[120]["days_in_state"]) == (34, 34)
    assert stories[120]["is_scheduled"] is False


def test_person_activity(shop: ViewDatabase) -> None:
    did = {
        key: tuple(
            row[name] for name in ("stories_accepted", "points_accepted", "comments", "activities")
        )
        for key, row in shop.by("person_activity", "person_name", "week").items()
    }
    assert did == {
        ("Ann", "2025-03-03"): (2, 3, 0, 2),  # 101 and, with Bob, 102
        ("Bob", "2025-03-03"): (1, 1, 1, 0),  # commented on Sunday at 23:45
        ("Ann", "2025-03-10"): (0, 0, 1, 0),  # on the epic
        ("Bob", "2025-03-10"): (0, 0, 0, 1),
    }
    assert {row["person_id"] for row in shop.rows("person_activity")} == {ANN, BOB}


def test_forecast(shop: ViewDatabase) -> None:
    found = [
        (
            row["story_id"],
            row["position"],
            row["points_ahead"],
            row["iteration_number"],
            row["expected_by"],
            row["earliest_by"],
            row["latest_by"],
        )
        for row in sorted(shop.rows("forecast"), key=lambda row: row["position"])
    ]
    # velocity 3, at best 3.42, at worst 2.58; half of it in iteration 7
    assert found == [
        # 2 points in progress
        (110, 1, 0, 5, "2025-04-13", "2025-04-13", "2025-04-13"),
        # 2 + 1 points are 3, but more than 2.58
        (111, 2, 2, 5, "2025-04-13", "2025-04-13", "2025-04-20"),
        # 3 points fit alone, but not with 1 in 2.58; in iteration 7 they are too large
        (112, 3, 3, 6, "2025-04-20", "2025-04-20", "2025-04-27"),
        # 5 points fit in no iteration: one for itself
        (113, 4, 6, 7, "2025-04-27", "2025-04-27", "2025-05-04"),
        (114, 5, 11, 8, "2025-05-04", "2025-05-04", "2025-05-11"),
        (115, 6, 12, 8, "2025-05-04", "2025-05-04", "2025-05-11"),
    ]


def test_forecast_without_automatic_planning(
    shop: ViewDatabase,
) -> None:
    with shop.changed("UPDATE {}projects SET automatic_planning = FALSE"):
        forecast = shop.by("forecast", "story_id")
    # 1 and 3 points do not fit in one iteration
    assert [forecast[story_id]["iteration_number"] for story_id in (110, 111, 112)] == [5, 6, 7]


def test_counts_are_null_where_files_have_no_such_records(shop: ViewDatabase) -> None:
    """Files of a tool that saved no tasks, no comments and no stories of releases."""
    nested = ("comments", "tasks", "blockers")
    with shop.changed(
        "UPDATE {}projects SET _source = 'stories.json'",
        "UPDATE {}stories SET _source = 'stories.json'",
        "DELETE FROM {}epics__comments",
        "DELETE FROM {}releases__story_ids",
        "DELETE FROM {}activity WHERE occurred_at < TIMESTAMPTZ '2025-03-10 00:00:00+00'",
        *(f"DELETE FROM {{}}stories__{name} WHERE story_id > 101" for name in nested),  # noqa: S608
    ):
        story = shop.by("story_overview", "story_id")[102]
        counts = ("comment_count", "task_count", "open_task_count", "open_blocker_count")
        assert [story[name] for name in counts] == [0, 0, 0, 0]
        shop.execute(*(f"DELETE FROM {{}}stories__{name}" for name in nested))  # noqa: S608
        story = shop.by("story_overview", "story_id")[102]
        assert [story[name] for name in counts] == [None] * 4
        reasons = [story[f"{name}_count_reason"] for name in ("comment", "task", "blocker")]
        assert reasons == [f"no {name} in the files" for name in nested]
        counted = ("stories", "stories_accepted", "points", "points_accepted")
        release = shop.by("release_progress", "release_id")[115]
        assert [release[name] for name in counted] == [None] * 4
        assert release["stories_reason"] == "no order of stories"
        did = {
            key: (row["comments"], row["activities"])
            for key, row in shop.by("person_activity", "person_name", "week").items()
        }
        assert did == {
            ("Ann", "2025-03-03"): (None, None),
            ("Bob", "2025-03-03"): (None, None),
            ("Bob", "2025-03-10"): (None, 1),
        }


def test_person_known_by_name_counts_as_the_one_with_an_id(shop: ViewDatabase) -> None:
    with shop.changed(
        "UPDATE {}people SET id = -5, name = NULL, same_as_id = 1 WHERE id = 2",
        "UPDATE {}stories__owner_ids SET value = -5 WHERE value = 2 AND story_id = 102",
        "DELETE FROM {}stories__owner_ids WHERE value = 1 AND story_id = 102",
    ):
        assert shop.by("story_overview", "story_id")[102]["owner_names"] == "Ann"
        ann = shop.by("person_activity", "person_id", "week")[ANN, "2025-03-03"]
        assert (ann["stories_accepted"], ann["person_name"]) == (2, "Ann")
        # without a name, the id
        shop.execute("UPDATE {}people SET same_as_id = NULL WHERE id = -5")
        assert shop.by("story_overview", "story_id")[102]["owner_names"] == "person -5"


def test_velocity_and_points_equal_those_of_the_server(sample: ViewDatabase) -> None:
    found = sample.by("iteration_metrics", "project_id", "iteration_number")
    served = {
        (project_id, span["number"]): span
        for project_id in sample.workspace.projects
        for span in sample.workspace.iterations(project_id)
    }
    assert found.keys() == served.keys()
    for key, span in served.items():
        assert found[key]["velocity"] == span["velocity"], key
        assert found[key]["points_accepted"] == span["accepted_points"], key
    for project_id, row in sample.by("project_velocity", "project_id").items():
        assert row["velocity"] == sample.workspace.current_velocity(project_id)
        volatility = sample.workspace.current_volatility(project_id) / 100
        assert row["volatility"] == pytest.approx(volatility, abs=1e-4)
        assert row["current_volatility"] == pytest.approx(volatility)


def test_counted_points_equal_those_of_the_server(sample: ViewDatabase) -> None:
    rows = sample.rows(
        "SELECT m.points_accepted, m.feature_points_accepted + m.bug_points_accepted "
        "+ m.chore_points_accepted AS counted FROM {}iteration_metrics AS m"
    )
    assert len({row["counted"] for row in rows}) > 5
    assert all(row["points_accepted"] == row["counted"] for row in rows)


def test_forecast_equals_the_plan_of_the_server(sample: ViewDatabase) -> None:
    served = {
        story_id: span["number"]
        for project_id in sample.workspace.projects
        for span in sample.workspace.iterations(project_id)
        for story_id in span["story_ids"]
    }
    forecast = sample.by("forecast", "story_id")
    assert len(forecast) > 20
    assert {story_id: row["iteration_number"] for story_id, row in forecast.items()} == {
        story_id: served[story_id] for story_id in forecast
    }


def test_epics_equal_the_counts_of_their_labels(sample: ViewDatabase) -> None:
    epics = {row["label_name"]: row for row in sample.rows("epic_progress")}
    assert len(epics) > 5
    labels = {
        label["name"]: sample.workspace.story_counts(label)
        for project in sample.workspace.projects.values()
        for label in project.labels.values()
    }
    for name, row in epics.items():
        numbers = labels[name]["number_of_stories_by_state"]
        sums = labels[name]["sum_of_story_estimates_by_state"]
        assert row["stories"] == sum(n for state, n in numbers.items() if state in STATES)
        assert row["stories_accepted"] == numbers["accepted"]
        assert row["stories_unscheduled"] == numbers["unscheduled"]
        assert row["points"] == sum(n for state, n in sums.items() if state in STATES)


def test_hours_in_a_state_equal_those_of_the_server(sample: ViewDatabase) -> None:
    stays = sample.by("cycle_times", "story_id", "state")
    measures = sample.by("story_measures", "story_id")
    accepted = [
        story
        for project in sample.workspace.projects.values()
        for story in project.stories.values()
        if story["current_state"] == "accepted"
    ]
    assert len(accepted) > 100
    for story in accepted:
        details = sample.workspace.cycle_time_details(story)
        assert measures[story["id"]]["rejection_count"] == details["rejected_count"]
        for state in ("started", "finished", "delivered", "rejected"):
            stay = stays.get((story["id"], state), {"times_entered": 0, "hours": 0})
            assert stay["times_entered"] == details[f"{state}_count"]
            assert stay["hours"] == pytest.approx(details[f"{state}_time"] / 3_600_000)


def test_daily_states_from_transitions_equal_those_of_the_server(sample: ViewDatabase) -> None:
    key = ("project_id", "date", "state")
    served = sample.by("daily_states", *key)
    assert {row["taken_from"] for row in served.values()} == {"history_days"}
    with sample.changed("DELETE FROM {}history_days"):
        counted = sample.by("daily_states", *key)
    assert len(served) > 5000
    for one, row in served.items():
        # there are no rows before the first story
        ours = counted.get(one, {"stories": 0, "points": 0})
        assert (ours["stories"], ours["points"]) == (row["stories"], row["points"]), one


def test_throughput_counts_every_story(sample: ViewDatabase) -> None:
    rows = sample.rows("throughput_weekly")
    created, accepted = Counter[Any](), Counter[Any]()
    for row in rows:
        assert date.fromisoformat(row["week"]).weekday() == 0
        created[row["project_id"], row["story_type"]] += row["created"]
        accepted[row["project_id"], row["story_type"]] += row["accepted"]
    stories = [
        story
        for project in sample.workspace.projects.values()
        for story in project.stories.values()
    ]
    assert created == Counter((s["project_id"], s["story_type"]) for s in stories)
    assert +accepted == Counter(
        (s["project_id"], s["story_type"]) for s in stories if s.get("accepted_at")
    )


@pytest.mark.skipif(
    not RECORDED.is_dir(), reason=f"needs the real recordings, which are not here: {RECORDED}"
)
def test_metrics_equal_recorded_answers_of_tracker(load: Load) -> None:
    loaded = load(_as_recorded, "duckdb", "projects", "stories", "iterations")
    iterations = loaded.by("iteration_metrics", "iteration_number")
    current = recorded(
        "iterations",
        "iterations",
        scope="current",
        fields=":default,velocity,points,accepted_points,effective_points",
    )[0]
    assert iterations[283]["velocity"] == current["velocity"] == 10
    assert iterations[283]["points"] == current["points"] == 9
    assert iterations[283]["points_accepted"] == current["accepted_points"] == 0
    # recorded without points, so counted: 2 + 1 + 2, and 3 + 2 + 1 + 2 + 3
    assert [iterations[number]["points_accepted"] for number in (1, 2)] == [5, 11]
    assert [iterations[number]["stories_accepted"] for number in (1, 2)] == [5, 5]
    # the stories have 9 points too
    with loaded.changed("UPDATE {}iterations SET points = NULL"):
        assert loaded.by("iteration_metrics", "iteration_number")[283]["points"] == 9

    stays = loaded.by("cycle_times", "story_id", "state")
    (as_of,) = {row["as_of"] for row in stays.values()}
    since = (datetime.fromisoformat(as_of) - RECORDED_IN).total_seconds() / 3600
    for details in recorded("cycle_time_details", "iterations/283/analytics/cycle_time_details"):
        for state in ("started", "finished", "delivered", "rejected"):
            stay = stays.get((details["story_id"], state), {"times_entered": 0, "hours": 0})
            hours = details[f"{state}_time"] / 3_600_000
            assert stay["times_entered"] == details[f"{state}_count"], details
            if details["story_id"] == 66728000 and state == "rejected":
                # it is still in this state
                hours += since
            assert stay["hours"] == pytest.approx(hours, abs=0.2), details


def _as_recorded() -> Workspace:
    """The recorded project with its recorded iterations."""
    workspace = recorded_workspace()
    project = workspace.projects[PROJECT_ID]
    project.iterations = _recorded_iterations()
    project.record = project.record | {"current_iteration_number": 283}
    return workspace


def _recorded_iterations() -> list[Record]:
    """All recorded iterations, with the ids of their stories."""
    found: dict[int, Record] = {}
    for path, _, body in responses("iterations"):
        for iteration in body if path.endswith("/iterations") else ():
            stories = {"story_ids": [story["id"] for story in iteration["stories"]]}
            record = {k: v for k, v in iteration.items() if k != "stories"}
            found[iteration["number"]] = found.get(iteration["number"], {}) | record | stories
    return [found[number] for number in sorted(found)]


def test_views_on_empty_tables_return_no_rows(shop: ViewDatabase) -> None:
    """An empty workspace has all tables."""
    tables = shop.pipeline.default_schema.data_table_names()
    with shop.changed(*(f"DELETE FROM {{}}{table}" for table in tables)):  # noqa: S608
        for name in VIEWS:
            assert shop.rows(name) == [], name


def _change_templates(monkeypatch: pytest.MonkeyPatch, **queries: str) -> None:
    """Replace queries, as another version would."""
    texts = {name: template.sql for name, template in sql_files.templates().items()}
    changed = sql_files.parse(texts | queries)
    for module in (views, sql_files):
        monkeypatch.setattr(module, "templates", lambda: changed)


def _identities(shop: ViewDatabase) -> dict[str, Any]:
    """A value per view that changes when the view is replaced."""
    query = "SELECT view_name AS name, view_oid AS id FROM duckdb_views()"
    if shop.database:
        query = "SELECT relname AS name, xmin::text AS id FROM pg_class WHERE relkind = 'v'"
    return {row["name"]: row["id"] for row in shop.rows(query) if row["name"] in VIEWS}


@pytest.mark.parametrize("destination", DESTINATIONS)
def test_only_views_whose_sql_changed_are_replaced(
    own_shop: Callable[[str], ViewDatabase], destination: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = own_shop(destination)
    before = _identities(shop)
    assert before.keys() == VIEWS
    assert create_views(shop.pipeline) == views.Views(tuple(sorted(VIEWS)))
    assert _identities(shop) == before

    velocity = sql_files.templates()["project_velocity"].sql
    assert velocity.startswith("WITH current_first AS (")
    changed = velocity.replace("reference.as_of_source\n", "reference.as_of_source, 7 AS added\n")
    _change_templates(monkeypatch, project_velocity=changed)
    assert create_views(shop.pipeline) == views.Views(tuple(sorted(VIEWS)))
    after = _identities(shop)
    # the others read it
    assert {name for name in VIEWS if before[name] != after[name]} == {
        "project_velocity",
        "forecast",
        "epic_progress",
        "release_progress",
    }
    assert shop.rows("project_velocity")[0]["added"] == 7


@pytest.mark.parametrize("destination", DESTINATIONS)
def test_a_missing_view_is_created_again(
    own_shop: Callable[[str], ViewDatabase], destination: str
) -> None:
    shop = own_shop(destination)
    shop.execute("DROP VIEW {}throughput_weekly")
    assert set(create_views(shop.pipeline).names) == VIEWS
    assert len(shop.rows("throughput_weekly")) == 9


DEPENDENT = {
    "forecast": "needs project_velocity",
    "epic_progress": "needs forecast, project_velocity",
    "release_progress": "needs forecast, project_velocity",
}
"""The views that read project_velocity by its name, except in Postgres."""


@pytest.mark.parametrize("destination", DESTINATIONS)
def test_other_objects_with_the_name_of_a_view_are_kept(
    own_shop: Callable[[str], ViewDatabase], destination: str
) -> None:
    shop = own_shop(destination)
    shop.execute(
        "DROP VIEW {}project_velocity",
        "CREATE VIEW {}project_velocity AS SELECT 1 AS mine",
        "DROP VIEW {}throughput_weekly",
        "CREATE TABLE {}throughput_weekly (mine integer)",
        "CREATE VIEW {}numbers AS SELECT 2 AS mine",
    )
    made = create_views(shop.pipeline)
    other = "something else has this name and was left alone"
    assert made.left_out == {
        "project_velocity": other,
        "throughput_weekly": other,
        **({} if shop.database else DEPENDENT),
    }
    assert set(made.names) == VIEWS - made.left_out.keys()
    assert shop.rows("project_velocity") == [{"mine": 1}]
    assert shop.rows("throughput_weekly") == []
    assert shop.rows("numbers") == [{"mine": 2}]


@pytest.mark.parametrize("name", sorted(views._UNSTAMPED))
def test_duckdb_views_of_the_first_versions_are_replaced(
    own_shop: Callable[[str], ViewDatabase], name: str
) -> None:
    """They had no stamp and are recognized by a word."""
    shop = own_shop("duckdb")
    word = views._UNSTAMPED[name]
    shop.execute(f"CREATE OR REPLACE VIEW {{}}{name} AS SELECT '{word}' AS former")
    assert set(create_views(shop.pipeline).names) == VIEWS
    assert "former" not in str(shop.rows(f"SELECT * FROM {{}}{name} LIMIT 1"))  # noqa: S608


@pytest.mark.integration
def test_postgres_views_of_the_first_versions_are_replaced(
    own_shop: Callable[[str], ViewDatabase],
) -> None:
    """They read a function in the dataset."""
    shop = own_shop("postgres")
    columns = "project_id bigint, project_name varchar, velocity bigint"
    shop.execute(
        "DROP VIEW {}project_velocity",
        f"CREATE FUNCTION {{}}_project_velocity() RETURNS TABLE ({columns}) LANGUAGE sql STABLE AS "
        "$$SELECT 1::bigint, 'former'::varchar, 2::bigint$$",
        "CREATE VIEW {}project_velocity AS SELECT * FROM {}_project_velocity()",
        "CREATE VIEW {}mine AS SELECT velocity FROM {}project_velocity",
    )
    assert set(create_views(shop.pipeline).names) == VIEWS
    assert shop.rows("project_velocity")[0]["project_name"] == "Shop"
    assert shop.rows("mine") == [{"velocity": 3}]
    functions = "SELECT proname FROM pg_proc WHERE pronamespace::regnamespace::text ~ 'tracker'"
    named = {row["proname"] for row in shop.rows(functions)}
    assert named == {
        f"_pivotal_tracker_{name}_{sql_files.templates()[name].fingerprint}" for name in VIEWS
    }


@pytest.mark.parametrize("destination", DESTINATIONS)
def test_view_whose_table_is_missing_is_dropped(
    own_shop: Callable[[str], ViewDatabase], destination: str
) -> None:
    shop = own_shop(destination)
    shop.execute("ALTER TABLE {}epics RENAME TO former_epics")
    made = create_views(shop.pipeline)
    assert made.left_out["story_overview"] == "needs epics"
    assert _identities(shop).keys() == set(made.names)
    shop.execute("ALTER TABLE {}former_epics RENAME TO epics")
    assert set(create_views(shop.pipeline).names) == VIEWS


@pytest.mark.parametrize("destination", DESTINATIONS)
def test_rejected_view_and_views_that_read_it_are_left_out(
    own_shop: Callable[[str], ViewDatabase], destination: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = own_shop(destination)
    _change_templates(monkeypatch, project_velocity="SELECT nothing_such FROM projects")
    made = create_views(shop.pipeline)
    assert set(made.left_out) == {
        "project_velocity",
        "forecast",
        "epic_progress",
        "release_progress",
    }
    assert "nothing_such" in made.left_out["project_velocity"]
    if destination == "duckdb":
        assert made.left_out.items() >= DEPENDENT.items()
    assert set(made.names) == VIEWS - set(made.left_out)
    assert len(shop.rows("story_overview")) == 16


def test_duckdb_views_need_no_translation(
    own_shop: Callable[[str], ViewDatabase], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parsing them took longer than loading a small workspace."""
    shop = own_shop("duckdb")
    shop.execute(*(f"DROP VIEW {{}}{name}" for name in sorted(VIEWS)))
    # makes the import fail
    monkeypatch.setitem(sys.modules, "pivotal_tracker.views.dialects", None)
    assert set(create_views(shop.pipeline).names) == VIEWS


def test_regular_expression_finds_the_tables_that_the_parser_finds() -> None:
    for template in sql_files.templates().values():
        query = sqlglot.parse_one(template.sql, read="duckdb")
        own = {cte.alias for cte in query.find_all(exp.CTE)}
        tables = {table.name for table in query.find_all(exp.Table)}
        assert template.reads == tables - own, template.name
        # a table expression with the name of a table would hide it
        assert not own & (sql_files.templates().keys() | tables_of_all_resources()), template.name


def tables_of_all_resources() -> set[str]:
    named = (value for value in vars(tables).values() if isinstance(value, tables.Table))
    return {table.name for parent in named for table in parent.family()} | {
        table.name for parent in tables.PROJECT_TABLES.values() for table in parent.family()
    }


@pytest.mark.integration
def test_dlt_can_drop_tables_that_postgres_views_read(
    own_shop: Callable[[str], ViewDatabase],
) -> None:
    """Postgres would not allow it if the views were bound to the tables."""
    shop = own_shop("postgres")
    before = sorted(shop.rows("forecast"), key=itemgetter("story_id"))
    refreshes: dict[str, tuple[str, ...]] = {
        "drop_sources": (),
        "drop_data": ("projects", "stories", "iterations"),
    }
    for refresh, resources in refreshes.items():
        shop.load(*resources, refresh=refresh, full_refresh=True)
        assert set(create_views(shop.pipeline).names) == VIEWS, refresh
        assert sorted(shop.rows("forecast"), key=itemgetter("story_id")) == before, refresh


@pytest.mark.integration
def test_full_refresh_can_replace_tables_that_postgres_views_read(
    own_shop: Callable[[str], ViewDatabase],
    command: Command,
    serve: Callable[[Workspace], TrackerServer],
) -> None:
    """With the strategy that drops tables. The tests of Postgres use the default one."""
    shop = own_shop("postgres")
    command.take_over(Command(shop.folder))
    serve(shop.workspace)
    env = {
        "DESTINATION__POSTGRES__CREDENTIALS": shop.database,
        "DESTINATION__POSTGRES__REPLACE_STRATEGY": "staging-optimized",
    }
    options = ("--full-refresh", "--resource", "projects", "stories", "iterations")
    result = command("--destination", "postgres", *options, env=env)
    assert result.returncode == 0, result.stderr
    assert f"Views: {len(VIEWS)}." in result.stdout
    assert len(shop.rows("forecast")) == 6


@pytest.mark.integration
def test_postgres_grants_and_views_of_users_survive_a_new_version(
    own_shop: Callable[[str], ViewDatabase], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = own_shop("postgres")
    shop.execute(
        "CREATE VIEW {}mine AS SELECT count(*) AS n, min(position) AS first FROM {}forecast",
        "CREATE ROLE reader",
        "GRANT USAGE ON SCHEMA tracker TO reader",
        "GRANT SELECT ON {}forecast TO reader",
    )
    forecast = sql_files.templates()["forecast"].sql
    changed = forecast.replace(
        "    backlog.position,\n", "    backlog.position + 100 AS position,\n"
    )
    changed = changed.replace(
        "    velocity.as_of\nFROM", "    velocity.as_of,\n    7 AS added\nFROM"
    )
    _change_templates(monkeypatch, forecast=changed)
    assert set(create_views(shop.pipeline).names) == VIEWS
    assert shop.rows("mine") == [{"n": 6, "first": 101}]
    with shop.changed("SET LOCAL ROLE reader"):
        assert {row["added"] for row in shop.rows("forecast")} == {7}
    shop.execute("DROP OWNED BY reader", "DROP ROLE reader")


@pytest.mark.integration
def test_postgres_view_with_incompatible_columns_is_left_alone(
    own_shop: Callable[[str], ViewDatabase], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dropping it would drop its grants, and fail if other views read it."""
    shop = own_shop("postgres")
    before = shop.rows("project_velocity")
    _change_templates(monkeypatch, project_velocity="SELECT id AS project_id FROM projects")
    made = create_views(shop.pipeline)
    assert "cannot drop columns from view" in made.left_out["project_velocity"]
    assert shop.rows("project_velocity") == before


@pytest.mark.integration
def test_postgres_views_are_readable_with_select_on_the_view_alone(
    own_shop: Callable[[str], ViewDatabase],
) -> None:
    shop = own_shop("postgres")
    (row,) = shop.rows(
        "SELECT nspname, proname FROM pg_proc JOIN pg_namespace AS n ON n.oid = pronamespace "
        "WHERE proname LIKE '\\_pivotal\\_tracker\\_forecast%'"
    )
    shop.execute(
        "CREATE ROLE reader",
        "GRANT USAGE ON SCHEMA tracker TO reader",
        "GRANT SELECT ON {}forecast TO reader",
        "CREATE VIEW {}mine AS SELECT * FROM {}forecast",
        "CREATE ROLE guest",
        "GRANT USAGE ON SCHEMA tracker TO guest",
        "GRANT SELECT ON {}mine TO guest",
    )
    with shop.changed("SET LOCAL ROLE reader"):
        assert len(shop.rows("forecast")) == 6
    with shop.changed("SET LOCAL ROLE guest"):
        assert len(shop.rows("mine")) == 6
    refused = (
        "SELECT * FROM {}stories",
        "SELECT * FROM {}open_story_age",
        # nor the function that the view reads
        f"SELECT * FROM {row['nspname']}.{row['proname']}()",  # noqa: S608
    )
    for query in refused:
        with shop.changed("SET LOCAL ROLE reader"), pytest.raises(DatabaseException) as error:
            shop.rows(query)
        assert "permission denied" in str(error.value)
    shop.execute("DROP OWNED BY reader, guest", "DROP ROLE reader, guest")


@pytest.mark.integration
def test_postgres_views_without_the_right_to_create_schemas(
    own_shop: Callable[[str], ViewDatabase],
) -> None:
    """Their functions are in the dataset and need the reader's rights on the tables."""
    shop = own_shop("postgres")
    name = shop.database.rpartition("/")[2]
    shop.execute(
        *(f"DROP VIEW {{}}{name}" for name in sorted(VIEWS)),
        "DROP SCHEMA _pivotal_tracker_tracker CASCADE",
        "CREATE ROLE loader LOGIN PASSWORD 'loader'",
        "GRANT USAGE, CREATE ON SCHEMA tracker TO loader",
        "GRANT SELECT ON ALL TABLES IN SCHEMA tracker TO loader",
        f"REVOKE CREATE ON DATABASE {name} FROM PUBLIC",
    )
    as_loader = shop.database.replace("tracker:tracker@", "loader:loader@")
    limited = dlt.pipeline(
        "limited",
        destination=dlt.destinations.postgres(as_loader),
        dataset_name="tracker",
        pipelines_dir=str(shop.folder / "limited"),
    )
    for _ in range(2):
        assert set(create_views(limited).names) == VIEWS
        with limited.sql_client() as client:
            assert client.execute_sql("SELECT count(*) FROM tracker.forecast") == [(6,)]
    shop.execute(
        "CREATE ROLE reader",
        "GRANT USAGE ON SCHEMA tracker TO reader",
        "GRANT SELECT ON {}forecast TO reader",
    )
    with shop.changed("SET LOCAL ROLE reader"), pytest.raises(DatabaseException) as error:
        shop.rows("forecast")
    assert "permission denied" in str(error.value)
    shop.execute("DROP OWNED BY loader, reader", "DROP ROLE loader, reader")


def test_summary_counts_views_and_names_skipped_ones(
    command: Command, serve: Callable[[Workspace], TrackerServer]
) -> None:
    serve(small_shop())
    options = ("--resource", "projects", "stories")
    result = command("--no-views", *options)
    assert result.returncode == 0, result.stderr
    assert "Views" not in result.stdout
    with duckdb.connect(str(command.database), read_only=True) as connection:
        found = connection.execute("FROM duckdb_views() WHERE schema_name = 'tracker'").fetchall()
    assert found == []
    result = command(*options)
    assert result.returncode == 0, result.stderr
    assert "Views: 5.\n" in result.stdout
    assert "Left out: view daily_states: needs history_days\n" in result.stdout
    assert (
        "Left out: view project_velocity: needs iterations, iterations__story_ids\n"
        in result.stdout
    )


def test_destination_without_views_gives_the_reason(tmp_path: Path) -> None:
    """The tests of SQLite check that the command prints it."""
    files = dlt.destinations.filesystem((tmp_path / "files").as_uri())
    pipeline = dlt.pipeline("no_views", destination=files, pipelines_dir=str(tmp_path / "dlt"))
    assert create_views(pipeline) == views.Views(problem="filesystem has none")


def test_views_work_in_a_renamed_database_file(load: Load, tmp_path: Path) -> None:
    with load(small_shop, "duckdb").copied(tmp_path / "shop") as shop:
        folder = shop.folder
    copy = (folder / "pivotal_tracker.duckdb").rename(folder / "archive of 2025.duckdb")
    with duckdb.connect(str(copy), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM tracker.forecast").fetchone() == (6,)
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{copy}' AS old (READ_ONLY)")
        assert connection.execute("SELECT count(*) FROM old.tracker.forecast").fetchone() == (6,)


@pytest.fixture(scope="module")
def in_bigquery() -> Any:
    """A client of BigQuery without a server."""
    credentials = GcpServiceAccountCredentials()
    credentials.project_id = "shop-1"
    credentials.private_key, credentials.client_email = "none", "nobody@example.org"
    configuration = BigQueryClientConfiguration(credentials=credentials)
    schema = dlt.Schema("pivotal_tracker")
    client = bigquery().client(schema, configuration._bind_dataset_name(dataset_name="tracker"))
    return client.sql_client


@pytest.mark.parametrize("name", sorted(VIEWS))
def test_views_use_only_what_bigquery_has(name: str, in_bigquery: Any) -> None:
    sql = view_sql(name, in_bigquery)
    create = sqlglot.parse_one(sql, read="bigquery")
    assert sql.startswith(f"CREATE OR REPLACE VIEW `shop-1`.`tracker`.`{name}` AS ")
    own = {cte.alias for cte in create.find_all(exp.CTE)}
    assert all(table.catalog for table in create.find_all(exp.Table) if table.name not in own)
    # missing in BigQuery, or different from DuckDB and Postgres
    for kind in (exp.Filter, exp.AtTimeZone, exp.Lateral, exp.PercentileCont, exp.Values):
        assert not list(create.find_all(kind)), kind
    for extract in create.find_all(exp.Extract):
        assert extract.name.upper() != "EPOCH"
    assert set(re.findall(r"\b(\w+)\(", sql)) <= BIGQUERY_FUNCTIONS
    # BigQuery needs an equality in a left join
    for join in create.find_all(exp.Join):
        if join.side == "LEFT":
            assert list(join.args["on"].find_all(exp.EQ))


BIGQUERY_FUNCTIONS = {
    "ABS",
    "AVG",
    "CAST",
    "COALESCE",
    "COUNT",
    "CURRENT_TIMESTAMP",
    "DATETIME",
    "DATE_DIFF",
    "FLOOR",
    "GREATEST",
    "LAG",
    "LEAD",
    "LEAST",
    "MAX",
    "MIN",
    "MOD",
    "NULLIF",
    "ROW_NUMBER",
    "STDDEV_POP",
    "STRING_AGG",
    "SUBSTRING",
    "SUM",
    "TIMESTAMP",
    "UNIX_MICROS",
}
