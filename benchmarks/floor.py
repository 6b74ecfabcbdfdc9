"""The floor: what this machine and this server need at the least, without dlt or any care.

The pages that this project asks for are fetched by plain threads, parsed by orjson to see that they
are whole, and loaded by DuckDB as they came, one table a stream, nested data in lists and structs.
DuckDB reads the pages' files faster than Arrow tables that are first made of the parsed records.
Run it in an empty folder: `python -m benchmarks.floor URL TOKEN`.
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

from .endpoints import PROJECT_ENDPOINTS, PROJECTS, STREAMS, parameters

THREADS = 16


@dataclass
class Fetching:
    """Brings lists from the server into files, one a page."""

    base_url: str
    http: urllib3.PoolManager
    folder: Path

    def fetch(self, name: str, endpoint: Any, project_id: int = 0) -> tuple[int, list[Any]]:
        """Save the pages of one list as `name.project_id.offset.json`.

        Returns:
            How many requests it took, and the records of the last page.

        Raises:
            urllib3.exceptions.HTTPError: The server is not there.
            ValueError: It answered with something else than a list.
        """
        url = f"{self.base_url}/{endpoint.path.format(id=project_id)}"
        requests = offset = 0
        while True:
            answer = self.http.request("GET", url, fields=parameters(endpoint, offset))
            page = orjson.loads(answer.data)
            if answer.status != 200 or not isinstance(page, list):
                raise ValueError(f"{url}: {answer.status} {answer.data[:200]!r}")
            (self.folder / f"{name}.{project_id}.{offset}.json").write_bytes(answer.data)
            requests += 1
            offset += len(page)
            total = int(answer.headers.get("X-Tracker-Pagination-Total", offset))
            if not page or offset >= total:
                return requests, page


def main(base_url: str, api_token: str) -> None:
    """Load everything into `floor.duckdb` in the current folder, pages beside it."""
    http = urllib3.PoolManager(maxsize=THREADS, headers={"X-TrackerToken": api_token})
    fetching = Fetching(base_url, http, Path())
    requests, projects = fetching.fetch("projects", PROJECTS)
    with ThreadPoolExecutor(THREADS) as pool:
        lists = [
            pool.submit(fetching.fetch, name, endpoint, project["id"])
            for name, endpoint in PROJECT_ENDPOINTS.items()
            if name in STREAMS
            for project in projects
        ]
        requests += sum(each.result()[0] for each in lists)
    with duckdb.connect("floor.duckdb") as database:
        database.execute("CREATE SCHEMA tracker")
        for name in STREAMS:
            # all rows are looked at for their types: a late one may hold an attribute of its own
            database.execute(
                f"CREATE TABLE tracker.{name} AS FROM read_json('{name}.*.json', sample_size=-1)"
            )
    print(f"{requests} requests")


if __name__ == "__main__":
    main(*sys.argv[1:])
