-- Who works on what?
SELECT
    coalesce(person.name, person.username) AS person,
    story.name AS story,
    story.current_state AS state,
    CAST(story.days_in_state AS INTEGER) AS days_in_state
FROM open_story_age AS story
JOIN stories__owner_ids AS owner USING (story_id)
JOIN people AS person ON person.id = owner.value
WHERE story.current_state IN ('started', 'finished', 'delivered', 'rejected')
ORDER BY person, days_in_state DESC, story.story_id;
