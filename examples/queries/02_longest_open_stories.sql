-- Which stories have been open for the longest time?
-- Ages end at the project's last event: a project that stopped in 2015 has the ages of 2015.
SELECT
    project_name,
    story_id,
    name,
    current_state,
    CAST(age_days AS INTEGER) AS age_days
FROM open_story_age
WHERE story_type <> 'release'
ORDER BY open_story_age.age_days DESC, story_id
LIMIT 5;
