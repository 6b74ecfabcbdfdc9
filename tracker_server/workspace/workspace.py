"""The workspace: its data, its changes, and the values computed from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from pivotal_tracker.tables import STORY_STATES

from . import iterations
from .child_changes import ChildChanges
from .model import Project, Record
from .project_changes import ProjectChanges

__all__ = ["Project", "Record", "Workspace"]

WORKING_STATES = ("started", "finished", "delivered", "rejected")
"""The states that count towards the cycle time."""


@dataclass
class Workspace(ChildChanges, ProjectChanges):
    """A workspace in memory.

    Its attributes are those of `WorkspaceData`, its changes those of `StoryChanges`,
    `ChildChanges` and `ProjectChanges`. Each change happens at `now`, increments the project's
    `version`, and appends one activity. `by` is the id of the person who performs it; by default
    it is the owner of the token.
    """

    def iterations(self, project_id: int) -> list[Record]:
        """Return a project's iterations: see `iterations.iterations`.

        Raises:
            KeyError: There is no such project.
        """
        with self.lock:
            return iterations.iterations(self.find_project(project_id), self.now)

    def current_iteration_number(self, project_id: int) -> int:
        """Return the number of the current iteration.

        Raises:
            KeyError: There is no such project.
        """
        with self.lock:
            project = self.find_project(project_id)
            recorded: int | None = project.record.get("current_iteration_number")
            if self.is_recording and recorded is not None:
                return recorded
            return iterations.current_number(project, self.now)

    def current_velocity(self, project_id: int) -> int:
        """Return a project's velocity in points per iteration.

        Raises:
            KeyError: There is no such project.
        """
        with self.lock:
            return iterations.current_velocity(self.find_project(project_id), self.now)

    def current_volatility(self, project_id: int) -> float:
        """Return the volatility of a project's velocity in percent.

        Raises:
            KeyError: There is no such project.
        """
        with self.lock:
            return iterations.current_volatility(self.find_project(project_id), self.now)

    def history_days(self, project_id: int, iteration: int | None = None) -> Record:
        """Return points and stories by state and day: see `iterations.history_days`.

        Raises:
            KeyError: There is no such project, or no such iteration in it.
        """
        with self.lock:
            return iterations.history_days(self.find_project(project_id), self.now, iteration)

    def cycle_time_details(self, story: Record) -> Record:
        """Return how long a story was in each working state, and how often.

        Weekends count, as in recorded times, although a copy of the documentation says otherwise.
        `total_cycle_time` is the sum, absent if the story was never worked on.

        Args:
            story: The story; recorded `cycle_time_details` are returned unchanged.

        Returns:
            A record of kind `cycle_time_details`, times in milliseconds.
        """
        if "cycle_time_details" in story:
            recorded: Record = story["cycle_time_details"]
            return recorded
        spent = dict.fromkeys(WORKING_STATES, 0)
        entered = dict.fromkeys(WORKING_STATES, 0)
        transitions = story.get("transitions", ())
        times = [datetime.fromisoformat(each["occurred_at"]) for each in transitions]
        times.append(self.now.astimezone(UTC).replace(microsecond=0))
        for position, transition in enumerate(transitions):
            state = transition["state"]
            if state in spent:
                seconds = (times[position + 1] - times[position]).total_seconds()
                spent[state] += int(seconds) * 1000
                entered[state] += 1
        details: Record = {"kind": "cycle_time_details", "story_id": story["id"]}
        if any(entered.values()):
            details["total_cycle_time"] = sum(spent.values())
        for state in WORKING_STATES:
            details[f"{state}_time"] = spent[state]
            details[f"{state}_count"] = entered[state]
        return details

    def story_counts(self, label: Record) -> Record:
        """Count the stories with a label, and their points, by state.

        A story without an estimate counts as one of zero points, as recorded.

        Returns:
            A record of kind `story_counts`.

        Raises:
            KeyError: There is no such label.
        """
        numbers, sums, zeros = (dict.fromkeys(STORY_STATES, 0) for _ in range(3))
        with self.lock:
            project, _ = self.find_label(label["id"])
            for story in project.stories.values():
                if label["id"] in story["label_ids"]:
                    state, estimate = story["current_state"], story.get("estimate") or 0
                    numbers[state] += 1
                    sums[state] += estimate
                    zeros[state] += not estimate
        counts = {
            "number_of_zero_point_stories_by_state": zeros,
            "sum_of_story_estimates_by_state": sums,
            "number_of_stories_by_state": numbers,
        }
        return {
            **{name: {**each, "kind": "counts_by_story_state"} for name, each in counts.items()},
            "kind": "story_counts",
        }

    def releases(self, project_id: int) -> list[Record]:
        """Return a project's releases in priority order.

        Returns:
            Records of kind `release`, with `label_ids`, and with `story_ids`: the stories above
            it and below the previous release.

        Raises:
            KeyError: There is no such project.
        """
        releases: list[Record] = []
        above: list[int] = []
        with self.lock:
            project = self.find_project(project_id)
            if project.releases is not None:
                return list(project.releases.values())
            for story in project.stories.values():
                if story["story_type"] == "release":
                    releases.append(_as_release(story, above))
                    above = []
                else:
                    above.append(story["id"])
        return releases


def _as_release(story: Record, story_ids: list[int]) -> Record:
    attributes = (
        "id",
        "project_id",
        "name",
        "description",
        "current_state",
        "accepted_at",
        "deadline",
        "label_ids",
        "created_at",
        "updated_at",
        "url",
    )
    release = {name: story[name] for name in attributes if name in story}
    return {"kind": "release", **release, "story_ids": story_ids}
