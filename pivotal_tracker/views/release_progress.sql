-- One row per release: how much of the work before it is accepted, and whether it is on time.
--
-- stories: those that the server, or the archive, lists for the release; the release itself is not
--   counted. A Tracker export lists none: there they are the scheduled stories between the previous
--   release and this one in the order of its rows. Null if neither is known, and for a release in
--   the icebox of an export.
-- points: see story_measures.
-- projected_completion: as the server gave it, otherwise the day by which the last open story is
--   expected (see forecast). If all its stories are accepted, but the release is not, the day by
--   which the release itself is expected.
-- earliest_completion, latest_completion: the range of that day by our forecast.
-- days_late: days in the project's time zone from the deadline to the acceptance or, before that,
--   to the projected completion. Negative if it is early.
-- …_reason: why the metric is null. assumptions, as_of: of the forecast.
--
-- Key: project_id, release_id.
-- Needs: projects, stories, releases, releases__story_ids, story_measures, project_as_of,
-- project_velocity, forecast.
WITH listing_project AS (
    SELECT DISTINCT project_id FROM releases__story_ids
),

-- the rows of an export, with the number of releases before each
ordered AS (
    SELECT
        one.project_id,
        one.id AS story_id,
        one.story_type,
        sum(CASE WHEN one.story_type = 'release' THEN 1 ELSE 0 END) OVER (
            PARTITION BY one.project_id
            ORDER BY one._position, one.id
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) - CASE WHEN one.story_type = 'release' THEN 1 ELSE 0 END AS releases_before
    FROM stories AS one
    LEFT JOIN listing_project ON listing_project.project_id = one.project_id
    WHERE
        one._position IS NOT NULL
        AND one.current_state <> 'unscheduled'
        AND listing_project.project_id IS NULL
),

item AS (
    SELECT project_id, release_id, value AS story_id FROM releases__story_ids
    UNION ALL
    SELECT story.project_id, release.story_id AS release_id, story.story_id
    FROM ordered AS story
    INNER JOIN ordered AS release
        ON release.project_id = story.project_id
        AND release.releases_before = story.releases_before
        AND release.story_type = 'release'
    WHERE story.story_type <> 'release'
),

story_in_release AS (
    SELECT item.release_id, item.story_id, story.current_state, story.points
    FROM item
    INNER JOIN story_measures AS story
        ON story.project_id = item.project_id AND story.story_id = item.story_id
),

counted AS (
    SELECT
        release_id,
        count(*) AS stories,
        count(CASE WHEN current_state = 'accepted' THEN 1 END) AS stories_accepted,
        coalesce(sum(points), 0) AS points,
        coalesce(sum(CASE WHEN current_state = 'accepted' THEN points END), 0)
            AS points_accepted
    FROM story_in_release
    GROUP BY release_id
),

-- what has to be accepted yet: the open stories, or only the release itself
remaining AS (
    SELECT release_id, story_id, current_state
    FROM story_in_release
    WHERE current_state <> 'accepted'
    UNION ALL
    SELECT release.id AS release_id, release.id AS story_id, release.current_state
    FROM releases AS release
    LEFT JOIN counted ON counted.release_id = release.id
    WHERE coalesce(counted.stories, 0) = coalesce(counted.stories_accepted, 0)
),

expected AS (
    SELECT
        remaining.release_id,
        CASE WHEN count(*) = count(forecast.expected_by) THEN max(forecast.expected_by) END
            AS expected_by,
        CASE WHEN count(*) = count(forecast.earliest_by) THEN max(forecast.earliest_by) END
            AS earliest_by,
        CASE WHEN count(*) = count(forecast.latest_by) THEN max(forecast.latest_by) END
            AS latest_by,
        count(CASE WHEN remaining.current_state = 'unscheduled' THEN 1 END) AS unscheduled,
        max(forecast.forecast_reason) AS forecast_reason
    FROM remaining
    LEFT JOIN forecast ON forecast.story_id = remaining.story_id
    GROUP BY remaining.release_id
),

projected AS (
    SELECT
        release.id,
        release.accepted_at IS NOT NULL OR release.current_state = 'accepted' AS is_accepted,
        CASE
            WHEN release.accepted_at IS NOT NULL OR release.current_state = 'accepted' THEN NULL
            WHEN release.projected_completion IS NOT NULL THEN release.projected_completion
            ELSE CAST(CAST(expected.expected_by AS VARCHAR) || ' 00:00:00+00' AS TIMESTAMPTZ)
        END AS projected_completion,
        CASE
            WHEN release.accepted_at IS NULL AND release.projected_completion IS NULL
                THEN expected.expected_by
        END AS expected_by,
        expected.earliest_by,
        expected.latest_by,
        CASE
            WHEN expected.unscheduled > 0 AND release.current_state = 'unscheduled'
                THEN 'not scheduled'
            WHEN expected.unscheduled > 0 THEN 'unscheduled stories'
            ELSE coalesce(expected.forecast_reason, 'stories without a place in the backlog')
        END AS forecast_reason,
        CASE
            WHEN release._date_precision = 'day' THEN 'UTC'
            ELSE coalesce(project.time_zone__olson_name, 'UTC')
        END AS time_zone
    FROM releases AS release
    LEFT JOIN projects AS project ON project.id = release.project_id
    LEFT JOIN expected ON expected.release_id = release.id
),

known AS (
    SELECT
        release.id,
        release.accepted_at,
        projected.projected_completion,
        CASE WHEN NOT projected.is_accepted THEN projected.earliest_by END AS earliest_completion,
        CASE WHEN NOT projected.is_accepted THEN projected.latest_by END AS latest_completion,
        CASE
            WHEN projected.projected_completion IS NOT NULL THEN NULL
            WHEN projected.is_accepted THEN 'accepted'
            ELSE projected.forecast_reason
        END AS projected_completion_reason,
        date_diff(
            'day',
            CAST(release.deadline AT TIME ZONE projected.time_zone AS DATE),
            coalesce(
                CASE WHEN NOT projected.is_accepted THEN projected.expected_by END,
                CAST(
                    coalesce(release.accepted_at, projected.projected_completion)
                    AT TIME ZONE projected.time_zone AS DATE
                )
            )
        ) AS days_late,
        listing_project.project_id IS NOT NULL OR ordered.story_id IS NOT NULL AS has_stories
    FROM releases AS release
    INNER JOIN projected ON projected.id = release.id
    LEFT JOIN listing_project ON listing_project.project_id = release.project_id
    LEFT JOIN ordered
        ON ordered.project_id = release.project_id AND ordered.story_id = release.id
)

SELECT
    release.id AS release_id,
    release.project_id,
    project.name AS project_name,
    release.name,
    release.current_state,
    release.url,
    release.deadline,
    CASE WHEN known.has_stories THEN coalesce(counted.stories, 0) END AS stories,
    CASE WHEN known.has_stories THEN coalesce(counted.stories_accepted, 0) END AS stories_accepted,
    CASE WHEN known.has_stories THEN coalesce(counted.points, 0) END AS points,
    CASE WHEN known.has_stories THEN coalesce(counted.points_accepted, 0) END AS points_accepted,
    CAST(counted.stories_accepted AS DOUBLE) / nullif(counted.stories, 0)
        AS share_of_stories_accepted,
    counted.points_accepted / nullif(counted.points, 0) AS share_of_points_accepted,
    release.accepted_at,
    known.projected_completion,
    known.days_late,
    known.earliest_completion,
    known.latest_completion,
    CASE
        WHEN known.has_stories THEN NULL
        WHEN release.current_state = 'unscheduled' THEN 'not scheduled'
        ELSE 'no order of stories'
    END AS stories_reason,
    CASE
        WHEN NOT known.has_stories AND release.current_state = 'unscheduled' THEN 'not scheduled'
        WHEN NOT known.has_stories THEN 'no order of stories'
        WHEN counted.release_id IS NULL THEN 'no stories'
        WHEN counted.points = 0 THEN 'no points'
    END AS share_of_points_reason,
    known.projected_completion_reason,
    CASE
        WHEN known.days_late IS NOT NULL THEN NULL
        WHEN release.deadline IS NULL THEN 'no deadline'
        WHEN known.projected_completion_reason = 'accepted' THEN 'no acceptance date'
        ELSE known.projected_completion_reason
    END AS days_late_reason,
    velocity.assumptions,
    reference.as_of
FROM releases AS release
INNER JOIN known ON known.id = release.id
LEFT JOIN projects AS project ON project.id = release.project_id
LEFT JOIN project_as_of AS reference ON reference.project_id = release.project_id
LEFT JOIN project_velocity AS velocity ON velocity.project_id = release.project_id
LEFT JOIN counted ON counted.release_id = release.id
