"""The server for the benchmarks: serves a sample workspace, and edits it on request.

`python -m benchmarks.server_process PROJECTS STORIES ACTIVITY LATENCY` prints its URL and token.
For each line on stdin, a share such as `0.01`, it renames that share of the stories and prints
`done`.
"""

from __future__ import annotations

import gc
import sys

from tracker_server import Behaviour, TrackerServer
from tracker_server.sample import generate_workspace
from tracker_server.workspace import Workspace


def main(projects: str, stories: str, activity: str, latency: str) -> None:
    """Serve until stdin is closed."""
    workspace = generate_workspace(
        projects=int(projects), stories=int(stories), activity=int(activity)
    )
    # a large workspace is never garbage: checking it again and again only delays responses
    gc.freeze()
    with TrackerServer(workspace, behaviour=Behaviour(latency=float(latency) / 1000)) as server:
        print(server.url, workspace.me["api_token"], flush=True)
        for edit, share in enumerate(sys.stdin, start=1):
            _rename(workspace, float(share), f"Edit {edit}")
            print("done", flush=True)


def _rename(workspace: Workspace, share: float, name: str) -> None:
    for project in list(workspace.projects.values()):
        for story_id in list(project.stories)[:: round(1 / share)]:
            workspace.edit_story(story_id, name=name)


if __name__ == "__main__":
    main(*sys.argv[1:])
