-- What was deleted, and by whom?
-- The message comes from the activity feed; the text of a deleted story is not known.
SELECT
    CAST(deleted.deleted_at AS DATE) AS deleted_on,
    coalesce(person.name, person.username) AS deleted_by,
    activity.message
FROM deleted_records AS deleted
LEFT JOIN people AS person ON person.id = deleted.deleted_by_id
LEFT JOIN activity ON activity.guid = deleted.activity_guid
WHERE deleted.kind = 'story'
ORDER BY deleted.deleted_at DESC, deleted.id
LIMIT 5;
