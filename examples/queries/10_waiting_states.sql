-- In which state do stories wait?
SELECT
    project_name,
    state,
    round(avg(hours) / 24, 1) AS average_days,
    round(max(hours) / 24, 1) AS longest_days
FROM cycle_times
WHERE state IN ('started', 'finished', 'delivered', 'rejected')
GROUP BY ALL
ORDER BY project_name, average_days DESC;
