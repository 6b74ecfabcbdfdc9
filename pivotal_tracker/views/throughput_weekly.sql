-- One row a project, week and story type in which a story was created or accepted: how many, and
-- the points of the accepted ones.
--
-- week: its Monday, in the project's time zone. points_accepted: of the types that are estimated in
-- the project (see story_measures), a story without an estimate as 0. A story that was deleted
-- since is not counted, and one that was accepted twice counts for the last time.
--
-- Needs: story_measures.
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
)

SELECT
    project_id,
    project_name,
    CAST(date - INTERVAL '1' DAY * (date_diff('day', DATE '1970-01-05', date) % 7) AS DATE) AS week,
    story_type,
    CAST(sum(created) AS BIGINT) AS created,
    CAST(sum(accepted) AS BIGINT) AS accepted,
    sum(points_accepted) AS points_accepted
FROM event
GROUP BY 1, 2, 3, 4
