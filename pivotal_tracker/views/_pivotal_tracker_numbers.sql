-- Helper: one row per whole number from 0 to 9,999. Other views use it to list days and iterations,
-- because each database has its own way to generate a series.
WITH digit AS (
    SELECT 0 AS n
    UNION ALL SELECT 1
    UNION ALL SELECT 2
    UNION ALL SELECT 3
    UNION ALL SELECT 4
    UNION ALL SELECT 5
    UNION ALL SELECT 6
    UNION ALL SELECT 7
    UNION ALL SELECT 8
    UNION ALL SELECT 9
)

SELECT ones.n + 10 * tens.n + 100 * hundreds.n + 1000 * thousands.n AS n
FROM digit AS ones
CROSS JOIN digit AS tens
CROSS JOIN digit AS hundreds
CROSS JOIN digit AS thousands
