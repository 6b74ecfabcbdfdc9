"""The endpoints: their paths, parameters and records."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import chain

from pivotal_tracker.tables import STORY_STATES, STORY_TYPES

from . import record_types
from .errors import invalid_parameter, unfound_resource
from .fields import RecordType
from .query import INTEGER, PAGING, RESPONSE_FORMAT, Query
from .request_view import RequestView, mentions
from .workspace.model import Project, Record

Result = list[Record] | Record
"""A list of records, or one record."""

MAX_BULK_IDS = 500
"""How many stories can be requested by id at once."""


@dataclass(frozen=True)
class Paging:
    """How the list of an endpoint is paged.

    Attributes:
        default: The number of rows in a page if the request has no `limit`.
        maximum: The largest number of rows in a page; a larger `limit` is lowered to it.
    """

    default: int
    maximum: int


@dataclass(frozen=True)
class Endpoint:
    """An endpoint.

    Attributes:
        name: Its name in `Behaviour` and in faults; several endpoints may share it.
        record_type: The type of its records.
        read: Returns the records. Its arguments are the view, the query and the numbers in the
            path.
        params: The parameters that it accepts besides those of the response format and of paging.
        paging: How it is paged; None if it always returns the whole list.
    """

    name: str
    record_type: RecordType
    read: Callable[..., Result]
    params: frozenset[str] = frozenset()
    paging: Paging | None = None

    @property
    def all_params(self) -> frozenset[str]:
        """All parameters that it accepts."""
        return self.params | RESPONSE_FORMAT | (PAGING if self.paging else frozenset())


def find_endpoint(path: str) -> tuple[str, list[int]]:
    """Split a path into its template and the numbers in it.

    Args:
        path: The path below `/services/v5`, such as `/projects/99/stories`.

    Returns:
        The template, such as `/projects/{id}/stories`, and the numbers in order.
    """
    segments = path.split("/")
    numbers = [int(segment) for segment in segments if INTEGER.fullmatch(segment)]
    template = ["{id}" if INTEGER.fullmatch(segment) else segment for segment in segments]
    return "/".join(template), numbers


def _me(view: RequestView, _: Query) -> Record:
    return view.workspace.me


def _projects(view: RequestView, _: Query) -> list[Record]:
    return [project.record for project in view.my_projects()]


def _project(view: RequestView, _: Query, project_id: int) -> Record:
    return view.open_project(project_id).record


def _collection(collection: str, view: RequestView, _: Query, project_id: int) -> list[Record]:
    """Return one of the collections of a project."""
    return list(getattr(view.open_project(project_id), collection).values())


def _member(
    collection: str, view: RequestView, _: Query, project_id: int, record_id: int
) -> Record:
    records: dict[int, Record] = getattr(view.open_project(project_id), collection)
    return _by_id(records, record_id)


def _stories(view: RequestView, query: Query, project_id: int) -> list[Record]:
    project = view.open_project(project_id)
    stories = list(project.stories.values())
    state = query.choice("with_state", STORY_STATES)
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
    nested = (label for story in project.stories.values() for label in story.get("labels", ()))
    labels = chain(project.labels.values(), nested)
    return {label["id"] for label in labels if label.get("name") == name}


def _bulk(view: RequestView, query: Query, project_id: int) -> list[Record]:
    """Return the stories with these ids; those that are not in the project are left out."""
    stories = view.open_project(project_id).stories
    ids = query.integers("ids")
    if len(ids) > MAX_BULK_IDS:
        raise invalid_parameter(f"'ids' must not name more than {MAX_BULK_IDS} stories")
    return [stories[story_id] for story_id in dict.fromkeys(ids) if story_id in stories]


def _any_story(view: RequestView, _: Query, story_id: int) -> Record:
    """Return a story of any project."""
    try:
        project, story = view.workspace.find_story(story_id)
    except KeyError:
        raise unfound_resource() from None
    view.open_project(project.record["id"])
    return story


def _any_epic(view: RequestView, _: Query, epic_id: int) -> Record:
    """Return an epic of any project."""
    try:
        project, epic = view.workspace.find_epic(epic_id)
    except KeyError:
        raise unfound_resource() from None
    view.open_project(project.record["id"])
    return epic


def _children(
    collection: str, name: str, view: RequestView, query: Query, project_id: int, parent_id: int
) -> list[Record]:
    """Return a list that is nested in a story or an epic."""
    parent = _member(collection, view, query, project_id, parent_id)
    children: list[Record] = parent.get(name, [])
    return children


def _comment(
    view: RequestView, query: Query, project_id: int, story_id: int, comment_id: int
) -> Record:
    for comment in _children("stories", "comments", view, query, project_id, story_id):
        if comment["id"] == comment_id:
            return comment
    raise unfound_resource()


def _story_labels(view: RequestView, query: Query, project_id: int, story_id: int) -> list[Record]:
    story = _member("stories", view, query, project_id, story_id)
    return record_types.story_labels(view, story)


def _owners(view: RequestView, query: Query, project_id: int, story_id: int) -> list[Record]:
    story = _member("stories", view, query, project_id, story_id)
    return view.people(story.get("owner_ids", ()))


def _story_transitions(view: RequestView, query: Query, project_id: int) -> list[Record]:
    """Return the transitions of all stories of a project, the oldest first."""
    stories = view.open_project(project_id).stories.values()
    transitions = [each for story in stories for each in story.get("transitions", ())]
    kept = query.between(transitions, "occurred", "occurred_at")
    return sorted(
        kept, key=lambda each: (str(each.get("occurred_at")), int(each.get("project_version", 0)))
    )


def _activity(view: RequestView, query: Query, project_id: int) -> list[Record]:
    return _select_activity(query, view.open_project(project_id).activity)


def _activity_of(
    collection: str, view: RequestView, query: Query, project_id: int, record_id: int
) -> list[Record]:
    """Return the activity of one story or epic."""
    _member(collection, view, query, project_id, record_id)
    activity = view.open_project(project_id).activity
    return _select_activity(query, (each for each in activity if mentions(each, record_id)))


def _my_activity(view: RequestView, query: Query) -> list[Record]:
    """Return what the owner of the token did in any of the projects."""
    me = view.workspace.me.get("id")
    mine = [
        each
        for project in view.my_projects()
        for each in project.activity
        if me is not None and each["performed_by"]["id"] == me
    ]
    return _select_activity(query, sorted(mine, key=lambda each: str(each["occurred_at"])))


def _select_activity(query: Query, activity: Iterable[Record]) -> list[Record]:
    """Filter and sort activity, which must be given the oldest first."""
    since = query.integer("since_version")
    if since is not None:
        activity = (each for each in activity if each.get("project_version", 0) > since)
    kept = query.between(activity, "occurred", "occurred_at")
    return kept if query.choice("sort_order", ("asc", "desc")) == "asc" else kept[::-1]


def _releases(view: RequestView, _: Query, project_id: int) -> list[Record]:
    view.open_project(project_id)
    return view.workspace.releases(project_id)


def _release(view: RequestView, query: Query, project_id: int, release_id: int) -> Record:
    for release in _releases(view, query, project_id):
        if release["id"] == release_id:
            return release
    raise unfound_resource()


def _release_stories(
    view: RequestView, query: Query, project_id: int, release_id: int
) -> list[Record]:
    story_ids = _release(view, query, project_id, release_id).get("story_ids", ())
    stories = view.open_project(project_id).stories
    return [stories[story_id] for story_id in story_ids if story_id in stories]


def _iterations(view: RequestView, query: Query, project_id: int) -> list[Record]:
    plan = view.iterations(view.open_project(project_id))
    scope = query.choice("scope", ITERATION_SCOPES)
    if scope is None:
        return plan
    current = view.workspace.current_iteration_number(project_id)
    return [each for each in plan if ITERATION_SCOPES[scope](each["number"], current)]


def _iteration(view: RequestView, _: Query, project_id: int, number: int) -> Record:
    for iteration in view.iterations(view.open_project(project_id)):
        if iteration["number"] == number:
            return iteration
    raise unfound_resource()


def _cycle_time_details(
    view: RequestView, query: Query, project_id: int, number: int
) -> list[Record]:
    story_ids = _iteration(view, query, project_id, number).get("story_ids", ())
    stories = view.open_project(project_id).stories
    every = (
        record_types.cycle_time_details(view, stories[story_id])
        for story_id in story_ids
        if story_id in stories
    )
    return [details for details in every if details is not None]


def _history_days(view: RequestView, _: Query, project_id: int) -> Record:
    view.open_project(project_id)
    return view.workspace.history_days(project_id)


def _iteration_history_days(
    view: RequestView, query: Query, project_id: int, number: int
) -> Record:
    _iteration(view, query, project_id, number)
    if view.workspace.is_recording:
        raise unfound_resource()
    return view.workspace.history_days(project_id, number)


def _people(view: RequestView, query: Query) -> list[Record]:
    query.required("project_id")
    project = view.open_project(query.integer("project_id") or 0)
    return list(project.memberships.values())


def _workspaces(view: RequestView, _: Query) -> list[Record]:
    return list(view.workspace.workspaces.values())


def _workspace(view: RequestView, _: Query, workspace_id: int) -> Record:
    return _by_id(view.workspace.workspaces, workspace_id)


def _accounts(view: RequestView, _: Query) -> list[Record]:
    return list(view.workspace.accounts.values())


def _account(view: RequestView, _: Query, account_id: int) -> Record:
    return _by_id(view.workspace.accounts, account_id)


def _account_memberships(view: RequestView, _: Query, account_id: int) -> list[Record]:
    _by_id(view.workspace.accounts, account_id)
    memberships = view.workspace.account_memberships.values()
    return [each for each in memberships if each["account_id"] == account_id]


def _account_summaries(view: RequestView, _: Query) -> list[Record]:
    return [record_types.account_summary(account) for account in view.workspace.accounts.values()]


def _by_id(records: dict[int, Record], record_id: int) -> Record:
    if record_id not in records:
        raise unfound_resource()
    return records[record_id]


STORY_TIMES = {
    "created": "created_at",
    "updated": "updated_at",
    "accepted": "accepted_at",
    "deadline": "deadline",
}
"""The prefixes of the parameters that filter stories by time, and the attribute of each."""

ITERATION_SCOPES: dict[str, Callable[[int, int], bool]] = {
    "done": lambda number, current: number < current,
    "current": lambda number, current: number == current,
    "backlog": lambda number, current: number > current,
    "current_backlog": lambda number, current: number >= current,
    "done_current": lambda number, current: number <= current,
}
"""Whether each `scope` covers an iteration, by its number and that of the current one."""

_OCCURRED = frozenset({"occurred_after", "occurred_before"})
_ACTIVITY = _OCCURRED | {"since_version", "sort_order"}
_STORIES = frozenset(f"{prefix}_{side}" for prefix in STORY_TIMES for side in ("after", "before"))
_STORIES |= {"with_state", "with_story_type", "with_label"}
_PAGES = Paging(default=100, maximum=500)
_PROJECT = "/projects/{id}"
_STORY = f"{_PROJECT}/stories/{{id}}"
_EPIC = f"{_PROJECT}/epics/{{id}}"


def _list_of(collection: str, record_type: RecordType) -> Endpoint:
    return Endpoint(collection, record_type, partial(_collection, collection))


def _one_from(collection: str, record_type: RecordType) -> Endpoint:
    return Endpoint(collection, record_type, partial(_member, collection))


def _inside_story(name: str, record_type: RecordType, paging: Paging | None = None) -> Endpoint:
    return Endpoint(name, record_type, partial(_children, "stories", name), paging=paging)


ENDPOINTS: dict[str, Endpoint] = {
    "/me": Endpoint("me", record_types.ME, _me),
    "/my/people": Endpoint(
        "people", record_types.MEMBERSHIP, _people, params=frozenset({"project_id"})
    ),
    "/my/activity": Endpoint(
        "activity", record_types.ACTIVITY, _my_activity, params=_ACTIVITY, paging=_PAGES
    ),
    "/my/workspaces": Endpoint("workspaces", record_types.WORKSPACE_IN_LIST, _workspaces),
    "/my/workspaces/{id}": Endpoint("workspaces", record_types.WORKSPACE, _workspace),
    "/accounts": Endpoint("accounts", record_types.ACCOUNT, _accounts),
    "/accounts/{id}": Endpoint("accounts", record_types.ACCOUNT, _account),
    "/accounts/{id}/memberships": Endpoint(
        "account_memberships", record_types.ACCOUNT_MEMBERSHIP, _account_memberships
    ),
    "/account_summaries": Endpoint(
        "account_summaries", record_types.ACCOUNT_SUMMARY, _account_summaries
    ),
    "/projects": Endpoint("projects", record_types.PROJECT, _projects),
    _PROJECT: Endpoint("projects", record_types.PROJECT, _project),
    f"{_PROJECT}/stories": Endpoint(
        "stories", record_types.STORY, _stories, params=_STORIES, paging=_PAGES
    ),
    f"{_PROJECT}/stories/bulk": Endpoint(
        "bulk", record_types.STORY, _bulk, params=frozenset({"ids"})
    ),
    _STORY: _one_from("stories", record_types.STORY),
    "/stories/{id}": Endpoint("stories", record_types.STORY, _any_story),
    f"{_STORY}/comments": _inside_story("comments", record_types.COMMENT),
    f"{_STORY}/comments/{{id}}": Endpoint("comments", record_types.COMMENT, _comment),
    f"{_STORY}/tasks": _inside_story("tasks", record_types.TASK),
    f"{_STORY}/labels": Endpoint("labels", record_types.LABEL, _story_labels),
    f"{_STORY}/owners": Endpoint("owners", record_types.PERSON, _owners),
    f"{_STORY}/blockers": _inside_story("blockers", record_types.BLOCKER),
    f"{_STORY}/reviews": _inside_story("reviews", record_types.REVIEW),
    f"{_STORY}/transitions": _inside_story("transitions", record_types.TRANSITION, _PAGES),
    f"{_STORY}/activity": Endpoint(
        "activity",
        record_types.ACTIVITY,
        partial(_activity_of, "stories"),
        params=_ACTIVITY,
        paging=_PAGES,
    ),
    f"{_PROJECT}/story_transitions": Endpoint(
        "story_transitions",
        record_types.TRANSITION,
        _story_transitions,
        params=_OCCURRED,
        paging=_PAGES,
    ),
    f"{_PROJECT}/epics": _list_of("epics", record_types.EPIC),
    _EPIC: _one_from("epics", record_types.EPIC),
    "/epics/{id}": Endpoint("epics", record_types.EPIC, _any_epic),
    f"{_EPIC}/comments": Endpoint(
        "comments", record_types.COMMENT, partial(_children, "epics", "comments")
    ),
    f"{_EPIC}/activity": Endpoint(
        "activity",
        record_types.ACTIVITY,
        partial(_activity_of, "epics"),
        params=_ACTIVITY,
        paging=_PAGES,
    ),
    f"{_PROJECT}/labels": _list_of("labels", record_types.LABEL),
    f"{_PROJECT}/labels/{{id}}": _one_from("labels", record_types.LABEL),
    f"{_PROJECT}/memberships": _list_of("memberships", record_types.MEMBERSHIP),
    f"{_PROJECT}/review_types": _list_of("review_types", record_types.REVIEW_TYPE),
    f"{_PROJECT}/releases": Endpoint("releases", record_types.RELEASE, _releases, paging=_PAGES),
    f"{_PROJECT}/releases/{{id}}": Endpoint("releases", record_types.RELEASE, _release),
    f"{_PROJECT}/releases/{{id}}/stories": Endpoint(
        "releases", record_types.STORY, _release_stories
    ),
    f"{_PROJECT}/iterations": Endpoint(
        "iterations",
        record_types.ITERATION,
        _iterations,
        params=frozenset({"scope"}),
        paging=Paging(default=10, maximum=50),
    ),
    f"{_PROJECT}/iterations/{{id}}": Endpoint("iterations", record_types.ITERATION, _iteration),
    f"{_PROJECT}/iterations/{{id}}/analytics/cycle_time_details": Endpoint(
        "cycle_time_details", record_types.CYCLE_TIME_DETAILS, _cycle_time_details
    ),
    f"{_PROJECT}/history/days": Endpoint("history_days", record_types.DAILY_HISTORY, _history_days),
    f"{_PROJECT}/history/iterations/{{id}}/days": Endpoint(
        "history_days", record_types.DAILY_HISTORY, _iteration_history_days
    ),
    f"{_PROJECT}/activity": Endpoint(
        "activity", record_types.ACTIVITY, _activity, params=_ACTIVITY, paging=_PAGES
    ),
}
"""All endpoints by the template of their path."""
