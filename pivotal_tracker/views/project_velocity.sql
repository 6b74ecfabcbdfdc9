-- One row per project: the velocity that Tracker would show, next to what the server gave.
--
-- velocity, volatility: those of the current iteration (see iteration_metrics). If velocity is the
--   `initial_velocity`, iterations_averaged is 0 or all of these iterations had no points.
-- current_velocity, current_volatility: as the API gave them. The API's volatility is a percentage,
--   here it is a share. Null if the server did not give them.
-- iteration_length: weeks. current_iteration_number, current_iteration_start: the iteration that was
--   current at as_of (see project_as_of).
-- …_reason: why the metric is null. assumptions: what was assumed for the velocity because the data
--   does not say it; null if nothing.
--
-- A project that a file knew by name only is left out once the same project was found with an id.
--
-- Key: project_id.
-- Needs: projects, iterations, project_as_of.
WITH current_first AS (
    SELECT
        project_id,
        number,
        start,
        iteration_length,
        assumptions,
        iterations_averaged,
        velocity,
        volatility,
        velocity_reason,
        volatility_reason,
        row_number() OVER (
            PARTITION BY project_id
            ORDER BY CASE WHEN state = 'current' THEN 0 ELSE 1 END, number
        ) AS place
    FROM _pivotal_tracker_velocity
    WHERE state <> 'done'
)

SELECT
    project.id AS project_id,
    project.name AS project_name,
    iteration.velocity,
    project.current_velocity,
    iteration.iterations_averaged,
    iteration.volatility,
    project.current_volatility / 100 AS current_volatility,
    project.velocity_averaged_over,
    project.initial_velocity,
    coalesce(project.iteration_length, iteration.iteration_length) AS iteration_length,
    iteration.number AS current_iteration_number,
    iteration.start AS current_iteration_start,
    CASE WHEN iteration.project_id IS NULL THEN 'no iterations' ELSE iteration.velocity_reason END
        AS velocity_reason,
    CASE WHEN iteration.project_id IS NULL THEN 'no iterations' ELSE iteration.volatility_reason END
        AS volatility_reason,
    CASE
        WHEN project.current_velocity IS NOT NULL THEN NULL
        WHEN project._source IS NOT NULL THEN 'not in the archive'
        ELSE 'not given by the server'
    END AS current_velocity_reason,
    iteration.assumptions,
    reference.as_of,
    reference.as_of_source
FROM projects AS project
INNER JOIN project_as_of AS reference ON reference.project_id = project.id
LEFT JOIN current_first AS iteration
    ON iteration.project_id = project.id AND iteration.place = 1
WHERE project.same_as_id IS NULL
