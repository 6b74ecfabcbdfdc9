-- Which open releases will miss their deadline?
SELECT
    project_name,
    name AS release,
    CAST(deadline AS DATE) AS deadline,
    CAST(projected_completion AS DATE) AS expected,
    days_late,
    stories - stories_accepted AS stories_left
FROM release_progress
WHERE current_state <> 'accepted' AND days_late > 0
ORDER BY days_late DESC;
