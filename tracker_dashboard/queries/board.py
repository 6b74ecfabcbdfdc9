"""Queries of the Board and Iteration pages."""

from __future__ import annotations

from sqlglot import exp

from .build import PEOPLE, as_sql, select


@as_sql
def iteration_list(project_id: int) -> exp.Select:
    """Select every iteration of a project, in order, with its figures."""
    return select(
        """
        SELECT i.iteration_number, i.start, i.finish, i.iteration_state, i.length_weeks,
            i.team_strength, i.points, i.points_accepted, i.stories_accepted, i.velocity,
            i.feature_points_accepted, i.bug_points_accepted, i.chore_points_accepted,
            i.features_accepted, i.bugs_accepted, i.chores_accepted, i.releases_accepted,
            i.rejection_rate, i.rejected_stories, i.median_cycle_time_hours,
            i.velocity_reason, i.rejection_rate_reason, i.cycle_time_reason
        FROM iteration_metrics AS i WHERE i.project_id = :project ORDER BY i.iteration_number
        """,
        project=project_id,
    )


@as_sql
def iteration_stories(project_id: int, number: int) -> exp.Select:
    """Select the stories of one iteration, in order, and when each was first scheduled."""
    return select(
        """
        SELECT s.id, s.name, s.story_type, s.current_state, s.estimate, m.points, s.created_at,
            s.accepted_at, m.created_on, m.accepted_on, m.cycle_time_hours, m.lead_time_hours,
            m.rejection_count, coalesce(t.first_scheduled_at, s.created_at) AS first_scheduled_at
        FROM iterations__story_ids AS i
        JOIN stories AS s ON s.id = i.value AND s.project_id = i.project_id
        JOIN story_measures AS m ON m.story_id = s.id
        LEFT JOIN (
            SELECT x.story_id, min(x.occurred_at) AS first_scheduled_at
            FROM stories__transitions AS x
            WHERE x.project_id = :project AND x.state <> 'unscheduled' GROUP BY x.story_id
        ) AS t ON t.story_id = s.id
        WHERE i.project_id = :project AND i.iteration_number = :number
        ORDER BY i._dlt_list_idx
        """,
        project=project_id,
        number=number,
    )


@as_sql
def moved_on(project_id: int, number: int) -> exp.Select:
    """Select stories that were started or moved to the icebox in an iteration they are not in.

    `change` is `started` or `unscheduled`.
    """
    return select(
        """
        SELECT s.id, s.name, s.story_type, s.current_state, s.estimate, m.points, x.state AS change,
            max(x.occurred_at) AS changed_at
        FROM stories__transitions AS x
        JOIN iterations AS n ON n.project_id = x.project_id AND n.number = :number
            AND x.occurred_at >= n.start AND x.occurred_at < n.finish
        JOIN stories AS s ON s.id = x.story_id
        JOIN story_measures AS m ON m.story_id = s.id
        LEFT JOIN iterations__story_ids AS i
            ON i.project_id = x.project_id AND i.iteration_number = :number AND i.value = x.story_id
        WHERE x.project_id = :project AND x.state IN ('started', 'unscheduled')
            AND i.value IS NULL
        GROUP BY s.id, s.name, s.story_type, s.current_state, s.estimate, m.points, x.state
        ORDER BY changed_at, s.id
        """,
        project=project_id,
        number=number,
    )


@as_sql
def open_stories(project_id: int) -> exp.Select:
    """Select the open stories of a project in their order, and their planned iterations."""
    return select(
        """
        SELECT s.id, s.name, s.story_type, s.current_state, s.estimate, i.iteration_number
        FROM stories AS s
        LEFT JOIN (
            SELECT x.value, min(x.iteration_number) AS iteration_number
            FROM iterations__story_ids AS x WHERE x.project_id = :project GROUP BY x.value
        ) AS i ON i.value = s.id
        WHERE s.project_id = :project AND s.current_state <> 'accepted'
        ORDER BY s._position NULLS LAST, s.id
        """,
        project=project_id,
    )


@as_sql
def stories_of_iterations(project_id: int, numbers: tuple[int, ...]) -> exp.Select:
    """Select the accepted stories of some iterations, in order."""
    query = select(
        """
        SELECT i.iteration_number, s.id, s.name, s.story_type, s.current_state, s.estimate,
            s.accepted_at
        FROM iterations__story_ids AS i JOIN stories AS s ON s.id = i.value
        WHERE i.project_id = :project AND s.current_state = 'accepted'
        ORDER BY i.iteration_number DESC, i._dlt_list_idx
        """,
        project=project_id,
    )
    return query.where(
        exp.column("iteration_number", "i").isin(*numbers) if numbers else exp.false()
    )


@as_sql
def people_of_iteration(project_id: int, number: int) -> exp.Select:
    """Select the owners of the accepted stories of an iteration; a story counts for each one."""
    return select(
        f"""
        SELECT coalesce(p.name, CAST(o.value AS VARCHAR)) AS owner, count(*) AS stories,
            coalesce(sum(m.points), 0) AS points
        FROM iterations__story_ids AS i
        JOIN story_measures AS m ON m.story_id = i.value AND m.project_id = i.project_id
        JOIN stories__owner_ids AS o ON o.story_id = i.value
        LEFT JOIN ({PEOPLE}) AS p ON p.id = o.value
        WHERE i.project_id = :project AND i.iteration_number = :number
            AND m.current_state = 'accepted' AND m.story_type <> 'release'
        GROUP BY coalesce(p.name, CAST(o.value AS VARCHAR))
        ORDER BY points DESC, stories DESC, owner
        """,  # noqa: S608 - a constant
        project=project_id,
        number=number,
    )
