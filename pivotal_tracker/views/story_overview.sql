-- One row a story, with what is usually looked up beside it.
--
-- points: the estimate, where stories of this type are estimated in this project: features always,
--   bugs and chores if the project says so or, where its settings are not known (an archive), if
--   they have an estimate, which Tracker would not have taken otherwise. Null without an estimate.
-- first_started_at: the first transition to `started`. Null if there was none, or none is known.
-- cycle_time_hours: from then to the acceptance, by the clock, as Tracker's example script for its
--   API counted. Without transitions, the total of Tracker's own `cycle_time_details`. Null before
--   the acceptance, and for a story that was never started.
-- lead_time_hours: from the creation to the acceptance; whole days where the dates have no time.
-- rejection_count: transitions to `rejected`, as the same script counted, or `cycle_time_details`.
-- iteration_number: the iteration that holds the story, as planned for what is not accepted.
--
-- Needs: projects, people, epics, iterations and stories with their nested tables. Without
-- transitions and cycle_time_details (a CSV archive): no first start, cycle time or rejections.
WITH labelled AS (
    SELECT story_id, string_agg(name, ', ' ORDER BY name) AS label_names
    FROM (SELECT DISTINCT story_id, name FROM stories__labels) AS label
    GROUP BY story_id
),

owned AS (
    SELECT story_id, string_agg(name, ', ' ORDER BY name) AS owner_names
    FROM (
        SELECT DISTINCT
            owner.story_id,
            coalesce(person.name, person.username, 'person ' || CAST(owner.value AS VARCHAR)) AS name
        FROM stories__owner_ids AS owner
        LEFT JOIN people AS met ON met.id = owner.value
        LEFT JOIN people AS person ON person.id = coalesce(met.same_as_id, met.id)
    ) AS owner
    GROUP BY story_id
),

in_epics AS (
    SELECT story_id, string_agg(name, ', ' ORDER BY name) AS epic_names
    FROM (
        SELECT DISTINCT label.story_id, epic.name
        FROM stories__labels AS label
        INNER JOIN epics AS epic
            ON epic.project_id = label.project_id AND epic.label__name = label.name
    ) AS epic
    GROUP BY story_id
),

planned AS (
    SELECT value AS story_id, min(iteration_number) AS iteration_number
    FROM iterations__story_ids
    GROUP BY value
),

moves AS (
    SELECT
        story_id,
        min(CASE WHEN state = 'started' THEN occurred_at END) AS first_started_at,
        count(CASE WHEN state = 'rejected' THEN 1 END) AS rejections
    FROM stories__transitions
    GROUP BY story_id
),

commented AS (
    SELECT story_id, count(*) AS comments
    FROM stories__comments
    GROUP BY story_id
),

tasked AS (
    SELECT
        story_id,
        count(*) AS tasks,
        count(CASE WHEN NOT coalesce(complete, FALSE) THEN 1 END) AS open_tasks
    FROM stories__tasks
    GROUP BY story_id
),

blocked AS (
    SELECT story_id, count(CASE WHEN NOT coalesce(resolved, FALSE) THEN 1 END) AS open_blockers
    FROM stories__blockers
    GROUP BY story_id
)

SELECT
    story.id AS story_id,
    story.project_id,
    project.name AS project_name,
    story.name,
    story.story_type,
    story.current_state,
    story.story_priority,
    story.estimate,
    CASE
        WHEN story.story_type = 'feature' THEN story.estimate
        WHEN story.story_type IN ('bug', 'chore')
            AND coalesce(project.bugs_and_chores_are_estimatable, TRUE) THEN story.estimate
    END AS points,
    story.url,
    labelled.label_names,
    owned.owner_names,
    in_epics.epic_names,
    coalesce(requester.name, requester.username) AS requested_by_name,
    planned.iteration_number,
    story.created_at,
    story.updated_at,
    moves.first_started_at,
    story.accepted_at,
    story.deadline,
    CASE
        WHEN moves.story_id IS NULL AND story.accepted_at IS NOT NULL
            THEN CAST(story.cycle_time_details__total_cycle_time AS DOUBLE) / 3600000
        WHEN story.accepted_at >= moves.first_started_at
            THEN CAST(
                extract(EPOCH FROM story.accepted_at) - extract(EPOCH FROM moves.first_started_at)
                AS DOUBLE
            ) / 3600
    END AS cycle_time_hours,
    CASE
        WHEN story.accepted_at >= story.created_at
            THEN CAST(
                extract(EPOCH FROM story.accepted_at) - extract(EPOCH FROM story.created_at)
                AS DOUBLE
            ) / 3600
    END AS lead_time_hours,
    coalesce(moves.rejections, story.cycle_time_details__rejected_count) AS rejection_count,
    coalesce(commented.comments, 0) AS comment_count,
    coalesce(tasked.tasks, 0) AS task_count,
    coalesce(tasked.open_tasks, 0) AS open_task_count,
    coalesce(blocked.open_blockers, 0) AS open_blocker_count
FROM stories AS story
LEFT JOIN projects AS project ON project.id = story.project_id
LEFT JOIN people AS requested_by ON requested_by.id = story.requested_by_id
LEFT JOIN people AS requester ON requester.id = coalesce(requested_by.same_as_id, requested_by.id)
LEFT JOIN labelled ON labelled.story_id = story.id
LEFT JOIN owned ON owned.story_id = story.id
LEFT JOIN in_epics ON in_epics.story_id = story.id
LEFT JOIN planned ON planned.story_id = story.id
LEFT JOIN moves ON moves.story_id = story.id
LEFT JOIN commented ON commented.story_id = story.id
LEFT JOIN tasked ON tasked.story_id = story.id
LEFT JOIN blocked ON blocked.story_id = story.id
