-- Does the number of open stories grow?
WITH quarterly AS (
    SELECT
        CAST(date_trunc('quarter', week) AS DATE) AS quarter_start,
        sum(created) AS created,
        sum(accepted) AS accepted
    FROM throughput_weekly
    GROUP BY ALL
)

SELECT *, sum(created - accepted) OVER (ORDER BY quarter_start) AS open_at_end
FROM quarterly
ORDER BY quarter_start;
