"""Queries of the Story page: one story and everything about it."""

from __future__ import annotations

from sqlglot import exp

from .build import PEOPLE, as_sql, select


@as_sql
def story(story_id: int) -> exp.Select:
    """Select the story, its project and its requester."""
    return select(
        f"""
        SELECT s.id, s.project_id, s.name, s.description, s.story_type, s.current_state,
            s.story_priority, s.estimate, s.url, s.created_at, s.updated_at, s.accepted_at,
            s.deadline, s._date_precision AS date_precision, s._source AS source,
            p.name AS project_name, p.time_zone__olson_name AS time_zone, r.name AS requester
        FROM stories AS s
        LEFT JOIN projects AS p ON p.id = s.project_id
        LEFT JOIN ({PEOPLE}) AS r ON r.id = s.requested_by_id
        WHERE s.id = :id
        """,  # noqa: S608 - a constant
        id=story_id,
    )


@as_sql
def measures(story_id: int) -> exp.Select:
    """Select its cycle time, lead time and rejections."""
    return select(
        """
        SELECT m.points, m.first_started_at, m.cycle_time_hours, m.lead_time_hours,
            m.rejection_count
        FROM story_measures AS m WHERE m.story_id = :id
        """,
        id=story_id,
    )


@as_sql
def followers(story_id: int) -> exp.Select:
    """Select who follows it."""
    return select(
        f"""
        SELECT DISTINCT coalesce(p.name, CAST(f.value AS VARCHAR)) AS name
        FROM stories__follower_ids AS f LEFT JOIN ({PEOPLE}) AS p ON p.id = f.value
        WHERE f.story_id = :id ORDER BY name
        """,  # noqa: S608 - a constant
        id=story_id,
    )


@as_sql
def epics(story_id: int) -> exp.Select:
    """Select the epics whose label it has."""
    return select(
        """
        SELECT DISTINCT e.name FROM epics AS e
        JOIN stories__labels AS l ON l.name = e.label__name AND l.project_id = e.project_id
        WHERE l.story_id = :id ORDER BY e.name
        """,
        id=story_id,
    )


@as_sql
def iteration(story_id: int) -> exp.Select:
    """Select the iteration that holds it."""
    return select(
        """
        SELECT min(i.iteration_number) AS iteration_number FROM iterations__story_ids AS i
        WHERE i.value = :id
        """,
        id=story_id,
    )


@as_sql
def releases(story_id: int) -> exp.Select:
    """Select the release that it precedes."""
    return select(
        """
        SELECT r.id, r.name FROM releases AS r
        JOIN releases__story_ids AS i ON i.release_id = r.id
        WHERE i.value = :id ORDER BY r.accepted_at NULLS LAST, r.id
        """,
        id=story_id,
    )


@as_sql
def neighbours(project_id: int, story_id: int) -> exp.Select:
    """Select the stories before and after it in its project, by id."""
    return select(
        """
        SELECT max(CASE WHEN s.id < :id THEN s.id END) AS previous_id,
            min(CASE WHEN s.id > :id THEN s.id END) AS next_id
        FROM stories AS s WHERE s.project_id = :project
        """,
        id=story_id,
        project=project_id,
    )


@as_sql
def comments(story_id: int) -> exp.Select:
    """Select its comments, oldest first."""
    return select(
        f"""
        SELECT c.id, c.text, c.created_at, coalesce(p.name, c.external_author) AS author,
            c.commit_identifier
        FROM stories__comments AS c LEFT JOIN ({PEOPLE}) AS p ON p.id = c.person_id
        WHERE c.story_id = :id ORDER BY c.created_at NULLS FIRST, c._dlt_list_idx
        """,  # noqa: S608 - a constant
        id=story_id,
    )


@as_sql
def tasks(story_id: int) -> exp.Select:
    """Select its tasks, in order."""
    return select(
        """
        SELECT t.description, t.complete FROM stories__tasks AS t
        WHERE t.story_id = :id ORDER BY t.position NULLS LAST, t._dlt_list_idx
        """,
        id=story_id,
    )


@as_sql
def blockers(story_id: int) -> exp.Select:
    """Select what blocks or blocked it."""
    return select(
        f"""
        SELECT b.description, b.resolved, b.created_at, p.name AS person
        FROM stories__blockers AS b LEFT JOIN ({PEOPLE}) AS p ON p.id = b.person_id
        WHERE b.story_id = :id ORDER BY b.created_at NULLS FIRST, b._dlt_list_idx
        """,  # noqa: S608 - a constant
        id=story_id,
    )


@as_sql
def reviews(story_id: int) -> exp.Select:
    """Select its reviews."""
    return select(
        f"""
        SELECT r.review_type__name AS review_type, r.status, r.updated_at, p.name AS reviewer
        FROM stories__reviews AS r LEFT JOIN ({PEOPLE}) AS p ON p.id = r.reviewer_id
        WHERE r.story_id = :id ORDER BY r.created_at NULLS FIRST, r._dlt_list_idx
        """,  # noqa: S608 - a constant
        id=story_id,
    )


@as_sql
def code(story_id: int) -> exp.Select:
    """Select its pull requests and branches: `kind`, `name`, `status`, `url`."""
    return select(
        """
        SELECT 'pull request' AS kind,
            q.owner || '/' || q.repo || ' #' || CAST(q.number AS VARCHAR) AS name,
            q.status, q.original_url AS url
        FROM stories__pull_requests AS q WHERE q.story_id = :id
        UNION ALL
        SELECT 'branch', b.owner || '/' || b.repo || ' ' || b.name, NULL, b.original_url
        FROM stories__branches AS b WHERE b.story_id = :id
        """,
        id=story_id,
    )


@as_sql
def history(story_id: int) -> exp.Select:
    """Select what happened to it, oldest first: activity, and changes of state without any."""
    return select(
        f"""
        SELECT h.occurred_at, h.who, h.what FROM (
            SELECT a.occurred_at, a.performed_by__name AS who, a.message AS what
            FROM activity AS a JOIN activity__primary_resources AS r ON r.activity_guid = a.guid
            WHERE r.id = :id AND r.kind = 'story'
            UNION ALL
            SELECT t.occurred_at, p.name, t.state
            FROM stories__transitions AS t
            LEFT JOIN ({PEOPLE}) AS p ON p.id = t.performed_by_id
            WHERE t.story_id = :id AND NOT EXISTS (
                SELECT 1 FROM activity AS a
                JOIN activity__primary_resources AS r ON r.activity_guid = a.guid
                WHERE r.id = :id AND r.kind = 'story' AND a.project_version = t.project_version
                    AND a.project_id = t.project_id
            )
        ) AS h ORDER BY h.occurred_at NULLS FIRST, h.what
        """,  # noqa: S608 - a constant
        id=story_id,
    )


@as_sql
def attachments(story_id: int) -> exp.Select:
    """Select what is attached to its comments: files and Google documents."""
    return select(
        """
        SELECT f.id, f.comment_id, f.filename, f.content_type, f.size, NULL AS link
        FROM stories__comments__file_attachments AS f WHERE f.story_id = :id
        UNION ALL
        SELECT g.id, g.comment_id, g.title, g.google_kind, NULL, g.alternate_link
        FROM stories__comments__google_attachments AS g WHERE g.story_id = :id
        """,
        id=story_id,
    )


@as_sql
def attachment_files(story_id: int) -> exp.Select:
    """Select where its downloaded files are, or why they were not downloaded."""
    return select(
        """
        SELECT a.id, a.comment_id, a.filename, a.content_type, a.path, a.size, a.sha256, a.problem
        FROM attachment_files AS a WHERE a.story_id = :id ORDER BY a.id
        """,
        id=story_id,
    )
