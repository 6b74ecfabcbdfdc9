-- What was discussed most?
SELECT
    story.project_name,
    story.story_id,
    story.name,
    count(*) AS comments,
    count(DISTINCT comment.person_id) AS people
FROM stories__comments AS comment
JOIN story_overview AS story USING (story_id)
GROUP BY ALL
ORDER BY comments DESC, story.story_id
LIMIT 5;
