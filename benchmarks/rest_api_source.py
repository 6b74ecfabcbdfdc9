"""What a dlt user would write without this project: dlt's generic `rest_api` source.

The same seven streams without nested fields, dlt's settings as they come. Run it in a folder
without a `.dlt`: `python -m benchmarks.rest_api_source URL TOKEN`.
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
    """Asks by `limit` and `offset` until the total that Tracker says in a header is reached."""

    def update_state(self, response: Response, data: list[Any] | None = None) -> None:
        """Move on by what the page held, and ends at the total."""
        self.current_value += len(data or ())
        total = int(response.headers["X-Tracker-Pagination-Total"])
        self._has_next_page = bool(data) and self.current_value < total


def tracker_config(base_url: str, api_token: str) -> RESTAPIConfig:
    """Return the API in the words of `rest_api`.

    Args:
        base_url: The server, up to and including `/services/v5`.
        api_token: The API token.
    """

    def of_each_project(name: str, path: str, *, key: str = "id", paged: bool = False) -> Any:
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
            of_each_project("stories", "stories", paged=True),
            of_each_project("epics", "epics"),
            of_each_project("labels", "labels"),
            of_each_project("project_memberships", "memberships"),
            of_each_project("releases", "releases", paged=True),
            of_each_project("activity", "activity", key="guid", paged=True),
        ],
    }


def main(base_url: str, api_token: str) -> None:
    """Load everything into `rest_api_source.duckdb` in the current folder."""
    pipeline = dlt.pipeline("rest_api_source", destination="duckdb", dataset_name="tracker")
    pipeline.run(rest_api_source(tracker_config(base_url, api_token)))


if __name__ == "__main__":
    main(*sys.argv[1:])
