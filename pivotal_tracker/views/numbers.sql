-- One row a whole number from 0 to 9,999, to count days and iterations by: a series in the words of
-- every destination.
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

SELECT one.n + 10 * ten.n + 100 * hundred.n + 1000 * thousand.n AS n
FROM digit AS one
CROSS JOIN digit AS ten
CROSS JOIN digit AS hundred
CROSS JOIN digit AS thousand
