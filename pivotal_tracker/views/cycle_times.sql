-- One row per story and state: how often the story entered the state and how long it stayed there.
--
-- hours: from each transition to the next; from the last one to as_of (see project_as_of), nights and
--   weekends included. Tracker's own cycle_time_details, as recorded, count the same way. Null in
--   `accepted`, unless the story was taken out of it again: an accepted story is done.
-- working_hours: the same without Saturdays and Sundays in the project's time zone.
-- hours_reason, working_hours_reason: why they are null.
--
-- A story without transitions has the rows of its `cycle_time_details`, which know started,
-- finished, delivered and rejected, and no working hours. A story with neither (a CSV) has no row.
-- The time before the first transition is not counted, because nothing says what the state was.
--
-- Key: project_id, story_id, state.
-- Needs: projects, stories, stories__transitions, story_measures, project_as_of.
WITH project AS (
    SELECT
        project_id AS id,
        project_name AS name,
        as_of,
        CAST(extract(EPOCH FROM as_of) AS DOUBLE) AS as_of_seconds,
        CAST(extract(EPOCH FROM as_of AT TIME ZONE time_zone) AS DOUBLE) AS as_of_local_seconds
    FROM project_as_of
),

moment AS (
    SELECT
        story.project_id,
        move.story_id,
        move.state,
        move.occurred_at,
        move.project_version,
        CAST(extract(EPOCH FROM move.occurred_at) AS DOUBLE) AS seconds,
        story.time_zone,
        project.as_of_seconds,
        project.as_of_local_seconds
    FROM stories__transitions AS move
    INNER JOIN story_measures AS story
        ON story.project_id = move.project_id AND story.story_id = move.story_id
    LEFT JOIN project ON project.id = story.project_id
),

-- DuckDB is slow at converting times if the time zone differs between rows. Once per day and zone
-- is enough, except on days on which clocks change
local_day AS (
    SELECT
        time_zone,
        CAST(floor(seconds / 86400) AS BIGINT) AS day,
        CAST(
            extract(EPOCH FROM min(occurred_at) AT TIME ZONE time_zone)
            - extract(EPOCH FROM min(occurred_at)) AS DOUBLE
        ) AS first_offset,
        CAST(
            extract(EPOCH FROM max(occurred_at) AT TIME ZONE time_zone)
            - extract(EPOCH FROM max(occurred_at)) AS DOUBLE
        ) AS last_offset
    FROM moment
    GROUP BY time_zone, CAST(floor(seconds / 86400) AS BIGINT)
),

-- local time as seconds since a Monday
local_moment AS (
    SELECT
        moment.project_id,
        moment.story_id,
        moment.state,
        moment.occurred_at,
        moment.project_version,
        moment.seconds,
        CASE
            WHEN local_day.first_offset = local_day.last_offset
                THEN moment.seconds + local_day.first_offset
            ELSE CAST(
                extract(EPOCH FROM moment.occurred_at AT TIME ZONE moment.time_zone) AS DOUBLE
            )
        END - 345600 AS local_seconds,
        moment.as_of_seconds,
        moment.as_of_local_seconds - 345600 AS as_of_local_seconds
    FROM moment
    INNER JOIN local_day
        ON local_day.time_zone = moment.time_zone
        AND local_day.day = CAST(floor(moment.seconds / 86400) AS BIGINT)
),

-- the seconds of Mondays to Fridays before that time
working AS (
    SELECT
        project_id,
        story_id,
        state,
        occurred_at,
        project_version,
        seconds,
        as_of_seconds,
        432000 * floor(local_seconds / 604800)
        + least(local_seconds - 604800 * floor(local_seconds / 604800), 432000)
            AS working_seconds,
        432000 * floor(as_of_local_seconds / 604800)
        + least(as_of_local_seconds - 604800 * floor(as_of_local_seconds / 604800), 432000)
            AS as_of_working_seconds
    FROM local_moment
),

stay AS (
    SELECT
        project_id,
        story_id,
        state,
        seconds,
        working_seconds,
        coalesce(
            lead(seconds) OVER (
                PARTITION BY project_id, story_id ORDER BY occurred_at, project_version
            ),
            CASE WHEN state <> 'accepted' THEN as_of_seconds END
        ) AS seconds_end,
        coalesce(
            lead(working_seconds) OVER (
                PARTITION BY project_id, story_id ORDER BY occurred_at, project_version
            ),
            CASE WHEN state <> 'accepted' THEN as_of_working_seconds END
        ) AS working_seconds_end
    FROM working
),

counted AS (
    SELECT
        project_id,
        story_id,
        state,
        count(*) AS times_entered,
        sum(seconds_end - seconds) / 3600 AS hours,
        sum(working_seconds_end - working_seconds) / 3600 AS working_hours
    FROM stay
    GROUP BY project_id, story_id, state
),

from_details AS (
    SELECT
        story.project_id,
        story.id AS story_id,
        state.state,
        CASE state.state
            WHEN 'started' THEN story.cycle_time_details__started_count
            WHEN 'finished' THEN story.cycle_time_details__finished_count
            WHEN 'delivered' THEN story.cycle_time_details__delivered_count
            ELSE story.cycle_time_details__rejected_count
        END AS times_entered,
        CASE state.state
            WHEN 'started' THEN story.cycle_time_details__started_time
            WHEN 'finished' THEN story.cycle_time_details__finished_time
            WHEN 'delivered' THEN story.cycle_time_details__delivered_time
            ELSE story.cycle_time_details__rejected_time
        END AS milliseconds
    FROM stories AS story
    CROSS JOIN (
        SELECT 'started' AS state
        UNION ALL SELECT 'finished'
        UNION ALL SELECT 'delivered'
        UNION ALL SELECT 'rejected'
    ) AS state
    LEFT JOIN (SELECT DISTINCT story_id FROM stories__transitions) AS moved
        ON moved.story_id = story.id
    WHERE moved.story_id IS NULL
),

entry AS (
    SELECT project_id, story_id, state, times_entered, hours, working_hours
    FROM counted
    UNION ALL
    SELECT
        project_id,
        story_id,
        state,
        times_entered,
        CAST(milliseconds AS DOUBLE) / 3600000 AS hours,
        CAST(NULL AS DOUBLE) AS working_hours
    FROM from_details
    WHERE times_entered > 0
)

SELECT
    entry.story_id,
    entry.project_id,
    project.name AS project_name,
    entry.state,
    entry.times_entered,
    entry.hours,
    entry.working_hours,
    CASE WHEN entry.hours IS NULL AND entry.state = 'accepted' THEN 'accepted' END AS hours_reason,
    CASE
        WHEN entry.working_hours IS NOT NULL THEN NULL
        WHEN entry.state = 'accepted' THEN 'accepted'
        ELSE 'no transitions'
    END AS working_hours_reason,
    project.as_of
FROM entry
LEFT JOIN project ON project.id = entry.project_id
