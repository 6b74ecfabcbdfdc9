-- One row per story of the backlog, in order: the iteration in which it should be accepted.
--
-- position, points_ahead: the place and the points before it among the open stories of the current
--   and later iterations, in the order of Tracker or of the archive. Stories that an export puts
--   into no iteration follow in the order of its rows. points: see story_measures; 0 without one.
-- iteration_number: the backlog is filled in order with the project's velocity, as Tracker did. The
--   current iteration takes what is in progress and, after its accepted points, as many unstarted
--   stories as fit; no unstarted story if automatic planning is off. A story that does not fit
--   begins the next iteration; one that is larger than an iteration has one for itself. Team
--   strength and length of an iteration change what fits.
-- expected_by: the last day of that iteration, in the project's time zone.
-- earliest_by, latest_by: the same with velocity * (1 + volatility) and velocity * (1 - volatility).
--   Tracker's projections used volatility too; that it is one standard deviation to each side is
--   our choice.
-- forecast_reason, range_reason: why expected_by, and earliest_by or latest_by, are null.
-- assumptions: what was assumed for the velocity (see project_velocity). as_of: the forecast starts
--   with the iteration that was current then (see project_as_of).
--
-- At most 400 iterations are planned.
--
-- Key: project_id, story_id.
-- Needs: projects, stories, iterations, iterations__story_ids, story_measures, project_velocity.
WITH RECURSIVE ahead AS (
    SELECT n FROM _pivotal_tracker_numbers WHERE n < 400
),

velocity AS (
    SELECT
        project_id,
        current_iteration_number,
        current_iteration_start,
        velocity,
        volatility,
        iteration_length,
        velocity_reason,
        volatility_reason,
        assumptions,
        as_of
    FROM project_velocity
),

measured AS (
    SELECT project_id, story_id, current_state, coalesce(points, 0) AS points
    FROM story_measures
    WHERE current_state <> 'unscheduled'
),

scheduled_story AS (
    SELECT
        item.project_id,
        item.iteration_number,
        item._dlt_list_idx AS place,
        story.story_id,
        story.current_state,
        story.points
    FROM iterations__story_ids AS item
    INNER JOIN measured AS story
        ON story.story_id = item.value AND story.project_id = item.project_id
    UNION ALL
    SELECT
        one.project_id,
        -- after all iterations
        1000000000 AS iteration_number,
        one._position AS place,
        one.id AS story_id,
        one.current_state,
        story.points
    FROM stories AS one
    INNER JOIN measured AS story
        ON story.project_id = one.project_id AND story.story_id = one.id
    LEFT JOIN iterations__story_ids AS item
        ON item.project_id = one.project_id AND item.value = one.id
    WHERE one._position IS NOT NULL AND item.value IS NULL
),

backlog AS (
    SELECT
        project_id,
        story_id,
        points,
        current_state <> 'unstarted' AS is_in_progress,
        row_number() OVER (
            PARTITION BY project_id ORDER BY iteration_number, place, story_id
        ) AS position,
        sum(points) OVER (
            PARTITION BY project_id
            ORDER BY iteration_number, place, story_id
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) - points AS points_ahead
    FROM scheduled_story
    WHERE current_state <> 'accepted'
),

queued AS (
    SELECT
        project_id,
        story_id,
        row_number() OVER (PARTITION BY project_id ORDER BY position) AS place,
        sum(points) OVER (
            PARTITION BY project_id
            ORDER BY position
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS points_through
    FROM backlog
    WHERE NOT is_in_progress
),

current_iteration AS (
    SELECT
        velocity.project_id,
        velocity.current_iteration_number AS iteration_number,
        velocity.current_iteration_start AS start,
        velocity.velocity,
        velocity.volatility,
        velocity.iteration_length,
        coalesce(project.automatic_planning, TRUE) AS automatic_planning,
        coalesce(project.time_zone__olson_name, 'UTC') AS time_zone
    FROM velocity
    INNER JOIN projects AS project ON project.id = velocity.project_id
    WHERE
        velocity.current_iteration_number IS NOT NULL
        AND velocity.velocity IS NOT NULL
        AND velocity.iteration_length > 0
),

-- the points in the current iteration before an unstarted story is put into it
used AS (
    SELECT current_iteration.project_id, coalesce(sum(scheduled_story.points), 0) AS points
    FROM current_iteration
    LEFT JOIN scheduled_story
        ON scheduled_story.project_id = current_iteration.project_id
        AND scheduled_story.iteration_number >= current_iteration.iteration_number
        AND scheduled_story.current_state <> 'unstarted'
    GROUP BY current_iteration.project_id
),

pace AS (
    SELECT project_id, 'expected' AS scenario, CAST(velocity AS DOUBLE) AS velocity
    FROM current_iteration
    UNION ALL
    SELECT project_id, 'earliest' AS scenario, velocity * (1 + volatility) AS velocity
    FROM current_iteration
    WHERE volatility IS NOT NULL
    UNION ALL
    SELECT project_id, 'latest' AS scenario, velocity * (1 - volatility) AS velocity
    FROM current_iteration
    WHERE volatility < 1
),

-- the iterations to fill; share: how much of a usual iteration each one holds
slot AS (
    SELECT
        current_iteration.project_id,
        ahead.n AS step,
        current_iteration.iteration_number + ahead.n AS iteration_number,
        CASE
            WHEN ahead.n > 0 THEN 0
            WHEN current_iteration.automatic_planning THEN used.points
            -- more than fits, so that nothing is added
            ELSE 1000000000
        END AS used,
        coalesce(one.team_strength, 1)
        * coalesce(one.length, current_iteration.iteration_length)
        / current_iteration.iteration_length AS share,
        CAST(current_iteration.start AT TIME ZONE current_iteration.time_zone AS DATE) AS begin_date,
        sum(coalesce(one.length, current_iteration.iteration_length)) OVER (
            PARTITION BY current_iteration.project_id ORDER BY ahead.n
        ) AS weeks
    FROM current_iteration
    CROSS JOIN ahead
    INNER JOIN used ON used.project_id = current_iteration.project_id
    LEFT JOIN _pivotal_tracker_iterations AS one
        ON one.project_id = current_iteration.project_id
        AND one.number = current_iteration.iteration_number + ahead.n
),

-- one row per queued story, and one at place 0 before the first
milestone AS (
    SELECT
        project_id,
        place,
        CAST(points_through AS DOUBLE) AS points_through,
        CAST(lead(points_through) OVER (PARTITION BY project_id ORDER BY place) AS DOUBLE)
            AS next_points_through,
        count(*) OVER (PARTITION BY project_id) - 1 AS stories
    FROM (
        SELECT project_id, place, points_through FROM queued
        UNION ALL
        SELECT project_id, 0 AS place, 0 AS points_through FROM queued WHERE place = 1
    ) AS one
),

-- each step fills one iteration, with the stories from first_place to last_place
filled AS (
    SELECT
        project_id,
        scenario,
        velocity,
        CAST(-1 AS BIGINT) AS step,
        CAST(0 AS BIGINT) AS first_place,
        CAST(0 AS BIGINT) AS last_place,
        CAST(0 AS DOUBLE) AS points_through
    FROM pace
    UNION ALL
    SELECT
        filled.project_id,
        filled.scenario,
        filled.velocity,
        filled.step + 1 AS step,
        filled.last_place + 1 AS first_place,
        CAST(
            CASE
                WHEN milestone.next_points_through IS NULL THEN milestone.place
                WHEN filled.step >= 0 AND milestone.place = filled.last_place
                    THEN milestone.place + 1
                WHEN filled.step < 0 AND slot.used = 0 AND milestone.points_through = 0
                    THEN milestone.place + 1
                ELSE milestone.place
            END AS BIGINT
        ) AS last_place,
        CAST(
            CASE
                WHEN milestone.next_points_through IS NULL THEN milestone.points_through
                WHEN filled.step >= 0 AND milestone.place = filled.last_place
                    THEN milestone.next_points_through
                WHEN filled.step < 0 AND slot.used = 0 AND milestone.points_through = 0
                    THEN milestone.next_points_through
                ELSE milestone.points_through
            END AS DOUBLE
        ) AS points_through
    FROM filled
    INNER JOIN slot ON slot.project_id = filled.project_id AND slot.step = filled.step + 1
    INNER JOIN milestone ON milestone.project_id = filled.project_id
    WHERE
        filled.last_place < milestone.stories
        AND milestone.place >= filled.last_place
        AND (
            (
                milestone.points_through
                <= filled.points_through + filled.velocity * slot.share - slot.used + 0.000001
                AND (
                    milestone.next_points_through IS NULL
                    OR milestone.next_points_through
                    > filled.points_through + filled.velocity * slot.share - slot.used + 0.000001
                )
            )
            OR (
                milestone.place = filled.last_place
                AND filled.velocity * slot.share - slot.used + 0.000001 < 0
            )
        )
),

placed AS (
    SELECT queued.story_id, filled.project_id, filled.scenario, filled.step
    FROM queued
    INNER JOIN filled
        ON filled.project_id = queued.project_id
        AND queued.place >= filled.first_place
        AND queued.place <= filled.last_place
        AND filled.step >= 0
    UNION ALL
    SELECT backlog.story_id, pace.project_id, pace.scenario, 0 AS step
    FROM backlog
    INNER JOIN pace ON pace.project_id = backlog.project_id
    WHERE backlog.is_in_progress
),

planned AS (
    SELECT
        placed.story_id,
        min(CASE WHEN placed.scenario = 'expected' THEN slot.iteration_number END)
            AS iteration_number,
        min(CASE WHEN placed.scenario = 'expected' THEN slot.weeks END) AS expected_weeks,
        min(CASE WHEN placed.scenario = 'earliest' THEN slot.weeks END) AS earliest_weeks,
        min(CASE WHEN placed.scenario = 'latest' THEN slot.weeks END) AS latest_weeks,
        min(slot.begin_date) AS begin_date
    FROM placed
    INNER JOIN slot ON slot.project_id = placed.project_id AND slot.step = placed.step
    GROUP BY placed.story_id
),

reason AS (
    SELECT
        backlog.story_id,
        CASE
            WHEN planned.iteration_number IS NOT NULL AND planned.begin_date IS NULL
                THEN 'no iteration dates'
            WHEN planned.iteration_number IS NOT NULL THEN NULL
            WHEN velocity.velocity IS NULL THEN coalesce(velocity.velocity_reason, 'no project')
            WHEN coalesce(velocity.iteration_length, 0) = 0 THEN 'no iteration length'
            ELSE 'beyond 400 iterations'
        END AS forecast_reason,
        CASE
            WHEN velocity.volatility IS NULL THEN velocity.volatility_reason
            WHEN velocity.volatility >= 1 AND planned.latest_weeks IS NULL
                THEN 'volatility of 1 or more'
            WHEN planned.earliest_weeks IS NULL OR planned.latest_weeks IS NULL
                THEN 'beyond 400 iterations'
        END AS range_reason
    FROM backlog
    LEFT JOIN planned ON planned.story_id = backlog.story_id
    LEFT JOIN velocity ON velocity.project_id = backlog.project_id
)

SELECT
    backlog.project_id,
    project.name AS project_name,
    backlog.story_id,
    story.name,
    story.story_type,
    story.estimate,
    backlog.position,
    backlog.points_ahead,
    planned.iteration_number,
    CAST(planned.begin_date + INTERVAL '1' DAY * CAST(planned.expected_weeks * 7 - 1 AS BIGINT) AS DATE)
        AS expected_by,
    CAST(planned.begin_date + INTERVAL '1' DAY * CAST(planned.earliest_weeks * 7 - 1 AS BIGINT) AS DATE)
        AS earliest_by,
    CAST(planned.begin_date + INTERVAL '1' DAY * CAST(planned.latest_weeks * 7 - 1 AS BIGINT) AS DATE)
        AS latest_by,
    backlog.points,
    reason.forecast_reason,
    coalesce(reason.forecast_reason, reason.range_reason) AS range_reason,
    velocity.assumptions,
    velocity.as_of
FROM backlog
INNER JOIN stories AS story ON story.id = backlog.story_id
INNER JOIN reason ON reason.story_id = backlog.story_id
LEFT JOIN projects AS project ON project.id = backlog.project_id
LEFT JOIN planned ON planned.story_id = backlog.story_id
LEFT JOIN velocity ON velocity.project_id = backlog.project_id
