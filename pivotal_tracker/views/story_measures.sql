-- One row a story: what the other views count and measure. story_overview has it with the names.
--
-- is_estimated: whether stories of this type take points in this project: features always, bugs and
--   chores if it says so; null where its settings are not known (an archive).
-- points: the estimate of such a story, null without one. Where the settings are not known a bug's
--   or a chore's counts: Tracker would not have taken it otherwise.
-- time_zone: in which the days of the story are told: the project's, UTC where none is known or the
--   dates have no time. created_on, accepted_on: the days there.
-- first_started_at: the first transition to `started`. Null if there was none, or none is known.
-- cycle_time_hours: from then to the acceptance, by the clock, as Tracker's example script for its
--   API counted. Without transitions, the total of Tracker's own `cycle_time_details`. Null before
--   the acceptance, and for a story that was never started.
-- lead_time_hours: from the creation to the acceptance; whole days where the dates have no time.
-- rejection_count: transitions to `rejected`, as the same script counted, or `cycle_time_details`.
--
-- Needs: projects, stories, stories__transitions. Without transitions and cycle_time_details (a CSV
-- archive): no first start, cycle time or rejections.
WITH moves AS (
    SELECT
        project_id,
        story_id,
        min(CASE WHEN state = 'started' THEN occurred_at END) AS first_started_at,
        count(CASE WHEN state = 'rejected' THEN 1 END) AS rejections
    FROM stories__transitions
    GROUP BY project_id, story_id
),

story AS (
    SELECT
        one.id,
        one.project_id,
        project.name AS project_name,
        one.story_type,
        one.current_state,
        one.estimate,
        CASE
            WHEN one.story_type = 'feature' THEN TRUE
            WHEN one.story_type IN ('bug', 'chore') THEN project.bugs_and_chores_are_estimatable
            ELSE FALSE
        END AS is_estimated,
        CASE
            WHEN one._date_precision = 'day' THEN 'UTC'
            ELSE coalesce(project.time_zone__olson_name, 'UTC')
        END AS time_zone,
        one.created_at,
        one.accepted_at,
        one.cycle_time_details__total_cycle_time,
        one.cycle_time_details__rejected_count
    FROM stories AS one
    LEFT JOIN projects AS project ON project.id = one.project_id
)

SELECT
    story.id AS story_id,
    story.project_id,
    story.project_name,
    story.story_type,
    story.current_state,
    story.estimate,
    story.is_estimated,
    CASE WHEN coalesce(story.is_estimated, TRUE) THEN story.estimate END AS points,
    story.time_zone,
    story.created_at,
    CAST(story.created_at AT TIME ZONE story.time_zone AS DATE) AS created_on,
    moves.first_started_at,
    story.accepted_at,
    CAST(story.accepted_at AT TIME ZONE story.time_zone AS DATE) AS accepted_on,
    CASE
        WHEN moves.story_id IS NULL AND story.accepted_at IS NOT NULL
            THEN CAST(story.cycle_time_details__total_cycle_time AS DOUBLE) / 3600000
        WHEN story.accepted_at >= moves.first_started_at
            THEN CAST(
                extract(EPOCH FROM story.accepted_at) - extract(EPOCH FROM moves.first_started_at)
                AS DOUBLE
            ) / 3600
    END AS cycle_time_hours,
    CASE
        WHEN story.accepted_at >= story.created_at
            THEN CAST(
                extract(EPOCH FROM story.accepted_at) - extract(EPOCH FROM story.created_at)
                AS DOUBLE
            ) / 3600
    END AS lead_time_hours,
    coalesce(moves.rejections, story.cycle_time_details__rejected_count) AS rejection_count
FROM story
LEFT JOIN moves ON moves.project_id = story.project_id AND moves.story_id = story.id
