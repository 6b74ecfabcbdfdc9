-- Which stories were rejected most often?
SELECT project_name, story_id, name, owner_names, rejection_count
FROM story_overview
WHERE rejection_count > 0
ORDER BY rejection_count DESC, story_id
LIMIT 5;
