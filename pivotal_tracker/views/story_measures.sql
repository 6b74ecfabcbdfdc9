-- One row per story: the numbers that the other views add up. story_overview has them with names.
--
-- is_estimated: whether stories of this type take points in this project: features always, bugs and
--   chores if the project's settings say so; null if the settings are not known (a CSV).
-- points: the estimate of such a story, null without an estimate. If the settings are not known,
--   the estimate of a bug or chore counts: Tracker did not accept one where it was switched off.
-- time_zone: the zone in which the story's days are counted: the project's; UTC if it is not known
--   or if the dates have no time. created_on, accepted_on: the days in that zone.
-- first_started_at: the first transition to `started`. Null if there is none.
-- cycle_time_hours: from first_started_at to the acceptance, nights and weekends included, as
--   Tracker's example script for its API measured it. For a story without transitions, the total of
--   Tracker's own `cycle_time_details`.
-- lead_time_hours: from creation to acceptance; whole days if the dates have no time.
-- rejection_count: the number of transitions to `rejected`, or that in `cycle_time_details`.
-- cycle_time_reason, lead_time_reason, rejection_count_reason, points_reason: why the number is null.
--
-- Key: project_id, story_id.
-- Needs: projects, stories, stories__transitions.
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
),

measured AS (
    SELECT
        story.id,
        story.project_id,
        story.project_name,
        story.story_type,
        story.current_state,
        story.estimate,
        story.is_estimated,
        story.time_zone,
        story.created_at,
        story.accepted_at,
        moves.story_id IS NOT NULL AS has_moves,
        moves.first_started_at,
        CASE
            WHEN moves.story_id IS NULL AND story.accepted_at IS NOT NULL
                THEN CAST(story.cycle_time_details__total_cycle_time AS DOUBLE) / 3600000
            WHEN story.accepted_at >= moves.first_started_at
                THEN CAST(
                    extract(EPOCH FROM story.accepted_at)
                    - extract(EPOCH FROM moves.first_started_at)
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
)

SELECT
    id AS story_id,
    project_id,
    project_name,
    story_type,
    current_state,
    estimate,
    is_estimated,
    CASE WHEN coalesce(is_estimated, TRUE) THEN estimate END AS points,
    time_zone,
    created_at,
    CAST(created_at AT TIME ZONE time_zone AS DATE) AS created_on,
    first_started_at,
    accepted_at,
    CAST(accepted_at AT TIME ZONE time_zone AS DATE) AS accepted_on,
    cycle_time_hours,
    lead_time_hours,
    rejection_count,
    CASE
        WHEN cycle_time_hours IS NOT NULL THEN NULL
        WHEN accepted_at IS NULL AND current_state = 'accepted' THEN 'no acceptance date'
        WHEN accepted_at IS NULL THEN 'not accepted'
        WHEN NOT has_moves THEN 'no transitions'
        WHEN first_started_at IS NULL THEN 'never started'
        ELSE 'accepted before start'
    END AS cycle_time_reason,
    CASE
        WHEN lead_time_hours IS NOT NULL THEN NULL
        WHEN accepted_at IS NULL AND current_state = 'accepted' THEN 'no acceptance date'
        WHEN accepted_at IS NULL THEN 'not accepted'
        WHEN created_at IS NULL THEN 'no creation date'
        ELSE 'accepted before creation'
    END AS lead_time_reason,
    CASE WHEN rejection_count IS NULL THEN 'no transitions' END AS rejection_count_reason,
    CASE
        WHEN NOT coalesce(is_estimated, TRUE) THEN 'type is not estimated'
        WHEN estimate IS NULL THEN 'no estimate'
    END AS points_reason
FROM measured
