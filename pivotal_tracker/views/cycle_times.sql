-- One row a story and state: how often the story entered the state and how long it was in it.
--
-- hours: from each transition to the next, by the clock; from the last one until now, but not for
--   an accepted story, which is done: its time in `accepted` is null unless it was taken out again.
--   Tracker's own cycle_time_details, as recorded, count alike, nights and weekends included.
-- working_hours: the same without Saturdays and Sundays, as the clocks in the project's time zone
--   show them.
--
-- Needs: projects, stories, stories__transitions, story_measures. A story without transitions has what its
-- `cycle_time_details` tell, which is of started, finished, delivered and rejected, without
-- working hours; one with neither (a CSV archive) has no rows. Time before the first transition is
-- not counted: nothing tells the state.
WITH project AS (
    SELECT
        id,
        name,
        CAST(extract(EPOCH FROM current_timestamp) AS DOUBLE) AS seconds_now,
        CAST(
            extract(
                EPOCH FROM current_timestamp AT TIME ZONE coalesce(time_zone__olson_name, 'UTC')
            ) AS DOUBLE
        ) AS local_seconds_now
    FROM projects
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
        project.seconds_now,
        project.local_seconds_now
    FROM stories__transitions AS move
    INNER JOIN story_measures AS story
        ON story.project_id = move.project_id AND story.story_id = move.story_id
    LEFT JOIN project ON project.id = story.project_id
),

-- DuckDB converts slowly where the zone is not the same in all rows: once a day and zone will do,
-- but for the days on which clocks are changed
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

-- seconds since a Monday, by the clock on the wall
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
        moment.seconds_now,
        moment.local_seconds_now - 345600 AS local_seconds_now
    FROM moment
    INNER JOIN local_day
        ON local_day.time_zone = moment.time_zone
        AND local_day.day = CAST(floor(moment.seconds / 86400) AS BIGINT)
),

-- of these, those on Mondays to Fridays
working AS (
    SELECT
        project_id,
        story_id,
        state,
        occurred_at,
        project_version,
        seconds,
        seconds_now,
        432000 * floor(local_seconds / 604800)
        + least(local_seconds - 604800 * floor(local_seconds / 604800), 432000)
            AS working_seconds,
        432000 * floor(local_seconds_now / 604800)
        + least(local_seconds_now - 604800 * floor(local_seconds_now / 604800), 432000)
            AS working_seconds_now
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
            CASE WHEN state <> 'accepted' THEN seconds_now END
        ) AS seconds_end,
        coalesce(
            lead(working_seconds) OVER (
                PARTITION BY project_id, story_id ORDER BY occurred_at, project_version
            ),
            CASE WHEN state <> 'accepted' THEN working_seconds_now END
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

told AS (
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

either AS (
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
    FROM told
    WHERE times_entered > 0
)

SELECT
    either.story_id,
    either.project_id,
    project.name AS project_name,
    either.state,
    either.times_entered,
    either.hours,
    either.working_hours
FROM either
LEFT JOIN project ON project.id = either.project_id
