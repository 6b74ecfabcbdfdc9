-- One row an iteration: what was planned and accepted in it, and how fast the team was then.
--
-- iteration_state: against the project's current iteration where the server told its number. Else
--   by the calendar, but an iteration that still holds open stories is not done: in Tracker
--   unfinished stories move on, so it is what an archive tells of a plan.
-- points, points_accepted: as the server gave them, else counted from the stories: only the types
--   that are estimated in the project (see story_measures), a story without an estimate as 0.
-- stories_accepted: features, bugs and chores; releases are milestones and counted apart.
-- velocity: that which the iteration was planned with, by Tracker's rule. Over the last
--   `velocity_averaged_over` iterations done before it, without those of strength 0: the sum of
--   points / team_strength, divided by the sum of the weeks, times the usual length, rounded down.
--   `initial_velocity` while there are none, and when as many as that in a row brought no points.
-- volatility: standard deviation (of the population) of the points a week at full strength over
--   the same iterations, relative to their mean; null for fewer than two, or a mean of 0. Whether
--   Tracker took the sample's is not known.
-- rejection_rate: accepted stories that were rejected at least once / accepted stories. The
--   definition is ours: none of Tracker's is known. Null where one's rejections are not known.
-- median and p85 cycle time: of the accepted features, bugs and chores that have one, interpolated
--   between neighbours.
--
-- A project that files knew by name only has none once it was met with its id: its stories are there.
--
-- Needs: projects, iterations, iterations__story_ids, story_measures. Without team strength or the
-- project's settings (a CSV archive): no velocity and volatility.
WITH held AS (
    SELECT
        item.project_id,
        item.iteration_number,
        story.story_type,
        story.current_state,
        coalesce(story.points, 0) AS points,
        story.cycle_time_hours,
        story.rejection_count
    FROM iterations__story_ids AS item
    INNER JOIN story_measures AS story
        ON story.story_id = item.value AND story.project_id = item.project_id
),

counted AS (
    SELECT
        project_id,
        iteration_number,
        sum(points) AS points,
        count(CASE WHEN current_state <> 'accepted' THEN 1 END) AS stories_open
    FROM held
    GROUP BY project_id, iteration_number
),

accepted AS (
    SELECT
        project_id,
        iteration_number,
        sum(points) AS points,
        count(CASE WHEN story_type <> 'release' THEN 1 END) AS stories,
        count(CASE WHEN story_type = 'feature' THEN 1 END) AS features,
        count(CASE WHEN story_type = 'bug' THEN 1 END) AS bugs,
        count(CASE WHEN story_type = 'chore' THEN 1 END) AS chores,
        count(CASE WHEN story_type = 'release' THEN 1 END) AS releases,
        sum(CASE WHEN story_type = 'feature' THEN points ELSE 0 END) AS feature_points,
        sum(CASE WHEN story_type = 'bug' THEN points ELSE 0 END) AS bug_points,
        sum(CASE WHEN story_type = 'chore' THEN points ELSE 0 END) AS chore_points,
        count(CASE WHEN story_type <> 'release' THEN rejection_count END) AS rejections_known,
        count(CASE WHEN story_type <> 'release' AND rejection_count > 0 THEN 1 END) AS rejected
    FROM held
    WHERE current_state = 'accepted'
    GROUP BY project_id, iteration_number
),

ranked AS (
    SELECT
        project_id,
        iteration_number,
        cycle_time_hours,
        row_number() OVER (
            PARTITION BY project_id, iteration_number ORDER BY cycle_time_hours
        ) - 1 AS place,
        count(*) OVER (PARTITION BY project_id, iteration_number) - 1 AS last_place
    FROM held
    WHERE current_state = 'accepted' AND story_type <> 'release' AND cycle_time_hours IS NOT NULL
),

-- each value weighs by how near it is to the place of the quantile
cycle_time AS (
    SELECT
        project_id,
        iteration_number,
        sum(cycle_time_hours * greatest(0, 1 - abs(place - 0.5 * last_place))) AS median,
        sum(cycle_time_hours * greatest(0, 1 - abs(place - 0.85 * last_place))) AS p85
    FROM ranked
    GROUP BY project_id, iteration_number
),

iteration AS (
    SELECT
        one.project_id,
        one.number,
        one.start,
        one.finish,
        one.length,
        one.team_strength,
        project.name AS project_name,
        project.iteration_length,
        project.initial_velocity,
        project.velocity_averaged_over,
        coalesce(one.points, counted.points, 0) AS points,
        CASE
            WHEN one.number < project.current_iteration_number THEN 'done'
            WHEN one.number = project.current_iteration_number THEN 'current'
            WHEN one.number > project.current_iteration_number THEN 'planned'
            WHEN one.start <= current_timestamp AND one.finish > current_timestamp THEN 'current'
            WHEN one.finish <= current_timestamp AND coalesce(counted.stories_open, 0) = 0
                THEN 'done'
            ELSE 'planned'
        END AS iteration_state,
        one.accepted_points
    FROM iterations AS one
    LEFT JOIN projects AS project ON project.id = one.project_id
    LEFT JOIN counted
        ON counted.project_id = one.project_id AND counted.iteration_number = one.number
    WHERE project.same_as_id IS NULL
),

-- the iterations that can make a velocity, with their place in the project's order of them
done AS (
    SELECT
        project_id,
        number,
        length,
        points / team_strength AS full_strength_points,
        points / team_strength / length AS weekly_points,
        row_number() OVER (PARTITION BY project_id ORDER BY number) AS place
    FROM iteration
    WHERE iteration_state = 'done' AND coalesce(team_strength, 1) <> 0
),

before AS (
    SELECT
        iteration.project_id,
        iteration.number,
        iteration.velocity_averaged_over,
        max(done.place) AS last_place
    FROM iteration
    LEFT JOIN done ON done.project_id = iteration.project_id AND done.number < iteration.number
    GROUP BY iteration.project_id, iteration.number, iteration.velocity_averaged_over
),

averaged AS (
    SELECT
        before.project_id,
        before.number,
        count(done.number) AS iterations,
        count(done.full_strength_points) AS iterations_known,
        sum(done.full_strength_points) AS points,
        sum(done.length) AS weeks,
        avg(done.weekly_points) AS mean,
        stddev_pop(done.weekly_points) AS deviation
    FROM before
    LEFT JOIN done
        ON done.project_id = before.project_id
        AND done.place <= before.last_place
        AND done.place > before.last_place - before.velocity_averaged_over
    GROUP BY before.project_id, before.number
)

SELECT
    iteration.project_id,
    iteration.project_name,
    iteration.number AS iteration_number,
    iteration.start,
    iteration.finish,
    iteration.iteration_state,
    iteration.length AS length_weeks,
    iteration.team_strength,
    iteration.points,
    coalesce(iteration.accepted_points, accepted.points, 0) AS points_accepted,
    coalesce(accepted.stories, 0) AS stories_accepted,
    coalesce(accepted.features, 0) AS features_accepted,
    coalesce(accepted.bugs, 0) AS bugs_accepted,
    coalesce(accepted.chores, 0) AS chores_accepted,
    coalesce(accepted.releases, 0) AS releases_accepted,
    coalesce(accepted.feature_points, 0) AS feature_points_accepted,
    coalesce(accepted.bug_points, 0) AS bug_points_accepted,
    coalesce(accepted.chore_points, 0) AS chore_points_accepted,
    CASE
        WHEN iteration.velocity_averaged_over IS NULL THEN NULL
        WHEN averaged.iterations = 0 THEN iteration.initial_velocity
        WHEN averaged.iterations_known < averaged.iterations THEN NULL
        WHEN averaged.points = 0 AND averaged.iterations >= iteration.velocity_averaged_over
            THEN iteration.initial_velocity
        -- thirds and the like must not fall just short of the whole number that they make
        ELSE CAST(
            floor(averaged.points / averaged.weeks * iteration.iteration_length + 0.000001)
            AS BIGINT
        )
    END AS velocity,
    CASE
        WHEN averaged.iterations > 1 AND averaged.iterations_known = averaged.iterations
            THEN averaged.deviation / nullif(averaged.mean, 0)
    END AS volatility,
    CASE WHEN iteration.velocity_averaged_over IS NOT NULL THEN averaged.iterations END
        AS iterations_averaged,
    CASE
        WHEN accepted.rejections_known = accepted.stories
            THEN CAST(accepted.rejected AS DOUBLE) / nullif(accepted.stories, 0)
    END AS rejection_rate,
    CASE
        WHEN coalesce(accepted.rejections_known = accepted.stories, TRUE)
            THEN coalesce(accepted.rejected, 0)
    END AS rejected_stories,
    cycle_time.median AS median_cycle_time_hours,
    cycle_time.p85 AS p85_cycle_time_hours
FROM iteration
LEFT JOIN averaged
    ON averaged.project_id = iteration.project_id AND averaged.number = iteration.number
LEFT JOIN accepted
    ON accepted.project_id = iteration.project_id AND accepted.iteration_number = iteration.number
LEFT JOIN cycle_time
    ON cycle_time.project_id = iteration.project_id
    AND cycle_time.iteration_number = iteration.number
