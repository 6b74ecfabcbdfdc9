-- Do we get more bugs?
SELECT
    CAST(date_trunc('quarter', week) AS DATE) AS quarter_start,
    sum(created) AS stories_created,
    sum(created) FILTER (WHERE story_type = 'bug') AS bugs_created,
    round(100 * sum(created) FILTER (WHERE story_type = 'bug') / sum(created)) AS percent
FROM throughput_weekly
WHERE story_type <> 'release'
GROUP BY ALL
ORDER BY quarter_start;
