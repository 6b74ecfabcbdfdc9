-- What happened to the story that was rejected most often?
WITH chosen AS (
    SELECT story_id
    FROM story_measures
    ORDER BY rejection_count DESC, story_id
    LIMIT 1
)

SELECT step.occurred_at, step.state, coalesce(person.name, person.username) AS by_whom
FROM stories__transitions AS step
JOIN chosen USING (story_id)
LEFT JOIN people AS person ON person.id = step.performed_by_id
ORDER BY step.occurred_at;
