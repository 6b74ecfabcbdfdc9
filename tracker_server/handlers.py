"""Requests to responses: the rules of API v5, without HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Any

from .behaviour import Behaviour
from .dialect import LITETRACKER_ENDPOINTS, find_by_filter, to_litetracker
from .endpoints import ENDPOINTS, Endpoint, Paging, Result, find_endpoint
from .errors import gateway_timeout, invalid_parameter, route_not_found, unauthorized_operation
from .faults import Fault
from .fields import DEFAULT, Selection, make_serializer, parse_fields
from .messages import JSON, Response, as_json
from .paging import Page
from .query import Query
from .request_view import RequestView
from .workspace import Record, Workspace

_TIMES = {"start", "finish", "deadline", "start_time", "projected_completion"}


@dataclass(frozen=True)
class _Content:
    """What a response is about, before it is serialized.

    Attributes:
        data: The records.
        page: The page that they are, if the response says so.
        version: The version of the project, if the response says so.
    """

    data: Any
    page: Page | None
    version: int | None


def handle_request(
    workspace: Workspace,
    behaviour: Behaviour,
    path: str,
    params: Mapping[str, str],
    faults: Sequence[Fault] = (),
) -> Response:
    """Make the response to a GET request.

    Args:
        workspace: The workspace to read; it is locked meanwhile.
        behaviour: How the server differs from the documented one.
        path: The path below `/services/v5`, such as `/projects/99/stories`.
        params: The parameters of the query.
        faults: The faults that affect the request.

    Raises:
        ApiError: The request cannot be fulfilled; `error_response` makes the response.
    """
    template, numbers = find_endpoint(path)
    endpoint = _find_supported(template, behaviour)
    query = _parse_query(endpoint, template, behaviour, params)
    with workspace.lock:
        view = RequestView(workspace, behaviour.forbidden_projects)
        content = _read(view, behaviour, endpoint, template, query, numbers, faults)
        data = content.data
        if query.choice("date_format", ("iso8601", "millis")) == "millis":
            data = _in_milliseconds("", data)
        if query.choice("envelope", ("true", "false")) == "true":
            data = _envelope(data, content)
        body = as_json(data)
    return Response(HTTPStatus.OK, body, _headers(content), repeatable=view.repeatable)


def _find_supported(template: str, behaviour: Behaviour) -> Endpoint:
    endpoint = ENDPOINTS.get(template)
    if endpoint is None or endpoint.name in behaviour.unsupported_endpoints:
        raise route_not_found()
    if behaviour.dialect == "litetracker" and template not in LITETRACKER_ENDPOINTS:
        raise route_not_found()
    if endpoint.name in behaviour.forbidden_endpoints:
        raise unauthorized_operation()
    return endpoint


def _parse_query(
    endpoint: Endpoint, template: str, behaviour: Behaviour, params: Mapping[str, str]
) -> Query:
    if behaviour.dialect == "litetracker":
        accepted = LITETRACKER_ENDPOINTS[template]
        query = Query({name: text for name, text in params.items() if name in accepted})
    else:
        query = Query(params)
        query.require_known(endpoint.all_params - behaviour.unsupported_params)
    if "sort_order" not in endpoint.all_params:
        return query
    return Query({"sort_order": behaviour.activity_order, **query.values})


def _read(
    view: RequestView,
    behaviour: Behaviour,
    endpoint: Endpoint,
    template: str,
    query: Query,
    numbers: Sequence[int],
    faults: Sequence[Fault],
) -> _Content:
    """Read what was requested from the workspace."""
    selection = DEFAULT if behaviour.ignores_fields else _parse_selection(query, behaviour)
    serialize = make_serializer(endpoint.record_type, selection)
    result = endpoint.read(view, query, *numbers)
    if "filter" in query.values and isinstance(result, list):
        _refuse_slow_filter(view, behaviour)
        result = find_by_filter(view, result, query.values["filter"])
    result = _change_rows(result, faults)
    page = _cut_page(endpoint, query, behaviour, result, faults)
    rows = page.rows if page else result
    data = _map(partial(serialize, view), rows)
    for step in _steps(view, behaviour, faults):
        data = _map(step, data)
    announced = page if behaviour.pagination_headers else None
    return _Content(data, announced, _project_version(view, behaviour, template))


def _steps(
    view: RequestView, behaviour: Behaviour, faults: Sequence[Fault]
) -> list[Callable[[Record], Record]]:
    """Return what is done to each serialized record."""
    steps: list[Callable[[Record], Record]] = []
    if behaviour.dialect == "litetracker":
        steps.append(partial(to_litetracker, view))
    if not behaviour.has_project_versions:
        steps.append(_without_version)
    return [*steps, *(fault.change_record for fault in faults)]


def _without_version(record: Record) -> Record:
    if record.get("kind") != "project":
        return record
    return {name: value for name, value in record.items() if name != "version"}


def _map(function: Callable[[Record], Record], result: Result) -> Result:
    """Apply a function to a record, or to each record of a list."""
    return [function(record) for record in result] if isinstance(result, list) else function(result)


def _parse_selection(query: Query, behaviour: Behaviour) -> Selection:
    selection = parse_fields(query.values.get("fields"))
    for name in selection.all_names():
        if name in behaviour.unsupported_fields:
            raise invalid_parameter(f"this endpoint cannot give the field: {name}")
    return selection


def _refuse_slow_filter(view: RequestView, behaviour: Behaviour) -> None:
    """Raise if a filter would take too long."""
    project, limit = view.project, behaviour.max_filtered_stories
    if project is not None and limit is not None and len(project.stories) > limit:
        raise gateway_timeout()


def _change_rows(result: Result, faults: Sequence[Fault]) -> Result:
    """Apply faults to a list, or to the rows of a `daily_history_container`."""
    for fault in faults:
        if isinstance(result, list):
            result = fault.change_rows(result)
        elif isinstance(result.get("data"), list):
            result = {**result, "data": fault.change_rows(result["data"])}
    return result


def _cut_page(
    endpoint: Endpoint, query: Query, behaviour: Behaviour, result: Result, faults: Sequence[Fault]
) -> Page | None:
    """Return the page requested; None if the result is not paged.

    Recorded responses to `scope=current` are not paged.
    """
    paging = endpoint.paging
    if paging is None or not isinstance(result, list) or query.values.get("scope") == "current":
        return None
    limit = _limit(query, paging, behaviour.max_limits.get(endpoint.name, paging.maximum))
    offset = 0 if behaviour.ignores_offset else query.integer("offset") or 0
    if offset < 0 and query.values.get("scope") != "done":
        raise invalid_parameter("'offset' must not be negative")
    if behaviour.repeats_last_page and offset >= len(result) > 0:
        offset = (len(result) - 1) // limit * limit
    begin = offset if offset >= 0 else max(0, len(result) + offset)
    page = Page(result[begin : begin + limit], len(result), limit, offset)
    for fault in faults:
        page = fault.change_page(page)
    return page


def _limit(query: Query, paging: Paging, maximum: int) -> int:
    limit = query.integer("limit")
    if limit is not None and limit < 1:
        raise invalid_parameter("'limit' must be at least 1")
    return min(limit or paging.default, maximum)


def _project_version(view: RequestView, behaviour: Behaviour, template: str) -> int | None:
    """Return the version for the header; responses below `/my` have none."""
    if view.project is None or not behaviour.has_project_versions or template.startswith("/my/"):
        return None
    version: int | None = view.project.record.get("version")
    return version


def _headers(content: _Content) -> dict[str, str]:
    headers = {
        "Content-Type": JSON,
        "Cache-Control": "max-age=0, private, must-revalidate",
        "X-Tracker-Client-Pinger-Interval": "20",
    }
    if content.version is not None:
        headers["X-Tracker-Project-Version"] = str(content.version)
    for name, value in content.page.items() if content.page else ():
        headers[f"X-Tracker-Pagination-{name.title()}"] = "" if value is None else str(value)
    return headers


def _envelope(data: Any, content: _Content) -> Record:
    envelope: Record = {"http_status": "200"}
    if content.version is not None:
        envelope["project_version"] = content.version
    if content.page is not None:
        envelope["pagination"] = dict(content.page.items())
    return {**envelope, "data": data}


def _in_milliseconds(name: str, value: Any) -> Any:
    """Convert every time in a value to milliseconds since 1970; dates stay dates."""
    if isinstance(value, dict):
        return {key: _in_milliseconds(key, item) for key, item in value.items()}
    if isinstance(value, list):
        return [_in_milliseconds(name, item) for item in value]
    if isinstance(value, str) and (name.endswith("_at") or name in _TIMES):
        return int(datetime.fromisoformat(value).timestamp() * 1000)
    return value
