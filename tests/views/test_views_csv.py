"""The metrics of a project of which there is nothing but Tracker's CSV, calculated by hand.

    iteration 1   2 to 8 March 2015   stories 1 (2 points), 2 (bug, 1 point)           3 points
    iteration 2   9 to 15 March       3 (3 points), 4 (chore), release 9               3 points
    iteration 3   16 to 22 March      not in the file: it has no stories               0 points
    iteration 4   23 to 29 March      5 (6 points)                                     6 points
    iteration 5   30 March to 5 April 6 (2 points, started), 7 (2 points)
    iteration 6   6 to 12 April       8 (3 points), release 10
    icebox                            11

The last event is a comment on 31 March, so iteration 5 is the current one. Its velocity is that of
iterations 2 to 4: (3 + 0 + 6) / 3 = 3.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from pivotal_tracker.views import create_views

from ..support.exports import Row, as_csv, table
from ..support.postgres import new_database, postgres_server  # noqa: F401 - a fixture
from ..support.view_database import ViewDatabase

AS_OF = "2015-03-31T00:00:00Z"
ASSUMPTIONS = (
    "iteration length from dates; average of 3 iterations; team strength 1; "
    "missing iterations had no stories; estimates of bugs and chores count"
)
VOLATILITY = pytest.approx(6**0.5 / 3)
"""Of 3, 0 and 6 points: the mean is 3, the squared differences 0, 9 and 9."""

FIRST = {"iteration": "1", "start": "Mar 2, 2015", "end": "Mar 8, 2015", "state": "accepted"}
SECOND = {"iteration": "2", "start": "Mar 9, 2015", "end": "Mar 15, 2015", "state": "accepted"}
FOURTH = {"iteration": "4", "start": "Mar 23, 2015", "end": "Mar 29, 2015", "state": "accepted"}
FIFTH = {"iteration": "5", "start": "Mar 30, 2015", "end": "Apr 5, 2015"}
SIXTH = {"iteration": "6", "start": "Apr 6, 2015", "end": "Apr 12, 2015", "state": "unstarted"}

STORIES = (
    Row(
        **FIRST, id=1, title="One", estimate="2", created="Feb 27, 2015", accepted="Mar 4, 2015",
        owners=["Ann"],
    ),
    Row(
        **FIRST, id=2, title="Two", type="bug", estimate="1", created="Mar 2, 2015",
        accepted="Mar 6, 2015",
    ),
    Row(
        **SECOND, id=3, title="Three", estimate="3", created="Mar 3, 2015", accepted="Mar 10, 2015",
    ),
    Row(**SECOND, id=4, title="Four", type="chore", created="Mar 9, 2015", accepted="Mar 9, 2015"),
    Row(
        **SECOND, id=9, title="Beta", type="release", created="Mar 2, 2015",
        accepted="Mar 13, 2015", deadline="Mar 12, 2015",
    ),
    Row(
        **FOURTH, id=5, title="Five", estimate="6", created="Mar 16, 2015", accepted="Mar 27, 2015",
        labels="checkout",
    ),
    Row(
        **FIFTH, id=6, title="Six", estimate="2", state="started", created="Mar 20, 2015",
        comments=["Soon (Ann - Mar 31, 2015)"],
    ),
    Row(**FIFTH, id=7, title="Seven", estimate="2", state="unstarted", created="Mar 20, 2015"),
    Row(**SIXTH, id=8, title="Eight", estimate="3", created="Mar 20, 2015", labels="checkout"),
    Row(
        **SIXTH, id=10, title="1.0", type="release", created="Mar 20, 2015",
        deadline="Apr 10, 2015",
    ),
    Row(id=11, title="Eleven", created="Mar 28, 2015"),
)  # fmt: skip
EPIC = Row(id=51, title="Checkout", type="epic", labels="checkout", state="", priority="")


BETA = Row(
    **FIFTH, id=9, title="Beta", type="release", state="unstarted", created="Mar 2, 2015",
    deadline="Apr 2, 2015",
)  # fmt: skip
LATER = {"iteration": "242", "start": "Sep 30, 2019", "end": "Oct 6, 2019", "state": "unstarted"}
LONG = {"iteration": "1", "start": "Mar 2, 2015", "end": "Mar 15, 2015", "state": "accepted"}
LONG_2 = {"iteration": "2", "start": "Mar 16, 2015", "end": "Mar 29, 2015", "state": "accepted"}

EXPORTS: dict[str, Sequence[Row]] = {
    "shop": (EPIC, *STORIES),
    "open release": (*STORIES[:4], STORIES[5], BETA),
    "finished": STORIES[:6],
    "abandoned": (
        *STORIES[:6],
        Row(**LATER, id=7, title="Seven", estimate="2", created="Mar 20, 2015"),
    ),
    "two weeks": (
        Row(**LONG, id=1, title="One", estimate="3", accepted="Mar 4, 2015"),
        Row(**LONG_2, id=2, title="Two", estimate="8", accepted="Mar 18, 2015"),
        Row(id=3, title="Three", estimate="5", state="unstarted", created="Mar 18, 2015"),
    ),
    "no iterations": STORIES,
    "no dates": STORIES,
}
DATES = ("Iteration Start", "Iteration End")
WITHOUT = {"no iterations": ("Iteration", *DATES), "no dates": DATES}


def write_csv(folder: Path, name: str, rows: Sequence[Row], id_offset: int) -> Path:
    """Write an export. No two projects have a story of the same id."""
    rows = [replace(row, id=row.id + id_offset) for row in rows]
    header, *lines = table(rows)
    kept = [at for at, column in enumerate(header) if column not in WITHOUT.get(name, ())]
    path = folder / f"{name.replace(' ', '_')}_20150401_0900.csv"
    path.write_text(as_csv([[line[at] for at in kept] for line in [header, *lines]]))
    return path


@dataclass(frozen=True)
class Project:
    """The rows of one project, with the ids of its export."""

    database: ViewDatabase
    name: str

    def rows(self, view: str) -> list[dict[str, Any]]:
        """The rows of a view."""
        offset = list(EXPORTS).index(self.name) * 100
        name = self.name.replace(" ", "_")
        query = f"SELECT * FROM {{}}{view} WHERE project_name = '{name}'"  # noqa: S608
        ids = ("story_id", "epic_id", "release_id")
        return [
            {column: value - offset if column in ids else value for column, value in row.items()}
            for row in self.database.rows(query)
        ]

    def by(self, view: str, *key: str) -> dict[Any, dict[str, Any]]:
        """The rows of a view by their key."""
        rows = self.rows(view)
        found = {tuple(row[k] for k in key) if len(key) > 1 else row[key[0]]: row for row in rows}
        assert len(found) == len(rows)
        return found


@pytest.fixture(
    scope="module", params=["duckdb", pytest.param("postgres", marks=pytest.mark.integration)]
)
def database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ViewDatabase]:
    """All exports in one database, which no test may change."""
    folder, dsn = tmp_path_factory.mktemp("csv"), ""
    if request.param == "postgres":
        dsn = new_database(f"{request.getfixturevalue('postgres_server')}/postgres")
    with ViewDatabase(folder, dsn) as made:
        exports = enumerate(EXPORTS.items())
        made.load_archive(*(write_csv(folder, *item, place * 100) for place, item in exports))
        assert create_views(made.pipeline).left_out == {}
        yield made


@pytest.fixture
def csv(database: ViewDatabase) -> Project:
    """The project above."""
    return Project(database, "shop")


def columns(rows: dict[Any, dict[str, Any]], *names: str) -> dict[Any, tuple[Any, ...]]:
    """Some columns of rows by their key."""
    return {key: tuple(row[name] for name in names) for key, row in rows.items()}


def test_durations_end_with_the_last_event(csv: Project) -> None:
    (project,) = csv.rows("project_as_of")
    assert project["project_id"] < 0
    assert {name: value for name, value in project.items() if name != "project_id"} == {
        "project_name": "shop",
        "time_zone": "UTC",
        "as_of": AS_OF,
        "as_of_date": "2015-03-31",
        "as_of_source": "last event",
        "last_event_at": AS_OF,
        "has_transitions": False,
    }
    for view in ("forecast", "epic_progress", "release_progress", "daily_states", "open_story_age"):
        assert {row["as_of"] for row in csv.rows(view)} == {AS_OF}, view


def test_lead_time_of_a_csv(csv: Project) -> None:
    stories = csv.by("story_overview", "story_id")
    assert columns(stories, "lead_time_hours", "lead_time_reason") == {
        1: (120, None),  # 27 February to 4 March
        2: (96, None),
        3: (168, None),
        4: (0, None),
        5: (264, None),
        9: (264, None),
        **dict.fromkeys((6, 7, 8, 10, 11), (None, "not accepted")),
    }
    for name in ("cycle_time_hours", "first_started_at", "rejection_count"):
        assert {row[name] for row in stories.values()} == {None}, name
    assert columns(stories, "cycle_time_reason", "rejection_count_reason") == {
        **dict.fromkeys((1, 2, 3, 4, 5, 9), ("no transitions", "no transitions")),
        **dict.fromkeys((6, 7, 8, 10, 11), ("not accepted", "no transitions")),
    }
    assert csv.rows("cycle_times") == []


def test_iterations_of_a_csv(csv: Project) -> None:
    iterations = csv.by("iteration_metrics", "iteration_number")
    assert columns(iterations, "iteration_state", "length_weeks", "points", "stories") == {
        1: ("done", 1, 3, 2),
        2: ("done", 1, 3, 3),
        4: ("done", 1, 6, 1),
        5: ("current", 1, 4, 2),
        6: ("planned", 1, 3, 2),
    }
    accepted = ("points_accepted", "stories_accepted", "releases_accepted", "stories_open")
    assert columns(iterations, *accepted) == {
        1: (3, 2, 0, 0),
        2: (3, 2, 1, 0),
        4: (6, 1, 0, 0),
        5: (0, 0, 0, 2),
        6: (0, 0, 0, 2),
    }
    lead_time = ("median_lead_time_hours", "p85_lead_time_hours", "lead_time_reason")
    assert columns(iterations, *lead_time) == {
        1: (108, pytest.approx(96 + 0.85 * 24), None),  # 96 and 120
        2: (84, pytest.approx(0.85 * 168), None),  # 0 and 168; the release is no story
        4: (264, 264, None),
        5: (None, None, "no accepted story"),
        6: (None, None, "no accepted story"),
    }
    unknown = ("median_cycle_time_hours", "cycle_time_reason", "rejection_rate_reason")
    assert columns(iterations, *unknown) == {
        **dict.fromkeys((1, 2, 4), (None, "no transitions", "no transitions")),
        **dict.fromkeys((5, 6), (None, "no accepted story", "no accepted story")),
    }
    assert {row["team_strength"] for row in iterations.values()} == {None}
    assert {row["assumptions"] for row in iterations.values()} == {ASSUMPTIONS}


def test_velocity_of_a_csv(csv: Project) -> None:
    iterations = csv.by("iteration_metrics", "iteration_number")
    velocity = ("velocity", "volatility", "iterations_averaged", "velocity_reason")
    assert columns(iterations, *velocity) == {
        1: (None, None, 0, "no done iteration"),
        2: (3, None, 1, None),
        4: (2, pytest.approx(2**0.5 / 2), 3, None),  # 3, 3 and 0 points
        5: (3, VOLATILITY, 3, None),
        6: (3, VOLATILITY, 3, None),
    }
    assert {row["volatility_reason"] for row in iterations.values()} == {
        None,
        "fewer than two done iterations",
    }
    (project,) = csv.rows("project_velocity")
    assert {name: value for name, value in project.items() if name != "project_id"} == {
        "project_name": "shop",
        "velocity": 3,
        "current_velocity": None,
        "iterations_averaged": 3,
        "volatility": VOLATILITY,
        "current_volatility": None,
        "velocity_averaged_over": None,
        "initial_velocity": None,
        "iteration_length": 1,
        "current_iteration_number": 5,
        "current_iteration_start": "2015-03-30T00:00:00Z",
        "velocity_reason": None,
        "volatility_reason": None,
        "current_velocity_reason": "not in the archive",
        "assumptions": ASSUMPTIONS,
        "as_of": AS_OF,
        "as_of_source": "last event",
    }


def test_forecast_of_a_csv(csv: Project) -> None:
    """With 3 points, at best 5.4 and at worst 0.55 points per iteration."""
    forecast = csv.by("forecast", "position")
    names = ("story_id", "points_ahead", "iteration_number", "expected_by", "earliest_by")
    assert columns(forecast, *names, "latest_by") == {
        1: (6, 0, 5, "2015-04-05", "2015-04-05", "2015-04-05"),
        # 2 + 2 points are more than 3, and less than 5.4
        2: (7, 2, 6, "2015-04-12", "2015-04-05", "2015-04-12"),
        3: (8, 4, 7, "2015-04-19", "2015-04-12", "2015-04-19"),
        4: (10, 7, 7, "2015-04-19", "2015-04-12", "2015-04-26"),
    }
    for name, value in (
        ("forecast_reason", None),
        ("range_reason", None),
        ("assumptions", ASSUMPTIONS),
    ):
        assert {row[name] for row in forecast.values()} == {value}


def test_epic_of_a_csv_has_the_stories_with_its_label(csv: Project) -> None:
    (epic,) = csv.rows("epic_progress")
    assert {name: value for name, value in epic.items() if name != "project_id"} == {
        "epic_id": 51,
        "project_name": "shop",
        "name": "Checkout",
        "label_name": "checkout",
        "url": None,
        "stories": 2,
        "stories_accepted": 1,
        "stories_unscheduled": 0,
        "points": 9,
        "points_accepted": 6,
        "unestimated_stories": 0,
        "share_of_stories_accepted": 0.5,
        "share_of_points_accepted": pytest.approx(2 / 3),
        "first_started_at": None,
        "last_accepted_at": "2015-03-27T00:00:00Z",
        "completed_at": None,
        "projected_completion": "2015-04-19T00:00:00Z",
        "earliest_completion": "2015-04-12",
        "latest_completion": "2015-04-19",
        "projected_completion_reason": None,
        "first_started_reason": "no transitions",
        "share_of_points_reason": None,
        "assumptions": ASSUMPTIONS,
        "as_of": AS_OF,
    }


def test_release_of_a_csv_has_the_stories_before_it(csv: Project) -> None:
    releases = csv.by("release_progress", "release_id")
    counts = ("stories", "stories_accepted", "points", "points_accepted")
    assert columns(releases, *counts) == {9: (4, 4, 6, 6), 10: (4, 1, 13, 6)}
    progress = ("projected_completion", "earliest_completion", "latest_completion", "days_late")
    assert columns(releases, *progress, "projected_completion_reason", "days_late_reason") == {
        9: (None, None, None, 1, "accepted", None),
        10: ("2015-04-19T00:00:00Z", "2015-04-12", "2015-04-19", 9, None, None),
    }
    assert {row["stories_reason"] for row in releases.values()} == {None}


def test_daily_states_of_a_csv_are_open_and_accepted(csv: Project) -> None:
    days = csv.by("daily_states", "date", "state")
    assert (min(days)[0], max(days)[0]) == ("2015-02-27", "2015-03-31")
    assert len(days) == 2 * 33
    assert {row["taken_from"] for row in days.values()} == {"dates"}
    found: dict[str, tuple[float, ...]] = {}
    for date in sorted({date for date, _ in days}):
        count = tuple(
            days[date, state][name]
            for state in ("open", "accepted")
            for name in ("stories", "points")
        )
        if count != next(reversed(found.values()), None):
            found[date] = count  # type: ignore[assignment]
    # the releases are not counted
    assert found == {
        "2015-02-27": (1, 2, 0, 0),
        "2015-03-02": (2, 3, 0, 0),
        "2015-03-03": (3, 6, 0, 0),
        "2015-03-04": (2, 4, 1, 2),
        "2015-03-06": (1, 3, 2, 3),
        "2015-03-09": (1, 3, 3, 3),
        "2015-03-10": (0, 0, 4, 6),
        "2015-03-16": (1, 6, 4, 6),
        "2015-03-20": (4, 13, 4, 6),
        "2015-03-27": (3, 7, 5, 12),
        "2015-03-28": (4, 7, 5, 12),
    }


def test_throughput_of_a_csv(csv: Project) -> None:
    weeks = csv.by("throughput_weekly", "week", "story_type")
    assert columns(weeks, "created", "accepted", "points_accepted") == {
        ("2015-02-23", "feature"): (1, 0, 0),
        ("2015-03-02", "feature"): (1, 1, 2),
        ("2015-03-02", "bug"): (1, 1, 1),
        ("2015-03-02", "release"): (1, 0, 0),
        ("2015-03-09", "feature"): (0, 1, 3),
        ("2015-03-09", "chore"): (1, 1, 0),
        ("2015-03-09", "release"): (0, 1, 0),
        ("2015-03-16", "feature"): (4, 0, 0),
        ("2015-03-16", "release"): (1, 0, 0),
        ("2015-03-23", "feature"): (1, 1, 6),
    }


def test_age_of_open_stories_of_a_csv(csv: Project) -> None:
    ages = csv.by("open_story_age", "story_id")
    assert columns(ages, "age_days", "days_in_state", "is_scheduled", "days_in_state_reason") == {
        **dict.fromkeys((6, 7, 8, 10), (11, None, True, "no transitions")),
        11: (3, None, False, "no transitions"),
    }


def test_people_of_a_csv(csv: Project) -> None:
    weeks = csv.by("person_activity", "person_name", "week")
    counts = ("stories_accepted", "points_accepted", "comments", "activities")
    assert columns(weeks, *counts, "comments_reason", "activities_reason") == {
        ("Ann", "2015-03-02"): (1, 2, 0, None, None, "no activity"),
        ("Ann", "2015-03-30"): (0, 0, 1, None, None, "no activity"),
    }


def test_release_with_nothing_left_but_itself_is_forecast(database: ViewDatabase) -> None:
    """All its stories are accepted, but nobody has accepted the release."""
    loaded = Project(database, "open release")
    (progress,) = loaded.rows("release_progress")
    assert (progress["stories"], progress["stories_accepted"]) == (5, 5)
    # iteration 5, which is the current one, ends on 5 April
    assert progress["projected_completion"] == "2015-04-05T00:00:00Z"
    assert (progress["days_late"], progress["days_late_reason"]) == (3, None)


def test_velocity_of_a_finished_project(
    database: ViewDatabase,
) -> None:
    loaded = Project(database, "finished")
    (velocity,) = loaded.rows("project_velocity")
    assert (velocity["velocity"], velocity["current_iteration_number"]) == (3, 5)
    assert velocity["current_iteration_start"] == "2015-03-30T00:00:00Z"
    assert set(loaded.by("iteration_metrics", "iteration_number")) == {1, 2, 4}
    assert loaded.rows("forecast") == []


def test_a_long_abandoned_backlog_is_forecast_from_the_last_event(database: ViewDatabase) -> None:
    """Tracker moved what was open from week to week, until the day of the export."""
    loaded = Project(database, "abandoned")
    (velocity,) = loaded.rows("project_velocity")
    assert (velocity["velocity"], velocity["current_iteration_number"]) == (3, 5)
    (forecast,) = loaded.rows("forecast")
    assert (forecast["iteration_number"], forecast["expected_by"]) == (5, "2015-04-05")
    (age,) = loaded.rows("open_story_age")
    assert age["age_days"] == 7  # 27 March, the last acceptance


def test_iterations_of_two_weeks(database: ViewDatabase) -> None:
    loaded = Project(database, "two weeks")
    (velocity,) = loaded.rows("project_velocity")
    assert (velocity["velocity"], velocity["iteration_length"]) == (5, 2)  # 11 / 2
    assert "missing iterations" not in velocity["assumptions"]
    # a story in no iteration: by the order of the rows
    (forecast,) = loaded.rows("forecast")
    assert (forecast["iteration_number"], forecast["expected_by"]) == (3, "2015-04-12")


def test_missing_metrics_without_iterations_have_a_reason(
    database: ViewDatabase,
) -> None:
    loaded = Project(database, "no iterations")
    assert loaded.rows("iteration_metrics") == []
    (velocity,) = loaded.rows("project_velocity")
    assert (velocity["velocity"], velocity["velocity_reason"]) == (None, "no iterations")
    assert velocity["volatility_reason"] == "no iterations"
    forecast = loaded.by("forecast", "position")
    assert columns(forecast, "story_id", "expected_by", "forecast_reason", "range_reason") == {
        place: (story_id, None, "no iterations", "no iterations")
        for place, story_id in enumerate((6, 7, 8, 10), 1)
    }
    release = loaded.by("release_progress", "release_id")[10]
    assert (release["stories"], release["days_late"]) == (4, None)
    assert release["projected_completion_reason"] == release["days_late_reason"] == "no iterations"


def test_iterations_without_dates_have_no_velocity(database: ViewDatabase) -> None:
    loaded = Project(database, "no dates")
    iterations = loaded.by("iteration_metrics", "iteration_number")
    assert {row["length_weeks"] for row in iterations.values()} == {None}
    (velocity,) = loaded.rows("project_velocity")
    assert (velocity["velocity"], velocity["velocity_reason"]) == (None, "no iteration length")
    assert {row["forecast_reason"] for row in loaded.rows("forecast")} == {"no iteration length"}
