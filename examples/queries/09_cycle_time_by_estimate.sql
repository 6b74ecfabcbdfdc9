-- Do larger estimates take longer?
-- Cycle time runs from the first start to the acceptance, nights and weekends included.
SELECT
    estimate,
    count(*) AS stories,
    round(median(cycle_time_hours) / 24, 1) AS median_days,
    round(quantile_cont(cycle_time_hours, 0.85) / 24, 1) AS p85_days
FROM story_measures
WHERE cycle_time_hours IS NOT NULL AND story_type = 'feature'
GROUP BY ALL
ORDER BY estimate;
