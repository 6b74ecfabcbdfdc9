"""What the pages ask, in DuckDB's SQL: one function a question, giving a query and running none.

Values are put in as literals of the syntax tree, never as text, so that each destination's dialect
writes them its own way. Columns of views are named one by one and with their view: dlt's schema
does not know views.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import Any, cast
from unicodedata import normalize

from sqlglot import exp, parse_one

STATES = (
    "accepted",
    "delivered",
    "finished",
    "started",
    "rejected",
    "planned",
    "unstarted",
    "unscheduled",
)
STORY_TYPES = ("feature", "bug", "chore", "release")
DATES = ("updated", "created", "accepted")
"""Which of a story's dates a span may be of."""

MIDNIGHTS_LATER = timedelta(hours=13)
"""So long after its midnight each place from New Zealand (11:00 UTC the day before, in summer) to
Hawaii (10:00 UTC) has the day that it is in UTC."""

PAGE = 25
"""Stories on one page of a list."""

MOST_WORDS = 8
"""So many words of what is searched for are looked at."""


@dataclass(frozen=True)
class Scope:
    """For which projects, all if none is named, and for which days, both ends included."""

    projects: tuple[int, ...] = ()
    since: date | None = None
    until: date | None = None


@dataclass(frozen=True)
class StoryFilter:
    """Which stories to list; what is empty leaves out none.

    Attributes:
        words: Each must be in one of the story's texts, whatever its case.
        scope: Projects, and the days within which `date` lies.
        labels: Names, one of which it must have.
        owners: Ids of people, one of whom must own it.
        date: One of `DATES`.
        literal: Those of the words that must be there as they stand, where an index would also
            find other forms of them.
    """

    words: tuple[str, ...] = ()
    scope: Scope = Scope()
    labels: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    owners: tuple[int, ...] = ()
    date: str = "updated"
    literal: tuple[str, ...] = ()


def _query(sql: str, **values: Any) -> exp.Select:
    """A query with its `:name`s filled in."""
    return cast(exp.Select, exp.replace_placeholders(parse_one(sql, dialect="duckdb"), **values))


def _condition(sql: str, **values: Any) -> exp.Expression:
    """A condition with its `:name`s filled in."""
    return cast(
        exp.Expression, exp.replace_placeholders(parse_one(sql, dialect="duckdb"), **values)
    )


def _within(
    query: exp.Select, scope: Scope, alias: str, start: str = "", end: str = ""
) -> exp.Select:
    """The query for the projects of a scope and, where a column is named, for its days."""
    if scope.projects:
        query = query.where(exp.column("project_id", alias).isin(*scope.projects))
    if start and scope.until:
        query = query.where(_before(exp.column(start, alias), scope.until + timedelta(days=1)))
    if start and scope.since:
        query = query.where(exp.not_(_before(exp.column(end or start, alias), scope.since)))
    return query


def _before(column: exp.Column, day: date) -> exp.Expression:
    return exp.LT(this=column, expression=exp.cast(exp.Literal.string(day.isoformat()), "date"))


# whole workspace


def projects() -> exp.Select:
    """Every project, the one with the latest work first."""
    return _query(
        """
        SELECT p.id, p.name, s.stories, s.first_created, s.last_updated
        FROM projects AS p
        LEFT JOIN (
            SELECT project_id, count(*) AS stories, min(created_at) AS first_created,
                max(coalesce(updated_at, created_at)) AS last_updated
            FROM stories GROUP BY project_id
        ) AS s ON s.project_id = p.id
        WHERE p.same_as_id IS NULL OR s.stories > 0
        ORDER BY s.last_updated DESC NULLS LAST, p.id
        """
    )


def labels() -> exp.Select:
    """Every label's name that a story has."""
    return _query("SELECT DISTINCT name FROM stories__labels WHERE name IS NOT NULL ORDER BY name")


def owners() -> exp.Select:
    """Everyone who owns a story."""
    return _query(
        """
        SELECT coalesce(p.same_as_id, o.person_id) AS person_id, max(p.name) AS name
        FROM (SELECT DISTINCT value AS person_id FROM stories__owner_ids) AS o
        LEFT JOIN people AS p ON p.id = o.person_id
        GROUP BY coalesce(p.same_as_id, o.person_id) ORDER BY name, person_id
        """
    )


# Overview


def iterations(scope: Scope) -> exp.Select:
    """The iterations that are done or going on, with their figures."""
    query = _query(
        """
        SELECT i.project_id, i.project_name, i.iteration_number, i.start, i.finish,
            i.iteration_state, i.points_accepted, i.stories_accepted, i.velocity, i.volatility,
            i.rejection_rate, i.rejected_stories, i.median_cycle_time_hours, i.p85_cycle_time_hours,
            i.feature_points_accepted, i.bug_points_accepted, i.chore_points_accepted,
            i.features_accepted, i.bugs_accepted, i.chores_accepted, i.releases_accepted
        FROM iteration_metrics AS i
        WHERE i.iteration_state <> 'planned'
        ORDER BY i.start, i.project_id
        """
    )
    query = _within(query, scope, "i")
    if scope.until:
        begins = exp.LT(this=exp.column("start", "i"), expression=_end_of(scope.until))
        query = query.where(begins)
    if scope.since:
        # it ends with the midnight after its last day
        ends = exp.GTE(this=exp.column("finish", "i"), expression=_end_of(scope.since))
        query = query.where(ends)
    return query


def _end_of(day: date) -> exp.Expression:
    """The first midnight with which a day ends anywhere: see `MIDNIGHTS_LATER`."""
    end = datetime.combine(day + timedelta(days=1), time(), UTC) - MIDNIGHTS_LATER
    return exp.cast(exp.Literal.string(end.isoformat(" ")), "timestamptz")


def accepted(scope: Scope) -> exp.Select:
    """How many stories were accepted, and their points."""
    query = _query(
        """
        SELECT count(*) AS stories, coalesce(sum(s.points), 0) AS points
        FROM story_overview AS s
        WHERE s.current_state = 'accepted' AND s.story_type <> 'release'
        """
    )
    return _within(query, scope, "s", "accepted_at")


def velocities(scope: Scope) -> exp.Select:
    """Each project's velocity as Tracker would show it, and what the server said."""
    query = _query(
        """
        SELECT v.project_id, v.project_name, v.velocity, v.current_velocity, v.volatility,
            v.current_volatility
        FROM project_velocity AS v ORDER BY v.project_name, v.project_id
        """
    )
    return _within(query, scope, "v")


# Flow


def daily_states(scope: Scope) -> exp.Select:
    """Each project's stories and points by day and state."""
    query = _query(
        """
        SELECT d.project_id, d.date, d.state, CAST(d.stories AS DOUBLE) AS stories, d.points
        FROM daily_states AS d ORDER BY d.date, d.project_id
        """
    )
    return _within(query, scope, "d", "date")


def forecast(scope: Scope) -> exp.Select:
    """The backlog in order, with when each story is expected."""
    query = _query(
        """
        SELECT f.project_id, f.project_name, f.position, f.story_id, f.name, f.points,
            f.earliest_by, f.expected_by, f.latest_by
        FROM forecast AS f ORDER BY f.expected_by, f.project_id, f.position
        """
    )
    return _within(query, scope, "f")


def open_stories(scope: Scope) -> exp.Select:
    """Open stories by their age in weeks and state."""
    query = _query(
        """
        SELECT a.current_state, CAST(floor(a.age_days / 7) AS BIGINT) AS weeks, count(*) AS stories
        FROM open_story_age AS a
        GROUP BY a.current_state, CAST(floor(a.age_days / 7) AS BIGINT) ORDER BY weeks
        """
    )
    return _within(query, scope, "a")


def oldest_stories(scope: Scope, most: int) -> exp.Select:
    """The open stories that have been open longest."""
    query = _query(
        """
        SELECT a.story_id, a.name, a.project_name, a.story_type, a.current_state, a.age_days,
            a.days_in_state
        FROM open_story_age AS a ORDER BY a.age_days DESC, a.story_id
        """
    )
    return _within(query, scope, "a").limit(most)


# Epics and releases


def epics(scope: Scope) -> exp.Select:
    """Each epic's progress."""
    query = _query(
        """
        SELECT e.epic_id, e.name, e.project_name, e.stories, e.stories_accepted, e.points,
            e.points_accepted, e.unestimated_stories, e.share_of_stories_accepted,
            e.share_of_points_accepted, e.first_started_at, e.last_accepted_at, e.completed_at,
            e.projected_completion
        FROM epic_progress AS e ORDER BY e.project_name, e.name, e.epic_id
        """
    )
    return _within(query, scope, "e")


def releases(scope: Scope) -> exp.Select:
    """Each release's progress."""
    query = _query(
        """
        SELECT r.release_id, r.name, r.project_name, r.current_state, r.deadline, r.stories,
            r.stories_accepted, r.points, r.points_accepted, r.share_of_stories_accepted,
            r.share_of_points_accepted, r.accepted_at, r.projected_completion, r.days_late
        FROM release_progress AS r
        ORDER BY r.project_name, r.accepted_at NULLS FIRST, r.deadline, r.release_id
        """
    )
    return _within(query, scope, "r")


# Stories

_TEXTS = """
    SELECT id AS story_id, 'name' AS place, 3 AS weight, name AS text FROM stories
    UNION ALL SELECT id, 'description', 2, description FROM stories
    UNION ALL SELECT story_id, 'comment', 1, text FROM stories__comments
    UNION ALL SELECT story_id, 'task', 1, description FROM stories__tasks
"""
"""Every text of every story, and what it weighs when a word is found in it."""


def words_of(typed: str) -> tuple[str, ...]:
    """The words of what was typed, lower-cased; "several in quotation marks" stay together."""
    return tuple(_words(typed))


def literal_of(typed: str) -> tuple[str, ...]:
    """Those of the words that no stem stands for: in quotation marks, or more than one word."""
    return tuple(
        word
        for word, quoted in _words(typed).items()
        if quoted or not normalize("NFC", word).isalnum()
    )


def _words(typed: str) -> dict[str, bool]:
    """The words, and whether each stands in quotation marks."""
    words: dict[str, bool] = {}
    for quoted, bare in re.findall(r'"([^"]+)"|(\S+)', typed.lower().replace("\0", " ")):
        if word := (quoted or bare).strip('"'):
            words[word] = words.get(word, False) or bool(quoted)
    return dict(islice(words.items(), MOST_WORDS))


def story_number(words: Sequence[str]) -> int | None:
    """The id that was searched for, if it was one and nothing else."""
    number = re.fullmatch(r"#?(\d{1,18})", words[0]) if len(words) == 1 else None
    return int(number[1]) if number else None


def _contains(word: str) -> exp.Expression:
    return _condition("strpos(lower(t.text), :word) > 0", word=word)


def _texts() -> exp.Subquery:
    return _query(_TEXTS).subquery("t")


def _matches(words: Sequence[str]) -> exp.Query:
    """The stories in whose texts every word is, with the sum of the weights of where it is.

    A number finds the story of that id too.
    """
    found = [exp.Max(this=exp.Case().when(_contains(word), "t.weight")) for word in words]
    query = exp.select("t.story_id", exp.alias_(_sum(found), "score")).from_(_texts())
    query = query.where(exp.or_(*map(_contains, words))).group_by("t.story_id")
    query = query.having(*(each.copy().is_(exp.null()).not_() for each in found))
    if (number := story_number(words)) is not None:
        by_id = _query("SELECT id, 100 FROM stories WHERE id = :id", id=number)
        both = exp.union(query, by_id, distinct=False).subquery("b")
        return exp.select("b.story_id", "max(b.score) AS score").from_(both).group_by("b.story_id")
    return query


def _sum(terms: Iterable[exp.Expression]) -> exp.Expression:
    first, *rest = terms
    total: exp.Expression = first.copy()
    for term in rest:
        total = exp.Add(this=total, expression=term.copy())
    return total


def story_list(wanted: StoryFilter, page: int = 1) -> exp.Select:
    """One page of the stories that are wanted, best match first, then the latest changed.

    `found` is how many there are on all pages.
    """
    query = _listed(wanted).select("count(*) OVER () AS found")
    order = ["s.updated_at DESC NULLS LAST", "s.id DESC"]
    query = query.order_by(*(["m.score DESC"] if wanted.words else []), *order)
    return query.limit(PAGE).offset(PAGE * (page - 1))


def story_ids(wanted: StoryFilter) -> exp.Select:
    """All of the stories that are wanted: `id`, `updated_at`."""
    return _filtered(wanted).select("s.id", "s.updated_at")


def stories(story_ids: Sequence[int]) -> exp.Select:
    """Stories as a list shows them, in no order."""
    return _listed(StoryFilter()).where(exp.column("id", "s").isin(*story_ids))


def _listed(wanted: StoryFilter) -> exp.Select:
    return _filtered(wanted).select(
        "s.id",
        "s.project_id",
        "s.name",
        "s.story_type",
        "s.current_state",
        "s.estimate",
        "s.created_at",
        "s.updated_at",
        "s.accepted_at",
        "p.name AS project_name",
    )


def _filtered(wanted: StoryFilter) -> exp.Select:
    """From stories `s`, projects `p` and what was searched for `m`, nothing selected yet."""
    query = exp.Select().from_("stories AS s")
    query = query.join("projects AS p", on="p.id = s.project_id", join_type="left")
    if wanted.words:
        query = query.join(_matches(wanted.words).subquery("m"), on="m.story_id = s.id")
    query = _within(query, wanted.scope, "s", f"{wanted.date}_at")
    for column, values in (("current_state", wanted.states), ("story_type", wanted.types)):
        if values:
            query = query.where(exp.column(column, "s").isin(*values))
    if wanted.labels:
        labelled = exp.select("l.story_id").from_("stories__labels AS l")
        labelled = labelled.where(exp.column("name", "l").isin(*wanted.labels))
        query = query.where(exp.column("id", "s").isin(query=labelled))
    if wanted.owners:
        owned = _query(
            """
            SELECT o.story_id FROM stories__owner_ids AS o
            LEFT JOIN people AS q ON q.id = o.value
            """
        )
        owned = owned.where(_condition("coalesce(q.same_as_id, o.value)").isin(*wanted.owners))
        query = query.where(exp.column("id", "s").isin(query=owned))
    return query


def owner_names(story_ids: Sequence[int]) -> exp.Select:
    """Who owns stories, in order: `story_id`, `name`."""
    query = _query(
        """
        SELECT o.story_id, coalesce(p.name, CAST(o.value AS VARCHAR)) AS name
        FROM stories__owner_ids AS o LEFT JOIN people AS p ON p.id = o.value
        ORDER BY o.story_id, o._dlt_list_idx
        """
    )
    return query.where(exp.column("story_id", "o").isin(*story_ids))


def label_names(story_ids: Sequence[int]) -> exp.Select:
    """The labels of stories: `story_id`, `name`."""
    query = _query(
        """
        SELECT l.story_id, l.name FROM stories__labels AS l
        WHERE l.name IS NOT NULL ORDER BY l.story_id, l.name
        """
    )
    return query.where(exp.column("story_id", "l").isin(*story_ids))


def weighted_texts() -> exp.Select:
    """Every text of every story: `story_id`, `weight`, `text`."""
    query = exp.select("t.story_id", "t.weight", "t.text").from_(_texts())
    return query.where("t.text IS NOT NULL")


def texts(story_ids: Sequence[int]) -> exp.Select:
    """The texts of stories: `story_id`, `place`, `text`; what weighs most first."""
    query = exp.select("t.story_id", "t.place", "t.text").from_(_texts())
    query = query.where(exp.column("story_id", "t").isin(*story_ids))
    return query.where("t.text IS NOT NULL").order_by("t.weight DESC")


# one story


def story(story_id: int) -> exp.Select:
    """The story itself."""
    return _query(
        """
        SELECT s.id, s.name, s.description, s.story_type, s.current_state, s.story_priority,
            s.estimate, s.url, s.created_at, s.updated_at, s.accepted_at, s.deadline,
            p.name AS project_name, r.name AS requested_by
        FROM stories AS s
        LEFT JOIN projects AS p ON p.id = s.project_id
        LEFT JOIN people AS r ON r.id = s.requested_by_id
        WHERE s.id = :id
        """,
        id=story_id,
    )


def comments(story_id: int) -> exp.Select:
    """Its comments, oldest first."""
    return _query(
        """
        SELECT c.id, c.text, c.created_at, coalesce(p.name, c.external_author) AS author,
            c.commit_identifier
        FROM stories__comments AS c LEFT JOIN people AS p ON p.id = c.person_id
        WHERE c.story_id = :id ORDER BY c.created_at NULLS FIRST, c._dlt_list_idx
        """,
        id=story_id,
    )


def tasks(story_id: int) -> exp.Select:
    """Its tasks, in order."""
    return _query(
        """
        SELECT t.description, t.complete FROM stories__tasks AS t
        WHERE t.story_id = :id ORDER BY t.position NULLS LAST, t._dlt_list_idx
        """,
        id=story_id,
    )


def blockers(story_id: int) -> exp.Select:
    """What blocks or blocked it."""
    return _query(
        """
        SELECT b.description, b.resolved, b.created_at, p.name AS person
        FROM stories__blockers AS b LEFT JOIN people AS p ON p.id = b.person_id
        WHERE b.story_id = :id ORDER BY b.created_at NULLS FIRST, b._dlt_list_idx
        """,
        id=story_id,
    )


def reviews(story_id: int) -> exp.Select:
    """Its reviews."""
    return _query(
        """
        SELECT r.review_type__name AS review_type, r.status, r.updated_at, p.name AS reviewer
        FROM stories__reviews AS r LEFT JOIN people AS p ON p.id = r.reviewer_id
        WHERE r.story_id = :id ORDER BY r.created_at NULLS FIRST, r._dlt_list_idx
        """,
        id=story_id,
    )


def code(story_id: int) -> exp.Select:
    """Its pull requests and branches: `what`, `place`, `status`, `url`."""
    return _query(
        """
        SELECT 'pull request' AS what, q.owner || '/' || q.repo || ' #' || CAST(q.number AS VARCHAR)
            AS place, q.status, q.original_url AS url
        FROM stories__pull_requests AS q WHERE q.story_id = :id
        UNION ALL
        SELECT 'branch', b.owner || '/' || b.repo || ' ' || b.name, NULL, b.original_url
        FROM stories__branches AS b WHERE b.story_id = :id
        """,
        id=story_id,
    )


def history(story_id: int) -> exp.Select:
    """What happened to it, oldest first: changes of state, and what the activity still tells."""
    return _query(
        """
        SELECT h.occurred_at, h.who, h.what FROM (
            SELECT a.occurred_at, a.performed_by__name AS who, a.message AS what
            FROM activity AS a JOIN activity__primary_resources AS r ON r.activity_guid = a.guid
            WHERE r.id = :id AND r.kind = 'story'
            UNION ALL
            SELECT t.occurred_at, p.name, t.state
            FROM stories__transitions AS t LEFT JOIN people AS p ON p.id = t.performed_by_id
            WHERE t.story_id = :id AND NOT EXISTS (
                SELECT 1 FROM activity AS a
                JOIN activity__primary_resources AS r ON r.activity_guid = a.guid
                WHERE r.id = :id AND r.kind = 'story' AND a.project_version = t.project_version
                    AND a.project_id = t.project_id
            )
        ) AS h ORDER BY h.occurred_at NULLS FIRST, h.what
        """,
        id=story_id,
    )


def attachments(story_id: int) -> exp.Select:
    """What is attached to its comments, files and Google's documents alike."""
    return _query(
        """
        SELECT f.id, f.comment_id, f.filename, f.content_type, f.size, NULL AS link
        FROM stories__comments__file_attachments AS f WHERE f.story_id = :id
        UNION ALL
        SELECT g.id, g.comment_id, g.title, g.google_kind, NULL, g.alternate_link
        FROM stories__comments__google_attachments AS g WHERE g.story_id = :id
        """,
        id=story_id,
    )


def attachment_files(story_id: int) -> exp.Select:
    """Where its downloaded files lie, or why they do not."""
    return _query(
        """
        SELECT a.id, a.comment_id, a.filename, a.content_type, a.path, a.size, a.sha256, a.problem
        FROM attachment_files AS a WHERE a.story_id = :id ORDER BY a.id
        """,
        id=story_id,
    )


# Inspect


def row_counts(tables: Sequence[str]) -> exp.Query:
    """How many rows each table has: `table_name`, `rows`."""
    first, *rest = (
        exp.select(
            exp.alias_(exp.Literal.string(table), "table_name"), exp.alias_("count(*)", "rows")
        ).from_(exp.to_table(table))
        for table in tables
    )
    query: exp.Query = first
    for other in rest:
        query = exp.union(query, other, distinct=False)
    return query


def whole_table(table: str, columns: Sequence[str], most: int) -> exp.Select:
    """Some rows of a table."""
    return (
        exp.select(*(exp.column(name) for name in columns)).from_(exp.to_table(table)).limit(most)
    )


def rows_by_load(tables: Sequence[str]) -> exp.Query:
    """How many rows of each table were written by which load: `load_id`, `table_name`, `rows`.

    Only rows that are there now: what a later load wrote again counts for that one.
    """
    first, *rest = (
        _query(
            f"SELECT _dlt_load_id AS load_id, :name AS table_name, count(*) AS rows "  # noqa: S608 - a name from dlt's schema
            f'FROM "{table}" GROUP BY _dlt_load_id',
            name=table,
        )
        for table in tables
    )
    query: exp.Query = first
    for other in rest:
        query = exp.union(query, other, distinct=False)
    return query


def loads() -> exp.Select:
    """Every load that dlt completed, the latest first."""
    return _query(
        """
        SELECT l.load_id, l.inserted_at, l.status, l.schema_name, l.schema_version_hash
        FROM _dlt_loads AS l ORDER BY l.inserted_at DESC
        """
    )


def schema_versions() -> exp.Select:
    """Every version of the schema, the latest first, with the whole schema as JSON."""
    return _query(
        """
        SELECT v.version, v.inserted_at, v.schema_name, v.version_hash, v.engine_version,
            v.schema AS schema_json
        FROM _dlt_version AS v ORDER BY v.inserted_at DESC
        """
    )


def load_report() -> exp.Select:
    """What became of the rows of archives' files."""
    return _query(
        """
        SELECT r.source, r.format, r.kind, r.rows_read, r.rows_loaded, r.rows_left_out
        FROM load_report AS r ORDER BY r.source, r.kind
        """
    )


def left_out() -> exp.Select:
    """Why rows of archives' files were left out."""
    return _query(
        """
        SELECT o.source, o.kind, o.reason, o.rows, o."where"
        FROM load_report__left_out AS o ORDER BY o.source, o.kind, o.reason
        """
    )
