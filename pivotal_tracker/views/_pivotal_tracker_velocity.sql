-- Helper: one row per iteration of a project: the velocity with which it was planned.
--
-- The columns are explained in iteration_metrics. Unlike there, iterations that are not in the data
-- have a row too: see _pivotal_tracker_iterations.
--
-- Needs: _pivotal_tracker_iterations.
WITH done AS (
    SELECT
        project_id,
        number,
        coalesce(length, iteration_length) AS weeks,
        points / coalesce(team_strength, 1) AS full_strength_points,
        points / coalesce(team_strength, 1) / coalesce(length, iteration_length) AS weekly_points,
        row_number() OVER (PARTITION BY project_id ORDER BY number) AS place
    FROM _pivotal_tracker_iterations
    WHERE state = 'done' AND coalesce(team_strength, 1) <> 0
),

before AS (
    SELECT
        iteration.project_id,
        iteration.number,
        iteration.averaged_over,
        max(done.place) AS last_place
    FROM _pivotal_tracker_iterations AS iteration
    LEFT JOIN done ON done.project_id = iteration.project_id AND done.number < iteration.number
    GROUP BY iteration.project_id, iteration.number, iteration.averaged_over
),

averaged AS (
    SELECT
        before.project_id,
        before.number,
        count(done.number) AS iterations,
        count(done.weeks) AS lengths,
        sum(done.full_strength_points) AS points,
        sum(done.weeks) AS weeks,
        avg(done.weekly_points) AS mean,
        stddev_pop(done.weekly_points) AS deviation
    FROM before
    LEFT JOIN done
        ON done.project_id = before.project_id
        AND done.place <= before.last_place
        AND done.place > before.last_place - before.averaged_over
    GROUP BY before.project_id, before.number
),

measured AS (
    SELECT
        iteration.project_id,
        iteration.number,
        iteration.start,
        iteration.state,
        iteration.iteration_length,
        iteration.as_of,
        iteration.assumptions,
        averaged.iterations,
        averaged.iterations > averaged.lengths OR iteration.iteration_length IS NULL AS lacks_length,
        averaged.points,
        CASE
            WHEN averaged.iterations = 0 THEN iteration.initial_velocity
            WHEN averaged.points = 0 AND averaged.iterations >= iteration.averaged_over
                THEN iteration.initial_velocity
            WHEN averaged.iterations > averaged.lengths THEN NULL
            -- 3 x 1/3 must not be rounded down to 0
            ELSE CAST(
                floor(averaged.points / averaged.weeks * iteration.iteration_length + 0.000001)
                AS BIGINT
            )
        END AS velocity,
        CASE
            WHEN averaged.iterations > 1 AND averaged.iterations = averaged.lengths
                THEN averaged.deviation / nullif(averaged.mean, 0)
        END AS volatility
    FROM _pivotal_tracker_iterations AS iteration
    INNER JOIN averaged
        ON averaged.project_id = iteration.project_id AND averaged.number = iteration.number
)

SELECT
    project_id,
    number,
    start,
    state,
    iteration_length,
    as_of,
    assumptions,
    iterations AS iterations_averaged,
    velocity,
    volatility,
    CASE
        WHEN velocity IS NOT NULL THEN NULL
        WHEN iterations = 0 THEN 'no done iteration'
        WHEN points = 0 THEN 'no points'
        ELSE 'no iteration length'
    END AS velocity_reason,
    CASE
        WHEN volatility IS NOT NULL THEN NULL
        WHEN iterations < 2 THEN 'fewer than two done iterations'
        WHEN lacks_length THEN 'no iteration length'
        ELSE 'no points'
    END AS volatility_reason
FROM measured
