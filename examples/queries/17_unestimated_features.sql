-- Which features in the backlog have no estimate?
SELECT project_name, position, story_id, name
FROM forecast
WHERE story_type = 'feature' AND estimate IS NULL
ORDER BY project_name, position;
