-- One row a project, day and state: how many stories were in the state at the end of the day, and
-- their points. What a cumulative flow and a burn-up are drawn from.
--
-- taken_from: `history_days` where the project has such rows: they are Tracker's own. Else
--   `transitions`: a story counts as unscheduled from its creation to its first transition, then as
--   each transition says. One without transitions has been as it is since its creation, or since it
--   was accepted. Points are those of today's estimates (see story_measures), and releases do not
--   count: Tracker's history has neither former estimates nor releases. Days are those of the
--   project's time zone, until today, 10,000 at most.
--
-- Needs: projects, history_days, or stories__transitions, story_measures and numbers. A project without either (a
-- CSV archive) has no rows. Where an archive holds the transitions of some months only, earlier
-- days are not right.
WITH state AS (
    SELECT 'unscheduled' AS state
    UNION ALL SELECT 'unstarted'
    UNION ALL SELECT 'planned'
    UNION ALL SELECT 'started'
    UNION ALL SELECT 'finished'
    UNION ALL SELECT 'delivered'
    UNION ALL SELECT 'rejected'
    UNION ALL SELECT 'accepted'
),

project AS (
    SELECT
        project.id,
        CAST(
            current_timestamp AT TIME ZONE coalesce(project.time_zone__olson_name, 'UTC') AS DATE
        ) AS today
    FROM projects AS project
    INNER JOIN (SELECT DISTINCT project_id FROM stories__transitions) AS told
        ON told.project_id = project.id
    LEFT JOIN (SELECT DISTINCT project_id FROM history_days) AS history
        ON history.project_id = project.id
    WHERE history.project_id IS NULL
),

story AS (
    SELECT
        story.story_id AS id,
        story.project_id,
        story.current_state,
        story.created_at,
        story.created_on,
        story.accepted_on,
        story.time_zone,
        coalesce(story.points, 0) AS points,
        project.today
    FROM story_measures AS story
    INNER JOIN project ON project.id = story.project_id
    WHERE story.story_type <> 'release'
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

-- a story enters a state, and leaves its former one
change AS (
    SELECT
        story.project_id,
        story.points,
        story.today,
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
        story.today,
        CASE WHEN move.story_id IS NULL THEN story.current_state ELSE 'unscheduled' END AS state,
        NULL AS former,
        CASE
            WHEN move.story_id IS NULL AND story.current_state = 'accepted' THEN story.accepted_on
            ELSE story.created_on
        END AS date
    FROM story
    LEFT JOIN move ON move.story_id = story.id AND move.place = 1
    WHERE move.story_id IS NULL OR move.occurred_at > story.created_at
),

moved AS (
    SELECT
        project_id,
        greatest(date, CAST(today - INTERVAL '1' DAY * 9999 AS DATE)) AS date,
        state,
        count(*) AS stories,
        sum(points) AS points
    FROM change
    WHERE date <= today
    GROUP BY 1, 2, 3
    UNION ALL
    SELECT
        project_id,
        greatest(date, CAST(today - INTERVAL '1' DAY * 9999 AS DATE)) AS date,
        former AS state,
        -count(*) AS stories,
        -sum(points) AS points
    FROM change
    WHERE date <= today AND former IS NOT NULL
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
        CAST(begun.date + INTERVAL '1' DAY * number.n AS DATE) AS date
    FROM project
    INNER JOIN (SELECT project_id, min(date) AS date FROM daily GROUP BY project_id) AS begun
        ON begun.project_id = project.id
    CROSS JOIN numbers AS number
    WHERE number.n <= date_diff('day', begun.date, project.today)
),

told AS (
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
        'transitions' AS taken_from
    FROM day
    CROSS JOIN state
    LEFT JOIN daily
        ON daily.project_id = day.project_id
        AND daily.date = day.date
        AND daily.state = state.state
)

SELECT
    told.project_id,
    project.name AS project_name,
    told.date,
    told.state,
    told.stories,
    told.points,
    told.taken_from
FROM told
LEFT JOIN projects AS project ON project.id = told.project_id
