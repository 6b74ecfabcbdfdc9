"""Queries of story lists: what a search matches, and what a list shows of each story."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from sqlglot import exp

from ..search_syntax import And, DateRange, Field, Node, Not, Or, Word
from .build import PEOPLE, as_sql, condition, select, with_ids

_TEXTS = f"""
    SELECT id AS story_id, 'name' AS place, 3 AS weight, name AS text FROM stories
    UNION ALL SELECT id, 'description', 2, description FROM stories
    UNION ALL SELECT story_id, 'label', 2, name FROM stories__labels
    UNION ALL SELECT story_id, 'comment', 1, text FROM stories__comments
    UNION ALL SELECT story_id, 'task', 1, description FROM stories__tasks
    UNION ALL SELECT c.story_id, 'comment by', 1, coalesce(p.name, c.external_author)
        FROM stories__comments AS c LEFT JOIN ({PEOPLE}) AS p ON p.id = c.person_id
    UNION ALL SELECT o.story_id, 'owner', 1, p.name
        FROM stories__owner_ids AS o JOIN ({PEOPLE}) AS p ON p.id = o.value
    UNION ALL SELECT s.id, 'requester', 1, p.name
        FROM stories AS s JOIN ({PEOPLE}) AS p ON p.id = s.requested_by_id
"""  # noqa: S608 - a constant
"""Every text in which a plain word is looked for, and how much a match in it counts."""

_PERSON_TABLES = {
    "owner": "SELECT x.story_id AS id, x.value AS person FROM stories__owner_ids AS x",
    "follower": "SELECT x.story_id AS id, x.value AS person FROM stories__follower_ids AS x",
    "requester": "SELECT x.id, x.requested_by_id AS person FROM stories AS x",
    "commenter": "SELECT x.story_id AS id, x.person_id AS person FROM stories__comments AS x",
    "reviewer": "SELECT x.story_id AS id, x.reviewer_id AS person FROM stories__reviews AS x",
}
_STORY_IDS_WITH = {
    "attachment": "SELECT f.story_id FROM stories__comments__file_attachments AS f UNION ALL "
    "SELECT g.story_id FROM stories__comments__google_attachments AS g",
    "blocker": "SELECT x.story_id FROM stories__blockers AS x",
    "branch": "SELECT x.story_id FROM stories__branches AS x",
    "comment": "SELECT x.story_id FROM stories__comments AS x",
    "epic": "SELECT l.story_id FROM stories__labels AS l JOIN epics AS e "
    "ON e.label__name = l.name AND e.project_id = l.project_id",
    "label": "SELECT x.story_id FROM stories__labels AS x",
    "owner": "SELECT x.story_id FROM stories__owner_ids AS x",
    "pr": "SELECT x.story_id FROM stories__pull_requests AS x",
    "rejection": "SELECT x.story_id FROM stories__transitions AS x WHERE x.state = 'rejected'",
    "review": "SELECT x.story_id FROM stories__reviews AS x",
    "task": "SELECT x.story_id FROM stories__tasks AS x",
}
_COLUMNS_WITH = {
    "deadline": "s.deadline IS NOT NULL",
    "description": "length(s.description) > 0",
    "estimate": "s.estimate IS NOT NULL",
}
_SORT_COLUMNS = {
    "updated": "s.updated_at",
    "created": "s.created_at",
    "accepted": "s.accepted_at",
    "name": "lower(s.name)",
    "points": "s.estimate",
    "id": "s.id",
}
SORTS = tuple(_SORT_COLUMNS)


def matches(node: Node) -> exp.Expression:
    """Return the condition under which a story `s` matches a search."""
    if isinstance(node, And):
        return _all_of(map(matches, node.terms))
    if isinstance(node, Or):
        return cast(exp.Expression, exp.or_(*map(matches, node.terms)))
    if isinstance(node, Not):
        return exp.not_(exp.func("coalesce", exp.paren(matches(node.term)), exp.false()))
    if isinstance(node, Word):
        return _id_in(
            f"SELECT t.story_id FROM ({_TEXTS}) AS t WHERE strpos(lower(t.text), :word) > 0",  # noqa: S608 - a constant
            word=node.text,
        )
    if isinstance(node, DateRange):
        return _within_days(node)
    return _field_matches(node)


def _all_of(conditions: Iterable[exp.Expression]) -> exp.Expression:
    return cast(exp.Expression, exp.and_(exp.true(), *conditions))


def _id_in(sql: str, **values: object) -> exp.Expression:
    return condition(f"s.id IN ({sql})", **values)


def _within_days(span: DateRange) -> exp.Expression:
    """Compare days of the project's time zone, or of UTC where dates have no time."""
    day = condition(
        f"""
        CAST(s.{span.name}_at AT TIME ZONE CASE
            WHEN s._date_precision = 'day' THEN 'UTC' ELSE coalesce(p.time_zone__olson_name, 'UTC')
        END AS DATE)
        """.replace("deadline_at", "deadline")
    )
    bounds: list[exp.Expression] = []
    if span.first:
        bounds.append(exp.GTE(this=day, expression=_date(span.first.isoformat())))
    if span.last:
        bounds.append(exp.LTE(this=day.copy(), expression=_date(span.last.isoformat())))
    return _all_of(bounds)


def _date(day: str) -> exp.Expression:
    return exp.cast(exp.Literal.string(day), "date")


def _field_matches(field: Field) -> exp.Expression:
    name, value = field.name, field.value
    if name in _PERSON_TABLES:
        return _person_matches(name, value)
    if name == "has":
        if value in _COLUMNS_WITH:
            return condition(_COLUMNS_WITH[value])
        return _id_in(f"SELECT h.story_id FROM ({_STORY_IDS_WITH[value]}) AS h")  # noqa: S608 - a constant
    if name in ("id", "iteration", "estimate"):
        return _number_matches(name, value)
    sql = {
        "state": "s.current_state <> 'accepted'" if value == "open" else "s.current_state = :value",
        "type": "s.story_type = :value",
        "priority": "coalesce(s.story_priority, 'none') = :value",
        "project": "strpos(lower(p.name), :value) > 0 OR CAST(p.id AS VARCHAR) = :value",
        "name": "strpos(lower(s.name), :value) > 0",
        "label": """
            s.id IN (
                SELECT l.story_id FROM stories__labels AS l WHERE lower(l.name) = :value
            )""",
        "epic": """
            s.id IN (
                SELECT l.story_id FROM stories__labels AS l
                JOIN epics AS e ON e.label__name = l.name AND e.project_id = l.project_id
                WHERE strpos(lower(e.name), :value) > 0 OR CAST(e.id AS VARCHAR) = :value
            )""",
        "release": """
            s.id IN (
                SELECT i.value FROM releases__story_ids AS i
                JOIN releases AS r ON r.id = i.release_id
                WHERE lower(r.name) = :value OR CAST(r.id AS VARCHAR) = :value
            )""",
        "none": "FALSE",
    }[name]
    return exp.paren(condition(sql, value=value) if ":value" in sql else condition(sql))


def _person_matches(name: str, value: str) -> exp.Expression:
    """Match a part of the name, initials, user name or id; `none` finds stories without."""
    people = _PERSON_TABLES[name]
    if value == "none":
        return exp.not_(
            _id_in(f"SELECT w.id FROM ({people}) AS w WHERE w.person IS NOT NULL")  # noqa: S608 - a constant
        )
    return _id_in(
        f"""
        SELECT w.id FROM ({people}) AS w JOIN ({PEOPLE}) AS q ON q.id = w.person
        WHERE strpos(lower(q.name), :value) > 0 OR lower(q.initials) = :value
            OR lower(q.username) = :value OR CAST(q.id AS VARCHAR) = :value
        """,  # noqa: S608 - constants
        value=value,
    )


def _number_matches(name: str, value: str) -> exp.Expression:
    number = exp.Literal.number(value)
    if name == "iteration":
        held = select("SELECT i.value FROM iterations__story_ids AS i").where(
            exp.column("iteration_number", "i").eq(number)
        )
        return exp.column("id", "s").isin(query=held)
    return exp.column("id" if name == "id" else "estimate", "s").eq(number)


@as_sql
def matching_stories(
    where: Node,
    flags: tuple[Node, ...],
    names: tuple[str, ...],
    projects: tuple[int, ...],
    sort: str,
) -> exp.Select:
    """Select the ids of matching stories, and what they are sorted by.

    Args:
        where: What every story must match.
        flags: Further terms, each of which becomes a column `flag_0`, `flag_1` and so on.
        names: Words whose presence in the name becomes the column `in_name`, a count.
        projects: Ids of projects, all if empty.
        sort: One of `SORTS`.
    """
    query = select(
        f"""
        SELECT s.id, {_SORT_COLUMNS[sort]} AS sort_key, s.updated_at
        FROM stories AS s LEFT JOIN projects AS p ON p.id = s.project_id
        """  # noqa: S608 - a constant
    )
    for number, flag in enumerate(flags):
        query = query.select(exp.alias_(exp.paren(matches(flag)), f"flag_{number}"), copy=False)
    in_name = [
        condition("CASE WHEN strpos(lower(s.name), :word) > 0 THEN 1 ELSE 0 END", word=name)
        for name in names
    ]
    total: exp.Expression = exp.Literal.number(0)
    for term in in_name:
        total = exp.Add(this=total, expression=term)
    query = query.select(exp.alias_(total, "in_name"), copy=False)
    if where != And(()):
        query = query.where(matches(where), copy=False)
    if projects:
        query = query.where(exp.column("project_id", "s").isin(*projects), copy=False)
    return query


@as_sql
def stories(story_ids: tuple[int, ...] | None) -> exp.Select:
    """Select stories as a list shows them, in no order."""
    query = select(
        """
        SELECT s.id, s.project_id, s.name, s.story_type, s.current_state, s.estimate,
            s.created_at, s.updated_at, s.accepted_at, p.name AS project_name
        FROM stories AS s LEFT JOIN projects AS p ON p.id = s.project_id
        """
    )
    return with_ids(query, "id", "s", story_ids)


@as_sql
def owner_names(story_ids: tuple[int, ...] | None, project: int | None = None) -> exp.Select:
    """Select the owners of some stories, or of a project: `story_id`, `name`, `initials`."""
    query = select(
        f"""
        SELECT o.story_id, coalesce(p.name, CAST(o.value AS VARCHAR)) AS name, p.initials
        FROM stories__owner_ids AS o LEFT JOIN ({PEOPLE}) AS p ON p.id = o.value
        ORDER BY o.story_id, o._dlt_list_idx
        """  # noqa: S608 - a constant
    )
    return _of_stories(query, "o", story_ids, project)


@as_sql
def label_names(story_ids: tuple[int, ...] | None, project: int | None = None) -> exp.Select:
    """Select the labels of some stories, or those of a project: `story_id`, `name`."""
    query = select(
        """
        SELECT DISTINCT l.story_id, l.name FROM stories__labels AS l
        WHERE l.name IS NOT NULL ORDER BY l.story_id, l.name
        """
    )
    return _of_stories(query, "l", story_ids, project)


def _of_stories(
    query: exp.Select, alias: str, story_ids: tuple[int, ...] | None, project: int | None
) -> exp.Select:
    if project is not None:
        query = query.where(exp.column("project_id", alias).eq(project), copy=False)
    return with_ids(query, "story_id", alias, story_ids)


@as_sql
def texts(story_ids: tuple[int, ...] | None) -> exp.Select:
    """Select the texts of stories, the weightiest first: `story_id`, `place`, `text`."""
    query = select(
        f"""
        SELECT t.story_id, t.place, t.text FROM ({_TEXTS}) AS t
        WHERE t.text IS NOT NULL ORDER BY t.weight DESC
        """  # noqa: S608 - a constant
    )
    return with_ids(query, "story_id", "t", story_ids)


@as_sql
def weighted_texts() -> exp.Select:
    """Select every text of every story: `story_id`, `weight`, `text`."""
    return select(
        f"SELECT t.story_id, t.weight, t.text FROM ({_TEXTS}) AS t WHERE t.text IS NOT NULL"  # noqa: S608 - a constant
    )


@as_sql
def export(story_ids: tuple[int, ...] | None, with_iterations: bool = True) -> exp.Select:
    """Select stories as they are exported, in no order, without labels and owners."""
    iterations = """
        LEFT JOIN (
            SELECT value, min(iteration_number) AS iteration_number
            FROM iterations__story_ids GROUP BY value
        ) AS i ON i.value = s.id"""
    iteration_number = "i.iteration_number" if with_iterations else "NULL AS iteration_number"
    query = select(
        f"""
        SELECT s.id, s.name, s.story_type, s.current_state, s.estimate, s.story_priority,
            {iteration_number}, s.created_at, s.updated_at, s.accepted_at, s.deadline,
            r.name AS requester, p.name AS project, s.description, s.url
        FROM stories AS s
        LEFT JOIN projects AS p ON p.id = s.project_id
        LEFT JOIN ({PEOPLE}) AS r ON r.id = s.requested_by_id
        {iterations if with_iterations else ""}
        """  # noqa: S608 - constants
    )
    return with_ids(query, "id", "s", story_ids)
