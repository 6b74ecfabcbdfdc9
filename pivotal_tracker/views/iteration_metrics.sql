-- One row per iteration: what was planned and accepted in it, and how fast the team was then.
--
-- iteration_state: done, current or planned, by the server's current_iteration_number. Without it,
--   by the calendar at as_of (see project_as_of). An iteration with open stories is not done then:
--   Tracker moves unfinished stories on, so they tell what was planned when an archive was made. In
--   an archive the iteration of the last event is done, unless it has open stories.
-- points, points_accepted: as the server gave them, otherwise added up from the stories; only types
--   that are estimated in the project (see story_measures); a story without an estimate counts as 0.
-- stories, stories_open: all stories in it, and those that are not accepted.
-- stories_accepted: features, bugs and chores. Releases are milestones and counted separately.
-- velocity: the velocity with which the iteration was planned, by Tracker's rule: over the last
--   `velocity_averaged_over` done iterations before it, leaving out those with team strength 0, the
--   sum of points / team_strength, divided by the sum of weeks, times the project's iteration
--   length, rounded down. `initial_velocity` if there are no such iterations, or if as many as
--   are averaged had no points.
-- volatility: the standard deviation (of the population) of the weekly points at full team strength
--   over the same iterations, divided by their mean. It is not known whether Tracker used the
--   standard deviation of the sample.
-- rejection_rate: accepted stories with at least one rejection / accepted stories. This definition
--   is ours; Tracker's is not known.
-- median_…, p85_…: of the accepted features, bugs and chores, interpolated between neighbours.
-- …_reason: why the metric is null. assumptions: what was assumed for the velocity because the data
--   does not say it, such as a team strength of 1; null if nothing.
--
-- A project that a file knew by name only is left out once the same project was found with an id.
--
-- Key: project_id, iteration_number.
-- Needs: projects, iterations, iterations__story_ids, story_measures, project_as_of.
WITH accepted_story AS (
    SELECT
        item.project_id,
        item.iteration_number,
        story.story_type,
        coalesce(story.points, 0) AS points,
        story.cycle_time_hours,
        story.lead_time_hours,
        story.rejection_count
    FROM iterations__story_ids AS item
    INNER JOIN story_measures AS story
        ON story.story_id = item.value AND story.project_id = item.project_id
    WHERE story.current_state = 'accepted'
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
    FROM accepted_story
    GROUP BY project_id, iteration_number
),

duration AS (
    SELECT project_id, iteration_number, 'cycle time' AS measure, cycle_time_hours AS hours
    FROM accepted_story
    WHERE story_type <> 'release' AND cycle_time_hours IS NOT NULL
    UNION ALL
    SELECT project_id, iteration_number, 'lead time' AS measure, lead_time_hours AS hours
    FROM accepted_story
    WHERE story_type <> 'release' AND lead_time_hours IS NOT NULL
),

ranked AS (
    SELECT
        project_id,
        iteration_number,
        measure,
        hours,
        row_number() OVER (PARTITION BY project_id, iteration_number, measure ORDER BY hours) - 1
            AS place,
        count(*) OVER (PARTITION BY project_id, iteration_number, measure) - 1 AS last_place
    FROM duration
),

-- a quantile is between two values; the nearer value has the larger weight
quantile AS (
    SELECT
        project_id,
        iteration_number,
        measure,
        sum(hours * greatest(0, 1 - abs(place - 0.5 * last_place))) AS median,
        sum(hours * greatest(0, 1 - abs(place - 0.85 * last_place))) AS p85
    FROM ranked
    GROUP BY project_id, iteration_number, measure
)

SELECT
    iteration.project_id,
    project.name AS project_name,
    iteration.number AS iteration_number,
    iteration.start,
    iteration.finish,
    iteration.state AS iteration_state,
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
    velocity.velocity,
    velocity.volatility,
    velocity.iterations_averaged,
    CASE
        WHEN accepted.rejections_known = accepted.stories
            THEN CAST(accepted.rejected AS DOUBLE) / nullif(accepted.stories, 0)
    END AS rejection_rate,
    CASE
        WHEN coalesce(accepted.rejections_known = accepted.stories, TRUE)
            THEN coalesce(accepted.rejected, 0)
    END AS rejected_stories,
    cycle_time.median AS median_cycle_time_hours,
    cycle_time.p85 AS p85_cycle_time_hours,
    iteration.stories,
    iteration.stories_open,
    lead_time.median AS median_lead_time_hours,
    lead_time.p85 AS p85_lead_time_hours,
    velocity.velocity_reason,
    velocity.volatility_reason,
    CASE
        WHEN coalesce(accepted.stories, 0) = 0 THEN 'no accepted story'
        WHEN accepted.rejections_known < accepted.stories THEN 'no transitions'
    END AS rejection_rate_reason,
    CASE
        WHEN cycle_time.median IS NOT NULL THEN NULL
        WHEN coalesce(accepted.stories, 0) = 0 THEN 'no accepted story'
        WHEN accepted.rejections_known = 0 THEN 'no transitions'
        ELSE 'never started'
    END AS cycle_time_reason,
    CASE
        WHEN lead_time.median IS NOT NULL THEN NULL
        WHEN coalesce(accepted.stories, 0) = 0 THEN 'no accepted story'
        ELSE 'no dates'
    END AS lead_time_reason,
    iteration.assumptions,
    iteration.as_of
FROM _pivotal_tracker_iterations AS iteration
INNER JOIN _pivotal_tracker_velocity AS velocity
    ON velocity.project_id = iteration.project_id AND velocity.number = iteration.number
LEFT JOIN projects AS project ON project.id = iteration.project_id
LEFT JOIN accepted
    ON accepted.project_id = iteration.project_id AND accepted.iteration_number = iteration.number
LEFT JOIN quantile AS cycle_time
    ON cycle_time.project_id = iteration.project_id
    AND cycle_time.iteration_number = iteration.number
    AND cycle_time.measure = 'cycle time'
LEFT JOIN quantile AS lead_time
    ON lead_time.project_id = iteration.project_id
    AND lead_time.iteration_number = iteration.number
    AND lead_time.measure = 'lead time'
WHERE iteration.is_loaded
