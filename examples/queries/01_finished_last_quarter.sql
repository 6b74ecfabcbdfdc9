-- What did we finish last quarter?
-- The last complete quarter before the project's last event (`project_as_of`).
SELECT
    story.project_name,
    story.story_type,
    count(*) AS stories,
    sum(story.points) AS points
FROM story_measures AS story
JOIN project_as_of AS project USING (project_id)
WHERE date_trunc('quarter', story.accepted_on)
    = date_trunc('quarter', project.as_of_date) - INTERVAL 3 MONTH
GROUP BY ALL
ORDER BY ALL;
