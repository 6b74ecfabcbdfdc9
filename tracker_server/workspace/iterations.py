"""What follows from a project's stories and the calendar: iterations, velocity, daily history.

Nothing here changes anything. Times are compared as the API writes them: `2025-04-25T16:00:00Z`
sorts as text in the order of time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import accumulate
from statistics import fmean, pstdev
from zoneinfo import ZoneInfo

from tracker_server.workspace.model import STATES, Project, Record, format_time

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

IN_PROGRESS = {"started", "finished", "delivered", "rejected", "planned"}
"""The states that hold a story in the current iteration, whatever the velocity is."""


def zone(record: Record) -> ZoneInfo:
    """Give the time zone of a project's record; UTC where it names none."""
    return ZoneInfo(record.get("time_zone", {}).get("olson_name", "UTC"))


def midnight(record: Record, day: date) -> datetime:
    """Say, in UTC, when a day begins for a project."""
    return datetime.combine(day, time(), zone(record)).astimezone(UTC)


def first_day(project: Project) -> date:
    """Say on which day a project's first iteration began.

    It is the `week_start_day` on or before the start date or, if that is earlier, the day on which
    the first story was accepted.
    """
    record = project.record
    moments = [
        story["accepted_at"] for story in project.stories.values() if story.get("accepted_at")
    ]
    days = [_local_day(record, min(moments))] if moments else []
    if "start_date" in record:
        days.append(date.fromisoformat(record["start_date"]))
    else:
        days.append(_local_day(record, record.get("start_time") or record["created_at"]))
    day = min(days)
    week_starts_on = WEEKDAYS.index(record.get("week_start_day", "Monday"))
    return day - timedelta(days=(day.weekday() - week_starts_on) % 7)


def points(project: Project, story: Record) -> float:
    """Give the points that a story brings: none if its type is not estimated in this project."""
    estimable = {"feature"}
    if project.record.get("bugs_and_chores_are_estimatable"):
        estimable |= {"bug", "chore"}
    if story["story_type"] not in estimable:
        return 0
    estimate: float = story.get("estimate") or 0
    return estimate


def iterations(project: Project, now: datetime) -> list[Record]:
    """Give a project's iterations, the oldest first, the empty ones included.

    A done iteration holds what was accepted in it. The current one holds what was accepted since it
    began, what is in progress, and of the unstarted stories, from the top, as many as the velocity
    allows; a project without automatic planning puts only `planned` ones there. The rest fills the
    later ones by the same rule: as recorded, the story that would go over the velocity begins the
    next iteration, unless it would go over that of an empty one.

    Args:
        project: The project; recorded iterations are given as they are.
        now: Which iteration is the current one.

    Returns:
        Records with `number`, `project_id`, `length` (weeks), `team_strength`, `start`, `finish`,
        `kind`, `story_ids`, `velocity`, `points`, `accepted_points`, `effective_points`.
    """
    if project.iterations is not None:
        return project.iterations
    plan: list[Record] = []
    spans = _spans(project)
    moment = format_time(now)
    for span in spans:
        plan.append(span)
        if span["finish"] > moment:
            break
    done, current = plan[:-1], plan[-1]
    accepted = _accepted_by_number(project, plan)
    for span in done:
        stories = accepted.get(span["number"], [])
        _fill(project, span, stories, current_velocity=_velocity(project, done, span["number"]))
    velocity = _velocity(project, done, current["number"])
    backlog = _fill_current(project, current, accepted.get(current["number"], []), velocity)
    while backlog:
        span = next(spans)
        _fill(project, span, _take(project, span, backlog, velocity), current_velocity=velocity)
        plan.append(span)
    return plan


def current_number(project: Project, now: datetime) -> int:
    """Give the number of the iteration that is going on."""
    return _done_and_current(project, now)[1]


def current_velocity(project: Project, now: datetime) -> int:
    """Give a project's velocity: the points of one iteration of usual length and strength."""
    done, current = _done_and_current(project, now)
    return _velocity(project, done, current)


def current_volatility(project: Project, now: datetime) -> float:
    """Give the standard deviation of the velocity relative to its mean, in percent.

    Taken over the iterations that make the velocity; 0 before there are any, or with no points.
    """
    done, current = _done_and_current(project, now)
    rates = [_weekly_points(span) for span in _counted(project, done, current)]
    mean = fmean(rates) if rates else 0
    return round(100 * pstdev(rates) / mean, 2) if mean else 0.0


def history_days(project: Project, now: datetime, iteration: int | None = None) -> Record:
    """Count points and stories by state at the end of each day, today as it is now.

    Estimates are today's, since a story does not keep its former ones; releases are not counted.

    Args:
        project: The project; a recorded container is given as it is.
        now: The last moment of the last row.
        iteration: Only the days of this iteration until now, and only its stories.

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
    days = (last - first).days + 1
    ends = [format_time(midnight(record, first + timedelta(days=day + 1))) for day in range(days)]
    moved_points = {state: [0.0] * (days + 1) for state in STATES}
    moved_counts = {state: [0] * (days + 1) for state in STATES}
    for story in stories:
        if story["story_type"] == "release":
            continue
        size = float(points(project, story))
        left = None
        for moment, state in _states(story):
            day = min(bisect_right(ends, moment), days)
            moved_points[state][day] += size
            moved_counts[state][day] += 1
            if left is not None:
                moved_points[left][day] -= size
                moved_counts[left][day] -= 1
            left = state
    columns: list[Sequence[float]] = [
        *(list(accumulate(moved_points[state])) for state in STATES),
        *(list(accumulate(moved_counts[state])) for state in STATES),
    ]
    return {
        "kind": "daily_history_container",
        "header": [
            "date",
            *(f"points_{state}" for state in STATES),
            *(f"counts_{state}" for state in STATES),
        ],
        "data": [
            [(first + timedelta(days=day)).isoformat(), *(column[day] for column in columns)]
            for day in range(days)
        ],
    }


def _local_day(record: Record, moment: str) -> date:
    return datetime.fromisoformat(moment).astimezone(zone(record)).date()


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


def _accepted_by_number(project: Project, plan: list[Record]) -> dict[int, list[Record]]:
    starts = [span["start"] for span in plan]
    by_number: dict[int, list[Record]] = {}
    accepted = [story for story in project.stories.values() if story.get("accepted_at")]
    for story in sorted(accepted, key=lambda story: str(story["accepted_at"])):
        place = max(0, bisect_right(starts, story["accepted_at"]) - 1)
        by_number.setdefault(plan[place]["number"], []).append(story)
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
    """Fill the current iteration; what is left over is the backlog, the top last."""
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


def _take(project: Project, span: Record, backlog: list[Record], velocity: int) -> list[Record]:
    """Take off the backlog, whose top is last, what one later iteration has room for."""
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
    moment = format_time(now)
    plan = iterations(project, now)
    # an archive may not know an iteration's days
    done = [span for span in plan if "finish" in span and span["finish"] <= moment]
    return done, (done[-1]["number"] + 1 if done else 1)


def _counted(project: Project, done: list[Record], before: int) -> list[Record]:
    """Give the done iterations that make the velocity that iteration `before` has."""
    wanted = project.record.get("velocity_averaged_over", 3)
    counted: list[Record] = []
    for span in reversed(done[: before - done[0]["number"]] if done else []):
        if span["team_strength"] and len(counted) < wanted:
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
    """Give each state a story has been in, with the moment it entered it, oldest first."""
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
