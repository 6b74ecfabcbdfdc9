-- One row per project: the time at which durations "until now" end in the other views.
--
-- last_event_at: the latest creation, update, acceptance, transition or comment of a story. Times in
--   the future (a wrong clock) are ignored.
-- as_of: last_event_at for an archive, and for a server project without an event in the last 30
--   days; otherwise the time of the query. A project that stopped in 2015 thus has the ages that
--   its stories had in 2015.
-- as_of_source: `last event` or `now`.
-- as_of_date: the day of as_of in the project's time zone.
-- time_zone: UTC where the project names none, as in a CSV.
-- has_transitions: whether it is known when stories changed their state. A CSV does not say it:
--   without transitions there are no cycle times and no rejections.
--
-- Key: project_id.
-- Needs: projects, stories, stories__transitions, stories__comments.
WITH event AS (
    SELECT project_id, created_at AS occurred_at FROM stories
    UNION ALL
    SELECT project_id, updated_at AS occurred_at FROM stories
    UNION ALL
    SELECT project_id, accepted_at AS occurred_at FROM stories
    UNION ALL
    SELECT project_id, occurred_at FROM stories__transitions
    UNION ALL
    SELECT project_id, created_at AS occurred_at FROM stories__comments
),

last_event AS (
    SELECT project_id, max(occurred_at) AS occurred_at
    FROM event
    -- a day in the project's time zone may begin before the same day in UTC
    WHERE occurred_at < current_timestamp + INTERVAL '1' DAY
    GROUP BY project_id
),

with_transitions AS (
    SELECT project_id FROM stories__transitions
    UNION
    SELECT project_id FROM stories WHERE cycle_time_details__story_id IS NOT NULL
),

project AS (
    SELECT
        one.id,
        one.name,
        coalesce(one.time_zone__olson_name, 'UTC') AS time_zone,
        last_event.occurred_at AS last_event_at,
        coalesce(
            one._source IS NOT NULL
            OR last_event.occurred_at < current_timestamp - INTERVAL '1' DAY * 30,
            FALSE
        ) AS has_stopped,
        with_transitions.project_id IS NOT NULL AS has_transitions
    FROM projects AS one
    LEFT JOIN last_event ON last_event.project_id = one.id
    LEFT JOIN with_transitions ON with_transitions.project_id = one.id
),

reference AS (
    SELECT
        id,
        CASE
            WHEN has_stopped AND last_event_at IS NOT NULL THEN last_event_at
            ELSE current_timestamp
        END AS as_of
    FROM project
)

SELECT
    project.id AS project_id,
    project.name AS project_name,
    project.time_zone,
    reference.as_of,
    CAST(reference.as_of AT TIME ZONE project.time_zone AS DATE) AS as_of_date,
    CASE
        WHEN project.has_stopped AND project.last_event_at IS NOT NULL THEN 'last event'
        ELSE 'now'
    END AS as_of_source,
    project.last_event_at,
    project.has_transitions
FROM project
INNER JOIN reference ON reference.id = project.id
