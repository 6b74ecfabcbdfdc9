-- Who knows about checkout?
-- People who own accepted stories with this label.
SELECT
    coalesce(person.name, person.username) AS person,
    count(*) AS stories,
    max(story.accepted_on) AS last_accepted
FROM stories__labels AS label
JOIN story_measures AS story USING (story_id)
JOIN stories__owner_ids AS owner USING (story_id)
JOIN people AS person ON person.id = owner.value
WHERE label.name = 'checkout' AND story.accepted_on IS NOT NULL
GROUP BY ALL
ORDER BY stories DESC, person;
