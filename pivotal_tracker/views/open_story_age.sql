-- One row a story that is not accepted: how long it has been waiting.
--
-- age_days: since its creation, until now. days_in_state: since its last transition; since its
--   creation where it never had one but the server told of its cycle time, and so would of
--   transitions. is_scheduled: not in the icebox.
--
-- Needs: projects, stories, stories__transitions. Without transitions and cycle_time_details (a CSV
-- archive): no days_in_state.
WITH last_move AS (
    SELECT story_id, max(occurred_at) AS occurred_at
    FROM stories__transitions
    GROUP BY story_id
)

SELECT
    story.id AS story_id,
    story.project_id,
    project.name AS project_name,
    story.name,
    story.story_type,
    story.current_state,
    story.estimate,
    story.url,
    story.created_at,
    CAST(
        extract(EPOCH FROM current_timestamp) - extract(EPOCH FROM story.created_at) AS DOUBLE
    ) / 86400 AS age_days,
    CAST(
        extract(EPOCH FROM current_timestamp)
        - extract(
            EPOCH FROM CASE
                WHEN last_move.story_id IS NOT NULL THEN last_move.occurred_at
                WHEN story.cycle_time_details__story_id IS NOT NULL THEN story.created_at
            END
        ) AS DOUBLE
    ) / 86400 AS days_in_state,
    story.current_state <> 'unscheduled' AS is_scheduled
FROM stories AS story
LEFT JOIN projects AS project ON project.id = story.project_id
LEFT JOIN last_move ON last_move.story_id = story.id
WHERE story.current_state <> 'accepted'
