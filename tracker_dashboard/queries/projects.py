"""Queries about the workspace: its projects, people and labels."""

from __future__ import annotations

from sqlglot import exp

from .build import as_sql, select


@as_sql
def projects() -> exp.Select:
    """Select every project, the most recently active first."""
    return select(
        """
        SELECT p.id, p.name, p.time_zone__olson_name AS time_zone, p._source AS source,
            s.stories, s.first_created,
            greatest(s.last_event, coalesce(c.last_comment, s.last_event)) AS last_event
        FROM projects AS p
        LEFT JOIN (
            SELECT project_id, count(*) AS stories, min(created_at) AS first_created,
                max(greatest(
                    coalesce(updated_at, created_at), coalesce(accepted_at, created_at)
                )) AS last_event
            FROM stories GROUP BY project_id
        ) AS s ON s.project_id = p.id
        LEFT JOIN (
            SELECT project_id, max(created_at) AS last_comment FROM stories__comments
            GROUP BY project_id
        ) AS c ON c.project_id = p.id
        WHERE p.same_as_id IS NULL OR s.stories > 0
        ORDER BY last_event DESC NULLS LAST, p.id
        """
    )


@as_sql
def label_names(project_id: int) -> exp.Select:
    """Select the labels that stories of a project have, the most used first."""
    return select(
        """
        SELECT l.name FROM stories__labels AS l
        WHERE l.project_id = :project AND l.name IS NOT NULL
        GROUP BY l.name ORDER BY count(*) DESC, l.name
        """,
        project=project_id,
    )


@as_sql
def owner_names(project_id: int) -> exp.Select:
    """Select who owns stories of a project, the owner of most stories first."""
    return select(
        """
        SELECT coalesce(q.name, p.name) AS owner FROM stories__owner_ids AS o
        JOIN people AS p ON p.id = o.value LEFT JOIN people AS q ON q.id = p.same_as_id
        WHERE o.project_id = :project AND p.name IS NOT NULL
        GROUP BY coalesce(q.name, p.name) ORDER BY count(*) DESC, owner
        """,
        project=project_id,
    )


@as_sql
def search_names() -> exp.Select:
    """Select every name that `label:`, `owner:`, `epic:` and the like can find: `field`, `name`."""
    return select(
        """
        SELECT DISTINCT 'label' AS field, l.name FROM stories__labels AS l WHERE l.name IS NOT NULL
        UNION ALL SELECT DISTINCT 'person', p.name FROM people AS p WHERE p.name IS NOT NULL
        UNION ALL SELECT DISTINCT 'epic', e.name FROM epics AS e WHERE e.name IS NOT NULL
        UNION ALL SELECT DISTINCT 'project', j.name FROM projects AS j WHERE j.name IS NOT NULL
        """
    )
