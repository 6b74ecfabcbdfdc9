-- One row a release: how much of the work before it is accepted, and whether it is in time.
--
-- stories: those that the server, or the archive, put before the release; the release itself is not
--   one of them. points: of the types that are estimated in the project (see story_measures). Null
--   in a project of whose releases nothing tells what is before them (a CSV archive).
-- projected_completion: as the server gave it, else the day by which the last open story is
--   expected (see forecast); null if an open story is in no plan.
-- days_late: from the deadline to the acceptance or, before that, to the projected completion, in
--   days of the project's time zone. Negative if early; null without a deadline, or without either.
--
-- Needs: projects, releases, releases__story_ids, story_measures, forecast.
WITH counted AS (
    SELECT
        item.release_id,
        count(*) AS stories,
        count(CASE WHEN story.current_state = 'accepted' THEN 1 END) AS stories_accepted,
        coalesce(sum(story.points), 0) AS points,
        coalesce(sum(CASE WHEN story.current_state = 'accepted' THEN story.points END), 0)
            AS points_accepted,
        max(CASE WHEN story.current_state <> 'accepted' THEN forecast.expected_by END)
            AS expected_by,
        count(
            CASE WHEN story.current_state <> 'accepted' AND forecast.expected_by IS NULL THEN 1 END
        ) AS not_expected
    FROM releases__story_ids AS item
    INNER JOIN story_measures AS story
        ON story.project_id = item.project_id AND story.story_id = item.value
    LEFT JOIN forecast ON forecast.story_id = item.value
    GROUP BY item.release_id
),

planned AS (
    SELECT
        release.id,
        CASE
            WHEN release.accepted_at IS NOT NULL THEN NULL
            WHEN release.projected_completion IS NOT NULL THEN release.projected_completion
            WHEN counted.not_expected = 0
                THEN CAST(CAST(counted.expected_by AS VARCHAR) || ' 00:00:00+00' AS TIMESTAMPTZ)
        END AS projected_completion,
        CASE
            WHEN release.accepted_at IS NULL
                AND release.projected_completion IS NULL
                AND counted.not_expected = 0 THEN counted.expected_by
        END AS expected_by,
        CASE
            WHEN release._date_precision = 'day' THEN 'UTC'
            ELSE coalesce(project.time_zone__olson_name, 'UTC')
        END AS time_zone
    FROM releases AS release
    LEFT JOIN projects AS project ON project.id = release.project_id
    LEFT JOIN counted ON counted.release_id = release.id
)

SELECT
    release.id AS release_id,
    release.project_id,
    project.name AS project_name,
    release.name,
    release.current_state,
    release.url,
    release.deadline,
    CASE WHEN told.project_id IS NOT NULL THEN coalesce(counted.stories, 0) END AS stories,
    CASE WHEN told.project_id IS NOT NULL THEN coalesce(counted.stories_accepted, 0) END
        AS stories_accepted,
    CASE WHEN told.project_id IS NOT NULL THEN coalesce(counted.points, 0) END AS points,
    CASE WHEN told.project_id IS NOT NULL THEN coalesce(counted.points_accepted, 0) END
        AS points_accepted,
    CAST(counted.stories_accepted AS DOUBLE) / nullif(counted.stories, 0)
        AS share_of_stories_accepted,
    counted.points_accepted / nullif(counted.points, 0) AS share_of_points_accepted,
    release.accepted_at,
    planned.projected_completion,
    date_diff(
        'day',
        CAST(release.deadline AT TIME ZONE planned.time_zone AS DATE),
        coalesce(
            planned.expected_by,
            CAST(
                coalesce(release.accepted_at, planned.projected_completion)
                AT TIME ZONE planned.time_zone AS DATE
            )
        )
    ) AS days_late
FROM releases AS release
INNER JOIN planned ON planned.id = release.id
LEFT JOIN (SELECT DISTINCT project_id FROM releases__story_ids) AS told
    ON told.project_id = release.project_id
LEFT JOIN projects AS project ON project.id = release.project_id
LEFT JOIN counted ON counted.release_id = release.id
