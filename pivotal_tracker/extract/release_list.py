"""Read the releases of a project."""

from __future__ import annotations

from collections.abc import Collection

from ..activity import changes_from_activity
from ..records import Key
from .list_reader import ProjectListReader


class ReleaseReader(ProjectListReader):
    """Read the releases of a project, which are stories of the type `release`."""

    def explained(self, missing: Collection[Key]) -> set[Key]:
        """Return the missing keys that activity names as stories or releases."""
        return changes_from_activity(self.earlier_changes() or ()).stories.intersection(missing)
