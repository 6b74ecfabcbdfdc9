"""A Tracker workspace in memory: its records, what follows from them, and what changes them."""

from __future__ import annotations

from tracker_server.workspace.model import MOVES_UPDATED_AT, Project, Record
from tracker_server.workspace.workspace import Workspace

__all__ = ["MOVES_UPDATED_AT", "Project", "Record", "Workspace"]
