-- When will the backlog be done?
-- The range comes from the volatility of the velocity.
SELECT
    project_name,
    count(*) AS stories,
    sum(points) AS points,
    max(earliest_by) AS earliest,
    max(expected_by) AS expected,
    max(latest_by) AS latest
FROM forecast
GROUP BY ALL
ORDER BY project_name;
