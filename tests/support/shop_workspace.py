"""A project small enough to calculate its metrics by hand: seven weeks of a shop in New York.

Clocks change on Sunday 2025-03-09, from UTC-5 to UTC-4. Bugs and chores take no points, iterations
begin on Mondays, velocity is averaged over 3 iterations.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tracker_server.sample import generate_workspace
from tracker_server.workspace import Project, Workspace

Record = dict[str, Any]

SHOP = 11
ANN, BOB = 1, 2
NAMES = {ANN: "Ann", BOB: "Bob"}
NOW = datetime(2025, 4, 9, 16, tzinfo=UTC)


def small_shop() -> Workspace:
    """Make the workspace, with fixed iterations and daily history."""
    project = Project(
        record=_project(),
        stories={story["id"]: story for story in (*_accepted_stories(), *_open_stories())},
        epics={
            51: _epic(51, "Launch", 31, comments=[_comment(71, ANN, "2025-03-12T14:00:00Z")]),
            52: _epic(52, "Speed", 32),
        },
        labels={
            31: {"kind": "label", "id": 31, "project_id": SHOP, "name": "launch"},
            32: {"kind": "label", "id": 32, "project_id": SHOP, "name": "speed"},
        },
        activity=[
            _activity(1, ANN, "2025-03-05T15:00:00Z"),
            _activity(2, ANN, "2025-03-06T15:00:00Z"),
            _activity(3, BOB, "2025-03-12T15:00:00Z"),
        ],
        iterations=_iterations(),
        history_days={
            "kind": "daily_history_container",
            "header": [
                "date",
                "points_accepted",
                "points_started",
                "counts_accepted",
                "counts_started",
            ],
            "data": [["2025-03-06", 2.0, 0.0, 1, 0], ["2025-03-07", 2.0, 1.0, 2, 1]],
        },
    )
    people = {key: {"kind": "person", "id": key, "name": name} for key, name in NAMES.items()}
    return Workspace(
        me=generate_workspace(projects=0).me, now=NOW, people=people, projects={SHOP: project}
    )


def _project() -> Record:
    return {
        "kind": "project",
        "id": SHOP,
        "name": "Shop",
        "version": 40,
        "iteration_length": 1,
        "week_start_day": "Monday",
        "bugs_and_chores_are_estimatable": False,
        "automatic_planning": True,
        "time_zone": {"kind": "time_zone", "olson_name": "America/New_York", "offset": "-04:00"},
        "velocity_averaged_over": 3,
        "initial_velocity": 10,
        "current_iteration_number": 5,
        "start_date": "2025-03-03",
        "created_at": "2025-03-03T13:00:00Z",
        "updated_at": "2025-04-08T14:00:00Z",
    }


def _iterations() -> list[Record]:
    """Return the iterations; nobody worked in the second one."""
    # number, start, finish, weeks, team strength, points, stories
    spans = [
        (1, "2025-03-03T05", "2025-03-10T04", 1, 1, 3, [101, 102, 103]),
        (2, "2025-03-10T04", "2025-03-17T04", 1, 0, 0, []),
        (3, "2025-03-17T04", "2025-03-24T04", 1, 0.5, 2, [104]),
        (4, "2025-03-24T04", "2025-04-07T04", 2, 1, 6, [105, 106, 107, 108]),
        (5, "2025-04-07T04", "2025-04-14T04", 1, 1, 3, [110, 111]),
        (6, "2025-04-14T04", "2025-04-21T04", 1, 1, 3, [112]),
        (7, "2025-04-21T04", "2025-04-28T04", 1, 0.5, 5, [113]),
        (8, "2025-04-28T04", "2025-05-05T04", 1, 1, 1, [114, 115]),
    ]
    return [
        {
            "kind": "iteration",
            "project_id": SHOP,
            "number": number,
            "start": f"{start}:00:00Z",
            "finish": f"{finish}:00:00Z",
            "length": weeks,
            "team_strength": strength,
            "points": points,
            "accepted_points": points if number < 5 else 0,
            "story_ids": story_ids,
        }
        for number, start, finish, weeks, strength, points, story_ids in spans
    ]


def _accepted_stories() -> list[Record]:
    return [
        # started twice, rejected once: 48 hours from the first start to the acceptance
        _story(
            101,
            "2025-03-03T14",
            "unstarted 2025-03-03T15, started 2025-03-04T14, finished 2025-03-05T14, "
            "delivered 2025-03-05T15, rejected 2025-03-05T16, started 2025-03-05T17, "
            "finished 2025-03-05T19, delivered 2025-03-05T20, accepted 2025-03-06T14",
            estimate=2,
            owner_ids=[ANN],
            label_ids=[31],
            comments=[_comment(61, BOB, "2025-03-10T03:45:00Z", story_id=101)],
            tasks=[_task(81, complete=True), _task(82, complete=False)],
            blockers=[_blocker(91, resolved=True), _blocker(92, resolved=False)],
        ),
        # started on Friday at 16:00, finished on Sunday at 23:00, while clocks change
        _story(
            102,
            "2025-03-07T20",
            "started 2025-03-07T21, finished 2025-03-10T03, delivered 2025-03-10T03:15, "
            "accepted 2025-03-10T03:30",
            estimate=1,
            owner_ids=[BOB, ANN],
        ),
        # never started; bugs take no points in this project
        _story(
            103,
            "2025-03-05T14",
            "unstarted 2025-03-05T15, delivered 2025-03-07T13, accepted 2025-03-07T14",
            story_type="bug",
            estimate=5,
        ),
        # no transitions, but cycle_time_details
        _story(
            104,
            "2025-03-17T14",
            "",
            accepted_at="2025-03-20T14:00:00Z",
            current_state="accepted",
            estimate=2,
            label_ids=[32],
            cycle_time_details=_cycle_time(
                104, 36_000_000, started=(7_200_000, 1), rejected=(28_800_000, 2)
            ),
        ),
        _story(
            105,
            "2025-03-24T14",
            "started 2025-03-25T14, accepted 2025-03-26T14",
            estimate=4,
            label_ids=[32],
        ),
        _story(106, "2025-03-24T14", "started 2025-03-27T14, accepted 2025-03-29T14", estimate=2),
        _story(
            107,
            "2025-04-01T08",
            "started 2025-04-01T10, accepted 2025-04-01T14",
            story_type="chore",
        ),
        _story(
            108,
            "2025-03-03T14",
            "accepted 2025-04-02T14",
            story_type="release",
            deadline="2025-04-01T12:00:00Z",
        ),
    ]


def _open_stories() -> list[Record]:
    return [
        _story(
            110,
            "2025-04-07T14",
            "unstarted 2025-04-07T14, started 2025-04-08T14",
            estimate=2,
            label_ids=[31],
        ),
        _story(111, "2025-04-07T14", "unstarted 2025-04-07T15", estimate=1),
        _story(112, "2025-04-07T14", "unstarted 2025-04-07T15", estimate=3),
        _story(113, "2025-04-07T14", "unstarted 2025-04-07T15", estimate=5),
        _story(114, "2025-04-07T14", "unstarted 2025-04-07T15", estimate=1),
        _story(
            115,
            "2025-04-07T14",
            "unstarted 2025-04-07T15",
            story_type="release",
            deadline="2025-04-21T12:00:00Z",
        ),
        _story(120, "2025-03-05T14", "", label_ids=[31]),
        _story(121, "2025-03-05T14", "", story_type="bug", label_ids=[31]),
    ]


def _story(story_id: int, created: str, moves: str, **attributes: Any) -> Record:
    """Make a story with transitions, written as `state time, state time` in UTC."""
    transitions = [
        {
            "kind": "story_transition",
            "story_id": story_id,
            "project_id": SHOP,
            "project_version": place,
            "state": state,
            "occurred_at": _time(moment),
            "performed_by_id": ANN,
        }
        for place, (state, moment) in enumerate(move.split() for move in moves.split(", ") if move)
    ]
    last = transitions[-1] if transitions else {"state": "unscheduled"}
    if last["state"] == "accepted":
        attributes = {"accepted_at": last["occurred_at"], **attributes}
    return {
        "kind": "story",
        "id": story_id,
        "project_id": SHOP,
        "name": f"Story {story_id}",
        "story_type": "feature",
        "current_state": last["state"],
        "requested_by_id": ANN,
        "url": f"https://www.pivotaltracker.com/story/show/{story_id}",
        "created_at": _time(created),
        "updated_at": _time(created),
        "owner_ids": [],
        "label_ids": [],
        "transitions": transitions,
        **attributes,
    }


def _time(moment: str) -> str:
    return f"{moment}:00Z" if ":" in moment else f"{moment}:00:00Z"


def _epic(epic_id: int, name: str, label_id: int, **attributes: Any) -> Record:
    return {
        "kind": "epic",
        "id": epic_id,
        "project_id": SHOP,
        "name": name,
        "label_id": label_id,
        "url": f"https://www.pivotaltracker.com/epic/show/{epic_id}",
        "comments": [],
        **attributes,
    }


def _comment(comment_id: int, person_id: int, created_at: str, **ids: int) -> Record:
    return {
        "kind": "comment",
        "id": comment_id,
        "person_id": person_id,
        "text": "Fine",
        "created_at": created_at,
        **ids,
    }


def _task(task_id: int, *, complete: bool) -> Record:
    return {"kind": "task", "id": task_id, "description": "Do", "complete": complete}


def _blocker(blocker_id: int, *, resolved: bool) -> Record:
    return {"kind": "blocker", "id": blocker_id, "description": "Rain", "resolved": resolved}


def _cycle_time(story_id: int, total: int, **states: tuple[int, int]) -> Record:
    details: Record = {
        "kind": "cycle_time_details",
        "story_id": story_id,
        "total_cycle_time": total,
    }
    for state in ("started", "finished", "delivered", "rejected"):
        details[f"{state}_time"], details[f"{state}_count"] = states.get(state, (0, 0))
    return details


def _activity(version: int, person_id: int, occurred_at: str) -> Record:
    return {
        "kind": "story_update_activity",
        "guid": f"{SHOP}_{version}",
        "project_version": version,
        "message": "edited this feature",
        "highlight": "edited",
        "changes": [],
        "primary_resources": [],
        "secondary_resources": [],
        "project": {"kind": "project", "id": SHOP, "name": "Shop"},
        "performed_by": {"kind": "person", "id": person_id, "name": NAMES[person_id]},
        "occurred_at": occurred_at,
    }
