"""A small server of Tracker's API v5 over a workspace held in memory.

`python -m tracker_server` serves a made-up workspace; tests use `TrackerServer`, change the
workspace while it is being read, and let the server misbehave with a `Behaviour`.
"""

from __future__ import annotations

from tracker_server.app import Request, TrackerServer
from tracker_server.behaviour import Behaviour, litetracker
from tracker_server.faults import Faults

__all__ = ["Behaviour", "Faults", "Request", "TrackerServer", "litetracker"]
