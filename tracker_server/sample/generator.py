"""Generate the sample workspace: two years of some teams' work, the same for the same seed.

It is a simulation. Each story, epic, release and person is a process: a generator that makes one
change to the workspace, and yields the time of its next one. The processes of a project are run in
the order of time, so that versions, activity and times are consistent. A process that has not ended
after two years is stopped: its story is in progress.

Time is measured in seconds of work, which `WorkCalendar` converts to dates.
"""

from __future__ import annotations

import gc
import random
import struct
import zlib
from bisect import bisect_left
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from heapq import heapify, heappop, heappush
from itertools import accumulate
from zoneinfo import ZoneInfo

from ..workspace import Workspace
from ..workspace.model import MOVES_UPDATED_AT, Project, Record
from . import vocabulary as words

END = datetime(2025, 4, 25, 16, tzinfo=UTC)
"""The current time in the sample workspace."""

START = date(2023, 4, 24)
"""The first day of the projects."""

TOKEN = "c0ffee00c0ffee00c0ffee00c0ffee00"  # noqa: S105 - only this server accepts it

HOUR = 3600
DAY = 8 * HOUR
WEEK = 5 * DAY

Process = Iterator[float]
"""Makes changes, and after each yields the time of the next one, in seconds of work."""

Subprocess = Generator[float, None, float]
"""A part of a process; returns the time at which it ends."""


@dataclass(frozen=True)
class ProjectSettings:
    """The settings of a project."""

    time_zone: str
    iteration_length: int
    point_scale: str
    bugs_and_chores_are_estimatable: bool
    automatic_planning: bool
    week_start_day: str = "Monday"
    velocity_averaged_over: int = 3


PROJECT_SETTINGS = (
    ProjectSettings(
        "Europe/Berlin",
        2,
        "0,1,2,3,5,8",
        bugs_and_chores_are_estimatable=False,
        automatic_planning=True,
    ),
    ProjectSettings(
        "America/New_York",
        1,
        "0,1,2,3",
        bugs_and_chores_are_estimatable=True,
        automatic_planning=True,
        velocity_averaged_over=4,
    ),
    ProjectSettings(
        "Europe/London",
        2,
        "0,1,2,3",
        bugs_and_chores_are_estimatable=False,
        automatic_planning=False,
        week_start_day="Wednesday",
    ),
    ProjectSettings(
        "Asia/Kolkata",
        1,
        "0,1,2,3,5,8",
        bugs_and_chores_are_estimatable=False,
        automatic_planning=True,
        velocity_averaged_over=2,
    ),
)


def generate_workspace(
    projects: int = 3,
    stories: int = 220,
    activity: int = 2000,
    seed: int = 1,
    token: str = TOKEN,
    empty: int = 0,
    moves_updated_at: frozenset[str] = MOVES_UPDATED_AT,
) -> Workspace:
    """Generate a workspace.

    Args:
        projects: The number of projects with a history.
        stories: The number of stories in each of them at the end, including releases.
        activity: The maximum number of activities kept of each project, the latest ones.
        seed: The same seed generates the same workspace, byte for byte.
        token: The API token of the owner.
        empty: The number of additional projects in which nothing has happened yet.
        moves_updated_at: What moves `updated_at`, see `Workspace`.

    Returns:
        The workspace, at `END`.
    """
    rng = random.Random(seed)
    workspace = _workspace_of_people(token)
    workspace.moves_updated_at = moves_updated_at
    account = _account(workspace)
    for number in range(projects):
        simulator = _new_project(workspace, account["id"], number, rng)
        with _no_garbage_collection():
            simulator.run(stories, activity)
    workspace.now = END
    for number in range(empty):
        workspace.create_project(name=f"Sandbox {number + 1}", account_id=account["id"])
    account["project_ids"] = list(workspace.projects)
    _add_overview(workspace)
    return workspace


class WorkCalendar:
    """Working hours: Monday to Friday from nine to five, except between Christmas and New Year."""

    def __init__(self, time_zone: str) -> None:
        """Determine the working days from `START` until `END`.

        Args:
            time_zone: The Olson name of the time zone.
        """
        zone = ZoneInfo(time_zone)
        days = (START + timedelta(days=each) for each in range((END.date() - START).days + 1))
        self._mornings = [
            datetime.combine(day, time(9), zone).astimezone(UTC)
            for day in days
            if day.weekday() < 5 and (day.month, day.day) < (12, 24)
        ]
        today = (END - self._mornings[-1]).total_seconds()
        self.seconds = (len(self._mornings) - 1) * DAY + max(0, min(DAY, int(today)))
        """The seconds of work until `END`."""

    def to_datetime(self, at: float) -> datetime:
        """Convert seconds of work to a time in UTC."""
        day, second = divmod(int(at), DAY)
        return self._mornings[min(day, len(self._mornings) - 1)] + timedelta(seconds=second)


@dataclass
class Plan:
    """The plan for a story."""

    story_type: str
    created: float
    scheduled: float | None = None
    """The time at which it leaves the icebox; None if it never does."""
    started: float | None = None
    epic: int | None = None
    """The position of its epic in the project."""


@dataclass
class Simulator:
    """Simulates the work of a team on one project."""

    workspace: Workspace
    project: Project
    product: words.Product
    settings: ProjectSettings
    calendar: WorkCalendar
    rng: random.Random
    members: list[int] = field(default_factory=list)
    """The ids of the current members."""

    def __post_init__(self) -> None:
        self._id: int = self.project.record["id"]
        self._points = [int(point) for point in self.settings.point_scale.split(",")]
        self._epic_labels: list[int] = []
        self._labels: list[int] = []
        self._review_types: list[int] = []
        self._has_script = False
        self._pull_requests = 0

    def run(self, stories: int, activity: int) -> None:
        """Simulate two years.

        Args:
            stories: The number of stories at the end.
            activity: The maximum number of activities at the end.
        """
        queue = [
            (at, number, process) for number, (at, process) in enumerate(self._processes(stories))
        ]
        heapify(queue)
        while queue and queue[0][0] <= self.calendar.seconds:
            at, number, process = heappop(queue)
            self.workspace.now = self.calendar.to_datetime(at)
            next_at = next(process, None)
            if next_at is not None:
                heappush(queue, (max(at, next_at), number, process))
            if len(self.project.activity) > 2 * activity + 1000:
                self.workspace.forget_activity(self._id, activity)
        self.workspace.now = END
        self.workspace.forget_activity(self._id, activity)
        self.project.stories = dict(sorted(self.project.stories.items(), key=_priority))
        self.project.record["current_iteration_number"] = self.workspace.current_iteration_number(
            self._id
        )

    def _processes(self, stories: int) -> Iterator[tuple[float, Process]]:
        yield 0, self._set_up()
        yield from self._people()
        for place, name in enumerate(self.product.epics):
            first = self._share(max(0.0, place / (len(self.product.epics) - 1.5) - 0.05))
            yield first, self._epic(name)
        releases = min(13, stories // 16)
        for number in range(releases):
            due = (number + 1) / releases * (self.calendar.seconds + 3 * WEEK)
            planned = min(due, self.calendar.seconds) - 9 * WEEK
            yield max(HOUR, planned), self._release(number + 1, due)
        for plan in self._plans(stories - releases):
            yield plan.created, self._story(plan)
        for _ in range(stories // 40):
            since = self._share(self.rng.uniform(0.02, 0.85))
            yield since, self._delete_superfluous(since)
        for week in range(3, 100, 4):
            yield week * WEEK + self.rng.uniform(0, WEEK), self._reorder()

    def _share(self, share: float) -> float:
        return share * self.calendar.seconds

    def _plans(self, stories: int) -> Iterator[Plan]:
        """Yield the plans of the stories: a fifth of them is not worked on yet."""
        rng = self.rng
        icebox, backlog = round(0.11 * stories), round(0.09 * stories)
        flow = stories - icebox - backlog
        fresh = min(flow // 4, 3 + flow // 100)
        starts = [
            *self._starts(flow - fresh),
            *(self.calendar.seconds - rng.uniform(0.1, 2.5) * DAY for _ in range(fresh)),
        ]
        epics = len(self.product.epics)
        for started in starts:
            lead = rng.expovariate(1 / (2.5 * WEEK))
            created = max(HOUR * rng.uniform(0.5, 12), started - lead - HOUR)
            started = max(started, created + HOUR)
            scheduled = rng.uniform(created, (created + started) / 2)
            phase = started / self.calendar.seconds * (epics - 1.5)
            epic = min(epics - 1, max(0, round(phase - 0.5 + rng.gauss(0, 0.35))))
            yield Plan(self._story_type(), created, scheduled, started, epic)
        for _ in range(backlog):
            created = self._share(1) - rng.uniform(0.2, 40) * DAY
            scheduled = min(created + rng.expovariate(1 / (3 * DAY)), self._share(1) - HOUR)
            yield Plan(self._story_type(), created, scheduled, epic=epics - rng.choice((1, 2)))
        for _ in range(icebox):
            yield Plan(self._story_type(), self._share(rng.uniform(0.03, 0.995)))

    def _starts(self, count: int) -> list[float]:
        """Return the times at which stories start, so that the velocity varies around a mean."""
        span = self.settings.iteration_length * WEEK
        iterations = int(self.calendar.seconds // span) + 1
        effort = [
            min(1.7, max(0.35, self.rng.gauss(1, 0.2))) * min(1.0, 0.5 + place / 12)
            for place in range(iterations)
        ]
        total = list(accumulate(effort))
        starts = []
        for number in range(count):
            target = (number + 0.5) / max(count, 1) * total[-1]
            iteration = bisect_left(total, target)
            within = (target - total[iteration] + effort[iteration]) / effort[iteration]
            starts.append(min((iteration + within) * span, self.calendar.seconds - 2 * DAY))
        return starts

    def _story_type(self) -> str:
        return self.rng.choices(("feature", "bug", "chore"), (66, 21, 13))[0]

    def _set_up(self) -> Process:
        yield 5 * 60
        for name in words.REVIEW_TYPES:
            self._review_types.append(self.workspace.add_review_type(self._id, name)["id"])
        for name in self.rng.sample(words.LABELS, 6):
            yield 10 * 60
            self._labels.append(self.workspace.create_label(self._id, name)["id"])
        retired = self.workspace.create_label(self._id, "v0")["id"]
        yield self._share(0.4)
        christmas = (date(2023, 12, 25) - START).days // (7 * self.settings.iteration_length) + 1
        self.workspace.override_iteration(self._id, christmas, team_strength=0.5)
        self.workspace.rename_label(self._labels[0], "needs a decision")
        yield self._share(0.8)
        self.workspace.delete_label(retired)

    def _people(self) -> Iterator[tuple[float, Process]]:
        me = self.workspace.me["id"]
        self.members.append(me)
        others = [person for person in self.workspace.people if person != me]
        for person_id in sorted(self.rng.sample(others, 7)):
            name, joins, leaves = words.PEOPLE[list(self.workspace.people).index(person_id)]
            yield self._share(joins) + 60, self._person(person_id, leaves, viewer=name[0] == "I")

    def _person(self, person_id: int, leaves: float, *, viewer: bool) -> Process:
        role = "viewer" if viewer else "member"
        membership = self.workspace.add_membership(self._id, person_id, role)
        self.members.append(person_id)
        if leaves < 1:
            yield self._share(leaves)
            self.members.remove(person_id)
            self.workspace.remove_membership(membership["id"])

    def _epic(self, name: str) -> Process:
        rng, workspace = self.rng, self.workspace
        description = rng.choice(words.REASONS)
        epic = workspace.create_epic(
            self._id, name, description=description, by=self._random_member()
        )
        self._epic_labels.append(epic["label_id"])
        at = self._share(len(self._epic_labels) / len(self.product.epics) / 1.2)
        for remark in rng.sample(words.EPIC_REMARKS, 2):
            at += rng.uniform(1, 15) * DAY
            yield at
            workspace.add_comment(remark, epic_id=epic["id"], by=self._random_member())

    def _release(self, number: int, due: float) -> Process:
        workspace = self.workspace
        name = f"{self.product.name} {2023 + number // 6}.{number}"
        deadline = self._deadline(due)
        release = workspace.create_story(
            self._id, name=name, story_type="release", current_state="unstarted", deadline=deadline
        )
        if self.rng.random() < 0.25:
            yield due - WEEK
            due += 3 * DAY
            workspace.edit_story(release["id"], deadline=self._deadline(due))
        yield due
        workspace.edit_story(release["id"], current_state="accepted")

    def _deadline(self, due: float) -> str:
        beyond = timedelta(days=max(0, due - self.calendar.seconds) / DAY * 7 / 5)
        return f"{(self.calendar.to_datetime(due) + beyond).date()}T12:00:00Z"

    def _story(self, plan: Plan) -> Process:
        rng, workspace = self.rng, self.workspace
        at = plan.created
        story = self._create(plan.story_type)
        story_id: int = story["id"]
        tasks = [] if rng.random() < 0.45 else rng.sample(words.TASKS, rng.randint(2, 5))
        for description in tasks:
            at += rng.uniform(20, 200)
            yield at
            workspace.add_task(story_id, description, by=self._random_member())
        yield from self._comment(story_id, at, (0, 1, 2), (70, 24, 6))
        if plan.scheduled is None:
            return
        yield plan.scheduled
        labels = self._more_labels(story, plan)
        workspace.edit_story(story_id, current_state="unstarted", label_ids=labels)
        yield plan.scheduled + rng.uniform(60, 4 * HOUR)
        self._estimate(story)
        if plan.started is None:
            return
        if rng.random() < 0.03:
            yield (plan.scheduled + plan.started) / 2
            workspace.edit_story(story_id, current_state="unscheduled")
            yield (plan.scheduled + 2 * plan.started) / 3
            workspace.edit_story(story_id, current_state="unstarted")
        if not self.settings.automatic_planning:
            yield plan.started - HOUR
            workspace.edit_story(story_id, current_state="planned")
        yield plan.started
        owners = rng.sample(self.members, min(len(self.members), rng.choices((1, 2), (70, 30))[0]))
        workspace.edit_story(story_id, current_state="started", owner_ids=owners, by=owners[0])
        yield from self._build(story, owners, plan.started)

    def _create(self, story_type: str) -> Record:
        rng, by = self.rng, self._random_member()
        attributes: Record = {
            "name": self._name(story_type),
            "story_type": story_type,
            "label_ids": rng.sample(self._labels, min(len(self._labels), rng.randint(0, 1))),
            "follower_ids": [] if rng.random() < 0.6 else [by],
        }
        if rng.random() < 0.7:
            attributes["description"] = self._description(story_type)
        return self.workspace.create_story(self._id, by=by, **attributes)

    def _more_labels(self, story: Record, plan: Plan) -> list[int]:
        labels = list(story["label_ids"])
        if plan.epic is not None and plan.epic < len(self._epic_labels) and self.rng.random() < 0.7:
            labels.append(self._epic_labels[plan.epic])
        return labels

    def _estimate(self, story: Record) -> None:
        if story["story_type"] == "feature" or self.settings.bugs_and_chores_are_estimatable:
            likely = [0.2, *(1 / (1 + abs(point - 2)) ** 1.5 for point in self._points[1:])]
            estimate = self.rng.choices(self._points, likely)[0]
            self.workspace.edit_story(story["id"], estimate=estimate, by=self._random_member())

    def _build(self, story: Record, owners: list[int], at: float) -> Process:
        """Work on a started story until it is accepted, at the first or a later attempt."""
        rng, workspace, story_id, owner = self.rng, self.workspace, story["id"], owners[0]
        if rng.random() < 0.2:
            number = rng.randint(2, 9)
            name = f"{story_id}-{story['story_type']}-{number}"
            workspace.add_branch(story_id, **self._repository(), name=name, by=owner)
        if rng.random() < 0.06:
            at = yield from self._blocked(story_id, at, owner)
        effort = (3 + 4.5 * story.get("estimate", 1)) * HOUR * rng.lognormvariate(0, 0.5)
        for task in story["tasks"]:
            at += effort / (len(story["tasks"]) + 1)
            yield at
            workspace.edit_task(task["id"], complete=True, by=owner)
        if rng.random() < 0.15:
            yield at
            self._commit(story_id, owner)
        yield from self._finish(story, owner, at + effort / (len(story["tasks"]) + 1))

    def _blocked(self, story_id: int, at: float, owner: int) -> Subprocess:
        rng, workspace = self.rng, self.workspace
        yield at + rng.uniform(0.5, 4) * HOUR
        other = rng.randint(story_id - 400, story_id - 1)
        description = self._fill(rng.choice(words.BLOCKERS), story=other)
        blocker = workspace.add_blocker(story_id, description, by=owner)
        at += rng.uniform(0.5, 4) * DAY
        yield at
        workspace.edit_blocker(blocker["id"], resolved=True, by=self._random_member())
        return at

    def _finish(self, story: Record, owner: int, at: float) -> Process:
        rng, workspace, story_id = self.rng, self.workspace, story["id"]
        attempts = rng.choices((1, 2, 3), (89, 9, 2))[0]
        for attempt in range(1, attempts + 1):
            yield at
            workspace.edit_story(story_id, current_state="finished", by=owner)
            if attempt == 1:
                yield from self._review(story_id, owner, at)
            at += rng.uniform(0.3, 6) * HOUR
            yield at
            workspace.edit_story(story_id, current_state="delivered", by=owner)
            yield from self._comment(story_id, at, (0, 1, 2, 3), (40, 40, 15, 5))
            at += rng.uniform(0.5, 10) * HOUR
            yield at
            if attempt < attempts:
                at = yield from self._rework(story_id, owner, at)
        workspace.edit_story(story_id, current_state="accepted")

    def _rework(self, story_id: int, owner: int, at: float) -> Subprocess:
        rng, workspace = self.rng, self.workspace
        workspace.edit_story(story_id, current_state="rejected")
        workspace.add_comment(self._fill(rng.choice(words.REJECTIONS)), story_id=story_id)
        at += rng.uniform(0.5, 6) * HOUR
        yield at
        workspace.edit_story(story_id, current_state="started", by=owner)
        return at + rng.uniform(1, 9) * HOUR

    def _review(self, story_id: int, owner: int, at: float) -> Process:
        rng, workspace = self.rng, self.workspace
        if rng.random() < 0.3:
            self._pull_requests += 1
            number = self._pull_requests
            status = rng.choice(("merged", "merged", "merged", "closed"))
            workspace.add_pull_request(
                story_id, **self._repository(), number=number, status=status, by=owner
            )
        if rng.random() < 0.25:
            yield at + rng.uniform(0.1, 1) * HOUR
            reviewer = self._random_member() if rng.random() < 0.8 else None
            kind = rng.choice(self._review_types)
            review = workspace.add_review(story_id, kind, reviewer_id=reviewer, by=owner)
            yield at + rng.uniform(0.5, 3) * HOUR
            status = rng.choices(("pass", "revise", "in_review"), (80, 14, 6))[0]
            workspace.edit_review(review["id"], status=status, by=reviewer)

    def _comment(
        self, story_id: int, at: float, counts: tuple[int, ...], weights: tuple[int, ...]
    ) -> Process:
        rng = self.rng
        for _ in range(rng.choices(counts, weights)[0]):
            at += rng.uniform(60, 3 * HOUR)
            yield at
            by = self._random_member()
            comment = self.workspace.add_comment(
                self._fill(rng.choice(words.REMARKS)),
                story_id=story_id,
                file_attachments=[self._file()] if rng.random() < 0.06 else (),
                google_attachments=[self._google_document()] if rng.random() < 0.02 else (),
                by=by,
            )
            if rng.random() < 0.03:
                at += rng.uniform(60, 600)
                yield at
                text = f"{comment['text']}\n\n*(edited: this was about the other one)*"
                self.workspace.edit_comment(comment["id"], text, by=by)

    def _commit(self, story_id: int, owner: int) -> None:
        commit = f"{self.rng.getrandbits(160):040x}"
        message = self._fill(self.rng.choice(words.COMMIT_MESSAGES))
        author = self.workspace.people[owner]["name"]
        address = f"https://github.com/{self.product.repository}/app/commit/{commit}"
        self.workspace.add_comment(
            f"Commit by {author}\n{address}\n\n[#{story_id}] {message}",
            story_id=story_id,
            by=owner,
            commit_identifier=commit,
            commit_type="github",
        )

    def _delete_superfluous(self, since: float) -> Process:
        """Create stories, and delete them together later."""
        ids = []
        for minutes in range(self.rng.choice((1, 1, 3))):
            ids.append(self._create(self._story_type())["id"])
            yield since + minutes * 240
        yield self._share(self.rng.uniform(0.86, 0.99))
        self.workspace.delete_stories(*ids, by=self._random_member())

    def _reorder(self) -> Process:
        waiting = [
            story["id"]
            for story in self.project.stories.values()
            if story["current_state"] == "unstarted"
        ]
        if len(waiting) > 1:
            urgent = self.rng.choice(waiting[1:])
            self.workspace.reorder_stories(urgent, before_id=waiting[0], by=self._random_member())
        return
        yield

    def _random_member(self) -> int:
        return self.rng.choice(self.members)

    def _repository(self) -> dict[str, str]:
        return {"owner": self.product.repository, "repo": "app"}

    def _name(self, story_type: str) -> str:
        rng, product = self.rng, self.product
        if story_type == "feature":
            name = f"{rng.choice(product.roles)} can {rng.choice(product.wishes)}"
            return name if rng.random() < 0.4 else f"{name} {rng.choice(product.places)}"
        if story_type == "bug":
            thing = rng.choice(product.things).capitalize()
            return f"{thing} {rng.choice(words.FAULTS)} {rng.choice(words.CONDITIONS)}"
        return self._fill(rng.choice(words.CHORES))

    def _description(self, story_type: str) -> str:
        rng = self.rng
        if story_type == "bug" and not self._has_script:
            self._has_script = True
            return self._fill(words.SCRIPT)
        if story_type == "bug":
            steps = self._fill(rng.choice(words.STEPS))
            return f"**To see it**\n\n{steps}\n\nSeen by {rng.randint(2, 40)} people so far."
        criteria = "\n".join(f"* {self._fill(each)}" for each in rng.sample(words.CRITERIA, 3))
        return f"{rng.choice(words.REASONS)}\n\n## Done when\n\n{criteria}"

    def _fill(self, text: str, story: int = 0) -> str:
        if "{" not in text:
            return text
        return text.format(
            thing=self.rng.choice(self.product.things),
            username=self.workspace.people[self._random_member()]["username"],
            repository=self.product.repository,
            number=self.rng.randint(100, 9999),
            story=story,
        )

    def _file(self) -> Record:
        rng = self.rng
        kind = rng.choice(("image/png", "text/csv", "text/plain"))
        name = rng.choice(self.product.things).replace(" ", "-")
        if kind == "image/png":
            size = rng.randint(8, 24)
            colour = rng.randbytes(3)
            content = _png(size, colour)
            return {
                "filename": f"{name}.png",
                "content_type": kind,
                "width": size,
                "height": size,
                "content": content,
            }
        rows = [f"{name};{rng.randint(1, 99)};Größe {rng.choice('SML')}" for _ in range(4)]
        suffix = "csv" if kind == "text/csv" else "log"
        content = "\n".join(rows).encode()
        return {"filename": f"{name}.{suffix}", "content_type": kind, "content": content}

    def _google_document(self) -> Record:
        document = f"{self.rng.getrandbits(128):032x}"
        return {
            "google_kind": "document",
            "title": f"Notes on the {self.rng.choice(self.product.things)}",
            "google_id": document,
            "alternate_link": f"https://docs.google.com/document/d/{document}/edit",
            "resource_id": f"document:{document}",
        }


def _new_project(
    workspace: Workspace, account_id: int, number: int, rng: random.Random
) -> Simulator:
    product = words.PRODUCTS[number % len(words.PRODUCTS)]
    part = product.parts[number // len(words.PRODUCTS) % len(product.parts)]
    settings = PROJECT_SETTINGS[number % len(PROJECT_SETTINGS)]
    calendar = WorkCalendar(settings.time_zone)
    workspace.now = calendar.to_datetime(0)
    project = workspace.create_project(
        name=f"{product.name}: {part}",
        description=product.pitch,
        account_id=account_id,
        start_date=START.isoformat(),
        **vars(settings),
    )
    return Simulator(workspace, project, product, settings, calendar, rng)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Disable the garbage collector: it slows the simulation down, and records have no cycles."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _workspace_of_people(token: str) -> Workspace:
    first = WorkCalendar("Europe/Berlin").to_datetime(0)
    workspace = Workspace(me={"kind": "me", "id": 0, "name": ""}, now=first)
    for name, _, _ in words.PEOPLE:
        workspace.add_person(name)
    person = next(iter(workspace.people.values()))
    workspace.me = {
        **person,
        "kind": "me",
        "time_zone": {"kind": "time_zone", "olson_name": "Europe/Berlin", "offset": "+02:00"},
        "api_token": token,
        "has_google_identity": False,
        "projects": [],
        "receives_in_app_notifications": True,
        "created_at": workspace.time(),
        "updated_at": workspace.time(),
    }
    return workspace


def _account(workspace: Workspace) -> Record:
    account: Record = {
        "kind": "account",
        "id": workspace.new_id(),
        "name": "Werkstatt Fünf",
        "plan": "Standard",
        "status": "active",
        "days_left": 5,
        "over_the_limit": False,
        "project_ids": [],
        "created_at": workspace.time(),
        "updated_at": workspace.time(),
    }
    workspace.accounts[account["id"]] = account
    for person_id, (_, _, leaves) in zip(workspace.people, words.PEOPLE, strict=True):
        if leaves == 1:
            is_me = person_id == workspace.me["id"]
            membership: Record = {
                "kind": "account_membership",
                "id": workspace.new_id(),
                "account_id": account["id"],
                "person_id": person_id,
                "owner": is_me,
                "admin": is_me,
                "project_creator": True,
                "timekeeper": False,
                "time_enterer": False,
                "created_at": workspace.time(),
                "updated_at": workspace.time(),
            }
            workspace.account_memberships[membership["id"]] = membership
    return account


def _add_overview(workspace: Workspace) -> None:
    overview: Record = {
        "kind": "workspace",
        "id": workspace.new_id(),
        "name": "Everything at a glance",
        "person_id": workspace.me["id"],
        "project_ids": list(workspace.projects)[:4],
    }
    workspace.workspaces[overview["id"]] = overview


def _priority(item: tuple[int, Record]) -> tuple[int, str]:
    """Return the sort key: done first, by time of acceptance; the icebox last; else unchanged."""
    story = item[1]
    if story["current_state"] == "accepted":
        return 0, story["accepted_at"]
    return (2 if story["current_state"] == "unscheduled" else 1), ""


def _png(size: int, colour: bytes) -> bytes:
    """Return a square of one colour, uncompressed, so that its bytes are the same everywhere."""
    rows = (b"\x00" + colour * size) * size
    header = struct.pack(">2I5B", size, size, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 0)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
