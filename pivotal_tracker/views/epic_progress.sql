-- One row per epic: how much of it is accepted. A story belongs to an epic if it has its label.
--
-- stories: all of them, releases included, as Tracker counts the stories of a label.
-- points: see story_measures. unestimated_stories: those of an estimated type without an estimate.
-- completed_at: as the server gave it, otherwise the last acceptance if all stories are accepted.
-- projected_completion: as the server gave it, otherwise the day by which the last open story is
--   expected (see forecast); null if the forecast of one of them is not known.
-- earliest_completion, latest_completion: the range of that day by our forecast, also where the
--   server gave a projection.
-- …_reason: why the metric is null. assumptions, as_of: of the forecast.
--
-- The API's past_done_* are not added: the stories that they count are in the tables.
--
-- Key: project_id, epic_id.
-- Needs: projects, epics, stories__labels, story_measures, project_as_of,
-- project_velocity, forecast.
WITH story AS (
    SELECT DISTINCT epic.id AS epic_id, epic.project_id, label.story_id
    FROM epics AS epic
    INNER JOIN stories__labels AS label
        ON label.project_id = epic.project_id AND label.name = epic.label__name
),

story_in_epic AS (
    SELECT
        story.epic_id,
        story.story_id,
        measured.current_state,
        measured.estimate,
        measured.is_estimated,
        measured.points,
        measured.first_started_at,
        measured.accepted_at
    FROM story
    INNER JOIN story_measures AS measured
        ON measured.project_id = story.project_id AND measured.story_id = story.story_id
),

counted AS (
    SELECT
        epic_id,
        count(*) AS stories,
        count(CASE WHEN current_state = 'accepted' THEN 1 END) AS stories_accepted,
        count(CASE WHEN current_state = 'unscheduled' THEN 1 END) AS stories_unscheduled,
        coalesce(sum(points), 0) AS points,
        coalesce(sum(CASE WHEN current_state = 'accepted' THEN points END), 0)
            AS points_accepted,
        count(CASE WHEN is_estimated AND estimate IS NULL THEN 1 END)
            AS unestimated_stories,
        min(first_started_at) AS first_started_at,
        max(accepted_at) AS last_accepted_at
    FROM story_in_epic
    GROUP BY epic_id
),

open_stories AS (
    SELECT
        story.epic_id,
        count(*) AS stories,
        count(forecast.expected_by) AS expected,
        count(forecast.earliest_by) AS with_earliest,
        count(forecast.latest_by) AS with_latest,
        max(forecast.expected_by) AS expected_by,
        max(forecast.earliest_by) AS earliest_by,
        max(forecast.latest_by) AS latest_by,
        max(forecast.forecast_reason) AS forecast_reason,
        count(CASE WHEN story.current_state = 'unscheduled' THEN 1 END) AS unscheduled
    FROM story_in_epic AS story
    LEFT JOIN forecast ON forecast.story_id = story.story_id
    WHERE story.current_state <> 'accepted'
    GROUP BY story.epic_id
),

projected AS (
    SELECT
        epic.id,
        CASE
            WHEN epic.projected_completion IS NOT NULL THEN epic.projected_completion
            WHEN open_stories.expected = open_stories.stories
                THEN CAST(
                    CAST(open_stories.expected_by AS VARCHAR) || ' 00:00:00+00' AS TIMESTAMPTZ
                )
        END AS projected_completion,
        CASE WHEN open_stories.with_earliest = open_stories.stories THEN open_stories.earliest_by END
            AS earliest_completion,
        CASE WHEN open_stories.with_latest = open_stories.stories THEN open_stories.latest_by END
            AS latest_completion,
        open_stories.epic_id IS NOT NULL AS is_open,
        open_stories.unscheduled,
        open_stories.forecast_reason
    FROM epics AS epic
    LEFT JOIN open_stories ON open_stories.epic_id = epic.id
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
    projected.projected_completion,
    projected.earliest_completion,
    projected.latest_completion,
    CASE
        WHEN projected.projected_completion IS NOT NULL THEN NULL
        WHEN counted.epic_id IS NULL THEN 'no stories'
        WHEN NOT projected.is_open THEN 'complete'
        WHEN projected.unscheduled > 0 THEN 'unscheduled stories'
        ELSE coalesce(projected.forecast_reason, 'stories without a place in the backlog')
    END AS projected_completion_reason,
    CASE
        WHEN counted.first_started_at IS NOT NULL THEN NULL
        WHEN counted.epic_id IS NULL THEN 'no stories'
        WHEN reference.has_transitions THEN 'never started'
        ELSE 'no transitions'
    END AS first_started_reason,
    CASE
        WHEN counted.epic_id IS NULL THEN 'no stories'
        WHEN counted.points = 0 THEN 'no points'
    END AS share_of_points_reason,
    velocity.assumptions,
    reference.as_of
FROM epics AS epic
INNER JOIN projected ON projected.id = epic.id
LEFT JOIN projects AS project ON project.id = epic.project_id
LEFT JOIN project_as_of AS reference ON reference.project_id = epic.project_id
LEFT JOIN project_velocity AS velocity ON velocity.project_id = epic.project_id
LEFT JOIN counted ON counted.epic_id = epic.id
