-- What comes next?
SELECT project_name, position, name, story_type, estimate, expected_by
FROM forecast
WHERE position <= 3
ORDER BY project_name, position;
