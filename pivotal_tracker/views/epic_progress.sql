-- One row an epic: how much of it is accepted. A story is in an epic if it carries its label.
--
-- stories: all of them, releases too, as Tracker counts the stories of a label.
-- points: of the types that are estimated in the project (see story_measures).
-- unestimated_stories: those of such a type that have no estimate.
-- completed_at: as the server gave it, else the last acceptance once every story is accepted.
-- projected_completion: as the server gave it, else the day by which the last open story is
--   expected (see forecast); null if an open story is in no plan.
--
-- Needs: projects, epics, stories__labels, story_measures, forecast. The past_done_* of the API are
-- not added: they count stories that are in the tables. In a CSV archive no first start is known.
WITH story AS (
    SELECT DISTINCT epic.id AS epic_id, epic.project_id, label.story_id
    FROM epics AS epic
    INNER JOIN stories__labels AS label
        ON label.project_id = epic.project_id AND label.name = epic.label__name
),

counted AS (
    SELECT
        story.epic_id,
        count(*) AS stories,
        count(CASE WHEN told.current_state = 'accepted' THEN 1 END) AS stories_accepted,
        count(CASE WHEN told.current_state = 'unscheduled' THEN 1 END) AS stories_unscheduled,
        coalesce(sum(told.points), 0) AS points,
        coalesce(sum(CASE WHEN told.current_state = 'accepted' THEN told.points END), 0)
            AS points_accepted,
        count(CASE WHEN told.is_estimated AND told.estimate IS NULL THEN 1 END)
            AS unestimated_stories,
        min(told.first_started_at) AS first_started_at,
        max(told.accepted_at) AS last_accepted_at,
        max(CASE WHEN told.current_state <> 'accepted' THEN forecast.expected_by END)
            AS expected_by,
        count(
            CASE WHEN told.current_state <> 'accepted' AND forecast.expected_by IS NULL THEN 1 END
        ) AS not_expected
    FROM story
    INNER JOIN story_measures AS told
        ON told.project_id = story.project_id AND told.story_id = story.story_id
    LEFT JOIN forecast ON forecast.story_id = story.story_id
    GROUP BY story.epic_id
)

SELECT
    epic.id AS epic_id,
    epic.project_id,
    project.name AS project_name,
    epic.name,
    epic.label__name AS label_name,
    epic.url,
    coalesce(counted.stories, 0) AS stories,
    coalesce(counted.stories_accepted, 0) AS stories_accepted,
    coalesce(counted.stories_unscheduled, 0) AS stories_unscheduled,
    coalesce(counted.points, 0) AS points,
    coalesce(counted.points_accepted, 0) AS points_accepted,
    coalesce(counted.unestimated_stories, 0) AS unestimated_stories,
    CAST(counted.stories_accepted AS DOUBLE) / nullif(counted.stories, 0)
        AS share_of_stories_accepted,
    counted.points_accepted / nullif(counted.points, 0) AS share_of_points_accepted,
    counted.first_started_at,
    counted.last_accepted_at,
    CASE
        WHEN epic.completed_at IS NOT NULL THEN epic.completed_at
        WHEN counted.stories = counted.stories_accepted THEN counted.last_accepted_at
    END AS completed_at,
    CASE
        WHEN epic.projected_completion IS NOT NULL THEN epic.projected_completion
        WHEN counted.not_expected = 0
            THEN CAST(CAST(counted.expected_by AS VARCHAR) || ' 00:00:00+00' AS TIMESTAMPTZ)
    END AS projected_completion
FROM epics AS epic
LEFT JOIN projects AS project ON project.id = epic.project_id
LEFT JOIN counted ON counted.epic_id = epic.id
