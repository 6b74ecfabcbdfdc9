"""A Tracker workspace in memory: its records, what follows from them, and what changes them."""

from __future__ import annotations

from .model import MOVES_UPDATED_AT, Project, Record
from .workspace import Workspace

__all__ = ["MOVES_UPDATED_AT", "Project", "Record", "Workspace"]
