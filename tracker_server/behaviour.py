"""What a server supports and permits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from .faults import Fault, RandomFaults, Status


@dataclass
class Behaviour:
    """How a server differs from the documented one. It can be changed while the server runs.

    Attributes:
        latency: Seconds before each response; concurrent requests wait at the same time.
        token: The only valid token; None for the `api_token` of the workspace's `me`.
        wrong_token_status: The status for an invalid token. Which of the two Tracker used is not
            known.
        forbidden_projects: Ids of the projects for which the token gets 403.
        forbidden_endpoints: Names of the endpoints for which it does, such as `accounts` or
            `file_attachments`.
        unsupported_endpoints: Names of the endpoints that get 404 `route_not_found`.
        unsupported_params: Parameters that get 400.
        unsupported_fields: Attributes that get 400 when they are named in `fields`.
        has_project_versions: Whether projects have a `version`, in records and headers.
        ignores_fields: Whether `fields` has no effect.
        max_limits: The largest page by endpoint, if it is not the documented one.
        pagination_headers: Whether headers or envelope describe the page.
        ignores_offset: Whether every page is the first one.
        repeats_last_page: Whether an offset beyond the end gets the last page again.
        downloads_redirect_to: The site to which downloads of attachments are redirected.
        activity_order: The order of activity if the request names none.
        max_filtered_stories: The most stories that a project may have for `filter` to work; with
            more of them it gets 504. None for no limit.
        dialect: Whose API is spoken: see `tracker_server.dialect`.
        faults: What goes wrong: see `tracker_server.faults`.
    """

    latency: float = 0.0
    token: str | None = None
    wrong_token_status: Literal[401, 403] = 403
    forbidden_projects: set[int] = field(default_factory=set)
    forbidden_endpoints: set[str] = field(default_factory=set)
    unsupported_endpoints: set[str] = field(default_factory=set)
    unsupported_params: set[str] = field(default_factory=set)
    unsupported_fields: set[str] = field(default_factory=set)
    has_project_versions: bool = True
    ignores_fields: bool = False
    max_limits: dict[str, int] = field(default_factory=dict)
    pagination_headers: bool = True
    ignores_offset: bool = False
    repeats_last_page: bool = False
    downloads_redirect_to: str | None = None
    activity_order: Literal["asc", "desc"] = "desc"
    max_filtered_stories: int | None = None
    dialect: Literal["v5", "litetracker"] = "v5"
    faults: Sequence[Fault] = ()


def litetracker(
    *,
    max_limit: int = 1_000_000,
    max_filtered_stories: int = 10_000,
    activity_order: Literal["asc", "desc"] = "desc",
    error_rate: float = 0.0,
    seed: int = 1,
) -> Behaviour:
    """Return the behaviour that was observed at LiteTracker, as far as it is known.

    Whether a comment changes its story's `updated_at` is not known: see
    `Workspace.moves_updated_at`, from which tests should also remove `owner_ids`.

    Args:
        max_limit: The largest page of stories. 1,000 and 10,000 worked, though 50 was reported.
        max_filtered_stories: See `Behaviour`; a project of 19,000 stories was too large.
        activity_order: The order of activity, which is not known.
        error_rate: The share of requests that get 500.
        seed: Another seed, other requests.
    """
    errors = RandomFaults(error_rate, (Status(500),), seed=seed)
    return Behaviour(
        dialect="litetracker",
        has_project_versions=False,
        ignores_fields=True,
        pagination_headers=False,
        max_limits={"stories": max_limit},
        activity_order=activity_order,
        max_filtered_stories=max_filtered_stories,
        faults=[errors] if error_rate else [],
    )
