-- One row a project: the velocity that Tracker would show now, beside what the server said.
--
-- velocity, volatility: those of the first iteration that is not done (see iteration_metrics). For
--   a velocity of `initial_velocity` iterations_averaged is 0, or all of those brought no points.
-- current_velocity, current_volatility: what the API gave; the latter is a percentage there and a
--   share here. Null where the server did not give them.
--
-- A project that files knew by name only is left out once it was met with its id.
--
-- Needs: projects, iteration_metrics. Null as there, and for a project without iterations.
SELECT
    project.id AS project_id,
    project.name AS project_name,
    now_on.velocity,
    project.current_velocity,
    now_on.iterations_averaged,
    now_on.volatility,
    project.current_volatility / 100 AS current_volatility,
    project.velocity_averaged_over,
    project.initial_velocity
FROM projects AS project
LEFT JOIN (
    SELECT
        project_id,
        velocity,
        iterations_averaged,
        volatility,
        row_number() OVER (PARTITION BY project_id ORDER BY iteration_number) AS place
    FROM iteration_metrics
    WHERE iteration_state <> 'done'
) AS now_on ON now_on.project_id = project.id AND now_on.place = 1
WHERE project.same_as_id IS NULL
