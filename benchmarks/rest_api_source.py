"""What a dlt user would write without this project: dlt's generic `rest_api` source.

It loads the same seven tables without nested fields, with dlt's default settings. Run it in a
folder without `.dlt`: `python -m benchmarks.rest_api_source URL TOKEN`.
"""

from __future__ import annotations

import sys
from typing import Any

import dlt
from dlt.sources.helpers.rest_client.paginators import OffsetPaginator
from dlt.sources.rest_api import RESTAPIConfig, rest_api_source
from requests import Response

PAGE_SIZE = 500


class HeaderTotalPaginator(OffsetPaginator):
    """Requests pages by `limit` and `offset` up to the total in Tracker's header."""

    def update_state(self, response: Response, data: list[Any] | None = None) -> None:
        """Advance by the length of the page, and stop at the total."""
        self.current_value += len(data or ())
        total = int(response.headers["X-Tracker-Pagination-Total"])
        self._has_next_page = bool(data) and self.current_value < total


def tracker_config(base_url: str, api_token: str) -> RESTAPIConfig:
    """Return the configuration of `rest_api` for the API.

    Args:
        base_url: The server, up to and including `/services/v5`.
        api_token: The API token.
    """

    def project_list(name: str, path: str, *, key: str = "id", paged: bool = False) -> Any:
        return {
            "name": name,
            "primary_key": key,
            "endpoint": {
                "path": f"projects/{{resources.projects.id}}/{path}",
                "paginator": HeaderTotalPaginator(PAGE_SIZE) if paged else "single_page",
            },
        }

    return {
        "client": {
            "base_url": base_url,
            "auth": {
                "type": "api_key",
                "name": "X-TrackerToken",
                "api_key": api_token,
                "location": "header",
            },
        },
        "resource_defaults": {"write_disposition": "replace", "parallelized": True},
        "resources": [
            {
                "name": "projects",
                "primary_key": "id",
                "endpoint": {"path": "projects", "paginator": "single_page"},
            },
            project_list("stories", "stories", paged=True),
            project_list("epics", "epics"),
            project_list("labels", "labels"),
            project_list("project_memberships", "memberships"),
            project_list("releases", "releases", paged=True),
            project_list("activity", "activity", key="guid", paged=True),
        ],
    }


def main(base_url: str, api_token: str) -> None:
    """Load everything into `rest_api_source.duckdb` in the current folder."""
    pipeline = dlt.pipeline("rest_api_source", destination="duckdb", dataset_name="tracker")
    pipeline.run(rest_api_source(tracker_config(base_url, api_token)))


if __name__ == "__main__":
    main(*sys.argv[1:])
