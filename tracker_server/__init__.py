"""A small server of Tracker's API v5 over a workspace held in memory.

`python -m tracker_server` serves a sample workspace or archives. Tests use `TrackerServer`, change
the workspace while it is being read, restrict the server with a `Behaviour`, and make it misbehave
with the faults in `tracker_server.faults`.
"""

from __future__ import annotations

from .behaviour import Behaviour, litetracker
from .messages import Request
from .server import TrackerServer

__all__ = ["Behaviour", "Request", "TrackerServer", "litetracker"]
