-- One row per story, with the names and counts that people usually look up next to it.
--
-- points, first_started_at, cycle_time_hours, lead_time_hours, rejection_count and their …_reason:
--   see story_measures.
-- iteration_number: the iteration that has the story; for a story that is not accepted, as planned.
-- comment_count, task_count, open_task_count, open_blocker_count: null if the story comes from files
--   that have none of these for the whole project; their …_reason says so.
--
-- Key: project_id, story_id.
-- Needs: people, epics, iterations, stories with their nested tables, story_measures.
WITH labelled AS (
    SELECT project_id, story_id, string_agg(name, ', ' ORDER BY name) AS label_names
    FROM (SELECT DISTINCT project_id, story_id, name FROM stories__labels) AS label
    GROUP BY project_id, story_id
),

owned AS (
    SELECT project_id, story_id, string_agg(name, ', ' ORDER BY name) AS owner_names
    FROM (
        SELECT DISTINCT
            owner.project_id,
            owner.story_id,
            coalesce(person.name, person.username, 'person ' || CAST(owner.value AS VARCHAR)) AS name
        FROM stories__owner_ids AS owner
        LEFT JOIN people AS named ON named.id = owner.value
        LEFT JOIN people AS person ON person.id = coalesce(named.same_as_id, named.id)
    ) AS owner
    GROUP BY project_id, story_id
),

in_epics AS (
    SELECT project_id, story_id, string_agg(name, ', ' ORDER BY name) AS epic_names
    FROM (
        SELECT DISTINCT label.project_id, label.story_id, epic.name
        FROM stories__labels AS label
        INNER JOIN epics AS epic
            ON epic.project_id = label.project_id AND epic.label__name = label.name
    ) AS epic
    GROUP BY project_id, story_id
),

planned AS (
    SELECT project_id, value AS story_id, min(iteration_number) AS iteration_number
    FROM iterations__story_ids
    GROUP BY project_id, value
),

commented AS (
    SELECT project_id, story_id, count(*) AS comments
    FROM stories__comments
    GROUP BY project_id, story_id
),

tasked AS (
    SELECT
        project_id,
        story_id,
        count(*) AS tasks,
        count(CASE WHEN NOT coalesce(complete, FALSE) THEN 1 END) AS open_tasks
    FROM stories__tasks
    GROUP BY project_id, story_id
),

blocked AS (
    SELECT
        project_id,
        story_id,
        count(*) AS blockers,
        count(CASE WHEN NOT coalesce(resolved, FALSE) THEN 1 END) AS open_blockers
    FROM stories__blockers
    GROUP BY project_id, story_id
),

known AS (
    SELECT
        project_id,
        sum(comments) AS comments,
        sum(tasks) AS tasks,
        sum(blockers) AS blockers
    FROM (
        SELECT project_id, comments, 0 AS tasks, 0 AS blockers FROM commented
        UNION ALL
        SELECT project_id, 0 AS comments, tasks, 0 AS blockers FROM tasked
        UNION ALL
        SELECT project_id, 0 AS comments, 0 AS tasks, blockers FROM blocked
    ) AS nested
    GROUP BY project_id
)

SELECT
    story.id AS story_id,
    story.project_id,
    measured.project_name,
    story.name,
    story.story_type,
    story.current_state,
    story.story_priority,
    story.estimate,
    measured.points,
    story.url,
    labelled.label_names,
    owned.owner_names,
    in_epics.epic_names,
    coalesce(requester.name, requester.username) AS requested_by_name,
    planned.iteration_number,
    story.created_at,
    story.updated_at,
    measured.first_started_at,
    story.accepted_at,
    story.deadline,
    measured.cycle_time_hours,
    measured.lead_time_hours,
    measured.rejection_count,
    CASE
        WHEN story._source IS NULL OR known.comments > 0 THEN coalesce(commented.comments, 0)
    END AS comment_count,
    CASE WHEN story._source IS NULL OR known.tasks > 0 THEN coalesce(tasked.tasks, 0) END
        AS task_count,
    CASE WHEN story._source IS NULL OR known.tasks > 0 THEN coalesce(tasked.open_tasks, 0) END
        AS open_task_count,
    CASE
        WHEN story._source IS NULL OR known.blockers > 0 THEN coalesce(blocked.open_blockers, 0)
    END AS open_blocker_count,
    measured.cycle_time_reason,
    measured.lead_time_reason,
    measured.rejection_count_reason,
    measured.points_reason,
    CASE
        WHEN story._source IS NOT NULL AND coalesce(known.comments, 0) = 0
            THEN 'no comments in the files'
    END AS comment_count_reason,
    CASE
        WHEN story._source IS NOT NULL AND coalesce(known.tasks, 0) = 0
            THEN 'no tasks in the files'
    END AS task_count_reason,
    CASE
        WHEN story._source IS NOT NULL AND coalesce(known.blockers, 0) = 0
            THEN 'no blockers in the files'
    END AS blocker_count_reason
FROM stories AS story
INNER JOIN story_measures AS measured
    ON measured.project_id = story.project_id AND measured.story_id = story.id
LEFT JOIN people AS requested_by ON requested_by.id = story.requested_by_id
LEFT JOIN people AS requester ON requester.id = coalesce(requested_by.same_as_id, requested_by.id)
LEFT JOIN labelled ON labelled.project_id = story.project_id AND labelled.story_id = story.id
LEFT JOIN owned ON owned.project_id = story.project_id AND owned.story_id = story.id
LEFT JOIN in_epics ON in_epics.project_id = story.project_id AND in_epics.story_id = story.id
LEFT JOIN planned ON planned.project_id = story.project_id AND planned.story_id = story.id
LEFT JOIN commented ON commented.project_id = story.project_id AND commented.story_id = story.id
LEFT JOIN tasked ON tasked.project_id = story.project_id AND tasked.story_id = story.id
LEFT JOIN known ON known.project_id = story.project_id
LEFT JOIN blocked ON blocked.project_id = story.project_id AND blocked.story_id = story.id
