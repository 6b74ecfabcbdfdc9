"""Iterations, velocity and daily history, computed from a project's stories and the calendar.

Times are compared as text, in the format of the API (`2025-04-25T16:00:00Z`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import accumulate
from statistics import fmean, pstdev
from zoneinfo import ZoneInfo

from pivotal_tracker.tables import STORY_STATES

from .model import Project, Record, format_time

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

IN_PROGRESS = {"started", "finished", "delivered", "rejected", "planned"}
"""The states of stories that are in the current iteration whatever the velocity is."""


def zone(record: Record) -> ZoneInfo:
    """Return the time zone of a project's record; UTC by default."""
    return ZoneInfo(record.get("time_zone", {}).get("olson_name", "UTC"))


def midnight(record: Record, day: date) -> datetime:
    """Return when a day begins for a project, in UTC."""
    return datetime.combine(day, time(), zone(record)).astimezone(UTC)


def first_day(project: Project) -> date:
    """Return the day on which a project's first iteration began.

    It is the `week_start_day` on or before the start date or, if that is earlier, the day on which
    the first story was accepted.
    """
    record = project.record
    accepted = [
        story["accepted_at"] for story in project.stories.values() if story.get("accepted_at")
    ]
    days = [_local_day(record, min(accepted))] if accepted else []
    if "start_date" in record:
        days.append(date.fromisoformat(record["start_date"]))
    else:
        days.append(_local_day(record, record.get("start_time") or record["created_at"]))
    day = min(days)
    week_starts_on = WEEKDAYS.index(record.get("week_start_day", "Monday"))
    return day - timedelta(days=(day.weekday() - week_starts_on) % 7)


def points(project: Project, story: Record) -> float:
    """Return the points of a story: none if its type is not estimated in this project."""
    estimable = {"feature"}
    if project.record.get("bugs_and_chores_are_estimatable"):
        estimable |= {"bug", "chore"}
    if story["story_type"] not in estimable:
        return 0
    estimate: float = story.get("estimate") or 0
    return estimate


def iterations(project: Project, now: datetime) -> list[Record]:
    """Return a project's iterations, the oldest first, including empty ones.

    A done iteration has the stories accepted in it. The current one has those accepted since it
    began, those in progress, and as many unstarted stories from the top as the velocity allows; a
    project without automatic planning has only `planned` ones there. The other stories fill later
    iterations by the same rule: as recorded, a story that would exceed the velocity begins the next
    iteration, unless its iteration would be empty.

    Args:
        project: The project; recorded iterations are returned unchanged.
        now: The time that determines the current iteration.

    Returns:
        Records with `number`, `project_id`, `length` (weeks), `team_strength`, `start`, `finish`,
        `kind`, `story_ids`, `velocity`, `points`, `accepted_points`, `effective_points`.
    """
    if project.iterations is not None:
        return project.iterations
    spans = _spans(project)
    plan = _until(spans, format_time(now))
    done, current = plan[:-1], plan[-1]
    accepted = _accepted_by_number(project, plan)
    for span in done:
        stories = accepted.get(span["number"], [])
        _fill(project, span, stories, current_velocity=_velocity(project, done, span["number"]))
    velocity = _velocity(project, done, current["number"])
    backlog = _fill_current(project, current, accepted.get(current["number"], []), velocity)
    while backlog:
        span = next(spans)
        _fill(
            project,
            span,
            _next_iteration(project, span, backlog, velocity),
            current_velocity=velocity,
        )
        plan.append(span)
    return plan


def current_number(project: Project, now: datetime) -> int:
    """Return the number of the current iteration."""
    return _done_and_current(project, now)[1]


def current_velocity(project: Project, now: datetime) -> int:
    """Return the velocity: points of one iteration of usual length and team strength."""
    done, current = _done_and_current(project, now)
    return _velocity(project, done, current)


def current_volatility(project: Project, now: datetime) -> float:
    """Return the standard deviation of the velocity relative to its mean, in percent.

    It is that of the iterations that make the velocity; 0 without iterations or points.
    """
    done, current = _done_and_current(project, now)
    rates = [_weekly_points(span) for span in _counted(project, done, current)]
    mean = fmean(rates) if rates else 0
    return round(100 * pstdev(rates) / mean, 2) if mean else 0.0


def history_days(project: Project, now: datetime, iteration: int | None = None) -> Record:
    """Return points and stories by state at the end of each day, and now.

    Estimates are the current ones, because earlier ones are not stored. Releases do not count.

    Args:
        project: The project; a recorded container is returned unchanged.
        now: The time of the last row.
        iteration: The number of an iteration, to return only its days and stories.

    Returns:
        A `daily_history_container` with the columns as recorded: points as floats, counts as ints.

    Raises:
        KeyError: There is no such iteration.
    """
    if project.history_days is not None and iteration is None:
        return project.history_days
    record = project.record
    first, last = first_day(project), _local_day(record, format_time(now))
    stories: Iterable[Record] = project.stories.values()
    if iteration is not None:
        span = _iteration(project, now, iteration)
        first = _local_day(record, span["start"])
        last = min(last, _local_day(record, span["finish"]) - timedelta(days=1))
        stories = [project.stories[story_id] for story_id in span["story_ids"]]
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    columns = _columns_by_day(project, stories, days)
    return {
        "kind": "daily_history_container",
        "header": [
            "date",
            *(f"points_{state}" for state in STORY_STATES),
            *(f"counts_{state}" for state in STORY_STATES),
        ],
        "data": [
            [day.isoformat(), *(column[number] for column in columns)]
            for number, day in enumerate(days)
        ],
    }


def _columns_by_day(
    project: Project, stories: Iterable[Record], days: Sequence[date]
) -> list[Sequence[float]]:
    """Return the points of each state at the end of each day, then the numbers of stories."""
    record = project.record
    ends = [format_time(midnight(record, day + timedelta(days=1))) for day in days]
    point_changes = {state: [0.0] * (len(days) + 1) for state in STORY_STATES}
    count_changes = {state: [0] * (len(days) + 1) for state in STORY_STATES}
    for story in stories:
        if story["story_type"] == "release":
            continue
        size = float(points(project, story))
        previous = None
        for entered_at, state in _states(story):
            number = min(bisect_right(ends, entered_at), len(days))
            point_changes[state][number] += size
            count_changes[state][number] += 1
            if previous is not None:
                point_changes[previous][number] -= size
                count_changes[previous][number] -= 1
            previous = state
    return [
        *(list(accumulate(point_changes[state])) for state in STORY_STATES),
        *(list(accumulate(count_changes[state])) for state in STORY_STATES),
    ]


def _local_day(record: Record, time_text: str) -> date:
    return datetime.fromisoformat(time_text).astimezone(zone(record)).date()


def _iteration(project: Project, now: datetime, number: int) -> Record:
    for span in iterations(project, now):
        if span["number"] == number:
            return span
    raise KeyError(f"there is no iteration {number}")


def _spans(project: Project) -> Iterator[Record]:
    record, day, number = project.record, first_day(project), 0
    start = format_time(midnight(record, day))
    while True:
        number += 1
        override = project.iteration_overrides.get(number, {})
        length: int = override.get("length") or record.get("iteration_length", 1)
        day += timedelta(weeks=length)
        finish = format_time(midnight(record, day))
        span: Record = {
            "number": number,
            "project_id": record["id"],
            "length": length,
            "team_strength": override.get("team_strength", 1),
            "start": start,
            "finish": finish,
            "kind": "iteration",
        }
        yield span
        start = finish


def _until(spans: Iterator[Record], time_text: str) -> list[Record]:
    """Return the iterations up to the one at a time."""
    plan: list[Record] = []
    for span in spans:
        plan.append(span)
        if span["finish"] > time_text:
            break
    return plan


def _accepted_by_number(project: Project, plan: list[Record]) -> dict[int, list[Record]]:
    starts = [span["start"] for span in plan]
    by_number: dict[int, list[Record]] = {}
    accepted = [story for story in project.stories.values() if story.get("accepted_at")]
    for story in sorted(accepted, key=lambda story: str(story["accepted_at"])):
        position = max(0, bisect_right(starts, story["accepted_at"]) - 1)
        by_number.setdefault(plan[position]["number"], []).append(story)
    return by_number


def _fill(project: Project, span: Record, stories: list[Record], *, current_velocity: int) -> None:
    total = sum(points(project, story) for story in stories)
    accepted = [story for story in stories if story["current_state"] == "accepted"]
    usual_length = project.record.get("iteration_length", 1)
    person_power = span["team_strength"] * span["length"] / usual_length
    span["story_ids"] = [story["id"] for story in stories]
    span["velocity"] = current_velocity
    span["points"] = total
    span["accepted_points"] = sum(points(project, story) for story in accepted)
    span["effective_points"] = round(total / person_power, 2) if person_power else 0.0


def _fill_current(
    project: Project, span: Record, accepted: list[Record], velocity: int
) -> list[Record]:
    """Fill the current iteration, and return the backlog, the top last."""
    automatic = project.record.get("automatic_planning", True)
    open_stories = [
        story
        for story in project.stories.values()
        if story["current_state"] not in {"accepted", "unscheduled"}
    ]
    total = sum(
        points(project, story)
        for story in (*accepted, *open_stories)
        if story["current_state"] != "unstarted"
    )
    room = _room(project, span, velocity)
    stories = list(accepted)
    backlog: list[Record] = []
    for story in open_stories:
        size = points(project, story)
        if story["current_state"] in IN_PROGRESS:
            stories.append(story)
        elif automatic and not backlog and (not total or total + size <= room):
            stories.append(story)
            total += size
        else:
            backlog.append(story)
    _fill(project, span, stories, current_velocity=velocity)
    return backlog[::-1]


def _next_iteration(
    project: Project, span: Record, backlog: list[Record], velocity: int
) -> list[Record]:
    """Remove from the backlog, whose top is last, the stories of the next iteration."""
    room = _room(project, span, velocity)
    stories = [backlog.pop()]
    total = points(project, stories[0])
    while backlog and total + points(project, backlog[-1]) <= room:
        total += points(project, backlog[-1])
        stories.append(backlog.pop())
    return stories


def _room(project: Project, span: Record, velocity: int) -> float:
    usual_length: float = project.record.get("iteration_length", 1)
    room: float = velocity * span["team_strength"] * span["length"] / usual_length
    return room


def _done_and_current(project: Project, now: datetime) -> tuple[list[Record], int]:
    current_time = format_time(now)
    plan = iterations(project, now)
    # an archive may not contain an iteration's days
    done = [span for span in plan if "finish" in span and span["finish"] <= current_time]
    return done, (done[-1]["number"] + 1 if done else 1)


def _counted(project: Project, done: list[Record], before: int) -> list[Record]:
    """Return the done iterations that make the velocity of iteration `before`."""
    max_count = project.record.get("velocity_averaged_over", 3)
    counted: list[Record] = []
    for span in reversed(done[: before - done[0]["number"]] if done else []):
        if span["team_strength"] and len(counted) < max_count:
            counted.append(span)
    return counted


def _velocity(project: Project, done: list[Record], before: int) -> int:
    record = project.record
    counted = _counted(project, done, before)
    worked = sum(_points(span) / span["team_strength"] for span in counted)
    if not counted or (not worked and len(counted) >= record.get("velocity_averaged_over", 3)):
        initial: int = record.get("initial_velocity", 10)
        return initial
    weeks = sum(span.get("length", 1) for span in counted)
    return int(worked / weeks * record.get("iteration_length", 1))


def _weekly_points(span: Record) -> float:
    rate: float = _points(span) / span["team_strength"] / span.get("length", 1)
    return rate


def _points(span: Record) -> float:
    total: float = span.get("points") or 0
    return total


def _states(story: Record) -> Iterator[tuple[str, str]]:
    """Yield the states of a story with the time it entered each, oldest first."""
    transitions = sorted(
        story.get("transitions", ()), key=lambda transition: str(transition["occurred_at"])
    )
    if not transitions:
        yield story["created_at"], story["current_state"]
        return
    if transitions[0]["occurred_at"] > story["created_at"]:
        yield story["created_at"], "unscheduled"
    for transition in transitions:
        yield transition["occurred_at"], transition["state"]
