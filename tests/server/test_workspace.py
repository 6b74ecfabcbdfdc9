"""The workspace of `tracker_server` records all changes and computes as Tracker did."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from tracker_server.sample import END, generate_workspace
from tracker_server.workspace import Project, Record, Workspace

from ..support.recorded import PROJECT_ID, RECORDED, recorded_workspace, responses


@pytest.fixture
def workspace() -> Workspace:
    me = {"kind": "me", "id": 7, "name": "Ada Okoye", "initials": "AO", "api_token": "secret"}
    return Workspace(me=me, now=datetime(2025, 1, 6, 9, tzinfo=UTC), people={7: me})


@pytest.fixture
def project(workspace: Workspace) -> Project:
    return workspace.create_project(name="Shop", time_zone="America/Los_Angeles")


@pytest.fixture
def project_id(project: Project) -> int:
    return int(project.record["id"])


@pytest.fixture(scope="module")
def sample() -> Workspace:
    return generate_workspace(projects=4, stories=120, activity=1000)


def later(workspace: Workspace, **by: float) -> str:
    workspace.now += timedelta(**by)
    return workspace.time()


def by_kind(activity: Record) -> dict[str, list[Record]]:
    changes: dict[str, list[Record]] = {}
    for change in activity["changes"]:
        changes.setdefault(f"{change['kind']} {change['change_type']}", []).append(change)
    return changes


def as_json(workspace: Workspace) -> str:
    data = {
        field.name: getattr(workspace, field.name)
        for field in dataclasses.fields(workspace)
        if field.name not in {"lock", "now", "projects", "attachments", "moves_updated_at"}
    }
    data["projects"] = {key: vars(project) for key, project in workspace.projects.items()}
    data["attachments"] = {key: data.hex() for key, data in workspace.attachments.items()}
    return json.dumps(data)


def every_change(workspace: Workspace, project_id: int) -> list[tuple[str, Callable[[], object]]]:
    """The kind of activity and the call of every change; what they need is created at once."""
    other_id = workspace.create_project(name="Other").record["id"]
    person = workspace.add_person("Bo Ek")["id"]
    label = workspace.create_label(project_id, "new")["id"]
    epic = workspace.create_epic(project_id, "Everything")["id"]
    second_epic = workspace.create_epic(project_id, "More", label_id=label)["id"]
    member = workspace.add_membership(project_id, person, "viewer")["id"]
    first = workspace.create_story(project_id, name="first")["id"]
    second = workspace.create_story(project_id, name="second")["id"]
    return [
        ("project_update", lambda: workspace.edit_project(project_id, name="Store")),
        ("story_create", lambda: workspace.create_story(project_id, name="third")),
        ("story_update", lambda: workspace.edit_story(first, name="First")),
        ("story_move", lambda: workspace.reorder_stories(second)),
        *every_child_change(workspace, project_id, first, epic),
        ("label_create", lambda: workspace.create_label(project_id, "newer")),
        ("label_update", lambda: workspace.rename_label(label, "old")),
        ("epic_create", lambda: workspace.create_epic(project_id, "Even more")),
        ("epic_update", lambda: workspace.edit_epic(epic, description="All")),
        ("epic_move", lambda: workspace.reorder_epics(project_id, second_epic)),
        ("epic_delete", lambda: workspace.delete_epic(second_epic)),
        ("label_delete", lambda: workspace.delete_label(label)),
        ("project_membership_update", lambda: workspace.edit_membership(member, role="member")),
        ("project_membership_delete", lambda: workspace.remove_membership(member)),
        ("iteration_update", lambda: workspace.override_iteration(project_id, 2, length=2)),
        ("story_delete", lambda: workspace.delete_stories(second)),
        ("story_move_from_project", lambda: workspace.move_story_to_project(first, other_id)),
    ]


def every_child_change(
    workspace: Workspace, project_id: int, story: int, epic: int
) -> list[tuple[str, Callable[[], object]]]:
    """The changes of what is nested in a story and an epic."""
    comment = workspace.add_comment("Hm", story_id=story)["id"]
    epic_comment = workspace.add_comment("Hm", epic_id=epic)["id"]
    task = workspace.add_task(story, "Do it")["id"]
    blocker = workspace.add_blocker(story, "Rain")["id"]
    review_type = workspace.add_review_type(project_id, "Code")["id"]
    review = workspace.add_review(story, review_type)["id"]
    return [
        ("comment_create", lambda: workspace.add_comment("Oh", story_id=story)),
        ("comment_update", lambda: workspace.edit_comment(comment, "Ah")),
        ("comment_delete", lambda: workspace.delete_comment(comment)),
        ("comment_update", lambda: workspace.edit_comment(epic_comment, "Ah")),
        ("task_create", lambda: workspace.add_task(story, "Do more")),
        ("task_update", lambda: workspace.edit_task(task, complete=True)),
        ("task_delete", lambda: workspace.delete_task(task)),
        ("blocker_create", lambda: workspace.add_blocker(story, "Snow")),
        ("blocker_update", lambda: workspace.edit_blocker(blocker, resolved=True)),
        ("blocker_delete", lambda: workspace.delete_blocker(blocker)),
        ("review_create", lambda: workspace.add_review(story, review_type)),
        ("review_update", lambda: workspace.edit_review(review, status="pass")),
        ("review_delete", lambda: workspace.delete_review(review)),
        ("review_type_create", lambda: workspace.add_review_type(project_id, "Design")),
        (
            "pull_request_create",
            lambda: workspace.add_pull_request(story, owner="o", repo="r", number=1),
        ),
        ("branch_create", lambda: workspace.add_branch(story, owner="o", repo="r", name="b")),
    ]


def test_every_change_increments_the_version_and_appends_one_activity(
    workspace: Workspace, project: Project, project_id: int
) -> None:
    changes = every_change(workspace, project_id)
    before = project.record["version"]
    later(workspace, hours=1)
    for number, (kind, make) in enumerate(changes, start=1):
        revision, count = workspace.revision, len(project.activity)
        make()
        activity = project.activity[-1]
        assert activity["kind"] == f"{kind}_activity"
        assert project.record["version"] == activity["project_version"] == before + number
        assert activity["guid"] == f"{project_id}_{before + number}"
        assert len(project.activity) == count + 1
        assert workspace.revision > revision
        assert activity["occurred_at"] == workspace.time()
        assert activity["performed_by"] == {
            "kind": "person",
            "id": 7,
            "name": "Ada Okoye",
            "initials": "AO",
        }
        assert activity["message"].startswith(f"Ada Okoye {activity['highlight']}")
        assert activity["changes"]
        assert activity["primary_resources"]
        json.dumps(activity)


def test_edits_to_equal_values_change_nothing(workspace: Workspace, project: Project) -> None:
    story = workspace.create_story(project.record["id"], name="same", owner_ids=[7])
    before = json.dumps(vars(project))
    later(workspace, hours=1)
    workspace.edit_story(story["id"], name="same", owner_ids=(7,), estimate=None)
    assert json.dumps(vars(project)) == before


def test_a_new_state_appends_a_transition_and_sets_accepted_at(
    workspace: Workspace, project: Project, project_id: int
) -> None:
    story = workspace.create_story(project_id, name="s", estimate=2)
    assert story["id"] > 10**8
    assert story["transitions"] == []
    for state in ("unstarted", "started", "accepted", "rejected"):
        now = later(workspace, hours=1)
        workspace.edit_story(story["id"], current_state=state)
        transition = story["transitions"][-1]
        assert transition == {
            "kind": "story_transition",
            "state": state,
            "story_id": story["id"],
            "project_id": project_id,
            "project_version": project.record["version"],
            "occurred_at": now,
            "performed_by_id": 7,
        }
        assert story.get("accepted_at") == (now if state == "accepted" else None)
    (change,) = project.activity[-1]["changes"]
    assert change["original_values"]["accepted_at"] is not None
    assert change["new_values"]["accepted_at"] is None
    assert "accepted_at" not in story
    with pytest.raises(ValueError, match="no state"):
        workspace.edit_story(story["id"], current_state="done")


def test_owned_by_id_is_the_first_owner(workspace: Workspace, project_id: int) -> None:
    story = workspace.create_story(project_id, owner_ids=[8, 9])
    assert story["owned_by_id"] == 8
    workspace.edit_story(story["id"], owner_ids=[9])
    assert story["owned_by_id"] == 9
    workspace.edit_story(story["id"], owner_ids=[])
    assert "owned_by_id" not in story


def test_an_unnoticed_edit_changes_the_record_alone(
    workspace: Workspace, project: Project, project_id: int
) -> None:
    story = workspace.create_story(project_id, name="s")
    version, count, updated_at = project.record["version"], len(project.activity), workspace.time()
    revision = workspace.revision
    later(workspace, hours=1)
    workspace.edit_story(story["id"], unnoticed=True, owner_ids=[7])
    assert story["owner_ids"] == [7]
    assert story["updated_at"] == updated_at
    assert (project.record["version"], len(project.activity)) == (version, count)
    assert workspace.revision == revision + 1


@pytest.mark.parametrize(
    ("change", "moves"),
    [
        ("comment", True),
        ("task", True),
        ("blocker", False),
        ("review", False),
        ("pull_request", False),
        ("branch", False),
        ("label", False),
        ("reorder", False),
    ],
)
def test_which_changes_move_updated_at(
    workspace: Workspace, project: Project, project_id: int, change: str, moves: bool
) -> None:
    label = workspace.create_label(project_id, "l")
    review_type = workspace.add_review_type(project_id, "Code")
    story = workspace.create_story(project_id, name="s", label_ids=[label["id"]])
    workspace.create_story(project_id, name="other")
    story_id, created_at = story["id"], story["updated_at"]
    now = later(workspace, minutes=5)
    make: dict[str, Any] = {
        "comment": lambda: workspace.add_comment("c", story_id=story_id),
        "task": lambda: workspace.add_task(story_id, "t"),
        "blocker": lambda: workspace.add_blocker(story_id, "b"),
        "review": lambda: workspace.add_review(story_id, review_type["id"]),
        "pull_request": lambda: workspace.add_pull_request(story_id, owner="o", repo="r", number=1),
        "branch": lambda: workspace.add_branch(story_id, owner="o", repo="r", name="b"),
        "label": lambda: workspace.rename_label(label["id"], "L"),
        "reorder": lambda: workspace.reorder_stories(story_id),
    }
    make[change]()
    assert story["updated_at"] == (now if moves else created_at)
    about = {resource["id"] for resource in project.activity[-1]["primary_resources"]}
    assert about == {label["id"] if change == "label" else story_id}
    assert ("story update" in by_kind(project.activity[-1])) == (moves or change == "reorder")


@pytest.mark.parametrize("moves", [("comment", "owner_ids"), ("task",), ()], ids=str)
def test_moves_updated_at_is_configurable(
    workspace: Workspace, project: Project, project_id: int, moves: tuple[str, ...]
) -> None:
    workspace.moves_updated_at = frozenset(moves)
    story = workspace.create_story(project_id, name="s")
    story_id = story["id"]
    for kind, make in {
        "comment": lambda: workspace.add_comment("c", story_id=story_id),
        "task": lambda: workspace.add_task(story_id, "t"),
        "owner_ids": lambda: workspace.edit_story(story_id, owner_ids=[7]),
    }.items():
        before, known = story["updated_at"], len(project.activity)
        now = later(workspace, minutes=5)
        make()
        assert story["updated_at"] == (now if kind in moves else before), kind
        assert len(project.activity) == known + 1, kind
    now = later(workspace, minutes=5)
    workspace.edit_story(story_id, owner_ids=[], name="other")
    assert story["updated_at"] == now


def test_stories_deleted_together_have_one_activity(
    workspace: Workspace, project: Project, project_id: int
) -> None:
    ids = [workspace.create_story(project_id, name=name)["id"] for name in "abc"]
    workspace.delete_stories(ids[0], ids[2])
    assert list(project.stories) == [ids[1]]
    changes = project.activity[-1]["changes"]
    assert [change["id"] for change in changes] == [ids[0], ids[2]]
    assert all(
        set(change) == {"kind", "change_type", "id", "name", "story_type"} for change in changes
    )
    with pytest.raises(KeyError):
        workspace.find_story(ids[0])
    with pytest.raises(KeyError):
        workspace.delete_stories(ids[1], ids[2])
    assert list(project.stories) == [ids[1]]


def test_the_change_of_a_deleted_child_has_its_id_only(
    workspace: Workspace, project: Project, project_id: int
) -> None:
    story = workspace.create_story(project_id)
    file = {"filename": "a.txt", "content_type": "text/plain", "content": b"abc"}
    comment = workspace.add_comment("c", story_id=story["id"], file_attachments=[file])
    (attachment,) = comment["file_attachments"]
    assert workspace.attachments == {attachment["id"]: b"abc"}
    assert (attachment["size"], attachment["filename"]) == (3, "a.txt")
    assert "content" not in attachment
    created = by_kind(project.activity[-1])["comment create"][0]["new_values"]
    assert created["file_attachment_ids"] == [attachment["id"]]
    now = later(workspace, minutes=1)
    workspace.delete_comment(comment["id"])
    assert workspace.attachments == {}
    assert story["comments"] == []
    assert story["updated_at"] == now
    assert by_kind(project.activity[-1])["comment delete"] == [
        {"kind": "comment", "change_type": "delete", "id": comment["id"]}
    ]


def test_a_story_moves_to_another_project_with_children_and_labels(
    workspace: Workspace, project: Project, project_id: int
) -> None:
    target = workspace.create_project(name="Target")
    target_id = target.record["id"]
    known = workspace.create_label(target_id, "known")
    names = ("known", "new")
    labels = [workspace.create_label(project_id, name)["id"] for name in names]
    review_type = workspace.add_review_type(project_id, "Code")["id"]
    story = workspace.create_story(project_id, name="s", label_ids=labels)
    comment = workspace.add_comment("c", story_id=story["id"])
    workspace.add_review(story["id"], review_type)

    workspace.move_story_to_project(story["id"], target_id)

    assert story["id"] not in project.stories
    assert workspace.find_story(story["id"]) == (target, story)
    assert story["project_id"] == target_id
    assert [target.labels[label_id]["name"] for label_id in story["label_ids"]] == list(names)
    assert story["label_ids"][0] == known["id"]
    assert story["reviews"][0]["review_type_id"] in target.review_types
    assert by_kind(project.activity[-1])["story delete"][0]["id"] == story["id"]
    arrived = by_kind(target.activity[-1])
    assert target.activity[-1]["kind"] == "story_move_into_project_activity"
    assert arrived["story create"][0]["new_values"]["labels"] == list(names)
    assert [change["name"] for change in arrived["label create"]] == ["new"]
    workspace.edit_comment(comment["id"], "still found")
    assert target.activity[-1]["kind"] == "comment_update_activity"


def test_priority_order(workspace: Workspace, project: Project, project_id: int) -> None:
    ids = {name: workspace.create_story(project_id, name=name)["id"] for name in "abcd"}

    def order() -> str:
        return "".join(story["name"] for story in project.stories.values())

    assert order() == "dcba", "a new story is on top of the icebox"
    workspace.edit_story(ids["b"], current_state="unstarted")
    workspace.edit_story(ids["a"], current_state="unstarted")
    assert order() == "badc", "a scheduled one is at the end of the backlog"
    workspace.reorder_stories(ids["d"], ids["a"], before_id=ids["b"])
    assert order() == "dabc"
    assert [change["new_values"] for change in project.activity[-1]["changes"]] == [
        {"after_id": None, "before_id": ids["a"]},
        {"after_id": ids["d"], "before_id": ids["b"]},
    ]
    workspace.reorder_stories(ids["d"])
    assert order() == "abcd"
    with pytest.raises(ValueError, match="before itself"):
        workspace.reorder_stories(ids["d"], before_id=ids["d"])


def test_a_deleted_label_is_removed_from_its_stories(
    workspace: Workspace, project: Project, project_id: int
) -> None:
    keep, drop = (workspace.create_label(project_id, name)["id"] for name in ("keep", "drop"))
    story = workspace.create_story(project_id, label_ids=[keep, drop])
    workspace.create_story(project_id, label_ids=[keep])
    workspace.delete_label(drop)
    assert story["label_ids"] == [keep]
    changes = by_kind(project.activity[-1])
    assert [change["id"] for change in changes["story update"]] == [story["id"]]
    assert changes["label delete"][0]["name"] == "drop"


def test_my_projects_follow_the_memberships(workspace: Workspace, project_id: int) -> None:
    other = workspace.create_project(name="Other").record["id"]
    workspace.edit_project(other, name="Renamed")
    assert [project["project_name"] for project in workspace.me["projects"]] == ["Shop", "Renamed"]
    workspace.delete_project(other)
    assert [project["project_id"] for project in workspace.me["projects"]] == [project_id]


def test_forgetting_activity_keeps_the_latest_and_the_version(
    workspace: Workspace, project: Project, project_id: int
) -> None:
    for _ in range(5):
        workspace.create_story(project_id)
    workspace.forget_activity(project_id, keep=2)
    assert [item["project_version"] for item in project.activity] == [5, 6]
    assert project.record["version"] == 6


def test_projects_added_directly_are_found(workspace: Workspace) -> None:
    comment = {
        "kind": "comment",
        "id": 400_000_001,
        "text": "c",
        "updated_at": "2020-01-01T00:00:00Z",
    }
    story = {
        "kind": "story",
        "id": 12,
        "name": "s",
        "story_type": "bug",
        "current_state": "started",
        "project_id": 1,
        "owner_ids": [],
        "label_ids": [],
        "comments": [comment],
    }
    project = Project({"kind": "project", "id": 1, "version": 3}, stories={12: story})
    loaded = Workspace(me=workspace.me, now=workspace.now, projects={1: project})
    assert loaded.new_id() > 400_000_001
    workspace.projects[1] = project
    for holder in (loaded, workspace):
        assert holder.find_story(12) == (project, story)
        holder.edit_comment(400_000_001, f"edited {id(holder)}")
    assert project.record["version"] == 5


def test_iterations_follow_the_calendar_and_the_velocity(
    workspace: Workspace, project: Project, project_id: int
) -> None:
    start = datetime(2025, 1, 6, 18, tzinfo=UTC)
    stories = [
        workspace.create_story(project_id, estimate=2, current_state="unstarted") for _ in range(12)
    ]
    for week, count in enumerate((2, 3, 1)):
        for _ in range(count):
            workspace.now = start + timedelta(weeks=week)
            done = next(story for story in stories if story["current_state"] == "unstarted")
            workspace.edit_story(done["id"], current_state="accepted")
    workspace.now = start + timedelta(weeks=3)
    workspace.edit_story(stories[11]["id"], current_state="started")

    plan = workspace.iterations(project_id)
    assert [iteration["number"] for iteration in plan] == [1, 2, 3, 4, 5, 6]
    assert [iteration["points"] for iteration in plan] == [4, 6, 2, 4, 4, 4]
    assert workspace.current_iteration_number(project_id) == 4
    assert workspace.current_velocity(project_id) == 4
    assert [len(iteration["story_ids"]) for iteration in plan[:3]] == [2, 3, 1]
    assert [iteration["accepted_points"] for iteration in plan[:4]] == [4, 6, 2, 0]
    assert plan[3]["story_ids"] == [stories[6]["id"], stories[11]["id"]]
    assert [iteration["velocity"] for iteration in plan] == [10, 4, 5, 4, 4, 4]
    assert all(one["finish"] == two["start"] for one, two in pairwise(plan))
    assert plan[0]["start"] == "2025-01-06T08:00:00Z", "midnight of Monday in Los Angeles"
    data = Counter(story_id for iteration in plan for story_id in iteration["story_ids"])
    assert data == Counter(story["id"] for story in stories)


def test_iterations_have_their_length_in_local_time(workspace: Workspace) -> None:
    project = workspace.create_project(
        time_zone="America/Los_Angeles", iteration_length=2, start_date="2025-02-26"
    )
    project_id = project.record["id"]
    workspace.override_iteration(project_id, 1, length=1, team_strength=0.5)
    (change,) = project.activity[-1]["changes"]
    assert set(change) == {"kind", "change_type", "number", "new_values"}
    workspace.now = datetime(2025, 3, 20, tzinfo=UTC)
    plan = workspace.iterations(project_id)
    assert [(iteration["start"], iteration["finish"]) for iteration in plan] == [
        ("2025-02-24T08:00:00Z", "2025-03-03T08:00:00Z"),
        ("2025-03-03T08:00:00Z", "2025-03-17T07:00:00Z"),
        ("2025-03-17T07:00:00Z", "2025-03-31T07:00:00Z"),
    ]
    assert [(iteration["length"], iteration["team_strength"]) for iteration in plan] == [
        (1, 0.5),
        (2, 1),
        (2, 1),
    ]
    assert all(iteration["story_ids"] == [] for iteration in plan)


def test_without_automatic_planning_only_planned_stories_are_current(workspace: Workspace) -> None:
    project = workspace.create_project(automatic_planning=False)
    project_id = project.record["id"]
    planned = workspace.create_story(project_id, current_state="planned", estimate=1)
    later_on = workspace.create_story(project_id, current_state="unstarted", estimate=1)
    plan = workspace.iterations(project_id)
    assert [iteration["story_ids"] for iteration in plan] == [[planned["id"]], [later_on["id"]]]


def test_cycle_time_includes_weekends(workspace: Workspace, project_id: int) -> None:
    story = workspace.create_story(project_id)
    assert "total_cycle_time" not in workspace.cycle_time_details(story)
    for hours, state in ((1, "unstarted"), (1, "started"), (30, "finished"), (2, "delivered")):
        later(workspace, hours=hours)
        workspace.edit_story(story["id"], current_state=state)
    for hours, state in ((3, "rejected"), (4, "started"), (5, "finished"), (6, "accepted")):
        later(workspace, hours=hours)
        workspace.edit_story(story["id"], current_state=state)
    later(workspace, days=10)
    hour = 3_600_000
    assert workspace.cycle_time_details(story) == {
        "kind": "cycle_time_details",
        "story_id": story["id"],
        "total_cycle_time": 50 * hour,
        "started_time": 35 * hour,
        "started_count": 2,
        "finished_time": 8 * hour,
        "finished_count": 2,
        "delivered_time": 3 * hour,
        "delivered_count": 1,
        "rejected_time": 4 * hour,
        "rejected_count": 1,
    }


def test_daily_history_has_every_story_in_one_state_each_day(
    workspace: Workspace, project_id: int
) -> None:
    story = workspace.create_story(project_id, estimate=3)
    workspace.create_story(project_id, story_type="release")
    later(workspace, days=1)
    workspace.edit_story(story["id"], current_state="started")
    later(workspace, days=2)
    workspace.create_story(project_id, story_type="bug")
    history = workspace.history_days(project_id)
    assert len(history["header"]) == 17
    rows = [dict(zip(history["header"], row, strict=True)) for row in history["data"]]
    assert [row["date"] for row in rows] == [f"2025-01-0{day}" for day in (6, 7, 8, 9)]
    assert [row["points_unscheduled"] for row in rows] == [3.0, 0.0, 0.0, 0.0]
    assert [row["points_started"] for row in rows] == [0.0, 3.0, 3.0, 3.0]
    assert [row["counts_unscheduled"] for row in rows] == [1, 0, 0, 1]
    assert workspace.history_days(project_id, 1)["data"][-1][4] == 3.0
    with pytest.raises(KeyError):
        workspace.history_days(project_id, 99)


def test_label_counts_and_releases(workspace: Workspace, project_id: int) -> None:
    label = workspace.create_label(project_id, "l")
    planned: dict[str, Any] = {"current_state": "unstarted", "label_ids": [label["id"]]}
    first = workspace.create_story(project_id, estimate=3, **planned)
    second = workspace.create_story(project_id, story_type="bug", **planned)
    release = workspace.create_story(
        project_id, name="1.0", story_type="release", current_state="unstarted"
    )
    workspace.create_story(project_id, **planned)
    counts = workspace.story_counts(label)
    assert counts["number_of_stories_by_state"]["unstarted"] == 3
    assert counts["sum_of_story_estimates_by_state"]["unstarted"] == 3
    assert counts["number_of_zero_point_stories_by_state"]["unstarted"] == 2
    (found,) = workspace.releases(project_id)
    assert found["kind"] == "release"
    assert found["id"] == release["id"]
    assert found["story_ids"] == [first["id"], second["id"]]


@pytest.mark.skipif(not RECORDED.is_dir(), reason="the recordings are not here")
def test_computed_values_equal_recorded_ones() -> None:
    workspace = recorded_workspace()
    project = workspace.projects[PROJECT_ID]
    project.iterations = None
    plan = {iteration["number"]: iteration for iteration in workspace.iterations(PROJECT_ID)}
    recorded = {
        iteration["number"]: iteration
        for path, _, body in responses("iterations")
        if path.endswith("iterations")
        for iteration in body
    }
    assert len(recorded) > 10
    for number, iteration in recorded.items():
        computed = plan[number]
        for name in ("start", "finish", "length", "team_strength"):
            assert computed[name] == iteration[name]
        assert computed["story_ids"] == [story["id"] for story in iteration["stories"]]
        for name in {"velocity", "points", "accepted_points", "effective_points"} & set(iteration):
            assert computed[name] == iteration[name]

    story = {
        "id": 66728000,
        "transitions": [
            {"state": "accepted", "occurred_at": "2017-01-03T23:44:24Z"},
            {"state": "rejected", "occurred_at": "2017-01-03T23:49:51Z"},
        ],
    }
    workspace.now = datetime(2019, 7, 10, 4, 11, 50, tzinfo=UTC)
    (details,) = (
        row
        for _, _, body in responses("cycle_time_details")
        for row in body
        if row["story_id"] == story["id"]
    )
    assert workspace.cycle_time_details(story) == details


def test_concurrent_changes_are_all_recorded(
    workspace: Workspace, project: Project, project_id: int
) -> None:
    def create_many() -> None:
        for _ in range(50):
            workspace.create_story(project_id)

    threads = [threading.Thread(target=create_many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(project.stories) == 200
    versions = [item["project_version"] for item in project.activity]
    assert versions == list(range(1, 202))


def test_the_same_seed_generates_the_same_workspace() -> None:
    once, again = (as_json(generate_workspace(2, 60, 300, seed=5, empty=1)) for _ in range(2))
    assert once == again
    assert once != as_json(generate_workspace(2, 60, 300, seed=6, empty=1))


@pytest.mark.parametrize("stories", [0, 1, 7, 40])
def test_the_sample_has_the_number_of_stories_requested(stories: int) -> None:
    workspace = generate_workspace(projects=2, stories=stories, activity=50, empty=1)
    *full, empty = workspace.projects.values()
    assert [len(project.stories) for project in full] == [stories, stories]
    assert all(len(project.activity) == min(50, project.record["version"]) for project in full)
    assert not empty.stories
    assert workspace.now == END


def test_sample_activity_is_complete_and_in_order(sample: Workspace) -> None:
    for project in sample.projects.values():
        version = project.record["version"]
        assert len(project.activity) == 1000
        versions = [item["project_version"] for item in project.activity]
        assert versions == list(range(version - 999, version + 1))
        times = [item["occurred_at"] for item in project.activity]
        assert times == sorted(times)
        assert times[-1] <= sample.time()


def test_sample_stories_obey_the_rules_of_tracker(sample: Workspace) -> None:
    follows: dict[str, set[Any]] = {
        "unstarted": {None, "unscheduled"},
        "unscheduled": {"unstarted"},
        "planned": {"unstarted"},
        "started": {"unstarted", "planned", "rejected"},
        "finished": {"started"},
        "delivered": {"finished"},
        "rejected": {"delivered"},
        "accepted": {"delivered", "unstarted"},
    }
    for project in sample.projects.values():
        scale = {int(point) for point in project.record["point_scale"].split(",")}
        for story in project.stories.values():
            states = [None, *(transition["state"] for transition in story["transitions"])]
            assert all(one in follows[str(two)] for one, two in pairwise(states))
            assert story["current_state"] == (states[-1] or "unscheduled")
            assert story.get("estimate", 0) in scale
            if story["story_type"] == "feature" and "started" in states:
                assert "estimate" in story
            times = [
                story["created_at"],
                *(transition["occurred_at"] for transition in story["transitions"]),
            ]
            assert times == sorted(times)
            assert times[-1] <= story["updated_at"] <= sample.time()
            assert datetime.fromisoformat(story["created_at"]).weekday() < 5
            assert all(label in project.labels for label in story["label_ids"])
        assert list(project.stories.values()) == sorted(
            project.stories.values(),
            key=lambda each: {"accepted": 0, "unscheduled": 2}.get(each["current_state"], 1),
        )


def test_the_sample_has_every_kind_of_data(sample: Workspace) -> None:
    text = as_json(sample)
    for oddity in ("<script>", "ü", "ß", "ø", "\n\n", "👍", '"', "**"):
        assert json.dumps(oddity)[1:-1] in text
    stories = [story for project in sample.projects.values() for story in project.stories.values()]
    kinds = Counter(story["story_type"] for story in stories)
    assert set(kinds) == {"feature", "bug", "chore", "release"}
    states = Counter(story["current_state"] for story in stories)
    assert {"accepted", "started", "unstarted", "unscheduled"} <= set(states)
    assert any(
        transition["state"] == "planned" for story in stories for transition in story["transitions"]
    )
    for children, least, most in (
        ("label_ids", 0.6, 2.0),
        ("owner_ids", 0.7, 2.0),
        ("comments", 0.9, 2.0),
        ("tasks", 1.2, 2.5),
        ("transitions", 3.5, 5.5),
    ):
        assert least < sum(len(story[children]) for story in stories) / len(stories) < most
    for children in ("blockers", "reviews", "pull_requests", "branches", "follower_ids"):
        assert any(story[children] for story in stories)
    comments = [comment for story in stories for comment in story["comments"]]
    files = [file for comment in comments for file in comment["file_attachments"]]
    assert files
    assert all(len(sample.attachments[file["id"]]) == file["size"] for file in files)
    assert any(comment["google_attachments"] for comment in comments)
    assert any("commit_identifier" in comment for comment in comments)
    people = {
        membership["person_id"]
        for p in sample.projects.values()
        for membership in p.memberships.values()
    }
    assert {story["requested_by_id"] for story in stories} - people, "some have left"
    ids = [story["id"] for story in stories] + [comment["id"] for comment in comments]
    assert len(ids) == len(set(ids))


def test_sample_projects_progress(sample: Workspace) -> None:
    for project in sample.projects.values():
        project_id = project.record["id"]
        plan = sample.iterations(project_id)
        current = sample.current_iteration_number(project_id)
        assert project.record["current_iteration_number"] == current
        assert len(plan) > current > 50
        assert len({iteration["points"] for iteration in plan[: current - 1]}) > 4, (
            "velocity wavers"
        )
        assert sample.current_velocity(project_id) == plan[current - 1]["velocity"]
        assert sample.current_volatility(project_id) >= 0
        done = [
            sample.story_counts(project.labels[epic["label_id"]])["number_of_stories_by_state"]
            for epic in project.epics.values()
        ]
        assert done[0]["accepted"] > 0
        assert done[0]["unstarted"] == 0
        assert done[-1]["accepted"] < done[0]["accepted"]
        releases = sample.releases(project_id)
        assert [release["current_state"] for release in releases[-2:]] == ["accepted", "unstarted"]
        assert releases[-1]["deadline"] > sample.time()
        history = sample.history_days(project_id)
        assert sum(history["data"][-1][9:]) == sum(
            story["story_type"] != "release" for story in project.stories.values()
        )
