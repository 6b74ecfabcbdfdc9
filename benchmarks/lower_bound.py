"""A lower bound: the time that this machine and this server need without dlt or error handling.

Threads fetch the pages that this project requests, and orjson parses them to check that they are
complete. DuckDB loads the responses unchanged, one table per endpoint, with nested data in lists
and structs: it reads the files faster than Arrow tables made from the parsed records.
Run it in an empty folder: `python -m benchmarks.lower_bound URL TOKEN`.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import orjson
import urllib3

from .endpoints import PROJECT_ENDPOINTS, PROJECTS, SHARED_TABLES, parameters

THREADS = 16


@dataclass
class PageFetcher:
    """Saves lists of the server as files, one per page."""

    base_url: str
    http: urllib3.PoolManager
    folder: Path

    def fetch(self, name: str, endpoint: Any, project_id: int = 0) -> tuple[int, list[Any]]:
        """Save the pages of one list as `name.project_id.offset.json`.

        Returns:
            The number of requests, and the records of the last page.

        Raises:
            urllib3.exceptions.HTTPError: The server cannot be reached.
            ValueError: The response is not a list.
        """
        url = f"{self.base_url}/{endpoint.path.format(id=project_id)}"
        requests = offset = 0
        while True:
            response = self.http.request("GET", url, fields=parameters(endpoint, offset))
            page = orjson.loads(response.data)
            if response.status != 200 or not isinstance(page, list):
                raise ValueError(f"{url}: {response.status} {response.data[:200]!r}")
            (self.folder / f"{name}.{project_id}.{offset}.json").write_bytes(response.data)
            requests += 1
            offset += len(page)
            total = int(response.headers.get("X-Tracker-Pagination-Total", offset))
            if not page or offset >= total:
                return requests, page


def main(base_url: str, api_token: str) -> None:
    """Load everything into `lower_bound.duckdb` in the current folder; the pages stay there too."""
    http = urllib3.PoolManager(maxsize=THREADS, headers={"X-TrackerToken": api_token})
    fetcher = PageFetcher(base_url, http, Path())
    requests, projects = fetcher.fetch("projects", PROJECTS)
    with ThreadPoolExecutor(THREADS) as pool:
        lists = [
            pool.submit(fetcher.fetch, name, endpoint, project["id"])
            for name, endpoint in PROJECT_ENDPOINTS.items()
            if name in SHARED_TABLES
            for project in projects
        ]
        requests += sum(each.result()[0] for each in lists)
    with duckdb.connect("lower_bound.duckdb") as database:
        database.execute("CREATE SCHEMA tracker")
        for name in SHARED_TABLES:
            # DuckDB looks at all rows for types: a late row may have an attribute of its own
            database.execute(
                f"CREATE TABLE tracker.{name} AS FROM read_json('{name}.*.json', sample_size=-1)"
            )
    print(f"{requests} requests")


if __name__ == "__main__":
    main(*sys.argv[1:])
