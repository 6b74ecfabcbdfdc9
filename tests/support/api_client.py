"""A plain client of `tracker_server`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests

from tracker_server import TrackerServer
from tracker_server.sample import generate_workspace
from tracker_server.workspace.model import Project


class Api:
    """A plain client of a server."""

    def __init__(self, server: TrackerServer) -> None:
        self.server = server
        self.workspace = server.workspace
        self.session = requests.Session()
        self.session.headers["X-TrackerToken"] = server.workspace.me["api_token"]

    def fetch(self, path: str, **query: Any) -> requests.Response:
        """Request a path below `/services/v5`."""
        return self.session.get(f"{self.server.url}{path}", params=query, timeout=5)

    def get(self, path: str, **query: Any) -> Any:
        """Return the JSON of a response that must be 200."""
        response = self.fetch(path, **query)
        assert response.status_code == 200, response.text
        return response.json()

    def error(self, path: str, **query: Any) -> tuple[int, str, str]:
        """Return status, code and problem of a response that must be an error."""
        response = self.fetch(path, **query)
        body = response.json()
        assert body["kind"] == "error"
        return response.status_code, body["code"], body.get("general_problem", "")

    @property
    def project(self) -> Project:
        """The first project of the workspace."""
        return next(iter(self.workspace.projects.values()))

    @property
    def path(self) -> str:
        """The path of that project."""
        return f"/projects/{self.project.record['id']}"


@contextmanager
def small_api() -> Iterator[Api]:
    """Serve a small sample workspace, and yield a client of the server."""
    workspace = generate_workspace(projects=2, stories=60, activity=200, seed=3)
    with TrackerServer(workspace) as server:
        yield Api(server)


def paging(response: requests.Response) -> dict[str, str]:
    """Return the pagination headers of a response, without their prefix."""
    prefix = "X-Tracker-Pagination-"
    return {
        name.removeprefix(prefix): value
        for name, value in response.headers.items()
        if name.startswith(prefix)
    }
