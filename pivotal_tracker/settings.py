"""Constants: the API's URLs, the endpoints with their fields, and limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

TRACKER_URL = "https://www.pivotaltracker.com/services/v5"
"""The original service, which shut down on 2025-04-30."""

LITETRACKER_URL = "https://app.litetracker.com/services/v5"

URL_ALIASES = {"litetracker": LITETRACKER_URL}
"""Names that `base_url` takes instead of an address."""

SHUTDOWN_NOTICE = (
    "Pivotal Tracker itself shut down on 2025-04-30. Set SOURCES__PIVOTAL_TRACKER__BASE_URL to a "
    f"server that still answers API v5, such as LiteTracker's {LITETRACKER_URL}"
)

TOKEN_PLACEHOLDER = "please set me up!"  # noqa: S105 - the placeholder in secrets.toml

SECRET_ATTRIBUTES = frozenset(
    {
        "api_token",
        "big_url",
        "thumbnail_url",
        "api_password",
        "basic_auth_password",
        "basic_auth_username",
        "password",
    }
)
"""Attributes that are never loaded: secrets, and pre-signed URLs, which act as secrets until they
expire."""

FILE_ATTACHMENTS = (
    "file_attachments(id,kind,filename,created_at,uploader_id,thumbnailable,height,width,size,"
    "download_url,content_type,uploaded)"
)
_COMMENT_FIELDS = (":default", FILE_ATTACHMENTS, "google_attachments")
COMMENTS = f"comments({','.join(_COMMENT_FIELDS)})"


@dataclass(frozen=True)
class Endpoint:
    """A list, or a single record, of the API.

    Attributes:
        path: Relative to the base URL; `{id}` stands for the project's id.
        fields: The parameter `fields`; empty to get the server's default.
        limit: Rows to request per page; None if the endpoint is not paged and would refuse the
            parameter. The server may return fewer.
        params: More parameters.
        data_key: The attribute with the list, if the response is an object.
        is_single_record: Whether the response is one record.
    """

    path: str
    fields: tuple[str, ...] = ()
    limit: int | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    data_key: str = ""
    is_single_record: bool = False


PROJECTS = Endpoint("projects", (":default", "current_velocity", "current_volatility", "status"))
ONE_PROJECT = Endpoint("projects/{id}", PROJECTS.fields, is_single_record=True)

PROJECT_ENDPOINTS: dict[str, Endpoint] = {
    "stories": Endpoint(
        "projects/{id}/stories",
        (
            ":default",
            COMMENTS,
            "tasks",
            "blockers",
            "reviews(:default,review_type)",
            "transitions",
            "follower_ids",
            "pull_requests",
            "branches",
            "cycle_time_details",
        ),
        limit=500,
    ),
    "epics": Endpoint(
        "projects/{id}/epics",
        (
            ":default",
            "past_done_story_estimates",
            "past_done_stories_count",
            "past_done_stories_no_point_count",
            "completed_at",
            "projected_completion",
            COMMENTS,
        ),
    ),
    "labels": Endpoint("projects/{id}/labels", (":default", "counts")),
    "project_memberships": Endpoint("projects/{id}/memberships"),
    "releases": Endpoint(
        "projects/{id}/releases",
        (
            ":default",
            "story_ids",
            "projected_completion",
            "points_accepted",
            "points_total",
            "counts_accepted",
            "counts_total",
        ),
        limit=500,
    ),
    # most responses took 9 to 22 s on the real server, and no page had more than 50
    "iterations": Endpoint(
        "projects/{id}/iterations",
        (
            "number",
            "project_id",
            "length",
            "team_strength",
            "start",
            "finish",
            "kind",
            "story_ids",
            "velocity",
            "points",
            "accepted_points",
            "effective_points",
        ),
        limit=50,
    ),
    "activity": Endpoint("projects/{id}/activity", limit=500, params={"sort_order": "asc"}),
    "history_days": Endpoint("projects/{id}/history/days", is_single_record=True),
    "review_types": Endpoint("projects/{id}", ("review_types",), data_key="review_types"),
}
"""What is read of each project, by the name of the resource, which is also that of its table."""

STORIES_BY_ID = Endpoint("projects/{id}/stories/bulk", PROJECT_ENDPOINTS["stories"].fields)
ONE_STORY = Endpoint(
    "projects/{id}/stories/{story_id}", PROJECT_ENDPOINTS["stories"].fields, is_single_record=True
)
ANY_STORY = Endpoint(
    "stories/{story_id}", PROJECT_ENDPOINTS["stories"].fields, is_single_record=True
)
STORY_COMMENTS = Endpoint("projects/{id}/stories/{story_id}/comments", _COMMENT_FIELDS)
COMMENT_ATTACHMENTS = Endpoint(
    "projects/{id}/stories/{story_id}/comments/{comment_id}",
    ("file_attachments(id,big_url)",),
    is_single_record=True,
)
STORY_IDS = Endpoint("projects/{id}/stories", ("id",), limit=500)

RECENT_ACTIVITY = Endpoint("projects/{id}/activity", limit=100)
"""The activity of a project without a version. No larger limit is known to work on LiteTracker."""

ME = Endpoint("me", is_single_record=True)
WORKSPACES = Endpoint("my/workspaces")
ACCOUNTS = Endpoint("accounts")
ACCOUNT_MEMBERSHIPS = Endpoint("accounts/{id}/memberships")

ACCOUNT_LISTS = ("workspaces", "accounts", "account_memberships")
"""The resources that belong to no project."""

MAX_IDS_PER_REQUEST = 500
"""The maximum number of stories requested by id in one request."""

COMMENT_BATCH_SIZE = 10
"""The number of stories whose comments are requested in turn; batches are requested in parallel."""

MAX_NEW_ACTIVITY = 5_000
"""A project with more activity than this since the last run is read completely: it is as fast."""

UPDATED_OVERLAP = timedelta(minutes=10)
"""Stories that were updated up to this long before the last one seen are read again."""

ACTIVITY_OVERLAP = timedelta(minutes=10)
"""Activity is read from this long before the newest one seen, because some may arrive late."""

MAX_CURSOR_GUIDS = 200
"""The maximum number of activities in the overlap that are remembered as seen."""

MAX_PAGE_SIZE = 1_000
"""Stories to request per page if projects have no version, as LiteTracker's users do."""

MIN_PAGE_SIZE = 25
"""The page size is not reduced below this for a server that fails with larger pages."""

COMMENT_PART_SIZE = 500
"""The number of stories whose comments the command requests before it commits them."""

SERVER_MEMORY = timedelta(days=7)
"""What a server does not support is not requested again for this long."""

LIST_CHECK_INTERVAL = timedelta(days=7)
"""Lists of projects without versions are read again after this long, also without activity."""

MAX_REDIRECTS = 5
"""The maximum number of redirects of a download."""

MAX_LIST_ROWS = 99_999_999
"""If the server does not report a total, reading stops with an error after this many rows."""

BATCH_SIZE = 2_000
"""The number of records, with their nested rows, that are passed to dlt at a time."""

MAX_PAGES_IN_FLIGHT = 12
"""The maximum number of pages of a table that are requested or in memory at the same time."""
