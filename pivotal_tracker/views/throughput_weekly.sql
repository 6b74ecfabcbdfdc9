-- One row a project, week and story type in which a story was created or accepted: how many, and
-- the points of the accepted ones.
--
-- week: its Monday, in the project's time zone. points_accepted: of the types that are estimated in
-- the project (see story_overview), a story without an estimate as 0. A story that was deleted
-- since is not counted, and one that was accepted twice counts for the last time.
--
-- Needs: projects, stories.
WITH story AS (
    SELECT
        story.project_id,
        project.name AS project_name,
        story.story_type,
        story.created_at,
        story.accepted_at,
        CASE
            WHEN story._date_precision = 'day' THEN 'UTC'
            ELSE coalesce(project.time_zone__olson_name, 'UTC')
        END AS time_zone,
        coalesce(
            CASE
                WHEN story.story_type = 'feature' THEN story.estimate
                WHEN story.story_type IN ('bug', 'chore')
                    AND coalesce(project.bugs_and_chores_are_estimatable, TRUE) THEN story.estimate
            END,
            0
        ) AS points
    FROM stories AS story
    LEFT JOIN projects AS project ON project.id = story.project_id
),

event AS (
    SELECT
        project_id,
        project_name,
        story_type,
        CAST(created_at AT TIME ZONE time_zone AS DATE) AS date,
        1 AS created,
        0 AS accepted,
        0 AS points_accepted
    FROM story
    WHERE created_at IS NOT NULL
    UNION ALL
    SELECT
        project_id,
        project_name,
        story_type,
        CAST(accepted_at AT TIME ZONE time_zone AS DATE) AS date,
        0 AS created,
        1 AS accepted,
        points AS points_accepted
    FROM story
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
