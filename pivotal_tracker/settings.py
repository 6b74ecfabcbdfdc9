"""Constants: where the API is, what it is asked for, and how much of it at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

TRACKER_URL = "https://www.pivotaltracker.com/services/v5"
"""The original service, which shut down on 2025-04-30."""

LITETRACKER_URL = "https://app.litetracker.com/services/v5"

URL_ALIASES = {"litetracker": LITETRACKER_URL}
"""Names that `base_url` takes instead of an address."""

SHUT_DOWN = (
    "Pivotal Tracker itself shut down on 2025-04-30. Set SOURCES__PIVOTAL_TRACKER__BASE_URL to a "
    f"server that still answers API v5, such as LiteTracker's {LITETRACKER_URL}"
)

TOKEN_PLACEHOLDER = "please set me up!"  # noqa: S105 - the text that stands where a token belongs

NEVER_LOADED = frozenset(
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
"""Attributes that are secrets, or pre-signed URLs which are as good as one while they last."""

FILE_ATTACHMENTS = (
    "file_attachments(id,kind,filename,created_at,uploader_id,thumbnailable,height,width,size,"
    "download_url,content_type,uploaded)"
)
_OF_COMMENTS = (":default", FILE_ATTACHMENTS, "google_attachments")
COMMENTS = f"comments({','.join(_OF_COMMENTS)})"


@dataclass(frozen=True)
class Endpoint:
    """One list that the API offers.

    Attributes:
        path: Relative to the base URL; `{id}` stands for the project's id.
        fields: What to ask for in `fields`; empty where the defaults are all there is.
        limit: Rows to ask for per page; None where the endpoint is not paged and would refuse the
            parameter. The server may answer with fewer.
        params: What else to ask.
        inside: The attribute of the answer that holds the list, where the answer is one object.
        is_one: Whether the answer is one record.
    """

    path: str
    fields: tuple[str, ...] = ()
    limit: int | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    inside: str = ""
    is_one: bool = False


PROJECTS = Endpoint("projects", (":default", "current_velocity", "current_volatility", "status"))
ONE_PROJECT = Endpoint("projects/{id}", PROJECTS.fields, is_one=True)

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
    # most answers took 9 to 22 s on the real server, and no page had more than 50
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
    "history_days": Endpoint("projects/{id}/history/days", is_one=True),
    "review_types": Endpoint("projects/{id}", ("review_types",), inside="review_types"),
}
"""What is read of each project, by the name of the resource (and table) it feeds."""

STORIES_BY_ID = Endpoint("projects/{id}/stories/bulk", PROJECT_ENDPOINTS["stories"].fields)
ONE_STORY = Endpoint(
    "projects/{id}/stories/{story_id}", PROJECT_ENDPOINTS["stories"].fields, is_one=True
)
ANY_STORY = Endpoint("stories/{story_id}", PROJECT_ENDPOINTS["stories"].fields, is_one=True)
STORY_COMMENTS = Endpoint("projects/{id}/stories/{story_id}/comments", _OF_COMMENTS)
COMMENT_FILES = Endpoint(
    "projects/{id}/stories/{story_id}/comments/{comment_id}",
    ("file_attachments(id,big_url)",),
    is_one=True,
)
STORY_IDS = Endpoint("projects/{id}/stories", ("id",), limit=500)

RECENT_ACTIVITY = Endpoint("projects/{id}/activity", limit=100)
"""The feed of a project without a version: of LiteTracker no larger limit is known to work."""

WORKSPACES = Endpoint("my/workspaces")
ACCOUNTS = Endpoint("accounts")
ACCOUNT_MEMBERSHIPS = Endpoint("accounts/{id}/memberships")

ACCOUNT_LISTS = ("workspaces", "accounts", "account_memberships")
"""The resources that belong to no project."""

MOST_IDS = 500
"""So many stories may be asked for by id in one request."""

COMMENTED_AT_ONCE = 10
"""The comments of so many stories are asked for one after the other, beside those of others."""

MOST_CHANGES = 5_000
"""A project with more activity than this since the last run is read whole: that takes no longer."""

OVERLAP = timedelta(minutes=10)
"""Stories updated so long before the last one that was seen are looked at again."""

ACTIVITY_OVERLAP = timedelta(minutes=10)
"""Activity is read from so long before the newest that was seen: some may have come late."""

MAX_NEW_ACTIVITY = 5_000
"""A project with more activity than this since the last run is read whole."""

MAX_CURSOR_GUIDS = 200
"""So many activities are remembered as seen, of those in the overlap."""

MAX_PAGE_SIZE = 1_000
"""Stories to request per page where projects have no version, as LiteTracker's users do."""

MIN_PAGE_SIZE = 25
"""Pages are not made smaller than this for a server that cannot give larger ones."""

COMMENT_PART_SIZE = 500
"""The command requests the comments of so many stories before it commits them."""

SERVER_MEMORY = timedelta(days=7)
"""What a server does not support is not requested again for so long."""

LIST_CHECK_INTERVAL = timedelta(days=7)
"""Lists of projects without versions are read again after so long, also without activity."""

MOST_REDIRECTS = 5
"""So often is a download sent on to another address."""

MOST_ROWS = 99_999_999
"""A list whose end the server does not tell is given up beyond this."""

BATCH_SIZE = 1_000
"""So many records, with all their nested rows, are gathered before they are handed to dlt."""

PAGES_AT_ONCE = 12
"""So many pages of a table are asked for, or held in memory, at once: what bounds the memory."""
