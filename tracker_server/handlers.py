"""What the server answers to a request: the rules of API v5, without the HTTP library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Any

from tracker_server.behaviour import Behaviour
from tracker_server.dialect import LITETRACKER_ENDPOINTS, find_by_filter, to_litetracker
from tracker_server.endpoints import ENDPOINTS, Endpoint, Found, Paging, find_endpoint
from tracker_server.errors import (
    gateway_timeout,
    invalid_parameter,
    route_not_found,
    unauthorized_operation,
)
from tracker_server.faults import Fault
from tracker_server.fields import DEFAULT, Give, Selection, giver, parse
from tracker_server.messages import JSON, Response, as_json
from tracker_server.paging import Page
from tracker_server.query import Query
from tracker_server.request_view import Reading
from tracker_server.workspace import Workspace
from tracker_server.workspace.model import Record

_TIMES = {"start", "finish", "deadline", "start_time", "projected_completion"}


def handle_request(
    workspace: Workspace,
    behaviour: Behaviour,
    path: str,
    parameters: Mapping[str, str],
    faults: Sequence[Fault] = (),
) -> Response:
    """Answer a request for reading.

    Args:
        workspace: What is read; its lock is held meanwhile.
        behaviour: How the server differs from the documented one.
        path: Below `/services/v5`, such as `/projects/99/stories`.
        parameters: Those of the query.
        faults: The faults that affect it.

    Raises:
        ApiError: The request cannot be fulfilled; `error_response` makes the response.
    """
    template, numbers = find_endpoint(path)
    endpoint = _endpoint(template, behaviour)
    query = _query(endpoint, template, behaviour, parameters)
    selection = DEFAULT if behaviour.ignores_fields else _selection(query, behaviour)
    with workspace.lock:
        reading = Reading(workspace, behaviour.forbidden_projects)
        give = giver(endpoint.kind, selection)
        found = endpoint.read(reading, query, *numbers)
        if "filter" in query.values and isinstance(found, list):
            _refuse_slow_filter(reading, behaviour)
            found = find_by_filter(reading, found, query.values["filter"])
        found = _change_rows(found, faults)
        page = _page(endpoint, query, behaviour, found, faults)
        data = _given(reading, behaviour, give, page.rows if page else found, faults)
        version = _project_version(reading, behaviour, template)
        if "version" in behaviour.lacks:
            data, version = _without_version(data), None
        if query.choice("date_format", ("iso8601", "millis")) == "millis":
            data = _in_milliseconds("", data)
        says_paging = page if behaviour.pagination_headers else None
        if query.choice("envelope", ("true", "false")) == "true":
            data = _envelope(data, version, says_paging)
        body = as_json(data)
    headers = {
        "Content-Type": JSON,
        "Cache-Control": "max-age=0, private, must-revalidate",
        "X-Tracker-Client-Pinger-Interval": "20",
    }
    if version is not None:
        headers["X-Tracker-Project-Version"] = str(version)
    for name, value in says_paging.items() if says_paging else ():
        headers[f"X-Tracker-Pagination-{name.title()}"] = "" if value is None else str(value)
    return Response(HTTPStatus.OK, body, headers, repeatable=reading.repeatable)


def _without_version(data: Any) -> Any:
    """Take the version out of projects, alone or in a list."""
    if isinstance(data, list):
        return [_without_version(one) for one in data]
    if isinstance(data, dict) and data.get("kind") == "project":
        return {name: value for name, value in data.items() if name != "version"}
    return data


def _endpoint(template: str, behaviour: Behaviour) -> Endpoint:
    endpoint = ENDPOINTS.get(template)
    if endpoint is None or endpoint.name in behaviour.missing:
        raise route_not_found()
    if behaviour.dialect == "litetracker" and template not in LITETRACKER_ENDPOINTS:
        raise route_not_found()
    if endpoint.name in behaviour.forbidden:
        raise unauthorized_operation()
    return endpoint


def _query(
    endpoint: Endpoint, template: str, behaviour: Behaviour, parameters: Mapping[str, str]
) -> Query:
    if behaviour.dialect == "litetracker":
        taken = LITETRACKER_ENDPOINTS[template]
        query = Query({name: text for name, text in parameters.items() if name in taken})
    else:
        query = Query(parameters)
        query.refuse_others_than(endpoint.parameters - behaviour.lacks)
    if "sort_order" not in endpoint.parameters:
        return query
    return Query({"sort_order": behaviour.activity_order, **query.values})


def _refuse_slow_filter(reading: Reading, behaviour: Behaviour) -> None:
    """Raise where a filter would take too long."""
    project, limit = reading.entered, behaviour.max_filtered_stories
    if project is not None and limit is not None and len(project.stories) > limit:
        raise gateway_timeout()


def _selection(query: Query, behaviour: Behaviour) -> Selection:
    selection = parse(query.values.get("fields"))
    for name in selection.all_names():
        if name in behaviour.refused_fields:
            raise invalid_parameter(f"this endpoint cannot give the field: {name}")
    return selection


def _change_rows(found: Found, faults: Sequence[Fault]) -> Found:
    """Let faults change a list, or the rows of a `daily_history_container`."""
    for fault in faults:
        if isinstance(found, list):
            found = fault.change_rows(found)
        elif isinstance(found.get("data"), list):
            found = {**found, "data": fault.change_rows(found["data"])}
    return found


def _page(
    endpoint: Endpoint, query: Query, behaviour: Behaviour, found: Found, faults: Sequence[Fault]
) -> Page | None:
    """Cut the page asked for out of a list; None where the list is given whole.

    `scope=current` was recorded without a word of paging.
    """
    paging = endpoint.paging
    if paging is None or not isinstance(found, list) or query.values.get("scope") == "current":
        return None
    limit = _limit(query, paging, behaviour.limits.get(endpoint.name, paging.maximum))
    offset = 0 if behaviour.ignores_offset else query.integer("offset") or 0
    if offset < 0 and query.values.get("scope") != "done":
        raise invalid_parameter("'offset' must not be negative")
    begin = offset if offset >= 0 else max(0, len(found) + offset)
    page = Page(found[begin : begin + limit], len(found), limit, offset)
    for fault in faults:
        page = fault.change_page(page)
    return page


def _limit(query: Query, paging: Paging, maximum: int) -> int:
    limit = query.integer("limit")
    if limit is not None and limit < 1:
        raise invalid_parameter("'limit' must be at least 1")
    return min(limit or paging.default, maximum)


def _given(
    reading: Reading, behaviour: Behaviour, give: Give, found: Found, faults: Sequence[Fault]
) -> Any:
    """Give the records that were found as they were asked for, in the words of the dialect."""

    def tell(record: Record) -> Record:
        told = give(reading, record)
        if behaviour.dialect == "litetracker":
            told = to_litetracker(reading, told)
        for fault in faults:
            told = fault.change_record(told)
        return told

    return [tell(record) for record in found] if isinstance(found, list) else tell(found)


def _project_version(reading: Reading, behaviour: Behaviour, template: str) -> int | None:
    """Give the version that the answer's header names; answers about `/my` things have none."""
    silent = behaviour.dialect == "litetracker" or template.startswith("/my/")
    if reading.entered is None or silent:
        return None
    version: int | None = reading.entered.record.get("version")
    return version


def _envelope(data: Any, version: int | None, page: Page | None) -> Record:
    envelope: Record = {"http_status": "200"}
    if version is not None:
        envelope["project_version"] = version
    if page is not None:
        envelope["pagination"] = dict(page.items())
    return {**envelope, "data": data}


def _in_milliseconds(name: str, value: Any) -> Any:
    """Write every time in a value as milliseconds since 1970; dates stay dates."""
    if isinstance(value, dict):
        return {key: _in_milliseconds(key, item) for key, item in value.items()}
    if isinstance(value, list):
        return [_in_milliseconds(name, item) for item in value]
    if isinstance(value, str) and (name.endswith("_at") or name in _TIMES):
        return int(datetime.fromisoformat(value).timestamp() * 1000)
    return value
