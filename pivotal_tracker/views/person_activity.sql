-- One row per person, project and week in which the person did something that has a date.
--
-- week: its Monday, in the project's time zone.
-- stories_accepted, points_accepted: stories that the person owns and that were accepted in that
--   week; a story with several owners counts for each of them. points: see story_measures.
-- comments: on stories and epics; null in a project from files that have no comments.
-- activities: entries of the project's activity feed by the person. When it is first loaded, the
--   feed reaches back some months only: null in the weeks before.
-- comments_reason, activities_reason: why the number is null.
--
-- A person, or a project, that a file knew by name only is counted as the one with an id once that
-- one was found.
--
-- Key: person_id, project_id, week.
-- Needs: projects, people, stories__owner_ids, stories__comments, epics, epics__comments, activity,
-- story_measures.
WITH event AS (
    SELECT
        owner.value AS person_id,
        story.project_id,
        story.accepted_at AS moment,
        story.time_zone,
        1 AS stories_accepted,
        coalesce(story.points, 0) AS points_accepted,
        0 AS comments,
        0 AS activities
    FROM story_measures AS story
    INNER JOIN stories__owner_ids AS owner
        ON owner.project_id = story.project_id AND owner.story_id = story.story_id
    WHERE story.accepted_at IS NOT NULL
    UNION ALL
    SELECT
        comment.person_id,
        comment.project_id,
        comment.created_at AS moment,
        story.time_zone,
        0 AS stories_accepted,
        0 AS points_accepted,
        1 AS comments,
        0 AS activities
    FROM stories__comments AS comment
    INNER JOIN story_measures AS story
        ON story.project_id = comment.project_id AND story.story_id = comment.story_id
    UNION ALL
    SELECT
        comment.person_id,
        comment.project_id,
        comment.created_at AS moment,
        CASE WHEN epic._date_precision = 'day' THEN 'UTC' END AS time_zone,
        0 AS stories_accepted,
        0 AS points_accepted,
        1 AS comments,
        0 AS activities
    FROM epics__comments AS comment
    INNER JOIN epics AS epic ON epic.id = comment.epic_id
    UNION ALL
    SELECT
        performed_by__id AS person_id,
        project_id,
        occurred_at AS moment,
        CASE WHEN _date_precision = 'day' THEN 'UTC' END AS time_zone,
        0 AS stories_accepted,
        0 AS points_accepted,
        0 AS comments,
        1 AS activities
    FROM activity
),

dated AS (
    SELECT
        coalesce(named.same_as_id, event.person_id) AS person_id,
        event.project_id,
        project.name AS project_name,
        CAST(
            event.moment
            AT TIME ZONE coalesce(event.time_zone, project.time_zone__olson_name, 'UTC') AS DATE
        ) AS date,
        event.stories_accepted,
        event.points_accepted,
        event.comments,
        event.activities
    FROM event
    LEFT JOIN people AS named ON named.id = event.person_id
    LEFT JOIN projects AS project ON project.id = event.project_id
    WHERE event.person_id IS NOT NULL AND event.moment IS NOT NULL AND project.same_as_id IS NULL
),

counted AS (
    SELECT
        person_id,
        project_id,
        project_name,
        CAST(date - INTERVAL '1' DAY * (date_diff('day', DATE '1970-01-05', date) % 7) AS DATE)
            AS week,
        CAST(sum(stories_accepted) AS BIGINT) AS stories_accepted,
        sum(points_accepted) AS points_accepted,
        CAST(sum(comments) AS BIGINT) AS comments,
        CAST(sum(activities) AS BIGINT) AS activities
    FROM dated
    GROUP BY 1, 2, 3, 4
),

known AS (
    SELECT
        project_id,
        min(CASE WHEN activities > 0 THEN week END) AS activities_since,
        sum(comments) AS comments
    FROM counted
    GROUP BY project_id
)

SELECT
    counted.person_id,
    coalesce(person.name, person.username) AS person_name,
    counted.project_id,
    counted.project_name,
    counted.week,
    counted.stories_accepted,
    counted.points_accepted,
    CASE WHEN known.comments > 0 OR project._source IS NULL THEN counted.comments END AS comments,
    CASE WHEN counted.week >= known.activities_since THEN counted.activities END AS activities,
    CASE
        WHEN known.comments = 0 AND project._source IS NOT NULL THEN 'no comments in the files'
    END AS comments_reason,
    CASE
        WHEN known.activities_since IS NULL THEN 'no activity'
        WHEN counted.week < known.activities_since THEN 'before the loaded activity'
    END AS activities_reason
FROM counted
INNER JOIN known ON known.project_id = counted.project_id
LEFT JOIN projects AS project ON project.id = counted.project_id
LEFT JOIN people AS person ON person.id = counted.person_id
