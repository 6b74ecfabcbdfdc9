"""Every path that is served: which records it gives, and which parameters it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import chain

from tracker_server import record_types as kinds
from tracker_server.errors import invalid_parameter, unfound_resource
from tracker_server.fields import Kind
from tracker_server.query import PAGING, RESPONSE_FORMAT, WHOLE_NUMBER, Query
from tracker_server.request_view import Reading, mentions
from tracker_server.workspace.model import STATES, Project, Record
from tracker_server.workspace.story_changes import STORY_TYPES

Found = list[Record] | Record
"""A list of records, or one record."""

MOST_BULK_IDS = 500
"""How many stories can be asked for by id at once."""


@dataclass(frozen=True)
class Paging:
    """How an endpoint cuts its list.

    Attributes:
        default: Rows a page if no `limit` is asked for.
        maximum: Rows a page at most; a larger `limit` is lowered to it.
    """

    default: int
    maximum: int


@dataclass(frozen=True)
class Endpoint:
    """One path, or several that give the same kind of thing.

    Attributes:
        name: What a server's behaviour calls it.
        kind: What it gives.
        read: Finds it: takes the reading, the parameters and the numbers in the path.
        takes: The parameters it takes besides those of the response format and of paging.
        paging: None where the list is always given whole.
    """

    name: str
    kind: Kind
    read: Callable[..., Found]
    takes: frozenset[str] = frozenset()
    paging: Paging | None = None

    @property
    def parameters(self) -> frozenset[str]:
        """Every parameter it takes."""
        return self.takes | RESPONSE_FORMAT | (PAGING if self.paging else frozenset())


def find_endpoint(path: str) -> tuple[str, list[int]]:
    """Split a path into the template it follows and the numbers in it.

    Args:
        path: Below `/services/v5`, such as `/projects/99/stories`.

    Returns:
        The template, such as `/projects/{id}/stories`, and the numbers, in the path's order.
    """
    segments = path.split("/")
    numbers = [int(segment) for segment in segments if WHOLE_NUMBER.fullmatch(segment)]
    template = ["{id}" if WHOLE_NUMBER.fullmatch(segment) else segment for segment in segments]
    return "/".join(template), numbers


def _me(reading: Reading, _: Query) -> Record:
    return reading.workspace.me


def _projects(reading: Reading, _: Query) -> list[Record]:
    return [project.record for project in reading.my_projects()]


def _project(reading: Reading, _: Query, project_id: int) -> Record:
    return reading.enter(project_id).record


def _held(collection: str, reading: Reading, _: Query, project_id: int) -> list[Record]:
    """Give all that a project holds of something."""
    return list(getattr(reading.enter(project_id), collection).values())


def _one_held(
    collection: str, reading: Reading, _: Query, project_id: int, record_id: int
) -> Record:
    held: dict[int, Record] = getattr(reading.enter(project_id), collection)
    if record_id not in held:
        raise unfound_resource()
    return held[record_id]


def _stories(reading: Reading, query: Query, project_id: int) -> list[Record]:
    project = reading.enter(project_id)
    stories = list(project.stories.values())
    state = query.choice("with_state", STATES)
    if state is not None:
        stories = [story for story in stories if story.get("current_state") == state]
    story_type = query.choice("with_story_type", STORY_TYPES)
    if story_type is not None:
        stories = [story for story in stories if story.get("story_type") == story_type]
    if "with_label" in query.values:
        label_ids = _label_ids(project, query.values["with_label"])
        stories = [story for story in stories if label_ids.intersection(story["label_ids"])]
    for prefix, attribute in STORY_TIMES.items():
        stories = query.between(stories, prefix, attribute)
    return stories


def _label_ids(project: Project, name: str) -> set[int]:
    told = (label for story in project.stories.values() for label in story.get("labels", ()))
    labels = chain(project.labels.values(), told)
    return {label["id"] for label in labels if label.get("name") == name}


def _bulk(reading: Reading, query: Query, project_id: int) -> list[Record]:
    """Give the stories of these ids; what is deleted or elsewhere is silently left out."""
    stories = reading.enter(project_id).stories
    ids = query.integers("ids")
    if len(ids) > MOST_BULK_IDS:
        raise invalid_parameter(f"'ids' must not name more than {MOST_BULK_IDS} stories")
    return [stories[story_id] for story_id in dict.fromkeys(ids) if story_id in stories]


def _any_story(reading: Reading, _: Query, story_id: int) -> Record:
    """Give a story without being told its project."""
    try:
        project, story = reading.workspace.find_story(story_id)
    except KeyError:
        raise unfound_resource() from None
    reading.enter(project.record["id"])
    return story


def _any_epic(reading: Reading, _: Query, epic_id: int) -> Record:
    """Give an epic without being told its project."""
    try:
        project, epic = reading.workspace.find_epic(epic_id)
    except KeyError:
        raise unfound_resource() from None
    reading.enter(project.record["id"])
    return epic


def _children(
    collection: str, name: str, reading: Reading, query: Query, project_id: int, parent_id: int
) -> list[Record]:
    """Give what lies in a story or an epic under a name."""
    parent = _one_held(collection, reading, query, project_id, parent_id)
    children: list[Record] = parent.get(name, [])
    return children


def _comment(
    reading: Reading, query: Query, project_id: int, story_id: int, comment_id: int
) -> Record:
    for comment in _children("stories", "comments", reading, query, project_id, story_id):
        if comment["id"] == comment_id:
            return comment
    raise unfound_resource()


def _story_labels(reading: Reading, query: Query, project_id: int, story_id: int) -> list[Record]:
    story = _one_held("stories", reading, query, project_id, story_id)
    return kinds.story_labels(reading, story)


def _owners(reading: Reading, query: Query, project_id: int, story_id: int) -> list[Record]:
    story = _one_held("stories", reading, query, project_id, story_id)
    return reading.people(story.get("owner_ids", ()))


def _story_transitions(reading: Reading, query: Query, project_id: int) -> list[Record]:
    """Give the transitions of all stories of a project, the oldest first."""
    stories = reading.enter(project_id).stories.values()
    transitions = [one for story in stories for one in story.get("transitions", ())]
    kept = query.between(transitions, "occurred", "occurred_at")
    return sorted(
        kept, key=lambda one: (str(one.get("occurred_at")), int(one.get("project_version", 0)))
    )


def _activity(reading: Reading, query: Query, project_id: int) -> list[Record]:
    return _in_order(query, reading.enter(project_id).activity)


def _activity_of(
    collection: str, reading: Reading, query: Query, project_id: int, record_id: int
) -> list[Record]:
    """Give the activity of one story or epic."""
    _one_held(collection, reading, query, project_id, record_id)
    activity = reading.enter(project_id).activity
    return _in_order(query, (one for one in activity if mentions(one, record_id)))


def _my_activity(reading: Reading, query: Query) -> list[Record]:
    """Give what the owner of the token did, in any of the projects."""
    me = reading.workspace.me.get("id")
    done = [
        one
        for project in reading.my_projects()
        for one in project.activity
        if me is not None and one["performed_by"]["id"] == me
    ]
    return _in_order(query, sorted(done, key=lambda one: str(one["occurred_at"])))


def _in_order(query: Query, activity: Iterable[Record]) -> list[Record]:
    """Keep the activity asked for, given the oldest first, and put it into the order asked for."""
    since = query.integer("since_version")
    if since is not None:
        activity = (one for one in activity if one.get("project_version", 0) > since)
    kept = query.between(activity, "occurred", "occurred_at")
    return kept if query.choice("sort_order", ("asc", "desc")) == "asc" else kept[::-1]


def _releases(reading: Reading, _: Query, project_id: int) -> list[Record]:
    reading.enter(project_id)
    return reading.workspace.releases(project_id)


def _release(reading: Reading, query: Query, project_id: int, release_id: int) -> Record:
    for release in _releases(reading, query, project_id):
        if release["id"] == release_id:
            return release
    raise unfound_resource()


def _release_stories(
    reading: Reading, query: Query, project_id: int, release_id: int
) -> list[Record]:
    story_ids = _release(reading, query, project_id, release_id).get("story_ids", ())
    stories = reading.enter(project_id).stories
    return [stories[story_id] for story_id in story_ids if story_id in stories]


def _iterations(reading: Reading, query: Query, project_id: int) -> list[Record]:
    plan = reading.iterations(reading.enter(project_id))
    scope = query.choice("scope", ITERATION_SCOPES)
    if scope is None:
        return plan
    current = reading.workspace.current_iteration_number(project_id)
    return [one for one in plan if ITERATION_SCOPES[scope](one["number"], current)]


def _iteration(reading: Reading, _: Query, project_id: int, number: int) -> Record:
    for iteration in reading.iterations(reading.enter(project_id)):
        if iteration["number"] == number:
            return iteration
    raise unfound_resource()


def _cycle_time_details(
    reading: Reading, query: Query, project_id: int, number: int
) -> list[Record]:
    story_ids = _iteration(reading, query, project_id, number).get("story_ids", ())
    stories = reading.enter(project_id).stories
    found = (
        kinds.cycle_time_details(reading, stories[story_id])
        for story_id in story_ids
        if story_id in stories
    )
    return [details for details in found if details is not None]


def _history_days(reading: Reading, _: Query, project_id: int) -> Record:
    reading.enter(project_id)
    return reading.workspace.history_days(project_id)


def _iteration_history_days(reading: Reading, query: Query, project_id: int, number: int) -> Record:
    _iteration(reading, query, project_id, number)
    if reading.workspace.as_recorded:
        raise unfound_resource()
    return reading.workspace.history_days(project_id, number)


def _people(reading: Reading, query: Query) -> list[Record]:
    query.required("project_id")
    project = reading.enter(query.integer("project_id") or 0)
    return list(project.memberships.values())


def _workspaces(reading: Reading, _: Query) -> list[Record]:
    return list(reading.workspace.workspaces.values())


def _workspace(reading: Reading, _: Query, workspace_id: int) -> Record:
    return _one_of(reading.workspace.workspaces, workspace_id)


def _accounts(reading: Reading, _: Query) -> list[Record]:
    return list(reading.workspace.accounts.values())


def _account(reading: Reading, _: Query, account_id: int) -> Record:
    return _one_of(reading.workspace.accounts, account_id)


def _account_memberships(reading: Reading, _: Query, account_id: int) -> list[Record]:
    _one_of(reading.workspace.accounts, account_id)
    memberships = reading.workspace.account_memberships.values()
    return [one for one in memberships if one["account_id"] == account_id]


def _account_summaries(reading: Reading, _: Query) -> list[Record]:
    return [kinds.account_summary(account) for account in reading.workspace.accounts.values()]


def _one_of(records: dict[int, Record], record_id: int) -> Record:
    if record_id not in records:
        raise unfound_resource()
    return records[record_id]


STORY_TIMES = {
    "created": "created_at",
    "updated": "updated_at",
    "accepted": "accepted_at",
    "deadline": "deadline",
}
"""The spans of time that stories can be chosen by, and the attribute that each looks at."""

ITERATION_SCOPES: dict[str, Callable[[int, int], bool]] = {
    "done": lambda number, current: number < current,
    "current": lambda number, current: number == current,
    "backlog": lambda number, current: number > current,
    "current_backlog": lambda number, current: number >= current,
    "done_current": lambda number, current: number <= current,
}
"""Which iterations each `scope` covers, by their number and that of the current one."""

_OCCURRED = frozenset({"occurred_after", "occurred_before"})
_ACTIVITY = _OCCURRED | {"since_version", "sort_order"}
_STORIES = frozenset(f"{prefix}_{side}" for prefix in STORY_TIMES for side in ("after", "before"))
_STORIES |= {"with_state", "with_story_type", "with_label"}
_PAGES = Paging(default=100, maximum=500)
_PROJECT = "/projects/{id}"
_STORY = f"{_PROJECT}/stories/{{id}}"
_EPIC = f"{_PROJECT}/epics/{{id}}"


def _all_of(collection: str, kind: Kind) -> Endpoint:
    return Endpoint(collection, kind, partial(_held, collection))


def _one_from(collection: str, kind: Kind) -> Endpoint:
    return Endpoint(collection, kind, partial(_one_held, collection))


def _inside_story(name: str, kind: Kind, paging: Paging | None = None) -> Endpoint:
    return Endpoint(name, kind, partial(_children, "stories", name), paging=paging)


ENDPOINTS: dict[str, Endpoint] = {
    "/me": Endpoint("me", kinds.ME, _me),
    "/my/people": Endpoint("people", kinds.MEMBERSHIP, _people, takes=frozenset({"project_id"})),
    "/my/activity": Endpoint(
        "activity", kinds.ACTIVITY, _my_activity, takes=_ACTIVITY, paging=_PAGES
    ),
    "/my/workspaces": Endpoint("workspaces", kinds.WORKSPACE_IN_LIST, _workspaces),
    "/my/workspaces/{id}": Endpoint("workspaces", kinds.WORKSPACE, _workspace),
    "/accounts": Endpoint("accounts", kinds.ACCOUNT, _accounts),
    "/accounts/{id}": Endpoint("accounts", kinds.ACCOUNT, _account),
    "/accounts/{id}/memberships": Endpoint(
        "account_memberships", kinds.ACCOUNT_MEMBERSHIP, _account_memberships
    ),
    "/account_summaries": Endpoint("account_summaries", kinds.ACCOUNT_SUMMARY, _account_summaries),
    "/projects": Endpoint("projects", kinds.PROJECT, _projects),
    _PROJECT: Endpoint("projects", kinds.PROJECT, _project),
    f"{_PROJECT}/stories": Endpoint(
        "stories", kinds.STORY, _stories, takes=_STORIES, paging=_PAGES
    ),
    f"{_PROJECT}/stories/bulk": Endpoint("bulk", kinds.STORY, _bulk, takes=frozenset({"ids"})),
    _STORY: _one_from("stories", kinds.STORY),
    "/stories/{id}": Endpoint("stories", kinds.STORY, _any_story),
    f"{_STORY}/comments": _inside_story("comments", kinds.COMMENT),
    f"{_STORY}/comments/{{id}}": Endpoint("comments", kinds.COMMENT, _comment),
    f"{_STORY}/tasks": _inside_story("tasks", kinds.TASK),
    f"{_STORY}/labels": Endpoint("labels", kinds.LABEL, _story_labels),
    f"{_STORY}/owners": Endpoint("owners", kinds.PERSON, _owners),
    f"{_STORY}/blockers": _inside_story("blockers", kinds.BLOCKER),
    f"{_STORY}/reviews": _inside_story("reviews", kinds.REVIEW),
    f"{_STORY}/transitions": _inside_story("transitions", kinds.TRANSITION, _PAGES),
    f"{_STORY}/activity": Endpoint(
        "activity",
        kinds.ACTIVITY,
        partial(_activity_of, "stories"),
        takes=_ACTIVITY,
        paging=_PAGES,
    ),
    f"{_PROJECT}/story_transitions": Endpoint(
        "story_transitions",
        kinds.TRANSITION,
        _story_transitions,
        takes=_OCCURRED,
        paging=_PAGES,
    ),
    f"{_PROJECT}/epics": _all_of("epics", kinds.EPIC),
    _EPIC: _one_from("epics", kinds.EPIC),
    "/epics/{id}": Endpoint("epics", kinds.EPIC, _any_epic),
    f"{_EPIC}/comments": Endpoint(
        "comments", kinds.COMMENT, partial(_children, "epics", "comments")
    ),
    f"{_EPIC}/activity": Endpoint(
        "activity",
        kinds.ACTIVITY,
        partial(_activity_of, "epics"),
        takes=_ACTIVITY,
        paging=_PAGES,
    ),
    f"{_PROJECT}/labels": _all_of("labels", kinds.LABEL),
    f"{_PROJECT}/labels/{{id}}": _one_from("labels", kinds.LABEL),
    f"{_PROJECT}/memberships": _all_of("memberships", kinds.MEMBERSHIP),
    f"{_PROJECT}/review_types": _all_of("review_types", kinds.REVIEW_TYPE),
    f"{_PROJECT}/releases": Endpoint("releases", kinds.RELEASE, _releases, paging=_PAGES),
    f"{_PROJECT}/releases/{{id}}": Endpoint("releases", kinds.RELEASE, _release),
    f"{_PROJECT}/releases/{{id}}/stories": Endpoint("releases", kinds.STORY, _release_stories),
    f"{_PROJECT}/iterations": Endpoint(
        "iterations",
        kinds.ITERATION,
        _iterations,
        takes=frozenset({"scope"}),
        paging=Paging(default=10, maximum=50),
    ),
    f"{_PROJECT}/iterations/{{id}}": Endpoint("iterations", kinds.ITERATION, _iteration),
    f"{_PROJECT}/iterations/{{id}}/analytics/cycle_time_details": Endpoint(
        "cycle_time_details", kinds.CYCLE_TIME_DETAILS, _cycle_time_details
    ),
    f"{_PROJECT}/history/days": Endpoint("history_days", kinds.DAILY_HISTORY, _history_days),
    f"{_PROJECT}/history/iterations/{{id}}/days": Endpoint(
        "history_days", kinds.DAILY_HISTORY, _iteration_history_days
    ),
    f"{_PROJECT}/activity": Endpoint(
        "activity", kinds.ACTIVITY, _activity, takes=_ACTIVITY, paging=_PAGES
    ),
}
"""What is served, by template of path."""
