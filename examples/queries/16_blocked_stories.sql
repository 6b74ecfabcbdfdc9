-- What is blocked, and since when?
SELECT
    story.project_name,
    story.story_id,
    story.name,
    story.current_state,
    blocker.description AS blocked_by,
    CAST(blocker.created_at AS DATE) AS since
FROM stories__blockers AS blocker
JOIN story_overview AS story USING (story_id)
WHERE NOT blocker.resolved AND story.current_state <> 'accepted'
ORDER BY since, story.story_id;
