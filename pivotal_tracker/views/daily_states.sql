-- One row per project, day and state: how many stories were in the state at the end of that day, and
-- their points. A cumulative flow diagram and a burn-up chart are drawn from it.
--
-- taken_from: where the numbers come from.
--   history_days: Tracker's own daily history.
--   transitions: computed from them. A story is unscheduled from its creation to its first
--     transition. A story without transitions has its present state since its creation or, if it is
--     accepted, since its acceptance.
--   dates: a project with neither (a CSV). Only two states are known: `open` from the creation of a
--     story, and `accepted` from its acceptance. Accepted stories without an acceptance date, and
--     open ones without a creation date, are not counted.
-- points: by the present estimates (see story_measures). Releases are not counted. Tracker's history
--   does the same.
-- stories_reason, points_reason: why they are null.
-- date: days in the project's time zone, up to as_of (see project_as_of), 10,000 at most.
--
-- If an archive has the transitions of some months only, earlier days are not right.
--
-- Key: project_id, date, state.
-- Needs: projects, history_days, stories__transitions, story_measures, project_as_of.
WITH state AS (
    SELECT 'unscheduled' AS state, FALSE AS is_from_dates
    UNION ALL SELECT 'unstarted', FALSE
    UNION ALL SELECT 'planned', FALSE
    UNION ALL SELECT 'started', FALSE
    UNION ALL SELECT 'finished', FALSE
    UNION ALL SELECT 'delivered', FALSE
    UNION ALL SELECT 'rejected', FALSE
    UNION ALL SELECT 'accepted', FALSE
    UNION ALL SELECT 'open', TRUE
    UNION ALL SELECT 'accepted', TRUE
),

project AS (
    SELECT
        reference.project_id AS id,
        reference.as_of_date AS last_day,
        moved.project_id IS NULL AS is_from_dates
    FROM project_as_of AS reference
    LEFT JOIN (SELECT DISTINCT project_id FROM stories__transitions) AS moved
        ON moved.project_id = reference.project_id
    LEFT JOIN (SELECT DISTINCT project_id FROM history_days) AS history
        ON history.project_id = reference.project_id
    WHERE history.project_id IS NULL
),

story AS (
    SELECT
        one.story_id AS id,
        one.project_id,
        one.current_state,
        one.created_at,
        one.created_on,
        one.accepted_on,
        one.time_zone,
        coalesce(one.points, 0) AS points,
        project.last_day,
        project.is_from_dates
    FROM story_measures AS one
    INNER JOIN project ON project.id = one.project_id
    WHERE one.story_type <> 'release'
),

move AS (
    SELECT
        story_id,
        state,
        occurred_at,
        lag(state) OVER (PARTITION BY story_id ORDER BY occurred_at, project_version) AS former,
        row_number() OVER (PARTITION BY story_id ORDER BY occurred_at, project_version) AS place
    FROM stories__transitions
),

-- a story enters a state, and leaves the former one
change AS (
    SELECT
        story.project_id,
        story.points,
        story.last_day,
        move.state,
        CASE
            WHEN move.place > 1 THEN move.former
            WHEN move.occurred_at > story.created_at THEN 'unscheduled'
        END AS former,
        CAST(move.occurred_at AT TIME ZONE story.time_zone AS DATE) AS date
    FROM story
    INNER JOIN move ON move.story_id = story.id
    UNION ALL
    SELECT
        story.project_id,
        story.points,
        story.last_day,
        CASE WHEN move.story_id IS NULL THEN story.current_state ELSE 'unscheduled' END AS state,
        NULL AS former,
        CASE
            WHEN move.story_id IS NULL AND story.current_state = 'accepted' THEN story.accepted_on
            ELSE story.created_on
        END AS date
    FROM story
    LEFT JOIN move ON move.story_id = story.id AND move.place = 1
    WHERE
        NOT story.is_from_dates
        AND (move.story_id IS NULL OR move.occurred_at > story.created_at)
    UNION ALL
    SELECT
        project_id,
        points,
        last_day,
        'open' AS state,
        NULL AS former,
        CASE
            WHEN current_state <> 'accepted' OR created_on < accepted_on THEN created_on
            ELSE accepted_on
        END AS date
    FROM story
    WHERE is_from_dates
    UNION ALL
    SELECT
        project_id,
        points,
        last_day,
        'accepted' AS state,
        'open' AS former,
        accepted_on AS date
    FROM story
    WHERE is_from_dates AND current_state = 'accepted'
),

moved AS (
    SELECT
        project_id,
        greatest(date, CAST(last_day - INTERVAL '1' DAY * 9999 AS DATE)) AS date,
        state,
        count(*) AS stories,
        sum(points) AS points
    FROM change
    WHERE date <= last_day
    GROUP BY 1, 2, 3
    UNION ALL
    SELECT
        project_id,
        greatest(date, CAST(last_day - INTERVAL '1' DAY * 9999 AS DATE)) AS date,
        former AS state,
        -count(*) AS stories,
        -sum(points) AS points
    FROM change
    WHERE date <= last_day AND former IS NOT NULL
    GROUP BY 1, 2, 3
),

daily AS (
    SELECT
        project_id,
        date,
        state,
        sum(stories) AS stories,
        sum(points) AS points
    FROM moved
    GROUP BY project_id, date, state
),

day AS (
    SELECT
        project.id AS project_id,
        project.is_from_dates,
        CAST(first_day.date + INTERVAL '1' DAY * number.n AS DATE) AS date
    FROM project
    INNER JOIN (SELECT project_id, min(date) AS date FROM daily GROUP BY project_id) AS first_day
        ON first_day.project_id = project.id
    CROSS JOIN _pivotal_tracker_numbers AS number
    WHERE number.n <= date_diff('day', first_day.date, project.last_day)
),

counted AS (
    SELECT
        history.project_id,
        history.date,
        state.state,
        CASE state.state
            WHEN 'unscheduled' THEN history.counts_unscheduled
            WHEN 'unstarted' THEN history.counts_unstarted
            WHEN 'planned' THEN history.counts_planned
            WHEN 'started' THEN history.counts_started
            WHEN 'finished' THEN history.counts_finished
            WHEN 'delivered' THEN history.counts_delivered
            WHEN 'rejected' THEN history.counts_rejected
            ELSE history.counts_accepted
        END AS stories,
        CASE state.state
            WHEN 'unscheduled' THEN history.points_unscheduled
            WHEN 'unstarted' THEN history.points_unstarted
            WHEN 'planned' THEN history.points_planned
            WHEN 'started' THEN history.points_started
            WHEN 'finished' THEN history.points_finished
            WHEN 'delivered' THEN history.points_delivered
            WHEN 'rejected' THEN history.points_rejected
            ELSE history.points_accepted
        END AS points,
        'history_days' AS taken_from
    FROM history_days AS history
    CROSS JOIN state
    WHERE NOT state.is_from_dates
    UNION ALL
    SELECT
        day.project_id,
        day.date,
        state.state,
        CAST(
            sum(coalesce(daily.stories, 0)) OVER (
                PARTITION BY day.project_id, state.state ORDER BY day.date
            ) AS BIGINT
        ) AS stories,
        sum(coalesce(daily.points, 0)) OVER (
            PARTITION BY day.project_id, state.state ORDER BY day.date
        ) AS points,
        CASE WHEN day.is_from_dates THEN 'dates' ELSE 'transitions' END AS taken_from
    FROM day
    INNER JOIN state ON state.is_from_dates = day.is_from_dates
    LEFT JOIN daily
        ON daily.project_id = day.project_id
        AND daily.date = day.date
        AND daily.state = state.state
)

SELECT
    counted.project_id,
    project.name AS project_name,
    counted.date,
    counted.state,
    counted.stories,
    counted.points,
    counted.taken_from,
    reference.as_of,
    CASE WHEN counted.stories IS NULL THEN 'not in history_days' END AS stories_reason,
    CASE WHEN counted.points IS NULL THEN 'not in history_days' END AS points_reason
FROM counted
LEFT JOIN projects AS project ON project.id = counted.project_id
LEFT JOIN project_as_of AS reference ON reference.project_id = counted.project_id
