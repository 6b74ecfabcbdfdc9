"""The server that is measured against: a sample workspace that is edited when told so.

`python -m benchmarks.served PROJECTS STORIES ACTIVITY LATENCY` says where it serves; each share
that comes in on a line of its own (`0.01`) renames so many of the stories, and is answered `done`.
"""

from __future__ import annotations

import gc
import sys
from itertools import count

from tracker_server import Behaviour, TrackerServer
from tracker_server.sample import generate_workspace
from tracker_server.workspace import Workspace


def main(projects: str, stories: str, activity: str, latency: str) -> None:
    """Serves until the input ends."""
    workspace = generate_workspace(
        projects=int(projects), stories=int(stories), activity=int(activity)
    )
    # a large workspace is never garbage: looking through it again and again only delays answers
    gc.freeze()
    with TrackerServer(workspace, behaviour=Behaviour(latency=float(latency) / 1000)) as server:
        print(server.url, workspace.me["api_token"], flush=True)
        for edits, share in zip(count(1), sys.stdin, strict=False):
            _rename(workspace, float(share), f"Edited for the {edits}. time")
            print("done", flush=True)


def _rename(workspace: Workspace, share: float, name: str) -> None:
    for project in list(workspace.projects.values()):
        for story_id in list(project.stories)[:: round(1 / share)]:
            workspace.edit_story(story_id, name=name)


if __name__ == "__main__":
    main(*sys.argv[1:])
