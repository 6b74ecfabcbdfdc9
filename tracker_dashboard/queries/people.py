"""Queries of the People page."""

from __future__ import annotations

from sqlglot import exp

from .build import PEOPLE, Scope, as_sql, in_projects, select


@as_sql
def weekly_activity(scope: Scope) -> exp.Select:
    """Count what each person accepted and commented by week; a story counts for each owner."""
    query = select(
        """
        SELECT a.person_id, coalesce(a.person_name, CAST(a.person_id AS VARCHAR)) AS person_name,
            a.week,
            CAST(sum(a.stories_accepted) AS BIGINT) AS stories_accepted,
            sum(a.points_accepted) AS points_accepted,
            CAST(sum(a.comments) AS BIGINT) AS comments
        FROM person_activity AS a
        GROUP BY a.person_id, a.person_name, a.week ORDER BY a.week, person_name
        """
    )
    return in_projects(query, scope, "a")


@as_sql
def reviews(scope: Scope) -> exp.Select:
    """Select the reviews of each person, and when each was last changed."""
    query = select(
        f"""
        SELECT p.person_id, coalesce(p.name, CAST(p.person_id AS VARCHAR)) AS person_name,
            r.updated_at
        FROM stories__reviews AS r
        JOIN ({PEOPLE}) AS p ON p.id = r.reviewer_id WHERE r.updated_at IS NOT NULL
        ORDER BY r.updated_at
        """  # noqa: S608 - a constant
    )
    return in_projects(query, scope, "r")


@as_sql
def open_work(scope: Scope) -> exp.Select:
    """Select the open stories of each owner by state, without the icebox."""
    query = select(
        f"""
        SELECT p.person_id, coalesce(p.name, CAST(p.person_id AS VARCHAR)) AS name,
            s.current_state, count(*) AS stories,
            coalesce(sum(s.estimate), 0) AS points
        FROM stories__owner_ids AS o
        JOIN stories AS s ON s.id = o.story_id
        JOIN ({PEOPLE}) AS p ON p.id = o.value
        WHERE s.current_state NOT IN ('accepted', 'unscheduled')
        GROUP BY p.person_id, p.name, s.current_state
        ORDER BY name, p.person_id, s.current_state
        """  # noqa: S608 - a constant
    )
    return in_projects(query, scope, "s")
