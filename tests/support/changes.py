"""Changes of a workspace between two runs: one of each kind, or random ones."""

from __future__ import annotations

import contextlib
import random
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tracker_server import Behaviour
from tracker_server.faults import InflatedTotal, NoTotal
from tracker_server.workspace import Workspace

from .mirror import Mirror, copied_mirror, make_workspace


def apply_mixed_changes(workspace: Workspace) -> None:
    """Make a change of every kind that may happen between two runs."""
    first, second, _ = workspace.projects
    stories = list(workspace.projects[first].stories)
    workspace.edit_story(stories[0], name="Say \"no\" to \\ and '', 'often'\n\ttwice", mood="fine")
    workspace.edit_story(stories[1], description="")
    workspace.delete_stories(*stories[2:9])
    workspace.move_story_to_project(stories[10], second)
    label_id = next(
        s["label_ids"][0] for s in workspace.projects[first].stories.values() if s["label_ids"]
    )
    workspace.rename_label(label_id, "under another name")
    workspace.delete_epic(next(iter(workspace.projects[second].epics)))
    workspace.add_comment("Once", story_id=stories[11])
    workspace.create_story(second, name="New")


class RandomChanges(RuleBasedStateMachine):
    """Random changes of a workspace, and loads, after each of which tables must be exact.

    Attributes:
        first_load: The load to start from.
    """

    first_load: Mirror

    @initialize(seed=st.integers(0, 1_000))
    def begin(self, seed: int) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.workspace = make_workspace()
        self.exit_stack = contextlib.ExitStack()
        self.mirror = self.exit_stack.enter_context(
            copied_mirror(self.first_load, self.workspace, self.folder)
        )
        self.server = self.mirror.server
        self.rng = random.Random(seed)

    def teardown(self) -> None:
        """Load the last changes."""
        if hasattr(self, "exit_stack"):
            with self.exit_stack:
                self.load(full_refresh=False)
            shutil.rmtree(self.folder)

    def any_project(self) -> Any:
        return self.rng.choice(list(self.workspace.projects.values()))

    def any_story(self) -> dict[str, Any] | None:
        stories = list(self.any_project().stories.values())
        return self.rng.choice(stories) if stories else None

    @rule(state=st.sampled_from(["unscheduled", "unstarted", "started", "accepted", "rejected"]))
    def create_story(self, state: str) -> None:
        self.workspace.create_story(self.any_project().record["id"], name="New")
        story = self.any_story()
        if story and story["story_type"] == "feature":
            self.workspace.edit_story(story["id"], current_state=state, estimate=1)

    @rule(name=st.text("ab\n\"'<", min_size=1, max_size=3))
    def edit_story(self, name: str) -> None:
        if story := self.any_story():
            self.workspace.edit_story(story["id"], name=name)

    @rule(
        changes=st.sampled_from(
            [
                {"mood": 1},
                {"mood": 2},
                {"weather": {"sky": "blue", "wind": {"force": 3}}},
                {"description": None},
                {"description": "x" * 5000},
                {"story_type": "bug"},
                {"label_ids": []},
                {"owner_ids": []},
            ]
        )
    )
    def edit_attributes(self, changes: dict[str, Any]) -> None:
        if story := self.any_story():
            self.workspace.edit_story(story["id"], **changes)

    @rule(number=st.integers(1, 4))
    def delete_stories(self, number: int) -> None:
        stories = list(self.any_project().stories)
        if stories:
            self.workspace.delete_stories(*self.rng.sample(stories, min(number, len(stories))))

    @rule()
    def move_story(self) -> None:
        story, project = self.any_story(), self.any_project()
        if story and story["id"] not in project.stories:
            self.workspace.move_story_to_project(story["id"], project.record["id"])

    @rule()
    def reorder(self) -> None:
        stories = list(self.any_project().stories)
        if len(stories) > 1:
            story, other = self.rng.sample(stories, 2)
            self.workspace.reorder_stories(story, before_id=other)

    @rule(kind=st.sampled_from(["comment", "task", "blocker", "review"]))
    def add_child(self, kind: str) -> None:
        story = self.any_story()
        if story is None:
            return
        if kind == "comment":
            self.workspace.add_comment("Hello", story_id=story["id"])
        elif kind == "task":
            self.workspace.add_task(story["id"], "Do")
        elif kind == "blocker":
            self.workspace.add_blocker(story["id"], "No")
        elif kind == "review":
            types = self.workspace.projects[story["project_id"]].review_types
            if types:
                self.workspace.add_review(story["id"], next(iter(types)))

    @rule(kind=st.sampled_from(["comments", "tasks", "blockers", "reviews"]))
    def delete_child(self, kind: str) -> None:
        story = self.any_story()
        if story and story.get(kind):
            child = self.rng.choice(story[kind])["id"]
            getattr(self.workspace, f"delete_{kind[:-1]}")(child)

    @rule(kind=st.sampled_from(["comment", "task", "blocker"]))
    def edit_child(self, kind: str) -> None:
        story = self.any_story()
        if story is None or not story.get(f"{kind}s"):
            return
        child = self.rng.choice(story[f"{kind}s"])["id"]
        if kind == "comment":
            self.workspace.edit_comment(child, "Edited")
        elif kind == "task":
            self.workspace.edit_task(child, complete=True)
        else:
            self.workspace.edit_blocker(child, resolved=True)

    @rule(change=st.sampled_from(["create", "rename", "delete"]))
    def change_label(self, change: str) -> None:
        project = self.any_project()
        name = f"label {self.rng.randrange(1_000_000)}"
        if change == "create" or not project.labels:
            self.workspace.create_label(project.record["id"], name)
        elif change == "rename":
            self.workspace.rename_label(self.rng.choice(list(project.labels)), name)
        else:
            of_epics = {epic["label_id"] for epic in project.epics.values()}
            if deletable := sorted(project.labels.keys() - of_epics):
                self.workspace.delete_label(self.rng.choice(deletable))

    @rule(change=st.sampled_from(["create", "edit", "comment"]))
    def change_epic(self, change: str) -> None:
        project = self.any_project()
        if change == "create" or not project.epics:
            name = f"Epic {self.rng.randrange(1_000_000)}"
            self.workspace.create_epic(project.record["id"], name)
        elif change == "edit":
            self.workspace.edit_epic(self.rng.choice(list(project.epics)), description="Edited")
        else:
            self.workspace.add_comment("On it", epic_id=self.rng.choice(list(project.epics)))

    @rule(joins=st.booleans())
    def change_members(self, joins: bool) -> None:
        project = self.any_project()
        if joins:
            person = self.workspace.add_person(f"Person{self.rng.randrange(1_000_000)} New")
            self.workspace.add_membership(project.record["id"], person["id"])
            return
        others = [
            membership
            for membership, record in project.memberships.items()
            if record["person_id"] != self.workspace.me["id"]
        ]
        if others:
            self.workspace.remove_membership(self.rng.choice(others))

    @rule()
    def delete_epic(self) -> None:
        project = self.any_project()
        if project.epics:
            self.workspace.delete_epic(self.rng.choice(list(project.epics)))

    @rule(strength=st.sampled_from([0, 0.5, 1]))
    def override_iteration(self, strength: float) -> None:
        project = self.any_project()
        number = self.rng.randint(1, project.record["current_iteration_number"])
        self.workspace.override_iteration(project.record["id"], number, team_strength=strength)

    @rule(keep=st.integers(0, 3))
    def forget_activity(self, keep: int) -> None:
        self.workspace.forget_activity(self.any_project().record["id"], keep)

    @rule()
    def delete_project(self) -> None:
        if len(self.workspace.projects) > 1:
            self.workspace.delete_project(self.any_project().record["id"])

    @rule()
    def create_project(self) -> None:
        if len(self.workspace.projects) < 4:
            self.workspace.create_project(name="Another")

    @rule(
        behaviour=st.sampled_from(
            [
                Behaviour(),
                Behaviour(max_limits={"stories": 5, "activity": 7, "releases": 2}),
                Behaviour(max_limits={"stories": 4, "activity": 9}, faults=[NoTotal()]),
                Behaviour(
                    max_limits={"stories": 4, "activity": 9},
                    faults=[InflatedTotal(params={"updated_after"})],
                ),
                Behaviour(max_limits={"stories": 6}, pagination_headers=False),
                Behaviour(unsupported_params={"since_version"}),
                Behaviour(unsupported_params={"updated_after"}),
                Behaviour(has_project_versions=False),
                Behaviour(unsupported_endpoints={"bulk"}),
            ]
        )
    )
    def change_behaviour(self, behaviour: Behaviour) -> None:
        self.server.behaviour = replace(behaviour)

    @rule()
    def delete_working_folder(self) -> None:
        shutil.rmtree(self.folder / "pipelines", ignore_errors=True)

    @rule()
    def load_one_project(self) -> None:
        self.mirror.load(project_ids=[self.any_project().record["id"]])

    @rule(resource=st.sampled_from(["stories", "labels", "activity", "iterations", "people"]))
    def load_resource(self, resource: str) -> None:
        self.mirror.load(resource)

    @rule(full_refresh=st.sampled_from([False, False, False, True]))
    def load(self, full_refresh: bool) -> None:
        self.load_and_accept(full_refresh=full_refresh)
        self.mirror.assert_exact()

    def load_and_accept(self, *, full_refresh: bool) -> None:
        """Load; if rows were kept that are really deleted, accept their deletion and load again."""
        metrics = self.mirror.load(full_refresh=full_refresh)
        kept = [
            f"{project}/{name}" if project else name
            for name, values in metrics.items()
            for project in values.get("kept", {})
        ]
        if kept:
            self.mirror.load(accept_deletions=kept)
