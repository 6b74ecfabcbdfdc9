-- One row per project, week and story type in which a story was created or accepted: how many, and
-- the points of the accepted ones. A week in which nothing happened has no row.
--
-- week: its Monday, in the project's time zone.
-- points_accepted: see story_measures; a story without an estimate counts as 0.
-- as_of: see project_as_of; the weeks end with it.
--
-- A story that was deleted is not counted. One that was accepted twice counts for the last time.
--
-- Key: project_id, week, story_type.
-- Needs: story_measures, project_as_of.
WITH event AS (
    SELECT
        project_id,
        project_name,
        story_type,
        created_on AS date,
        1 AS created,
        0 AS accepted,
        0 AS points_accepted
    FROM story_measures
    WHERE created_at IS NOT NULL
    UNION ALL
    SELECT
        project_id,
        project_name,
        story_type,
        accepted_on AS date,
        0 AS created,
        1 AS accepted,
        coalesce(points, 0) AS points_accepted
    FROM story_measures
    WHERE accepted_at IS NOT NULL
),

weekly AS (
    SELECT
        project_id,
        project_name,
        -- 5 January 1970 was a Monday
        CAST(date - INTERVAL '1' DAY * (date_diff('day', DATE '1970-01-05', date) % 7) AS DATE)
            AS week,
        story_type,
        CAST(sum(created) AS BIGINT) AS created,
        CAST(sum(accepted) AS BIGINT) AS accepted,
        sum(points_accepted) AS points_accepted
    FROM event
    GROUP BY 1, 2, 3, 4
)

SELECT
    weekly.project_id,
    weekly.project_name,
    weekly.week,
    weekly.story_type,
    weekly.created,
    weekly.accepted,
    weekly.points_accepted,
    reference.as_of
FROM weekly
LEFT JOIN project_as_of AS reference ON reference.project_id = weekly.project_id
