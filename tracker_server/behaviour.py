"""How a server differs from the documented one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from tracker_server.faults import Fault, RandomFaults, Status


@dataclass
class Behaviour:
    """How a server behaves; it can be changed while the server runs.

    Attributes:
        latency: Seconds before anything is answered; many requests wait side by side.
        token: The only right token; None for the `api_token` of the workspace's `me`.
        wrong_token_status: 403, or 401: which of them Tracker gave is not known.
        forbidden_projects: Ids of the projects that answer 403 `unauthorized_operation`.
        forbidden: Names of the endpoints that do so, such as `accounts` or `file_attachments`.
        missing: Names of the endpoints that answer 404 `route_not_found`.
        lacks: What it has never heard of: parameters, which are answered with 400, or `version`,
            which then no project and no header tells.
        refused_fields: Attributes that are answered with 400 when asked for in `fields`.
        ignores_fields: Whether `fields` changes nothing.
        limits: The most rows a page, by endpoint, in the place of the documented maximum.
        pagination_headers: Whether answers say how they are paged, in headers or envelope.
        ignores_offset: Whether every page is the first one.
        files_at: The site to which downloads of attachments are sent on with a 302.
        activity_order: The order of activity where a request names none.
        max_filtered_stories: The most stories that a project may have for `filter` to work; with
            more of them it ends with 504. None for no limit.
        dialect: Whose words are used: see `tracker_server.dialect`.
        faults: What goes wrong; see `tracker_server.faults`.
    """

    latency: float = 0.0
    token: str | None = None
    wrong_token_status: Literal[401, 403] = 403
    forbidden_projects: set[int] = field(default_factory=set)
    forbidden: set[str] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)
    lacks: set[str] = field(default_factory=set)
    refused_fields: set[str] = field(default_factory=set)
    ignores_fields: bool = False
    limits: dict[str, int] = field(default_factory=dict)
    pagination_headers: bool = True
    ignores_offset: bool = False
    files_at: str | None = None
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
    """Behave as LiteTracker was observed to behave, as far as that is known.

    Whether a comment changes its story's `updated_at` is not known: see
    `Workspace.moves_updated_at`, from which tests should also remove `owner_ids`.

    Args:
        max_limit: The largest page of stories; 1,000 and 10,000 worked, though 50 was reported.
        max_filtered_stories: See `Behaviour`; a project of 19,000 stories was too large.
        activity_order: The order of activity, which is not known.
        error_rate: The share of requests that end with 500.
        seed: Another seed, other requests.
    """
    errors = RandomFaults(error_rate, (Status(500),), seed=seed)
    return Behaviour(
        dialect="litetracker",
        ignores_fields=True,
        pagination_headers=False,
        limits={"stories": max_limit},
        activity_order=activity_order,
        max_filtered_stories=max_filtered_stories,
        faults=[errors] if error_rate else [],
    )
