"""Queries of the metric views."""

from __future__ import annotations

from sqlglot import exp

from .build import Scope, as_sql, in_days, in_projects, select


@as_sql
def as_of(scope: Scope) -> exp.Select:
    """Select the last known day of each project, at which open ages and periods end."""
    query = select(
        """
        SELECT a.project_id, a.project_name, a.time_zone, a.as_of, a.as_of_date, a.as_of_source,
            a.has_transitions
        FROM project_as_of AS a ORDER BY a.as_of DESC, a.project_id
        """
    )
    return in_projects(query, scope, "a")


@as_sql
def iterations(scope: Scope) -> exp.Select:
    """Select the iterations that are done or current, with their figures."""
    query = select(
        """
        SELECT i.project_id, i.project_name, i.iteration_number, i.start, i.finish,
            i.iteration_state, i.points, i.points_accepted, i.stories_accepted, i.velocity,
            i.volatility, i.rejection_rate, i.rejected_stories, i.median_cycle_time_hours,
            i.p85_cycle_time_hours, i.median_lead_time_hours, i.p85_lead_time_hours,
            i.feature_points_accepted, i.bug_points_accepted, i.chore_points_accepted,
            i.features_accepted, i.bugs_accepted, i.chores_accepted, i.releases_accepted,
            i.stories, i.velocity_reason, i.rejection_rate_reason, i.cycle_time_reason,
            i.assumptions
        FROM iteration_metrics AS i
        WHERE i.iteration_state <> 'planned'
        ORDER BY i.start, i.project_id
        """
    )
    return in_projects(query, scope, "i")


@as_sql
def velocities(scope: Scope) -> exp.Select:
    """Select the current velocity of each project."""
    query = select(
        """
        SELECT v.project_id, v.project_name, v.velocity, v.volatility, v.iteration_length,
            v.current_iteration_number, v.velocity_reason, v.volatility_reason, v.assumptions
        FROM project_velocity AS v ORDER BY v.project_name, v.project_id
        """
    )
    return in_projects(query, scope, "v")


@as_sql
def throughput(scope: Scope) -> exp.Select:
    """Count stories created and accepted, and points accepted, by week, without releases."""
    query = select(
        """
        SELECT t.project_id, t.week, CAST(sum(t.created) AS BIGINT) AS created,
            CAST(sum(t.accepted) AS BIGINT) AS accepted, sum(t.points_accepted) AS points_accepted
        FROM throughput_weekly AS t
        WHERE t.story_type <> 'release'
        GROUP BY t.project_id, t.week ORDER BY t.week, t.project_id
        """
    )
    return in_projects(query, scope, "t")


@as_sql
def durations(scope: Scope) -> exp.Select:
    """Select the cycle and lead time of each accepted story."""
    query = select(
        """
        SELECT m.project_id, m.story_id, m.accepted_on, m.points, m.cycle_time_hours,
            m.lead_time_hours
        FROM story_measures AS m
        WHERE m.accepted_on IS NOT NULL AND m.story_type <> 'release'
        ORDER BY m.accepted_on, m.story_id
        """
    )
    return in_projects(query, scope, "m")


@as_sql
def next_releases() -> exp.Select:
    """Select the releases to come of all projects, the next one first.

    The forecast of one project takes as long as that of all, as it does for `epics`, `forecast`.
    """
    return select(
        """
        SELECT r.release_id, r.name, r.deadline, r.stories, r.stories_accepted,
            r.projected_completion, r.days_late, r.earliest_completion, r.latest_completion,
            r.days_late_reason, r.projected_completion_reason, r.project_id
        FROM release_progress AS r
        WHERE r.accepted_at IS NULL
        ORDER BY r.deadline NULLS LAST, r.projected_completion NULLS LAST, r.release_id
        """
    )


@as_sql
def daily_states(scope: Scope) -> exp.Select:
    """Select the stories and points of each project by day and state."""
    query = select(
        """
        SELECT d.project_id, d.date, d.state, CAST(d.stories AS DOUBLE) AS stories, d.points
        FROM daily_states AS d ORDER BY d.date, d.project_id
        """
    )
    return in_days(in_projects(query, scope, "d"), scope, "date", "d")


@as_sql
def forecast() -> exp.Select:
    """Select the backlog of all projects in order, and when each story is expected."""
    return select(
        """
        SELECT f.project_id, f.position, f.story_id, f.points, f.iteration_number,
            f.earliest_by, f.expected_by, f.latest_by
        FROM forecast AS f ORDER BY f.project_id, f.position
        """
    )


@as_sql
def story_durations(scope: Scope) -> exp.Select:
    """Select the cycle and lead time of each accepted story, with its name and type."""
    query = select(
        """
        SELECT m.project_id, m.story_id AS id, s.name, m.story_type, m.accepted_on,
            m.cycle_time_hours, m.lead_time_hours
        FROM story_measures AS m JOIN stories AS s ON s.id = m.story_id
        WHERE m.accepted_on IS NOT NULL AND m.story_type <> 'release'
        ORDER BY m.accepted_on, m.story_id
        """
    )
    return in_projects(query, scope, "m")


@as_sql
def time_in_states(scope: Scope) -> exp.Select:
    """Select how long each accepted story was in each state on its way."""
    query = select(
        """
        SELECT c.story_id, c.state, c.hours, m.accepted_on
        FROM cycle_times AS c JOIN story_measures AS m ON m.story_id = c.story_id
        WHERE m.accepted_on IS NOT NULL AND m.story_type <> 'release' AND c.state <> 'accepted'
            AND c.hours IS NOT NULL
        ORDER BY m.accepted_on, c.story_id, c.state
        """
    )
    return in_projects(query, scope, "c")


@as_sql
def open_stories(scope: Scope) -> exp.Select:
    """Select every open story, the oldest first, with its age at the last known event."""
    query = select(
        """
        SELECT a.story_id AS id, a.name, a.project_name, a.story_type, a.current_state, a.estimate,
            a.age_days, a.days_in_state
        FROM open_story_age AS a ORDER BY a.age_days DESC, a.story_id
        """
    )
    return in_projects(query, scope, "a")


@as_sql
def open_blockers(scope: Scope) -> exp.Select:
    """Select the unresolved blockers of open stories, the oldest first."""
    query = select(
        """
        SELECT s.id, s.project_id, s.name, s.story_type, s.current_state, s.estimate,
            p.name AS project_name, b.description, b.created_at
        FROM stories__blockers AS b JOIN stories AS s ON s.id = b.story_id
        LEFT JOIN projects AS p ON p.id = s.project_id
        WHERE NOT coalesce(b.resolved, FALSE) AND s.current_state <> 'accepted'
        ORDER BY b.created_at NULLS FIRST, s.id, b._dlt_list_idx
        """
    )
    return in_projects(query, scope, "s")


@as_sql
def epics() -> exp.Select:
    """Select the progress of each epic of all projects."""
    return select(
        """
        SELECT e.epic_id AS id, e.name, e.label_name, e.project_id, e.project_name, e.stories,
            e.stories_accepted, e.points, e.points_accepted, e.unestimated_stories,
            e.completed_at, e.projected_completion, e.earliest_completion, e.latest_completion,
            e.projected_completion_reason
        FROM epic_progress AS e ORDER BY e.project_name, e.name, e.epic_id
        """
    )


@as_sql
def releases() -> exp.Select:
    """Select the progress of each release of all projects."""
    return select(
        """
        SELECT r.release_id AS id, r.name, r.project_id, r.project_name, r.deadline, r.stories,
            r.stories_accepted, r.points, r.points_accepted, r.accepted_at AS completed_at,
            r.projected_completion, r.earliest_completion, r.latest_completion, r.days_late,
            r.projected_completion_reason
        FROM release_progress AS r
        ORDER BY r.project_name, r.deadline NULLS LAST, r.release_id
        """
    )


@as_sql
def epic_stories(epic_id: int) -> exp.Select:
    """Select the stories of an epic, with the days of their creation and acceptance."""
    return select(
        """
        SELECT DISTINCT m.story_id, coalesce(m.points, 0) AS points, m.created_on,
            CASE WHEN m.current_state = 'accepted' THEN m.accepted_on END AS accepted_on
        FROM epics AS e
        JOIN stories__labels AS l ON l.name = e.label__name AND l.project_id = e.project_id
        JOIN story_measures AS m ON m.story_id = l.story_id
        WHERE e.id = :id
        """,
        id=epic_id,
    )


@as_sql
def release_stories(release_id: int) -> exp.Select:
    """Select the stories before a release, with the days of their creation and acceptance."""
    return select(
        """
        SELECT DISTINCT m.story_id, coalesce(m.points, 0) AS points, m.created_on,
            CASE WHEN m.current_state = 'accepted' THEN m.accepted_on END AS accepted_on
        FROM releases__story_ids AS i JOIN story_measures AS m ON m.story_id = i.value
        WHERE i.release_id = :id
        """,
        id=release_id,
    )
