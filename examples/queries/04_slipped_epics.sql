-- Which epics slipped?
-- An epic has no deadline. Here, an epic slipped if it has stories in a release that was accepted
-- after its deadline, or is expected to be.
SELECT
    epic.project_name,
    epic.name AS epic,
    count(DISTINCT late.release_id) AS late_releases,
    max(late.days_late) AS days_late,
    round(100 * any_value(epic.share_of_stories_accepted)) AS percent_accepted
FROM epic_progress AS epic
JOIN stories__labels AS label
    ON label.project_id = epic.project_id AND label.name = epic.label_name
JOIN releases__story_ids AS item ON item.value = label.story_id
JOIN release_progress AS late ON late.release_id = item.release_id AND late.days_late > 0
GROUP BY ALL
ORDER BY days_late DESC, epic
LIMIT 10;
