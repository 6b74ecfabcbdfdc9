"""Reads the releases of a project."""

from __future__ import annotations

from collections.abc import Collection

from ..activity import touched_by
from ..records import Key
from .list_reader import ProjectList


class ReleaseList(ProjectList):
    """The releases of a project: those of its stories that are of that type."""

    def explained(self, missing: Collection[Key]) -> set[Key]:
        """Those that activity names as stories or releases."""
        return touched_by(self.earlier_changes() or ()).stories.intersection(missing)
