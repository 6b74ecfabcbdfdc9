-- One row per story that is not accepted: how long it has been waiting.
--
-- age_days: from its creation to as_of (see project_as_of). age_reason: why it is null.
-- days_in_state: from its last transition to as_of. A story without transitions counts from its
--   creation if the server gave its `cycle_time_details`, because it would also have given
--   transitions. days_in_state_reason: why it is null.
-- is_scheduled: whether it is out of the icebox.
--
-- Key: project_id, story_id.
-- Needs: projects, stories, stories__transitions, project_as_of.
WITH last_move AS (
    SELECT story_id, max(occurred_at) AS occurred_at
    FROM stories__transitions
    GROUP BY story_id
),

story AS (
    SELECT
        one.id,
        one.project_id,
        one.name,
        one.story_type,
        one.current_state,
        one.estimate,
        one.url,
        one.created_at,
        CASE
            WHEN last_move.story_id IS NOT NULL THEN last_move.occurred_at
            WHEN one.cycle_time_details__story_id IS NOT NULL THEN one.created_at
        END AS in_state_since
    FROM stories AS one
    LEFT JOIN last_move ON last_move.story_id = one.id
    WHERE one.current_state <> 'accepted'
)

SELECT
    story.id AS story_id,
    story.project_id,
    reference.project_name,
    story.name,
    story.story_type,
    story.current_state,
    story.estimate,
    story.url,
    story.created_at,
    CAST(
        extract(EPOCH FROM reference.as_of) - extract(EPOCH FROM story.created_at) AS DOUBLE
    ) / 86400 AS age_days,
    CAST(
        extract(EPOCH FROM reference.as_of) - extract(EPOCH FROM story.in_state_since) AS DOUBLE
    ) / 86400 AS days_in_state,
    story.current_state <> 'unscheduled' AS is_scheduled,
    CASE WHEN story.in_state_since IS NULL THEN 'no transitions' END AS days_in_state_reason,
    reference.as_of,
    CASE WHEN story.created_at IS NULL THEN 'no creation date' END AS age_reason
FROM story
LEFT JOIN project_as_of AS reference ON reference.project_id = story.project_id
