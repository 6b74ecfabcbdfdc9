-- Helper: one row per iteration of a project, with the settings that its velocity depends on.
--
-- Besides the loaded iterations (is_loaded) it has
--   * the current iteration, if the data has none, as after the last iteration of a CSV;
--   * for projects whose settings are not known: the iterations that are missing between loaded
--     ones. A CSV names an iteration only if it has stories, and Tracker numbered them without gaps.
--
-- state: compared with the project's current_iteration_number. Without that number, by the calendar
--   at as_of (see project_as_of); an iteration with open stories is never done, because Tracker
--   moves unfinished stories on. For a project that has stopped, nothing more happens in the
--   iteration of the last event: it is done too, unless it has open stories, and the next one is
--   current.
-- length: weeks; computed from start and finish where it is missing.
-- points: as the server gave them, otherwise the sum of the points of the iteration's stories.
-- iteration_length, averaged_over: the project's settings; where these are not known, the most
--   frequent length of its iterations, and 3, which was Tracker's default.
-- assumptions: what was assumed for the velocity, in words; null if nothing.
--
-- A project that a file knew by name only is left out once the same project was found with an id.
--
-- Needs: projects, iterations, iterations__story_ids, story_measures, project_as_of.
WITH totals AS (
    SELECT
        item.project_id,
        item.iteration_number,
        sum(coalesce(story.points, 0)) AS points,
        count(*) AS stories,
        count(CASE WHEN story.current_state <> 'accepted' THEN 1 END) AS stories_open
    FROM iterations__story_ids AS item
    INNER JOIN story_measures AS story
        ON story.story_id = item.value AND story.project_id = item.project_id
    GROUP BY item.project_id, item.iteration_number
),

-- a week may be an hour longer or shorter when clocks change
dated AS (
    SELECT
        project_id,
        number,
        start,
        finish,
        length,
        team_strength,
        points,
        accepted_points,
        CAST(extract(EPOCH FROM finish) - extract(EPOCH FROM start) AS DOUBLE) / 604800 AS weeks
    FROM iterations
),

loaded AS (
    SELECT
        dated.project_id,
        dated.number,
        dated.start,
        dated.finish,
        coalesce(
            dated.length,
            CASE
                WHEN dated.weeks > 0.9 AND abs(dated.weeks - floor(dated.weeks + 0.5)) < 0.02
                    THEN CAST(floor(dated.weeks + 0.5) AS BIGINT)
            END
        ) AS length,
        dated.team_strength,
        coalesce(dated.points, totals.points, 0) AS points,
        dated.accepted_points,
        coalesce(totals.stories, 0) AS stories,
        coalesce(totals.stories_open, 0) AS stories_open
    FROM dated
    LEFT JOIN totals
        ON totals.project_id = dated.project_id AND totals.iteration_number = dated.number
),

usual_length AS (
    SELECT
        project_id,
        length,
        row_number() OVER (PARTITION BY project_id ORDER BY count(*) DESC, length) AS place
    FROM loaded
    WHERE length > 0
    GROUP BY project_id, length
),

project AS (
    SELECT
        one.id,
        one.current_iteration_number,
        one.initial_velocity,
        one.velocity_averaged_over IS NOT NULL AS has_settings,
        coalesce(one.velocity_averaged_over, 3) AS averaged_over,
        coalesce(one.iteration_length, usual_length.length) AS iteration_length,
        one.iteration_length IS NULL AND usual_length.length IS NOT NULL AS assumes_length,
        one.bugs_and_chores_are_estimatable IS NULL AS assumes_estimates,
        reference.as_of,
        reference.as_of_source
    FROM projects AS one
    INNER JOIN project_as_of AS reference ON reference.project_id = one.id
    LEFT JOIN usual_length ON usual_length.project_id = one.id AND usual_length.place = 1
    WHERE one.same_as_id IS NULL
),

classified AS (
    SELECT
        loaded.project_id,
        loaded.number,
        loaded.start,
        loaded.finish,
        loaded.length,
        loaded.team_strength,
        loaded.points,
        loaded.accepted_points,
        loaded.stories,
        loaded.stories_open,
        CASE
            WHEN project.current_iteration_number IS NOT NULL
                THEN loaded.number < project.current_iteration_number
            WHEN loaded.stories_open > 0 THEN FALSE
            WHEN project.as_of_source = 'last event'
                THEN coalesce(loaded.start <= project.as_of, loaded.stories > 0)
            ELSE coalesce(loaded.finish <= project.as_of, FALSE)
        END AS is_done
    FROM loaded
    INNER JOIN project ON project.id = loaded.project_id
),

bounds AS (
    SELECT
        project_id,
        min(number) AS first_number,
        max(CASE WHEN is_done THEN number END) AS last_done,
        max(CASE WHEN is_done THEN finish END) AS last_finish,
        count(*) > count(team_strength) AS assumes_strength
    FROM classified
    GROUP BY project_id
),

-- what comes after the last done iteration
next_iteration AS (
    SELECT
        bounds.project_id,
        bounds.last_done + 1 AS number,
        bounds.last_finish AS start
    FROM bounds
    LEFT JOIN classified
        ON classified.project_id = bounds.project_id AND classified.number = bounds.last_done + 1
    WHERE bounds.last_done IS NOT NULL AND classified.number IS NULL
),

gap AS (
    SELECT bounds.project_id, bounds.last_done - step.n AS number
    FROM bounds
    INNER JOIN project ON project.id = bounds.project_id
    CROSS JOIN _pivotal_tracker_numbers AS step
    LEFT JOIN classified
        ON classified.project_id = bounds.project_id AND classified.number = bounds.last_done - step.n
    WHERE
        NOT project.has_settings
        AND bounds.last_done - step.n > bounds.first_number
        AND classified.number IS NULL
),

added AS (
    SELECT project_id, number, start, FALSE AS is_done FROM next_iteration
    UNION ALL
    SELECT project_id, number, CAST(NULL AS TIMESTAMPTZ) AS start, TRUE AS is_done FROM gap
),

iteration AS (
    SELECT
        classified.project_id,
        classified.number,
        classified.start,
        classified.finish,
        classified.length,
        classified.team_strength,
        classified.points,
        classified.accepted_points,
        classified.stories,
        classified.stories_open,
        classified.is_done,
        TRUE AS is_loaded
    FROM classified
    UNION ALL
    SELECT
        added.project_id,
        added.number,
        added.start,
        CAST(NULL AS TIMESTAMPTZ) AS finish,
        CAST(NULL AS BIGINT) AS length,
        CAST(NULL AS DOUBLE) AS team_strength,
        0 AS points,
        CAST(NULL AS DOUBLE) AS accepted_points,
        0 AS stories,
        0 AS stories_open,
        added.is_done,
        FALSE AS is_loaded
    FROM added
),

assumed AS (
    SELECT
        project.id AS project_id,
        nullif(
            substr(
                CASE WHEN project.assumes_length THEN '; iteration length from dates' ELSE '' END
                || CASE WHEN project.has_settings THEN '' ELSE '; average of 3 iterations' END
                || CASE WHEN bounds.assumes_strength THEN '; team strength 1' ELSE '' END
                || CASE
                    WHEN gaps.project_id IS NULL THEN ''
                    ELSE '; missing iterations had no stories'
                END
                || CASE
                    WHEN project.assumes_estimates THEN '; estimates of bugs and chores count'
                    ELSE ''
                END,
                3
            ),
            ''
        ) AS assumptions
    FROM project
    INNER JOIN bounds ON bounds.project_id = project.id
    LEFT JOIN (SELECT DISTINCT project_id FROM gap) AS gaps
        ON gaps.project_id = project.id
)

SELECT
    iteration.project_id,
    iteration.number,
    iteration.start,
    iteration.finish,
    iteration.length,
    iteration.team_strength,
    iteration.points,
    iteration.accepted_points,
    iteration.stories,
    iteration.stories_open,
    iteration.is_loaded,
    CASE
        WHEN iteration.is_done THEN 'done'
        WHEN project.current_iteration_number IS NOT NULL
            THEN CASE
                WHEN iteration.number = project.current_iteration_number THEN 'current'
                ELSE 'planned'
            END
        WHEN project.as_of_source = 'now'
            THEN CASE
                WHEN iteration.start <= project.as_of
                    AND coalesce(iteration.finish > project.as_of, NOT iteration.is_loaded)
                    THEN 'current'
                ELSE 'planned'
            END
        WHEN iteration.number = coalesce(bounds.last_done + 1, bounds.first_number) THEN 'current'
        ELSE 'planned'
    END AS state,
    project.iteration_length,
    project.averaged_over,
    project.initial_velocity,
    project.as_of,
    assumed.assumptions
FROM iteration
INNER JOIN project ON project.id = iteration.project_id
INNER JOIN bounds ON bounds.project_id = iteration.project_id
INNER JOIN assumed ON assumed.project_id = iteration.project_id
