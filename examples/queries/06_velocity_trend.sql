-- How did our velocity develop in the last iterations?
SELECT
    project_name,
    iteration_number AS iteration,
    CAST(start AS DATE) AS start,
    points_accepted,
    velocity,
    round(100 * volatility) AS volatility_percent
FROM iteration_metrics
WHERE iteration_state = 'done'
QUALIFY row_number() OVER (PARTITION BY project_id ORDER BY iteration_number DESC) <= 3
ORDER BY project_name, iteration;
